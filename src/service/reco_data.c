/* Who had to do with what, what was bought together, and what is held out of it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "meros/base/clock.h"
#include "meros/base/crypto.h"
#include "meros/ml/rng.h"
#include "meros/store/interactions.h"
#include "meros/store/store.h"
#include "reco_content_priv.h"
#include "reco_training_priv.h"

enum { ROWS_PER_STEP = 16384 };

struct reading {
    struct training *t;
    struct reco_data *d;
    const struct reco_params *p;
    int64_t *product; /* of each interaction; items when all products are known */
    size_t cap, users_cap, lines_cap;
    struct reco_texts texts;
};

static enum meros_code too_much(const struct reco_data *d, size_t bytes, struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY,
                   "What customers had to do with products takes more than %zu MB, of %zu MB that a job may use; raise MEROS_TRAINING_MEMORY.",
                   bytes >> 20, d->budget >> 20);
}

static enum meros_code no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory while reading interactions.");
}

/* An array of n elements of `size` bytes instead of one of `had`; counted. */
static enum meros_code resize(struct reco_data *d, void *array, size_t had, size_t n, size_t size, struct meros_err *err)
{
    void **const at = array;
    const size_t bytes = d->bytes - had * size + n * size;
    if (bytes > d->budget) return too_much(d, bytes, err);
    void *more = realloc(*at, n * size + 1);
    if (more == NULL) return no_memory(err);
    *at = more;
    d->bytes = bytes;
    return MEROS_OK;
}

static bool step(struct reading *r, size_t done, double from, double to)
{
    if (done % ROWS_PER_STEP != 0) return true;
    const double much = (double)done / 1e6; /* nobody knows how many there will be */
    return job_step(r->t->ctx, from + (to - from) * much / (1 + much), "extracting");
}

static enum meros_code stopped(struct meros_err *err)
{
    return err_set(err, MEROS_CANCELLED, "The work was stopped.");
}

/* --- interactions */

static enum meros_code new_user(struct reading *r, int64_t customer_no, struct meros_err *err)
{
    struct reco_data *d = r->d;
    enum meros_code rc = MEROS_OK;
    if (d->users == r->users_cap) {
        const size_t had = r->users_cap, n = had == 0 ? 4096 : 2 * had;
        rc = resize(d, &d->customer_no, had, n, sizeof *d->customer_no, err);
        if (rc == MEROS_OK) rc = resize(d, &d->start, had, n + 1, sizeof *d->start, err);
        if (rc != MEROS_OK) return rc;
        r->users_cap = n;
    }
    d->customer_no[d->users] = customer_no;
    d->start[d->users++] = d->n;
    return MEROS_OK;
}

static enum meros_code add_pair(void *arg, const struct interaction_row *row, struct meros_err *err)
{
    struct reading *r = arg;
    struct reco_data *d = r->d;
    const float weight = (float)row->weight;
    enum meros_code rc = MEROS_OK;
    if (!step(r, d->n, 0, 0.15)) return stopped(err);
    if (weight == 0 || !isfinite(weight)) return MEROS_OK; /* it says nothing */
    if (d->users == 0 || d->customer_no[d->users - 1] != row->customer_no) rc = new_user(r, row->customer_no, err);
    if (rc == MEROS_OK && d->n == r->cap) {
        const size_t had = r->cap, n = had == 0 ? 65536 : 2 * had;
        rc = resize(d, &r->product, had, n, sizeof *r->product, err);
        if (rc == MEROS_OK) rc = resize(d, &d->weight, had, n, sizeof *d->weight, err);
        if (rc == MEROS_OK) rc = resize(d, &d->at, had, n, sizeof *d->at, err);
        if (rc == MEROS_OK) r->cap = n;
    }
    if (rc != MEROS_OK) return rc;
    if (d->n == 0 || row->last_at < d->first_at) d->first_at = row->last_at;
    if (d->n == 0 || row->last_at > d->last_at) d->last_at = row->last_at;
    d->negative += weight < 0;
    r->product[d->n] = row->product_no;
    d->weight[d->n] = weight;
    d->at[d->n++] = row->last_at;
    return MEROS_OK;
}

static enum meros_code add_line(void *arg, int64_t order_no, int64_t customer_no, int64_t product_no, int64_t ordered_at, struct meros_err *err)
{
    struct reading *r = arg;
    struct reco_data *d = r->d;
    if (!step(r, d->n_lines, 0.15, 0.2)) return stopped(err);
    if (d->n_lines == r->lines_cap) {
        const size_t had = r->lines_cap, n = had == 0 ? 16384 : 2 * had;
        enum meros_code rc = resize(d, &d->lines, had, n, sizeof *d->lines, err);
        if (rc != MEROS_OK) return rc;
        r->lines_cap = n;
    }
    d->orders += d->n_lines == 0 || d->lines[d->n_lines - 1].order_no != order_no;
    d->lines[d->n_lines++] = (struct reco_basket_line){order_no, customer_no, product_no, ordered_at};
    return MEROS_OK;
}

