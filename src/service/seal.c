#include "seal_priv.h"

bool seal_text(const struct service *s, struct arena *arena, struct str text, struct sealed *out)
{
    unsigned char hash[SHA256_BYTES];
    *out = (struct sealed){STR_NONE, STR_NONE};
    if (!str_present(text)) return true;
    char *sealed = arena_alloc(arena, text.n + SEAL_OVERHEAD);
    crypto_hmac_sha256(s->settings.pii_key, sizeof s->settings.pii_key, text.p, text.n, hash);
    char *kept = arena_strndup(arena, (const char *)hash, PERSONAL_HASH_BYTES);
    if (sealed == NULL || kept == NULL) return false;
    crypto_seal(s->settings.pii_key, text.p, text.n, (unsigned char *)sealed);
    out->sealed = (struct str){sealed, text.n + SEAL_OVERHEAD};
    out->hash = (struct str){kept, PERSONAL_HASH_BYTES};
    return true;
}

struct str unseal_text(const struct service *s, struct arena *arena, struct str sealed, bool *ok)
{
    if (!str_present(sealed)) return STR_NONE;
    if (sealed.n < SEAL_OVERHEAD) {
        *ok = false;
        return STR_NONE;
    }
    char *text = arena_alloc(arena, sealed.n - SEAL_OVERHEAD + 1);
    if (text == NULL || !crypto_open(s->settings.pii_key, (const unsigned char *)sealed.p, sealed.n, text)) {
        *ok = false;
        return STR_NONE;
    }
    text[sealed.n - SEAL_OVERHEAD] = '\0';
    return (struct str){text, sealed.n - SEAL_OVERHEAD};
}
