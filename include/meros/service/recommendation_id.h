/* recommendation_id: what an answer was, in the id itself, so that answering writes nothing and a click is tied to its answer
 * for as long as anybody sends it.
 *
 * "rec_" and base64url of: format u8, when (seconds u32), nonce u32, strategy u8, experiment u32 (a number, 0: none), arm u8, model_no
 * (varint), how many picks the answer had (u8) and for each the step that brought it (6 bits) and its arm (2) and its product_no
 * (varint), as many as fit into RECOMMENDATION_ID_MAX; then 6 bytes of a keyed hash (BLAKE2b by the sealing key). Ten picks of a small
 * catalogue make some 90 characters, a hundred some 570. Only who has the key can make one: a client cannot tell of strategies that never answered it. Thread-safe; replicas with one sealing key
 * read each other's. */
#ifndef MEROS_SERVICE_RECOMMENDATION_ID_H
#define MEROS_SERVICE_RECOMMENDATION_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/str.h"
#include "meros/service/service.h"

/* Of an interleaved answer, a place that neither list filled: a pin, a promotion, what the chain had to add. */
enum { RECOMMENDATION_NO_ARM = 2 };
enum { RECOMMENDATION_ID_MAX = 720, RECOMMENDATION_PICKS_MAX = 100 };

struct recommendation_parts {
    int64_t at;          /* a moment as everywhere (microseconds); kept to the second */
    uint8_t strategy;    /* enum recommend_strategy */
    uint32_t experiment; /* experiment_no; 0: none */
    uint8_t arm;         /* 0, 1; 2: interleaved */
    int64_t model_no;
    size_t total;        /* picks that the answer had; read only: of what make() is given it is n */
    size_t n;            /* picks that it tells of: all where product numbers lie below 2^28, and the first 48 at least */
    struct { int64_t product_no; uint8_t by, arm; } picks[RECOMMENDATION_PICKS_MAX]; /* arm: 0, 1, RECOMMENDATION_NO_ARM; 0 unless interleaved */
};
/* out: NUL-terminated. Never fails; of too many picks the first are told. Under a microsecond. */
void recommendation_id_make(struct service *svc, const struct recommendation_parts *p, char out[RECOMMENDATION_ID_MAX + 1]);
bool recommendation_id_read(struct service *svc, struct str id, struct recommendation_parts *out); /* false: not one of ours; *out is then undefined */

#endif
