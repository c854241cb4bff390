/* What many customers want most: one list for a segment, an audience or named customers, as for a newsletter or a landing page.
 *
 * Each customer's scores over all products that may be recommended are standardised (mean 0, deviation 1), so that nobody counts for more
 * because their numbers are larger, and the mean over customers ranks. Who has a product already (exclude_purchased) counts as
 * indifferent to it. Beside it: how many would find it among their own first GROUP_TOP. Who refused profiling, and who has no history,
 * says nothing; where nobody says anything, and for places that are left, what is popular. Rules that block hold; pins,
 * promotions and experiments are of single answers. */
#ifndef MEROS_SERVICE_GROUP_RECOMMEND_H
#define MEROS_SERVICE_GROUP_RECOMMEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/arena.h"
#include "meros/base/err.h"
#include "meros/base/str.h"
#include "meros/service/recommend.h"
#include "meros/service/recommendation_id.h"
#include "meros/service/service.h"

enum { GROUP_MAX = 2000, GROUP_TOP = 10, GROUP_TIMEOUT_MS = 30000 };

struct group_item {
    struct str product_id;
    int64_t product_no;
    double score;  /* mean of standardised scores; NaN: it fills a place */
    int64_t top;   /* customers who would find it among their first GROUP_TOP */
    enum recommend_strategy by;
};
struct group_answer { /* all in the arena */
    enum recommend_strategy strategy;
    int64_t members;  /* of the segment, or customers of the list that there are */
    int64_t asked;    /* of them, how many were looked at */
    int64_t personal; /* of these, how many said something */
    int64_t refused;  /* profiling */
    const char *model_id, *algorithm; /* NULL: no model is active */
    int model_version;
    int64_t model_no;
    struct group_item *items;
    size_t n;
};

/* q: strategy AUTO or one that scores products for a customer (else UNPROCESSABLE); limit and filters hold, diversity is not looked at.
 * Blocks for up to a few seconds. Names nobody has are passed over; several of one customer count once. */
enum meros_code group_recommend(struct service *svc, const struct recommend_query *q, const struct str *customer_ids, size_t n,
                                struct arena *arena, struct group_answer *out, struct meros_err *err) MEROS_MUSTCHECK;
/* Of a segment's members GROUP_MAX at most, the same ones as long as it is the same segment. NOT_FOUND as for its members. */
enum meros_code group_recommend_segment(struct service *svc, const struct recommend_query *q, struct str segmentation, struct str segment_id,
                                        struct arena *arena, struct group_answer *out, struct meros_err *err) MEROS_MUSTCHECK;
/* The same of an audience. NOT_FOUND, TIMEOUT as for its members. */
enum meros_code group_recommend_audience(struct service *svc, const struct recommend_query *q, struct str audience, struct arena *arena,
                                         struct group_answer *out, struct meros_err *err) MEROS_MUSTCHECK;
/* The id of such an answer, for clicks on it. */
void group_recommendation_id(struct service *svc, const struct recommend_query *q, const struct group_answer *a, char out[RECOMMENDATION_ID_MAX + 1]);

#endif
