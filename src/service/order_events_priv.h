/* Making orders from events, for the ingest path and imports of events. And what one event says of an order, read from its
 * properties: for the check (order_events.c) and the fold (order_fold.c), so that what passes the one is understood by
 * the other. */
#ifndef MEROS_SERVICE_ORDER_EVENTS_PRIV_H
#define MEROS_SERVICE_ORDER_EVENTS_PRIV_H

#include "meros/codec/json.h"
#include "meros/service/order_events.h"
#include "meros/store/order_events.h"

/* Makes the lines: sets owner_no, replaces, lines, n_lines of the order. Events that order_properties_check would reject
 * (they were stored before it asked) are passed over. Pure; OUT_OF_MEMORY. */
enum meros_code order_fold(struct order_making *order, struct arena *arena, struct meros_err *err) MEROS_MUSTCHECK;

/* Makes n orders anew from their events, within the caller's transaction, after the events are stored. May be given any
 * number, the same ones several times. *changed_nos: customers whose statistics changed, in the arena. most > 0:
 * UNPROCESSABLE, with a sentence that names the order, where more events than that speak of one. */
enum meros_code order_events_apply(struct store_conn *c, const struct told_order *given, size_t n, int64_t most, struct arena *arena,
                                   const int64_t **changed_nos, size_t *n_changed, struct meros_err *err) MEROS_MUSTCHECK;

struct order_item {
    struct str product_id;           /* STR_NONE: none */
    struct decimal quantity, price;  /* quantity: one where none is given; price may be absent */
};
struct order_said {
    struct json *tree;       /* freed by order_said_done; order_id is a view of it or of number */
    enum order_word word;
    struct str order_id;     /* STR_NONE: none, and nothing else is read */
    char number[24];
    bool starved;             /* it could not be read for lack of memory */
    struct order_item *items; /* in the arena; NULL without one */
    size_t n_items;
    int64_t cost;            /* quantity × price of all items, in millionths */
    struct decimal value;    /* of the order or the refund, never below zero; absent: not told */
};

/* False with *fault filled if it cannot be understood, or if memory is out. arena NULL: items are checked, not kept. */
bool order_said_read(enum order_word word, struct str properties, struct arena *arena, struct order_said *out,
                     struct order_fault *fault);
void order_said_done(struct order_said *s);

#endif
