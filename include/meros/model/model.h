/* A trained model of any kind: what artifacts hold and models.kind names. */
#ifndef MEROS_MODEL_MODEL_H
#define MEROS_MODEL_MODEL_H

#include "meros/base/str.h"
#include "meros/model/clv_model.h"
#include "meros/model/recommender.h"
#include "meros/model/segment_model.h"

enum model_kind { MODEL_SEGMENTS, MODEL_CLV, MODEL_RECOMMENDATIONS, MODEL_KINDS };
extern const char *const model_kind_words[]; /* as in models.kind; NULL-terminated, in the order of the enum */

struct model {
    enum model_kind kind;
    union { /* owned by whoever holds the struct */
        struct segment_model *segments;
        struct trained_clv *clv;
        struct recommender *recommender;
    };
};
void model_done(struct model *m); /* an all-zero one is fine */

#endif
