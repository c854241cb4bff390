#include "meros/model/model.h"

const char *const model_kind_words[] = {"segments", "clv", "recommendations", NULL};

void model_done(struct model *m)
{
    if (m->kind == MODEL_SEGMENTS) segment_model_free(m->segments);
    else if (m->kind == MODEL_CLV) trained_clv_free(m->clv);
    else recommender_free(m->recommender);
    *m = (struct model){0};
}
