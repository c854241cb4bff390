#include "meros/service/clv_lists.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "meros/base/arena.h"
#include "meros/base/clock.h"
#include "meros/ml/concentration.h"
#include "meros/ml/quantile.h"
#include "meros/ml/rng.h"
#include "meros/model/clv_model.h"
#include "meros/model/snapshot.h"
#include "meros/service/clv.h"
#include "meros/service/clv_population.h"
#include "meros/service/serving.h"
#include "meros/store/clv_list.h"
#include "meros/store/models.h"
#include "meros/store/segments.h"
#include "meros/store/store.h"
#include "clv_priv.h"
#include "segments_priv.h"

/* A summary is kept KEEP times as long as it took to make, at most KEEP_MAX_S. Of the spread of a sum SAMPLE customers tell
 * enough, and of those of segments SAMPLE_SEGMENTS together, SAMPLE_MIN each. */
enum { KEEP = 20, KEEP_MAX_S = 60, KEPT_MAX = 16, SAMPLE = 4000, SAMPLE_SEGMENTS = 8000, SAMPLE_MIN = 100, SCORED_AT_ONCE = 1000 };

/* --- the numbers of everybody, written */

static enum meros_code write_everybody(struct clv_replacing *k, const struct clv_population *p, int64_t now, struct meros_err *err)
{
    const struct clv_ask ask = {CLV_HORIZON_DAYS, CLV_DISCOUNT_RATE, 0, false};
    struct clv_answer *answers = malloc(SCORED_AT_ONCE * sizeof *answers);
    enum meros_code rc = answers == NULL ? err_set(err, MEROS_OUT_OF_MEMORY, "No memory for predictions.") : MEROS_OK;
    for (size_t from = 0; from < p->n && rc == MEROS_OK; from += SCORED_AT_ONCE) {
        const size_t to = from + SCORED_AT_ONCE < p->n ? from + SCORED_AT_ONCE : p->n;
        clv_population_score(p, &ask, from, to, answers);
        for (size_t i = from; i < to && rc == MEROS_OK; i++) {
            const struct clv_row row = clv_row_of(p->customer_no[i], &answers[i - from], now);
            rc = store_clv_replace_row(k, &row, err);
        }
    }
    free(answers);
    return rc;
}

/* Under the lock from before anybody's history is read: who changes later is judged later, by whoever waits for the lock. */
enum meros_code clv_lists_replace(struct service *svc, struct store_conn *c, int64_t model_no, const struct trained_clv *m,
                                  int64_t *out_customers, struct meros_err *err)
{
    const struct snapshot_clv model = {.model = (struct trained_clv *)(uintptr_t)m, .model_no = model_no}; /* only read */
    struct clv_population p = {0};
    struct clv_replacing *k = NULL;
    enum meros_code rc = store_clv_replace_lock(c, err);
    const int64_t now = clock_now();
    if (rc == MEROS_OK) rc = clv_population_read_by(svc, c, &model, &p, err);
    if (rc == MEROS_OK) rc = store_clv_replace_begin(c, model_no, &k, err);
    if (rc == MEROS_OK) rc = write_everybody(k, &p, now, err);
    if (rc == MEROS_OK) rc = store_clv_replace_end(k, err);
    else store_clv_replace_abort(k);
    if (rc == MEROS_OK && out_customers != NULL) *out_customers = (int64_t)p.n;
    clv_population_done(&p);
    return rc;
}

/* --- which models */

struct active {
    int64_t no, version;
    char id[MODEL_ID_CAP], algorithm[32];
};

static enum meros_code note_active(void *arg, const struct model_row *m, struct meros_err *err)
{
    struct active *a = arg;
    (void)err;
    a->no = m->model_no;
    a->version = m->version;
    (void)str_copy(a->id, sizeof a->id, m->id);
    (void)str_copy(a->algorithm, sizeof a->algorithm, m->algorithm);
    return MEROS_OK;
}

/* NOT_FOUND in words. segmentation STR_NONE: it is not looked for. */
static enum meros_code find_active(struct store_conn *c, struct str segmentation, struct active *clv, struct active *segments,
                                   struct meros_err *err)
{
    enum meros_code rc = store_model_active(c, STR("clv"), STR(TRAINED_CLV_NAME), note_active, clv, err);
    if (rc == MEROS_NOT_FOUND) return clv_no_model(err);
    if (rc != MEROS_OK || !str_present(segmentation)) return rc;
    rc = store_model_active(c, STR("segments"), segmentation, note_active, segments, err);
    return rc == MEROS_NOT_FOUND ? segmentation_missing(c, segmentation, err) : rc;
}