/* --- items */

static int by_number(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

uint32_t reco_data_item(const struct reco_data *d, int64_t product_no)
{
    size_t from = 0, to = d->items;
    while (to - from > 1) {
        const size_t middle = from + (to - from) / 2;
        if (d->product_no[middle] <= product_no) from = middle;
        else to = middle;
    }
    return (uint32_t)from;
}

static enum meros_code count_taken(struct reco_data *d, struct meros_err *err)
{
    bool *taken = calloc(d->items + 1, sizeof *taken);
    if (taken == NULL) return no_memory(err);
    for (size_t i = 0; i < d->n; i++) {
        if (!(d->weight[i] > 0)) continue;
        d->taken += !taken[d->item[i]];
        taken[d->item[i]] = true;
    }
    free(taken);
    return MEROS_OK;
}

static enum meros_code number_items(struct reading *r, struct meros_err *err)
{
    struct reco_data *d = r->d;
    const size_t n = d->n + d->n_lines + r->texts.n;
    size_t kept = 0;
    enum meros_code rc = resize(d, &d->product_no, 0, n, sizeof *d->product_no, err);
    if (rc == MEROS_OK) rc = resize(d, &d->item, 0, d->n, sizeof *d->item, err);
    if (rc != MEROS_OK) return rc;
    if (d->n > 0) memcpy(d->product_no, r->product, d->n * sizeof *d->product_no);
    for (size_t i = 0; i < d->n_lines; i++) d->product_no[d->n + i] = d->lines[i].product_no;
    for (size_t i = 0; i < r->texts.n; i++) d->product_no[d->n + d->n_lines + i] = r->texts.product_no[i];
    qsort(d->product_no, n, sizeof *d->product_no, by_number);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || d->product_no[kept - 1] != d->product_no[i]) d->product_no[kept++] = d->product_no[i];
    d->items = kept;
    if (kept > UINT32_MAX / 2) return err_set(err, MEROS_UNPROCESSABLE, "There are %zu products, which is more than can be learnt from.", kept);
    rc = resize(d, &d->product_no, n, kept, sizeof *d->product_no, err);
    for (size_t i = 0; rc == MEROS_OK && i < d->n; i++) d->item[i] = reco_data_item(d, r->product[i]);
    free(r->product);
    r->product = NULL;
    d->bytes -= r->cap * sizeof *r->product;
    return rc == MEROS_OK ? count_taken(d, err) : rc;
}

/* --- the order of what has one moment, which tells nothing: by a number that the seed makes of it */

struct entry {
    uint64_t lot;
    uint32_t item;
    float weight;
};

static int by_lot(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->lot != y->lot) return x->lot < y->lot ? -1 : 1;
    return (x->item > y->item) - (x->item < y->item);
}

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static enum meros_code shuffle_equals(struct reco_data *d, uint64_t seed, struct meros_err *err)
{
    struct entry *e = NULL;
    size_t cap = 0;
    for (size_t u = 0; u < d->users; u++) {
        for (size_t from = d->start[u], to; from < d->start[u + 1]; from = to) {
            for (to = from + 1; to < d->start[u + 1] && d->at[to] == d->at[from];) to++;
            if (to - from == 1) continue;
            if (to - from > cap) {
                struct entry *more = realloc(e, 2 * (to - from) * sizeof *e);
                if (more == NULL) {
                    free(e);
                    return no_memory(err);
                }
                e = more;
                cap = 2 * (to - from);
            }
            for (size_t i = from; i < to; i++) {
                const uint64_t who = mix((uint64_t)d->customer_no[u] + 0x9e3779b97f4a7c15u * (seed + 1));
                e[i - from] = (struct entry){mix(who ^ (uint64_t)d->product_no[d->item[i]]), d->item[i], d->weight[i]};
            }
            qsort(e, to - from, sizeof *e, by_lot);
            for (size_t i = from; i < to; i++) {
                d->item[i] = e[i - from].item;
                d->weight[i] = e[i - from].weight;
            }
        }
    }
    free(e);
    return MEROS_OK;
}

/* --- the hold-out */

/* Where the last `holdout` of positive weight begin, at most half of them; `to` where nothing is held out. */
static size_t part_from(const struct reco_data *d, size_t from, size_t to, size_t holdout)
{
    size_t positive = 0;
    for (size_t i = from; i < to; i++) positive += d->weight[i] > 0;
    const size_t out = holdout < positive / 2 ? holdout : positive / 2;
    size_t at = to;
    for (size_t left = out; left > 0;) left -= d->weight[--at] > 0;
    return at;
}

