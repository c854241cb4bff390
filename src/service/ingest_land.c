#include "ingest_priv.h"

#include <stdio.h>
#include "meros/base/clock.h"
#include "meros/base/log.h"
#include "meros/service/ingest.h"
#include "meros/store/store.h"

enum { STATEMENT_MS = 15000 };

static enum meros_code no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for a batch of events.");
}

static enum meros_code connect(struct landing *l, struct meros_err *err)
{
    if (l->conn != NULL && store_broken(l->conn)) {
        store_disconnect(l->conn);
        l->conn = NULL;
    }
    if (l->conn != NULL) return MEROS_OK;
    enum meros_code rc = store_ingest_connect(l->svc->store, &l->conn, err);
    return rc != MEROS_OK ? rc : store_set_timeout(l->conn, STATEMENT_MS, err);
}

static enum meros_code flatten(struct landing *l, struct pending *first, struct meros_err *err)
{
    size_t n = 0;
    for (const struct pending *p = first; p != NULL; p = p->next) n += p->n;
    l->first = NULL;
    l->n_events = l->n_outcomes = 0;
    l->offsets = false;
    l->now = clock_now();
    l->events = arena_array(&l->arena, n + 1, sizeof *l->events);
    l->event_results = arena_array(&l->arena, n + 1, sizeof(struct ingest_result *));
    l->outcomes = arena_array(&l->arena, n + 1, sizeof *l->outcomes);
    l->outcome_results = arena_array(&l->arena, n + 1, sizeof(struct ingest_result *));
    if (l->events == NULL || l->event_results == NULL || l->outcomes == NULL || l->outcome_results == NULL)
        return no_memory(err);
    for (struct pending *p = first; p != NULL; p = p->next) {
        for (size_t i = 0; i < p->n; i++) {
            const struct ingest_item *x = &p->items[i];
            if (x->kind == INGEST_EVENT) {
                l->events[l->n_events] = (struct ingest_event){.row = &x->event, .anonymous = x->anonymous, .key = p->keys[i]};
                l->event_results[l->n_events++] = &p->results[i];
            } else {
                l->outcomes[l->n_outcomes] = (struct ingest_outcome){.row = &x->outcome, .key = p->keys[i]};
                l->outcome_results[l->n_outcomes++] = &p->results[i];
            }
        }
        l->offsets |= p->n_offsets > 0;
    }
    l->first = first;
    return MEROS_OK;
}

/* Items from..to, counting events first and outcomes behind them. */
static struct ingest_batch part(struct landing *l, size_t from, size_t to)
{
    const size_t ne = l->n_events;
    struct ingest_batch b = {.now = l->now,
                             .half_life_days = l->svc->settings.activity_half_life_days,
                             .hints = l->hints,
                             .arena = &l->arena};
    if (from < ne) b.events = l->events + from, b.n_events = (to < ne ? to : ne) - from;
    if (to > ne) b.outcomes = l->outcomes + (from > ne ? from - ne : 0), b.n_outcomes = to - (from > ne ? from : ne);
    return b;
}

static enum meros_code land_whole(struct landing *l, struct ingest_batch *b, struct meros_err *err)
{
    enum meros_code rc = store_ingest_send(l->conn, b, true, err);
    if (rc == MEROS_OK) rc = store_ingest_wait(l->conn, b, err);
    if (rc != MEROS_OK && !store_broken(l->conn)) store_rollback(l->conn);
    return rc;
}

/* Those whose customer or product was erased between two batches: once more, asking for nothing to be there. */
static enum meros_code land_lost(struct landing *l, struct ingest_batch *b, struct meros_err *err)
{
    size_t n = 0, n_outcomes = 0;
    for (size_t i = 0; i < b->n_events; i++) n += b->events[i].fate == INGEST_FATE_LOST;
    for (size_t i = 0; i < b->n_outcomes; i++) n_outcomes += b->outcomes[i].fate == INGEST_FATE_LOST;
    if (n + n_outcomes == 0) return MEROS_OK;
    ingest_hints_clear(l->hints);
    struct ingest_event *events = arena_array(&l->arena, n + 1, sizeof *events);
    struct ingest_outcome *outcomes = arena_array(&l->arena, n_outcomes + 1, sizeof *outcomes);
    if (events == NULL || outcomes == NULL) return no_memory(err);
    n = n_outcomes = 0;
    for (size_t i = 0; i < b->n_events; i++)
        if (b->events[i].fate == INGEST_FATE_LOST) events[n++] = b->events[i];
    for (size_t i = 0; i < b->n_outcomes; i++)
        if (b->outcomes[i].fate == INGEST_FATE_LOST) outcomes[n_outcomes++] = b->outcomes[i];
    struct ingest_batch again = {.events = events, .n_events = n, .outcomes = outcomes, .n_outcomes = n_outcomes, .now = b->now,
                                 .half_life_days = b->half_life_days, .arena = &l->arena};
    enum meros_code rc = land_whole(l, &again, err);
    if (rc != MEROS_OK) return rc;
    bool lost = false;
    n = n_outcomes = 0;
    for (size_t i = 0; i < b->n_events; i++) {
        if (b->events[i].fate == INGEST_FATE_LOST) b->events[i].fate = events[n++].fate;
        lost |= b->events[i].fate == INGEST_FATE_LOST;
    }
    for (size_t i = 0; i < b->n_outcomes; i++) {
        if (b->outcomes[i].fate == INGEST_FATE_LOST) b->outcomes[i].fate = outcomes[n_outcomes++].fate;
        lost |= b->outcomes[i].fate == INGEST_FATE_LOST;
    }
    return lost ? err_set(err, MEROS_UNAVAILABLE, "A customer or product was erased at this moment; try again.") : MEROS_OK;
}

