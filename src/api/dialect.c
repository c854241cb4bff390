#include "dialect_priv.h"

#include <stdio.h>
#include <string.h>
#include "meros/base/clock.h"
#include "meros/service/rejections.h"

/* --- keys */

static enum meros_code nobody(struct meros_err *err)
{
    return err_set(err, MEROS_UNAUTHENTICATED,
                   "No valid API key came with the request: send it as user name of HTTP Basic, as Bearer token, or where the body has its place.");
}

static enum meros_code lacks_scope(struct meros_err *err)
{
    return err_set(err, MEROS_FORBIDDEN, "This key lacks the scope that this operation needs: ingest");
}

enum meros_code dialect_admit(struct http_request *req, struct str key, bool *again, struct meros_err *err)
{
    const unsigned wanted = http_route_of(req)->scopes;
    const struct http_principal *who = http_principal(req);
    const bool known = who->key_id[0] != '\0';
    struct http_principal sender = {0};
    bool would_block = false;
    *again = false;
    if (!api_service(req)->up) {
        err_set(err, MEROS_UNAVAILABLE, "the service is starting: it waits for its database");
        err->retry_after = 2;
        return MEROS_UNAVAILABLE;
    }
    if (who->scopes & wanted) return MEROS_OK;
    if (key.n == 0) return known ? lacks_scope(err) : nobody(err);
    enum meros_code rc = api_auth(http_ctx(req), key, http_may_block(req), &would_block, &sender, err);
    if (would_block) {
        err_clear(err);
        http_use_worker(req);
        *again = true;
        return MEROS_OK;
    }
    if (rc == MEROS_UNAUTHENTICATED) return known ? lacks_scope(err) : rc;
    if (rc != MEROS_OK) return rc;
    if ((sender.scopes & wanted) == 0) return lacks_scope(err);
    http_set_principal(req, &sender);
    return MEROS_OK;
}

enum meros_code dialect_needs_body(struct http_request *req, struct meros_err *err)
{
    bool again;
    if (http_body(req).n > 0) return MEROS_OK;
    enum meros_code rc = dialect_admit(req, STR_NONE, &again, err);
    return rc != MEROS_OK ? rc : err_set(err, MEROS_INVALID, "This operation needs a body.");
}

/* --- landing and answering */

enum meros_code dialect_begin(struct http_request *req, enum ingest_source source,
                              enum meros_code (*answer)(struct http_request *, struct dialect_request *, struct meros_err *),
                              struct dialect_request **out, struct meros_err *err)
{
    struct dialect_request *x = arena_zalloc(http_arena(req), sizeof *x);
    if (x == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for the request.");
    dialect_init(&x->d, http_arena(req), clock_now());
    x->in.request.source = source;
    x->answer = answer;
    *out = x;
    return MEROS_OK;
}

/* What the ingest path would not take is rejected like what the decoder would not: the message it came from, once. */
static void note_unlanded(struct dialect_request *x)
{
    for (size_t k = 0; k < x->in.request.n; k++) {
        const struct ingest_result *r = &x->in.request.results[k];
        const struct ingest_item *item = &x->in.request.items[k];
        struct message m;
        char pointer[40];
        if (r->verdict != INGEST_REJECTED || (k > 0 && x->d.message[k] == x->d.message[k - 1] && x->in.request.results[k - 1].verdict == INGEST_REJECTED))
            continue;
        snprintf(pointer, sizeof pointer, "/%u", (unsigned)x->d.message[k]);
        message_begin(&m, &x->d, x->d.message[k], pointer);
        if (item->kind == INGEST_EVENT) {
            m.type = item->event.type;
            m.id = item->event.event_id;
        }
        message_reject(&m, "not_landed", "", "%s", r->detail != NULL ? r->detail : "It was refused.");
    }
}

static enum meros_code finish(struct http_request *req, struct api_ingest *in, struct meros_err *err)
{
    struct dialect_request *x = (struct dialect_request *)in;
    note_unlanded(x);
    for (size_t k = 0; k < x->d.n_rejects; k++) {
        const struct dialect_reject *r = &x->d.rejects[k];
        rejections_note(api_service(req), in->request.source, str_of(r->message), str_of(r->place), r->type, r->message_id,
                        str_of(http_request_id(req)));
    }
    x->rejected = x->d.rejected;
    x->accepted = x->d.messages - x->rejected;
    return x->answer(req, x, err);
}

/* Who reads a page's source has its key: an alias that came with it may say who a visitor is, as identify does, but not
 * melt two known customers together, which nobody can undo. */
static void restrain_aliases(struct dialect *d)
{
    for (size_t k = 0; k < d->n; k++) {
        struct ingest_item *item = &d->items[k];
        if (item->kind != INGEST_ALIAS) continue;
        const struct str previous = item->previous_id;
        item->kind = INGEST_TRAITS;
        item->anonymous_id = previous;
        item->traits = (struct customer_change){.created_at = TIME_NONE};
    }
}

enum meros_code dialect_submit(struct dialect_request *x, struct http_request *req, struct meros_err *err)
{
    if ((http_principal(req)->scopes & SCOPE_INGEST) == 0) restrain_aliases(&x->d);
    if (x->d.n == 0) return finish(req, &x->in, err);
    struct ingest_result *results = arena_array(http_arena(req), x->d.n, sizeof *results);
    if (results == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for the request.");
    x->in.request.items = x->d.items;
    x->in.request.results = results;
    x->in.request.n = x->d.n;
    x->in.answer = finish;
    return api_ingest(req, &x->in, err);
}