/* --- pages */

enum meros_code clv_list(struct service *svc, const struct clv_filter *f, const struct clv_place *after, int64_t limit,
                         clv_row_fn fn, void *arg, struct meros_err *err)
{
    struct store_conn *c = NULL;
    struct active clv, segments;
    enum meros_code rc = segments_open_view(svc, &c, err);
    if (rc == MEROS_OK) rc = find_active(c, f->segmentation, &clv, &segments, err);
    if (rc == MEROS_OK && str_present(f->segmentation)) rc = segment_expected(c, f->segmentation, segments.no, f->segment_id, err);
    if (rc == MEROS_OK) rc = store_clv_page(c, f, after, limit, fn, arg, err);
    segments_close_view(svc, c);
    return rc;
}

/* --- making a summary */

struct group {
    struct clv_group *sums;
    int64_t *drawn; /* (cap) customers drawn evenly from those seen (Vitter's algorithm R) */
    size_t n, cap;
};

struct made {
    struct clv_summary summary;
    struct active clv, segments;
    char segmentation[SEGMENTATION_NAME_MAX + 1];
    struct clv_segment parts[SEGMENTS_MAX];
    char ids[SEGMENTS_MAX][SEGMENT_ID_MAX + 1], labels[SEGMENTS_MAX][SEGMENT_LABEL_MAX + 1];
    int64_t made_ns, keep_ns;
    long refs; /* under the lock */
};

struct making {
    struct made *m;
    double *worths;
    size_t n, cap;
    bool valued;
    struct group all, parts[SEGMENTS_MAX];
    size_t n_parts;
    struct ml_rng rng;
};

static enum meros_code no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for a summary of all customers.");
}

static void group_add(struct making *k, struct group *g, const struct clv_row *row)
{
    struct clv_group *s = g->sums;
    s->customers++;
    s->population += row->population;
    s->total += row->worth;
    s->p_alive += row->p_alive;
    s->expected_orders += row->expected_orders;
    if (g->n < g->cap) {
        g->drawn[g->n++] = row->customer_no;
    } else {
        const uint64_t place = ml_rng_below(&k->rng, (uint64_t)s->customers);
        if (place < g->cap) g->drawn[place] = row->customer_no;
    }
}

static enum meros_code add_row(void *arg, struct str segment_id, const struct clv_row *row, struct meros_err *err)
{
    struct making *k = arg;
    struct clv_summary *s = &k->m->summary;
    if (k->n == k->cap) {
        const size_t cap = k->cap == 0 ? 4096 : 2 * k->cap;
        double *worths = realloc(k->worths, cap * sizeof *worths);
        if (worths == NULL) return no_memory(err);
        k->worths = worths;
        k->cap = cap;
    }
    k->worths[k->n++] = row->worth;
    k->valued = !isnan(row->expected_order_value);
    if (s->evaluated_from == TIME_NONE || row->evaluated_at < s->evaluated_from) s->evaluated_from = row->evaluated_at;
    if (s->evaluated_to == TIME_NONE || row->evaluated_at > s->evaluated_to) s->evaluated_to = row->evaluated_at;
    group_add(k, &k->all, row);
    for (size_t i = 0; i < k->n_parts && str_present(segment_id); i++) {
        if (!str_is(segment_id, k->m->ids[i])) continue;
        group_add(k, &k->parts[i], row);
        break;
    }
    return MEROS_OK;
}

static enum meros_code add_part(void *arg, const struct segment_row *s, struct meros_err *err)
{
    struct making *k = arg;
    (void)err;
    if (k->n_parts == SEGMENTS_MAX) return MEROS_OK;
    struct made *m = k->m;
    const size_t i = k->n_parts++;
    (void)str_copy(m->ids[i], sizeof m->ids[i], s->id);
    (void)str_copy(m->labels[i], sizeof m->labels[i], s->label);
    m->parts[i] = (struct clv_segment){.id = str_of(m->ids[i]), .label = str_of(m->labels[i])};
    return MEROS_OK;
}

