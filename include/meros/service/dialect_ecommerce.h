/* The names that shops' events have elsewhere, and ours. Segment's e-commerce specification in both its versions ("Product
 * Viewed", "Viewed Product"), however their words are cased and joined; our own names mean themselves; any other is kept.
 *
 * Properties come out as orders and statistics read them: an order has `order_id` and `products` of `{product_id, quantity,
 * price, …}`, numbers that were written as text are numbers. What else was there stays. Pure functions. */
#ifndef MEROS_SERVICE_DIALECT_ECOMMERCE_H
#define MEROS_SERVICE_DIALECT_ECOMMERCE_H

#include "meros/service/dialect.h"

enum shop_kind { SHOP_OTHER, SHOP_PRODUCT, SHOP_REVIEW, SHOP_ORDER /* completed */, SHOP_ORDER_CHANGE /* updated, refunded, cancelled */ };

/* Our name for theirs, or theirs; STR views of `name` or of constants. */
struct str shop_type(struct str name, enum shop_kind *kind);

/* Fills type, kind, product_id, value and quantity of an event from its name and properties (NULL: none). An order that
 * was completed and has no id is known by `event_id`, where there is one. Rejects changes of orders that do not say which. */
void shop_event(struct message *m, struct str name, const struct json *properties, struct event_row *event, const char *place);
/* Writes the members of the properties in our form, inside an object that the caller opened. but: tells of a member
 * whether it stays out; may be NULL. */
void shop_properties(struct jsonw *w, const struct event_row *event, const struct json *properties, bool (*but)(struct str name));
/* Rejects an event whose properties, now in our form, cannot make the order that they speak of (service/order_events.h). */
void shop_order(struct message *m, const struct event_row *event, const char *place);

#endif
