/* RFM: recency, frequency and monetary value scored 1 to 5 by quintile among those who have bought, and the eleven
 * customary groups made of the scores.
 *
 *   R 5 = bought most recently; F 5 = most orders; M 5 = most spent.   FM = (F + M) / 2, rounded up.
 *
 *          FM 1            FM 2                  FM 3                  FM 4            FM 5
 *   R 5    new customers   potential loyalists   potential loyalists   champions       champions
 *   R 4    promising       potential loyalists   potential loyalists   loyal           loyal
 *   R 3    about to sleep  about to sleep        need attention        loyal           loyal
 *   R 2    hibernating     hibernating           at risk               at risk         can't lose them
 *   R 1    lost            hibernating           at risk               at risk         can't lose them
 *
 * So each of the 125 (R, F, M) has one group. Customers without a purchase have no scores; they are the twelfth group,
 * "no purchases yet", and take no part in the quintiles.
 *
 * Equal values get equal scores (ml/quantile.h): recency and monetary ties score as their middle member would, frequency
 * ties as their lowest, so that buyers of one order score 1 however many they are. */
#ifndef MEROS_FEATURE_RFM_H
#define MEROS_FEATURE_RFM_H

#include <stdbool.h>
#include "meros/base/err.h"
#include "meros/feature/dataset.h"

#define RFM_GROUPS(X)                                                                                        \
    X(CHAMPIONS, "champions", "Champions", "bought recently, buy often and spend the most")                  \
    X(LOYAL, "loyal", "Loyal customers", "buy often and are still around")                                   \
    X(POTENTIAL_LOYALISTS, "potential_loyalists", "Potential loyalists",                                     \
      "bought recently and more than a little; they may become loyal")                                       \
    X(NEW_CUSTOMERS, "new_customers", "New customers", "bought very recently, for the first time or little") \
    X(PROMISING, "promising", "Promising", "bought recently but little so far")                              \
    X(NEED_ATTENTION, "need_attention", "Need attention",                                                    \
      "are average in every respect and have not bought lately")                                             \
    X(ABOUT_TO_SLEEP, "about_to_sleep", "About to sleep", "buy little and are slipping away")                \
    X(AT_RISK, "at_risk", "At risk", "used to buy often and spend well, but long ago")                       \
    X(CANT_LOSE_THEM, "cant_lose_them", "Can't lose them",                                                   \
      "were among the best customers and have not come back for long")                                       \
    X(HIBERNATING, "hibernating", "Hibernating", "bought long ago, seldom and little")                       \
    X(LOST, "lost", "Lost", "bought longest ago and least")                                                  \
    X(NO_PURCHASES, "no_purchases", "No purchases yet", "are known but have not bought anything yet")

enum rfm_group {
#define X(id, slug, label, words) RFM_##id,
    RFM_GROUPS(X)
#undef X
    RFM_GROUP_COUNT
};
const char *rfm_group_slug(enum rfm_group g);
const char *rfm_group_label(enum rfm_group g);
const char *rfm_group_words(enum rfm_group g); /* continues "customers who …" */

enum { RFM_LEVELS = 5 };
struct rfm_cuts {
    double recency[RFM_LEVELS - 1], frequency[RFM_LEVELS - 1], monetary[RFM_LEVELS - 1];
};
struct rfm_scores {
    int r, f, m; /* 1..5; all 0: no purchases */
};

/* UNPROCESSABLE when nobody has bought anything. */
enum meros_code rfm_fit(const struct dataset *d, struct rfm_cuts *out, struct meros_err *err) MEROS_MUSTCHECK;
struct rfm_scores rfm_score(const struct rfm_cuts *c, const float raw[FEATURE_COUNT]);
enum rfm_group rfm_group_of(struct rfm_scores s);

#endif