static bool group_begin(struct group *g, struct clv_group *sums, size_t cap)
{
    *g = (struct group){.sums = sums, .cap = cap, .drawn = malloc(cap * sizeof *g->drawn)};
    return g->drawn != NULL;
}

static enum meros_code begin_groups(struct making *k, struct meros_err *err)
{
    bool ok = group_begin(&k->all, &k->m->summary.all, SAMPLE);
    for (size_t i = 0; i < k->n_parts && ok; i++) {
        const size_t share = SAMPLE_SEGMENTS / k->n_parts;
        ok = group_begin(&k->parts[i], &k->m->parts[i].group, share < SAMPLE_MIN ? SAMPLE_MIN : share);
    }
    return ok ? MEROS_OK : no_memory(err);
}

static int by_number(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The totals of those drawn, as they are now. */
static enum meros_code score_drawn(struct store_conn *c, const struct trained_clv *model, struct group *g, int64_t now,
                                   struct clv_total *total, struct meros_err *err)
{
    const struct clv_question q = clv_question_of(&CLV_ASK_USUAL);
    struct arena arena;
    enum meros_code rc = MEROS_OK;
    arena_init(&arena, 256u << 20);
    qsort(g->drawn, g->n, sizeof *g->drawn, by_number); /* near one another in the table */
    for (size_t from = 0; from < g->n && rc == MEROS_OK; from += SCORED_AT_ONCE) {
        const size_t n = g->n - from < SCORED_AT_ONCE ? g->n - from : SCORED_AT_ONCE;
        struct clv_judged *judged = arena_array(&arena, n, sizeof *judged);
        rc = judged == NULL ? no_memory(err) : clv_judge_read(c, model, g->drawn + from, n, now, &arena, judged, err);
        for (size_t i = 0; i < n && rc == MEROS_OK; i++) {
            struct clv_answer a;
            if (!judged[i].history.any) continue;
            clv_judge_score(model, &q, &judged[i], &a);
            clv_total_add(total, &a);
        }
        arena_done(&arena);
    }
    arena_done(&arena);
    return rc;
}

/* From those drawn to all: the variance of the process by their number, what hangs on the parameters by their value. */
static enum meros_code find_interval(struct store_conn *c, const struct trained_clv *model, struct making *k, struct group *g, int64_t now,
                                     struct meros_err *err)
{
    struct clv_total t = {0};
    struct clv_group *s = g->sums;
    s->total_low = s->total_high = NAN;
    if (!k->valued) s->total = NAN;
    if (!k->valued || s->customers == 0) return MEROS_OK;
    enum meros_code rc = score_drawn(c, model, g, now, &t, err);
    if (rc != MEROS_OK || !(t.clv > 0)) return rc;
    const double number = (double)s->customers / t.customers, value = s->total / t.clv;
    t.process_variance *= number;
    for (size_t i = 0; i < CLV_THETA_MAX; i++) t.purchase_slope[i] *= value;
    for (size_t i = 0; i < 3; i++) t.spend_slope[i] *= value;
    t.customers = (double)s->customers;
    t.clv = s->total;
    clv_total_interval(&model->model, &t, CLV_LEVEL, &s->total_low, &s->total_high);
    k->m->summary.sampled |= g->n < (size_t)s->customers;
    return MEROS_OK;
}

static void find_spread(struct making *k)
{
    struct clv_summary *s = &k->m->summary;
    const size_t n = k->n;
    const bool known = k->valued && n > 0;
    if (known) values_sort(k->worths, n);
    for (int i = 0; i < CLV_QUANTILES; i++) s->quantiles[i] = known ? quantile_sorted(k->worths, n, clv_quantile_points[i]) : NAN;
    for (int i = 0; i < CLV_SHARES; i++) s->shares[i] = known ? top_share_sorted(k->worths, n, clv_share_points[i]) : NAN;
    s->gini = known ? gini_sorted(k->worths, n) : NAN;
    for (size_t d = 0; d < CLV_DECILES; d++) {
        const size_t to = n - d * n / CLV_DECILES, from = n - (d + 1) * n / CLV_DECILES;
        struct clv_decile *out = &s->deciles[d];
        *out = (struct clv_decile){(int64_t)(to - from), NAN, NAN, known ? 0 : NAN};
        if (!known || from == to) continue;
        out->low = k->worths[from];
        out->high = k->worths[to - 1];
        for (size_t i = from; i < to; i++) out->total += k->worths[i];
    }
}

/* A group that nobody is in is not worth a line. */
static void drop_empty(struct made *m, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (m->parts[i].group.customers > 0) m->parts[kept++] = m->parts[i];
    m->summary.segments = m->parts;
    m->summary.n_segments = kept;
}

static enum meros_code make(struct store_conn *c, const struct trained_clv *model, struct making *k, struct meros_err *err)
{
    struct made *m = k->m;
    const struct str segmentation = m->segmentation[0] == '\0' ? STR_NONE : str_of(m->segmentation);
    const int64_t now = clock_now();
    m->summary = (struct clv_summary){
        .model_id = str_of(m->clv.id), .algorithm = str_of(m->clv.algorithm), .model_version = m->clv.version,
        .computed_at = now, .evaluated_from = TIME_NONE, .evaluated_to = TIME_NONE, .segmentation = segmentation,
    };
    ml_rng_seed(&k->rng, 1);
    enum meros_code rc = MEROS_OK;
    if (str_present(segmentation)) rc = store_segments_read(c, m->segments.no, add_part, k, err);
    if (rc == MEROS_OK) rc = begin_groups(k, err);
    if (rc == MEROS_OK) rc = store_clv_each(c, segmentation, add_row, k, err);
    if (rc == MEROS_OK) rc = find_interval(c, model, k, &k->all, now, err);
    for (size_t i = 0; i < k->n_parts && rc == MEROS_OK; i++) rc = find_interval(c, model, k, &k->parts[i], now, err);
    if (rc != MEROS_OK) return rc;
    find_spread(k);
    drop_empty(m, k->n_parts);
    return MEROS_OK;
}

/* m: with its names; in one view of the database, whose active model the snapshot holds. */
static enum meros_code make_summary(struct store_conn *c, const struct trained_clv *model, struct made *m, struct meros_err *err)
{
    struct making *k = calloc(1, sizeof *k);
    if (k == NULL) return no_memory(err);
    k->m = m;
    const int64_t began_ns = clock_mono_ns();
    enum meros_code rc = make(c, model, k, err);
    m->made_ns = clock_mono_ns();
    m->keep_ns = KEEP * (m->made_ns - began_ns);
    if (m->keep_ns > KEEP_MAX_S * INT64_C(1000000000)) m->keep_ns = KEEP_MAX_S * INT64_C(1000000000);
    free(k->all.drawn);
    for (size_t i = 0; i < k->n_parts; i++) free(k->parts[i].drawn);
    free(k->worths);
    free(k);
    return rc;
}

/* --- keeping them */

struct clv_lists {
    pthread_mutex_t lock;
    pthread_cond_t ended; /* somebody's making has */
    struct slot {         /* under the lock */
        char segmentation[SEGMENTATION_NAME_MAX + 1];
        bool used, busy; /* busy: somebody is making it */
        int64_t asked_ns;
        struct made *made; /* holds a reference; NULL: none yet */
    } slots[KEPT_MAX];
};

enum meros_code clv_lists_new(struct service *svc, struct meros_err *err)
{
    struct clv_lists *l = calloc(1, sizeof *l);
    if (l == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory.");
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->ended, NULL);
    svc->clv_lists = l;
    return MEROS_OK;
}

void clv_lists_free(struct service *svc)
{
    struct clv_lists *l = svc->clv_lists;
    if (l == NULL) return;
    svc->clv_lists = NULL;
    for (size_t i = 0; i < KEPT_MAX; i++) free(l->slots[i].made);
    pthread_cond_destroy(&l->ended);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

/* Under the lock. */
static void release(struct made *m)
{
    if (m != NULL && --m->refs == 0) free(m);
}

/* Under the lock: the slot of this name, else a free one, else the one that nobody has asked for for longest. NULL: all busy. */
static struct slot *slot_of(struct clv_lists *l, const char *name)
{
    struct slot *best = NULL;
    for (size_t i = 0; i < KEPT_MAX; i++) {
        struct slot *s = &l->slots[i];
        if (s->used && strcmp(s->segmentation, name) == 0) return s;
        if (s->busy) continue;
        if (best == NULL || (best->used && (!s->used || s->asked_ns < best->asked_ns))) best = s;
    }
    if (best == NULL) return NULL;
    release(best->made);
    *best = (struct slot){.used = true};
    snprintf(best->segmentation, sizeof best->segmentation, "%s", name);
    return best;
}

static bool same_models(const struct made *m, const struct active *clv, const struct active *segments)
{
    return m != NULL && m->clv.no == clv->no && m->segments.no == segments->no;
}

/* What is there already and may be given; else *out_slot is the asker's to fill (NULL: no room to keep it). */
static struct made *take_kept(struct clv_lists *l, const char *name, const struct active *clv, const struct active *segments,
                              struct slot **out_slot)
{
    struct made *m = NULL;
    pthread_mutex_lock(&l->lock);
    struct slot *s;
    for (;;) {
        s = slot_of(l, name);
        if (s == NULL) break;
        s->asked_ns = clock_mono_ns();
        m = same_models(s->made, clv, segments) && (s->busy || s->asked_ns < s->made->made_ns + s->made->keep_ns) ? s->made : NULL;
        if (m != NULL || !s->busy) break;
        pthread_cond_wait(&l->ended, &l->lock);
    }
    if (m != NULL) m->refs++;
    else if (s != NULL) s->busy = true;
    pthread_mutex_unlock(&l->lock);
    *out_slot = s;
    return m;
}

static void put_kept(struct clv_lists *l, struct slot *s, struct made *m)
{
    if (s == NULL) return;
    pthread_mutex_lock(&l->lock);
    if (m != NULL) {
        release(s->made);
        s->made = m;
        m->refs++;
    }
    s->busy = false;
    pthread_cond_broadcast(&l->ended);
    pthread_mutex_unlock(&l->lock);
}

/* The published model, if it is the one that the database calls active; read again where it is not. */
static enum meros_code published(struct service *svc, int64_t model_no, const struct snapshot **out, struct meros_err *err)
{
    for (int attempt = 0; attempt < 2; attempt++) {
        const struct snapshot *s = serving_snapshot(svc);
        if (s->clv != NULL && s->clv->model_no == model_no) {
            *out = s;
            return MEROS_OK;
        }
        snapshot_release(s);
        enum meros_code rc = serving_reload(svc, err);
        if (rc != MEROS_OK) return rc;
    }
    return err_set(err, MEROS_UNAVAILABLE, "The model of lifetime value has just been replaced; try again.");
}

/* The models may have changed since the asker looked: those of the view that is summarised count. */
static enum meros_code make_new(struct service *svc, struct str segmentation, struct made **out, struct meros_err *err)
{
    const struct snapshot *models = NULL;
    struct store_conn *c = NULL;
    struct made *m = calloc(1, sizeof *m);
    if (m == NULL) return no_memory(err);
    m->refs = 1;
    (void)str_copy(m->segmentation, sizeof m->segmentation, segmentation);
    enum meros_code rc = segments_open_view(svc, &c, err);
    if (rc == MEROS_OK) rc = find_active(c, segmentation, &m->clv, &m->segments, err);
    if (rc == MEROS_OK) rc = published(svc, m->clv.no, &models, err);
    if (rc == MEROS_OK) rc = make_summary(c, models->clv->model, m, err);
    snapshot_release(models);
    segments_close_view(svc, c);
    if (rc == MEROS_OK) *out = m;
    else free(m);
    return rc;
}

enum meros_code clv_summarise(struct service *svc, struct str segmentation, clv_summary_fn fn, void *arg, struct meros_err *err)
{
    struct clv_lists *l = svc->clv_lists;
    struct store_conn *c = NULL;
    struct active clv = {0}, segments = {0};
    char name[SEGMENTATION_NAME_MAX + 1];
    struct slot *slot;
    enum meros_code rc = segments_open_view(svc, &c, err);
    if (rc == MEROS_OK) rc = find_active(c, segmentation, &clv, &segments, err);
    segments_close_view(svc, c); /* whoever waits for another's making holds no connection */
    if (rc != MEROS_OK) return rc;
    (void)str_copy(name, sizeof name, segmentation); /* there is one of this name, so it fits */
    struct made *m = take_kept(l, name, &clv, &segments, &slot);
    if (m == NULL) {
        rc = make_new(svc, segmentation, &m, err);
        put_kept(l, slot, m);
    }
    if (rc != MEROS_OK) return rc;
    fn(arg, &m->summary);
    pthread_mutex_lock(&l->lock);
    release(m);
    pthread_mutex_unlock(&l->lock);
    return MEROS_OK;
}
