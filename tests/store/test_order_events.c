/* Orders that follow from events, in the tables: lines, sums, whose they are, and what imports of the same orders do. */
#include "import_support.h"
#include "identity_check.h"
#include "meros/service/customers.h"
#include "meros/service/order_events.h"
#include "meros/store/order_events.h"

static void events(struct shop *s, const char *ndjson)
{
    shop_import(s, (struct import_options){.dataset = DATASET_EVENTS, .format = IMPORT_NDJSON}, ndjson);
}

#define LINES                                                                                                \
    "select l_.customer_id, o.order_id, case when l.line_key > 0 then l.line_key::text else 'r' end, p.product_id, l.quantity, " \
    "trim_scale(l.amount), l.ordered_at::date, l.from_events from order_lines l join orders o using (customer_no, order_no) " \
    "join customers l_ using (customer_no) left join products p using (product_no) order by 1, 2, l.ordered_at, l.line_key < 0, 3, 4, 6"
#define EVENT(who, type, day, id, more)                                                                      \
    "{\"customer_id\":\"" who "\",\"event_id\":\"" id "\",\"type\":\"order_" type "\",\"occurred_at\":\"2024-01-" day "\",\"properties\":{\"order_id\":\"o1\"" more "}}\n"
#define TWO ",\"products\":[{\"product_id\":\"p1\",\"price\":19},{\"product_id\":\"p2\",\"price\":3,\"quantity\":2}]"

Test(order_events, an_import_of_events_makes_the_orders_that_they_speak_of)
{
    struct shop s;
    shop_open(&s);
    events(&s, EVENT("c1", "completed", "01", "e1", ",\"revenue\":25,\"total\":30" TWO));
    EXPECT_TABLE(&s, LINES, "c1|o1|1|p1|1|19|2024-01-01|t\nc1|o1|2|p2|2|6|2024-01-01|t\n");
    EXPECT_TABLE(&s, "select orders, revenue::float8, products, units::float8 from customer_stats", "1|25|2|3\n");
    events(&s, EVENT("c1", "refunded", "03", "e2", ",\"products\":[{\"product_id\":\"p2\"}]"));
    EXPECT_TABLE(&s, LINES, "c1|o1|1|p1|1|19|2024-01-01|t\nc1|o1|2|p2|2|6|2024-01-01|t\nc1|o1|r|p2|-1|-3|2024-01-03|t\n");
    EXPECT_TABLE(&s, "select orders, revenue::float8, returned_amount::float8 from customer_stats", "1|22|3\n");
    events(&s, EVENT("c1", "refunded", "03", "e2", ",\"products\":[{\"product_id\":\"p2\"}]"));
    EXPECT_COUNTS(&s, 0, 0, 1, 0);
    cr_expect_eq(pg_int(s.db, "select count(*) from order_lines"), 3);
    EXPECT_ALL_EXACT(s.db);
    events(&s, EVENT("c1", "cancelled", "04", "e3", ""));
    EXPECT_TABLE(&s, "select (select count(*) from order_lines), (select count(*) from orders), (select count(*) from order_ids), "
                     "(select count(*) from customer_stats)", "0|0|0|0\n");
    EXPECT_ALL_EXACT(s.db);
    shop_close(&s);
}

Test(order_events, an_event_that_an_import_changes_takes_its_order_along)
{
    struct shop s;
    shop_open(&s);
    events(&s, EVENT("c1", "completed", "01", "e1", ",\"revenue\":25"));
    events(&s, "{\"customer_id\":\"c1\",\"event_id\":\"e1\",\"type\":\"order_completed\",\"occurred_at\":\"2024-01-01\",\"properties\":{\"order_id\":\"o2\",\"revenue\":7}}\n");
    EXPECT_TABLE(&s, LINES, "c1|o2|1|(null)|1|7|2024-01-01|t\n");
    EXPECT_ALL_EXACT(s.db);
    events(&s, "{\"customer_id\":\"c1\",\"event_id\":\"e1\",\"type\":\"searched\",\"occurred_at\":\"2024-01-01\"}\n");
    EXPECT_TABLE(&s, LINES, "");
    EXPECT_ALL_EXACT(s.db);
    shop_close(&s);
}

Test(order_events, properties_that_cannot_make_an_order_are_rejected_with_their_place)
{
    struct shop s;
    shop_open(&s);
    events(&s, EVENT("c1", "completed", "01", "e1", ",\"products\":[{\"price\":-1}]") EVENT("c1", "completed", "01", "e2", ",\"revenue\":1"));
    EXPECT_COUNTS(&s, 1, 0, 0, 1);
    cr_expect_str_eq(s.result.errors[0].column, "properties");
    cr_expect_str_eq(s.result.errors[0].detail, "/products/0/price: It cannot be below zero.");
    shop_close(&s);
}

