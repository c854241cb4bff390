/* What events say of an order, and the lines that follow. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include "meros/base/buf.h"
#include "meros/codec/json.h"
#include "meros/domain/rows.h"
#include "order_events_priv.h"

/* An event as a test writes it: who (a letter), type, time in seconds, key, properties. */
struct said {
    int64_t customer_no;
    const char *type;
    int64_t at;
    unsigned char key;
    const char *properties;
};

static enum meros_code fold_with(const struct said *said, size_t n, int64_t holder, const struct order_event_line *imported,
                                 size_t n_imported, struct arena *arena, struct order_making *o)
{
    struct order_event events[64];
    struct meros_err err = MEROS_ERR_INIT;
    for (size_t k = 0; k < n; k++) {
        events[k] = (struct order_event){.customer_no = said[k].customer_no, .type = str_of(said[k].type),
                                         .properties = str_of(said[k].properties), .occurred_at = said[k].at};
        memset(events[k].key.bytes, said[k].key, sizeof events[k].key.bytes);
    }
    *o = (struct order_making){.order_id = STR("o1"), .order_no = 1, .holder_no = holder, .events = events, .n_events = n,
                               .imported = imported, .n_imported = n_imported};
    return order_fold(o, arena, &err);
}

/* Lines as text: "1 p1 1 19 @10; …" (key, or r for a refund; product or -; quantity or -; amount; time). */
static char *lines_text(const struct order_making *o)
{
    struct buf b;
    size_t n;
    buf_init(&b, 1 << 20);
    buf_printf(&b, "%s%lld:", o->replaces ? "=" : "+", (long long)o->owner_no);
    for (size_t k = 0; k < o->n_lines; k++) {
        const struct order_event_line *l = &o->lines[k];
        char quantity[DECIMAL_TEXT], amount[DECIMAL_TEXT];
        decimal_text(l->quantity, quantity);
        decimal_text(l->amount, amount);
        if (l->line_key > 0) buf_printf(&b, " %lld", (long long)l->line_key);
        else buf_str(&b, " r");
        buf_printf(&b, " %.*s %s %s @%lld;", l->product_id.p == NULL ? 1 : (int)l->product_id.n, l->product_id.p == NULL ? "-" : l->product_id.p,
                   l->quantity.present ? quantity : "-", amount, (long long)l->ordered_at);
    }
    buf_char(&b, '\0');
    return buf_take(&b, &n);
}

static void expect_lines(const struct said *said, size_t n, const char *want, int line)
{
    struct arena arena;
    struct order_making o;
    arena_init(&arena, 16 << 20);
    cr_assert_eq(fold_with(said, n, 0, NULL, 0, &arena, &o), MEROS_OK);
    char *got = lines_text(&o);
    cr_expect_str_eq(got, want, "line %d: got %s", line, got);
    free(got);
    arena_done(&arena);
}
#define EXPECT_LINES(want, ...)                                                                              \
    expect_lines((const struct said[]){__VA_ARGS__}, sizeof((const struct said[]){__VA_ARGS__}) / sizeof(struct said), want, __LINE__)

#define SEGMENT_EXAMPLE                                                                                      \
    "{\"checkout_id\":\"fksdjfsdjfisjf9sdfjsd9f\",\"order_id\":\"o1\",\"affiliation\":\"Google Store\",\"total\":27.50,"  \
    "\"subtotal\":22.50,\"revenue\":25.00,\"shipping\":3,\"tax\":2,\"discount\":2.5,\"coupon\":\"hasbros\",\"currency\":\"USD\"," \
    "\"products\":[{\"product_id\":\"p1\",\"sku\":\"45790-32\",\"name\":\"Monopoly: 3rd Edition\",\"price\":19,\"quantity\":1,"    \
    "\"category\":\"Games\"},{\"product_id\":\"p2\",\"sku\":\"46493-32\",\"name\":\"Uno Card Game\",\"price\":3,\"quantity\":2}]}"

Test(order_events, the_example_of_the_specification_is_worth_its_revenue)
{
    EXPECT_LINES("=1: 1 p1 1 19 @10; 2 p2 2 6 @10;", {1, "order_completed", 10, 1, SEGMENT_EXAMPLE});
}

