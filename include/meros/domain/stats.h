/* What is known about one customer in numbers: the input of every feature.
 *
 * The same struct is filled in two ways, and a property test holds them equal: from the tables that each transaction
 * keeps exact by what it adds and takes away (live: customer_stats by the difference between each order's old row and its
 * new one, customer_event_stats by each event), and by set-wise SQL over the raw rows before a moment (training as-of).
 * Everything here is a sum, a count, a minimum or a maximum, so the order of arrival does not matter. Sums are exact
 * (numeric), so what is taken away again leaves nothing behind.
 *
 * Orders: a *purchase* is an order with a line of positive quantity (or a positive total where it has no lines with
 * quantity); any other order is a *return*. Amounts are in the shop's currency. Times are microseconds; TIME_NONE: never. */
#ifndef MEROS_DOMAIN_STATS_H
#define MEROS_DOMAIN_STATS_H

#include <stdint.h>
#include "meros/base/clock.h"
#include "meros/base/str.h"

/* Event types with a meaning; any other type is kept under its own name and counted as "other" here. */
#define EVENT_KINDS(X)                                                                                       \
    X(PRODUCT_VIEWED, "product_viewed")                                                                      \
    X(PRODUCT_ADDED, "product_added")                                                                        \
    X(PRODUCT_REMOVED, "product_removed")                                                                    \
    X(CHECKOUT_STARTED, "checkout_started")                                                                  \
    X(ORDER_COMPLETED, "order_completed")                                                                    \
    X(PAGE_VIEWED, "page_viewed")                                                                            \
    X(SEARCHED, "searched")                                                                                  \
    X(EMAIL_OPENED, "email_opened")                                                                          \
    X(EMAIL_CLICKED, "email_clicked")                                                                        \
    X(REVIEW_SUBMITTED, "review_submitted")                                                                  \
    X(RECOMMENDATION_SHOWN, "recommendation_shown")                                                          \
    X(RECOMMENDATION_CLICKED, "recommendation_clicked")                                                      \
    X(OTHER, "other")

enum event_kind {
#define X(id, name) EVENT_##id,
    EVENT_KINDS(X)
#undef X
    EVENT_KIND_COUNT
};

const char *event_kind_name(enum event_kind kind);
enum event_kind event_kind_of(struct str type); /* EVENT_OTHER for any name not above */

struct event_stats {
    int64_t count;
    double decayed;     /* sum over events of 2^-((decayed_at - t) / half_life) */
    int64_t decayed_at; /* the newest event's time; TIME_NONE while count is 0 */
};

struct customer_stats {
    int64_t customer_no;
    int64_t created_at;     /* the client's created_at, else the first thing seen; TIME_NONE if nothing */
    int64_t orders;         /* purchases */
    int64_t returns;        /* orders that are nothing but returns */
    int64_t lines;          /* lines of positive quantity */
    int64_t products;       /* distinct products bought (lines of positive quantity) */
    double units;           /* sum of positive quantities */
    double revenue;         /* net: sum of all line amounts */
    double gross_revenue;   /* sum of positive amounts */
    double returned_amount; /* -(sum of negative amounts) */
    int64_t first_order_at, last_order_at; /* purchases only */
    int64_t last_seen_at;   /* newest order or event */
    struct event_stats events[EVENT_KIND_COUNT];
};

/* The decayed activity of one kind at moment `at` (>= decayed_at, else as of decayed_at), half-life in days. */
double event_stats_at(const struct event_stats *e, int64_t at, double half_life_days);
/* Adds one event at time t, in or out of order. */
void event_stats_add(struct event_stats *e, int64_t t, double half_life_days);

#endif