/* Of more than RECO_JUDGES customers nothing is held out of the others. */
static enum meros_code choose_judges(struct reco_data *d, uint64_t seed, struct meros_err *err)
{
    size_t *who = malloc((d->users + 1) * sizeof *who), *chosen = malloc(RECO_JUDGES * sizeof *chosen), n = 0;
    bool *is = calloc(d->users + 1, sizeof *is);
    struct ml_rng rng;
    if (who == NULL || chosen == NULL || is == NULL) {
        free(who);
        free(chosen);
        free(is);
        return no_memory(err);
    }
    for (size_t u = 0; u < d->users; u++)
        if (d->test_from[u] < d->start[u + 1]) who[n++] = u;
    if (n > RECO_JUDGES) {
        ml_rng_seed(&rng, seed);
        ml_rng_sample(&rng, n, RECO_JUDGES, chosen);
        for (size_t i = 0; i < RECO_JUDGES; i++) is[who[chosen[i]]] = true;
        for (size_t u = 0; u < d->users; u++)
            if (!is[u]) d->valid_from[u] = d->test_from[u] = d->start[u + 1];
    }
    free(who);
    free(chosen);
    free(is);
    return MEROS_OK;
}

static enum meros_code hold_out(struct reco_data *d, const struct reco_params *p, struct meros_err *err)
{
    enum meros_code rc = resize(d, &d->valid_from, 0, d->users, sizeof *d->valid_from, err);
    if (rc == MEROS_OK) rc = resize(d, &d->test_from, 0, d->users, sizeof *d->test_from, err);
    if (rc != MEROS_OK) return rc;
    for (size_t u = 0; u < d->users; u++) {
        const size_t end = d->start[u + 1], n = p->evaluate ? (size_t)p->holdout : 0;
        d->test_from[u] = part_from(d, d->start[u], end, n);
        d->valid_from[u] = part_from(d, d->start[u], d->test_from[u], n);
    }
    rc = choose_judges(d, (uint64_t)p->seed, err);
    for (size_t u = 0; u < d->users; u++) {
        d->valid_users += d->valid_from[u] < d->test_from[u];
        d->test_users += d->test_from[u] < d->start[u + 1];
    }
    return rc;
}

/* --- all of it */

static enum meros_code read_rows(struct reading *r, struct meros_err *err)
{
    struct training *t = r->t;
    enum meros_code rc = store_begin_snapshot(t->conn, err);
    if (rc != MEROS_OK) return rc;
    rc = store_interactions_all(t->conn, &r->p->weights, r->p->as_of, add_pair, r, err);
    if (rc == MEROS_OK) rc = store_baskets_all(t->conn, r->p->as_of, add_line, r, err);
    store_rollback(t->conn); /* it was only read */
    return rc;
}

static enum meros_code nothing(const struct reco_params *p, struct meros_err *err)
{
    char text[TIME_TEXT];
    if (p->as_of == TIME_NONE)
        return err_set(err, MEROS_UNPROCESSABLE,
                       "Nobody has had anything to do with a product yet; import orders, or events with a `product_id`, first.");
    time_format(p->as_of, text);
    return err_set(err, MEROS_UNPROCESSABLE, "Nobody had anything to do with a product before %s, the `as_of` of this training.", text);
}

enum meros_code reco_data_read(struct reco_data *d, struct training *t, const struct reco_params *p, struct meros_err *err)
{
    struct reading r = {.t = t, .d = d, .p = p};
    d->budget = t->ctx->svc->settings.training_memory_bytes;
    enum meros_code rc = read_rows(&r, err);
    if (rc == MEROS_OK && d->n == 0) rc = nothing(p, err);
    if (rc == MEROS_OK && d->negative == d->n)
        rc = err_set(err, MEROS_UNPROCESSABLE, "All that customers had to do with products speaks against them (returns, bad reviews); "
                                               "there is nothing to recommend from.");
    if (rc == MEROS_OK) d->start[d->users] = d->n;
    if (rc == MEROS_OK) rc = reco_texts_read(&r.texts, t, d, err);
    if (rc == MEROS_OK) rc = number_items(&r, err);
    if (rc == MEROS_OK) rc = shuffle_equals(d, (uint64_t)p->seed, err);
    if (rc == MEROS_OK) rc = hold_out(d, p, err);
    if (rc == MEROS_OK) rc = reco_texts_fit(&r.texts, t, d, err);
    reco_texts_done(&r.texts);
    free(r.product);
    return rc == MEROS_CANCELLED ? job_stopped(t->ctx, err) : rc;
}

void reco_data_done(struct reco_data *d)
{
    free(d->customer_no);
    free(d->start);
    free(d->valid_from);
    free(d->test_from);
    free(d->item);
    free(d->weight);
    free(d->at);
    free(d->product_no);
    free(d->lines);
    neighbours_done(&d->content);
    *d = (struct reco_data){0};
}
