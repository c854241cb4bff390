/* Statistics kept by imports equal statistics recomputed from the raw rows, whatever comes in whatever order. */
#include "import_support.h"
#include <math.h>
#include "meros/service/customers.h"
#include "stats_check.h"

enum { CUSTOMERS = 7, PRODUCTS = 6, ORDERS = 24, STEPS = 36, SEEDS = 4, FILES = STEPS }; /* few, so that much meets */

struct random {
    uint64_t state;
};

static unsigned below(struct random *r, unsigned n)
{
    r->state = r->state * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned)(r->state >> 33) % n;
}

/* A file of order lines: orders in any order, scattered, with returns, moves between customers, line_ids, bad rows. */
static void make_orders(struct random *r, struct buf *b)
{
    buf_str(b, "order_id,customer_id,ordered_at,product_id,quantity,unit_price,amount,line_id\n");
    for (unsigned n = 1 + below(r, 30); n > 0; n--) {
        unsigned order = below(r, ORDERS), customer = below(r, 6) > 0 ? order % CUSTOMERS : below(r, CUSTOMERS);
        unsigned lines = 1 + below(r, 4);
        bool back = below(r, 7) == 0; /* nothing but returns */
        for (; lines > 0; lines--) {
            buf_printf(b, "o%u,c%u,2024-%02u-%02u %02u:00,", order, customer, 1 + below(r, 12), 1 + below(r, 28), below(r, 24));
            if (below(r, 8) == 0) buf_str(b, ",,");
            else buf_printf(b, "p%u,%d,", below(r, PRODUCTS), back ? -1 - (int)below(r, 3) : (int)below(r, 8) - 2);
            if (below(r, 4) == 0) buf_printf(b, ",%d.%02u,", (int)below(r, 50) - 10, below(r, 100));
            else buf_printf(b, "%u.%02u,,", below(r, 50), below(r, 100));
            if (below(r, 3) == 0) buf_printf(b, "l%u", below(r, 5));
            buf_char(b, '\n');
        }
        if (below(r, 10) == 0) buf_printf(b, "o%u,c%u,never,,,,,\n", order, customer);
    }
}

static void make_events(struct random *r, struct buf *b)
{
    static const char *const types[] = {"product_viewed", "product_added", "searched", "odd_thing", "page_viewed"};
    for (unsigned n = 1 + below(r, 60); n > 0; n--) {
        buf_printf(b, "{\"customer_id\":\"c%u\",\"type\":\"%s\",\"occurred_at\":\"20%02u-%02u-%02uT%02u:00:00Z\"", below(r, CUSTOMERS),
                   types[below(r, 5)], 22 + below(r, 3), 1 + below(r, 12), 1 + below(r, 28), below(r, 24));
        if (below(r, 3) > 0) buf_printf(b, ",\"event_id\":\"e%u\"", below(r, 100));
        if (below(r, 2) == 0) buf_printf(b, ",\"product_id\":\"p%u\",\"value\":%u.5", below(r, 9), below(r, 9));
        buf_str(b, "}\n");
    }
}

struct seen {
    struct store_conn *live;
    struct arena memory;
    size_t n;
};

static bool near(double a, double b)
{
    return fabs(a - b) <= 1e-9 * fmax(fabs(a), fabs(b));
}

static void same_stats(const struct customer_stats *a, const struct customer_stats *b, const char *id)
{
    cr_assert(a->created_at == b->created_at && a->last_seen_at == b->last_seen_at, "%s: seen", id);
    cr_assert(a->first_order_at == b->first_order_at && a->last_order_at == b->last_order_at, "%s: order times", id);
    cr_assert(a->orders == b->orders && a->returns == b->returns && a->lines == b->lines && a->products == b->products,
              "%s: %lld/%lld orders, %lld/%lld returns, %lld/%lld lines, %lld/%lld products", id, (long long)a->orders,
              (long long)b->orders, (long long)a->returns, (long long)b->returns, (long long)a->lines, (long long)b->lines,
              (long long)a->products, (long long)b->products);
    cr_assert(a->units == b->units && a->revenue == b->revenue && a->gross_revenue == b->gross_revenue &&
                  a->returned_amount == b->returned_amount, "%s: sums", id);
    for (int k = 0; k < EVENT_KIND_COUNT; k++) {
        cr_assert(a->events[k].count == b->events[k].count && a->events[k].decayed_at == b->events[k].decayed_at, "%s: events", id);
        cr_assert(near(a->events[k].decayed, b->events[k].decayed), "%s: %.17g is not %.17g", id, a->events[k].decayed, b->events[k].decayed);
    }
}

