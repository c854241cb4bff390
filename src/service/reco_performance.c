/* Counting what was shown and clicked. */
#include "meros/service/recommendation_id.h"

#include <stdlib.h>
#include "meros/base/clock.h"
#include "meros/store/reco_feedback.h"
#include "reco_performance_priv.h"

/* --- pairs of numbers */

static size_t place_of(const struct pair_index *x, int64_t a, int64_t b)
{
    uint64_t h = (uint64_t)a * UINT64_C(0x9e3779b97f4a7c15) ^ ((uint64_t)b + UINT64_C(0x7f4a7c15)) * UINT64_C(0xc2b2ae3d27d4eb4f);
    h ^= h >> 29;
    size_t at = (size_t)h & (x->cap - 1);
    while (x->table[at] != 0 && (x->keys[x->table[at] - 1][0] != a || x->keys[x->table[at] - 1][1] != b)) at = (at + 1) & (x->cap - 1);
    return at;
}

static bool grow(struct pair_index *x)
{
    const size_t cap = x->cap == 0 ? 64 : 2 * x->cap;
    uint32_t *table = calloc(cap, sizeof *table);
    int64_t(*keys)[2] = realloc(x->keys, cap / 2 * sizeof *keys);
    if (keys != NULL) x->keys = keys;
    if (table == NULL || keys == NULL) {
        free(table);
        return false;
    }
    free(x->table);
    x->table = table;
    x->cap = cap;
    for (size_t i = 0; i < x->n; i++) x->table[place_of(x, x->keys[i][0], x->keys[i][1])] = (uint32_t)i + 1;
    return true;
}

enum meros_code pair_index_of(struct pair_index *x, int64_t a, int64_t b, uint32_t *out, bool *out_new, struct meros_err *err)
{
    if (x->n >= x->cap / 2 && !grow(x)) return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for what was shown and clicked.");
    const size_t at = place_of(x, a, b);
    *out_new = x->table[at] == 0;
    if (*out_new) {
        x->keys[x->n][0] = a;
        x->keys[x->n][1] = b;
        x->table[at] = (uint32_t)++x->n;
    }
    *out = x->table[at] - 1;
    return MEROS_OK;
}

void pair_index_done(struct pair_index *x)
{
    free(x->keys);
    free(x->table);
}

/* --- counting */

struct counting {
    struct service *svc;
    unsigned by;
    struct reco_performance *out;
    struct pair_index cell_index, people_index;
    struct reco_cell *cells;
    struct reco_person *people;
    size_t cap_cells, cap_people;
    struct reco_click *clicks;
    size_t n_clicks, cap_clicks;
    struct recommendation_parts parts; /* of the event that is counted */
};

static enum meros_code no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for what was shown and clicked.");
}

static enum meros_code too_much(struct meros_err *err)
{
    return err_set(err, MEROS_UNPROCESSABLE, "More was clicked in this period than is counted at once; ask for a shorter one.");
}

/* The array with room for one more element; NULL where there is none, and the array is as it was. */
static void *room(void *array, size_t size, size_t n, size_t *cap)
{
    if (n < *cap) return array;
    const size_t more = *cap == 0 ? 64 : 2 * *cap;
    void *grown = realloc(array, more * size);
    if (grown != NULL) *cap = more;
    return grown;
}

static enum meros_code cell_of(struct counting *x, int strategy, int slot, int64_t model_no, uint32_t *out, struct meros_err *err)
{
    bool fresh;
    if (!(x->by & RECO_BY_STRATEGY)) strategy = 0;
    if (!(x->by & RECO_BY_SLOT)) slot = 0;
    if (!(x->by & RECO_BY_MODEL)) model_no = 0;
    enum meros_code rc = pair_index_of(&x->cell_index, strategy * 1000 + slot, model_no, out, &fresh, err);
    if (rc != MEROS_OK || !fresh) return rc;
    void *cells = room(x->cells, sizeof *x->cells, *out, &x->cap_cells);
    if (cells == NULL) return no_memory(err);
    x->cells = cells;
    x->cells[*out] = (struct reco_cell){.strategy = strategy, .slot = slot, .model_no = model_no, .model = STR_NONE};
    return MEROS_OK;
}

