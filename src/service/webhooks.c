/* Webhooks as their owner sees them: made, shown, tried, deleted. What is sent is webhook_sender.c's. */
#include "webhooks_priv.h"

#include "meros/base/counters.h"
#include "meros/base/crypto.h"
#include "meros/connect/http_out.h"
#include "meros/store/webhooks.h"

enum { SECRET_BYTES = 32, SECRET_TEXT_MAX = WEBHOOK_SECRET_CAP, DEPTH_MAX = 1000000 };
static const double ROTATION_SECONDS = 86400;

const char *const webhook_events[] = {"segment.entered", "segment.left", "job.finished", "model.activated", NULL};

/* --- secrets */

static struct str seal(const struct service *svc, const char *text, unsigned char out[SECRET_TEXT_MAX + SEAL_OVERHEAD])
{
    size_t n = strlen(text);
    crypto_seal(svc->settings.pii_key, text, n, out);
    return (struct str){(const char *)out, n + SEAL_OVERHEAD};
}

bool webhook_unseal(const struct service *svc, struct str sealed, struct webhook_secret *out)
{
    char text[SECRET_TEXT_MAX];
    out->n = 0;
    if (!str_present(sealed)) return true;
    if (sealed.n < SEAL_OVERHEAD || sealed.n - SEAL_OVERHEAD >= sizeof text ||
        !crypto_open(svc->settings.pii_key, (const unsigned char *)sealed.p, sealed.n, text))
        return false;
    bool ok = webhook_secret_parse((struct str){text, sealed.n - SEAL_OVERHEAD}, out);
    crypto_wipe(text, sizeof text);
    return ok;
}

/* --- making and changing */

struct present {
    const struct service *svc;
    int64_t webhook_no;
    struct webhook_secret secret;
};

static void note_present(void *arg, const struct webhook_row *w)
{
    struct present *p = arg;
    p->webhook_no = w->webhook_no;
    if (!webhook_unseal(p->svc, w->secret, &p->secret)) p->secret.n = 0; /* any secret is another one */
}

static enum meros_code check(const struct service *svc, const struct webhook_wish *wish, struct meros_err *err)
{
    struct webhook_secret secret;
    struct meros_err why = MEROS_ERR_INIT;
    enum meros_code rc = http_out_url_check(wish->url, svc->settings.webhook_allow_private, &why);
    if (rc == MEROS_INVALID || rc == MEROS_UNPROCESSABLE) {
        if (rc == MEROS_UNPROCESSABLE) err_set(err, rc, "%s", why.detail);
        err_field(err, "/url", "%s", why.detail);
        return rc;
    }
    if (rc != MEROS_OK) return err_set(err, rc, "%s", why.detail);
    if (str_present(wish->secret) && !webhook_secret_parse(wish->secret, &secret))
        return err_field(err, "/secret", "must be whsec_ and the base64 of %d to %d bytes", WEBHOOK_SECRET_MIN, WEBHOOK_SECRET_MAX);
    crypto_wipe(&secret, sizeof secret);
    return MEROS_OK;
}

/* The secret it is to have from now on: given, or made where it needs one. False: it keeps what it has. */
static bool choose_secret(const struct webhook_wish *wish, bool exists, const struct webhook_secret *has, struct webhook_secret *out)
{
    if (str_present(wish->secret)) {
        if (!webhook_secret_parse(wish->secret, out)) return false; /* has been checked */
        return !exists || out->n != has->n || !crypto_equal(out->bytes, has->bytes, out->n);
    }
    if (exists && !wish->rotate) return false;
    crypto_random(out->bytes, SECRET_BYTES);
    out->n = SECRET_BYTES;
    return true;
}

static enum meros_code put_in(struct store_conn *c, struct service *svc, const struct webhook_wish *wish, bool *out_created,
                              char out_secret[WEBHOOK_SECRET_CAP], struct meros_err *err)
{
    struct present has = {.svc = svc};
    struct webhook_secret secret = {.n = 0};
    unsigned char sealed[SECRET_TEXT_MAX + SEAL_OVERHEAD];
    bool found = false;
    struct webhook_row w = {.name = wish->name,
                            .url = wish->url,
                            .n_events = wish->n_events,
                            .segmentation = wish->segmentation,
                            .segment_id = wish->segment_id,
                            .enabled = wish->enabled};
    memcpy(w.events, wish->events, sizeof w.events);
    enum meros_code rc = store_webhook_lock(c, wish->name, &found, note_present, &has, err);
    if (rc != MEROS_OK) return rc;
    out_secret[0] = '\0';
    if (choose_secret(wish, found, &has.secret, &secret)) {
        webhook_secret_text(&secret, out_secret);
        w.secret = seal(svc, out_secret, sealed);
    }
    rc = found ? store_webhook_update(c, has.webhook_no, &w, wish->rotate ? ROTATION_SECONDS : 0, err) : store_webhook_insert(c, &w, err);
    crypto_wipe(&secret, sizeof secret);
    crypto_wipe(&has.secret, sizeof has.secret);
    *out_created = !found;
    return rc;
}

/* --- showing */

struct seen {
    webhook_seen_fn fn;
    void *arg;
};