static enum meros_code compare(void *arg, const struct customer_state *raw, struct meros_err *err)
{
    struct seen *x = arg;
    struct customer_state now;
    const char *id = arena_strndup(&x->memory, raw->customer_id.p, raw->customer_id.n);
    cr_assert_eq(store_stats_live(x->live, &raw->customer_id, 1, &x->memory, &now, err), MEROS_OK, "%s", err->detail);
    cr_assert(now.known && now.stats.customer_no == raw->stats.customer_no && str_eq(now.customer_id, raw->customer_id), "%s", id);
    cr_assert(str_eq(now.attributes, raw->attributes) && str_eq(now.consent, raw->consent) && now.created_at == raw->created_at);
    same_stats(&raw->stats, &now.stats, id);
    cr_assert_eq(store_stats_at(x->live, clock_now() + 2 * TIME_DAY, 30, &now, err), MEROS_OK, "%s", err->detail);
    same_stats(&raw->stats, &now.stats, id);
    x->n++;
    return MEROS_OK;
}

#define ODD_IDS                                                                                              \
    "select count(*) from order_ids i full join orders o using (order_id) "                                  \
    "where i.order_no is distinct from o.order_no or i.customer_no is distinct from o.customer_no"

static void check(struct shop *s)
{
    struct seen x = {0};
    struct store_conn *c = pg_conn(s->db);
    x.live = pg_conn(s->db);
    arena_init(&x.memory, 16 << 20);
    cr_assert_eq(store_begin_snapshot(c, &s->err), MEROS_OK);
    cr_assert_eq(store_stats_asof(c, TIME_NONE, compare, &x, &s->err), MEROS_OK, "%s", s->err.detail);
    store_rollback(c);
    cr_assert_eq((long long)x.n, pg_int(s->db, "select count(*) from customers"));
    cr_assert_eq(pg_int(s->db, ODD_IDS), 0);
    arena_done(&x.memory);
    store_release(s->db->pool, c);
    store_release(s->db->pool, x.live);
    s->db->n_conns -= 2;
}

static void erase_somebody(struct shop *s, struct random *r)
{
    char id[8];
    struct erasure e;
    snprintf(id, sizeof id, "c%u", below(r, CUSTOMERS));
    enum meros_code rc = service_erase_customer(&s->svc, str_of(id), &e, &s->err);
    cr_assert(rc == MEROS_OK || rc == MEROS_NOT_FOUND, "%s", s->err.detail);
    char query[500];
    snprintf(query, sizeof query,
             "select count(*) from (select customer_no from events union all select customer_no from orders union all "
             "select customer_no from order_lines union all select customer_no from order_ids union all "
             "select customer_no from customer_stats union all select customer_no from customer_products union all "
             "select customer_no from customer_days) t where customer_no = %lld",
             (long long)e.customer_no);
    cr_assert_eq(pg_int(s->db, query), 0);
}

static void run(uint64_t seed)
{
    struct random r = {seed * 7919 + 1};
    struct shop s;
    struct buf files[FILES];
    bool events[FILES];
    int n = 0;
    shop_open(&s);
    for (int step = 0; step < STEPS; step++) {
        unsigned what = below(&r, 10);
        int file = n;
        if (what == 0) {
            erase_somebody(&s, &r);
        } else {
            if (what < 3 && n > 0) {
                file = (int)below(&r, (unsigned)n); /* an old file again: after others came, also changes back */
            } else {
                buf_init(&files[n], 1 << 20);
                events[n] = what >= 7;
                (events[n] ? make_events : make_orders)(&r, &files[n]);
                n++;
            }
            struct import_options o = {.dataset = events[file] ? DATASET_EVENTS : DATASET_ORDERS,
                                       .format = events[file] ? IMPORT_NDJSON : IMPORT_CSV};
            shop_import(&s, o, files[file].data);
            shop_import(&s, o, files[file].data);
            cr_assert_eq(s.result.inserted + s.result.updated, 0, "seed %llu step %d: replayed at once, %lld inserted, %lld updated",
                         (unsigned long long)seed, step, (long long)s.result.inserted, (long long)s.result.updated);
        }
        check_order_side(s.db);
        if (step % 4 == 3) check(&s);
    }
    for (int k = 0; k < n; k++) buf_done(&files[k]);
    shop_close(&s);
}