static bool refused_value(const struct meros_err *err)
{
    return err->code == MEROS_UNPROCESSABLE &&
           (memcmp(err->sqlstate, "22", 2) == 0 || memcmp(err->sqlstate, "23", 2) == 0 || memcmp(err->sqlstate, "54", 2) == 0);
}

static void reject(struct landing *l, size_t at, const struct meros_err *err)
{
    struct ingest_result *r = at < l->n_events ? l->event_results[at] : l->outcome_results[at - l->n_events];
    *r = (struct ingest_result){INGEST_REJECTED, "The database cannot hold one of its values."};
    log_error("ingest.refused", KV("kind", at < l->n_events ? "event" : "outcome"), KV("sqlstate", err->sqlstate),
              KV("detail", err->detail));
}

static void take_fates(struct landing *l, const struct ingest_batch *b)
{
    static const enum ingest_verdict verdicts[] = {[INGEST_FATE_LANDED] = INGEST_ACCEPTED, [INGEST_FATE_SEEN] = INGEST_DUPLICATE};
    for (size_t i = 0; i < b->n_events; i++)
        *l->event_results[b->events + i - l->events] = (struct ingest_result){.verdict = verdicts[b->events[i].fate]};
    for (size_t i = 0; i < b->n_outcomes; i++)
        *l->outcome_results[b->outcomes + i - l->outcomes] = (struct ingest_result){.verdict = verdicts[b->outcomes[i].fate]};
}

static enum meros_code land_part(struct landing *l, size_t from, size_t to, struct meros_err *err);

/* A value that should not have come this far: by halves down to the one item that holds it. */
static enum meros_code land_halves(struct landing *l, size_t from, size_t to, struct meros_err *err)
{
    if (to - from <= 1) {
        if (to > from) reject(l, from, err);
        return MEROS_OK;
    }
    const size_t middle = from + (to - from) / 2;
    enum meros_code rc = land_part(l, from, middle, err);
    return rc != MEROS_OK ? rc : land_part(l, middle, to, err);
}

static enum meros_code landed(struct landing *l, struct ingest_batch *b, struct meros_err *err)
{
    enum meros_code rc = land_lost(l, b, err);
    if (rc == MEROS_OK) take_fates(l, b);
    return rc;
}

static enum meros_code land_part(struct landing *l, size_t from, size_t to, struct meros_err *err)
{
    struct ingest_batch b = part(l, from, to);
    enum meros_code rc = land_whole(l, &b, err);
    if (rc == MEROS_OK) rc = landed(l, &b, err);
    return rc != MEROS_OK && refused_value(err) ? land_halves(l, from, to, err) : rc;
}

void landing_begin(struct landing *l, struct pending *first)
{
    l->is_sent = false;
    if (flatten(l, first, NULL) != MEROS_OK || connect(l, NULL) != MEROS_OK) return;
    l->sent = part(l, 0, l->n_events + l->n_outcomes);
    l->is_sent = store_ingest_send(l->conn, &l->sent, true, NULL) == MEROS_OK;
}

enum meros_code landing_finish(struct landing *l, struct pending *first, struct meros_err *err)
{
    enum meros_code rc = MEROS_OK;
    if (!l->is_sent) {
        if (l->first != first) rc = flatten(l, first, err);
        if (rc == MEROS_OK) rc = connect(l, err);
        return rc != MEROS_OK ? rc : land_part(l, 0, l->n_events + l->n_outcomes, err);
    }
    l->is_sent = false;
    rc = store_ingest_wait(l->conn, &l->sent, err);
    if (rc != MEROS_OK && !store_broken(l->conn)) store_rollback(l->conn);
    if (rc == MEROS_OK) rc = landed(l, &l->sent, err);
    return rc != MEROS_OK && refused_value(err) ? land_halves(l, 0, l->n_events + l->n_outcomes, err) : rc;
}

void landing_end(struct landing *l)
{
    arena_done(&l->arena);
    l->first = NULL;
}

void landing_close(struct landing *l)
{
    store_disconnect(l->conn);
    l->conn = NULL;
    ingest_hints_free(l->hints);
    l->hints = NULL;
    arena_done(&l->arena);
}
