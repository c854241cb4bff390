/* What is known about customers in numbers: the current state of many at once, and of all as of a moment.
 *
 * Both fill the same struct customer_stats (domain/stats.h). Live reads the tables that every import and event keeps
 * exact within its own transaction; as-of recomputes from the raw rows strictly before a moment, for training. An order
 * counts as of a moment when its ordered_at (its earliest line) lies before it, with all of its lines. */
#ifndef MEROS_STORE_STATS_H
#define MEROS_STORE_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/arena.h"
#include "meros/base/err.h"
#include "meros/base/str.h"
#include "meros/domain/stats.h"
#include "meros/store/store.h"

struct customer_state {
    bool known;               /* false: there is no such customer; nothing else is set */
    struct customer_stats stats;
    struct str customer_id;   /* the name answers use; of an alias its customer's */
    struct str attributes;    /* a JSON object, as text */
    struct str consent;       /* a JSON object, as text */
    struct str email, name, phone; /* sealed; STR_NONE: none, and always so as of a moment */
    int64_t created_at;       /* as the client said, or TIME_NONE (stats.created_at falls back to the first thing seen) */
};

/* The current state of n customers in one query: out[i] is that of ids[i] / nos[i]; an id may occur twice. Strings are
 * copied into the arena. OUT_OF_MEMORY when it is full. */
enum meros_code store_stats_live(struct store_conn *c, const struct str *ids, size_t n, struct arena *arena,
                                 struct customer_state *out, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code store_stats_live_by_no(struct store_conn *c, const int64_t *nos, size_t n, struct arena *arena,
                                       struct customer_state *out, struct meros_err *err) MEROS_MUSTCHECK;

/* Who they are and no more, at a third of the price: known, stats.customer_no, customer_id and, where asked for, attributes. */
enum meros_code store_stats_who(struct store_conn *c, const struct str *ids, size_t n, bool attributes, struct arena *arena,
                                struct customer_state *out, struct meros_err *err) MEROS_MUSTCHECK;

/* Turns the statistics of a customer that was read back to a moment: made of the rows before it. */
enum meros_code store_stats_at(struct store_conn *c, int64_t at, double half_life_days, struct customer_state *x,
                               struct meros_err *err) MEROS_MUSTCHECK;

/* Streams the state of every customer as of a moment, in the order of customer_no, in constant memory; as_of TIME_NONE
 * takes all rows; an order counts with the lines that it had by then. Views in *state live during the call. Attributes and consent are today's: they have no history.
 * Customers that the client says were created at or after as_of, or of whom nothing was seen before it though something
 * was later, are left out. Runs inside the caller's transaction (store_begin_snapshot for a consistent picture).
 * Returning anything but OK from fn stops. */
typedef enum meros_code (*store_stats_fn)(void *arg, const struct customer_state *state, struct meros_err *err);
enum meros_code store_stats_asof(struct store_conn *c, int64_t as_of, store_stats_fn fn, void *arg,
                                 struct meros_err *err) MEROS_MUSTCHECK;

/* The half-life of decayed activity that this database's statistics are kept with. store_stats_set_half_life stores it on the
 * first call; given another value later, it recomputes all decayed activity from the events, under the import lock. */
enum meros_code store_stats_set_half_life(struct store_conn *c, double days, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code store_stats_half_life(struct store_conn *c, double *out_days, struct meros_err *err) MEROS_MUSTCHECK;

#endif