/* Who takes part in an experiment with this; of what neither list brought there is nobody: it says nothing for one or the other. */
static enum meros_code person_of(struct counting *x, int64_t customer_no, int arm, uint32_t *out, struct meros_err *err)
{
    bool fresh;
    *out = NOBODY;
    if (!(x->by & RECO_BY_EXPERIMENT) || x->parts.experiment == 0 || arm == RECOMMENDATION_NO_ARM) return MEROS_OK;
    enum meros_code rc = pair_index_of(&x->people_index, x->parts.experiment, customer_no, out, &fresh, err);
    if (rc != MEROS_OK || !fresh) return rc;
    if (*out >= RECO_PERFORMANCE_PEOPLE_MAX) return too_much(err);
    void *people = room(x->people, sizeof *x->people, *out, &x->cap_people);
    if (people == NULL) return no_memory(err);
    x->people = people;
    x->people[*out] = (struct reco_person){.experiment = x->parts.experiment, .customer_no = customer_no};
    return MEROS_OK;
}

/* Where a product stood in the answer, from 0; -1: it is not among those that the id tells of. */
static int slot_of(const struct recommendation_parts *p, int64_t product_no)
{
    for (size_t i = 0; product_no != 0 && i < p->n; i++)
        if (p->picks[i].product_no == product_no) return (int)i;
    return -1;
}

struct pick {
    int strategy, slot, arm; /* slot from 1; 0: not known; arm: RECOMMENDATION_NO_ARM: neither list of an interleaved answer */
};

static struct pick pick_at(const struct recommendation_parts *p, int i)
{
    const bool told = i >= 0 && (size_t)i < p->n;
    const int arm = p->arm <= 1 ? p->arm : told ? p->picks[i].arm : RECOMMENDATION_NO_ARM;
    return (struct pick){told ? p->picks[i].by : p->strategy, i + 1, arm};
}

static enum meros_code count_impression(struct counting *x, const struct feedback_event *e, int i, struct meros_err *err)
{
    const struct pick k = pick_at(&x->parts, i);
    uint32_t cell, person;
    enum meros_code rc = cell_of(x, k.strategy, k.slot, x->parts.model_no, &cell, err);
    if (rc == MEROS_OK) rc = person_of(x, e->customer_no, k.arm, &person, err);
    if (rc != MEROS_OK) return rc;
    x->cells[cell].m.impressions++;
    if (person != NOBODY) x->people[person].impressions[k.arm]++;
    return MEROS_OK;
}

/* Products that were said to be shown; each once. */
static enum meros_code count_listed(struct counting *x, const struct feedback_event *e, const int64_t *products, size_t n, struct meros_err *err)
{
    bool seen[RECOMMENDATION_PICKS_MAX] = {false};
    enum meros_code rc = MEROS_OK;
    for (size_t i = 0; rc == MEROS_OK && i < n; i++) {
        const int slot = slot_of(&x->parts, products[i]);
        if (slot >= 0 && seen[slot]) continue;
        if (slot >= 0) seen[slot] = true;
        if (slot < 0 && (products[i] == 0 || x->parts.n == x->parts.total)) x->out->unknown_impressions++;
        else rc = count_impression(x, e, slot, err);
    }
    return rc;
}

static enum meros_code count_shown(struct counting *x, const struct feedback_event *e, struct meros_err *err)
{
    enum meros_code rc = MEROS_OK;
    if (e->listed) return count_listed(x, e, e->products, e->n_products, err);
    if (e->product_no != 0) return count_listed(x, e, &e->product_no, 1, err);
    for (size_t i = 0; rc == MEROS_OK && i < x->parts.total; i++) rc = count_impression(x, e, (int)i, err);
    return rc;
}

static enum meros_code count_click(struct counting *x, const struct feedback_event *e, struct meros_err *err)
{
    const struct recommendation_parts *p = &x->parts;
    int64_t product = e->product_no;
    int slot = slot_of(p, product);
    uint32_t cell, person;
    if (product == 0 && e->slot > 0 && (size_t)e->slot <= p->total) slot = e->slot - 1;
    if (product == 0 && slot >= 0 && (size_t)slot < p->n) product = p->picks[slot].product_no;
    if (product != 0 && slot < 0 && p->n == p->total) {
        x->out->unknown_clicks++;
        return MEROS_OK;
    }
    const struct pick k = pick_at(p, slot);
    enum meros_code rc = cell_of(x, k.strategy, k.slot, p->model_no, &cell, err);
    if (rc == MEROS_OK) rc = person_of(x, e->customer_no, k.arm, &person, err);
    if (rc != MEROS_OK) return rc;
    if (x->n_clicks == RECO_PERFORMANCE_CLICKS_MAX) return too_much(err);
    void *clicks = room(x->clicks, sizeof *x->clicks, x->n_clicks, &x->cap_clicks);
    if (clicks == NULL) return no_memory(err);
    x->clicks = clicks;
    x->clicks[x->n_clicks++] = (struct reco_click){
        .customer_no = e->customer_no, .product_no = product, .at = e->at, .cell = cell, .person = person, .arm = (uint8_t)k.arm};
    return MEROS_OK;
}

