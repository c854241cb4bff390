/* What is bought again, and after how long: consumables among the rest.
 *
 * Of each item, a customer's purchases in order; those closer than min_gap days to the one before are one with it. A spell is what
 * follows a purchase: it ends with the customer's next one of the item (a repeat, after so many days), or is cut off by the end of
 * observation (it had lasted so long when we stopped looking).
 *
 *   share   of the item's buyers, how many bought it again
 *   days    F(t), the chance that the next purchase comes within t days, by Kaplan & Meier (JASA 1958) over all spells, those that
 *           were cut off included; days is the median of who comes back: the first t with F(t) >= F(end) / 2.
 *
 * Leaving out what was cut off would make days too short, as long gaps are cut off more often than short ones. F's end is the
 * longest repeat at which at least `least_at_risk` spells were still watched: past it one purchase moves F too far.
 * What share misses is the same: who bought yesterday has had no time to come back. It is a share of all buyers none the less, so
 * that what is new does not seem a consumable by a few who were quick.
 *
 * An item counts as bought again from min_repeats repeats and a share of min_share on; others have days 0. */
#ifndef MEROS_ML_REPEAT_H
#define MEROS_ML_REPEAT_H

#include <stddef.h>
#include <stdint.h>
#include "meros/base/err.h"

struct repeat_purchase {
    uint32_t customer, item;
    double at; /* days, since whenever */
};
struct repeat_params {
    uint32_t min_repeats;   /* >= 1 */
    double min_share;       /* 0 .. 1 */
    double min_gap;         /* days, >= 0 */
    uint32_t least_at_risk; /* >= 1 */
};
#define REPEAT_PARAMS_DEFAULT                                                                                 \
    {                                                                                                        \
        .min_repeats = 5, .min_share = 0.15, .min_gap = 1, .least_at_risk = 5                                \
    }
struct repeat_item {
    uint32_t buyers, repeaters, repeats; /* customers; customers that bought again; spells that ended so */
    float share;                         /* repeaters / buyers, 0 without */
    float days;                          /* 0: does not count as bought again */
};

/* n purchases in any order, those after `end` do not count. out: items. MEROS_UNPROCESSABLE names the first purchase (from 0) of
 * an item that there is not or at no moment, or says what parameter is wrong; MEROS_OUT_OF_MEMORY: it takes 32 bytes a purchase, also
 * past budget bytes (0: no limit). out is written on success only. */
enum meros_code repeat_fit(const struct repeat_purchase *p, size_t n, size_t items, double end, const struct repeat_params *params,
                           size_t budget, struct repeat_item *out, struct meros_err *err) MEROS_MUSTCHECK;

#endif
