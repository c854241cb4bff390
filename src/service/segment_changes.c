#include "meros/service/segment_changes.h"

#include "meros/base/clock.h"
#include "meros/store/models.h"
#include "meros/store/segment_changes.h"
#include "meros/store/store.h"
#include "segments_priv.h"

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

/* --- looking it up */

struct showing {
    segment_change_show_fn fn;
    void *arg;
};

static enum meros_code show(void *arg, const struct segment_change *x, struct meros_err *err)
{
    const struct showing *s = arg;
    (void)err;
    s->fn(s->arg, x);
    return MEROS_OK;
}

enum meros_code customer_history(struct service *svc, struct str customer_id, int64_t before, int64_t limit, segment_change_show_fn fn,
                                 void *arg, struct meros_err *err)
{
    struct showing s = {fn, arg};
    struct store_conn *c = NULL;
    enum meros_code rc = segments_open_view(svc, &c, err);
    if (rc == MEROS_OK) rc = store_changes_of_customer(c, customer_id, before, limit, show, &s, err);
    segments_close_view(svc, c);
    return rc;
}

static enum meros_code exists(void *arg, const struct model_row *m, struct meros_err *err)
{
    (void)arg;
    (void)m;
    (void)err;
    return MEROS_OK;
}

struct looking {
    struct str id;
    bool found;
    struct naming there;
};

static void look(void *arg, struct str id)
{
    struct looking *l = arg;
    l->found |= str_eq(id, l->id);
    naming_add(&l->there, id);
}

/* NOT_FOUND unless there is such a segmentation and it has, or had, such a segment (absent: any). */
static enum meros_code check_names(struct store_conn *c, struct str name, struct str segment_id, struct meros_err *err)
{
    enum meros_code rc = store_model_active(c, STR("segments"), name, exists, NULL, err);
    if (rc == MEROS_NOT_FOUND) return segmentation_missing(c, name, err);
    if (rc != MEROS_OK || !str_present(segment_id)) return rc;
    struct looking l = {.id = segment_id};
    buf_init(&l.there.list, 300);
    rc = store_segments_ever(c, name, look, &l, err);
    if (rc == MEROS_OK && !l.found)
        rc = err_set(err, MEROS_NOT_FOUND, "The segmentation \"%.*s\" never had a segment \"%.*s\"; it has or had: %s.", (int)name.n,
                     name.p, (int)segment_id.n, segment_id.p, l.there.list.data);
    buf_done(&l.there.list);
    return rc;
}

enum meros_code segmentation_history(struct service *svc, struct str name, const struct segment_history_filter *f, int64_t before,
                                     int64_t limit, segment_change_show_fn fn, void *arg, struct meros_err *err)
{
    const struct change_filter filter = {f->segment_id, f->entered, f->since, f->until};
    struct showing s = {fn, arg};
    struct store_conn *c = NULL;
    enum meros_code rc = segments_open_view(svc, &c, err);
    if (rc == MEROS_OK) rc = check_names(c, name, f->segment_id, err);
    if (rc == MEROS_OK) rc = store_changes_of_segmentation(c, name, &filter, before, limit, show, &s, err);
    segments_close_view(svc, c);
    return rc;
}

enum meros_code segment_members_at(struct service *svc, struct str name, struct str segment_id, int64_t at, int64_t after, int64_t limit,
                                   segment_member_fn fn, void *arg, struct meros_err *err)
{
    struct store_conn *c = NULL;
    if (at > clock_now()) return err_field(err, "?at", "is in the future; who will be in the segment is not known yet");
    enum meros_code rc = segments_open_view(svc, &c, err);
    if (rc == MEROS_OK) rc = check_names(c, name, segment_id, err);
    if (rc == MEROS_OK) rc = store_members_page_at(c, name, segment_id, at, after, limit, fn, arg, err);
    segments_close_view(svc, c);
    return rc;
}

enum meros_code segment_transitions(struct service *svc, struct str name, int64_t from, int64_t to, segment_transition_fn fn, void *arg,
                                    struct meros_err *err)
{
    const int64_t now = clock_now();
    struct store_conn *c = NULL;
    if (from > now) return err_field(err, "?from", "is in the future");
    if (to > now) return err_field(err, "?to", "is in the future");
    if (from >= to) return err_field(err, "?from", "must be before `to`");
    enum meros_code rc = segments_open_view(svc, &c, err);
    if (rc == MEROS_OK) rc = check_names(c, name, STR_NONE, err);
    if (rc == MEROS_OK) rc = store_transitions(c, name, from, to, fn, arg, err);
    segments_close_view(svc, c);
    return rc;
}
