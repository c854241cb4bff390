/* Segment's HTTP tracking API, as its own SDKs and RudderStack's speak it: identify, track, page, screen, group, alias, and
 * batches of them. What becomes of each:
 *   identify  traits: email, name (or first and last), phone, createdAt are the customer's own fields, all others attributes
 *   track     an event, under our name where it is one of a shop's (dialect_ecommerce.h); properties as they are
 *   page      page_viewed, screen: screen_viewed; name and category are properties
 *   group     the attribute `group`: the group's traits, and its `id`
 *   alias     previousId is another name of userId
 * userId is the customer; anonymousId beside it says that both are one, alone it is the customer until one is named. An
 * event keeps of its context app, campaign, groupId, locale, os, page, referrer and timezone as properties.context;
 * addresses, devices and browsers are not kept. Consent (context.consent.categoryPreferences) counts from identify and
 * from "Segment Consent Preference Updated": advertising, marketing or targeting -> marketing; analytics, performance,
 * personalization or profiling -> profiling; sale or data sharing -> sale. */
#ifndef MEROS_SERVICE_DIALECT_SEGMENT_H
#define MEROS_SERVICE_DIALECT_SEGMENT_H

#include "meros/service/dialect.h"

enum segment_call { SEGMENT_IDENTIFY, SEGMENT_TRACK, SEGMENT_PAGE, SEGMENT_SCREEN, SEGMENT_GROUP, SEGMENT_ALIAS, SEGMENT_BATCH, SEGMENT_IMPORT };

/* A body that has been looked at, not decoded: views of it. */
struct segment_body {
    struct str whole, write_key, batch, context, sent_at; /* STR_NONE: not there */
};
/* INVALID where it is no JSON object. */
enum meros_code segment_open(struct str body, struct segment_body *out, struct meros_err *err) MEROS_MUSTCHECK;
/* INVALID where a batch has no `batch`; whatever is wrong with one message rejects that. */
enum meros_code segment_decode(struct dialect *d, enum segment_call call, const struct segment_body *body, struct meros_err *err) MEROS_MUSTCHECK;

/* One message that says its type itself, as those of a batch do: the one with the number `index`. d->now: when it was
 * received. */
void segment_decode_message(struct dialect *d, size_t index, struct str message);

#endif
