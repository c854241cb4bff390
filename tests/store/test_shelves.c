/* What a customer had to do with products, asked for by name, is what training reads of all of them. */
#include "import_support.h"
#include <math.h>
#include "meros/base/clock.h"
#include "meros/store/interactions.h"

enum { CUSTOMERS = 9, SEEDS = 4 };

struct random {
    uint64_t state;
};

static unsigned below(struct random *r, unsigned n)
{
    r->state = r->state * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned)(r->state >> 33) % n;
}

static void make_orders(struct random *r, struct buf *b)
{
    buf_str(b, "order_id,customer_id,ordered_at,product_id,quantity,unit_price,amount\n");
    for (unsigned order = 0; order < 30; order++) {
        const unsigned customer = below(r, CUSTOMERS), lines = 1 + below(r, 5);
        for (unsigned k = 0; k < lines; k++) {
            buf_printf(b, "o%u,c%u,2024-%02u-%02u %02u:00,", order, customer, 1 + below(r, 12), 1 + below(r, 28), below(r, 24));
            if (below(r, 9) == 0) buf_str(b, ",,,7\n"); /* a total */
            else if (below(r, 5) == 0) buf_printf(b, "p%u,,,%d\n", below(r, 8), (int)below(r, 20) - 10); /* no quantity */
            else buf_printf(b, "p%u,%d,2.50,\n", below(r, 8), (int)below(r, 7) - 2);
        }
    }
}

static void make_events(struct random *r, struct buf *b)
{
    static const char *const types[] = {"product_viewed",  "product_added",          "product_removed",     "review_submitted",
                                        "review_submitted", "recommendation_clicked", "recommendation_shown", "wished_for", "page_viewed"};
    for (unsigned n = 0; n < 150; n++) {
        buf_printf(b, "{\"customer_id\":\"c%u\",\"type\":\"%s\",\"occurred_at\":\"20%02u-%02u-%02uT%02u:00:00Z\",\"event_id\":\"e%u\"",
                   below(r, CUSTOMERS), types[below(r, 9)], 22 + below(r, 3), 1 + below(r, 12), 1 + below(r, 28), below(r, 24), n);
        if (below(r, 8) > 0) buf_printf(b, ",\"product_id\":\"p%u\"", below(r, 9));
        if (below(r, 3) > 0) buf_printf(b, ",\"value\":%u", below(r, 7));
        buf_str(b, "}\n");
    }
}

struct seen {
    struct str names[CUSTOMERS];
    struct customer_shelf shelves[CUSTOMERS];
    size_t at[CUSTOMERS], n;
};

static enum meros_code compare(void *arg, const struct interaction_row *row, struct meros_err *err)
{
    struct seen *s = arg;
    (void)err;
    for (size_t k = 0; k < CUSTOMERS; k++) {
        if (!s->shelves[k].known || s->shelves[k].customer_no != row->customer_no) continue;
        cr_assert_lt(s->at[k], s->shelves[k].n);
        const struct interaction_row *live = &s->shelves[k].rows[s->at[k]++];
        cr_assert(live->product_no == row->product_no && live->last_at == row->last_at && live->bought_at == row->bought_at &&
                      live->purchases == row->purchases, "%lld: product %lld or %lld", (long long)row->customer_no,
                  (long long)live->product_no, (long long)row->product_no);
        cr_assert_leq(fabs(live->weight - row->weight), 1e-9 * fmax(1, fabs(row->weight)), "%.17g is not %.17g", live->weight, row->weight);
        s->n++;
        return MEROS_OK;
    }
    cr_assert_fail("a customer whom nobody knows by name");
    return MEROS_OK;
}

