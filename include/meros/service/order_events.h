/* Orders that follow from events.
 *
 * Four types of events speak of an order, by `order_id` in their properties: order_completed, order_updated,
 * order_refunded, order_cancelled. The order's lines are a pure function of all of these events, made anew when one more
 * comes; so it does not matter in which order or how often they arrive, nor from which source.
 *
 * Events stand in the order of (occurred_at; completed before updated before refunded before cancelled; key).
 *
 *   completed, updated  say what the order holds, the last one that says it: `products` (up to 1,000 of product_id or sku,
 *                       quantity, one if not given, price) are the lines 1 to n, as an import would number them. Their
 *                       amounts are quantity × price, scaled so that they add up to the value of the order, to a
 *                       millionth: revenue, else subtotal, else total − shipping − tax, else the sum − discount. One that
 *                       tells a value but no products revalues the list that there is; without a list the value is one
 *                       line. The order bears the time of the first completed (else updated) event: a correction does not
 *                       move it.
 *   refunded            adds lines of negative quantity at the time of the refund, and never more than is left:
 *                       the products listed, at what was paid for them, or at the refund's value (same precedence) spread
 *                       over them; none listed and no value: everything that is left; a value alone: one line of that
 *                       amount, or everything if no more was left. Refunds apply to what the order holds in the end, also
 *                       where an update came after them.
 *   cancelled           takes every line away; updates after it bring nothing back, a completed one begins anew.
 *
 * An order belongs to the customer of its last completed or updated event, and moves there if another had it (as an
 * import would move it); refunds and cancellations move nothing, so a back office may send them under any id.
 *
 * Imports and events of one order: whoever spoke last holds. What a completed or updated event says replaces all lines of
 * the order, imported ones too; an import that changes anything of an order takes the lines away that events had made of
 * it, until the next event comes. Refunds of an order that was only imported apply to its imported lines; a cancellation
 * takes them away.
 *
 * At most ORDER_TOLD_MAX events speak of one order, because all of them are read when one more comes: beyond that an event is
 * rejected where it comes alone, and an import that brings it fails. The usual cause is a program that gives all orders one
 * id, "undefined". An order that has more from an earlier version is still made of all that it has. */
#ifndef MEROS_SERVICE_ORDER_EVENTS_H
#define MEROS_SERVICE_ORDER_EVENTS_H

#include <stdbool.h>
#include "meros/base/arena.h"
#include "meros/base/str.h"

enum { ORDER_PRODUCTS_MAX = 1000, ORDER_TOLD_MAX = 1000 };

/* The kind of an event that speaks of orders, in the order in which they stand at one moment. */
enum order_word { ORDER_WORD_NONE, ORDER_COMPLETED, ORDER_UPDATED, ORDER_REFUNDED, ORDER_CANCELLED };
enum order_word order_word_of(struct str type); /* an event type, "order_completed" */

/* Whether the properties (a JSON object, STR_NONE if empty) of an event of this type can make an order; any other type
 * passes, as does an order event without order_id, which is an event like any other. To be asked wherever events come in:
 * what fails is rejected. Pure; any thread. */
struct order_fault {
    char pointer[48]; /* within properties: "/products/3/price" */
    char detail[104]; /* a sentence */
};
bool order_properties_check(struct str type, struct str properties, struct order_fault *fault);
/* The order that the event speaks of; STR_NONE: none, or memory is out. In the arena. */
struct str order_properties_id(struct str type, struct str properties, struct arena *arena);

#endif
