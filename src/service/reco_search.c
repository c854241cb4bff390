/* Which settings and which algorithm foretell best what customers took next. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "meros/base/clock.h"
#include "meros/ml/ease.h"
#include "reco_training_priv.h"

/* Of more interactions than this a search goes one step each way from where it begins: fits take seconds then. */
enum { MUCH = 1000000 };
struct search {
    struct reco_training *t;
    enum reco_algorithm a;
    struct reco_candidate *c;
    const struct reco_judges *judges; /* of the validation */
    struct recommender *trial, *best; /* the best of all algorithms go into `best` */
};

/* --- progress: nanoseconds of a core that fitting and measuring take; rough, and enough for an estimate of the time that is left */

static double cost(const struct reco_training *t, enum reco_algorithm a)
{
    const struct reco_data *d = &t->data;
    const double n = (double)d->n, taken = (double)d->taken;
    const double asked = fmin((double)d->users, RECO_JUDGES) * (double)d->items; /* scores of a measurement */
    switch (a) {
    case RECO_POPULAR: return 20 * n + asked;
    case RECO_CONTENT: return (double)d->content.n + 2 * asked;
    case RECO_ITEM_KNN: return 8 * n * n / (double)d->users + 2 * asked;
    case RECO_EASE: return 0.012 * taken * taken * taken + 2 * asked;
    case RECO_ALS: return 2 * n * t->params.settings.als.factors * t->params.settings.als.iterations + 4 * asked;
    case RECO_SEQUENCE: return 200 * n + 2 * asked;
    case RECO_BLEND: return 15 * asked;
    case RECO_ALGORITHMS: break;
    }
    return 0;
}

static double tries(const struct reco_training *t, enum reco_algorithm a)
{
    const bool much = t->data.n > MUCH;
    return a == RECO_ITEM_KNN ? much ? 7.5 : 9 : a == RECO_EASE ? much ? 2.5 : 5 : a == RECO_ALS ? much ? 5.5 : 9 : 1;
}

struct training_part reco_work(struct reco_training *t, enum reco_algorithm a, double share, const char *stage)
{
    const double from = fmin(t->work_done / t->work, 1), to = fmin((t->work_done + share * cost(t, a)) / t->work, 1);
    t->work_done += share * cost(t, a);
    return (struct training_part){&t->base, 0.3 + 0.58 * from, 0.3 + 0.58 * to, stage};
}

/* --- one setting */

/* By what share settings must be better than those tried before to be taken for better: half the error that so many hits have. */
static double by_chance(const struct ranking_metrics *m)
{
    const double hits = m->precision * (double)m->k * (double)m->users;
    return hits > 0 ? 0.5 / sqrt(hits) : 0;
}

static enum meros_code attempt(struct search *s, const struct reco_settings *settings, bool *out_better, struct meros_err *err)
{
    struct reco_training *t = s->t;
    struct ranking_metrics m;
    struct training_part part = reco_work(t, s->a, 0.8, "searching");
    enum meros_code rc = reco_fit(s->trial, s->a, settings, &t->data, RECO_PART_VALIDATION, &part, err);
    part = reco_work(t, s->a, 0.2, "searching");
    if (rc == MEROS_OK) rc = reco_measure(s->trial, s->a, s->judges, &part, &m, err);
    if (rc != MEROS_OK) return rc;
    *out_better = s->c->tried == 0 || m.ndcg > s->c->validation.ndcg * (1 + by_chance(&s->c->validation));
    s->c->tried++;
    if (!*out_better) return MEROS_OK;
    s->c->settings = *settings;
    s->c->validation = m;
    reco_move(s->best, s->trial, s->a);
    return MEROS_OK;
}

enum knob { KNOB_EASE_LAMBDA, KNOB_ALS_LAMBDA, KNOB_ALS_ALPHA, KNOB_ALS_FACTORS, KNOB_KNN_K };

/* Turns a knob by a factor; false at its end. */
static bool turn(struct reco_settings *s, enum knob knob, double factor)
{
    double *const number = knob == KNOB_EASE_LAMBDA ? &s->ease_lambda : knob == KNOB_ALS_LAMBDA ? &s->als.lambda : &s->als.alpha;
    int *const whole = knob == KNOB_ALS_FACTORS ? &s->als.factors : knob == KNOB_KNN_K ? &s->knn.k : NULL;
    if (whole != NULL) {
        const double to = *whole * factor;
        if (to < 8 || to > (knob == KNOB_ALS_FACTORS ? 256 : 800)) return false;
        *whole = (int)to;
        return true;
    }
    if (*number * factor < 0.01 || *number * factor > 1e6) return false;
    *number *= factor;
    return true;
}

static bool fits(const struct reco_training *t, enum reco_algorithm a, const struct reco_settings *s)
{
    return reco_fit_memory(a, s, &t->data, t->base.pool) <= reco_data_left(&t->data);
}

