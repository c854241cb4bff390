/* The order side of the statistics against the raw lines, by queries that share nothing with the service: each counts
 * what does not agree, exactly (numeric), times included. */
#ifndef MEROS_TESTS_STATS_CHECK_H
#define MEROS_TESTS_STATS_CHECK_H

#include <criterion/criterion.h>
#include <stdlib.h>
#include "pg.h"

#define ORDERS_FROM_LINES                                                                                    \
    "select customer_no, order_no, min(ordered_at) as at, sum(amount) as net, sum(greatest(amount, 0)) as gross, " \
    "  sum(-least(amount, 0)) as back, sum(greatest(coalesce(quantity, 0), 0)) as units, "                   \
    "  count(*) filter (where quantity > 0) as n, case when count(quantity) > 0 then bool_or(coalesce(quantity > 0, false)) " \
    "  else sum(amount) > 0 or bool_and(amount = 0) end as bought from order_lines group by 1, 2"
#define ODD_ORDERS                                                                                           \
    "select o.order_no, l.order_no from orders o full join (" ORDERS_FROM_LINES ") l using (customer_no, order_no) " \
    "where (o.ordered_at, o.revenue, o.gross_revenue, o.returned_amount, o.units, o.lines, o.purchase) "     \
    "is distinct from (l.at, l.net, l.gross, l.back, l.units, l.n, l.bought)"
#define ODD_STATS                                                                                            \
    "select coalesce(s.customer_no, l.customer_no), s, l from customer_stats s full join ("                  \
    "  select customer_no, count(*) filter (where bought) as orders, count(*) filter (where not bought) as returns, sum(n) as n, " \
    "    sum(units) as units, sum(net) as net, sum(gross) as gross, sum(back) as back, "                     \
    "    min(at) filter (where bought) as first_order, max(at) filter (where bought) as last_order, min(at) as first, max(at) as last, " \
    "    (select count(distinct product_no) from order_lines p where p.customer_no = o.customer_no and quantity > 0) as products " \
    "  from (" ORDERS_FROM_LINES ") o group by customer_no) l using (customer_no) "                          \
    "where (s.orders, s.returns, s.lines, s.products, s.units, s.revenue, s.gross_revenue, s.returned_amount, s.first_order_at, " \
    "       s.last_order_at, s.first_any_at, s.last_any_at) is distinct from (l.orders, l.returns, l.n, l.products, l.units, " \
    "       l.net, l.gross, l.back, l.first_order, l.last_order, l.first, l.last)"
#define ODD_PAIRS                                                                                            \
    "select p, l from customer_products p full join ("                                                       \
    "  select customer_no, product_no, count(*) as n from order_lines where quantity > 0 and product_no is not null group by 1, 2) l " \
    "using (customer_no, product_no) where p.lines is distinct from l.n"

#define ODD_DAYS                                                                                             \
    "select d, l from customer_days d full join ("                                                           \
    "  select customer_no, date_trunc('day', at at time zone 'UTC')::date as day, count(nullif(bought, false)) as purchases, " \
    "    count(nullif(bought, true)) as returns, sum(net) as net from (" ORDERS_FROM_LINES ") o group by 1, 2) l " \
    "using (customer_no, day) where (d.purchases, d.returns, d.net) is distinct from (l.purchases, l.returns, l.net)"

#define EXPECT_NONE(db, query)                                                                               \
    do {                                                                                                     \
        char *odd_ = pg_table(db, query);                                                                    \
        cr_assert_str_eq(odd_, "", "these do not agree:\n%s", odd_);                                         \
        free(odd_);                                                                                          \
    } while (0)

static __attribute__((unused)) void check_order_side(struct pg *db)
{
    EXPECT_NONE(db, ODD_ORDERS);
    EXPECT_NONE(db, ODD_STATS);
    EXPECT_NONE(db, ODD_PAIRS);
    EXPECT_NONE(db, ODD_DAYS);
}

#endif