Test(stats, kept_by_imports_equal_those_recomputed_whatever_comes_in_whatever_order, .timeout = 300)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) run(seed);
}

/* --- the order of arrival. A set of lines, each known by its order and line_id, in any order, in files of any size, some
 * first in a wrong version (of another customer, product, day or amount) and some twice: the same statistics. */
enum { KNOWN_LINES = 120 };
struct known_line {
    unsigned order, product, day, price;
    int quantity;
};

static void put_line(struct buf *b, const struct known_line *x, unsigned k, unsigned customer)
{
    buf_printf(b, "o%u,c%u,2024-05-%02u,p%u,%d,%u.25,l%u\n", x->order, customer, 1 + x->day, x->product, x->quantity, x->price, k);
}

static char *arrive(struct random *r, const struct known_line *lines, unsigned files)
{
    struct shop s;
    struct buf b;
    unsigned turn[KNOWN_LINES];
    shop_open(&s);
    buf_init(&b, 1 << 20);
    for (unsigned k = 0; k < KNOWN_LINES; k++) turn[k] = k;
    for (unsigned k = KNOWN_LINES - 1; files > 1 && k > 0; k--) {
        unsigned other = below(r, k + 1), held = turn[k];
        turn[k] = turn[other];
        turn[other] = held;
    }
    for (unsigned at = 0, file = 0; file < files; file++) {
        unsigned end = file + 1 == files ? KNOWN_LINES : (file + 1) * KNOWN_LINES / files;
        buf_clear(&b);
        buf_str(&b, "order_id,customer_id,ordered_at,product_id,quantity,unit_price,line_id\n");
        for (unsigned k = 0; files > 1 && k < KNOWN_LINES; k++) { /* of lines that are still to come right */
            const struct known_line *x = &lines[turn[at + k % (KNOWN_LINES - at)]];
            struct known_line wrong = {x->order, below(r, PRODUCTS), below(r, 28), below(r, 90), (int)below(r, 9) - 3};
            if (below(r, 12) == 0) put_line(&b, &wrong, turn[at + k % (KNOWN_LINES - at)], below(r, CUSTOMERS));
        }
        for (; at < end; at++) put_line(&b, &lines[turn[at]], turn[at], lines[turn[at]].order % CUSTOMERS);
        if (file + 1 == files) /* the last word on whose each order is */
            for (unsigned k = 0; k < KNOWN_LINES; k++) put_line(&b, &lines[k], k, lines[k].order % CUSTOMERS);
        shop_import(&s, (struct import_options){.dataset = DATASET_ORDERS}, b.data);
        check_order_side(s.db);
    }
    char *table = pg_table(s.db,
        "select customer_id, orders, returns, lines, products, trim_scale(units), trim_scale(revenue), trim_scale(gross_revenue), "
        "  trim_scale(returned_amount), first_order_at, last_order_at, first_any_at, last_any_at, "
        "  (select string_agg(product_id || ':' || k.lines, ' ' order by product_id) from customer_products k join products using (product_no) "
        "   where k.customer_no = c.customer_no) "
        "from customer_stats s join customers c using (customer_no) order by 1");
    buf_done(&b);
    shop_close(&s);
    return table;
}

Test(stats, are_the_same_whatever_the_order_of_arrival, .timeout = 120)
{
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct random r = {seed * 104729};
        struct known_line lines[KNOWN_LINES];
        for (unsigned k = 0; k < KNOWN_LINES; k++)
            lines[k] = (struct known_line){below(&r, ORDERS), below(&r, PRODUCTS), below(&r, 28), below(&r, 90), (int)below(&r, 9) - 2};
        char *once = arrive(&r, lines, 1), *shuffled = arrive(&r, lines, 8), *again = arrive(&r, lines, 15);
        cr_expect_str_eq(shuffled, once);
        cr_expect_str_eq(again, once);
        cr_expect(strlen(once) > 100);
        free(once);
        free(shuffled);
        free(again);
    }
}