/* From the best settings so far up as long as it helps, else down. */
static enum meros_code climb(struct search *s, enum knob knob, double factor, struct meros_err *err)
{
    const int most = s->t->data.n > MUCH ? 1 : 6;
    enum meros_code rc = MEROS_OK;
    for (int way = 0, moved = 0; way < 2 && moved == 0 && rc == MEROS_OK; way++) {
        bool better = true;
        for (int k = 0; k < most && better && rc == MEROS_OK; k++) {
            struct reco_settings next = s->c->settings;
            if (!turn(&next, knob, way == 0 ? factor : 1 / factor) || !fits(s->t, s->a, &next)) break;
            rc = attempt(s, &next, &better, err);
            moved += rc == MEROS_OK && better;
        }
    }
    return rc;
}

/* Both kinds of weighting, each with some shrinkages; the defaults first, which others must beat. */
static enum meros_code search_knn(struct search *s, unsigned given, struct meros_err *err)
{
    static const double shrinks[] = {0, 20, 100};
    const struct reco_settings first = s->t->params.settings;
    enum meros_code rc = MEROS_OK;
    bool better;
    for (int w = ITEM_KNN_BM25; w >= ITEM_KNN_PLAIN && rc == MEROS_OK; w--)
        for (size_t i = 0; i < (given & RECO_GIVEN_SHRINK ? 1 : sizeof shrinks / sizeof shrinks[0]) && rc == MEROS_OK; i++) {
            struct reco_settings next = first;
            next.knn.weighting = (enum item_knn_weighting)w;
            if (!(given & RECO_GIVEN_SHRINK)) next.knn.shrink = shrinks[i];
            rc = attempt(s, &next, &better, err);
        }
    return rc == MEROS_OK && !(given & RECO_GIVEN_K) ? climb(s, KNOB_KNN_K, 2, err) : rc;
}

static enum meros_code search_settings(struct search *s, struct meros_err *err)
{
    const unsigned given = s->t->params.given;
    bool better;
    if (s->a == RECO_ITEM_KNN) return search_knn(s, given, err);
    enum meros_code rc = attempt(s, &s->t->params.settings, &better, err);
    if (s->a == RECO_EASE && rc == MEROS_OK && !(given & RECO_GIVEN_REGULARIZATION)) rc = climb(s, KNOB_EASE_LAMBDA, 2, err);
    if (s->a != RECO_ALS) return rc;
    if (rc == MEROS_OK && !(given & RECO_GIVEN_REGULARIZATION)) rc = climb(s, KNOB_ALS_LAMBDA, sqrt(10), err);
    if (rc == MEROS_OK && !(given & RECO_GIVEN_ALPHA)) rc = climb(s, KNOB_ALS_ALPHA, 3, err);
    if (rc == MEROS_OK && !(given & RECO_GIVEN_FACTORS)) rc = climb(s, KNOB_ALS_FACTORS, 2, err);
    return rc;
}

/* --- what can be compared */

static bool wanted(const struct reco_params *p, enum reco_algorithm a)
{
    return a == RECO_POPULAR || p->algorithm == RECO_AUTO || p->algorithm == RECO_BLEND || p->algorithm == (int)a;
}

static void leave_out(const struct reco_training *t, enum reco_algorithm a, struct reco_candidate *c)
{
    const struct reco_data *d = &t->data;
    const size_t needs = reco_fit_memory(a, &t->params.settings, d, t->base.pool), has = reco_data_left(d);
    const size_t products = a == RECO_EASE ? d->taken : d->items;
    if (a == RECO_CONTENT && d->content.n == 0)
        snprintf(c->left_out, sizeof c->left_out, "No two products have words of their name, category, description or attributes in common.");
    else if (a == RECO_EASE && products > EASE_ITEMS_MAX)
        snprintf(c->left_out, sizeof c->left_out, "There are %zu products, of which \"ease\" can take %d.", products, EASE_ITEMS_MAX);
    else if (needs > has)
        snprintf(c->left_out, sizeof c->left_out,
                 "\"%s\" takes some %zu MB for %zu products and %zu customers, and %zu MB are left of what a job may use; raise MEROS_TRAINING_MEMORY.",
                 reco_algorithm_words[a], (needs >> 20) + 1, products, d->users, has >> 20);
}

static enum meros_code consider(struct reco_training *t, struct meros_err *err)
{
    for (int a = 0; a < RECO_ALGORITHMS; a++) {
        struct reco_candidate *c = &t->candidates[a];
        c->considered = wanted(&t->params, (enum reco_algorithm)a);
        c->settings = t->params.settings;
        leave_out(t, (enum reco_algorithm)a, c);
        if (!c->considered) continue;
        if (c->left_out[0] == '\0') t->work += cost(t, (enum reco_algorithm)a) * (tries(t, (enum reco_algorithm)a) + 2);
        else if (t->params.algorithm == a)
            return err_set(err, a == RECO_CONTENT ? MEROS_UNPROCESSABLE : MEROS_OUT_OF_MEMORY, "%s", c->left_out);
    }
    return MEROS_OK;
}

static bool takes_part(const struct reco_training *t, int a)
{
    return t->candidates[a].considered && t->candidates[a].left_out[0] == '\0';
}

/* --- the two parts */

static double seconds_since(int64_t ns)
{
    return (double)(clock_mono_ns() - ns) * 1e-9;
}