Test(order_events, the_value_is_revenue_else_subtotal_else_total_less_shipping_and_tax_else_the_sum_less_the_discount)
{
#define TWO "\"products\":[{\"product_id\":\"p1\",\"price\":19},{\"sku\":\"p2\",\"price\":3,\"quantity\":2}]}"
    EXPECT_LINES("=1: 1 p1 1 15.2 @10; 2 p2 2 4.8 @10;", {1, "order_completed", 10, 1, "{\"order_id\":\"o1\",\"revenue\":20,\"subtotal\":1,\"total\":2," TWO});
    EXPECT_LINES("=1: 1 p1 1 15.2 @10; 2 p2 2 4.8 @10;", {1, "order_completed", 10, 1, "{\"order_id\":\"o1\",\"subtotal\":\"20.00\",\"total\":2," TWO});
    EXPECT_LINES("=1: 1 p1 1 15.2 @10; 2 p2 2 4.8 @10;", {1, "order_completed", 10, 1, "{\"order_id\":\"o1\",\"total\":27,\"shipping\":4,\"tax\":3," TWO});
    EXPECT_LINES("=1: 1 p1 1 15.2 @10; 2 p2 2 4.8 @10;", {1, "order_completed", 10, 1, "{\"order_id\":\"o1\",\"discount\":5," TWO});
    EXPECT_LINES("=1: 1 p1 1 19 @10; 2 p2 2 6 @10;", {1, "order_completed", 10, 1, "{\"order_id\":\"o1\"," TWO});
    EXPECT_LINES("=1: 1 p1 1 0 @10; 2 p2 2 0 @10;", {1, "order_completed", 10, 1, "{\"order_id\":\"o1\",\"total\":5,\"shipping\":9," TWO});
    EXPECT_LINES("=1: 1 p1 1 0 @10; 2 p2 2 0 @10;", {1, "order_completed", 10, 1, "{\"order_id\":\"o1\",\"discount\":99," TWO});
}

Test(order_events, amounts_add_up_to_the_last_millionth)
{
    EXPECT_LINES("=1: 1 a 1 3.333333 @10; 2 b 1 3.333334 @10; 3 c 1 3.333333 @10;",
                 {1, "order_completed", 10, 1, "{\"order_id\":\"o1\",\"revenue\":10,\"products\":[{\"product_id\":\"a\",\"price\":1},{\"product_id\":\"b\",\"price\":1},{\"product_id\":\"c\",\"price\":1}]}"});
    EXPECT_LINES("=1: 1 a 3 7.5 @10; 2 b 1 2.5 @10;", {1, "order_completed", 10, 1, "{\"order_id\":\"o1\",\"revenue\":10,\"products\":[{\"product_id\":\"a\",\"quantity\":3},{\"product_id\":\"b\"}]}"});
    EXPECT_LINES("=1: 1 a 0 5 @10; 2 b 0 5 @10;", {1, "order_completed", 10, 1, "{\"order_id\":\"o1\",\"revenue\":10,\"products\":[{\"product_id\":\"a\",\"quantity\":0},{\"product_id\":\"b\",\"quantity\":0}]}"});
}

Test(order_events, an_order_of_a_total_alone_is_one_of_something)
{
    EXPECT_LINES("=1: 1 - 1 25 @10;", {1, "order_completed", 10, 1, "{\"order_id\":\"o1\",\"revenue\":25}"});
    EXPECT_LINES("=1: 1 - 1 0 @10;", {1, "order_completed", 10, 1, "{\"order_id\":\"o1\"}"});
    EXPECT_LINES("+0:", {1, "order_updated", 10, 1, "{\"order_id\":\"o1\",\"status\":\"packed\"}"});
}

Test(order_events, the_last_list_holds_and_the_first_completion_is_the_time)
{
    EXPECT_LINES("=2: 1 p2 1 5 @20;",
                 {1, "order_updated", 10, 1, "{\"order_id\":\"o1\",\"products\":[{\"product_id\":\"p1\",\"price\":1}]}"},
                 {2, "order_updated", 30, 3, "{\"order_id\":\"o1\",\"products\":[{\"product_id\":\"p2\",\"price\":5}]}"},
                 {1, "order_completed", 20, 2, "{\"order_id\":\"o1\",\"products\":[{\"product_id\":\"p3\",\"price\":1}]}"});
    EXPECT_LINES("=1: 1 p1 1 4 @10;", {1, "order_completed", 10, 1, "{\"order_id\":\"o1\",\"products\":[{\"product_id\":\"p1\",\"price\":5}]}"},
                 {1, "order_updated", 20, 2, "{\"order_id\":\"o1\",\"revenue\":4}"}, {2, "order_updated", 30, 3, "{\"order_id\":\"o1\",\"status\":\"sent\"}"});
}

