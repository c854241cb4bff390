/* Sets of rules in memory, and what they make of one customer. */
#ifndef MEROS_AUDIENCES_PRIV_H
#define MEROS_AUDIENCES_PRIV_H

#include "meros/service/audience_rule.h"
#include "meros/service/audiences.h"
#include "meros/store/audiences.h"

struct stored_membership; /* serving_priv.h */

struct audience_entry {
    struct str name;
    struct audience_rule rule;
    size_t first_ask; /* of its events among those of the set */
};
/* Immutable once made. */
struct audience_set {
    struct audience_entry *items; /* in the order of names */
    size_t n;
    const struct audience_leaf **asks; /* leaves about events that must be counted (those in customer_stats need not) */
    size_t n_asks;
    bool attributes, consent, memberships, clv; /* what the rules look at */
    struct arena arena; /* everything above and the set itself */
    _Atomic long refs;
};

struct audience_set *audience_set_new(void); /* empty, one reference; NULL: no memory */
/* A row's rule joins. INVALID if it is none that this version knows; the set is as before then, but for memory. */
enum meros_code audience_set_add(struct audience_set *s, struct str name, struct str rule, struct meros_err *err) MEROS_MUSTCHECK;
/* How many of a rule's conditions count events anew: each is a look into a customer's events whenever that customer is asked for, so
 * of all audiences together there may be AUDIENCE_ASKS_MAX. */
enum { AUDIENCE_ASKS_MAX = 500 };
size_t audience_asks(const struct audience_rule *r);
void audience_set_release(const struct audience_set *s); /* NULL is fine */
/* The present rules of all audiences; never NULL. Release it. */
const struct audience_set *audiences_acquire(struct service *svc);

/* What is known of one customer. */
struct audience_subject {
    const struct customer_stats *stats;
    const struct json *attributes, *consent; /* parsed; NULL where no rule looks */
    const struct stored_membership *memberships;
    const struct clv_row *clv; /* customer_no 0: none */
    const int64_t *counts;     /* of the set's asks */
    int64_t now;
    double half_life_days;
    struct arena *arena;       /* for views of arrays */
};
/* values, leaves: of entry i's rule, AUDIENCE_LEAVES_MAX do. Whether the customer is in. */
bool audience_judge(const struct audience_set *s, size_t i, const struct audience_subject *x, struct audience_value *values, bool *leaves);
/* The names of those that the customer is in, as an array. */
void audience_names_write(struct jsonw *w, const struct audience_set *s, const struct audience_subject *x);

#endif