static enum meros_code validate_blend(struct reco_training *t, struct recommender *best, const struct reco_judges *judges, struct meros_err *err)
{
    struct reco_candidate *c = &t->candidates[RECO_BLEND];
    const int64_t began = clock_mono_ns();
    enum meros_code rc = reco_blend(t, best, judges, err);
    if (rc == MEROS_OK && c->left_out[0] == '\0' && !recommender_has(best, RECO_BLEND))
        snprintf(c->left_out, sizeof c->left_out, "No component says anything about what the customers held out took next.");
    c->tried = 1;
    c->seconds += seconds_since(began);
    return rc;
}

static enum meros_code validate(struct reco_training *t, struct meros_err *err)
{
    struct recommender *trial = recommender_new(t->data.items), *best = recommender_new(t->data.items);
    struct reco_judges judges = {0};
    enum meros_code rc = trial == NULL || best == NULL ? err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory while searching.")
                                                       : reco_judges_of(&t->data, RECO_PART_VALIDATION, &judges, err);
    for (int a = 0; a < RECO_BLEND && rc == MEROS_OK; a++) {
        struct search s = {t, (enum reco_algorithm)a, &t->candidates[a], &judges, trial, best};
        const int64_t began = clock_mono_ns();
        if (!takes_part(t, a)) continue;
        const double planned = t->work_done + cost(t, s.a) * tries(t, s.a);
        rc = search_settings(&s, err);
        t->work_done = planned; /* however many it took */
        reco_forget(trial, (enum reco_algorithm)a);
        s.c->seconds += seconds_since(began);
    }
    if (rc == MEROS_OK && takes_part(t, RECO_BLEND)) rc = validate_blend(t, best, &judges, err);
    reco_judges_done(&judges);
    recommender_free(trial);
    recommender_free(best);
    return rc;
}

static enum meros_code test(struct reco_training *t, struct meros_err *err)
{
    struct recommender *r = recommender_new(t->data.items);
    struct reco_judges judges = {0};
    enum meros_code rc = r == NULL ? err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory while evaluating.")
                                   : reco_judges_of(&t->data, RECO_PART_TEST, &judges, err);
    for (int a = 0; a < RECO_ALGORITHMS && rc == MEROS_OK; a++) {
        struct reco_candidate *c = &t->candidates[a];
        const int64_t began = clock_mono_ns();
        if (!takes_part(t, a)) continue;
        struct training_part part = reco_work(t, (enum reco_algorithm)a, 0.8, "evaluating");
        if (a != RECO_BLEND) rc = reco_fit(r, (enum reco_algorithm)a, &c->settings, &t->data, RECO_PART_TEST, &part, err);
        memcpy(r->blend, t->blend, sizeof r->blend);
        memcpy(r->blend_scale, t->blend_scale, sizeof r->blend_scale);
        part = reco_work(t, (enum reco_algorithm)a, 0.2, "evaluating");
        if (rc == MEROS_OK) rc = reco_measure(r, (enum reco_algorithm)a, &judges, &part, &c->test, err);
        c->measured = rc == MEROS_OK;
        c->seconds += seconds_since(began);
    }
    reco_judges_done(&judges);
    recommender_free(r);
    return rc;
}

/* --- the choice */

static void choose(struct reco_training *t)
{
    t->chosen_by = "params.algorithm";
    if (t->params.algorithm != RECO_AUTO && (t->params.algorithm != RECO_BLEND || takes_part(t, RECO_BLEND))) {
        t->chosen = (enum reco_algorithm)t->params.algorithm;
        return;
    }
    t->chosen = RECO_POPULAR;
    if (t->data.valid_users > 0) { /* of equals the simpler one */
        t->chosen_by = "validation.ndcg_at_10";
        for (int a = 0; a < RECO_ALGORITHMS; a++)
            if (takes_part(t, a) && t->candidates[a].validation.ndcg > t->candidates[t->chosen].validation.ndcg) t->chosen = (enum reco_algorithm)a;
        return;
    }
    /* Nobody has three products to choose by: what needs least, as far as anybody has two. */
    t->chosen_by = "too_few_interactions";
    if (t->data.test_users > 0 && takes_part(t, RECO_ITEM_KNN)) t->chosen = RECO_ITEM_KNN;
}

enum meros_code reco_search(struct reco_training *t, struct meros_err *err)
{
    t->work = 3 * cost(t, RECO_ITEM_KNN); /* what the model has besides, and all of it once more at the end */
    enum meros_code rc = consider(t, err);
    if (rc == MEROS_OK && t->data.valid_users == 0 && t->candidates[RECO_BLEND].considered && t->candidates[RECO_BLEND].left_out[0] == '\0')
        snprintf(t->candidates[RECO_BLEND].left_out, sizeof t->candidates[RECO_BLEND].left_out,
                 "Nobody has had to do with enough products, one after another, to learn a blend by.");
    if (rc == MEROS_OK && t->data.valid_users > 0) rc = validate(t, err);
    if (rc == MEROS_OK && t->data.test_users > 0) rc = test(t, err);
    if (rc == MEROS_OK) choose(t);
    return rc;
}
