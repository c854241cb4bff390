/* Who is asking, in the words of service/keys.h. Scopes are checked by the server against the route's. */
#include <string.h>
#include "api_priv.h"
#include "meros/service/keys.h"

_Static_assert((int)SCOPE_INGEST == KEY_INGEST && (int)SCOPE_READ == KEY_READ && (int)SCOPE_RECOMMEND == KEY_RECOMMEND &&
                   (int)SCOPE_TRAIN == KEY_TRAIN && (int)SCOPE_PRIVACY == KEY_PRIVACY && (int)SCOPE_ADMIN == KEY_ADMIN,
               "one set of bits for scopes");

enum meros_code api_auth(void *ctx, struct str key, bool may_block, bool *out_would_block, struct http_principal *out,
                         struct meros_err *err)
{
    char id[KEY_ID_CAP];
    unsigned scopes = 0;
    enum meros_code rc = keys_check(ctx, key, may_block, out_would_block, id, &scopes, err);
    if (rc != MEROS_OK)
        return rc;
    /* admin is let in everywhere: whatever scope a route asks for, it has */
    *out = (struct http_principal){.scopes = scopes & KEY_ADMIN ? KEY_SCOPES_ALL : scopes};
    _Static_assert(sizeof out->key_id >= KEY_ID_CAP, "room for the id of a key");
    memcpy(out->key_id, id, KEY_ID_CAP);
    return MEROS_OK;
}
