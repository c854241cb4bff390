/* The days on which customers bought, kept with every import, against the lines they are made of: now, and as of any day. */
#include "import_support.h"
#include "meros/service/customers.h"
#include "meros/store/days.h"
#include "stats_check.h"
#include "store_priv.h"

enum { CUSTOMERS = 5, ORDERS = 14, FILES = 14 };

static unsigned below(uint64_t *r, unsigned n)
{
    *r = *r * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned)(*r >> 33) % n;
}

/* Orders whose lines lie days apart, that move between customers, that are returns, that are worth nothing. */
static char *make_file(uint64_t *r)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_str(&b, "order_id,customer_id,ordered_at,quantity,amount\n");
    for (unsigned n = 1 + below(r, 12); n > 0; n--) {
        const unsigned order = below(r, ORDERS), customer = below(r, 5) > 0 ? order % CUSTOMERS : below(r, CUSTOMERS);
        for (unsigned lines = 1 + below(r, 3); lines > 0; lines--) {
            buf_printf(&b, "o%u,c%u,2024-01-%02uT%02u:30:00Z,", order, customer, 1 + below(r, 28), below(r, 24));
            if (below(r, 2) == 0) buf_printf(&b, "%d", (int)below(r, 6) - 2);
            buf_printf(&b, ",%d.%02u\n", (int)below(r, 60) - 15, below(r, 4) * 25);
        }
        if (below(r, 4) == 0) buf_printf(&b, "z%u,c%u,2024-01-%02u,,0\n", below(r, 3), customer, 1 + below(r, 28));
    }
    buf_char(&b, '\0');
    return b.data;
}

#define RAW                                                                                                  \
    "select customer_no, (at at time zone 'UTC')::date - date '1970-01-01', count(*) filter (where bought), sum(net)::float8 from (" \
    "  select customer_no, order_no, min(ordered_at) as at, sum(amount) as net, "                            \
    "    case when count(quantity) > 0 then bool_or(quantity > 0) else sum(amount) > 0 or bool_and(amount = 0) end as bought " \
    "  from order_lines where ordered_at < timestamptz '1970-01-01 00:00:00+00' + interval '%d days' group by 1, 2) o group by 1, 2 order by 1, 2"

struct text {
    struct buf b;
    int64_t nos[CUSTOMERS + 1];
    size_t n;
};

static void add_days(struct buf *b, int64_t no, const struct purchase_day *days, size_t n)
{
    for (size_t k = 0; k < n; k++) /* what corrections have emptied says nothing, and the fold sees nothing in it */
        if (days[k].purchases != 0 || days[k].net != 0)
            buf_printf(b, "%lld|%d|%d|%.10g\n", (long long)no, days[k].day, days[k].purchases, days[k].net);
}

static enum meros_code note(void *arg, int64_t no, const struct purchase_day *days, size_t n, struct str attributes, struct meros_err *err)
{
    struct text *t = arg;
    (void)attributes;
    (void)err;
    for (size_t k = 1; k < n; k++) cr_assert_gt(days[k].day, days[k - 1].day, "days ascend");
    add_days(&t->b, no, days, n);
    t->nos[t->n++] = no;
    return MEROS_OK;
}

static char *raw(struct shop *s, int32_t day)
{
    char sql[1200];
    snprintf(sql, sizeof sql, "select * from (" RAW ") x where not (count = 0 and sum = 0)", day + 1);
    return pg_table(s->db, sql);
}

static void same_at(struct shop *s, struct store_conn *c, int32_t day, bool as_of)
{
    struct text t = {.n = 0};
    struct arena arena;
    char *want = raw(s, day);
    buf_init(&t.b, 1 << 20);
    arena_init(&arena, 1 << 20);
    cr_assert_eq(store_begin_snapshot(c, &s->err), MEROS_OK);
    cr_assert_eq(store_days_all(c, day, as_of, day % 2 == 0, note, &t, &s->err), MEROS_OK, "%s", s->err.detail);
    store_rollback(c);
    buf_char(&t.b, '\0');
    cr_assert_str_eq(t.b.data, want, "all as of day %d", day);
    buf_clear(&t.b);
    for (int64_t no = 1; no <= CUSTOMERS; no++) { /* one by one */
        struct customer_purchases one;
        if (as_of) cr_assert_eq(store_days_at(c, no, day, &arena, &one, &s->err), MEROS_OK, "%s", s->err.detail);
        else cr_assert_eq(store_days_of(c, &no, 1, &arena, &one, &s->err), MEROS_OK, "%s", s->err.detail);
        add_days(&t.b, no, one.days, one.n);
    }
    buf_char(&t.b, '\0');
    cr_assert_str_eq(t.b.data, want, "each as of day %d", day);
    buf_done(&t.b);
    arena_done(&arena);
    free(want);
}

