/* Rules and the experiment in memory: read whole, published at once, read again whenever anybody says that they changed. */
#include "reco_rules_priv.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include "meros/base/clock.h"
#include "meros/base/log.h"
#include "meros/service/listener.h"
#include "meros/store/reco_rules.h"

enum { MEMORY_MAX = 256 << 20 }; /* RECO_RULES_MAX rules of RECO_RULE_PRODUCTS_MAX ids of ID_MAX bytes, twice */

struct reco_rules_holder {
    pthread_mutex_t reading; /* held from before the tables are read until they are published: the later reading is published later.
                                Whoever takes it has their connection already, so nobody waits for the pool with it. */
    pthread_mutex_t lock;
    struct reco_rules *current; /* under lock; one reference */
    int64_t turns_at;           /* under lock: the next moment at which a rule begins or ends; INT64_MAX: none */
    _Atomic uint64_t version;
    _Atomic bool stale;         /* a reading failed: once more, by the listener's clock */
};

/* --- reading */

static void free_rules(struct reco_rules *r)
{
    if (r == NULL) return;
    struct arena arena = r->arena; /* in which r itself lies */
    arena_done(&arena);
}

static struct reco_rules *new_rules(const struct service *svc)
{
    struct arena arena;
    arena_init(&arena, MEMORY_MAX);
    struct reco_rules *r = arena_zalloc(&arena, sizeof *r);
    struct reco_rule *rules = arena_array(&arena, RECO_RULES_MAX, sizeof *rules);
    if (r == NULL || rules == NULL) {
        arena_done(&arena);
        return NULL;
    }
    r->rules = rules;
    r->key = svc->settings.pii_key;
    r->arena = arena;
    atomic_init(&r->refs, 1);
    return r;
}

struct reading {
    struct reco_rules *rules;
    enum meros_code rc;
    struct meros_err *err;
};

static enum meros_code decode_row(const struct reco_rule_row *row, struct arena *arena, struct reco_rule *out, struct meros_err *err)
{
    struct json *definition = NULL;
    out->name = (struct str){arena_strndup(arena, row->name.p, row->name.n), row->name.n};
    if (!str_present(out->name)) return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for the rules.");
    enum meros_code rc = json_parse_stored(row->definition.p, row->definition.n, &definition, err);
    if (rc == MEROS_OK) rc = reco_rule_decode(definition, arena, out, err);
    json_free(definition);
    return rc;
}

/* A rule that a newer version wrote, with what this one does not know, is passed over: the others hold. */
static void take_rule(void *arg, const struct reco_rule_row *row)
{
    struct reading *x = arg;
    struct meros_err wrong = MEROS_ERR_INIT;
    struct reco_rule *to = (struct reco_rule *)(uintptr_t)&x->rules->rules[x->rules->n]; /* not published yet */
    if (x->rc != MEROS_OK || x->rules->n == RECO_RULES_MAX) return;
    enum meros_code rc = decode_row(row, &x->rules->arena, to, &wrong);
    if (rc == MEROS_OK) x->rules->n++;
    else if (rc == MEROS_OUT_OF_MEMORY) x->rc = err_set(x->err, rc, "%s", wrong.detail);
    else log_warn("recommendations.rule_unknown", KV("detail", wrong.detail));
}

static void take_experiment(void *arg, const struct reco_experiment_row *row)
{
    struct reading *x = arg;
    struct reco_rules *r = x->rules;
    const int a = recommend_strategy_of(row->arms[0]), b = recommend_strategy_of(row->arms[1]);
    if (a < 0 || b < 0 || row->experiment_no > UINT32_MAX) {
        log_warn("recommendations.experiment_unknown", KV_I("experiment", row->experiment_no));
        return;
    }
    r->experiment = (struct str){arena_strndup(&r->arena, row->name.p, row->name.n), row->name.n};
    if (!str_present(r->experiment)) {
        x->rc = err_set(x->err, MEROS_OUT_OF_MEMORY, "There is no memory for the experiment.");
        return;
    }
    r->experiment_no = (uint32_t)row->experiment_no;
    r->arms[0] = (enum recommend_strategy)a;
    r->arms[1] = (enum recommend_strategy)b;
    r->share_of_second = row->share_of_second;
    r->interleave = row->interleave;
}

