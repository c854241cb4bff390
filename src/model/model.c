#include "meros/model/model.h"

const char *const model_kind_words[] = {"segments", "clv", NULL};

void model_done(struct model *m)
{
    if (m->kind == MODEL_SEGMENTS) segment_model_free(m->segments);
    else trained_clv_free(m->clv);
    *m = (struct model){0};
}
