/* Changes of orders, a handful at a time, move the statistics of their customers by the difference they make. */
#include "import_support.h"
#include <pthread.h>
#include "order_changes_priv.h"
#include "stats_check.h"

/* What a caller does with lines between begin and end. */
static const struct sql CLEAR = {"test_clear", "delete from order_lines where customer_no = $1 and order_no = $2", SQL_NOTHING};
static const struct sql TAKE = {"test_take", "delete from order_lines where customer_no = $1 and order_no = $2 and line_key = $3", SQL_NOTHING};
static const struct sql MOVE = {"test_move",
    "update order_lines set customer_no = $3 where customer_no = $1 and order_no = $2", SQL_NOTHING};
static const struct sql PUT = {"test_put", /* $4: 0 is none; $6: 0 is none; quantities and amounts in quarters */
    "insert into order_lines (customer_no, order_no, line_key, product_no, ordered_at, quantity, amount) "
    "values ($1, $2, $3, nullif($4, 0), $5, nullif($6, 0)::numeric / 4, $7::numeric / 4) "
    "on conflict (customer_no, order_no, line_key) do update set product_no = excluded.product_no, "
    "ordered_at = excluded.ordered_at, quantity = excluded.quantity, amount = excluded.amount", SQL_NOTHING};
static const struct sql OWN = {"test_own",
    "insert into order_ids (order_id, order_no, customer_no) values ($1, $2, $3) "
    "on conflict (order_id) do update set customer_no = excluded.customer_no", SQL_NOTHING};

struct bench { /* a test's database, connection and memory */
    struct pg *db;
    struct store_conn *c;
    struct arena memory;
    struct meros_err err;
};

static void bench_open(struct bench *b)
{
    *b = (struct bench){.db = pg_fresh()};
    b->c = pg_conn(b->db);
    arena_init(&b->memory, 16 << 20);
}

static void bench_close(struct bench *b)
{
    arena_done(&b->memory);
    pg_done(b->db);
}

#define DO(b, call) cr_assert_eq(call, MEROS_OK, "%s (%s)", (b)->err.detail, (b)->err.sqlstate)
#define RUN(b, sql, ...) DO(b, sql_exec((b)->c, sql, NULL, &(b)->err, __VA_ARGS__))

static int64_t day(int n)
{
    return INT64_C(19700) * TIME_DAY + n * TIME_DAY;
}

/* One order, one line: made, or changed to this. */
static void put_one(struct bench *b, int64_t customer, int64_t order, int64_t product, int64_t at, int64_t quantity, int64_t amount, bool is_new)
{
    struct order_changes x;
    const struct order_ref ref = {order, STR("o"), is_new ? 0 : customer, customer};
    DO(b, store_begin(b->c, &b->err));
    DO(b, order_changes_begin(b->c, &b->memory, &ref, 1, &x, &b->err));
    RUN(b, &PUT, P_INT(customer), P_INT(order), P_INT(1), P_INT(product), P_TIME(at), P_INT(quantity), P_INT(amount));
    DO(b, order_changes_end(b->c, &x, &b->err));
    DO(b, store_commit(b->c, &b->err));
}

#define STATS "select customer_no, orders, returns, lines, products, trim_scale(units), trim_scale(revenue), " \
              "date_part('day', last_order_at - first_order_at), date_part('day', last_any_at - first_any_at) from customer_stats order by 1"

Test(order_changes, of_a_new_order_are_added)
{
    struct bench b;
    bench_open(&b);
    put_one(&b, 1, 1, 5, day(3), 4, 40, true);
    put_one(&b, 1, 2, 5, day(1), 8, 20, true);
    EXPECT_TABLE(&b, STATS, "1|2|0|2|1|3|15|2|2\n");
    EXPECT_TABLE(&b, "select * from customer_products", "1|5|2\n");
    check_order_side(b.db);
    bench_close(&b);
}

Test(order_changes, of_a_corrected_order_are_the_difference_and_nothing_else_is_made_anew)
{
    struct bench b;
    bench_open(&b);
    put_one(&b, 1, 1, 5, day(3), 4, 40, true);
    put_one(&b, 1, 2, 5, day(1), 4, 20, true);
    pg_run(b.db, "update customer_stats set orders = orders + 7, revenue = revenue + 100, products = products + 3, "
                 "last_any_at = last_any_at + interval '9 days'");
    put_one(&b, 1, 2, 6, day(1), 12, 60, false); /* other product, same day */
    EXPECT_TABLE(&b, STATS, "1|9|0|2|5|4|125|2|11\n");
    put_one(&b, 1, 2, 6, day(2), 12, 60, false); /* held the first day: only times are read anew, and those of both ends */
    EXPECT_TABLE(&b, STATS, "1|9|0|2|5|4|125|1|1\n");
    EXPECT_TABLE(&b, "select * from customer_products order by 2", "1|5|1\n1|6|1\n");
    bench_close(&b);
}

