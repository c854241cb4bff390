#include "meros/service/likely_buyers.h"

#include <math.h>
#include <stdlib.h>
#include "meros/ml/matrix.h"
#include "meros/service/serving.h"
#include "meros/store/interactions.h"
#include "meros/store/interested.h"
#include "recommend_priv.h"

/* So many are scored for each that is wanted, at least and at most: the sums of the database are not the scores of every
 * algorithm (ALS adds up otherwise, sequences count the last most), but close to them in order. */
enum { OVER = 5, SCORED_MIN = 500, SCORED_MAX = 3000, AT_ONCE = 128 };

struct asking {
    struct service *svc;
    struct arena *arena;
    struct likely_buyers *out;
    const struct recommender *model;
    enum reco_algorithm algorithm;
    uint32_t item;
    int64_t product_no, now;
    size_t limit;
    bool exclude_purchased;
    struct arena histories; /* of those who are scored */
    float *scratch, *voice; /* items, 64-byte aligned */
};

static enum meros_code no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for customers of a product.");
}

static enum meros_code find_product(struct service *svc, struct str product_id, int64_t *out, struct meros_err *err)
{
    const struct catalog *c = catalog_read_begin(svc);
    const uint32_t slot = catalog_find(c, product_id);
    const bool there = slot != CATALOG_NONE && !catalog_at(c, slot)->deleted;
    if (there) *out = catalog_at(c, slot)->product_no;
    catalog_read_end(svc);
    return there ? MEROS_OK : err_set(err, MEROS_NOT_FOUND, "There is no product with this id.");
}

static enum meros_code choose(struct asking *x, enum recommend_strategy strategy, struct meros_err *err)
{
    x->out->strategy = strategy == RECOMMEND_AUTO ? reco_strategy_of(x->model->algorithm) : strategy;
    if (!reco_algorithm_of(x->out->strategy, &x->algorithm))
        return err_set(err, MEROS_UNPROCESSABLE,
                       "This strategy says the same to everybody, so nobody is likelier than others; ask for similar, content, sequence, als, ease or blend.");
    if (recommender_has(x->model, x->algorithm)) return MEROS_OK;
    return err_set(err, MEROS_UNPROCESSABLE, "The active model has no component for the strategy %s.", recommend_strategy_words[strategy]);
}

/* --- who comes into question */

struct voice {
    double says;
    int64_t product_no;
};

static int loudest(const void *a, const void *b)
{
    const struct voice *x = a, *y = b;
    if (fabs(x->says) != fabs(y->says)) return fabs(x->says) > fabs(y->says) ? -1 : 1;
    return (x->product_no > y->product_no) - (x->product_no < y->product_no);
}

static enum meros_code voices(struct asking *x, struct interested_ask *ask, struct meros_err *err)
{
    struct voice *all = malloc((x->model->items + 1) * sizeof *all);
    int64_t *nos = arena_array(x->arena, INTERESTED_VOICES_MAX, sizeof *nos);
    double *says = arena_array(x->arena, INTERESTED_VOICES_MAX, sizeof *says);
    size_t n = 0;
    if (all == NULL || nos == NULL || says == NULL) {
        free(all);
        return no_memory(err);
    }
    if (recommender_voices(x->model, x->algorithm, x->item, x->scratch, x->voice))
        for (size_t i = 0; i < x->model->items; i++)
            if (x->voice[i] != 0 && isfinite(x->voice[i])) all[n++] = (struct voice){(double)x->voice[i], x->model->product_no[i]};
    qsort(all, n, sizeof *all, loudest);
    n = n < INTERESTED_VOICES_MAX ? n : INTERESTED_VOICES_MAX;
    for (size_t i = 0; i < n; i++) {
        nos[i] = all[i].product_no;
        says[i] = all[i].says;
    }
    free(all);
    ask->product_nos = nos;
    ask->voices = says;
    ask->n = n;
    return MEROS_OK;
}

static int64_t since(const struct asking *x)
{
    const double days = (double)x->model->repeat_days[x->item];
    return days > 0 ? x->now - (int64_t)(days * (double)TIME_DAY) : TIME_NONE;
}

static enum meros_code look(struct asking *x, struct store_conn *c, struct interested **out, size_t *out_n, struct meros_err *err)
{
    const bool clipped = x->algorithm == RECO_EASE || x->algorithm == RECO_BLEND;
    const size_t over = x->limit * OVER;
    struct interested_ask ask = {
        .weights = &x->model->weights, .at = x->now, .most = clipped ? 1 : 1e9,
        .product_no = x->exclude_purchased ? x->product_no : 0, .bought_since = since(x),
        .limit = over < SCORED_MIN ? SCORED_MIN : over > SCORED_MAX ? SCORED_MAX : over,
    };
    enum meros_code rc = voices(x, &ask, err);
    *out_n = 0;
    return rc == MEROS_OK && ask.n > 0 ? store_interested(c, &ask, x->arena, out, out_n, err) : rc;
}

/* --- their scores */

