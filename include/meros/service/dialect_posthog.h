/* PostHog's capture API, as its SDKs speak it. $identify and $set of any event are traits ($set_once is taken like $set,
 * which wins where both name one), $anon_distinct_id and $create_alias join ids, $pageview is page_viewed, $screen
 * screen_viewed, a shop's events get our names (dialect_ecommerce.h), others keep theirs. Groups are not kept: their
 * $groupidentify is rejected. Properties that begin with "$" are kept but for those about the library, the address and
 * what is said elsewhere. */
#ifndef MEROS_SERVICE_DIALECT_POSTHOG_H
#define MEROS_SERVICE_DIALECT_POSTHOG_H

#include "meros/service/dialect.h"

struct posthog_body {
    struct str whole, api_key, batch, sent_at; /* STR_NONE: not there */
};
/* INVALID where it is no JSON object. api_key is also found as `token`. */
enum meros_code posthog_open(struct str body, struct posthog_body *out, struct meros_err *err) MEROS_MUSTCHECK;
/* Without a batch the body is one event. */
enum meros_code posthog_decode(struct dialect *d, const struct posthog_body *body, struct meros_err *err) MEROS_MUSTCHECK;

#endif
