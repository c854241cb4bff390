/* Thread `shelf-warm`: reads what customers had to do with products, and ranks for them, before they ask. First those who are in memory,
 * the last asked for first: of whom what was read still counts, nothing is read again. Where they are few the database is asked who was
 * active last; that looks at everybody, so it is not asked for more. */
#include <time.h>
#include "meros/base/log.h"
#include "meros/base/thread.h"
#include "meros/service/recommend.h"
#include "meros/store/interactions.h"
#include "meros/store/store.h"
#include "shelf_priv.h"

enum {
    WARM_MAX = 50000,      /* customers */
    WARM_FEW = 10000,      /* in memory */
    WARM_PAUSE_MS = 5,     /* between two batches: others want the database too */
    QUERY_MEMORY = 256 << 20
};

static struct metric_family asked_family = {.name = "meros_shelf_warm_looks_total",
                                            .help = "Looks for who was active last, which read the statistics of everybody.",
                                            .kind = METRIC_COUNTER};

static bool wait_for_call(struct shelves *v)
{
    pthread_mutex_lock(&v->warm_lock);
    while (!v->warm_called && !v->stopping) pthread_cond_wait(&v->warm_wake, &v->warm_lock);
    v->warm_called = false;
    const bool stop = v->stopping;
    pthread_mutex_unlock(&v->warm_lock);
    return !stop;
}

static bool go_on(struct shelves *v)
{
    nanosleep(&(struct timespec){.tv_nsec = WARM_PAUSE_MS * 1000000L}, NULL);
    pthread_mutex_lock(&v->warm_lock);
    const bool stop = v->stopping || v->warm_called;
    pthread_mutex_unlock(&v->warm_lock);
    return !stop;
}

static void prepare(struct shelves *v, const struct shelf *s)
{
    if (s != NULL) recommend_prepare(v->svc, s);
    shelf_release(s);
}

/* A batch; returns how many of the names it went through. *out_read: those that were read, added to it. */
static size_t warm_batch(struct shelves *v, struct store_conn *c, const struct str *names, size_t n, size_t *out_read, enum meros_code *rc,
                         struct meros_err *err)
{
    const struct shelf *shelves[SHELF_BATCH];
    struct str some[SHELF_BATCH];
    struct arena arena;
    size_t i = 0, m = 0;
    for (; i < n && i < SHELF_BATCH; i++) {
        const struct shelf *s = shelf_now(v, names[i]);
        if (s == NULL) some[m++] = names[i];
        prepare(v, s);
    }
    arena_init(&arena, QUERY_MEMORY);
    if (m > 0) *rc = shelf_load(v, c, some, m, &arena, shelves, err);
    for (size_t k = 0; k < m && *rc == MEROS_OK; k++) prepare(v, shelves[k]);
    if (*rc == MEROS_OK) *out_read += m;
    arena_done(&arena);
    return i;
}

/* Half of the memory at most where they are new in it: the rest is for those who come. */
static enum meros_code warm_names(struct shelves *v, struct store_conn *c, const struct str *names, size_t n, bool new, size_t *out_read, struct meros_err *err)
{
    enum meros_code rc = MEROS_OK;
    for (size_t i = 0; i < n && rc == MEROS_OK && go_on(v);) {
        if (new && shelf_bytes(v, NULL) >= v->budget * SHELF_SHARDS / 2) break;
        i += warm_batch(v, c, names + i, n - i, out_read, &rc, err);
    }
    return rc;
}

static enum meros_code warm_all(struct shelves *v, struct meros_err *err)
{
    struct store_conn *c = NULL;
    struct arena arena;
    const struct str *names;
    size_t n = 0, read = 0;
    enum meros_code rc = store_connect(v->svc->store, &c, err);
    if (rc != MEROS_OK) return rc;
    arena_init(&arena, QUERY_MEMORY);
    rc = store_set_generic_plans(c, err);
    if (rc == MEROS_OK) rc = shelf_names(v, WARM_MAX, &arena, &names, &n, err);
    if (rc == MEROS_OK) rc = warm_names(v, c, names, n, false, &read, err);
    if (rc == MEROS_OK && n < WARM_FEW && shelf_bytes(v, NULL) < v->budget * SHELF_SHARDS / 2) {
        metric_add(metric(&asked_family, NULL), 1);
        rc = store_shelves_active(c, WARM_MAX, &arena, &names, &n, err);
        if (rc == MEROS_OK) rc = warm_names(v, c, names, n, true, &read, err);
    }
    if (rc == MEROS_OK && read > 0) log_info("shelves.warm", KV_I("customers", (int64_t)read));
    arena_done(&arena);
    store_disconnect(c);
    return rc;
}

static void *warming(void *arg)
{
    struct shelves *v = arg;
    struct meros_err err = MEROS_ERR_INIT;
    while (wait_for_call(v)) {
        err_clear(&err);
        if (warm_all(v, &err) != MEROS_OK && err.code != MEROS_UNAVAILABLE) log_warn("shelves.warm", KV("detail", err.detail));
    }
    return NULL;
}

/* --- calling it */

void shelf_warm(struct service *svc)
{
    struct shelves *v = svc->shelves;
    if (v == NULL) return;
    pthread_mutex_lock(&v->warm_lock);
    v->warm_called = true;
    pthread_cond_signal(&v->warm_wake);
    pthread_mutex_unlock(&v->warm_lock);
}

void shelf_models_changed(struct service *svc)
{
    struct shelves *v = svc->shelves;
    struct interaction_weights weights;
    if (v == NULL) return;
    pthread_mutex_lock(&v->warm_lock); /* held for the look, so that the last word is of the last publication */
    const int64_t model_no = shelf_weights(v, &weights);
    const bool other = model_no != v->model_no, differ = !interaction_weights_equal(&weights, &v->weights);
    v->model_no = model_no;
    v->weights = weights;
    pthread_mutex_unlock(&v->warm_lock);
    if (differ) shelf_changed_all(svc);
    if (other || differ) shelf_warm(svc);
}

/* --- life */

enum meros_code shelf_warm_start(struct shelves *v, struct meros_err *err)
{
    v->model_no = shelf_weights(v, &v->weights);
    enum meros_code rc = thread_start(&v->warmer, "shelf-warm", v->svc->settings.job_nice, warming, v, err);
    v->warming = rc == MEROS_OK;
    return rc;
}

void shelf_warm_stop(struct shelves *v)
{
    if (!v->warming) return;
    pthread_mutex_lock(&v->warm_lock);
    v->stopping = true;
    pthread_cond_signal(&v->warm_wake);
    pthread_mutex_unlock(&v->warm_lock);
    pthread_join(v->warmer, NULL);
    v->warming = false;
}
