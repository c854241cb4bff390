/* From the days on which a customer bought to what purchase models need: x, t_x, T and what a purchase came to.
 *
 * One rule for training, hold-out and live answers:
 *   - All purchases of a calendar day (UTC) are one. Its value is what all orders of that day came to, with everything that
 *     ever came back of them.
 *   - Orders in which things only came back say nothing of which purchase that was. They are subtracted from the last day
 *     with a purchase at or before their own; before the first purchase they count for nothing.
 *   - The first purchase makes a customer and is no repeat purchase: neither counted in x nor in the mean value.
 *   - A repeat purchase whose value is nought or less (a gift, or all came back) is a purchase, but not one that says what
 *     purchases are worth: it is excluded from valued and mean_value, and counted in excluded.
 *   - Observation ends with the day `end`, that day included. Times are differences of days.
 *
 * Pure, O(days). */
#ifndef MEROS_DOMAIN_PURCHASE_DAYS_H
#define MEROS_DOMAIN_PURCHASE_DAYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A day on which orders were made; days are numbered from 1970-01-01. */
struct purchase_day {
    int32_t day;
    int32_t purchases; /* orders in which something was bought; 0: things only came back */
    double net;
};

struct purchase_history {
    bool any;               /* false: nothing bought by `end`; the rest is zero, but for `end` */
    int32_t first, last;    /* days of the first and the last purchase */
    int32_t end;
    int32_t x;              /* repeat purchases */
    int32_t t_x, t;         /* days from the first to the last purchase, and to `end`; t_x = 0 exactly where x = 0 */
    int32_t valued;         /* repeat purchases of a value above nought */
    int32_t excluded;       /* the others: x = valued + excluded */
    double mean_value;      /* of the valued; 0 where there are none */
    int32_t all_valued;     /* purchases above nought with the first one, and what they come to together */
    double all_value;
};

/* days ascend, each once; those after `end` are not looked at. */
struct purchase_history purchase_history_of(const struct purchase_day *days, size_t n, int32_t end);
/* How many days with a purchase lie in (after, until]. */
int32_t purchase_days_between(const struct purchase_day *days, size_t n, int32_t after, int32_t until);
/* The last day on which anything happened (bought or came back); `none` if there is nothing. */
int32_t purchase_days_last(const struct purchase_day *days, size_t n, int32_t none);
/* The day that a moment lies in. */
int32_t day_of_time(int64_t t);

#endif