Test(order_events, whoever_spoke_last_of_an_order_holds)
{
    static const char file[] = "order_id,customer_id,ordered_at,product_id,quantity,amount\no1,c1,2024-01-02,p1,1,20\no1,c1,2024-01-02,p9,1,5\no1,c1,2024-01-02,p3,1,1\n";
    struct shop s;
    shop_open(&s);
    events(&s, EVENT("c1", "completed", "01", "e1", ",\"revenue\":25" TWO) EVENT("c1", "refunded", "05", "e2", ",\"total\":5"));
    shop_orders(&s, file);
    EXPECT_TABLE(&s, LINES, "c1|o1|1|p1|1|20|2024-01-02|f\nc1|o1|2|p9|1|5|2024-01-02|f\nc1|o1|3|p3|1|1|2024-01-02|f\n");
    EXPECT_ALL_EXACT(s.db);
    shop_orders(&s, file);
    EXPECT_COUNTS(&s, 0, 0, 3, 0);
    events(&s, EVENT("c1", "updated", "06", "e3", ",\"note\":\"sent\""));
    EXPECT_TABLE(&s, LINES, "c1|o1|1|p1|1|19|2024-01-01|t\nc1|o1|2|p2|2|6|2024-01-01|t\nc1|o1|r|(null)|(null)|-5|2024-01-05|t\n");
    EXPECT_ALL_EXACT(s.db);
    shop_close(&s);
}

Test(order_events, an_imported_order_is_refunded_and_cancelled_by_events_and_the_same_file_again_changes_nothing)
{
    static const char file[] = "order_id,customer_id,ordered_at,product_id,quantity,amount\no1,c1,2024-01-02,p1,2,20\n";
    struct shop s;
    shop_open(&s);
    shop_orders(&s, file);
    events(&s, EVENT("office", "refunded", "05", "e1", ",\"products\":[{\"product_id\":\"p1\"}]"));
    EXPECT_TABLE(&s, LINES, "c1|o1|1|p1|2|20|2024-01-02|f\nc1|o1|r|p1|-1|-10|2024-01-05|t\n");
    shop_orders(&s, file);
    EXPECT_COUNTS(&s, 0, 0, 1, 0);
    EXPECT_TABLE(&s, LINES, "c1|o1|1|p1|2|20|2024-01-02|f\nc1|o1|r|p1|-1|-10|2024-01-05|t\n");
    EXPECT_ALL_EXACT(s.db);
    events(&s, EVENT("office", "cancelled", "06", "e2", ""));
    EXPECT_TABLE(&s, LINES, "");
    EXPECT_ALL_EXACT(s.db);
    shop_close(&s);
}

Test(order_events, an_order_belongs_to_the_customer_of_its_last_completion)
{
    struct shop s;
    shop_open(&s);
    events(&s, EVENT("c2", "completed", "02", "e2", ",\"revenue\":9"));
    events(&s, EVENT("c1", "completed", "01", "e1", ",\"revenue\":5"));
    EXPECT_TABLE(&s, LINES, "c2|o1|1|(null)|1|9|2024-01-01|t\n");
    events(&s, EVENT("c1", "updated", "03", "e3", ",\"revenue\":4"));
    EXPECT_TABLE(&s, LINES, "c1|o1|1|(null)|1|4|2024-01-01|t\n");
    EXPECT_ALL_EXACT(s.db);
    shop_orders(&s, "order_id,customer_id,ordered_at,amount\no1,c3,2024-01-01,8\n");
    EXPECT_TABLE(&s, LINES, "c3|o1|1|(null)|(null)|8|2024-01-01|f\n");
    EXPECT_ALL_EXACT(s.db);
    shop_close(&s);
}

Test(order_events, erasing_the_customer_takes_the_orders_along)
{
    struct shop s;
    struct erasure gone;
    shop_open(&s);
    events(&s, EVENT("c1", "completed", "01", "e1", ",\"revenue\":25" TWO));
    cr_assert_eq(service_erase_customer(&s.svc, STR("c1"), &gone, &s.err), MEROS_OK);
    EXPECT_TABLE(&s, "select (select count(*) from order_lines) + (select count(*) from order_ids) + (select count(*) from customer_products)", "0\n");
    shop_close(&s);
}

