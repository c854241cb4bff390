#include "meros/service/segment_changes.h"

#include "meros/store/segment_changes.h"

const char *segment_change_type(const struct segment_change *x)
{
    return x->entered ? "segment.entered" : "segment.left";
}

void segment_change_write(struct jsonw *w, const struct segment_change *x)
{
    jsonw_begin_object(w);
    jsonw_kcstr(w, "type", segment_change_type(x));
    jsonw_kstr(w, "customer_id", x->customer_id);
    jsonw_kstr(w, "segmentation", x->segmentation);
    jsonw_key(w, "segment");
    jsonw_begin_object(w);
    jsonw_kstr(w, "id", x->segment_id);
    jsonw_kstr(w, "label", x->label);
    jsonw_end_object(w);
    jsonw_ktime(w, "at", x->at);
    jsonw_key(w, "model");
    jsonw_begin_object(w);
    jsonw_kstr(w, "id", x->model_id);
    jsonw_kint(w, "version", x->model_version);
    jsonw_end_object(w);
    jsonw_end_object(w);
}

struct following {
    segment_news_fn fn;
    void *arg;
    int64_t last;
};

static enum meros_code follow(void *arg, const struct segment_change *x, struct meros_err *err)
{
    struct following *f = arg;
    f->last = x->change_no;
    return f->fn(f->arg, x, err);
}

enum meros_code segment_changes_after(struct store_conn *c, int64_t after, int64_t limit, segment_news_fn fn, void *arg,
                                      int64_t *out_last, struct meros_err *err)
{
    struct following f = {fn, arg, after};
    enum meros_code rc = store_changes_after(c, after, limit, follow, &f, err);
    if (out_last != NULL) *out_last = f.last;
    return rc;
}

enum meros_code segment_changes_last(struct store_conn *c, int64_t *out, struct meros_err *err)
{
    return store_changes_last(c, out, err);
}