static enum meros_code count(void *arg, const struct feedback_event *e, struct meros_err *err)
{
    struct counting *x = arg;
    if (str_present(e->recommendation_id) && recommendation_id_read(x->svc, e->recommendation_id, &x->parts))
        return e->click ? count_click(x, e, err) : count_shown(x, e, err);
    if (e->click) x->out->unknown_clicks++;
    else x->out->unknown_impressions++;
    return MEROS_OK;
}

/* --- putting it together */

static void add_clicks(struct counting *x)
{
    for (size_t i = 0; i < x->n_clicks; i++) {
        const struct reco_click *k = &x->clicks[i];
        struct reco_metrics *m = &x->cells[k->cell].m;
        m->clicks++;
        m->conversions += k->converted;
        m->revenue += k->revenue;
        if (k->person == NOBODY) continue;
        struct reco_person *p = &x->people[k->person];
        p->clicks[k->arm]++;
        p->conversions[k->arm] += k->converted;
        p->revenue[k->arm] += k->revenue;
    }
}

static int by_key(const void *a, const void *b)
{
    const struct reco_cell *x = a, *y = b;
    if (x->strategy != y->strategy) return x->strategy - y->strategy;
    if (x->slot != y->slot) return x->slot - y->slot;
    return (x->model_no > y->model_no) - (x->model_no < y->model_no);
}

static enum meros_code name_models(struct store_conn *c, struct arena *arena, struct reco_performance *out, struct meros_err *err)
{
    int64_t *nos = arena_array(arena, out->n_cells + 1, sizeof *nos);
    struct str *ids = arena_array(arena, out->n_cells + 1, sizeof *ids);
    if (nos == NULL || ids == NULL) return no_memory(err);
    for (size_t i = 0; i < out->n_cells; i++) nos[i] = out->cells[i].model_no;
    enum meros_code rc = store_feedback_models(c, nos, out->n_cells, arena, ids, err);
    for (size_t i = 0; rc == MEROS_OK && i < out->n_cells; i++) out->cells[i].model = ids[i];
    return rc;
}

static enum meros_code give_cells(struct counting *x, struct store_conn *c, struct arena *arena, struct meros_err *err)
{
    struct reco_performance *out = x->out;
    out->n_cells = x->cell_index.n;
    out->cells = arena_array(arena, out->n_cells + 1, sizeof *out->cells);
    if (out->cells == NULL) return no_memory(err);
    if (out->n_cells > 0) memcpy(out->cells, x->cells, out->n_cells * sizeof *out->cells);
    qsort(out->cells, out->n_cells, sizeof *out->cells, by_key);
    for (size_t i = 0; i < out->n_cells; i++) {
        struct reco_metrics *m = &out->cells[i].m;
        reco_metrics_finish(m);
        out->total.impressions += m->impressions;
        out->total.clicks += m->clicks;
        out->total.conversions += m->conversions;
        out->total.revenue += m->revenue;
    }
    reco_metrics_finish(&out->total);
    return x->by & RECO_BY_MODEL ? name_models(c, arena, out, err) : MEROS_OK;
}

static enum meros_code in_words(enum meros_code rc, struct meros_err *err)
{
    if (rc == MEROS_TIMEOUT) err_set(err, rc, "The period holds more than is counted in a minute; ask for a shorter one.");
    return rc;
}

enum meros_code reco_performance(struct service *svc, int64_t from, int64_t to, int attribution_days, unsigned by, struct arena *arena,
                                 struct reco_performance *out, struct meros_err *err)
{
    struct counting x = {.svc = svc, .by = by, .out = out};
    struct store_conn *c = NULL;
    *out = (struct reco_performance){.unknown_clicks = 0};
    enum meros_code rc = store_acquire(svc->store, &c, err);
    if (rc == MEROS_OK) rc = store_set_timeout(c, RECO_PERFORMANCE_TIMEOUT_MS, err);
    if (rc == MEROS_OK) rc = store_begin_snapshot(c, err);
    if (rc == MEROS_OK) rc = store_feedback_events(c, from, to, count, &x, err);
    if (rc == MEROS_OK) rc = reco_follow_clicks(c, x.clicks, x.n_clicks, attribution_days * TIME_DAY, err);
    if (rc == MEROS_OK) {
        add_clicks(&x);
        rc = give_cells(&x, c, arena, err);
    }
    if (rc == MEROS_OK && by & RECO_BY_EXPERIMENT) rc = reco_experiments_finish(c, x.people, x.people_index.n, arena, out, err);
    store_release(svc->store, c);
    pair_index_done(&x.cell_index);
    pair_index_done(&x.people_index);
    free(x.cells);
    free(x.people);
    free(x.clicks);
    return in_words(rc, err);
}