static int64_t next_turn(const struct reco_rules *r, int64_t now)
{
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < r->n; i++) {
        const int64_t times[] = {r->rules[i].starts_at, r->rules[i].ends_at};
        for (int k = 0; k < 2; k++)
            if (times[k] != TIME_NONE && times[k] > now && times[k] < next) next = times[k];
    }
    return next;
}

static void publish(struct reco_rules_holder *h, struct reco_rules *r)
{
    const int64_t turns_at = next_turn(r, clock_now());
    pthread_mutex_lock(&h->lock);
    struct reco_rules *old = h->current;
    h->current = r;
    h->turns_at = turns_at;
    pthread_mutex_unlock(&h->lock);
    atomic_fetch_add(&h->version, 1);
    if (old != NULL) reco_rules_release(old);
}

static enum meros_code read_by(struct service *svc, struct store_conn *c, struct meros_err *err)
{
    struct reco_rules_holder *h = svc->reco_rules;
    struct reading x = {.rules = new_rules(svc), .err = err};
    if (x.rules == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for the rules.");
    pthread_mutex_lock(&h->reading);
    enum meros_code rc = store_reco_rule_list(c, STR(""), RECO_RULES_MAX, take_rule, &x, err);
    if (rc == MEROS_OK && (rc = x.rc) == MEROS_OK) rc = store_reco_experiment_running(c, take_experiment, &x, err);
    if (rc == MEROS_OK) rc = x.rc;
    if (rc == MEROS_OK) publish(h, x.rules);
    else free_rules(x.rules);
    h->stale = rc != MEROS_OK;
    pthread_mutex_unlock(&h->reading);
    return rc;
}

static enum meros_code read_anew(struct service *svc, struct meros_err *err)
{
    struct store_conn *c = NULL;
    enum meros_code rc = store_acquire(svc->store, &c, err);
    if (rc == MEROS_OK) rc = read_by(svc, c, err);
    else svc->reco_rules->stale = true;
    store_release(svc->store, c);
    return rc;
}

static void on_change(void *arg, const char *payload)
{
    struct meros_err err = MEROS_ERR_INIT;
    (void)payload;
    if (read_anew(arg, &err) != MEROS_OK) log_warn("recommendations.rules", KV("detail", err.detail)); /* on_clock tries again */
}

static void on_clock(void *arg)
{
    struct service *svc = arg;
    struct reco_rules_holder *h = svc->reco_rules;
    struct meros_err err = MEROS_ERR_INIT;
    const int64_t now = clock_now();
    if (h->stale && store_available(svc->store) && read_anew(svc, &err) == MEROS_OK) return;
    pthread_mutex_lock(&h->lock);
    const bool turned = now >= h->turns_at;
    if (turned) h->turns_at = next_turn(h->current, now);
    pthread_mutex_unlock(&h->lock);
    if (turned) atomic_fetch_add(&h->version, 1);
}

static enum meros_code make_holder(struct service *svc, struct meros_err *err)
{
    if (svc->reco_rules != NULL) return MEROS_OK; /* it is started anew after a failure */
    struct reco_rules_holder *h = calloc(1, sizeof *h);
    if (h == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for the rules of recommendations.");
    pthread_mutex_init(&h->reading, NULL);
    pthread_mutex_init(&h->lock, NULL);
    h->turns_at = INT64_MAX;
    svc->reco_rules = h;
    return MEROS_OK;
}

enum meros_code reco_rules_set(struct service *svc, const struct reco_rule *rules, size_t n, const struct reco_experiment_info *x,
                               struct meros_err *err)
{
    enum meros_code rc = make_holder(svc, err);
    struct reco_rules *r = rc == MEROS_OK ? new_rules(svc) : NULL;
    if (r == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for the rules.");
    r->rules = rules;
    r->n = n;
    if (x != NULL) {
        r->experiment_no = (uint32_t)x->experiment_no;
        r->experiment = x->name;
        memcpy(r->arms, x->arms, sizeof r->arms);
        r->share_of_second = x->share_of_second;
        r->interleave = x->interleave;
    }
    publish(svc->reco_rules, r);
    return MEROS_OK;
}

enum meros_code reco_rules_start(struct service *svc, struct meros_err *err)
{
    enum meros_code rc = make_holder(svc, err);
    if (rc == MEROS_OK) rc = read_anew(svc, err);
    if (rc == MEROS_OK) rc = listener_subscribe(svc, STORE_RECO_RULES_CHANNEL, on_change, svc, err);
    return rc != MEROS_OK ? rc : listener_every(svc, 1, on_clock, svc, err);
}

void reco_rules_free(struct service *svc)
{
    struct reco_rules_holder *h = svc->reco_rules;
    if (h == NULL) return;
    if (h->current != NULL) reco_rules_release(h->current);
    pthread_mutex_destroy(&h->reading);
    pthread_mutex_destroy(&h->lock);
    free(h);
    svc->reco_rules = NULL;
}

const struct reco_rules *reco_rules_acquire(struct service *svc)
{
    struct reco_rules_holder *h = svc->reco_rules;
    pthread_mutex_lock(&h->lock);
    struct reco_rules *r = h->current;
    atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&h->lock);
    return r;
}

void reco_rules_release(const struct reco_rules *r)
{
    if (r == NULL) return;
    struct reco_rules *mine = (struct reco_rules *)(uintptr_t)r; /* the count is the one thing in it that changes */
    if (atomic_fetch_sub_explicit(&mine->refs, 1, memory_order_acq_rel) == 1) free_rules(mine);
}

uint64_t reco_rules_version(struct service *svc)
{
    return atomic_load(&svc->reco_rules->version);
}

int reco_rules_arm(const struct reco_rules *r, struct str customer_id)
{
    static const char what[] = "recommendation arm"; /* other things are hashed by the same key */
    unsigned char hash[SHA256_BYTES];
    struct crypto_hasher h;
    uint64_t v = 0;
    if (r->experiment_no == 0 || customer_id.n == 0) return 0;
    crypto_hasher_init(&h, r->key);
    crypto_hasher_update(&h, what, sizeof what);
    crypto_hasher_update(&h, &r->experiment_no, sizeof r->experiment_no);
    crypto_hasher_update(&h, customer_id.p, customer_id.n);
    crypto_hasher_final(&h, hash);
    for (int i = 0; i < 7; i++) v = v << 8 | hash[i]; /* 56 bits: exact in a double */
    return (double)v < r->share_of_second * 0x1p56;
}

/* --- showing and changing rules */

struct seen {
    reco_rule_seen_fn fn;
    void *arg;
    enum meros_code rc;
    struct meros_err *err;
};

static void show(void *arg, const struct reco_rule_row *row)
{
    struct seen *s = arg;
    struct arena arena;
    struct reco_rule rule;
    if (s->rc != MEROS_OK) return;
    arena_init(&arena, MEMORY_MAX);
    s->rc = decode_row(row, &arena, &rule, s->err);
    const struct reco_rule_info info = {&rule, s->rc == MEROS_OK && reco_rule_active(&rule, clock_now()), row->created_at, row->changed_at};
    if (s->rc == MEROS_OK) s->fn(s->arg, &info);
    else if (s->rc == MEROS_INVALID) s->rc = err_set(s->err, MEROS_INTERNAL, "The rule was written by another version of this service.");
    arena_done(&arena);
}

static enum meros_code check(const struct json *definition, struct meros_err *err)
{
    struct arena arena;
    struct reco_rule rule = {.name = STR_NONE};
    arena_init(&arena, MEMORY_MAX);
    enum meros_code rc = reco_rule_decode(definition, &arena, &rule, err);
    arena_done(&arena);
    return rc;
}

enum meros_code reco_rule_put(struct service *svc, struct str name, const struct json *definition, bool *out_created,
                              reco_rule_seen_fn fn, void *arg, struct meros_err *err)
{
    struct store_conn *c = NULL;
    struct seen s = {fn, arg, MEROS_OK, err};
    struct buf text;
    struct jsonw w;
    enum meros_code rc = check(definition, err);
    if (rc != MEROS_OK) return rc;
    buf_init(&text, 4 << 20);
    jsonw_init(&w, &text);
    jsonw_value(&w, definition);
    if (text.failed) rc = err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for the rule.");
    if (rc == MEROS_OK) rc = store_acquire(svc->store, &c, err);
    if (rc == MEROS_OK) rc = store_reco_rule_put(c, name, (struct str){text.data, text.len}, out_created, err);
    if (rc == MEROS_OK) rc = store_reco_rule_get(c, name, show, &s, err);
    if (rc == MEROS_OK) rc = s.rc;
    if (rc == MEROS_OK) rc = read_by(svc, c, err);
    store_release(svc->store, c);
    buf_done(&text);
    return rc;
}

enum meros_code reco_rule_get(struct service *svc, struct str name, reco_rule_seen_fn fn, void *arg, struct meros_err *err)
{
    struct store_conn *c = NULL;
    struct seen s = {fn, arg, MEROS_OK, err};
    enum meros_code rc = store_acquire(svc->store, &c, err);
    if (rc == MEROS_OK) rc = store_reco_rule_get(c, name, show, &s, err);
    store_release(svc->store, c);
    return rc == MEROS_OK ? s.rc : rc;
}

enum meros_code reco_rule_list(struct service *svc, struct str after, int64_t limit, reco_rule_seen_fn fn, void *arg, struct meros_err *err)
{
    struct store_conn *c = NULL;
    struct seen s = {fn, arg, MEROS_OK, err};
    enum meros_code rc = store_acquire(svc->store, &c, err);
    if (rc == MEROS_OK) rc = store_reco_rule_list(c, after, limit, show, &s, err);
    store_release(svc->store, c);
    return rc == MEROS_OK ? s.rc : rc;
}

enum meros_code reco_rule_delete(struct service *svc, struct str name, struct meros_err *err)
{
    struct store_conn *c = NULL;
    enum meros_code rc = store_acquire(svc->store, &c, err);
    if (rc == MEROS_OK) rc = store_reco_rule_delete(c, name, err);
    if (rc == MEROS_OK) rc = read_by(svc, c, err);
    store_release(svc->store, c);
    return rc;
}

/* --- the experiment */

static const char *const modes[] = {"split", "interleave", NULL};

struct running {
    bool any;
    struct reco_experiment_info x;
    char name[ID_MAX + 1];
};

static void note_running(void *arg, const struct reco_experiment_row *row)
{
    struct running *r = arg;
    const int a = recommend_strategy_of(row->arms[0]), b = recommend_strategy_of(row->arms[1]);
    if (a < 0 || b < 0 || !str_copy(r->name, sizeof r->name, row->name)) return;
    r->any = true;
    r->x = (struct reco_experiment_info){row->experiment_no, str_of(r->name), {(enum recommend_strategy)a, (enum recommend_strategy)b},
                                         row->share_of_second, row->interleave, row->started_at};
}

static enum meros_code decode_experiment(const struct json *v, struct reco_experiment_row *out, struct meros_err *err)
{
    struct json_obj o;
    int arm[2] = {-1, -1};
    char pointer[16];
    json_obj_begin(&o, v, "", err);
    out->name = json_obj_id(&o, "name", JSON_REQUIRED);
    const struct json *arms = json_obj_array(&o, "arms", JSON_REQUIRED, 2);
    if (arms != NULL && json_count(arms) != 2) json_obj_fault(&o, "arms", "must name two strategies");
    out->interleave = json_obj_enum(&o, "mode", 0, modes, 0) == 1;
    out->share_of_second = json_obj_num(&o, "share_of_second", 0, 0, 1, 0.5);
    if (out->interleave && json_get(v, "share_of_second") != NULL)
        json_obj_fault(&o, "share_of_second", "belongs to the mode split: interleaved, everybody gets both");
    enum meros_code rc = json_obj_end(&o);
    for (size_t i = 0; rc == MEROS_OK && i < 2; i++) {
        out->arms[i] = json_str(json_at(arms, i));
        arm[i] = recommend_strategy_of(out->arms[i]);
        snprintf(pointer, sizeof pointer, "/arms/%zu", i);
        if (arm[i] < 0 || arm[i] == RECOMMEND_NEWEST)
            rc = err_field(err, pointer, "must be one of auto, popular, trending, similar, bought_together, sequence, content, als, ease, blend");
    }
    if (rc == MEROS_OK && arm[0] == arm[1]) rc = err_field(err, "/arms/1", "is the same strategy as the first");
    return rc;
}

static bool same(const struct reco_experiment_info *x, const struct reco_experiment_row *row)
{
    return str_eq(x->name, row->name) && str_is(row->arms[0], recommend_strategy_words[x->arms[0]]) &&
           str_is(row->arms[1], recommend_strategy_words[x->arms[1]]) && x->interleave == row->interleave &&
           x->share_of_second == row->share_of_second;
}

enum meros_code reco_experiment_put(struct service *svc, const struct json *definition, bool *out_started, reco_experiment_seen_fn fn,
                                    void *arg, struct meros_err *err)
{
    struct store_conn *c = NULL;
    struct reco_experiment_row row;
    struct running is = {.any = false};
    enum meros_code rc = decode_experiment(definition, &row, err);
    if (rc != MEROS_OK) return rc;
    rc = store_acquire(svc->store, &c, err);
    if (rc == MEROS_OK) rc = store_begin(c, err);
    if (rc == MEROS_OK) rc = store_reco_experiment_running(c, note_running, &is, err);
    *out_started = rc == MEROS_OK && !(is.any && same(&is.x, &row));
    if (*out_started) rc = store_reco_experiment_start(c, &row, err);
    if (rc == MEROS_OK) rc = store_reco_experiment_running(c, note_running, &is, err);
    if (rc == MEROS_OK) rc = store_commit(c, err);
    if (rc == MEROS_OK && *out_started) rc = read_by(svc, c, err);
    store_release(svc->store, c);
    if (rc == MEROS_OK) fn(arg, &is.x);
    return rc;
}

static enum meros_code none_runs(struct meros_err *err)
{
    return err_set(err, MEROS_NOT_FOUND, "No experiment runs.");
}

enum meros_code reco_experiment_get(struct service *svc, reco_experiment_seen_fn fn, void *arg, struct meros_err *err)
{
    struct store_conn *c = NULL;
    struct running is = {.any = false};
    enum meros_code rc = store_acquire(svc->store, &c, err);
    if (rc == MEROS_OK) rc = store_reco_experiment_running(c, note_running, &is, err);
    store_release(svc->store, c);
    if (rc != MEROS_OK) return rc;
    if (!is.any) return none_runs(err);
    fn(arg, &is.x);
    return MEROS_OK;
}

enum meros_code reco_experiment_delete(struct service *svc, struct meros_err *err)
{
    struct store_conn *c = NULL;
    bool any = false;
    enum meros_code rc = store_acquire(svc->store, &c, err);
    if (rc == MEROS_OK) rc = store_reco_experiment_end(c, &any, err);
    if (rc == MEROS_OK && !any) rc = none_runs(err);
    if (rc == MEROS_OK) rc = read_by(svc, c, err);
    store_release(svc->store, c);
    return rc;
}
