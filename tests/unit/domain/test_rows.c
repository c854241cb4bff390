#include <criterion/criterion.h>
#include "meros/domain/rows.h"

static struct row_rules rules(void)
{
    struct row_rules r = {.now = 0};
    cr_assert(time_parse(STR("2024-06-01"), &r.now));
    return r;
}

static struct cell text(const char *s)
{
    return (struct cell){CELL_TEXT, str_of(s)};
}

static struct cell number(const char *s)
{
    return (struct cell){CELL_NUMBER, str_of(s)};
}

/* A good order line whose cell `field` is another; the field at fault, or -1. */
static int fault_of(int field, struct cell cell)
{
    struct row_rules r = rules();
    struct row_fault fault = {.field = -1};
    struct order_row row;
    struct cell cells[ROW_FIELDS_MAX] = {text("o1"), text("c1"), text("2024-01-01"), text("p1"), text("2"), text("1.50")};
    cells[field] = cell;
    bool good = order_decode(cells, &r, &row, &fault);
    cr_expect_eq(good, fault.field < 0);
    cr_expect(good || fault.detail[0] != '\0');
    return fault.field;
}

Test(rows, computes_the_amount_of_a_line)
{
    struct row_rules r = rules();
    struct row_fault fault;
    struct order_row row;
    struct cell cells[ROW_FIELDS_MAX] = {text("o1"), text("c1"), text("2024-01-01"), text("p1"), text("-2"), text("1.50")};
    cr_assert(order_decode(cells, &r, &row, &fault));
    cr_expect(row.amount.unscaled == -3 && row.amount.scale == 0);
    cells[ORDER_AMOUNT] = text("-2.80"); /* given: it counts */
    cr_assert(order_decode(cells, &r, &row, &fault));
    cr_expect(row.amount.unscaled == -28 && row.amount.scale == 1);
    cells[ORDER_QUANTITY] = cells[ORDER_UNIT_PRICE] = (struct cell){0};
    cr_assert(order_decode(cells, &r, &row, &fault));
    cr_expect(row.quantity.present && row.quantity.unscaled == -1, "a line with a product and a negative amount gives one back");
    cells[ORDER_PRODUCT_ID] = cells[ORDER_AMOUNT] = (struct cell){0};
    cr_assert(order_decode(cells, &r, &row, &fault));
    cr_expect(!row.quantity.present && row.amount.present && row.amount.unscaled == 0);
}

Test(rows, name_the_field_at_fault)
{
    cr_expect_eq(fault_of(ORDER_ID, text("o2")), -1);
    cr_expect_eq(fault_of(ORDER_ID, (struct cell){0}), ORDER_ID);
    cr_expect_eq(fault_of(ORDER_ID, text("a\x01")), ORDER_ID);
    cr_expect_eq(fault_of(ORDER_CUSTOMER_ID, (struct cell){0}), ORDER_CUSTOMER_ID);
    cr_expect_eq(fault_of(ORDER_AT, text("yesterday")), ORDER_AT);
    cr_expect_eq(fault_of(ORDER_AT, text("1899-12-31")), ORDER_AT);
    cr_expect_eq(fault_of(ORDER_AT, text("1900-01-01")), -1);
    cr_expect_eq(fault_of(ORDER_AT, text("2024-06-02T00:00:00Z")), -1);
    cr_expect_eq(fault_of(ORDER_AT, text("2024-06-02T00:00:01Z")), ORDER_AT);
    cr_expect_eq(fault_of(ORDER_UNIT_PRICE, text("-0.01")), ORDER_UNIT_PRICE);
    cr_expect_eq(fault_of(ORDER_UNIT_PRICE, text("0")), -1);
    cr_expect_eq(fault_of(ORDER_QUANTITY, text("1000000001")), ORDER_QUANTITY);
    cr_expect_eq(fault_of(ORDER_QUANTITY, text("1e-3")), -1);
}

Test(rows, take_whole_numbers_of_json_as_ids_and_nothing_else)
{
    cr_expect_eq(fault_of(ORDER_ID, number("17850")), -1);
    cr_expect_eq(fault_of(ORDER_ID, number("17850.0")), ORDER_ID);
    cr_expect_eq(fault_of(ORDER_ID, number("1e5")), ORDER_ID);
    cr_expect_eq(fault_of(ORDER_ID, (struct cell){CELL_BOOL, STR("true")}), ORDER_ID);
    cr_expect_eq(fault_of(ORDER_ID, (struct cell){CELL_JSON, STR("[]")}), ORDER_ID);
    cr_expect_eq(fault_of(ORDER_PRODUCT_ID, (struct cell){CELL_NULL, STR("null")}), -1);
}

Test(rows, refuse_ids_past_200_bytes)
{
    char id[202];
    memset(id, 'x', sizeof id);
    id[200] = '\0';
    cr_expect_eq(fault_of(ORDER_ID, text(id)), -1);
    id[200] = 'x', id[201] = '\0';
    cr_expect_eq(fault_of(ORDER_ID, text(id)), ORDER_ID);
}

Test(rows, know_events_by_their_kind_and_products_by_their_availability)
{
    struct row_rules r = rules();
    struct row_fault fault;
    struct event_row event;
    struct product_row product;
    struct cell e[ROW_FIELDS_MAX] = {{0}, text("c1"), text("searched")}, p[ROW_FIELDS_MAX] = {text("p1")};
    cr_assert(event_decode(e, &r, &event, &fault));
    cr_expect_eq(event.kind, EVENT_SEARCHED);
    cr_expect_eq(event.occurred_at, TIME_NONE);
    e[EVENT_FIELD_TYPE] = text("something_else");
    cr_assert(event_decode(e, &r, &event, &fault));
    cr_expect_eq(event.kind, EVENT_OTHER);
    cr_assert(product_decode(p, &r, &product, &fault));
    cr_expect_eq(product.available, -1);
    p[PRODUCT_AVAILABLE] = text("No");
    cr_assert(product_decode(p, &r, &product, &fault));
    cr_expect_eq(product.available, 0);
    p[PRODUCT_AVAILABLE] = text("maybe");
    cr_expect(!product_decode(p, &r, &product, &fault));
    cr_expect_eq(fault.field, PRODUCT_AVAILABLE);
}

Test(rows, find_fields_by_name)
{
    cr_expect_eq(dataset_field(DATASET_ORDERS, STR("line_id")), ORDER_LINE_ID);
    cr_expect_eq(dataset_field(DATASET_EVENTS, STR("properties")), EVENT_FIELD_PROPERTIES);
    cr_expect_eq(dataset_field(DATASET_CUSTOMERS, STR("country")), -1);
}
