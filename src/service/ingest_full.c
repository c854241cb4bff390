/* The whole transaction of a part that names, joins or changes customers, or carries offsets. In this order: the lock,
 * offsets, names and joins, traits, events with their statistics and outcomes, orders, who changed, commit. */
#include "ingest_priv.h"

#include <string.h>
#include "meros/service/catalog.h"
#include "meros/service/shelf.h"
#include "meros/store/changed.h"
#include "meros/store/customers.h"
#include "meros/store/identity.h"
#include "meros/store/kafka.h"
#include "meros/store/store.h"
#include "order_events_priv.h"
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
    if (x->kind == INGEST_EVENT && order_word_of(x->event.type) != ORDER_WORD_NONE) return false;
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

/* --- whose statistics, attributes or orders changed */
struct changed {
    int64_t *nos;
    size_t n;
};

static enum meros_code change_customers(struct landing *l, const struct landing_part *p, const struct identity_item *ids,
                                        struct changed *changed, struct meros_err *err)
{
    struct customer_patch *patches = arena_array(&l->arena, p->to - p->from + 1, sizeof *patches);
    size_t n = 0, n_changed;
    if (patches == NULL) return no_memory(err);
    for (size_t i = p->from; i < p->to; i++) {
        const struct ingest_item *x = l->items[i].item;
        if (x->kind != INGEST_TRAITS) continue;
        struct customer_patch *patch = &patches[n++];
        patch->customer_no = ids[i - p->from].customer_no;
        patch->change = &x->traits;
        if (!seal_text(l->svc, &l->arena, x->traits.email, &patch->person.email) ||
            !seal_text(l->svc, &l->arena, x->traits.name, &patch->person.name) ||
            !seal_text(l->svc, &l->arena, x->traits.phone, &patch->person.phone))
            return no_memory(err);
    }
    TRY(customers_patch(l->conn, patches, n, &l->arena, changed->nos + changed->n, &n_changed, err));
    changed->n += n_changed;
    return MEROS_OK;
}

/* Takes the events out of the batch that would be too many for their orders. */
static enum meros_code refuse_excess(struct landing *l, struct landing_part *p, struct meros_err *err)
{
    struct order_arrival *arrivals = arena_array(&l->arena, p->b.n_events + 1, sizeof *arrivals);
    size_t *places = arena_array(&l->arena, p->b.n_events + 1, sizeof *places), *excess, n = 0, n_excess, left = 0;
    if (arrivals == NULL || places == NULL) return no_memory(err);
    for (size_t i = 0; i < p->b.n_events; i++) {
        const struct ingest_event *e = &p->b.events[i];
        if (order_word_of(e->row->type) == ORDER_WORD_NONE) continue;
        const struct str id = order_properties_id(e->row->type, e->row->properties, &l->arena);
        if (!str_present(id)) continue;
        arrivals[n] = (struct order_arrival){id, e->customer_no, e->key};
        places[n++] = i;
    }
    if (n == 0) return MEROS_OK;
    TRY(order_events_excess(l->conn, arrivals, n, ORDER_TOLD_MAX, &l->arena, &excess, &n_excess, err));
    if (n_excess == 0) return MEROS_OK;
    for (size_t i = 0, k = 0; i < p->b.n_events; i++) {
        if (k < n_excess && places[excess[k]] == i) {
            *p->event_results[i] = (struct ingest_result){INGEST_REJECTED, "As many events speak of this order already as may speak of one; do all orders have this order_id?"};
            k++;
            continue;
        }
        p->b.events[left] = p->b.events[i];
        p->event_results[left++] = p->event_results[i];
    }
    p->b.n_events = left;
    return MEROS_OK;
}

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

/* The orders that new events speak of, and those that came along with somebody's history. */
static enum meros_code make_orders(struct landing *l, const struct landing_part *p, const struct identity_outcome *who,
                                   struct changed *changed, struct meros_err *err)
{
    struct told_order *told = arena_array(&l->arena, p->b.n_events + who->n_orders + 1, sizeof *told);
    const int64_t *nos;
    size_t n = 0, n_nos;
    if (told == NULL) return no_memory(err);
    for (size_t i = 0; i < p->b.n_events; i++) {
        const struct ingest_event *e = &p->b.events[i];
        if (e->fate != INGEST_FATE_LANDED || order_word_of(e->row->type) == ORDER_WORD_NONE) continue;
        struct str id = order_properties_id(e->row->type, e->row->properties, &l->arena);
        if (str_present(id)) told[n++] = (struct told_order){e->customer_no, id};
    }
    for (size_t i = 0; i < who->n_orders; i++) told[n++] = who->orders[i];
    if (n == 0) return MEROS_OK;
    TRY(order_events_apply(l->conn, told, n, 0, &l->arena, &nos, &n_nos, err));
    int64_t *more = arena_array(&l->arena, changed->n + n_nos + p->b.n_events + who->n_changed + who->n_gone + 1, sizeof *more);
    if (more == NULL) return no_memory(err);
    if (changed->n > 0) memcpy(more, changed->nos, changed->n * sizeof *more);
    if (n_nos > 0) memcpy(more + changed->n, nos, n_nos * sizeof *more);
    *changed = (struct changed){more, changed->n + n_nos};
    return MEROS_OK;
}

