/* Writing down what came of messages, and what that means for their webhooks. */
#include "webhooks_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include "meros/base/counters.h"
#include "meros/base/crypto.h"
#include "meros/base/log.h"
#include "meros/store/webhooks.h"

static struct metric_family deliveries = {
    .name = "meros_webhook_deliveries_total",
    .help = "Attempts to deliver a message to a webhook by what came of them; dropped: the last of a message that is given up.",
    .kind = METRIC_COUNTER,
    .labels = {"result"}};
static struct metric_family switched_off = {
    .name = "meros_webhooks_switched_off_total", .help = "Webhooks that were switched off for not answering.", .kind = METRIC_COUNTER};

/* Of messages that have the same fate. */
struct group {
    int64_t *webhook_nos, *delivery_nos, *attempts;
    size_t n;
};

struct outcome {
    struct webhook_outcome o;
    bool gone;     /* it answered 410 */
    double retry_after;
    char off[256]; /* why it was switched off; "": it was not */
    char name[WEBHOOK_NAME_CAP];
};

struct ledger {
    struct group done, failed, back;
    double *delays; /* of failed */
    struct str *errors;
    struct outcome *outcomes;
    size_t n_outcomes;
    size_t delivered, tried_again, dropped;
};

static double chance(void)
{
    uint32_t x;
    crypto_random(&x, sizeof x);
    return x / 4294967296.0;
}

static bool group_init(struct group *g, size_t n)
{
    int64_t *numbers = malloc((3 * n + 1) * sizeof *numbers);
    if (numbers == NULL) return false;
    *g = (struct group){numbers, numbers + n, numbers + 2 * n, 0};
    return true;
}

static void ledger_done(struct ledger *l)
{
    free(l->done.webhook_nos);
    free(l->failed.webhook_nos);
    free(l->back.webhook_nos);
    free(l->delays);
    free(l->errors);
    free(l->outcomes);
}

static void add(struct group *g, const struct webhook_message *m)
{
    g->webhook_nos[g->n] = m->webhook_no;
    g->delivery_nos[g->n] = m->delivery_no;
    g->attempts[g->n++] = m->attempts;
}

static struct outbox_claimed claimed(const struct group *g)
{
    return (struct outbox_claimed){g->webhook_nos, g->delivery_nos, g->attempts, g->n};
}

static struct outcome *outcome_of(struct ledger *l, int64_t webhook_no)
{
    for (size_t i = 0; i < l->n_outcomes; i++) {
        if (l->outcomes[i].o.webhook_no == webhook_no) return &l->outcomes[i];
    }
    struct outcome *x = &l->outcomes[l->n_outcomes++];
    *x = (struct outcome){.o = {.webhook_no = webhook_no}};
    return x;
}

static void enter_failure(struct ledger *l, const struct webhook_message *m)
{
    struct outcome *x = outcome_of(l, m->webhook_no);
    double delay = webhook_backoff(m->attempts, chance());
    x->o.last_failed = true;
    x->o.error = str_of(m->error);
    if (m->attempts == 1) x->o.failed_after++;
    else x->o.failed_again++;
    x->gone = x->gone || m->status == 410;
    if (m->status == 429 || m->status == 503) {
        if (m->retry_after > x->retry_after) x->retry_after = m->retry_after;
        if (m->retry_after > delay) delay = m->retry_after;
    }
    if (m->drop) {
        add(&l->done, m);
        x->o.dropped++;
        l->dropped++;
        return;
    }
    l->delays[l->failed.n] = delay;
    l->errors[l->failed.n] = str_of(m->error);
    add(&l->failed, m);
    l->tried_again++;
}

static void enter(struct ledger *l, const struct webhook_message *m)
{
    struct outcome *x;
    switch (m->came) {
    case WEBHOOK_BACK: add(&l->back, m); break;
    case WEBHOOK_GONE: add(&l->done, m); break;
    case WEBHOOK_FAILED: enter_failure(l, m); break;
    case WEBHOOK_DELIVERED:
        add(&l->done, m);
        x = outcome_of(l, m->webhook_no);
        x->o.delivered++;
        x->o.last_failed = false;
        x->o.failed_after = x->o.failed_again = 0;
        l->delivered++;
        break;
    }
}

