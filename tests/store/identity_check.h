/* Everything that is kept about customers in sums, held against the raw rows. */
#ifndef MEROS_TESTS_IDENTITY_CHECK_H
#define MEROS_TESTS_IDENTITY_CHECK_H

#include <criterion/criterion.h>
#include <stdlib.h>
#include "pg.h"
#include "stats_check.h"

/* What differs, a line each; "" where all is right. The half-life is 30 days, as import_support.h sets it. */
static const char DIFFERENCES[] =
    "with e as (select customer_no, kind, count(*) as count, max(occurred_at) as decayed_at, min(occurred_at) as first_at, "
    "    sum(power(2::float8, -date_part('epoch', newest - occurred_at) / 86400 / 30)) as decayed "
    "  from (select *, max(occurred_at) over (partition by customer_no, kind) as newest from events) v group by 1, 2) "
    "select 'activity', customer_no, kind from e full join customer_event_stats k using (customer_no, kind) "
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
        check_order_side(db);                                                                                \
    } while (0)

#endif