/* What is wrong in the tables stays wrong by as much when something else changes: they are added to, not made anew. */
Test(stats, are_added_to_and_never_made_anew)
{
#define HEAD "order_id,customer_id,ordered_at,product_id,quantity,unit_price\n"
#define TOTALS "select orders, returns, lines, products, trim_scale(units), trim_scale(revenue), trim_scale(gross_revenue), " \
               "trim_scale(returned_amount), first_order_at at time zone 'UTC', last_any_at at time zone 'UTC' from customer_stats"
#define PAIRS "select product_id, lines from customer_products join products using (product_no) order by 1"
    struct shop s;
    shop_open(&s);
    shop_orders(&s, HEAD "o1,c1,2024-01-05,p1,1,1\no2,c1,2024-01-06,p1,1,10\no2,c1,2024-01-06,p2,1,10\no3,c1,2024-01-07,p3,-1,4\n");
    EXPECT_TABLE(&s, TOTALS, "2|1|3|2|3|17|21|4|2024-01-05 00:00:00|2024-01-07 00:00:00\n");
    pg_run(s.db, "update customer_stats set orders = orders + 100, returns = returns + 200, lines = lines + 300, products = products + 400, "
                 "units = units + 0.5, revenue = revenue + 1000, gross_revenue = gross_revenue + 2000, "
                 "returned_amount = returned_amount + 3000, first_order_at = first_order_at - interval '1 day', "
                 "last_any_at = last_any_at + interval '1 day'; update customer_products set lines = lines + 10");
    shop_orders(&s, HEAD "o4,c1,2024-01-06,p3,2,3\n"); /* an order more */
    EXPECT_TABLE(&s, TOTALS, "103|201|304|403|5.5|1023|2027|3004|2024-01-04 00:00:00|2024-01-08 00:00:00\n");
    EXPECT_TABLE(&s, PAIRS, "p1|12\np2|11\np3|1\n");
    shop_orders(&s, HEAD "o2,c1,2024-01-06,p1,4,10\no2,c1,2024-01-06,p1,1,7\n"); /* an order corrected: p2 became p1 */
    EXPECT_TABLE(&s, TOTALS, "103|201|304|403|8.5|1050|2054|3004|2024-01-04 00:00:00|2024-01-08 00:00:00\n");
    EXPECT_TABLE(&s, PAIRS, "p1|13\np2|10\np3|1\n");
    /* Given to another customer, with its two lines of p1. It was among the last purchases: times alone are read anew. */
    shop_orders(&s, HEAD "o2,c2,2024-01-06,p1,4,10\n");
    EXPECT_TABLE(&s, TOTALS " where products > 100", "102|201|302|403|3.5|1003|2007|3004|2024-01-05 00:00:00|2024-01-07 00:00:00\n");
    EXPECT_TABLE(&s, TOTALS " where products < 100", "1|0|2|1|5|47|47|0|2024-01-06 00:00:00|2024-01-06 00:00:00\n");
    shop_close(&s);
}

struct one {
    struct customer_stats stats;
    size_t n;
};

static enum meros_code take(void *arg, const struct customer_state *state, struct meros_err *err)
{
    struct one *x = arg;
    (void)err;
    if (x->n++ == 0) x->stats = state->stats;
    return MEROS_OK;
}

Test(stats, as_of_a_moment_know_nothing_of_what_comes_at_it_or_after)
{
    struct shop s;
    struct one x = {0};
    int64_t at;
    shop_open(&s);
    shop_orders(&s, "order_id,customer_id,ordered_at,product_id,quantity,unit_price\na,c1,2024-01-01,p1,1,10\nb,c1,2024-02-01,p2,2,20\n"
                    "d,c2,2024-02-01,p1,1,1\na,c1,2024-02-01,p3,3,5\na,c1,2024-03-01,p1,-1,10\n"); /* a has later lines */
    shop_import(&s, (struct import_options){.dataset = DATASET_EVENTS, .format = IMPORT_NDJSON},
                "{\"customer_id\":\"c1\",\"type\":\"searched\",\"occurred_at\":\"2024-01-01\"}\n"
                "{\"customer_id\":\"c1\",\"type\":\"searched\",\"occurred_at\":\"2024-01-31\"}\n"
                "{\"customer_id\":\"c1\",\"type\":\"searched\",\"occurred_at\":\"2024-02-01\"}\n");
    struct store_conn *c = pg_conn(s.db);
    cr_assert(time_parse(STR("2024-02-01"), &at));
    cr_assert_eq(store_begin_snapshot(c, &s.err), MEROS_OK);
    cr_assert_eq(store_stats_asof(c, at, take, &x, &s.err), MEROS_OK, "%s", s.err.detail);
    store_rollback(c);
    cr_expect_eq(x.n, 1, "c2 was not there yet");
    cr_expect_eq(x.stats.orders, 1);
    cr_expect_eq(x.stats.products, 1);
    cr_expect_eq(x.stats.revenue, 10);
    cr_expect_eq(x.stats.events[EVENT_SEARCHED].count, 2);
    cr_expect_float_eq(x.stats.events[EVENT_SEARCHED].decayed, 1.5, 1e-12);
    struct customer_state one = {0};
    struct arena memory;
    arena_init(&memory, 1 << 20);
    cr_assert_eq(store_stats_live(c, &STR("c1"), 1, &memory, &one, &s.err), MEROS_OK);
    cr_expect_eq(one.stats.revenue, 55);
    cr_assert_eq(store_stats_at(c, at, 30, &one, &s.err), MEROS_OK, "%s", s.err.detail);
    same_stats(&x.stats, &one.stats, "c1");
    arena_done(&memory);
    shop_close(&s);
}