static enum meros_code score_one(struct asking *x, struct str customer_id, const struct interaction_row *rows, size_t n, struct meros_err *err)
{
    int64_t bought = TIME_NONE;
    const int64_t again = since(x);
    uint32_t *item = arena_array(&x->histories, n + 1, sizeof *item);
    float *weight = arena_array(&x->histories, n + 1, sizeof *weight);
    const char *id = arena_strndup(x->arena, customer_id.p, customer_id.n);
    if (item == NULL || weight == NULL || id == NULL) return no_memory(err);
    for (size_t i = 0; i < n; i++)
        if (rows[i].product_no == x->product_no) bought = rows[i].bought_at;
    const struct reco_history h = recommender_history(x->model, rows, n, item, weight);
    const bool has = x->exclude_purchased && bought != TIME_NONE && (again == TIME_NONE || bought > again);
    if (h.n > 0 && !has)
        x->out->data[x->out->n++] = (struct likely_buyer){{id, customer_id.n}, (double)recommender_score_of(x->model, x->algorithm, &h, x->item), bought};
    return MEROS_OK;
}

/* From the database, those who are not in memory. */
static enum meros_code score_read(struct asking *x, struct store_conn *c, const struct str *names, size_t n, struct meros_err *err)
{
    struct arena memory;
    arena_init(&memory, 1 << 30);
    struct customer_shelf *shelves = arena_array(&memory, AT_ONCE, sizeof *shelves);
    enum meros_code rc = shelves == NULL ? no_memory(err) : store_shelves(c, names, n, &x->model->weights, x->now, &memory, shelves, err);
    for (size_t i = 0; i < n && rc == MEROS_OK; i++)
        if (shelves[i].known && shelves[i].profiling) rc = score_one(x, shelves[i].customer_id, shelves[i].rows, shelves[i].n, err);
    arena_done(&memory);
    return rc;
}

static enum meros_code score_all(struct asking *x, struct store_conn *c, const struct interested *who, size_t n, struct meros_err *err)
{
    struct str names[AT_ONCE];
    size_t absent = 0;
    enum meros_code rc = MEROS_OK;
    for (size_t i = 0; i < n && rc == MEROS_OK; i++) {
        const struct shelf *s = shelf_peek(x->svc, who[i].customer_id);
        if (s == NULL) names[absent++] = who[i].customer_id;
        else if (s->known && s->profiling) rc = score_one(x, s->customer_id, s->rows, s->n, err);
        shelf_release(s);
        if (rc != MEROS_OK || (absent < AT_ONCE && i + 1 < n)) continue;
        if (absent > 0) rc = score_read(x, c, names, absent, err);
        absent = 0;
    }
    return rc;
}

static int best_first(const void *a, const void *b)
{
    const struct likely_buyer *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    const size_t n = x->customer_id.n < y->customer_id.n ? x->customer_id.n : y->customer_id.n;
    const int c = memcmp(x->customer_id.p, y->customer_id.p, n);
    return c != 0 ? c : (x->customer_id.n > y->customer_id.n) - (x->customer_id.n < y->customer_id.n);
}

static enum meros_code find(struct asking *x, struct meros_err *err)
{
    struct store_conn *c = NULL;
    struct interested *who = NULL;
    size_t n = 0;
    enum meros_code rc = store_acquire_long(x->svc->store, &c, err);
    if (rc == MEROS_OK) rc = store_set_timeout(c, LIKELY_BUYERS_TIMEOUT_MS, err);
    if (rc == MEROS_OK) rc = look(x, c, &who, &n, err);
    if (rc == MEROS_OK && (x->out->data = arena_array(x->arena, n + 1, sizeof *x->out->data)) == NULL) rc = no_memory(err);
    if (rc == MEROS_OK) rc = score_all(x, c, who, n, err);
    store_release(x->svc->store, c);
    if (rc != MEROS_OK) return rc;
    x->out->considered = x->out->n;
    qsort(x->out->data, x->out->n, sizeof *x->out->data, best_first);
    if (x->out->n > x->limit) x->out->n = x->limit;
    return MEROS_OK;
}

enum meros_code likely_buyers(struct service *svc, struct str product_id, enum recommend_strategy strategy, size_t limit,
                              bool exclude_purchased, struct arena *arena, struct likely_buyers *out, struct meros_err *err)
{
    struct asking x = {.svc = svc, .arena = arena, .out = out, .now = clock_now(), .limit = limit, .exclude_purchased = exclude_purchased};
    *out = (struct likely_buyers){.n = 0};
    enum meros_code rc = find_product(svc, product_id, &x.product_no, err);
    if (rc != MEROS_OK) return rc;
    const struct snapshot *models = serving_snapshot(svc);
    if (models->recommender == NULL) {
        snapshot_release(models);
        return err_set(err, MEROS_NOT_FOUND,
                       "No model of recommendations is active; POST /v1/jobs with {\"kind\": \"train.recommendations\"} trains one.");
    }
    x.model = models->recommender->recommender;
    out->model_id = arena_strdup(arena, models->recommender->id);
    out->model_version = models->recommender->version;
    out->algorithm = reco_algorithm_words[x.model->algorithm];
    x.item = recommender_item(x.model, x.product_no);
    out->known = x.item != RECO_NO_ITEM;
    x.scratch = ml_alloc(x.model->items + 1, sizeof *x.scratch);
    x.voice = ml_alloc(x.model->items + 1, sizeof *x.voice);
    arena_init(&x.histories, 1 << 30);
    if (x.scratch == NULL || x.voice == NULL || out->model_id == NULL) rc = no_memory(err);
    if (rc == MEROS_OK) rc = choose(&x, strategy, err);
    if (rc == MEROS_OK && out->known) rc = find(&x, err);
    free(x.scratch);
    free(x.voice);
    arena_done(&x.histories);
    snapshot_release(models);
    return rc;
}
