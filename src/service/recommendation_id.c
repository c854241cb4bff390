#include "meros/service/recommendation_id.h"

#include <pthread.h>
#include <stdatomic.h>
#include "meros/base/clock.h"
#include "meros/base/crypto.h"

#define PREFIX "rec_"
enum { FORMAT = 1, PREFIX_BYTES = sizeof PREFIX - 1, HASH_BYTES = 6, VARINT_MAX = 10, ARM_SHIFT = 6, BY_BITS = 0x3f };
enum { BYTES_MAX = (RECOMMENDATION_ID_MAX - PREFIX_BYTES) / 4 * 3 }; /* what base64 makes of them fits */
enum { FIXED_BYTES = 1 + 4 + 4 + 1 + 4 + 1 };                        /* format, when, nonce, strategy, experiment, arm */

/* Ids made within one second differ by it. Counting up from a random start costs no system call an answer. */
static _Atomic uint32_t counter;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void seed_counter(void)
{
    uint32_t start;
    crypto_random(&start, sizeof start);
    atomic_store(&counter, start);
}

/* Other things are hashed by the same key: what this is of is said first. */
static void keyed_hash(struct service *svc, const unsigned char *p, size_t n, unsigned char out[HASH_BYTES])
{
    static const char what[] = "recommendation id";
    unsigned char whole[SHA256_BYTES];
    struct crypto_hasher h;
    crypto_hasher_init(&h, svc->settings.pii_key);
    crypto_hasher_update(&h, what, sizeof what);
    crypto_hasher_update(&h, p, n);
    crypto_hasher_final(&h, whole);
    memcpy(out, whole, HASH_BYTES);
}

/* --- making */

static unsigned char *put_u32(unsigned char *to, uint32_t v)
{
    for (int i = 0; i < 4; i++) *to++ = (unsigned char)(v >> 8 * i);
    return to;
}

/* Seven bits a byte, the lowest first, the high bit on all but the last. */
static unsigned char *put_varint(unsigned char *to, uint64_t v)
{
    for (; v >= 0x80; v >>= 7) *to++ = (unsigned char)(v | 0x80);
    *to++ = (unsigned char)v;
    return to;
}

void recommendation_id_make(struct service *svc, const struct recommendation_parts *p, char out[RECOMMENDATION_ID_MAX + 1])
{
    unsigned char bytes[BYTES_MAX], pick[1 + VARINT_MAX], *at = bytes;
    const size_t total = p->n < RECOMMENDATION_PICKS_MAX ? p->n : RECOMMENDATION_PICKS_MAX;
    pthread_once(&once, seed_counter);
    *at++ = FORMAT;
    at = put_u32(at, (uint32_t)(p->at / TIME_SECOND));
    at = put_u32(at, atomic_fetch_add(&counter, 1));
    *at++ = p->strategy;
    at = put_u32(at, p->experiment);
    *at++ = p->arm;
    at = put_varint(at, (uint64_t)p->model_no);
    *at++ = (unsigned char)total;
    for (size_t i = 0; i < total; i++) {
        pick[0] = (unsigned char)((p->picks[i].by & BY_BITS) | p->picks[i].arm << ARM_SHIFT);
        const size_t n = (size_t)(put_varint(pick + 1, (uint64_t)p->picks[i].product_no) - pick);
        if ((size_t)(at - bytes) + n + HASH_BYTES > BYTES_MAX) break;
        memcpy(at, pick, n);
        at += n;
    }
    keyed_hash(svc, bytes, (size_t)(at - bytes), at);
    at += HASH_BYTES;
    memcpy(out, PREFIX, PREFIX_BYTES);
    base64_encode(bytes, (size_t)(at - bytes), out + PREFIX_BYTES);
}

/* --- reading: what comes is a stranger's until the hash has been looked at; then it is as make() left it */

static uint32_t get_u32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static bool get_varint(const unsigned char **at, const unsigned char *end, int64_t *out)
{
    uint64_t v = 0;
    for (int shift = 0; shift < 64 && *at < end; shift += 7) {
        const unsigned char b = *(*at)++;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80) {
            *out = (int64_t)v;
            return true;
        }
    }
    return false;
}

static bool get_picks(const unsigned char *at, const unsigned char *end, struct recommendation_parts *out)
{
    for (out->n = 0; at < end; out->n++) {
        if (out->n >= out->total || out->n >= RECOMMENDATION_PICKS_MAX) return false;
        out->picks[out->n].by = *at & BY_BITS;
        out->picks[out->n].arm = *at++ >> ARM_SHIFT;
        if (!get_varint(&at, end, &out->picks[out->n].product_no)) return false;
    }
    return true;
}

bool recommendation_id_read(struct service *svc, struct str id, struct recommendation_parts *out)
{
    unsigned char bytes[BYTES_MAX], hash[HASH_BYTES];
    size_t n = 0;
    if (id.n <= PREFIX_BYTES || id.n > RECOMMENDATION_ID_MAX || memcmp(id.p, PREFIX, PREFIX_BYTES) != 0) return false;
    if (!base64_decode((struct str){id.p + PREFIX_BYTES, id.n - PREFIX_BYTES}, bytes, sizeof bytes, &n)) return false;
    if (n < FIXED_BYTES + HASH_BYTES || bytes[0] != FORMAT) return false;
    const unsigned char *at = bytes + 1, *end = bytes + n - HASH_BYTES;
    keyed_hash(svc, bytes, n - HASH_BYTES, hash);
    if (!crypto_equal(hash, end, HASH_BYTES)) return false;
    out->at = (int64_t)get_u32(at) * TIME_SECOND;
    at += 8; /* the nonce only makes ids differ */
    out->strategy = *at++;
    out->experiment = get_u32(at);
    at += 4;
    out->arm = *at++;
    if (!get_varint(&at, end, &out->model_no) || at >= end) return false;
    out->total = *at++;
    return get_picks(at, end, out);
}