Test(order_events, a_refund_takes_back_what_was_paid_for_the_products_listed)
{
    EXPECT_LINES("=1: 1 p1 1 15.2 @10; 2 p2 2 4.8 @10; r p2 -1 -2.4 @20;",
                 {1, "order_completed", 10, 1, "{\"order_id\":\"o1\",\"revenue\":20," TWO},
                 {9, "order_refunded", 20, 2, "{\"order_id\":\"o1\",\"products\":[{\"product_id\":\"p2\",\"price\":3}]}"});
    EXPECT_LINES("=1: 1 p1 1 19 @10; 2 p2 2 6 @10; r p2 -2 -5 @20;", {1, "order_completed", 10, 1, SEGMENT_EXAMPLE},
                 {1, "order_refunded", 20, 2, "{\"order_id\":\"o1\",\"total\":5,\"products\":[{\"product_id\":\"p2\",\"quantity\":7}]}"});
    EXPECT_LINES("=1: 1 p1 1 19 @10; 2 p2 2 6 @10;", {1, "order_completed", 10, 1, SEGMENT_EXAMPLE},
                 {1, "order_refunded", 20, 2, "{\"order_id\":\"o1\",\"products\":[{\"product_id\":\"other\"}]}"});
}

Test(order_events, a_refund_of_everything_leaves_nothing_whatever_was_refunded_before)
{
    EXPECT_LINES("=1: 1 p1 1 19 @10; 2 p2 2 6 @10; r p1 -1 -19 @20; r p2 -2 -6 @20;", {1, "order_completed", 10, 1, SEGMENT_EXAMPLE},
                 {1, "order_refunded", 20, 2, "{\"order_id\":\"o1\"}"}, {1, "order_refunded", 30, 3, "{\"order_id\":\"o1\"}"});
    EXPECT_LINES("=1: 1 p1 1 19 @10; 2 p2 2 6 @10; r - - -10 @20; r p1 -1 -11.4 @30; r p2 -2 -3.6 @30;", {1, "order_completed", 10, 1, SEGMENT_EXAMPLE},
                 {1, "order_refunded", 20, 2, "{\"order_id\":\"o1\",\"total\":10}"}, {1, "order_refunded", 30, 3, "{\"order_id\":\"o1\",\"total\":27.50}"});
    EXPECT_LINES("=1: 1 - 1 25 @10; r - -1 -25 @20;", {1, "order_completed", 10, 1, "{\"order_id\":\"o1\",\"revenue\":25}"},
                 {1, "order_refunded", 20, 2, "{\"order_id\":\"o1\"}"});
}

Test(order_events, a_refund_stands_also_where_the_order_is_updated_after_it_and_never_before_the_order)
{
    EXPECT_LINES("=1: 1 p1 1 8 @10; r p1 -1 -8 @20;", {1, "order_completed", 10, 1, "{\"order_id\":\"o1\",\"products\":[{\"product_id\":\"p1\",\"price\":9}]}"},
                 {1, "order_refunded", 20, 2, "{\"order_id\":\"o1\"}"},
                 {1, "order_updated", 30, 3, "{\"order_id\":\"o1\",\"products\":[{\"product_id\":\"p1\",\"price\":8}]}"});
    EXPECT_LINES("=1: 1 - 1 8 @10; r - -1 -8 @10;", {1, "order_refunded", 5, 2, "{\"order_id\":\"o1\"}"},
                 {1, "order_completed", 10, 1, "{\"order_id\":\"o1\",\"revenue\":8}"});
}

Test(order_events, a_cancelled_order_is_gone_until_it_is_completed_anew)
{
    EXPECT_LINES("=0:", {1, "order_completed", 10, 1, SEGMENT_EXAMPLE}, {1, "order_cancelled", 20, 2, "{\"order_id\":\"o1\"}"},
                 {1, "order_updated", 30, 3, SEGMENT_EXAMPLE});
    EXPECT_LINES("=0:", {1, "order_completed", 20, 9, SEGMENT_EXAMPLE}, {1, "order_cancelled", 20, 2, "{\"order_id\":\"o1\"}"});
    EXPECT_LINES("=1: 1 - 1 3 @40;", {1, "order_completed", 10, 1, SEGMENT_EXAMPLE}, {1, "order_refunded", 15, 4, "{\"order_id\":\"o1\"}"},
                 {1, "order_cancelled", 20, 2, "{\"order_id\":\"o1\"}"}, {1, "order_completed", 40, 3, "{\"order_id\":\"o1\",\"revenue\":3}"});
}

