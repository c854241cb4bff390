#include "meros/service/segments.h"

#include <stdlib.h>

#include "meros/model/segment_model.h"
#include "meros/store/models.h"
#include "meros/store/segments.h"
#include "meros/store/store.h"
#include "segments_priv.h"

enum meros_code segments_open_view(struct service *svc, struct store_conn **c, struct meros_err *err)
{
    enum meros_code rc = store_acquire(svc->store, c, err);
    return rc == MEROS_OK ? store_begin_snapshot(*c, err) : rc;
}

void segments_close_view(struct service *svc, struct store_conn *c)
{
    if (c != NULL) store_rollback(c);
    store_release(svc->store, c);
}

/* --- segmentations */

struct viewing {
    struct store_conn *c;
    segmentation_fn fn;
    void *arg;
};

struct found {
    const struct model_row *model;
    segmentation_fn fn;
    void *arg;
    struct segment_row rows[SEGMENTS_MAX];
    size_t n;
    int64_t customers;
    struct {
        char id[SEGMENT_ID_MAX + 1];
        int64_t size;
    } now[SEGMENTS_MAX]; /* who is where at this moment */
    size_t n_now;
};

static void note_size(void *arg, struct str segment_id, int64_t size)
{
    struct found *f = arg;
    if (f->n_now == SEGMENTS_MAX || !str_copy(f->now[f->n_now].id, sizeof f->now[0].id, segment_id)) return;
    f->now[f->n_now++].size = size;
    f->customers += size;
}

static int64_t size_now(const struct found *f, struct str segment_id)
{
    for (size_t i = 0; i < f->n_now; i++)
        if (str_is(segment_id, f->now[i].id)) return f->now[i].size;
    return 0;
}