static void show(void *arg, const struct webhook_row *w)
{
    const struct seen *s = arg;
    const struct webhook_info info = {.name = w->name,
                                      .url = w->url,
                                      .events = w->events,
                                      .n_events = w->n_events,
                                      .segmentation = w->segmentation,
                                      .segment_id = w->segment_id,
                                      .enabled = w->enabled,
                                      .disabled_reason = w->disabled_reason,
                                      .disabled_at = w->disabled_at,
                                      .failing_since = w->failing_since,
                                      .last_success_at = w->last_success_at,
                                      .last_failure_at = w->last_failure_at,
                                      .created_at = w->created_at,
                                      .changed_at = w->changed_at,
                                      .last_error = w->last_error,
                                      .waiting = w->waiting,
                                      .delivered = w->delivered,
                                      .dropped = w->dropped};
    s->fn(s->arg, &info);
}

enum meros_code webhooks_put(struct service *svc, const struct webhook_wish *wish, bool *out_created,
                             char out_secret[WEBHOOK_SECRET_CAP], webhook_seen_fn fn, void *arg, struct meros_err *err)
{
    struct store_conn *c = NULL;
    struct seen s = {fn, arg};
    enum meros_code rc = check(svc, wish, err);
    if (rc != MEROS_OK) return rc;
    rc = store_acquire(svc->store, &c, err);
    if (rc == MEROS_OK) rc = store_begin(c, err);
    if (rc == MEROS_OK) rc = put_in(c, svc, wish, out_created, out_secret, err);
    if (rc == MEROS_OK) rc = store_webhook_get(c, wish->name, show, &s, err);
    if (rc == MEROS_OK) rc = store_commit(c, err);
    store_release(svc->store, c);
    return rc;
}

enum meros_code webhooks_get(struct service *svc, struct str name, webhook_seen_fn fn, void *arg, struct meros_err *err)
{
    struct store_conn *c = NULL;
    struct seen s = {fn, arg};
    enum meros_code rc = store_acquire(svc->store, &c, err);
    if (rc == MEROS_OK) rc = store_webhook_get(c, name, show, &s, err);
    store_release(svc->store, c);
    return rc;
}

enum meros_code webhooks_list(struct service *svc, struct str after, int64_t limit, webhook_seen_fn fn, void *arg, struct meros_err *err)
{
    struct store_conn *c = NULL;
    struct seen s = {fn, arg};
    enum meros_code rc = store_acquire(svc->store, &c, err);
    if (rc == MEROS_OK) rc = store_webhook_list(c, after, limit, show, &s, err);
    store_release(svc->store, c);
    return rc;
}

enum meros_code webhooks_delete(struct service *svc, struct str name, struct meros_err *err)
{
    struct store_conn *c = NULL;
    enum meros_code rc = store_acquire(svc->store, &c, err);
    if (rc == MEROS_OK) rc = store_webhook_delete(c, name, err);
    store_release(svc->store, c);
    return rc;
}

/* --- trying, and what waits */

static void note_number(void *arg, const struct webhook_row *w)
{
    int64_t *no = arg;
    *no = w->enabled ? w->webhook_no : -w->webhook_no;
}

enum meros_code webhooks_test(struct service *svc, struct str name, char out_id[40], struct meros_err *err)
{
    struct store_conn *c = NULL;
    int64_t no = 0;
    enum meros_code rc = store_acquire(svc->store, &c, err);
    if (rc == MEROS_OK) rc = store_webhook_get(c, name, note_number, &no, err);
    if (rc == MEROS_OK && no < 0) rc = err_set(err, MEROS_CONFLICT, "The webhook is switched off; PUT it again to switch it on.");
    if (rc == MEROS_OK) rc = store_outbox_test(c, no, out_id, err);
    store_release(svc->store, c);
    return rc;
}

struct waiting {
    webhook_waiting_fn fn;
    void *arg;
};

static void show_waiting(void *arg, const struct outbox_waiting *x)
{
    const struct waiting *w = arg;
    const struct webhook_waiting shown = {x->delivery_no, x->id, x->type, x->last_error, x->attempts, x->created_at, x->due_at};
    w->fn(w->arg, &shown);
}

enum meros_code webhooks_waiting(struct service *svc, struct str name, int64_t after, int64_t limit, webhook_waiting_fn fn, void *arg,
                                 struct meros_err *err)
{
    struct store_conn *c = NULL;
    struct waiting w = {fn, arg};
    int64_t no = 0;
    enum meros_code rc = store_acquire(svc->store, &c, err);
    if (rc == MEROS_OK) rc = store_webhook_get(c, name, note_number, &no, err);
    if (rc == MEROS_OK) rc = store_outbox_list(c, no < 0 ? -no : no, after, limit, show_waiting, &w, err);
    store_release(svc->store, c);
    return rc;
}

/* --- measuring */

static struct metric_family depth = {
    .name = "meros_webhook_outbox", .help = "Messages that wait for their webhooks, counted up to a million.", .kind = METRIC_GAUGE};
static struct metric_family oldest = {
    .name = "meros_webhook_oldest_seconds", .help = "How long the oldest message has waited for its webhook.", .kind = METRIC_GAUGE};

void webhooks_measure(struct service *svc)
{
    struct store_conn *c = NULL;
    struct meros_err err = MEROS_ERR_INIT;
    int64_t n = 0;
    double seconds = 0;
    if (store_acquire(svc->store, &c, &err) != MEROS_OK) return;
    if (store_outbox_depth(c, DEPTH_MAX, &n, &seconds, &err) == MEROS_OK) {
        metric_set(metric(&depth, NULL), (double)n);
        metric_set(metric(&oldest, NULL), seconds);
    }
    store_release(svc->store, c);
}