Test(order_events, an_event_told_twice_counts_once_also_by_two_customers)
{
    EXPECT_LINES("=1: 1 p1 1 19 @10; 2 p2 2 6 @10; r p2 -1 -3 @20;", {1, "order_completed", 10, 1, SEGMENT_EXAMPLE},
                 {1, "order_refunded", 20, 2, "{\"order_id\":\"o1\",\"products\":[{\"product_id\":\"p2\"}]}"},
                 {2, "order_refunded", 20, 2, "{\"order_id\":\"o1\",\"products\":[{\"product_id\":\"p2\"}]}"});
}

Test(order_events, a_refund_alone_makes_no_order)
{
    EXPECT_LINES("+0:", {1, "order_refunded", 20, 2, "{\"order_id\":\"o1\",\"total\":5}"});
}

static const struct order_event_line *two_lines(void)
{
    static struct order_event_line l[2];
    l[0] = (struct order_event_line){1, STR("p1"), 7, decimal_of(2), decimal_of(5), decimal_of(10)};
    l[1] = (struct order_event_line){-5, STR("p2"), 8, decimal_of(1), {0}, decimal_of(4)};
    return l;
}

static void expect_on_imported(const struct said *said, const char *want)
{
    struct arena arena;
    struct order_making o;
    arena_init(&arena, 1 << 20);
    cr_assert_eq(fold_with(said, 1, 3, two_lines(), 2, &arena, &o), MEROS_OK);
    char *got = lines_text(&o);
    cr_expect_str_eq(got, want, "got %s", got);
    free(got);
    arena_done(&arena);
}

Test(order_events, events_of_an_imported_order_refund_cancel_or_replace_its_lines)
{
    expect_on_imported(&(struct said){9, "order_refunded", 20, 2, "{\"order_id\":\"o1\",\"products\":[{\"product_id\":\"p1\"}]}"}, "+3: r p1 -1 -5 @20;");
    expect_on_imported(&(struct said){9, "order_refunded", 20, 2, "{\"order_id\":\"o1\"}"}, "+3: r p1 -2 -10 @20; r p2 -1 -4 @20;");
    expect_on_imported(&(struct said){9, "order_cancelled", 20, 2, "{\"order_id\":\"o1\"}"}, "=3:");
    expect_on_imported(&(struct said){9, "order_completed", 20, 2, "{\"order_id\":\"o1\",\"revenue\":1}"}, "=9: 1 - 1 1 @20;");
    expect_on_imported(&(struct said){9, "order_updated", 20, 2, "{\"order_id\":\"o1\",\"status\":\"sent\"}"}, "+3:");
}

/* --- the check */
static void expect_fault(const char *type, const char *properties, const char *pointer)
{
    struct order_fault fault = {0};
    bool ok = order_properties_check(str_of(type), str_of(properties), &fault);
    cr_expect_eq(ok, pointer == NULL, "%s: %s %s", properties, fault.pointer, fault.detail);
    if (pointer != NULL) cr_expect_str_eq(fault.pointer, pointer, "%s: %s", properties, fault.detail);
}

Test(order_events, properties_that_cannot_make_an_order_are_told_with_their_place)
{
    expect_fault("order_completed", "{\"order_id\":{}}", "/order_id");
    expect_fault("order_completed", "{\"order_id\":1.5}", "/order_id");
    expect_fault("order_completed", "{\"order_id\":\"o\",\"revenue\":\"much\"}", "/revenue");
    expect_fault("order_completed", "{\"order_id\":\"o\",\"revenue\":-1}", "/revenue");
    expect_fault("order_updated", "{\"order_id\":\"o\",\"tax\":1e15}", "/tax");
    expect_fault("order_completed", "{\"order_id\":\"o\",\"products\":{}}", "/products");
    expect_fault("order_completed", "{\"order_id\":\"o\",\"products\":[{},7]}", "/products/1");
    expect_fault("order_completed", "{\"order_id\":\"o\",\"products\":[{\"product_id\":[]}]}", "/products/0/product_id");
    expect_fault("order_completed", "{\"order_id\":\"o\",\"products\":[{\"quantity\":-1}]}", "/products/0/quantity");
    expect_fault("order_refunded", "{\"order_id\":\"o\",\"products\":[{\"price\":\"x\"}]}", "/products/0/price");
    expect_fault("order_completed", "{\"order_id\":\"o\",\"products\":[{\"price\":1e9,\"quantity\":1e9}]}", "/products/0/quantity");
}

Test(order_events, what_is_no_order_or_can_make_one_passes)
{
    expect_fault("product_viewed", "{\"order_id\":{}}", NULL);
    expect_fault("order_completed", "{\"products\":7}", NULL);
    expect_fault("order_completed", "{\"order_id\":17,\"products\":[{\"product_id\":4,\"quantity\":\"2\",\"price\":\" 1.5 \"}]}", NULL);
    expect_fault("order_completed", SEGMENT_EXAMPLE, NULL);
    expect_fault("order_cancelled", "{\"order_id\":\"o\",\"products\":7}", NULL);
    expect_fault("order_completed", "{\"order_id\":null}", NULL);
}

