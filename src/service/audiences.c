/* The rules in memory: read whole, published at once, read again whenever anybody says that they changed; and changing them. */
#include "audiences_priv.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include "meros/base/log.h"
#include "meros/service/listener.h"

struct audiences_holder {
    pthread_mutex_t reading; /* held from before the table is read until it is published: the later reading is published later. Whoever
                                takes it has their connection already, so nobody waits for the pool with it. */
    pthread_mutex_t lock;
    struct audience_set *current; /* under lock; one reference */
    _Atomic bool stale;           /* a reading failed: once more, by the listener's clock */
};

/* --- reading */

struct reading {
    struct audience_set *set;
    enum meros_code rc;
    struct meros_err *err;
};

/* A rule that a newer version wrote, with what this one does not know, is passed over: the others hold. */
static void take(void *arg, const struct audience_row *row)
{
    struct reading *x = arg;
    struct meros_err wrong = MEROS_ERR_INIT;
    if (x->rc != MEROS_OK) return;
    enum meros_code rc = audience_set_add(x->set, row->name, row->rule, &wrong);
    if (rc == MEROS_OUT_OF_MEMORY) x->rc = err_set(x->err, rc, "%s", wrong.detail);
    else if (rc != MEROS_OK) log_warn("audiences.rule_unknown", KV("detail", wrong.detail));
}

