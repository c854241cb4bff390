/* Rules under ThreadSanitizer: many threads read and ask for arms while others put new rules in their place. Exit status 0: whoever held rules
 * read the same in them from beginning to end, and a customer's arm never changed. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../src/service/reco_rules_priv.h"

enum { READERS = 6, WRITERS = 2, CHANGES = 400, RULES = 20 };
static struct service svc;
static _Atomic bool over;
static _Atomic int wrong;
static const struct str product = {"p", 1};
/* Two sets; in each all rules have the same place, and the experiment's number is it. */
static struct reco_rule sets[2][RULES];

static void put(int which)
{
    struct meros_err err = MEROS_ERR_INIT;
    const struct reco_experiment_info x = {.experiment_no = which + 1, .name = STR("e"), .arms = {RECOMMEND_ALS, RECOMMEND_EASE}, .share_of_second = 0.5};
    if (reco_rules_set(&svc, sets[which], RULES, &x, &err) != MEROS_OK) abort();
}

static void *write_them(void *arg)
{
    for (int i = 0; i < CHANGES; i++) put((i + *(int *)arg) % 2);
    return NULL;
}

static void *read_them(void *arg)
{
    int arms[2] = {-1, -1};
    uint64_t version = 0;
    (void)arg;
    while (!over) {
        const uint64_t now = reco_rules_version(&svc);
        if (now < version) wrong++;
        version = now;
        const struct reco_rules *r = reco_rules_acquire(&svc);
        const int which = (int)r->experiment_no - 1, arm = reco_rules_arm(r, STR("anna"));
        for (size_t i = 0; i < r->n; i++)
            if (r->rules[i].place != which + 1 || !str_eq(r->rules[i].product_ids[0], product)) wrong++;
        if (arms[which] >= 0 && arms[which] != arm) wrong++;
        arms[which] = arm;
        reco_rules_release(r);
    }
    return NULL;
}

int main(void)
{
    pthread_t readers[READERS], writers[WRITERS];
    int turns[WRITERS];
    struct meros_err err = MEROS_ERR_INIT;
    if (crypto_start(&err) != MEROS_OK) return 1;
    for (int s = 0; s < 2; s++)
        for (int i = 0; i < RULES; i++)
            sets[s][i] = (struct reco_rule){.kind = RECO_PIN, .product_ids = &product, .n_products = 1, .place = s + 1, .starts_at = TIME_NONE, .ends_at = TIME_NONE};
    put(0);
    for (int i = 0; i < READERS; i++) pthread_create(&readers[i], NULL, read_them, NULL);
    for (int i = 0; i < WRITERS; i++) {
        turns[i] = i;
        pthread_create(&writers[i], NULL, write_them, &turns[i]);
    }
    for (int i = 0; i < WRITERS; i++) pthread_join(writers[i], NULL);
    over = true;
    for (int i = 0; i < READERS; i++) pthread_join(readers[i], NULL);
    reco_rules_free(&svc);
    if (wrong != 0) fprintf(stderr, "reco_rules: %d times what was held was not what was put\n", wrong);
    return wrong != 0;
}