Test(order_changes, of_the_last_order_take_the_customers_statistics_away)
{
    struct bench b;
    struct order_changes x;
    struct order_ref ref = {1, STR("o"), 1, 1};
    bench_open(&b);
    put_one(&b, 1, 1, 5, day(3), 4, 40, true);
    DO(&b, store_begin(b.c, &b.err));
    DO(&b, order_changes_begin(b.c, &b.memory, &ref, 1, &x, &b.err));
    RUN(&b, &MOVE, P_INT(1), P_INT(1), P_INT(2));
    ref.owner_no = 2;
    DO(&b, order_changes_end(b.c, &x, &b.err));
    DO(&b, store_commit(b.c, &b.err));
    EXPECT_TABLE(&b, STATS, "2|1|0|1|1|1|10|0|0\n");
    ref.holder_no = 2;
    DO(&b, store_begin(b.c, &b.err));
    DO(&b, order_changes_begin(b.c, &b.memory, &ref, 1, &x, &b.err));
    RUN(&b, &CLEAR, P_INT(2), P_INT(1));
    DO(&b, order_changes_end(b.c, &x, &b.err));
    DO(&b, store_commit(b.c, &b.err));
    cr_expect_eq(pg_int(b.db, "select (select count(*) from orders) + (select count(*) from customer_stats) + (select count(*) from customer_products)"), 0);
    bench_close(&b);
}

Test(order_changes, of_a_purchase_that_becomes_a_return_leave_no_first_purchase)
{
    struct bench b;
    bench_open(&b);
    put_one(&b, 1, 1, 5, day(3), 4, 40, true);
    put_one(&b, 1, 1, 5, day(3), -4, -40, false);
    EXPECT_TABLE(&b, "select orders, returns, products, trim_scale(revenue), trim_scale(returned_amount), first_order_at is null, last_order_at is null from customer_stats",
                 "0|1|0|-10|10|t|t\n");
    check_order_side(b.db);
    bench_close(&b);
}

/* --- any history */
enum { CUSTOMERS = 4, PRODUCTS = 5, ORDERS = 9 };
struct random {
    uint64_t state;
};

static unsigned below(struct random *r, unsigned n)
{
    r->state = r->state * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned)(r->state >> 33) % n;
}

static enum meros_code write_lines(struct store_conn *c, struct random *r, const struct order_ref *ref, struct meros_err *err)
{
    enum meros_code rc = MEROS_OK;
    unsigned what = below(r, 6);
    if (ref->holder_no != 0 && what == 0) rc = sql_exec(c, &CLEAR, NULL, err, P_INT(ref->holder_no), P_INT(ref->order_no));
    if (ref->holder_no != 0 && what == 1)
        rc = sql_exec(c, &TAKE, NULL, err, P_INT(ref->holder_no), P_INT(ref->order_no), P_INT(1 + below(r, 4)));
    if (rc == MEROS_OK && ref->holder_no != 0 && ref->owner_no != ref->holder_no)
        rc = sql_exec(c, &MOVE, NULL, err, P_INT(ref->holder_no), P_INT(ref->order_no), P_INT(ref->owner_no));
    for (unsigned n = what < 2 ? 0 : below(r, 4); n > 0 && rc == MEROS_OK; n--)
        rc = sql_exec(c, &PUT, NULL, err, P_INT(ref->owner_no), P_INT(ref->order_no), P_INT(1 + below(r, 4)), P_INT(below(r, PRODUCTS + 1)),
                      P_TIME(day((int)below(r, 12))), P_INT((int)below(r, 7) - 2), P_INT((int)below(r, 400) - 100));
    return rc;
}

