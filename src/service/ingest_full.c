/* The whole transaction of a part that names, joins or changes customers, or carries offsets. In this order: the lock,
 * names and joins, traits, events with their statistics and outcomes, orders, who changed, offsets, commit. */
#include "ingest_priv.h"

#include <stdlib.h>
#include "meros/store/changed.h"
#include "meros/store/customers.h"
#include "meros/store/identity.h"
#include "meros/store/kafka.h"
#include "meros/store/store.h"
#include "seal_priv.h"

#define TRY(call)                                                                                            \
    do {                                                                                                     \
        enum meros_code try_rc = (call);                                                                     \
        if (try_rc != MEROS_OK) return try_rc;                                                               \
    } while (0)

static enum meros_code no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for a batch of events.");
}

bool landing_plain(const struct landing *l, const struct ingest_item *x)
{
    if (x->kind != INGEST_EVENT && x->kind != INGEST_OUTCOME) return false;
    if (!str_present(x->anonymous_id) || x->anonymous || str_eq(x->anonymous_id, x->customer_id)) return true;
    return ingest_hints_paired(l->hints, x->customer_id, x->anonymous_id);
}

static enum meros_code resolve(struct landing *l, const struct landing_part *p, bool exclusive, struct identity_item **out_ids,
                               struct identity_outcome *who, struct meros_err *err)
{
    struct identity_item *ids = arena_alloc(&l->arena, (p->to - p->from + 1) * sizeof *ids);
    if (ids == NULL) return no_memory(err);
    for (size_t i = p->from; i < p->to; i++) {
        const struct ingest_item *x = l->items[i].item;
        const bool alias = x->kind == INGEST_ALIAS;
        const struct str other = alias ? x->previous_id : x->anonymous ? STR_NONE : x->anonymous_id;
        ids[i - p->from] = (struct identity_item){.id = x->customer_id, .anonymous = x->anonymous, .alias = alias, .other = other};
    }
    *out_ids = ids;
    return identity_resolve(l->conn, exclusive, ids, p->to - p->from, &l->arena, who, err);
}

/* --- traits: the customers in the order of their numbers, so that two batches do not wait for each other in a circle,
 * and what was said of one customer in the order in which it was said. */
struct told {
    int64_t customer_no;
    size_t at;
};

static int by_customer(const void *a, const void *b)
{
    const struct told *x = a, *y = b;
    if (x->customer_no != y->customer_no) return x->customer_no < y->customer_no ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

static enum meros_code change_one(struct landing *l, const struct ingest_item *x, struct meros_err *err)
{
    struct sealed_person person = {0};
    bool created;
    struct service *svc = l->svc;
    if (!seal_text(svc, &l->arena, x->traits.email, &person.email) || !seal_text(svc, &l->arena, x->traits.name, &person.name) ||
        !seal_text(svc, &l->arena, x->traits.phone, &person.phone))
        return no_memory(err);
    return customers_change(l->conn, x->customer_id, &x->traits, &person, &created, err);
}

static enum meros_code change_customers(struct landing *l, const struct landing_part *p, const struct identity_item *ids,
                                        struct meros_err *err)
{
    struct told *told = arena_alloc(&l->arena, (p->to - p->from + 1) * sizeof *told);
    size_t n = 0;
    if (told == NULL) return no_memory(err);
    for (size_t i = p->from; i < p->to; i++)
        if (l->items[i].item->kind == INGEST_TRAITS) told[n++] = (struct told){ids[i - p->from].customer_no, i};
    if (n > 1) qsort(told, n, sizeof *told, by_customer);
    for (size_t k = 0; k < n; k++) TRY(change_one(l, l->items[told[k].at].item, err));
    return MEROS_OK;
}

/* --- the rest */

static void number(struct landing *l, struct landing_part *p, const struct identity_item *ids)
{
    size_t events = 0, outcomes = 0;
    for (size_t i = p->from; i < p->to; i++) {
        if (l->items[i].item->kind == INGEST_EVENT) p->b.events[events++].customer_no = ids[i - p->from].customer_no;
        if (l->items[i].item->kind == INGEST_OUTCOME) p->b.outcomes[outcomes++].customer_no = ids[i - p->from].customer_no;
    }
    p->b.hints = NULL;
    p->b.resolved = true;
}

static enum meros_code note_changed(struct landing *l, const struct landing_part *p, const struct identity_outcome *who, struct meros_err *err)
{
    int64_t *nos = arena_alloc(&l->arena, (p->b.n_events + who->n_changed + 1) * sizeof *nos);
    size_t n = 0;
    if (nos == NULL) return no_memory(err);
    for (size_t i = 0; i < p->b.n_events; i++)
        if (p->b.events[i].fate == INGEST_FATE_LANDED) nos[n++] = p->b.events[i].customer_no;
    for (size_t i = 0; i < who->n_changed; i++) nos[n++] = who->changed_nos[i];
    return store_changed_note(l->conn, nos, n, err);
}

static enum meros_code keep_offsets(struct landing *l, struct meros_err *err)
{
    for (const struct pending *p = l->first; p != NULL; p = p->next)
        if (p->n_offsets > 0) TRY(store_kafka_offsets_write(l->conn, p->offsets_group, p->offsets, p->n_offsets, err));
    return MEROS_OK;
}

/* *out_again: nothing was done, the lock has to be held alone. */
static enum meros_code land(struct landing *l, struct landing_part *p, bool exclusive, bool *out_again, struct meros_err *err)
{
    struct identity_outcome who = {0};
    struct identity_item *ids = NULL;
    *out_again = false;
    TRY(store_begin(l->conn, err));
    TRY(store_ingest_lock(l->conn, exclusive, err));
    TRY(resolve(l, p, exclusive, &ids, &who, err));
    *out_again = who.exclusive;
    if (who.exclusive) return MEROS_OK;
    TRY(change_customers(l, p, ids, err));
    number(l, p, ids);
    TRY(store_ingest_send(l->conn, &p->b, false, err));
    TRY(store_ingest_wait(l->conn, &p->b, err));
    TRY(note_changed(l, p, &who, err));
    if (p->last) TRY(keep_offsets(l, err));
    return store_commit(l->conn, err);
}

enum meros_code landing_full(struct landing *l, struct landing_part *p, struct meros_err *err)
{
    bool again = false;
    enum meros_code rc = land(l, p, false, &again, err);
    if (rc == MEROS_OK && again) {
        store_rollback(l->conn);
        rc = land(l, p, true, &again, err);
    }
    if (rc == MEROS_OK && again) rc = err_set(err, MEROS_INTERNAL, "Customers could not be joined.");
    if (rc != MEROS_OK || again) {
        if (!store_broken(l->conn)) store_rollback(l->conn);
        return rc;
    }
    for (size_t i = p->from; i < p->to; i++) {
        const struct ingest_item *x = l->items[i].item;
        if (!landing_plain(l, x) && !x->anonymous && x->kind != INGEST_ALIAS && str_present(x->anonymous_id))
            ingest_hints_pair(l->hints, x->customer_id, x->anonymous_id);
    }
    return MEROS_OK;
}
