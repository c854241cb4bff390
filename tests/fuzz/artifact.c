/* Artifacts from a stranger. Length and checksum are put right first, so that mutations reach what is behind them; what
 * decodes must be safe to serve, and survive another round. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "meros/model/artifact.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) abort();
}

static void serve(const struct segment_model *m)
{
    struct customer_stats s = {.created_at = TIME_NONE, .first_order_at = TIME_NONE, .last_order_at = TIME_NONE,
                               .last_seen_at = TIME_NONE};
    const int none = segment_model_assign_live(m, &s, NULL, 0);
    check(none >= 0 && none < m->n_segments);
    s = (struct customer_stats){.created_at = 0, .orders = 3, .lines = 4, .products = 2, .units = 9, .revenue = 1e18,
                                .gross_revenue = 1e18, .first_order_at = 5, .last_order_at = INT64_C(1) << 50,
                                .last_seen_at = INT64_C(1) << 50};
    struct json *attributes = NULL;
    static const char text[] = "{\"age\":1e300,\"country\":\"GB\",\"x\":\"y\"}";
    check(json_parse(text, sizeof text - 1, &attributes, NULL) == MEROS_OK);
    const int some = segment_model_assign_live(m, &s, attributes, segment_model_moment(m, &s, INT64_C(1) << 51));
    check(some >= 0 && some < m->n_segments);
    json_free(attributes);
}

static void decode(const char *p, size_t n)
{
    struct segment_model *m = NULL;
    struct meros_err err = MEROS_ERR_INIT;
    if (artifact_decode(p, n, &m, &err) != MEROS_OK) {
        check(m == NULL && err.code == MEROS_UNPROCESSABLE);
        return;
    }
    serve(m);
    struct buf again;
    buf_init(&again, ARTIFACT_MAX);
    check(artifact_encode(m, &again, &err) == MEROS_OK);
    /* A text that is written twice is the same text. Column levels that mean nothing are not compared. */
    struct segment_model *back = NULL;
    check(artifact_decode(again.data, again.len, &back, &err) == MEROS_OK);
    check(back->n_segments == m->n_segments && back->prep.n_columns == m->prep.n_columns);
    segment_model_free(back);
    buf_done(&again);
    segment_model_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    decode((const char *)data, size);
    if (size < 20 + SHA256_BYTES) return 0;
    char *sealed = malloc(size);
    check(sealed != NULL);
    memcpy(sealed, data, size);
    memcpy(sealed, "MEROSSEG\1\0\0\0", 12);
    for (int i = 0; i < 8; i++) sealed[12 + i] = (char)(unsigned char)((uint64_t)size >> (8 * i));
    crypto_sha256(sealed, size - SHA256_BYTES, (unsigned char *)sealed + size - SHA256_BYTES);
    decode(sealed, size);
    free(sealed);
    return 0;
}