/* Some orders of those from `low` on change, in one transaction; holders[] is kept by the caller. */
static enum meros_code some_orders(struct store_conn *c, struct arena *memory, struct random *r, int low, int n_orders, int64_t *holders,
                                   struct meros_err *err)
{
    struct order_changes x;
    struct order_ref refs[3];
    char ids[3][8];
    size_t n = 0;
    int first = (int)below(r, (unsigned)n_orders);
    for (int k = 0; k < 1 + (int)below(r, 3) && n < 3; k++) {
        int order = low + (first + k) % n_orders;
        snprintf(ids[n], sizeof ids[n], "o%d", order);
        int64_t holder = holders[order], owner = holder != 0 && below(r, 3) > 0 ? holder : 1 + below(r, CUSTOMERS);
        refs[n] = (struct order_ref){order, str_of(ids[n]), holder, owner};
        n++;
    }
    enum meros_code rc = store_begin(c, err);
    for (size_t k = 0; k < n && rc == MEROS_OK; k++)
        rc = sql_exec(c, &OWN, NULL, err, P_TEXT(refs[k].order_id), P_INT(refs[k].order_no), P_INT(refs[k].owner_no));
    if (rc == MEROS_OK) rc = order_changes_begin(c, memory, refs, n, &x, err);
    for (size_t k = 0; k < n && rc == MEROS_OK; k++) rc = write_lines(c, r, &refs[k], err);
    if (rc == MEROS_OK) rc = order_changes_end(c, &x, err);
    if (rc == MEROS_OK) rc = store_commit(c, err);
    if (rc != MEROS_OK) store_rollback(c);
    for (size_t k = 0; k < n && rc == MEROS_OK; k++) holders[refs[k].order_no] = refs[k].owner_no;
    return rc;
}

static void join_two(struct bench *b, struct random *r, int64_t *holders)
{
    static const struct sql MOVE_ALL_LINES = {"test_join_lines", "update order_lines set customer_no = $2 where customer_no = $1", SQL_NOTHING};
    static const struct sql MOVE_ALL_ORDERS = {"test_join_orders", "update orders set customer_no = $2 where customer_no = $1", SQL_NOTHING};
    int64_t from = 1 + below(r, CUSTOMERS), into = 1 + (from + below(r, CUSTOMERS - 1)) % CUSTOMERS;
    DO(b, store_begin(b->c, &b->err));
    DO(b, order_stats_join(b->c, from, into, &b->err));
    RUN(b, &MOVE_ALL_LINES, P_INT(from), P_INT(into));
    RUN(b, &MOVE_ALL_ORDERS, P_INT(from), P_INT(into));
    DO(b, store_commit(b->c, &b->err));
    for (int k = 0; k <= ORDERS; k++)
        if (holders[k] == from) holders[k] = into;
}

Test(order_changes, of_any_history_leave_what_the_lines_say, .timeout = 120)
{
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct random r = {seed * 7919 + 1};
        struct bench b;
        int64_t holders[1 + ORDERS] = {0};
        bench_open(&b);
        for (int step = 0; step < 60; step++) {
            if (below(&r, 12) == 0) join_two(&b, &r, holders);
            else DO(&b, some_orders(b.c, &b.memory, &r, 1, ORDERS, holders, &b.err));
            check_order_side(b.db);
        }
        bench_close(&b);
    }
}

/* --- several at once */
enum { WRITERS = 4 };
struct writer {
    struct bench *b;
    struct store_conn *c;
    int low;
    int64_t *holders;
    int done, again;
};

static void *write_on(void *arg)
{
    struct writer *w = arg;
    struct random r = {(uint64_t)w->low * 31};
    struct arena memory;
    struct meros_err err;
    arena_init(&memory, 16 << 20);
    while (w->done < 60 && w->again < 10000) {
        err_clear(&err);
        enum meros_code rc = some_orders(w->c, &memory, &r, w->low, 5, w->holders, &err);
        if (rc == MEROS_OK) w->done++;
        else if (rc == MEROS_UNAVAILABLE || rc == MEROS_CONFLICT) w->again++; /* a deadlock: the lines are not written in an order */
        else break;
    }
    arena_done(&memory);
    return NULL;
}

Test(order_changes, of_several_writers_at_once_add_up, .timeout = 120)
{
    struct bench b;
    struct writer writers[WRITERS];
    pthread_t threads[WRITERS];
    int64_t holders[5 * WRITERS + 6] = {0};
    bench_open(&b);
    for (int k = 0; k < WRITERS; k++) {
        writers[k] = (struct writer){&b, pg_conn(b.db), 1 + 5 * k, holders, 0, 0};
        cr_assert_eq(pthread_create(&threads[k], NULL, write_on, &writers[k]), 0);
    }
    for (int k = 0; k < WRITERS; k++) {
        pthread_join(threads[k], NULL);
        cr_expect_eq(writers[k].done, 60);
    }
    check_order_side(b.db);
    bench_close(&b);
}
