/* What everybody takes: events added up, older ones for less, over all and by category.
 *
 *   score_i = sum over events of i of weight 2^(-age / half_life)
 *
 * A long half-life (or none) is popular, a short one (days) is trending: what sells now against what has always sold.
 * Items are listed best first, equal scores by the lower item; scores of 0 and below are in no list. */
#ifndef MEROS_ML_POPULARITY_H
#define MEROS_ML_POPULARITY_H

#include <stddef.h>
#include <stdint.h>
#include "meros/base/err.h"
#include "meros/ml/ranking_metrics.h"

enum { POPULARITY_NO_CATEGORY = -1, POPULARITY_CATEGORIES_MAX = 1000000 };

struct popularity_event {
    uint32_t item;
    float weight; /* below 0 for a return */
    double age;   /* in the unit of half_life, of the moment the scores are of; below 0: counts as 0 */
};

struct popularity {
    size_t items, categories;
    float *score;     /* items */
    size_t n;         /* items with a score above 0 */
    uint32_t *order;  /* n, best first */
    size_t *start;    /* categories + 1: category c's list is of[start[c]] .. of[start[c + 1] - 1] */
    uint32_t *of;     /* best first in each category */
};

/* half_life 0: no decay. category (items, 0 .. categories - 1 or POPULARITY_NO_CATEGORY) may be NULL with categories
 * 0. *out is written on success only; popularity_done frees what is in it. Memory: 16 bytes an item at most.
 * MEROS_UNPROCESSABLE names the first event (from 0) or item that makes no sense; MEROS_OUT_OF_MEMORY. */
enum meros_code popularity_fit(const struct popularity_event *events, size_t n, size_t items, double half_life,
                               const int32_t *category, size_t categories, struct popularity *out,
                               struct meros_err *err) MEROS_MUSTCHECK;
void popularity_done(struct popularity *p);

struct ranking_model popularity_ranking(const struct popularity *p); /* the same for everybody; p must outlive it */

#endif
