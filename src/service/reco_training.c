/* "train.recommendations": the model that is stored. The course of the job: training.c. */
#include "meros/service/recommend_training.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "meros/base/clock.h"
#include "meros/base/crypto.h"
#include "meros/base/log.h"
#include "reco_training_priv.h"

static struct reco_training *of(struct training *t)
{
    return (struct reco_training *)t;
}

static enum meros_code read(struct training *base, int64_t now, struct meros_err *err)
{
    struct reco_training *t = of(base);
    enum meros_code rc = reco_params_read(base->ctx->params, now, &t->params, err);
    base->as_of = t->params.as_of;
    return rc;
}

static void write_params(const struct training *base, struct jsonw *w)
{
    reco_params_write(&((const struct reco_training *)base)->params, w);
}

/* What the model answers with, and what can be asked for by name or fills a shelf: the chosen one (of a blend its components),
 * similar products, what comes next, what is like it, what everybody takes; all but what was left out. */
static bool part_of_model(const struct reco_training *t, int a)
{
    if (a == RECO_BLEND || t->candidates[a].left_out[0] != '\0') return false;
    if (a == RECO_EASE || a == RECO_ALS) return (int)t->chosen == a || (t->chosen == RECO_BLEND && t->blend[a] > 0);
    return true;
}

static enum meros_code fit_all(struct reco_training *t, struct meros_err *err)
{
    struct recommender *r = t->model;
    enum meros_code rc = MEROS_OK;
    for (int a = 0; a < RECO_ALGORITHMS && rc == MEROS_OK; a++) {
        const struct reco_candidate *c = &t->candidates[a];
        if (c->left_out[0] != '\0')
            log_info("recommendations.left_out", KV("job", t->base.ctx->id), KV("algorithm", reco_algorithm_words[a]), KV("why", c->left_out));
        if (!part_of_model(t, a)) continue;
        struct training_part part = reco_work(t, (enum reco_algorithm)a, 1, "fitting");
        rc = reco_fit(r, (enum reco_algorithm)a, c->considered ? &c->settings : &t->params.settings, &t->data, RECO_PART_ALL, &part, err);
    }
    struct training_part part = reco_work(t, RECO_ITEM_KNN, 1, "fitting");
    if (rc == MEROS_OK) rc = reco_fit_rest(r, &t->data, &part, err);
    if (t->chosen == RECO_BLEND) {
        memcpy(r->blend, t->blend, sizeof r->blend);
        memcpy(r->blend_scale, t->blend_scale, sizeof r->blend_scale);
    }
    return rc;
}

/* What was chosen may have found nothing: no two products have a customer in common. */
static enum meros_code check_learnt(struct reco_training *t, struct meros_err *err)
{
    if (recommender_has(t->model, t->chosen)) return MEROS_OK;
    if (t->params.algorithm != RECO_AUTO)
        return err_set(err, MEROS_UNPROCESSABLE,
                       "\"%s\" found nothing in what %zu customers had to do with %zu products; there is too little in common. "
                       "Ask for \"auto\" or \"popular\" until there is more.",
                       reco_algorithm_words[t->chosen], t->data.users, t->data.items);
    t->chosen = t->model->algorithm = RECO_POPULAR;
    return MEROS_OK;
}

static void hash_rows(const struct reco_data *d, unsigned char out[SHA256_BYTES])
{
    unsigned char parts[6 * SHA256_BYTES];
    crypto_sha256(d->customer_no, d->users * sizeof *d->customer_no, parts);
    crypto_sha256(d->start, (d->users + 1) * sizeof *d->start, parts + SHA256_BYTES);
    crypto_sha256(d->product_no, d->items * sizeof *d->product_no, parts + 2 * SHA256_BYTES);
    crypto_sha256(d->item, d->n * sizeof *d->item, parts + 3 * SHA256_BYTES);
    crypto_sha256(d->weight, d->n * sizeof *d->weight, parts + 4 * SHA256_BYTES);
    crypto_sha256(d->at, d->n * sizeof *d->at, parts + 5 * SHA256_BYTES);
    crypto_sha256(parts, sizeof parts, out);
}

static enum meros_code make_model(struct reco_training *t, struct meros_err *err)
{
    const struct reco_data *d = &t->data;
    struct recommender *r = t->model = recommender_new(d->items);
    if (r == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory while learning.");
    memcpy(r->product_no, d->product_no, d->items * sizeof *r->product_no);
    r->algorithm = t->chosen;
    r->as_of = t->params.as_of;
    r->data_from = d->first_at;
    r->data_to = d->last_at;
    r->rows = d->n;
    r->customers = d->users;
    r->weights = t->params.weights;
    hash_rows(d, r->row_hash);
    snprintf(r->build, sizeof r->build, "meros %s, %s", MEROS_VERSION, __VERSION__);
    enum meros_code rc = fit_all(t, err);
    return rc == MEROS_OK ? check_learnt(t, err) : rc;
}

static enum meros_code learn(struct training *base, struct meros_err *err)
{
    struct reco_training *t = of(base);
    struct jsonw w;
    enum meros_code rc = reco_data_read(&t->data, base, &t->params, err);
    if (rc == MEROS_OK) rc = training_step(base, 0.3, "searching", err);
    if (rc == MEROS_OK) rc = reco_search(t, err);
    if (rc == MEROS_OK) rc = make_model(t, err);
    if (rc != MEROS_OK) return rc;
    jsonw_init(&w, &base->metrics);
    reco_metrics_write(t, &w);
    jsonw_init(&w, &base->features);
    jsonw_begin_array(&w);
    jsonw_cstr(&w, "interactions");
    if (t->data.n_lines > 0) jsonw_cstr(&w, "baskets");
    if (t->data.content.n > 0) jsonw_cstr(&w, "texts");
    jsonw_end_array(&w);
    return MEROS_OK;
}

static void row(struct training *base, struct model_row *row, struct model *out)
{
    struct reco_training *t = of(base);
    struct recommender *r = t->model;
    r->trained_at = base->trained_at;
    out->recommender = r;
    row->name = str_of(r->name);
    row->algorithm = str_of(reco_algorithm_words[r->algorithm]);
    row->seed = t->params.seed;
    row->as_of = r->as_of;
    row->data_from = r->data_from;
    row->data_to = r->data_to;
    row->rows = (int64_t)r->rows;
    row->row_hash = (struct str){(const char *)r->row_hash, SHA256_BYTES};
    row->build = str_of(r->build);
}

static void done(struct training *base)
{
    struct reco_training *t = of(base);
    reco_data_done(&t->data);
    recommender_free(t->model);
}

static const struct training_kind kind = {
    .model = MODEL_RECOMMENDATIONS,
    .size = sizeof(struct reco_training),
    .read = read,
    .write_params = write_params,
    .learn = learn,
    .row = row,
    .done = done,
};

static enum meros_code run(struct job_ctx *ctx, struct meros_err *err)
{
    return training_run(&kind, ctx, err);
}

static enum meros_code check(struct service *svc, const struct json *params, struct meros_err *err)
{
    (void)svc;
    struct reco_params *ignored = malloc(sizeof *ignored);
    if (ignored == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory.");
    enum meros_code rc = reco_params_read(params, clock_now(), ignored, err);
    free(ignored);
    return rc;
}

const struct job_kind training_recommendations_kind = {
    .name = "train.recommendations",
    .help = "Learn what goes with what, for recommendations.",
    .check_params = check,
    .run = run,
};
