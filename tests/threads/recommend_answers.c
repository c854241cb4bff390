/* Several threads ask for recommendations from the same shelves while products come and go and models take over from one another:
 * ThreadSanitizer sees no race, and no answer holds a product that was gone before it was asked for. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/service/catalog_priv.h"
#include "../../src/service/reco_rules_priv.h"
#include "../../src/service/recommend_priv.h"
#include "../../src/service/shelf_priv.h"

enum { PRODUCTS = 300, NEAR = 6, ASKERS = 4, ANSWERS = 400, CHANGES = 150, SHELVES = 6 };
static struct service svc;
static struct snapshot_holder *models;
static struct shelf *shelves[SHELVES];
static _Atomic unsigned turn[PRODUCTS]; /* odd: gone; made odd after the change is in the catalogue, even before it is */
static _Atomic long wrong, failed, answers;
static _Atomic bool done;

static void must(enum meros_code rc, const struct meros_err *err)
{
    if (rc == MEROS_OK) return;
    fprintf(stderr, "recommend_answers: %s\n", err->detail);
    abort();
}

static void put_product(int p, bool available)
{
    struct meros_err err = MEROS_ERR_INIT;
    char id[16];
    snprintf(id, sizeof id, "p%d", p);
    const struct catalog_row row = {.product_no = p + 1, .product_id = str_of(id), .name = STR_NONE, .category = STR("all"), .description = STR_NONE,
                                    .attributes = STR("{}"), .price = p, .available = available, .changed_at = 1};
    must(catalog_take(&svc, &row, 1, &err), &err);
}

static void publish(int64_t model_no)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct recommender *r = recommender_new(PRODUCTS);
    struct neighbours *t = &r->item_knn;
    r->algorithm = RECO_ITEM_KNN;
    r->weights = interaction_weights_default;
    t->items = PRODUCTS;
    t->n = PRODUCTS * NEAR;
    t->start = calloc(PRODUCTS + 1, sizeof *t->start);
    t->item = calloc(t->n, sizeof *t->item);
    t->score = calloc(t->n, sizeof *t->score);
    for (uint32_t i = 0; i < PRODUCTS; i++) {
        r->product_no[i] = i + 1;
        r->popular[i] = r->trending[i] = 1 - (float)i / PRODUCTS;
        t->start[i + 1] = t->start[i] + NEAR;
        for (uint32_t k = 0; k < NEAR; k++) {
            t->item[i * NEAR + k] = (i + 1 + k * 7 + (uint32_t)model_no % 3) % PRODUCTS;
            t->score[i * NEAR + k] = 1 - (float)k / NEAR;
        }
    }
    must(recommender_finish(r, &err), &err);
    struct snapshot *s = snapshot_new(0);
    snapshot_add_recommender(s, &(struct snapshot_recommender){.recommender = r, .id = "mdl_x", .version = 1, .model_no = model_no});
    snapshot_publish(models, s);
}

/* Of what is said, the numbers after "p" of products; gone ones were so before the question and all the while. */
static void check(const char *json, const unsigned *before)
{
    for (const char *at = json; (at = strstr(at, "{\"product_id\":\"p")) != NULL; at++) {
        const int p = atoi(at + strlen("{\"product_id\":\"p"));
        if (before[p] % 2 == 1 && before[p] == turn[p]) wrong++;
    }
}

static void *ask(void *arg)
{
    unsigned state = *(unsigned *)arg;
    struct buf out;
    buf_init(&out, 1 << 20);
    for (int i = 0; i < ANSWERS; i++) {
        struct meros_err err = MEROS_ERR_INIT;
        struct recommend_query q = recommend_query_default();
        struct arena arena;
        unsigned before[PRODUCTS];
        state = state * 1664525u + 1013904223u;
        if (state >> 30 == 0) q.limit = 40;
        if (state >> 28 == 9) q.diversity = .5;
        for (int p = 0; p < PRODUCTS; p++) before[p] = turn[p];
        const struct shelf *s = shelves[(state >> 16) % SHELVES];
        arena_init(&arena, 16 << 20);
        buf_clear(&out);
        if (recommend_json(&svc, &q, s->customer_id, s, NULL, 0, &arena, &out, &err) != MEROS_OK) failed++;
        else check(out.data, before);
        answers++;
        arena_done(&arena);
    }
    buf_done(&out);
    return NULL;
}

static void *change(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < CHANGES || !done; i++) {
        const int p = (int)(i * 13 % PRODUCTS);
        const bool back = turn[p] % 2 == 1;
        if (back) turn[p]++;
        put_product(p, back);
        if (!back) turn[p]++;
        if (i % 10 == 0) publish(1 + i / 10 % 50);
    }
    return NULL;
}

int main(void)
{
    struct meros_err err = MEROS_ERR_INIT;
    pthread_t askers[ASKERS], changer;
    unsigned seeds[ASKERS];
    must(crypto_start(&err), &err);
    must(reco_rules_set(&svc, NULL, 0, NULL, &err), &err);
    models = snapshot_holder_new();
    must(recommending_new(models, &svc.recommending, &err), &err);
    for (int p = 0; p < PRODUCTS; p++) put_product(p, true);
    publish(1);
    for (int i = 0; i < SHELVES; i++) {
        char name[16];
        struct interaction_row *rows;
        snprintf(name, sizeof name, "c%d", i);
        shelves[i] = shelf_new(str_of(name), 5, &rows);
        shelves[i]->known = shelves[i]->profiling = true;
        shelves[i]->customer_no = i + 1;
        for (int k = 0; k < 5; k++)
            rows[k] = (struct interaction_row){.product_no = 1 + (i * 40 + k * 9) % PRODUCTS, .weight = 1 + k, .last_at = 1, .bought_at = k == 2 ? 1 : TIME_NONE, .purchases = k == 2};
    }
    for (int i = 0; i < ASKERS; i++) {
        seeds[i] = (unsigned)i * 77 + 1;
        if (pthread_create(&askers[i], NULL, ask, &seeds[i]) != 0) abort();
    }
    if (pthread_create(&changer, NULL, change, NULL) != 0) abort();
    for (int i = 0; i < ASKERS; i++) pthread_join(askers[i], NULL);
    done = true;
    pthread_join(changer, NULL);
    for (int i = 0; i < SHELVES; i++) shelf_release(shelves[i]);
    recommending_free(&svc);
    catalog_free(&svc);
    reco_rules_free(&svc);
    snapshot_holder_free(models);
    printf("recommend_answers: %ld answers, %ld failed, %ld with products that were gone\n", answers, failed, wrong);
    return wrong == 0 && failed == 0 && answers == ASKERS * ANSWERS ? 0 : 1;
}
