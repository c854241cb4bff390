/* From counts to rates, intervals and verdicts. */
#include <math.h>
#include <stdlib.h>
#include "meros/base/clock.h"
#include "meros/ml/proportions.h"
#include "meros/store/reco_rules.h"
#include "reco_performance_priv.h"

/* An event may be sent twice under two ids, and more be clicked than was said to be shown: a share above 1 has no interval of its
 * own, so it is told as it is, with that of 1. */
static struct reco_share share(int64_t k, int64_t n)
{
    const struct ml_interval i = wilson_interval((double)(k < n ? k : n), (double)n);
    return (struct reco_share){n > 0 ? (double)k / (double)n : NAN, i.low, i.high};
}

void reco_metrics_finish(struct reco_metrics *m)
{
    m->clicked = share(m->clicks, m->impressions);
    m->converted = share(m->conversions, m->clicks);
}

static void add_side(struct reco_metrics *m, const struct reco_person *p, int side)
{
    m->impressions += p->impressions[side];
    m->clicks += p->clicks[side];
    m->conversions += p->conversions[side];
    m->revenue += p->revenue[side];
}

static bool met(const struct reco_person *p, int side)
{
    return p->impressions[side] > 0 || p->clicks[side] > 0;
}

static void add_person(struct reco_experiment_result *x, const struct reco_person *p)
{
    if (!x->interleave && met(p, 0) && met(p, 1)) {
        x->in_both++;
        return;
    }
    for (int side = 0; side < 2; side++) {
        if (!met(p, side)) continue;
        x->arm[side].customers++;
        x->arm[side].clickers += p->clicks[side] > 0;
        x->arm[side].buyers += p->conversions[side] > 0;
        add_side(&x->arm[side].m, p, side);
    }
    if (p->clicks[0] > p->clicks[1]) x->prefer[0]++;
    else if (p->clicks[1] > p->clicks[0]) x->prefer[1]++;
    else x->undecided++;
}

static struct reco_difference difference(int64_t k1, int64_t n1, int64_t k2, int64_t n2)
{
    const struct ml_interval i = newcombe_interval((double)k1, (double)n1, (double)k2, (double)n2);
    const double d = n1 > 0 && n2 > 0 ? (double)k2 / (double)n2 - (double)k1 / (double)n1 : NAN;
    return (struct reco_difference){d, i.low, i.high, two_proportions_p((double)k1, (double)n1, (double)k2, (double)n2)};
}

static void finish(struct reco_experiment_result *x)
{
    struct reco_arm *a = &x->arm[0], *b = &x->arm[1];
    for (int side = 0; side < 2; side++) {
        struct reco_arm *arm = &x->arm[side];
        arm->clicked = share(arm->clickers, arm->customers);
        arm->converted = share(arm->buyers, arm->customers);
        reco_metrics_finish(&arm->m);
    }
    x->clicked = difference(a->clickers, a->customers, b->clickers, b->customers);
    x->converted = difference(a->buyers, a->customers, b->buyers, b->customers);
    x->sample_ratio_p = share_p((double)b->customers, (double)(a->customers + b->customers), x->share_of_second);
    const int64_t decided = x->prefer[0] + x->prefer[1];
    x->prefer_second = share(x->prefer[1], decided);
    x->prefer_p = sign_test_p((double)x->prefer[1], (double)decided);
}

struct listing {
    struct reco_performance *out;
    struct arena *arena;
    size_t cap;
    bool failed;
};

static struct str keep(struct listing *l, struct str s)
{
    const char *p = arena_strndup(l->arena, s.p, s.n);
    l->failed = l->failed || p == NULL;
    return (struct str){p, p != NULL ? s.n : 0};
}

static void note_experiment(void *arg, const struct reco_experiment_row *row)
{
    struct listing *l = arg;
    if (l->failed) return;
    if (l->out->n_experiments == l->cap) {
        const size_t cap = l->cap == 0 ? 16 : 2 * l->cap;
        struct reco_experiment_result *grown = arena_array(l->arena, cap, sizeof *grown);
        if (grown == NULL) {
            l->failed = true;
            return;
        }
        if (l->cap > 0) memcpy(grown, l->out->experiments, l->cap * sizeof *grown);
        l->out->experiments = grown;
        l->cap = cap;
    }
    l->out->experiments[l->out->n_experiments++] = (struct reco_experiment_result){
        .number = row->experiment_no, .name = keep(l, row->name), .interleave = row->interleave, .share_of_second = row->share_of_second,
        .started_at = row->started_at, .ended_at = row->ended_at,
        .arm = {{.strategy = keep(l, row->arms[0])}, {.strategy = keep(l, row->arms[1])}}};
}

static struct reco_experiment_result *find(struct reco_performance *out, int64_t number)
{
    for (size_t i = 0; i < out->n_experiments; i++)
        if (out->experiments[i].number == number) return &out->experiments[i];
    return NULL;
}

enum meros_code reco_experiments_finish(struct store_conn *c, const struct reco_person *people, size_t n, struct arena *arena,
                                        struct reco_performance *out, struct meros_err *err)
{
    struct listing l = {.out = out, .arena = arena};
    enum meros_code rc = store_reco_experiments_all(c, note_experiment, &l, err);
    if (rc == MEROS_OK && l.failed) rc = err_set(err, MEROS_OUT_OF_MEMORY, "No memory for experiments.");
    if (rc != MEROS_OK) return rc;
    struct reco_experiment_result *x = NULL;
    for (size_t i = 0; i < n; i++) {
        if (x == NULL || x->number != people[i].experiment) x = find(out, people[i].experiment);
        if (x != NULL) add_person(x, &people[i]); /* an experiment of a database that this one was not: nobody can say what it was */
    }
    size_t kept = 0; /* those that somebody met in this period */
    for (size_t i = 0; i < out->n_experiments; i++) {
        finish(&out->experiments[i]);
        if (out->experiments[i].arm[0].customers + out->experiments[i].arm[1].customers + out->experiments[i].in_both > 0 ||
            out->experiments[i].ended_at == TIME_NONE)
            out->experiments[kept++] = out->experiments[i];
    }
    out->n_experiments = kept;
    return MEROS_OK;
}