Test(order_events, an_import_may_bring_as_many_events_of_an_order_as_may_speak_of_one)
{
    struct shop s;
    struct buf b;
    shop_open(&s);
    buf_init(&b, 1 << 20);
    for (int k = 0; k < ORDER_TOLD_MAX; k++)
        buf_printf(&b, "{\"customer_id\":\"c%d\",\"type\":\"order_updated\",\"occurred_at\":\"2024-01-01\",\"properties\":{\"order_id\":\"o\",\"revenue\":%d}}\n", k % 3, k);
    events(&s, b.data);
    cr_expect_eq(pg_int(s.db, "select count(*) from orders"), 1);
    cr_assert_eq(shop_try(&s, (struct import_options){.dataset = DATASET_EVENTS, .format = IMPORT_NDJSON},
                          "{\"customer_id\":\"c1\",\"type\":\"order_completed\",\"occurred_at\":\"2024-01-01\",\"properties\":{\"order_id\":\"o\"}}\n"), MEROS_UNPROCESSABLE);
    cr_assert_not_null(strstr(s.err.detail, "1000 events speak of the order \"o\""), "%s", s.err.detail);
    cr_expect_eq(pg_int(s.db, "select count(*) from events"), ORDER_TOLD_MAX);
    events(&s, b.data);
    EXPECT_COUNTS(&s, 0, 0, ORDER_TOLD_MAX, 0);
    EXPECT_ALL_EXACT(s.db);
    buf_done(&b);
    shop_close(&s);
}

Test(order_events, more_orders_than_are_made_at_once_are_all_made)
{
    struct shop s;
    struct buf b;
    shop_open(&s);
    buf_init(&b, 1 << 20);
    for (int k = 0; k < 3 * ORDER_EVENTS_MAX + 7; k++)
        buf_printf(&b, "{\"customer_id\":\"c%d\",\"type\":\"order_completed\",\"occurred_at\":\"2024-01-01\",\"properties\":{\"order_id\":\"o%d\",\"revenue\":%d}}\n", k % 50, k, k);
    events(&s, b.data);
    cr_expect_eq(pg_int(s.db, "select count(*) from orders"), 3 * ORDER_EVENTS_MAX + 7);
    EXPECT_ALL_EXACT(s.db);
    buf_done(&b);
    shop_close(&s);
}

/* --- the same events, whatever the order and the batches they come in */
enum { EVENTS = 60 };

static unsigned below(uint64_t *state, unsigned n)
{
    *state = *state * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned)(*state >> 33) % n;
}

static void make_events(uint64_t *state, char texts[EVENTS][600])
{
    static const char *const types[] = {"completed", "updated", "updated", "refunded", "refunded", "cancelled"};
    for (int k = 0; k < EVENTS; k++) {
        unsigned order = below(state, 9), who = below(state, 8) > 0 ? order % 4 : below(state, 4);
        int at = snprintf(texts[k], sizeof texts[k],
                          "{\"customer_id\":\"c%u\",\"event_id\":\"e%d\",\"type\":\"order_%s\",\"occurred_at\":\"2024-%02u-%02u\",\"properties\":{\"order_id\":\"o%u\"", who, k,
                          types[below(state, below(state, 3) == 0 ? 6 : 5)], 1 + below(state, 3), 1 + below(state, 20), order);
        if (below(state, 3) == 0) at += snprintf(texts[k] + at, sizeof texts[k] - (size_t)at, ",\"revenue\":%u.%02u", below(state, 50), below(state, 100));
        if (below(state, 3) > 0) {
            at += snprintf(texts[k] + at, sizeof texts[k] - (size_t)at, ",\"products\":[");
            for (unsigned p = 1 + below(state, 4); p > 0; p--)
                at += snprintf(texts[k] + at, sizeof texts[k] - (size_t)at, "{\"product_id\":\"p%u\",\"quantity\":%u,\"price\":%u.5}%s", below(state, 6), below(state, 4),
                               below(state, 9), p > 1 ? "," : "]");
        }
        snprintf(texts[k] + at, sizeof texts[k] - (size_t)at, "}}\n");
    }
}

Test(order_events, the_same_events_make_the_same_orders_in_any_order_of_arrival, .timeout = 300)
{
    for (uint64_t seed = 1; seed <= 4; seed++) {
        static char texts[EVENTS][600];
        uint64_t state = seed;
        char *want = NULL;
        make_events(&state, texts);
        for (int pass = 0; pass < 3; pass++) {
            struct shop s;
            int sequence[EVENTS * 2];
            for (int k = 0; k < EVENTS * 2; k++) sequence[k] = k % EVENTS; /* each comes twice */
            for (int k = EVENTS * 2 - 1; k > 0; k--) {
                int j = (int)below(&state, (unsigned)k + 1), t = sequence[k];
                sequence[k] = sequence[j];
                sequence[j] = t;
            }
            shop_open(&s);
            for (int k = 0; k < EVENTS * 2;) {
                struct buf b;
                buf_init(&b, 1 << 20);
                for (unsigned n = 1 + below(&state, 25); n > 0 && k < EVENTS * 2; n--) buf_str(&b, texts[sequence[k++]]);
                events(&s, b.data);
                buf_done(&b);
                EXPECT_ALL_EXACT(s.db);
            }
            char *got = pg_table(s.db, LINES);
            if (want == NULL) want = got;
            else {
                cr_assert_str_eq(got, want, "seed %d:\n%s\nwanted:\n%s", (int)seed, got, want);
                free(got);
            }
            shop_close(&s);
        }
        free(want);
    }
}
