/* How recommendations may be made and why a product is among them, in numbers and in words. The numbers are in ids of
 * recommendations (recommendation_id.h), which are old when they come back: none is ever given another meaning. */
#ifndef MEROS_SERVICE_RECOMMEND_WORDS_H
#define MEROS_SERVICE_RECOMMEND_WORDS_H

#include "meros/base/str.h"

enum recommend_strategy {
    RECOMMEND_AUTO,     /* the model's own algorithm, or what an experiment says */
    RECOMMEND_POPULAR, RECOMMEND_TRENDING, RECOMMEND_SIMILAR /* to the history: item_knn */, RECOMMEND_BOUGHT_TOGETHER,
    RECOMMEND_SEQUENCE, RECOMMEND_CONTENT, RECOMMEND_ALS, RECOMMEND_EASE, RECOMMEND_BLEND,
    RECOMMEND_NEWEST,   /* only as a fallback */
    RECOMMEND_STRATEGIES
};
extern const char *const recommend_strategy_words[]; /* NULL-terminated */
int recommend_strategy_of(struct str word);          /* -1: it is none */

enum recommend_reason {
    REASON_SIMILAR_TO, REASON_BOUGHT_TOGETHER, REASON_POPULAR, REASON_CONTENT, REASON_SEQUENCE, REASON_DUE_AGAIN, REASON_PROMOTED,
    REASON_PINNED, REASON_KINDS
};
extern const char *const recommend_reason_words[];

#endif
