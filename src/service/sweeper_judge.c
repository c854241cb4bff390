/* Who of some customers is in another segment than the active models would have them in, and what they are worth. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "meros/base/clock.h"
#include "meros/codec/json.h"
#include "meros/service/clv.h"
#include "meros/store/segments.h"
#include "meros/store/stats.h"
#include "clv_priv.h"
#include "sweeper_priv.h"

struct stored {
    int64_t since;
    struct str segmentation, segment_id;
    struct stored *next;
};
struct people {
    struct arena *arena;
    const int64_t *nos; /* ascending */
    size_t n;
    struct customer_state *states;
    struct stored **memberships;
    bool failed;
};

static int by_number(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void keep_membership(void *arg, int64_t customer_no, struct str segmentation, struct str segment_id, int64_t since)
{
    struct people *p = arg;
    const int64_t *at = bsearch(&customer_no, p->nos, p->n, sizeof *p->nos, by_number);
    struct stored *one = arena_alloc(p->arena, sizeof *one);
    char *name = arena_strndup(p->arena, segmentation.p, segmentation.n), *id = arena_strndup(p->arena, segment_id.p, segment_id.n);
    if (at == NULL || one == NULL || name == NULL || id == NULL) {
        p->failed = true;
        return;
    }
    *one = (struct stored){since, {name, segmentation.n}, {id, segment_id.n}, p->memberships[at - p->nos]};
    p->memberships[at - p->nos] = one;
}

static enum meros_code no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for the customers that changed.");
}

static enum meros_code read_people(struct sweeper *s, const int64_t *nos, size_t n, struct people *out, struct meros_err *err)
{
    *out = (struct people){.arena = &s->arena, .nos = nos, .n = n};
    out->states = arena_array(&s->arena, n, sizeof *out->states);
    out->memberships = arena_zalloc(&s->arena, n * sizeof *out->memberships);
    if (out->states == NULL || out->memberships == NULL) return no_memory(err);
    enum meros_code rc = store_stats_live_by_no(s->conn, nos, n, &s->arena, out->states, err);
    if (rc == MEROS_OK) rc = store_memberships_of(s->conn, nos, n, keep_membership, out, err);
    return rc == MEROS_OK && out->failed ? no_memory(err) : rc;
}

/* As GET /v1/customers/{id} judges (serving_answer.c): the same moment, the same function. False: all is as it was. */
static bool judge(const struct target *t, const struct customer_state *state, const struct json *attributes, double worth,
                  const struct stored *was, int64_t now, struct membership_move *out)
{
    const struct segment_model *m = t->model->model;
    const int64_t at = segment_model_moment(m, &state->stats, now);
    const struct segment_name *is = &m->segments[segment_model_assign_live(m, &state->stats, attributes, worth, at)];
    while (was != NULL && !str_is(was->segmentation, m->name)) was = was->next;
    if (was != NULL && str_is(was->segment_id, is->id)) return false;
    *out = (struct membership_move){
        .customer_no = state->stats.customer_no,
        .segmentation_no = t->segmentation_no,
        .model_no = t->model->model_no,
        .at = was != NULL && was->since > at ? was->since : at, /* nobody leaves before they came, whatever a clock says */
        .left = was != NULL ? was->segment_id : STR_NONE,
        .entered = str_of(is->id),
    };
    return true;
}

static enum meros_code add_move(struct sweeper *s, struct moves *all, const struct membership_move *one, struct meros_err *err)
{
    if (all->n == all->cap) {
        const size_t cap = all->cap == 0 ? 256 : 2 * all->cap;
        struct membership_move *rows = arena_array(&s->arena, cap, sizeof *rows);
        if (rows == NULL) return no_memory(err);
        if (all->n > 0) memcpy(rows, all->rows, all->n * sizeof *rows);
        all->rows = rows;
        all->cap = cap;
    }
    all->rows[all->n++] = *one;
    if (all->n_nos == 0 || all->nos[all->n_nos - 1] != one->customer_no) all->nos[all->n_nos++] = one->customer_no;
    return MEROS_OK;
}

static enum meros_code judge_worths(struct sweeper *s, const struct people *p, int64_t now, struct worths *out, struct meros_err *err)
{
    const struct snapshot_clv *clv = s->models->clv;
    struct clv_judged *looked_at = arena_array(&s->arena, p->n, sizeof *looked_at);
    *out = (struct worths){.of = arena_array(&s->arena, p->n, sizeof *out->of),
                           .rows = arena_array(&s->arena, p->n, sizeof *out->rows),
                           .without = arena_array(&s->arena, p->n, sizeof *out->without)};
    if (looked_at == NULL || out->of == NULL || out->rows == NULL || out->without == NULL) return no_memory(err);
    for (size_t i = 0; i < p->n; i++) out->of[i] = NAN;
    if (clv == NULL) return MEROS_OK;
    enum meros_code rc = clv_judge_read(s->conn, clv->model, p->nos, p->n, now, &s->arena, looked_at, err);
    for (size_t i = 0; i < p->n && rc == MEROS_OK; i++) {
        struct clv_answer a;
        if (!p->states[i].known || !looked_at[i].history.any) {
            out->without[out->n_without++] = p->nos[i];
            continue;
        }
        clv_judge_score(clv->model, &(struct clv_question){CLV_HORIZON_DAYS, CLV_DISCOUNT_RATE, 0}, &looked_at[i], &a);
        const struct clv_row row = clv_row_of(p->nos[i], &a, now);
        out->of[i] = row.worth;
        out->rows[out->n_rows++] = row;
    }
    return rc;
}

static enum meros_code judge_people(struct sweeper *s, const struct people *p, struct moves *out, struct worths *worths, struct meros_err *err)
{
    bool attributes_matter = false;
    const int64_t now = clock_now();
    *out = (struct moves){.nos = arena_array(&s->arena, p->n, sizeof *out->nos)};
    if (out->nos == NULL) return no_memory(err);
    enum meros_code rc = judge_worths(s, p, now, worths, err);
    for (size_t t = 0; t < s->n_targets; t++) attributes_matter |= segment_model_needs_attributes(s->targets[t].model->model);
    for (size_t i = 0; i < p->n && rc == MEROS_OK; i++) {
        const struct customer_state *state = &p->states[i];
        if (!state->known) continue; /* erased, or become one with another */
        struct json *attributes = NULL;
        if (attributes_matter && state->attributes.n > 2) /* "{}" is most of them */
            rc = json_parse_stored(state->attributes.p, state->attributes.n, &attributes, err);
        for (size_t t = 0; t < s->n_targets && rc == MEROS_OK; t++) {
            struct membership_move one;
            /* Where nobody can say what they are worth, they stay where they are. */
            if (s->targets[t].model->model->method == SEGMENT_VALUE && s->models->clv == NULL) continue;
            if (judge(&s->targets[t], state, attributes, worths->of[i], p->memberships[i], now, &one)) rc = add_move(s, out, &one, err);
        }
        json_free(attributes);
    }
    return rc;
}

enum meros_code sweeper_judge(struct sweeper *s, const int64_t *nos, size_t n, struct moves *out, struct worths *worths, struct meros_err *err)
{
    struct people p;
    *out = (struct moves){0};
    *worths = (struct worths){0};
    if (n == 0 || (s->n_targets == 0 && s->models->clv == NULL)) return MEROS_OK;
    enum meros_code rc = read_people(s, nos, n, &p, err);
    return rc == MEROS_OK ? judge_people(s, &p, out, worths, err) : rc;
}