static enum meros_code note_changed(struct landing *l, const struct landing_part *p, const struct identity_outcome *who,
                                    struct changed *changed, struct meros_err *err)
{
    for (size_t i = 0; i < p->b.n_events; i++)
        if (p->b.events[i].fate == INGEST_FATE_LANDED) changed->nos[changed->n++] = p->b.events[i].customer_no;
    for (size_t i = 0; i < who->n_changed; i++) changed->nos[changed->n++] = who->changed_nos[i];
    for (size_t i = 0; i < who->n_gone; i++) changed->nos[changed->n++] = who->gone_nos[i];
    return store_changed_note(l->conn, changed->nos, changed->n, err);
}

/* Before anybody is answered: those who were noted, and those of events that were there already (tell_memory in ingest_land.c). */
static void tell_memory(struct landing *l, const struct landing_part *p, const struct changed *changed)
{
    shelf_forget(l->svc, changed->nos, changed->n); /* traits and joins may bring a refused consent */
    for (size_t i = 0; i < p->b.n_events; i++) shelf_changed(l->svc, &p->b.events[i].customer_no, 1);
    if (p->b.named) catalog_mentioned(l->svc);
}

/* The fence against a reader that has lost its partitions and does not know it: what it holds lands only where nobody has
 * read on meanwhile. Parts before the last one leave the places where they are, locked. */
static enum meros_code move_offsets(struct landing *l, const struct landing_part *p, struct meros_err *err)
{
    const struct pending *r = l->first;
    struct ingest_offset *moves = arena_array(&l->arena, r->n_offsets + 1, sizeof *moves);
    size_t n = 0;
    bool moved;
    if (moves == NULL) return no_memory(err);
    for (size_t i = 0; i < r->n_offsets; i++) {
        struct ingest_offset o = r->offsets[i];
        if (!p->last) o.next = o.from;
        if (p->last || o.from >= 0) moves[n++] = o;
    }
    TRY(store_kafka_offsets_move(l->conn, r->offsets_group, moves, n, &moved, err));
    return moved ? MEROS_OK : err_set(err, MEROS_CANCELLED, "Another reader of the group has landed these messages, or others in their place.");
}

/* The places of a request that was not to be landed: all where it would have moved them, so an earlier attempt landed it
 * whose commit was in doubt; or another reader did, which is as good. */
static enum meros_code landed_before(struct landing *l, bool *out, struct meros_err *err)
{
    const struct pending *r = l->first;
    struct ingest_offset *stored = arena_array(&l->arena, r->n_offsets + 1, sizeof *stored);
    if (stored == NULL) return no_memory(err);
    memcpy(stored, r->offsets, r->n_offsets * sizeof *stored);
    *out = true;
    TRY(store_kafka_offsets_read(l->conn, r->offsets_group, stored, r->n_offsets, err));
    for (size_t i = 0; i < r->n_offsets; i++) *out &= stored[i].next == r->offsets[i].next;
    return MEROS_OK;
}

/* *out_again: nothing was done, the lock has to be held alone. */
static enum meros_code land(struct landing *l, struct landing_part *p, bool exclusive, bool *out_again, struct meros_err *err)
{
    struct identity_outcome who = {0};
    struct identity_item *ids = NULL;
    struct changed changed = {0};
    *out_again = false;
    TRY(store_begin(l->conn, err));
    TRY(store_ingest_lock(l->conn, exclusive, err));
    if (l->offsets) TRY(move_offsets(l, p, err));
    TRY(resolve(l, p, exclusive, &ids, &who, err));
    *out_again = who.exclusive;
    if (who.exclusive) return MEROS_OK;
    changed.nos = arena_array(&l->arena, p->to - p->from + p->b.n_events + who.n_changed + who.n_gone + 1, sizeof *changed.nos);
    if (changed.nos == NULL) return no_memory(err);
    TRY(change_customers(l, p, ids, &changed, err));
    number(l, p, ids);
    TRY(refuse_excess(l, p, err));
    TRY(store_ingest_send(l->conn, &p->b, false, err));
    TRY(store_ingest_wait(l->conn, &p->b, err));
    TRY(make_orders(l, p, &who, &changed, err));
    TRY(note_changed(l, p, &who, &changed, err));
    TRY(store_commit(l->conn, err));
    tell_memory(l, p, &changed);
    return MEROS_OK;
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
        if (store_broken(l->conn)) shelf_doubt(l->svc);
        else store_rollback(l->conn);
        bool landed = false;
        struct meros_err why = MEROS_ERR_INIT;
        if (rc != MEROS_CANCELLED || landed_before(l, &landed, &why) != MEROS_OK || !landed) return rc;
        for (size_t i = 0; i < p->b.n_events; i++) p->b.events[i].fate = INGEST_FATE_SEEN;
        for (size_t i = 0; i < p->b.n_outcomes; i++) p->b.outcomes[i].fate = INGEST_FATE_SEEN;
        err_clear(err);
        return MEROS_OK;
    }
    for (size_t i = p->from; i < p->to; i++) {
        const struct ingest_item *x = l->items[i].item;
        if (!landing_plain(l, x) && !x->anonymous && x->kind != INGEST_ALIAS && str_present(x->anonymous_id))
            ingest_hints_pair(l->hints, x->customer_id, x->anonymous_id);
    }
    return MEROS_OK;
}