static void same(struct shop *s, struct store_conn *c, const struct interaction_weights *w, const char *prefix, bool aliases)
{
    struct seen x = {0};
    struct arena arena;
    const int64_t at = clock_now();
    char names[CUSTOMERS][8];
    size_t rows = 0;
    arena_init(&arena, 16 << 20);
    for (unsigned k = 0; k < CUSTOMERS; k++) {
        snprintf(names[k], sizeof names[k], "%s%u", aliases && k % 2 == 0 ? "a" : prefix, k);
        x.names[k] = str_of(names[k]);
    }
    cr_assert_eq(store_shelves(c, x.names, CUSTOMERS, w, at, &arena, x.shelves, &s->err), MEROS_OK, "%s", s->err.detail);
    cr_assert_eq(store_begin_snapshot(c, &s->err), MEROS_OK);
    cr_assert_eq(store_interactions_all(c, w, at, compare, &x, &s->err), MEROS_OK, "%s", s->err.detail);
    store_rollback(c);
    for (unsigned k = 0; k < CUSTOMERS; k++) {
        if (x.shelves[k].profiling) rows += x.shelves[k].n;
        cr_assert(!x.shelves[k].known || str_is(x.shelves[k].customer_id, (char[]){'c', (char)('0' + k), 0}));
    }
    cr_assert_gt(x.n, 0);
    cr_assert_eq(x.n, rows);
    arena_done(&arena);
}

Test(shelves, are_what_training_reads, .timeout = 300)
{
    for (unsigned seed = 1; seed <= SEEDS; seed++) {
        struct shop s;
        struct random r = {seed * 77};
        struct buf b;
        struct interaction_weights decayed = interaction_weights_default;
        decayed.half_life_days = 40;
        decayed.other = .25;
        decayed.returned = -1.5;
        shop_open(&s);
        buf_init(&b, 1 << 20);
        make_orders(&r, &b);
        buf_char(&b, '\0');
        shop_orders(&s, b.data);
        buf_clear(&b);
        make_events(&r, &b);
        buf_char(&b, '\0');
        shop_import(&s, (struct import_options){.dataset = DATASET_EVENTS, .format = IMPORT_NDJSON}, b.data);
        struct store_conn *c = pg_conn(s.db);
        same(&s, c, &interaction_weights_default, "c", false);
        same(&s, c, &decayed, "c", false);
        pg_run(s.db, "insert into customer_ids select replace(customer_id, 'c', 'a'), customer_no from customer_ids;"
                     "update customers set consent = '{\"profiling\": false}' where customer_no % 4 = 1");
        same(&s, c, &decayed, "c", true);
        buf_done(&b);
        shop_close(&s);
    }
}

static struct customer_shelf one(struct shop *s, struct store_conn *c, const char *name, struct arena *arena)
{
    struct customer_shelf x;
    cr_assert_eq(store_shelves(c, &(struct str){name, strlen(name)}, 1, &interaction_weights_default, clock_now(), arena, &x, &s->err), MEROS_OK,
                 "%s", s->err.detail);
    return x;
}

Test(shelves, weigh_as_the_header_says)
{
    struct shop s;
    struct arena arena;
    shop_open(&s);
    arena_init(&arena, 1 << 20);
    struct store_conn *c = pg_conn(s.db);
    pg_run(s.db, "insert into customers (customer_no, customer_id) values (1, 'c'), (2, 'nothing');"
                 "insert into customer_ids values ('c', 1), ('also', 1), ('nothing', 2);"
                 "insert into products (product_no, product_id) values (10, 'a'), (11, 'b'), (12, 'd');"
                 "insert into events (customer_no, event_key, kind, type, occurred_at, product_no, value) values "
                 "(1, gen_random_uuid(), 0, 'product_viewed', '2024-01-01', 10, null), "
                 "(1, gen_random_uuid(), 0, 'review_submitted', '2024-01-02', 10, 1), "     /* -3 */
                 "(1, gen_random_uuid(), 0, 'recommendation_shown', '2024-01-09', 12, null), "
                 "(1, gen_random_uuid(), 0, 'order_completed', '2024-01-03', 11, null);"     /* counts by its lines */
                 "insert into order_lines (customer_no, order_no, line_key, product_no, ordered_at, quantity, amount) values "
                 "(1, 1, 1, 11, '2024-01-01', 3, 3), (1, 1, 2, 11, '2024-01-01', 1, 1), (1, 2, 1, 11, '2024-01-04', 1, 1), "
                 "(1, 3, 1, 10, '2024-01-05', 1, 1), (1, 4, 1, 10, '2024-01-06', -1, -1)");
    struct customer_shelf x = one(&s, c, "also", &arena);
    cr_assert(x.known && x.profiling && x.customer_no == 1 && str_is(x.customer_id, "c"));
    cr_assert_eq(x.n, 2);
    cr_expect(x.rows[0].product_no == 11 && x.rows[0].weight == 15 && x.rows[0].purchases == 2 && x.rows[0].bought_at == x.rows[0].last_at);
    cr_expect(x.rows[1].product_no == 10 && x.rows[1].weight == 1 - 3 + 5 - 5 && x.rows[1].purchases == 1);
    cr_expect_eq(x.rows[1].bought_at, TIME_NONE, "all of it came back");
    x = one(&s, c, "nothing", &arena);
    cr_expect(x.known && x.n == 0 && x.customer_no == 2);
    x = one(&s, c, "nobody", &arena);
    cr_expect(!x.known && x.n == 0 && x.customer_no == 0);
    arena_done(&arena);
    shop_close(&s);
}

