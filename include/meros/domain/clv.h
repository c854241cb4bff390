/* What customers are predicted to be worth, as asked for, stored and shown. Views live as long as what they were read from. */
#ifndef MEROS_DOMAIN_CLV_H
#define MEROS_DOMAIN_CLV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/str.h"

/* One customer in lists. */
struct clv_row {
    int64_t customer_no;
    double worth; /* discounted value in the usual horizon; where nothing is known of values, expected orders */
    double p_alive, expected_orders;
    double expected_order_value; /* NaN: nothing is known of values */
    bool population;             /* nothing of the customer's own went into it */
    int64_t evaluated_at; /* when this was computed */
};
struct clv_filter {
    bool ascending;
    double min_worth, max_worth;         /* -INFINITY, INFINITY: no bound */
    double min_p_alive, max_p_alive;     /* 0, 1 */
    struct str segmentation, segment_id; /* STR_NONE: everybody */
};
/* After (worth, customer_no) in the order of the list; given false: from the first. */
struct clv_place {
    bool given;
    double worth;
    int64_t customer_no;
};
typedef void (*clv_row_fn)(void *arg, struct str customer_id, const struct clv_row *row);

/* --- all together */
enum { CLV_QUANTILES = 9, CLV_DECILES = 10, CLV_SHARES = 6 };

/* A group of customers. Values are NaN where nothing is known of them. */
struct clv_group {
    int64_t customers, population; /* population: of whom nothing is known but that they bought once */
    double total, total_low, total_high;
    double p_alive, expected_orders; /* sums */
};
struct clv_decile { /* a tenth of the customers */
    int64_t customers;
    double low, high, total; /* the least and the most that one of them is worth, and all together */
};
struct clv_segment {
    struct str id, label;
    struct clv_group group;
};
struct clv_summary {
    struct str model_id, algorithm;
    int64_t model_version, computed_at;
    int64_t evaluated_from, evaluated_to; /* when customers' numbers were written: the oldest, the newest */
    bool sampled;                         /* intervals are from a part of the customers */
    struct clv_group all;
    double quantiles[CLV_QUANTILES]; /* at clv_quantile_points */
    double shares[CLV_SHARES];       /* of the value, held by the best clv_share_points of the customers */
    double gini;
    struct clv_decile deciles[CLV_DECILES]; /* the best first */
    struct str segmentation;                /* STR_NONE: none was asked for */
    const struct clv_segment *segments;     /* in the order of the segmentation; the sums of its members who have bought */
    size_t n_segments;
};
extern const double clv_quantile_points[CLV_QUANTILES];
extern const double clv_share_points[CLV_SHARES];

#endif