Test(days, are_what_the_lines_say_now_and_as_of_any_day, .timeout = 300)
{
    for (uint64_t seed = 1; seed <= 2; seed++) {
        uint64_t r = seed * 7919;
        struct shop s;
        shop_open(&s);
        shop_orders(&s, "order_id,customer_id,ordered_at,amount\na,c0,2024-01-01,1\nb,c1,2024-01-01,1\nc,c2,2024-01-01,1\nd,c3,2024-01-01,1\ne,c4,2024-01-01,1\n");
        struct store_conn *c = pg_conn(s.db);
        for (int file = 0; file < FILES; file++) {
            char *text = make_file(&r);
            shop_orders(&s, text);
            free(text);
            check_order_side(s.db);
            for (int32_t day = 19722; day < 19752; day += 7) same_at(&s, c, day + file % 7, true); /* January 2024 begins with 19723 */
            same_at(&s, c, 19800, false);
        }
        shop_close(&s);
    }
}

Test(days, of_several_customers_come_in_the_order_asked_and_of_nobody_are_none)
{
    struct shop s;
    struct arena arena;
    struct customer_purchases out[4];
    shop_open(&s);
    arena_init(&arena, 1 << 20);
    shop_orders(&s, "order_id,customer_id,ordered_at,amount\na,c1,2024-01-01,5\nb,c2,2024-01-02,6\nc,c1,2024-01-03,7\nd,c1,2024-01-03,8\n");
    struct store_conn *c = pg_conn(s.db);
    const int64_t first = pg_int(s.db, "select customer_no from customer_ids where customer_id = 'c1'"), nos[] = {first, 0, first, 999};
    cr_assert_eq(store_days_of(c, nos, 4, &arena, out, &s.err), MEROS_OK, "%s", s.err.detail);
    cr_assert_eq(out[0].n, 2);
    cr_assert_eq(out[1].n, 0);
    cr_assert_eq(out[2].n, 2);
    cr_assert_eq(out[3].n, 0);
    cr_assert_eq(out[2].days[1].purchases, 2);
    cr_assert_float_eq(out[2].days[1].net, 15, 1e-12);
    arena_done(&arena);
    shop_close(&s);
}

Test(days, go_with_an_erased_customer)
{
    struct shop s;
    struct erasure e;
    shop_open(&s);
    shop_orders(&s, "order_id,customer_id,ordered_at,amount\na,c1,2024-01-01,5\nb,c2,2024-01-02,6\n");
    cr_assert_eq(service_erase_customer(&s.svc, STR("c1"), &e, &s.err), MEROS_OK, "%s", s.err.detail);
    EXPECT_TABLE(&s, "select customer_id, day, net from customer_days join customers using (customer_no)", "c2|2024-01-02|6\n");
    shop_close(&s);
}

/* --- a database of before */

static char *read_file(const char *path)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = fopen(path, "r");
    cr_assert_not_null(f, "%s", path);
    cr_assert_geq(getdelim(&text, &n, '\0', f), 1);
    fclose(f);
    return text;
}

Test(days, of_a_database_of_before_are_filled_in_by_the_migration)
{
    uint64_t r = 5;
    struct shop s;
    shop_open(&s);
    for (int file = 0; file < 6; file++) {
        char *text = make_file(&r);
        shop_orders(&s, text);
        free(text);
    }
    check_order_side(s.db);
    char *days = pg_table(s.db, "select * from customer_days order by 1, 2"), *stats = pg_table(s.db, "select * from customer_stats order by 1");
    /* As the version before had it: orders of which only a value of nought is known were returns. */
    pg_run(s.db, "drop table customer_days;"
                 "create temp view nought as select o.* from orders o where revenue = 0 and returned_amount = 0 and not exists "
                 "  (select from order_lines l where l.customer_no = o.customer_no and l.order_no = o.order_no and l.quantity is not null);"
                 "create table was as select * from nought;"
                 "update orders o set purchase = false from was w where w.customer_no = o.customer_no and w.order_no = o.order_no;"
                 "update customer_stats s set orders = orders - n, returns = returns + n, "
                 "  first_order_at = (select min(ordered_at) from orders o where o.customer_no = s.customer_no and purchase), "
                 "  last_order_at = (select max(ordered_at) from orders o where o.customer_no = s.customer_no and purchase) "
                 "from (select customer_no, count(*) as n from was group by 1) w where w.customer_no = s.customer_no; drop table was cascade");
    cr_assert_gt(pg_int(s.db, "select count(*) from orders where not purchase and revenue = 0"), 0);
    char *migration = read_file("sql/migrations/0013_customer_days.sql");
    pg_run(s.db, migration);
    EXPECT_TABLE(&s, "select * from customer_days order by 1, 2", days);
    EXPECT_TABLE(&s, "select * from customer_stats order by 1", stats);
    check_order_side(s.db);
    free(migration);
    free(days);
    free(stats);
    shop_close(&s);
}