static enum meros_code read_by(struct service *svc, struct store_conn *c, struct meros_err *err)
{
    struct audiences_holder *h = svc->audiences;
    struct reading x = {.set = audience_set_new(), .err = err};
    if (x.set == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for the audiences.");
    pthread_mutex_lock(&h->reading);
    enum meros_code rc = store_audience_list(c, STR(""), AUDIENCES_MAX, take, &x, err);
    if (rc == MEROS_OK) rc = x.rc;
    if (rc == MEROS_OK) {
        pthread_mutex_lock(&h->lock);
        struct audience_set *old = h->current;
        h->current = x.set;
        pthread_mutex_unlock(&h->lock);
        x.set = old;
    }
    audience_set_release(x.set);
    h->stale = rc != MEROS_OK;
    pthread_mutex_unlock(&h->reading);
    return rc;
}

static enum meros_code read_anew(struct service *svc, struct meros_err *err)
{
    struct store_conn *c = NULL;
    enum meros_code rc = store_acquire(svc->store, &c, err);
    if (rc == MEROS_OK) rc = read_by(svc, c, err);
    else svc->audiences->stale = true;
    store_release(svc->store, c);
    return rc;
}

static void on_change(void *arg, const char *payload)
{
    struct meros_err err = MEROS_ERR_INIT;
    (void)payload;
    if (read_anew(arg, &err) != MEROS_OK) log_warn("audiences.rules", KV("detail", err.detail)); /* on_clock tries again */
}

static void on_clock(void *arg)
{
    struct service *svc = arg;
    struct meros_err err = MEROS_ERR_INIT;
    if (svc->audiences->stale && store_available(svc->store) && read_anew(svc, &err) != MEROS_OK)
        log_warn("audiences.rules", KV("detail", err.detail));
}

enum meros_code audiences_start(struct service *svc, struct meros_err *err)
{
    if (svc->audiences == NULL) { /* it is started anew after a failure */
        struct audiences_holder *h = calloc(1, sizeof *h);
        if (h == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for the audiences.");
        pthread_mutex_init(&h->reading, NULL);
        pthread_mutex_init(&h->lock, NULL);
        svc->audiences = h;
    }
    enum meros_code rc = read_anew(svc, err);
    if (rc == MEROS_OK) rc = listener_subscribe(svc, STORE_AUDIENCES_CHANNEL, on_change, svc, err);
    return rc != MEROS_OK ? rc : listener_every(svc, 1, on_clock, svc, err);
}

void audiences_free(struct service *svc)
{
    struct audiences_holder *h = svc->audiences;
    if (h == NULL) return;
    audience_set_release(h->current);
    pthread_mutex_destroy(&h->reading);
    pthread_mutex_destroy(&h->lock);
    free(h);
    svc->audiences = NULL;
}

const struct audience_set *audiences_acquire(struct service *svc)
{
    struct audiences_holder *h = svc->audiences;
    pthread_mutex_lock(&h->lock);
    struct audience_set *s = h->current;
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&h->lock);
    return s;
}

/* --- showing and changing */

enum { RULE_MEMORY = 16 << 20, RULE_TEXT_MAX = 8 << 20 };

/* *out_text, the canonical rule, and *rule are in the arena. */
static enum meros_code decode(const struct json *definition, struct arena *arena, struct audience_rule *rule, struct str *out_text,
                              struct str *out_description, struct meros_err *err)
{
    struct json_obj o;
    struct buf text;
    struct jsonw w;
    json_obj_begin(&o, definition, "", err);
    const struct json *v = json_obj_any(&o, "rule", JSON_REQUIRED);
    *out_description = json_obj_str(&o, "description", JSON_NULLABLE, AUDIENCE_DESCRIPTION_MAX);
    enum meros_code rc = v == NULL ? MEROS_OK : audience_rule_decode(v, "/rule", arena, rule, err);
    if (rc == MEROS_OK || rc == MEROS_INVALID) rc = json_obj_end(&o) == MEROS_OK ? rc : MEROS_INVALID;
    if (rc != MEROS_OK) return rc;
    buf_init(&text, RULE_TEXT_MAX);
    jsonw_init(&w, &text);
    audience_rule_write(&w, rule);
    char *p = text.failed ? NULL : arena_strndup(arena, text.data, text.len);
    *out_text = (struct str){p, text.len};
    buf_done(&text);
    return p == NULL ? err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for the rule.") : MEROS_OK;
}

/* By what this process knows: of two that are put at once through two processes both may pass. */
static enum meros_code check_asks(struct service *svc, struct str name, const struct audience_rule *rule, struct meros_err *err)
{
    const struct audience_set *s = audiences_acquire(svc);
    size_t asks = audience_asks(rule);
    for (size_t i = 0; i < s->n; i++)
        if (!str_eq(s->items[i].name, name)) asks += audience_asks(&s->items[i].rule);
    audience_set_release(s);
    if (asks <= AUDIENCE_ASKS_MAX) return MEROS_OK;
    return err_set(err, MEROS_CONFLICT, "All audiences together may have %d conditions that count events; with this one they would have %zu. "
                   "Conditions without `within_days` and `where` about the types of events that have a meaning here do not count.", AUDIENCE_ASKS_MAX, asks);
}

enum meros_code audience_put(struct service *svc, struct str name, const struct json *definition, bool *out_created, audience_row_fn fn,
                             void *arg, struct meros_err *err)
{
    struct store_conn *c = NULL;
    struct arena arena;
    struct audience_rule rule;
    struct str text, description;
    arena_init(&arena, RULE_MEMORY);
    enum meros_code rc = decode(definition, &arena, &rule, &text, &description, err);
    if (rc == MEROS_OK) rc = check_asks(svc, name, &rule, err);
    if (rc == MEROS_OK) rc = store_acquire(svc->store, &c, err);
    if (rc == MEROS_OK) rc = store_begin(c, err); /* what is shown is what was put, whoever puts or deletes it meanwhile */
    if (rc == MEROS_OK) rc = store_audience_put(c, name, description, text, out_created, err);
    if (rc == MEROS_OK) rc = store_audience_get(c, name, fn, arg, err);
    if (rc == MEROS_OK) rc = store_commit(c, err);
    if (rc == MEROS_OK) rc = read_by(svc, c, err);
    store_release(svc->store, c);
    arena_done(&arena);
    return rc;
}

enum meros_code audience_get(struct service *svc, struct str name, audience_row_fn fn, void *arg, struct meros_err *err)
{
    struct store_conn *c = NULL;
    enum meros_code rc = store_acquire(svc->store, &c, err);
    if (rc == MEROS_OK) rc = store_audience_get(c, name, fn, arg, err);
    store_release(svc->store, c);
    return rc;
}

enum meros_code audience_list(struct service *svc, struct str after, int64_t limit, audience_row_fn fn, void *arg, struct meros_err *err)
{
    struct store_conn *c = NULL;
    enum meros_code rc = store_acquire(svc->store, &c, err);
    if (rc == MEROS_OK) rc = store_audience_list(c, after, limit, fn, arg, err);
    store_release(svc->store, c);
    return rc;
}

enum meros_code audience_delete(struct service *svc, struct str name, struct meros_err *err)
{
    struct store_conn *c = NULL;
    enum meros_code rc = store_acquire(svc->store, &c, err);
    if (rc == MEROS_OK) rc = store_audience_delete(c, name, err);
    if (rc == MEROS_OK) rc = read_by(svc, c, err);
    store_release(svc->store, c);
    return rc;
}