Test(order_events, more_than_a_thousand_products_are_too_many)
{
    struct buf b;
    struct order_fault fault;
    buf_init(&b, 1 << 20);
    buf_str(&b, "{\"order_id\":\"o\",\"products\":[{}");
    for (int k = 1; k < ORDER_PRODUCTS_MAX; k++) buf_str(&b, ",{}");
    size_t full = b.len;
    buf_str(&b, "]}");
    cr_expect(order_properties_check(STR("order_completed"), (struct str){b.data, b.len}, &fault));
    b.len = full;
    buf_str(&b, ",{}]}");
    cr_expect_not(order_properties_check(STR("order_completed"), (struct str){b.data, b.len}, &fault));
    cr_expect_str_eq(fault.pointer, "/products");
    buf_done(&b);
}

Test(order_events, the_order_of_an_event_is_its_id_as_the_database_writes_it)
{
    struct arena arena;
    arena_init(&arena, 1 << 16);
    cr_expect(str_is(order_properties_id(STR("order_refunded"), STR("{\"order_id\":\"o/1\"}"), &arena), "o/1"));
    cr_expect(str_is(order_properties_id(STR("order_refunded"), STR("{\"order_id\":42}"), &arena), "42"));
    cr_expect_not(str_present(order_properties_id(STR("order_refunded"), STR("{}"), &arena)));
    cr_expect_not(str_present(order_properties_id(STR("searched"), STR("{\"order_id\":\"o1\"}"), &arena)));
    arena_done(&arena);
}

/* --- whatever the order of arrival, and never below nothing */
static unsigned below(uint64_t *state, unsigned n)
{
    *state = *state * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned)(*state >> 33) % n;
}

Test(order_events, lines_do_not_depend_on_the_order_of_arrival_and_a_refund_never_exceeds_what_is_left)
{
    static const char *const types[] = {"order_completed", "order_updated", "order_refunded", "order_refunded", "order_cancelled"};
    for (uint64_t seed = 1; seed <= 400; seed++) {
        uint64_t state = seed;
        struct said said[12];
        char texts[12][400];
        size_t n = 1 + below(&state, 12);
        struct arena arena;
        struct order_making o;
        char *first = NULL;
        for (size_t k = 0; k < n; k++) {
            int at = snprintf(texts[k], sizeof texts[k], "{\"order_id\":\"o1\"");
            if (below(&state, 3) == 0) at += snprintf(texts[k] + at, sizeof texts[k] - (size_t)at, ",\"revenue\":%u.%02u", below(&state, 50), below(&state, 100));
            if (below(&state, 3) > 0) {
                at += snprintf(texts[k] + at, sizeof texts[k] - (size_t)at, ",\"products\":[");
                for (unsigned p = 1 + below(&state, 4); p > 0; p--)
                    at += snprintf(texts[k] + at, sizeof texts[k] - (size_t)at, "{\"product_id\":\"p%u\",\"quantity\":%u,\"price\":%u.5}%s", below(&state, 5),
                                   below(&state, 4), below(&state, 9), p > 1 ? "," : "]");
            }
            snprintf(texts[k] + at, sizeof texts[k] - (size_t)at, "}");
            said[k] = (struct said){1 + below(&state, 2), types[below(&state, below(&state, 4) == 0 ? 5 : 4)], below(&state, 8), (unsigned char)k, texts[k]};
        }
        arena_init(&arena, 16 << 20);
        for (int pass = 0; pass < 4; pass++) {
            cr_assert_eq(fold_with(said, n, 0, NULL, 0, &arena, &o), MEROS_OK);
            int64_t sum = 0, units = 0;
            for (size_t k = 0; k < o.n_lines; k++) sum += decimal_millionths(o.lines[k].amount), units += decimal_millionths(o.lines[k].quantity);
            char *text = lines_text(&o);
            cr_assert(sum >= 0 && units >= 0, "seed %d: %s", (int)seed, text);
            if (first != NULL) cr_assert_str_eq(text, first, "seed %d", (int)seed);
            free(first);
            first = text;
            for (size_t k = n - 1; k > 0; k--) {
                size_t j = below(&state, (unsigned)k + 1);
                struct said t = said[k];
                said[k] = said[j];
                said[j] = t;
            }
        }
        free(first);
        arena_done(&arena);
    }
}