Test(stats, live_answers_many_customers_at_once_and_says_who_is_unknown)
{
    struct shop s;
    struct customer_state out[4];
    struct arena memory;
    const struct str ids[] = {STR("c2"), STR("nobody"), STR("c1"), STR("c2")};
    shop_open(&s);
    arena_init(&memory, 1 << 16);
    shop_orders(&s, "order_id,customer_id,ordered_at,product_id,quantity,unit_price\na,c1,2024-01-01,p1,1,10\nb,c2,2024-02-01,p2,2,20\n");
    struct store_conn *c = pg_conn(s.db);
    cr_assert_eq(store_stats_live(c, ids, 4, &memory, out, &s.err), MEROS_OK, "%s", s.err.detail);
    cr_expect(out[0].known && !out[1].known && out[2].known && out[3].known);
    cr_expect_eq(out[0].stats.revenue, 40);
    cr_expect_eq(out[2].stats.revenue, 10);
    cr_expect_eq(out[3].stats.customer_no, out[0].stats.customer_no);
    int64_t no = out[2].stats.customer_no;
    cr_assert_eq(store_stats_live_by_no(c, &no, 1, &memory, out, &s.err), MEROS_OK);
    cr_expect(out[0].known && str_is(out[0].customer_id, "c1") && str_is(out[0].attributes, "{}"));
    arena_done(&memory);
    shop_close(&s);
}

Test(stats, who_customers_are_is_told_without_their_statistics_also_of_an_alias)
{
    struct shop s;
    struct customer_state out[3];
    struct arena memory;
    const struct str ids[] = {STR("old name"), STR("nobody"), STR("c1")};
    shop_open(&s);
    arena_init(&memory, 1 << 16);
    shop_orders(&s, "order_id,customer_id,ordered_at,product_id,quantity,unit_price\na,c1,2024-01-01,p1,1,10\n");
    pg_run(s.db, "insert into customer_ids select 'old name', customer_no from customers; update customers set attributes = '{\"a\": 1}'");
    struct store_conn *c = pg_conn(s.db);
    for (int attributes = 0; attributes < 2; attributes++) {
        cr_assert_eq(store_stats_who(c, ids, 3, attributes, &memory, out, &s.err), MEROS_OK, "%s", s.err.detail);
        cr_expect(out[0].known && !out[1].known && out[2].known);
        cr_expect(str_is(out[0].customer_id, "c1") && str_is(out[2].customer_id, "c1"));
        cr_expect(out[0].stats.customer_no > 0 && out[0].stats.customer_no == out[2].stats.customer_no);
        cr_expect(str_is(out[2].attributes, attributes ? "{\"a\": 1}" : ""));
    }
    arena_done(&memory);
    shop_close(&s);
}

Test(stats, decay_anew_when_the_half_life_is_changed)
{
    struct shop s;
    shop_open(&s);
    shop_import(&s, (struct import_options){.dataset = DATASET_EVENTS, .format = IMPORT_NDJSON},
                "{\"customer_id\":\"c1\",\"type\":\"searched\",\"occurred_at\":\"2024-01-01\"}\n"
                "{\"customer_id\":\"c1\",\"type\":\"searched\",\"occurred_at\":\"2024-01-31\"}\n");
    cr_expect_float_eq(pg_num(s.db, "select decayed from customer_event_stats"), 1.5, 1e-12);
    struct store_conn *c = pg_conn(s.db);
    cr_assert_eq(store_stats_set_half_life(c, 15, &s.err), MEROS_OK, "%s", s.err.detail);
    cr_expect_float_eq(pg_num(s.db, "select decayed from customer_event_stats"), 1.25, 1e-12);
    shop_close(&s);
}