Test(shelves, a_customer_with_very_many_events_costs_what_the_last_ones_do, .timeout = 300)
{
    struct shop s;
    struct arena arena;
    shop_open(&s);
    arena_init(&arena, 16 << 20);
    struct store_conn *c = pg_conn(s.db);
    cr_assert_eq(store_set_generic_plans(c, &s.err), MEROS_OK);
    pg_run(s.db, "insert into customers (customer_no, customer_id) values (1, 'c');"
                 "insert into customer_ids values ('c', 1);"
                 "insert into products (product_no, product_id) select k, 'p' || k from generate_series(1, 5000) k;"
                 "insert into events (customer_no, event_key, kind, type, occurred_at, product_no) "
                 "select 1, gen_random_uuid(), 0, 'product_viewed', '2024-01-01'::timestamptz + k * interval '1 minute', 1 + k / 34 "
                 "from generate_series(1, 168000) k; analyze");
    const int64_t from = clock_mono_ns();
    struct customer_shelf x = one(&s, c, "c", &arena);
    const double ms = (double)(clock_mono_ns() - from) / 1e6;
    cr_expect_eq(x.n, 60, "%zu products", x.n); /* of the last 2000 events: 34 each, one more begun */
    cr_expect_lt(ms, 2000, "%.1f ms", ms); /* all of them would be read in ten times the time of the last; generous for a slow machine */
    cr_log_info("%.1f ms", ms);
    arena_done(&arena);
    shop_close(&s);
}

static enum meros_code collect(void *arg, const struct catalog_row *row, struct meros_err *err)
{
    struct buf *b = arg;
    (void)err;
    buf_printf(b, "%.*s %.*s %g %d%d\n", (int)row->product_id.n, row->product_id.p, (int)row->category.n, row->category.p, row->price,
               row->available, row->deleted);
    return MEROS_OK;
}

Test(shelves, the_catalogue_is_read_whole_in_part_and_since)
{
    struct shop s;
    struct buf b;
    shop_open(&s);
    buf_init(&b, 1 << 16);
    struct store_conn *c = pg_conn(s.db);
    pg_run(s.db, "insert into products (product_no, product_id, category, price, available, deleted, changed_at) values "
                 "(1, 'a', 'x/y', 2.5, true, false, '2024-01-01'), (2, 'b', null, 3, false, true, '2024-01-03')");
    cr_assert_eq(store_catalog_read(c, TIME_NONE, collect, &b, &s.err), MEROS_OK, "%s", s.err.detail);
    buf_char(&b, '\0');
    cr_expect_str_eq(b.data, "a x/y 2.5 10\nb  3 01\n");
    buf_clear(&b);
    cr_assert_eq(store_catalog_read(c, days_from_civil(2024, 1, 2) * TIME_DAY, collect, &b, &s.err), MEROS_OK, "%s", s.err.detail);
    cr_assert_eq(store_catalog_some(c, (struct str[]){STR("a"), STR("nobody's")}, 2, collect, &b, &s.err), MEROS_OK, "%s", s.err.detail);
    buf_char(&b, '\0');
    cr_expect_str_eq(b.data, "b  3 01\na x/y 2.5 10\n");
    buf_done(&b);
    shop_close(&s);
}
