/* Google Analytics 4's Measurement Protocol. client_id (or app_instance_id) is an anonymous id, user_id the customer; both
 * together say that they are one. Of the events that shops send, names and parameters become ours (purchase makes an order,
 * refund returns it; items are products; one event an item where several were viewed or put into a cart), others keep
 * theirs. user_properties are traits; consent: ad_personalization -> marketing, ad_user_data -> sale.
 *
 * Google answers 204 whatever was wrong, and so does this: nothing here fails but for memory; a body that is no JSON is one
 * rejected message. Codes of rejections are Google's validation codes where the fault is one that Google knows. */
#ifndef MEROS_SERVICE_DIALECT_GA4_H
#define MEROS_SERVICE_DIALECT_GA4_H

#include "meros/service/dialect.h"

enum { GA4_EVENTS_MAX = 25, GA4_BODY_MAX = 130 * 1024 };

/* pedantic: Google's limits of parameters, properties, items and age reject as well: for telling, not for landing. */
enum meros_code ga4_decode(struct dialect *d, struct str body, bool pedantic, struct meros_err *err) MEROS_MUSTCHECK;

/* What /debug/mp/collect says of a rejection. */
const char *ga4_validation_code(const struct dialect_reject *r);
void ga4_field_path(const struct dialect_reject *r, char *out, size_t cap); /* "/events/0/name" as events[0].name */

#endif
