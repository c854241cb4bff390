/* What is said of a training of recommendations. */
#include <math.h>

#include "reco_training_priv.h"

void reco_settings_write(enum reco_algorithm a, const struct reco_settings *s, struct jsonw *w)
{
    switch (a) {
    case RECO_ALS:
        jsonw_kint(w, "factors", s->als.factors);
        jsonw_kint(w, "iterations", s->als.iterations);
        jsonw_knum(w, "regularization", s->als.lambda);
        jsonw_knum(w, "alpha", s->als.alpha);
        break;
    case RECO_EASE: jsonw_knum(w, "regularization", s->ease_lambda); break;
    case RECO_ITEM_KNN:
        jsonw_kint(w, "k", s->knn.k);
        jsonw_knum(w, "shrink", s->knn.shrink);
        jsonw_kcstr(w, "weighting", s->knn.weighting == ITEM_KNN_BM25 ? "bm25" : "cosine");
        break;
    default: break;
    }
}

static void write_quality(struct jsonw *w, const char *name, const struct ranking_metrics *m)
{
    jsonw_key(w, name);
    if (m == NULL || m->users == 0) {
        jsonw_null(w);
        return;
    }
    jsonw_begin_object(w);
    jsonw_knum(w, "recall_at_10", m->recall);
    jsonw_knum(w, "ndcg_at_10", m->ndcg);
    jsonw_knum(w, "precision_at_10", m->precision);
    jsonw_knum(w, "map_at_10", m->map);
    jsonw_knum(w, "mrr_at_10", m->mrr);
    jsonw_knum(w, "hit_rate_at_10", m->hit_rate);
    jsonw_knum(w, "coverage_at_10", m->coverage);
    jsonw_knum(w, "novelty", m->novelty);
    jsonw_kint(w, "users", (int64_t)m->users);
    jsonw_end_object(w);
}

static void write_shares(const double *blend, struct jsonw *w)
{
    jsonw_key(w, "components");
    jsonw_begin_object(w);
    for (int a = 0; a < RECO_BLEND; a++)
        if (blend[a] > 0) jsonw_knum(w, reco_algorithm_words[a], blend[a]);
    jsonw_end_object(w);
}

static void write_candidate(const struct reco_training *t, enum reco_algorithm a, struct jsonw *w)
{
    const struct reco_candidate *c = &t->candidates[a];
    const bool out = c->left_out[0] != '\0';
    jsonw_begin_object(w);
    jsonw_kcstr(w, "algorithm", reco_algorithm_words[a]);
    jsonw_kbool(w, "chosen", a == t->chosen);
    if (out) jsonw_kcstr(w, "left_out", c->left_out);
    else jsonw_knull(w, "left_out");
    jsonw_key(w, "settings");
    jsonw_begin_object(w);
    if (!out) reco_settings_write(a, &c->settings, w);
    if (!out && a == RECO_BLEND) write_shares(t->blend, w);
    jsonw_end_object(w);
    jsonw_kint(w, "tried", c->tried);
    write_quality(w, "validation", &c->validation);
    write_quality(w, "test", &c->test);
    jsonw_knum(w, "seconds", round(c->seconds * 1000) / 1000);
    jsonw_end_object(w);
}

/* What can be asked for by name of this model. */
static void write_strategies(const struct recommender *r, struct jsonw *w)
{
    jsonw_key(w, "components");
    jsonw_begin_array(w);
    for (int a = 0; a < RECO_ALGORITHMS; a++)
        if (recommender_has(r, (enum reco_algorithm)a)) jsonw_cstr(w, reco_algorithm_words[a]);
    if (r->together.table.n > 0) jsonw_cstr(w, "bought_together");
    jsonw_end_array(w);
}

static int64_t repeated(const struct recommender *r)
{
    int64_t n = 0;
    for (size_t i = 0; i < r->items; i++) n += r->repeat_days[i] > 0;
    return n;
}

void reco_metrics_write(const struct reco_training *t, struct jsonw *w)
{
    const struct reco_data *d = &t->data;
    const struct reco_candidate *chosen = &t->candidates[t->chosen];
    jsonw_begin_object(w);
    jsonw_kcstr(w, "algorithm", reco_algorithm_words[t->chosen]);
    jsonw_kcstr(w, "chosen_by", t->chosen_by);
    jsonw_key(w, "settings");
    jsonw_begin_object(w);
    reco_settings_write(t->chosen, &chosen->settings, w);
    if (t->chosen == RECO_BLEND) write_shares(t->blend, w);
    jsonw_end_object(w);
    write_quality(w, "validation", &chosen->validation);
    write_quality(w, "test", &chosen->test);
    write_quality(w, "baseline", &t->candidates[RECO_POPULAR].test);
    jsonw_key(w, "candidates");
    jsonw_begin_array(w);
    for (int a = 0; a < RECO_ALGORITHMS; a++)
        if (t->candidates[a].considered) write_candidate(t, (enum reco_algorithm)a, w);
    jsonw_end_array(w);
    jsonw_kint(w, "customers", (int64_t)d->users);
    jsonw_kint(w, "products", (int64_t)d->items);
    jsonw_kint(w, "interactions", (int64_t)d->n);
    jsonw_kint(w, "negative_interactions", (int64_t)d->negative);
    jsonw_kint(w, "orders", (int64_t)d->orders);
    jsonw_kint(w, "products_with_text", (int64_t)d->texts);
    jsonw_kint(w, "products_bought_again", repeated(t->model));
    write_strategies(t->model, w);
    jsonw_kint(w, "memory_bytes", (int64_t)recommender_memory(t->model));
    jsonw_end_object(w);
}