static enum meros_code ledger_make(struct ledger *l, const struct webhook_message *first, struct meros_err *err)
{
    size_t n = 0;
    for (const struct webhook_message *m = first; m != NULL; m = m->next) n++;
    l->delays = malloc((n + 1) * sizeof *l->delays);
    l->errors = malloc((n + 1) * sizeof *l->errors);
    l->outcomes = malloc((n + 1) * sizeof *l->outcomes);
    if (l->delays == NULL || l->errors == NULL || l->outcomes == NULL || !group_init(&l->done, n) || !group_init(&l->failed, n) ||
        !group_init(&l->back, n))
        return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for what came of webhooks.");
    for (const struct webhook_message *m = first; m != NULL; m = m->next) enter(l, m);
    return MEROS_OK;
}

/* How long it is left alone: longer the more messages have failed in a row, as long as it asked for, but not beyond the
 * moment at which it is given up. 0: not at all. */
static double rest_of(const struct outcome *x, const struct webhook_state *state, double give_up_s)
{
    double rest = state->failures >= WEBHOOK_RESTS_AFTER ? webhook_backoff(state->failures - WEBHOOK_RESTS_AFTER + 1, chance()) : 0;
    double left = give_up_s - state->failing_seconds;
    if (x->retry_after > rest) rest = x->retry_after;
    return rest > left ? left : rest;
}

static enum meros_code write_outcome(struct store_conn *c, struct outcome *x, double give_up_s, struct meros_err *err)
{
    struct webhook_state state;
    enum meros_code rc = store_webhook_result(c, &x->o, &state, err);
    if (rc != MEROS_OK || !x->o.last_failed) return rc;
    if (x->gone)
        snprintf(x->off, sizeof x->off, "It answered 410 Gone: it wants no more.");
    else if (state.failing_seconds >= give_up_s)
        snprintf(x->off, sizeof x->off, "No delivery has succeeded for %.4g hours. The last failed so: %.*s", state.failing_seconds / 3600,
                 (int)x->o.error.n, x->o.error.p);
    if (x->off[0] != '\0') return store_webhook_switch_off(c, x->o.webhook_no, str_of(x->off), x->name, err);
    double rest = rest_of(x, &state, give_up_s);
    return rest > 0 ? store_webhook_rest(c, x->o.webhook_no, rest, err) : MEROS_OK;
}

static int by_number(const void *a, const void *b)
{
    int64_t x = ((const struct outcome *)a)->o.webhook_no, y = ((const struct outcome *)b)->o.webhook_no;
    return (x > y) - (x < y);
}

static enum meros_code write(struct store_conn *c, struct ledger *l, double give_up_s, struct meros_err *err)
{
    enum meros_code rc = store_begin(c, err);
    if (rc == MEROS_OK && l->done.n > 0) rc = store_outbox_done(c, claimed(&l->done), err);
    if (rc == MEROS_OK && l->failed.n > 0) rc = store_outbox_failed(c, claimed(&l->failed), l->delays, l->errors, err);
    if (rc == MEROS_OK && l->back.n > 0) rc = store_outbox_give_back(c, claimed(&l->back), err);
    /* In the order of their numbers, so that replicas do not wait for each other in a circle. */
    qsort(l->outcomes, l->n_outcomes, sizeof *l->outcomes, by_number);
    for (size_t i = 0; rc == MEROS_OK && i < l->n_outcomes; i++) rc = write_outcome(c, &l->outcomes[i], give_up_s, err);
    if (rc == MEROS_OK) rc = store_commit(c, err);
    if (rc != MEROS_OK) store_rollback(c);
    return rc;
}

static void count(const char *result, size_t n)
{
    if (n > 0) metric_add(metric(&deliveries, (const char *const[]){result}), (double)n);
}

enum meros_code webhook_settle(struct store_conn *c, const struct webhook_message *first, double give_up_s, bool *out_changed,
                               struct meros_err *err)
{
    struct ledger l = {0};
    enum meros_code rc = ledger_make(&l, first, err);
    if (rc == MEROS_OK) rc = write(c, &l, give_up_s, err);
    if (rc != MEROS_OK) goto out;
    count("delivered", l.delivered);
    count("failed", l.tried_again);
    count("dropped", l.dropped);
    *out_changed = l.tried_again + l.dropped > 0 || l.back.n > 0;
    for (size_t i = 0; i < l.n_outcomes; i++) {
        const struct outcome *x = &l.outcomes[i];
        if (x->off[0] == '\0' || x->name[0] == '\0') continue;
        metric_add(metric(&switched_off, NULL), 1);
        log_warn("webhook.switched_off", KV("webhook", x->name), KV("reason", x->off));
    }
out:
    ledger_done(&l);
    return rc;
}
