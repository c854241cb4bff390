/* Everything that is kept about customers in sums, held against the raw rows. */
#ifndef MEROS_TESTS_IDENTITY_CHECK_H
#define MEROS_TESTS_IDENTITY_CHECK_H

#include <criterion/criterion.h>
#include <stdlib.h>
#include "pg.h"

/* What differs, a line each; "" where all is right. The half-life is 30 days, as import_support.h sets it. */
static const char DIFFERENCES[] =
    "with o as (select customer_no, order_no, min(ordered_at) as ordered_at, "
    "    case when count(quantity) > 0 then coalesce(max(quantity), 0) > 0 else sum(amount) > 0 end as purchase, "
    "    count(*) filter (where quantity > 0) as lines, coalesce(sum(quantity) filter (where quantity > 0), 0) as units, "
    "    sum(amount) as revenue, coalesce(sum(amount) filter (where amount > 0), 0) as gross_revenue, "
    "    coalesce(-sum(amount) filter (where amount < 0), 0) as returned_amount from order_lines group by 1, 2), "
    "s as (select o.customer_no, count(*) filter (where purchase) as orders, count(*) filter (where not purchase) as returns, "
    "    sum(lines) as lines, sum(units) as units, sum(revenue) as revenue, "
    "    sum(gross_revenue) as gross_revenue, sum(returned_amount) as returned_amount, "
    "    min(ordered_at) filter (where purchase) as first_order_at, max(ordered_at) filter (where purchase) as last_order_at, "
    "    min(ordered_at) as first_any_at, max(ordered_at) as last_any_at from o group by 1), "
    "e as (select customer_no, kind, count(*) as count, max(occurred_at) as decayed_at, min(occurred_at) as first_at, "
    "    sum(power(2::float8, -date_part('epoch', newest - occurred_at) / 86400 / 30)) as decayed "
    "  from (select *, max(occurred_at) over (partition by customer_no, kind) as newest from events) v group by 1, 2) "
    "select 'order', customer_no, order_no from o full join orders k using (customer_no, order_no) "
    "where (o.ordered_at, o.purchase, o.lines, o.units, o.revenue, o.gross_revenue, o.returned_amount) is distinct from "
    "      (k.ordered_at, k.purchase, k.lines, k.units, k.revenue, k.gross_revenue, k.returned_amount) "
    "union all select 'stats', customer_no, k.orders from s full join customer_stats k using (customer_no) "
    "where (s.orders, s.returns, s.lines, s.units, s.revenue, s.gross_revenue, s.returned_amount, s.first_order_at, "
    "       s.last_order_at, s.first_any_at, s.last_any_at) is distinct from "
    "      (k.orders, k.returns, k.lines, k.units, k.revenue, k.gross_revenue, k.returned_amount, k.first_order_at, "
    "       k.last_order_at, k.first_any_at, k.last_any_at) "
    "union all select 'activity', customer_no, kind from e full join customer_event_stats k using (customer_no, kind) "
    "where (e.count, e.decayed_at, e.first_at) is distinct from (k.count, k.decayed_at, k.first_at) "
    "   or abs(e.decayed - k.decayed) > 1e-9 * e.decayed "
    "union all select 'order id', i.customer_no, i.order_no from order_ids i full join orders k using (order_id) "
    "where (i.customer_no, i.order_no) is distinct from (k.customer_no, k.order_no) "
    "union all select 'id', i.customer_no, 0 from customer_ids i full join customers c using (customer_no) "
    "where i.customer_no is null or c.customer_no is null "
    "union all select 'owner', customer_no, 0 from (select customer_no from events union select customer_no from orders "
    "  union select customer_no from memberships union select customer_no from outcomes) x "
    "where not exists (select from customers c where c.customer_no = x.customer_no)";

#define EXPECT_ALL_EXACT(db)                                                                               \
    do {                                                                                                     \
        char *wrong_ = pg_table((db), DIFFERENCES);                                                    \
        cr_assert_str_eq(wrong_, "", "kept and raw differ:\n%s", wrong_);                                    \
        free(wrong_);                                                                                        \
    } while (0)

#endif