static enum meros_code copy_text(struct str *s, struct meros_err *err)
{
    char *p = malloc(s->n + 1);
    if (p == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory while reading segments.");
    if (s->n > 0) memcpy(p, s->p, s->n);
    s->p = p;
    return MEROS_OK;
}

static enum meros_code add_segment(void *arg, const struct segment_row *s, struct meros_err *err)
{
    struct found *f = arg;
    const int64_t size = size_now(f, s->id);
    /* A group that nobody is in, nor was when all were judged (RFM has fixed ones), is not worth a line. */
    if ((s->size == 0 && size == 0) || f->n == SEGMENTS_MAX) return MEROS_OK;
    struct segment_row *row = &f->rows[f->n];
    struct str id = s->id, label = s->label, description = s->description, profile = s->profile;
    *row = *s;
    row->id = row->label = row->description = row->profile = STR_NONE;
    row->size = size;
    row->share = f->customers == 0 ? 0 : (double)size / (double)f->customers;
    f->n++;
    enum meros_code rc = copy_text(&id, err);
    if (rc == MEROS_OK) row->id = id, rc = copy_text(&label, err);
    if (rc == MEROS_OK) row->label = label, rc = copy_text(&description, err);
    if (rc == MEROS_OK) row->description = description, rc = copy_text(&profile, err);
    if (rc == MEROS_OK) row->profile = profile;
    return rc;
}

static void found_done(struct found *f)
{
    for (size_t i = 0; i < f->n; i++) {
        const struct str texts[] = {f->rows[i].id, f->rows[i].label, f->rows[i].description, f->rows[i].profile};
        for (size_t k = 0; k < 4; k++) free((void *)(uintptr_t)texts[k].p);
    }
    free(f);
}

static enum meros_code view_model(void *arg, const struct model_row *m, struct meros_err *err)
{
    struct viewing *v = arg;
    struct found *f = calloc(1, sizeof *f);
    if (f == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory while reading segments.");
    enum meros_code rc = store_segment_sizes(v->c, m->name, note_size, f, err);
    if (rc == MEROS_OK) rc = store_segments_read(v->c, m->model_no, add_segment, f, err);
    if (rc == MEROS_OK) {
        const struct segmentation_view view = {m, f->rows, f->n, f->customers};
        v->fn(v->arg, &view);
    }
    found_done(f);
    return rc;
}

void naming_add(struct naming *n, struct str name)
{
    if (n->n++ > 0) buf_str(&n->list, ", ");
    buf_append(&n->list, name.p, name.n);
}

static enum meros_code name_segmentation(void *arg, const struct model_row *m, struct meros_err *err)
{
    (void)err;
    naming_add(arg, m->name);
    return MEROS_OK;
}

enum meros_code segmentation_missing(struct store_conn *c, struct str name, struct meros_err *err)
{
    struct naming there = {.n = 0};
    buf_init(&there.list, 300);
    enum meros_code rc = store_model_list(c, STR("segments"), 1, 0, 20, name_segmentation, &there, err);
    if (rc == MEROS_OK && there.n == 0)
        rc = err_set(err, MEROS_NOT_FOUND,
                     "There is no segmentation yet; POST /v1/jobs with {\"kind\": \"train.segments\"} makes one.");
    else if (rc == MEROS_OK)
        rc = err_set(err, MEROS_NOT_FOUND, "There is no segmentation \"%.*s\"; there are: %s.", (int)name.n, name.p,
                     there.list.data);
    buf_done(&there.list);
    return rc;
}

enum meros_code segmentation_get(struct service *svc, struct str name, segmentation_fn fn, void *arg, struct meros_err *err)
{
    struct viewing v = {.fn = fn, .arg = arg};
    enum meros_code rc = segments_open_view(svc, &v.c, err);
    if (rc == MEROS_OK) rc = store_model_active(v.c, STR("segments"), name, view_model, &v, err);
    if (rc == MEROS_NOT_FOUND) rc = segmentation_missing(v.c, name, err);
    segments_close_view(svc, v.c);
    return rc;
}

enum meros_code segmentation_list(struct service *svc, int64_t before, int64_t limit, segmentation_fn fn, void *arg,
                                  struct meros_err *err)
{
    struct viewing v = {.fn = fn, .arg = arg};
    enum meros_code rc = segments_open_view(svc, &v.c, err);
    if (rc == MEROS_OK) rc = store_model_list(v.c, STR("segments"), 1, before, limit, view_model, &v, err);
    segments_close_view(svc, v.c);
    return rc;
}

/* --- members */

struct looking {
    struct str segment_id;
    bool found;
    struct naming there;
};

static enum meros_code look_segment(void *arg, const struct segment_row *s, struct meros_err *err)
{
    struct looking *l = arg;
    (void)err;
    l->found |= str_eq(s->id, l->segment_id);
    naming_add(&l->there, s->id);
    return MEROS_OK;
}

enum meros_code segment_expected(struct store_conn *c, struct str name, int64_t model_no, struct str segment_id, struct meros_err *err)
{
    struct looking l = {.segment_id = segment_id};
    buf_init(&l.there.list, 300);
    enum meros_code rc = store_segments_read(c, model_no, look_segment, &l, err);
    if (rc == MEROS_OK && !l.found)
        rc = err_set(err, MEROS_NOT_FOUND, "The segmentation \"%.*s\" has no segment \"%.*s\"; it has: %s.", (int)name.n, name.p,
                     (int)segment_id.n, segment_id.p, l.there.list.data);
    buf_done(&l.there.list);
    return rc;
}

static enum meros_code take_no(void *arg, const struct model_row *m, struct meros_err *err)
{
    (void)err;
    *(int64_t *)arg = m->model_no;
    return MEROS_OK;
}

enum meros_code segment_members(struct service *svc, struct str name, struct str segment_id, int64_t after, int64_t limit,
                                member_fn fn, void *arg, struct meros_err *err)
{
    struct store_conn *c = NULL;
    int64_t model_no = 0;
    enum meros_code rc = segments_open_view(svc, &c, err);
    if (rc == MEROS_OK) rc = store_model_active(c, STR("segments"), name, take_no, &model_no, err);
    if (rc == MEROS_NOT_FOUND) rc = segmentation_missing(c, name, err);
    else if (rc == MEROS_OK) rc = segment_expected(c, name, model_no, segment_id, err);
    if (rc == MEROS_OK) rc = store_members_page(c, name, segment_id, after, limit, fn, arg, err);
    segments_close_view(svc, c);
    return rc;
}
