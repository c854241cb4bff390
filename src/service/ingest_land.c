/* From a batch to the database: parts of it, each a transaction. Usually the one part is all of it. */
#include "ingest_priv.h"

#include "meros/base/clock.h"
#include "meros/base/log.h"
#include "meros/service/catalog.h"
#include "meros/service/shelf.h"
#include "meros/store/store.h"

enum { STATEMENT_MS = 15000, STANDSTILL_MS = 5000 };

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
    if (rc == MEROS_OK) rc = store_set_standstill(l->conn, STANDSTILL_MS, err);
    return rc != MEROS_OK ? rc : store_set_timeout(l->conn, STATEMENT_MS, err);
}

static enum meros_code flatten(struct landing *l, struct pending *first, struct meros_err *err)
{
    size_t n = 0;
    for (const struct pending *p = first; p != NULL; p = p->next) n += p->n;
    l->first = NULL;
    l->n = 0;
    l->offsets = false;
    l->now = clock_now();
    l->items = arena_alloc(&l->arena, (n + 1) * sizeof *l->items);
    if (l->items == NULL) return no_memory(err);
    for (struct pending *p = first; p != NULL; p = p->next) {
        for (size_t i = 0; i < p->n; i++) l->items[l->n++] = (struct landing_item){&p->items[i], &p->keys[i], &p->results[i]};
        l->offsets |= p->n_offsets > 0;
    }
    l->first = first;
    return MEROS_OK;
}

static enum meros_code make_part(struct landing *l, size_t from, size_t to, struct landing_part *p, struct meros_err *err)
{
    const size_t n = to - from + 1;
    *p = (struct landing_part){.from = from, .to = to, .last = to == l->n};
    p->plain = !l->offsets;
    p->event_results = arena_alloc(&l->arena, n * sizeof(struct ingest_result *));
    p->outcome_results = arena_alloc(&l->arena, n * sizeof(struct ingest_result *));
    p->b = (struct ingest_batch){.events = arena_alloc(&l->arena, n * sizeof *p->b.events),
                                 .outcomes = arena_alloc(&l->arena, n * sizeof *p->b.outcomes),
                                 .now = l->now,
                                 .half_life_days = l->svc->settings.activity_half_life_days,
                                 .hints = l->hints,
                                 .arena = &l->arena};
    if (p->event_results == NULL || p->outcome_results == NULL || p->b.events == NULL || p->b.outcomes == NULL)
        return no_memory(err);
    for (size_t i = from; i < to; i++) {
        const struct landing_item *x = &l->items[i];
        *x->result = (struct ingest_result){.verdict = INGEST_ACCEPTED};
        if (p->plain) p->plain = landing_plain(l, x->item);
        if (x->item->kind == INGEST_EVENT) {
            p->event_results[p->b.n_events] = x->result;
            p->b.events[p->b.n_events++] =
                (struct ingest_event){.row = &x->item->event, .anonymous = x->item->anonymous, .key = *x->key};
        } else if (x->item->kind == INGEST_OUTCOME) {
            p->outcome_results[p->b.n_outcomes] = x->result;
            p->b.outcomes[p->b.n_outcomes++] = (struct ingest_outcome){.row = &x->item->outcome, .key = *x->key};
        }
    }
    return MEROS_OK;
}

static void take_fates(const struct landing_part *p)
{
    static const enum ingest_verdict verdicts[] = {[INGEST_FATE_LANDED] = INGEST_ACCEPTED, [INGEST_FATE_SEEN] = INGEST_DUPLICATE};
    for (size_t i = 0; i < p->b.n_events; i++) p->event_results[i]->verdict = verdicts[p->b.events[i].fate];
    for (size_t i = 0; i < p->b.n_outcomes; i++) p->outcome_results[i]->verdict = verdicts[p->b.outcomes[i].fate];
}

/* Before anybody is answered. Whatever their fate: of what was there already nobody knows whether it came with an earlier attempt whose
 * commit was in doubt. */
static void tell_memory(struct landing *l, const struct landing_part *p, int64_t sent_ns)
{
    const struct ingest_batch *b = &p->b;
    for (size_t i = 0; i < b->n_events; i++) {
        const struct ingest_event *e = &b->events[i];
        const struct event_row *r = e->row;
        const struct shelf_event x = {r->customer_id, e->customer_no, e->product_no, r->type,
                                      r->occurred_at == TIME_NONE ? b->now : r->occurred_at, decimal_double(r->value)};
        if (e->fate == INGEST_FATE_LANDED && !b->named) shelf_add(l->svc, &x, 1, sent_ns);
        else shelf_changed(l->svc, &e->customer_no, 1);
    }
    if (b->named) catalog_mentioned(l->svc);
}

static enum meros_code land_plain(struct landing *l, struct landing_part *p, struct meros_err *err)
{
    const int64_t sent_ns = clock_mono_ns();
    enum meros_code rc = store_ingest_send(l->conn, &p->b, true, err);
    if (rc != MEROS_OK) return rc;
    rc = store_ingest_wait(l->conn, &p->b, err);
    if (rc == MEROS_OK) tell_memory(l, p, sent_ns);
    else if (store_broken(l->conn)) shelf_doubt(l->svc);
    else store_rollback(l->conn);
    return rc;
}

static bool refused_value(const struct meros_err *err)
{
    return err->code == MEROS_UNPROCESSABLE &&
           (memcmp(err->sqlstate, "22", 2) == 0 || memcmp(err->sqlstate, "23", 2) == 0 || memcmp(err->sqlstate, "54", 2) == 0);
}

static void reject(struct landing *l, size_t at, const struct meros_err *err)
{
    static const char *const kinds[] = {[INGEST_EVENT] = "event", [INGEST_TRAITS] = "traits", [INGEST_ALIAS] = "alias", [INGEST_OUTCOME] = "outcome"};
    *l->items[at].result = (struct ingest_result){INGEST_REJECTED, "The database cannot hold one of its values."};
    log_error("ingest.refused", KV("kind", kinds[l->items[at].item->kind]), KV("sqlstate", err->sqlstate), KV("detail", err->detail));
}

static enum meros_code land_part(struct landing *l, size_t from, size_t to, struct meros_err *err);

/* A value that should not have come this far: by halves down to the one item that holds it. */
static enum meros_code land_halves(struct landing *l, size_t from, size_t to, struct meros_err *err)
{
    if (to == from) return err->code; /* offsets alone hold no value that could be refused */
    if (to - from == 1) {
        reject(l, from, err);
        if (to < l->n || !l->offsets) return MEROS_OK;
        return land_part(l, to, to, err); /* it was the last one: the offsets still count */
    }
    const size_t middle = from + (to - from) / 2;
    enum meros_code rc = land_part(l, from, middle, err);
    return rc != MEROS_OK ? rc : land_part(l, middle, to, err);
}

static enum meros_code land_part(struct landing *l, size_t from, size_t to, struct meros_err *err)
{
    struct landing_part p;
    enum meros_code rc = make_part(l, from, to, &p, err);
    if (rc != MEROS_OK) return rc;
    rc = p.plain ? land_plain(l, &p, err) : landing_full(l, &p, err);
    if (rc == MEROS_OK) take_fates(&p);
    return rc != MEROS_OK && refused_value(err) ? land_halves(l, from, to, err) : rc;
}

enum meros_code landing_land(struct landing *l, struct pending *first, struct meros_err *err)
{
    enum meros_code rc = l->first == first ? MEROS_OK : flatten(l, first, err);
    if (rc == MEROS_OK) rc = connect(l, err);
    return rc != MEROS_OK ? rc : land_part(l, 0, l->n, err);
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
