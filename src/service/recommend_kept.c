/* Beside a shelf, for as long as it lives: its best products by one strategy, and the finished answer of the query that was asked
 * last. Both say what they were made from and are passed over when that is no longer so. Under `lock`, which is held for a copy. */
#include "recommend_priv.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_KEPT_MAX = 4096 }; /* an answer that is larger is not kept: most are of a few products */

struct kept {
    pthread_mutex_t lock;
    struct reco_kept_of of;
    bool all;
    size_t n;
    struct scored *top; /* n; NULL: none */
    struct recommend_of answer_of;
    int64_t answer_until;
    size_t key_n, tail_n;
    char *answer; /* the key, then what follows the id and the moment in the JSON; NULL: none */
    struct reco_kept_parts parts;
};

static void kept_free(void *arg)
{
    struct kept *k = arg;
    if (k == NULL) return;
    pthread_mutex_destroy(&k->lock);
    free(k->top);
    free(k->answer);
    free(k);
}

static struct kept *kept_of(const struct shelf *s)
{
    return atomic_load_explicit(&s->kept, memory_order_acquire);
}

/* NULL: no memory, and nothing is kept. */
static struct kept *kept_make(const struct shelf *s)
{
    struct kept *k = kept_of(s);
    if (k != NULL) return k;
    k = calloc(1, sizeof *k);
    if (k == NULL) return NULL;
    pthread_mutex_init(&k->lock, NULL);
    if (shelf_keep(s, k, sizeof *k, kept_free)) return k;
    kept_free(k); /* another thread was first */
    return kept_of(s);
}

/* Under its lock. */
static void tell_size(const struct shelf *s, const struct kept *k)
{
    shelf_keep_size(s, sizeof *k + k->n * sizeof *k->top + k->key_n + k->tail_n);
}

static bool same(const struct recommend_of *a, const struct recommend_of *b)
{
    return a->model_no == b->model_no && a->catalog_version == b->catalog_version && a->rules_version == b->rules_version;
}

bool reco_kept_scores(const struct shelf *s, const struct reco_kept_of *of, struct scored out[RECOMMEND_KEPT], size_t *out_n, bool *out_all)
{
    struct kept *k = kept_of(s);
    if (k == NULL) return false;
    pthread_mutex_lock(&k->lock);
    const bool there = k->top != NULL && k->of.model_no == of->model_no && k->of.opened == of->opened && k->of.strategy == of->strategy &&
                       k->of.next_due == of->next_due;
    if (there) {
        memcpy(out, k->top, k->n * sizeof *out);
        *out_n = k->n;
        *out_all = k->all;
    }
    pthread_mutex_unlock(&k->lock);
    return there;
}

void reco_keep_scores(const struct shelf *s, const struct reco_kept_of *of, const struct scored *top, size_t n, bool all)
{
    struct kept *k = kept_make(s);
    struct scored *copy = k != NULL ? malloc((n + 1) * sizeof *copy) : NULL;
    if (copy == NULL) return;
    memcpy(copy, top, n * sizeof *copy);
    pthread_mutex_lock(&k->lock);
    struct scored *old = k->top;
    k->top = copy;
    k->n = n;
    k->all = all;
    k->of = *of;
    tell_size(s, k);
    pthread_mutex_unlock(&k->lock);
    free(old);
}

/* --- answers */

struct key {
    char *to;
    size_t n;
    bool over;
};

static void add(struct key *k, const void *p, size_t n)
{
    if (k->n + n > RECOMMEND_KEY_MAX) k->over = true;
    if (k->over) return;
    if (n > 0) memcpy(k->to + k->n, p, n);
    k->n += n;
}

static void add_str(struct key *k, struct str s)
{
    const uint16_t n = str_present(s) ? (uint16_t)(s.n + 1) : 0;
    if (s.n > RECOMMEND_KEY_MAX) k->over = true;
    add(k, &n, sizeof n);
    add(k, s.p, s.n);
}

size_t reco_query_key(const struct recommend_query *q, struct str customer_id, char out[RECOMMEND_KEY_MAX])
{
    struct key k = {.to = out};
    const uint8_t head[] = {(uint8_t)q->strategy, (uint8_t)q->limit, q->exclude_purchased, q->exclude_seen, q->available, q->stale, (uint8_t)q->n_attributes};
    const uint16_t n_exclude = (uint16_t)q->n_exclude;
    add(&k, head, sizeof head);
    add(&k, &n_exclude, sizeof n_exclude);
    add(&k, &q->min_price, sizeof q->min_price);
    add(&k, &q->max_price, sizeof q->max_price);
    add(&k, &q->diversity, sizeof q->diversity);
    add_str(&k, customer_id);
    add_str(&k, q->category);
    for (size_t i = 0; i < q->n_attributes; i++) {
        add_str(&k, q->attributes[i].name);
        add_str(&k, q->attributes[i].value);
    }
    for (size_t i = 0; i < q->n_exclude && !k.over; i++) add_str(&k, q->exclude[i]);
    return k.over ? 0 : k.n;
}

bool reco_kept_answer(const struct shelf *s, const struct recommend_of *of, int64_t now, const char *key, size_t key_n,
                      struct recommendation_parts *out_parts, reco_kept_head head, void *arg, struct buf *out)
{
    struct kept *k = kept_of(s);
    if (k == NULL) return false;
    pthread_mutex_lock(&k->lock);
    const bool there = k->answer != NULL && same(&k->answer_of, of) && now < k->answer_until && k->key_n == key_n &&
                       memcmp(k->answer, key, key_n) == 0;
    if (there) {
        const struct reco_kept_parts *p = &k->parts;
        *out_parts = (struct recommendation_parts){.at = now, .strategy = p->strategy, .experiment = p->experiment, .arm = p->arm, .model_no = of->model_no, .n = p->n};
        for (size_t i = 0; i < p->n; i++) {
            out_parts->picks[i].product_no = p->product_no[i];
            out_parts->picks[i].by = p->by[i];
            out_parts->picks[i].arm = p->arms[i];
        }
        head(arg, out_parts, k->tail_n, out);
        buf_append(out, k->answer + key_n, k->tail_n);
    }
    pthread_mutex_unlock(&k->lock);
    return there;
}

void reco_keep_answer(const struct shelf *s, const struct recommend_of *of, int64_t until, const char *key, size_t key_n,
                      const struct recommendation_parts *parts, const char *tail, size_t tail_n)
{
    if (tail_n > ANSWER_KEPT_MAX || parts->n > RECOMMEND_KEPT_PICKS) return;
    struct kept *k = kept_make(s);
    char *copy = k != NULL ? malloc(key_n + tail_n) : NULL;
    if (copy == NULL) return;
    memcpy(copy, key, key_n);
    memcpy(copy + key_n, tail, tail_n);
    struct reco_kept_parts p = {.strategy = parts->strategy, .experiment = parts->experiment, .arm = parts->arm, .n = (uint8_t)parts->n};
    for (size_t i = 0; i < parts->n; i++) {
        p.product_no[i] = parts->picks[i].product_no;
        p.by[i] = parts->picks[i].by;
        p.arms[i] = parts->picks[i].arm;
    }
    pthread_mutex_lock(&k->lock);
    char *old = k->answer;
    k->answer = copy;
    k->key_n = key_n;
    k->tail_n = tail_n;
    k->answer_of = *of;
    k->answer_until = until;
    k->parts = p;
    tell_size(s, k);
    pthread_mutex_unlock(&k->lock);
    free(old);
}
