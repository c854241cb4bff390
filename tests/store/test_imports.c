/* Imports, from the text of a body to rows. */
#include "import_support.h"
#include <pthread.h>

#define HEAD "order_id,customer_id,ordered_at,product_id,quantity,unit_price\n"
#define LINES "select o.order_id, i.customer_id, l.line_key, p.product_id, l.quantity, l.unit_price, l.amount from order_lines l " \
              "join orders o using (customer_no, order_no) join customers i on i.customer_no = l.customer_no "                  \
              "left join products p using (product_no) order by 1, 3"

Test(imports, lands_order_lines_and_makes_customers_and_products_that_are_only_mentioned)
{
    struct shop s;
    shop_open(&s);
    shop_orders(&s, HEAD "o1,c1,2024-01-01 10:00,p1,2,1.50\no1,c1,2024-01-01 10:00,p2,1,3\no2,c2,2024-01-02,p1,-1,1.50\n");
    EXPECT_COUNTS(&s, 3, 0, 0, 0);
    EXPECT_TABLE(&s, LINES, "o1|c1|1|p1|2|1.5|3\no1|c1|2|p2|1|3|3\no2|c2|1|p1|-1|1.5|-1.5\n");
    EXPECT_TABLE(&s, "select customer_id, orders, returns, lines, products, units, revenue, gross_revenue, returned_amount "
                     "from customers join customer_stats using (customer_no) order by 1",
                 "c1|1|0|2|2|3|6|6|0\nc2|0|1|0|0|0|-1.5|0|1.5\n");
    shop_close(&s);
}

Test(imports, takes_the_same_file_twice_as_duplicates)
{
    static const char file[] = "order_id,customer_id,ordered_at,product_id,quantity,unit_price,line_id\n"
                               "o1,c1,2024-01-01,p1,2,1.5,\no1,c1,2024-01-01,p1,2,1.5,\no2,c1,2024-01-01,,,,x\no2,c1,2024-01-01,,,5,x\n"
                               "o3,c1,2024-01-01,p1,1,1,\no3,c2,2024-01-01,p1,1,1,\n";
    struct shop s;
    shop_open(&s);
    shop_orders(&s, file);
    EXPECT_COUNTS(&s, 5, 1, 0, 0);
    char *before = pg_table(s.db, LINES);
    shop_orders(&s, file);
    EXPECT_COUNTS(&s, 0, 0, 6, 0);
    EXPECT_TABLE(&s, LINES, before);
    free(before);
    shop_close(&s);
}

Test(imports, updates_a_line_whose_content_changed_and_the_sums_with_it)
{
    struct shop s;
    shop_open(&s);
    shop_orders(&s, HEAD "o1,c1,2024-01-01,p1,2,1.50\no1,c1,2024-01-03,p2,1,3\n");
    shop_orders(&s, HEAD "o1,c1,2024-01-02,p1,4,1.50\n");
    EXPECT_COUNTS(&s, 0, 1, 0, 0);
    EXPECT_TABLE(&s, "select units, revenue, ordered_at at time zone 'UTC' from orders", "5|9|2024-01-02 00:00:00\n");
    EXPECT_TABLE(&s, "select units, revenue, products from customer_stats", "5|9|2\n");
    shop_close(&s);
}

Test(imports, counts_positions_over_the_whole_file_also_when_an_order_is_scattered)
{
    struct shop s;
    shop_open(&s);
    shop_orders(&s, HEAD "o1,c1,2024-01-01,p1,1,1\no2,c1,2024-01-01,p1,1,1\no1,c1,2024-01-01,p2,1,1\n");
    EXPECT_COUNTS(&s, 3, 0, 0, 0);
    shop_orders(&s, HEAD "o1,c1,2024-01-01,p1,1,1\no1,c1,2024-01-01,p2,1,1\no1,c1,2024-01-01,p3,1,1\n");
    EXPECT_COUNTS(&s, 1, 0, 2, 0);
    shop_close(&s);
}

Test(imports, keeps_the_place_of_a_rejected_line_for_when_it_comes_right)
{
    struct shop s;
    shop_open(&s);
    shop_orders(&s, HEAD "o1,c1,2024-01-01,p1,1,1\no1,c1,2024-13-01,p2,1,1\no1,c1,2024-01-01,p3,1,1\n");
    EXPECT_COUNTS(&s, 2, 0, 0, 1);
    shop_orders(&s, HEAD "o1,c1,2024-01-01,p1,1,1\no1,c1,2024-12-01,p2,1,1\no1,c1,2024-01-01,p3,1,1\n");
    EXPECT_COUNTS(&s, 1, 0, 2, 0);
    EXPECT_TABLE(&s, "select line_key, product_id from order_lines join products using (product_no) order by 1", "1|p1\n2|p2\n3|p3\n");
    shop_close(&s);
}

Test(imports, moves_an_order_whole_when_a_later_file_gives_it_to_another_customer)
{
    struct shop s;
    shop_open(&s);
    shop_orders(&s, HEAD "o1,c1,2024-01-01,p1,1,1\no1,c1,2024-01-01,p2,1,5\n");
    shop_orders(&s, HEAD "o1,c2,2024-01-01,p1,1,1\n");
    EXPECT_COUNTS(&s, 0, 1, 0, 0);
    EXPECT_TABLE(&s, LINES, "o1|c2|1|p1|1|1|1\no1|c2|2|p2|1|5|5\n");
    EXPECT_TABLE(&s, "select customer_id, orders, revenue from customers left join customer_stats using (customer_no) order by 1",
                 "c1|(null)|(null)\nc2|1|6\n");
    EXPECT_TABLE(&s, "select customer_id from order_ids join customers using (customer_no)", "c2\n");
    shop_close(&s);
}

Test(imports, identifies_lines_by_line_id_where_given_whatever_their_place)
{
    static const char head[] = "order_id,customer_id,ordered_at,line_id,amount\n";
    char text[300];
    struct shop s;
    shop_open(&s);
    snprintf(text, sizeof text, "%so1,c1,2024-01-01,a,1\no1,c1,2024-01-01,b,2\n", head);
    shop_orders(&s, text);
    snprintf(text, sizeof text, "%so1,c1,2024-01-01,b,2\no1,c1,2024-01-01,a,3\n", head);
    shop_orders(&s, text);
    EXPECT_COUNTS(&s, 0, 1, 1, 0);
    EXPECT_TABLE(&s, "select line_id, amount from order_lines order by 1", "a|3\nb|2\n");
    shop_close(&s);
}

Test(imports, aborts_as_a_whole_when_told_so_and_names_the_rows)
{
    struct shop s;
    shop_open(&s);
    struct import_options o = {.dataset = DATASET_ORDERS, .abort_on_error = true};
    cr_expect_eq(shop_try(&s, o, HEAD "o1,c1,2024-01-01,p1,1,1\no2,c1,2024-01-01,p1,x,1\n,c1,2024-01-01,p1,1,1\n"), MEROS_UNPROCESSABLE);
    cr_assert_eq(s.result.n_errors, 2);
    cr_expect_eq(s.result.errors[0].line, 3);
    cr_expect_str_eq(s.result.errors[0].column, "quantity");
    cr_expect_eq(s.result.errors[1].line, 4);
    cr_expect_str_eq(s.result.errors[1].column, "order_id");
    cr_expect_eq(pg_int(s.db, "select (select count(*) from customers) + (select count(*) from order_ids)"), 0);
    shop_close(&s);
}

Test(imports, reports_the_physical_line_and_the_column_as_the_file_calls_it)
{
    struct shop s;
    shop_open(&s);
    struct import_options o = {.dataset = DATASET_CUSTOMERS, .map = STR("Kunde:customer_id,Seit:created_at")};
    shop_import(&s, o, "Kunde,Seit,note\nc1,2020-01-01,\"two\nlines\"\n\nc2,soon,x\nc3,2020-01-01\nc4,1850-01-01,\nc5,3000-01-01,\n");
    EXPECT_COUNTS(&s, 1, 0, 0, 4);
    cr_expect_eq(s.result.errors[0].line, 5);
    cr_expect_str_eq(s.result.errors[0].column, "Seit");
    cr_expect_eq(s.result.errors[1].line, 6);
    cr_expect_str_eq(s.result.errors[1].column, "");
    cr_expect_eq(s.result.errors[2].line, 7);
    cr_expect_eq(s.result.errors[3].line, 8);
    shop_close(&s);
}

static void refused(struct shop *s, struct import_options o, const char *text, const char *word)
{
    cr_expect_eq(shop_try(s, o, text), MEROS_INVALID, "%s", text);
    cr_expect(strstr(s->err.detail, word) != NULL, "%s does not say %s", s->err.detail, word);
}

Test(imports, refuses_headers_and_options_that_make_no_sense)
{
    struct shop s;
    shop_open(&s);
    struct import_options o = {.dataset = DATASET_ORDERS};
    refused(&s, o, "", "header");
    refused(&s, o, "order_id,when\n", "customer_id, ordered_at");
    refused(&s, o, "order_id;customer_id;ordered_at\n", "delimiter");
    refused(&s, o, "order_id,customer_id,ordered_at,customer_id\n", "twice");
    refused(&s, o, "order_id,customer_id,ordered_at\ro1,c1,2024-01-01\r", "CR alone");
    refused(&s, (struct import_options){.dataset = DATASET_ORDERS, .map = STR("No:order_id")}, "order_id,No,customer_id,ordered_at\n", "both");
    refused(&s, (struct import_options){.dataset = DATASET_ORDERS, .map = STR("No:order_id")}, "order_id,customer_id,ordered_at\n", "'No'");
    refused(&s, (struct import_options){.dataset = DATASET_ORDERS, .map = STR("a:oder_id")}, "a\n", "oder_id");
    refused(&s, (struct import_options){.dataset = DATASET_ORDERS, .map = STR("order_id")}, HEAD, "map");
    refused(&s, (struct import_options){.dataset = DATASET_ORDERS, .date_format = STR("%Q")}, HEAD, "%Q");
    refused(&s, (struct import_options){.dataset = DATASET_ORDERS, .date_format = STR("%H:%M")}, HEAD, "year");
    refused(&s, (struct import_options){.dataset = DATASET_ORDERS, .delimiter = STR("ab")}, HEAD, "delimiter");
    refused(&s, (struct import_options){.dataset = DATASET_ORDERS, .format = IMPORT_NDJSON, .latin1 = true}, "", "UTF-8");
    shop_orders(&s, HEAD);
    EXPECT_COUNTS(&s, 0, 0, 0, 0);
    shop_import(&s, (struct import_options){.dataset = DATASET_ORDERS, .format = IMPORT_NDJSON}, "");
    EXPECT_COUNTS(&s, 0, 0, 0, 0);
    shop_close(&s);
}

Test(imports, rejects_rows_that_cannot_be_and_takes_the_others)
{
    static const char *const bad[] = {
        ",c,2024-01-01,p,1,1",  "o,,2024-01-01,p,1,1",      "o,c,,p,1,1",          "o,c,2024-02-30,p,1,1", "o,c,2024-01-01,p,1e30,1",
        "o,c,2024-01-01,p,1,-1", "o,c,2024-01-01,p,nan,1",  "o,c,2024-01-01,p,1,inf", "o,c,2024-01-01,p,0x10,1",
        "o,c,2024-01-01,p,1,\"1,50\"", "o,c,2024-01-01,p,1", "o,c,2024-01-01,p,1,1,1", "o,\x01,2024-01-01,p,1,1",
        "o,c,2024-01-01,p,999999999,999999999", "o,c,2024-01-01,\"p\"x,1,1", "o,caf\xE9,2024-01-01,p,1,1"};
    struct shop s;
    struct buf b;
    shop_open(&s);
    buf_init(&b, 1 << 16);
    buf_str(&b, HEAD "good,c,2024-01-01,p,1,1\n");
    for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) buf_printf(&b, "%s\n", bad[k]);
    buf_str(&b, "good2,c,2024-01-01,p,1,1\n");
    shop_orders(&s, b.data);
    EXPECT_COUNTS(&s, 2, 0, 0, (int)(sizeof bad / sizeof bad[0]));
    buf_done(&b);
    shop_close(&s);
}

Test(imports, reads_dates_of_spreadsheets_either_way_around)
{
    struct shop s;
    shop_open(&s);
    struct import_options o = {.dataset = DATASET_ORDERS};
    shop_import(&s, o, "order_id,customer_id,ordered_at\na,c,12/1/2010 8:26\nb,c,12/31/2010 11:05 PM\n");
    o.day_first = true;
    shop_import(&s, o, "order_id,customer_id,ordered_at\nd,c,12/1/2010 8:26\n");
    o = (struct import_options){.dataset = DATASET_ORDERS, .date_format = STR("%d.%m.%y um %H Uhr")};
    shop_import(&s, o, "order_id,customer_id,ordered_at\ne,c,5.3.11 um 7 Uhr\n");
    EXPECT_TABLE(&s, "select order_id, ordered_at at time zone 'UTC' from orders order by 1",
                 "a|2010-12-01 08:26:00\nb|2010-12-31 23:05:00\nd|2010-01-12 08:26:00\ne|2011-03-05 07:00:00\n");
    shop_close(&s);
}

Test(imports, puts_unknown_columns_of_customers_into_attributes_with_their_types)
{
    struct shop s;
    shop_open(&s);
    struct import_options o = {.dataset = DATASET_CUSTOMERS};
    shop_import(&s, o, "customer_id,age,zip,vip,card,note,\nc1,42,04534,True,4111111111111111,,x\nc1,43,,,,hm,\n");
    EXPECT_TABLE(&s, "select attributes from customers",
                 "{\"age\": 43, \"vip\": true, \"zip\": \"04534\", \"card\": \"4111111111111111\", \"note\": \"hm\"}\n");
    shop_import(&s, (struct import_options){.dataset = DATASET_CUSTOMERS, .format = IMPORT_NDJSON},
                "{\"customer_id\":\"c1\",\"attributes\":{\"city\":\"K\\u00f6ln\"},\"tags\":[1,{\"a\":null}],\"age\":null}\n");
    EXPECT_COUNTS(&s, 0, 1, 0, 0);
    EXPECT_TABLE(&s, "select attributes->>'city', attributes->'tags', attributes->'age' from customers", "Köln|[1, {\"a\": null}]|43\n");
    shop_import(&s, o, "customer_id,attributes,age\nc2,\"{\"\"a\"\":{\"\"b\"\":1}}\",7\nc3,{},\nc4,prose,\n");
    EXPECT_TABLE(&s, "select attributes from customers where customer_id > 'c1' order by customer_id",
                 "{\"a\": {\"b\": 1}, \"age\": 7}\n{}\n{\"attributes\": \"prose\"}\n");
    shop_close(&s);
}

Test(imports, take_a_file_of_customers_that_contradicts_itself_twice_as_duplicates)
{
    static const char customers[] = "customer_id,email,zip,seg\nc1,a@x.de,1,\nc2,,5,\nc1,b@x.de,2,gold\nc1,,2,\n";
    static const char products[] = "product_id,name,price,color\np1,A,1,red\np1,B,2,\n";
    struct shop s;
    shop_open(&s);
    shop_import(&s, (struct import_options){.dataset = DATASET_CUSTOMERS}, customers);
    EXPECT_COUNTS(&s, 2, 1, 1, 0);
    shop_import(&s, (struct import_options){.dataset = DATASET_CUSTOMERS}, customers);
    EXPECT_COUNTS(&s, 0, 0, 4, 0);
    shop_import(&s, (struct import_options){.dataset = DATASET_PRODUCTS}, products);
    EXPECT_COUNTS(&s, 1, 1, 0, 0);
    shop_import(&s, (struct import_options){.dataset = DATASET_PRODUCTS}, products);
    EXPECT_COUNTS(&s, 0, 0, 2, 0);
    EXPECT_TABLE(&s, "select attributes from customers order by customer_id", "{\"seg\": \"gold\", \"zip\": 2}\n{\"zip\": 5}\n");
    shop_close(&s);
}

Test(imports, seals_what_is_personal)
{
    struct shop s;
    shop_open(&s);
    struct import_options o = {.dataset = DATASET_CUSTOMERS};
    static const char file[] = "customer_id,email,name,phone\nc1,ann@example.com,Ann Example,+49 123\n";
    shop_import(&s, o, file);
    char *row = pg_text(s.db, "select customers::text from customers");
    cr_expect(strstr(row, "example") == NULL && strstr(row, "Ann") == NULL && strstr(row, "+49") == NULL, "%s", row);
    free(row);
    cr_expect_eq(pg_int(s.db, "select count(*) from customers where octet_length(email) = 15 + 40 and octet_length(email_hash) = 16"), 1);
    shop_import(&s, o, file);
    EXPECT_COUNTS(&s, 0, 0, 1, 0);
    shop_import(&s, o, "customer_id,email\nc1,other@example.com\n");
    EXPECT_COUNTS(&s, 0, 1, 0, 0);
    shop_close(&s);
}

Test(imports, keeps_products_and_refuses_negative_prices)
{
    struct shop s;
    shop_open(&s);
    struct import_options o = {.dataset = DATASET_PRODUCTS};
    shop_import(&s, o, "product_id,name,category,price,available,color\np1,Lamp,Home/Light,19.99,yes,red\np2,Bad,,-1,,\n");
    EXPECT_COUNTS(&s, 1, 0, 0, 1);
    EXPECT_TABLE(&s, "select product_id, name, category, price, available, attributes from products", "p1|Lamp|Home/Light|19.99|t|{\"color\": \"red\"}\n");
    shop_import(&s, o, "product_id,price\np1,17.5\n");
    EXPECT_TABLE(&s, "select name, price from products", "Lamp|17.5\n");
    shop_close(&s);
}

Test(imports, identifies_events_by_their_id_or_their_content)
{
    static const char file[] = "{\"customer_id\":\"c1\",\"type\":\"searched\",\"occurred_at\":\"2024-01-01T00:00:00Z\",\"q\":\"lamp\"}\n"
                               "{\"customer_id\":\"c1\",\"type\":\"searched\",\"occurred_at\":\"2024-01-01T00:00:00Z\",\"q\":\"lamp\"}\n"
                               "{\"customer_id\":\"c1\",\"type\":\"searched\",\"occurred_at\":\"2024-01-01T00:00:00Z\",\"q\":\"table\"}\n"
                               "{\"customer_id\":\"c1\",\"type\":\"product_viewed\",\"event_id\":\"e1\",\"product_id\":\"p1\",\"value\":1.5}\n";
    struct shop s;
    shop_open(&s);
    struct import_options o = {.dataset = DATASET_EVENTS, .format = IMPORT_NDJSON};
    shop_import(&s, o, file);
    EXPECT_COUNTS(&s, 3, 0, 1, 0);
    shop_import(&s, o, file);
    EXPECT_COUNTS(&s, 0, 0, 4, 0);
    shop_import(&s, o, "{\"customer_id\":\"c1\",\"type\":\"product_viewed\",\"event_id\":\"e1\",\"product_id\":\"p2\",\"value\":1.5}\n");
    EXPECT_COUNTS(&s, 0, 1, 0, 0);
    EXPECT_TABLE(&s, "select type, properties, product_id from events left join products using (product_no) order by 1, 2",
                 "product_viewed|(null)|p2\nsearched|{\"q\": \"lamp\"}|(null)\nsearched|{\"q\": \"table\"}|(null)\n");
    EXPECT_TABLE(&s, "select kind, count from customer_event_stats order by 1", "0|1\n6|2\n");
    shop_close(&s);
}

struct run {
    struct shop *shop;
    const char *text;
    struct import_result result;
    enum meros_code rc;
};

static void *run_import(void *arg)
{
    struct run *r = arg;
    struct meros_err err = MEROS_ERR_INIT;
    struct body b = {r->text, strlen(r->text)};
    r->rc = service_import(&r->shop->svc, &(struct import_options){.dataset = DATASET_ORDERS}, body_read, &b, NULL, NULL, &r->result, &err);
    return NULL;
}

Test(imports, insert_once_when_the_same_file_comes_several_times_at_one_moment)
{
    enum { FILES = 4, ROWS = 500 };
    struct shop s;
    struct run runs[FILES];
    pthread_t threads[FILES];
    struct buf b;
    int64_t inserted = 0, duplicates = 0;
    shop_open(&s);
    buf_init(&b, 1 << 20);
    buf_str(&b, HEAD);
    for (int k = 0; k < ROWS; k++) buf_printf(&b, "o%d,c%d,2024-01-01,p%d,1,1\n", k / 3, k / 3 % 50, k % 70);
    for (int k = 0; k < FILES; k++) {
        runs[k] = (struct run){.shop = &s, .text = b.data};
        pthread_create(&threads[k], NULL, run_import, &runs[k]);
    }
    for (int k = 0; k < FILES; k++) {
        pthread_join(threads[k], NULL);
        cr_expect_eq(runs[k].rc, MEROS_OK);
        inserted += runs[k].result.inserted;
        duplicates += runs[k].result.duplicates;
    }
    cr_expect_eq(inserted, ROWS);
    cr_expect_eq(duplicates, (FILES - 1) * ROWS);
    cr_expect_eq(pg_int(s.db, "select count(*) from order_lines"), ROWS);
    cr_expect_eq(pg_int(s.db, "select sum(lines) from customer_stats"), ROWS);
    buf_done(&b);
    shop_close(&s);
}

Test(imports, keep_the_place_of_a_rejected_line_whose_order_becomes_known_only_batches_later)
{
    struct shop s;
    struct buf b;
    shop_open(&s);
    buf_init(&b, 64 << 20);
    buf_str(&b, HEAD "late,l,some day,p1,1,5\n");
    for (int k = 0; k < 70000; k++) buf_printf(&b, "o%d,c%d,2024-01-01,p%d,1,1\n", k / 7, k / 7 % 100, k % 70);
    buf_str(&b, "late,l,2024-01-01,p1,1,7\nlate,l,2024-01-01,p2,1,9\n");
    shop_orders(&s, b.data);
    EXPECT_COUNTS(&s, 70002, 0, 0, 1);
    cr_expect_eq(pg_int(s.db, "select sum(line_key) from order_lines join order_ids using (order_no) where order_id = 'late'"), 2 + 3);
    shop_orders(&s, b.data);
    EXPECT_COUNTS(&s, 0, 0, 70002, 1);
    cr_expect_eq(pg_int(s.db, "select revenue from orders where order_id = 'late'"), 16);
    buf_done(&b);
    shop_close(&s);
}

Test(imports, keeps_orders_whole_across_batches)
{
    struct shop s;
    struct buf b;
    shop_open(&s);
    buf_init(&b, 64 << 20);
    buf_str(&b, HEAD);
    for (int k = 0; k < 140000; k++) buf_printf(&b, "o%d,c%d,2024-01-01,p%d,1,1\n", k / 7, k / 7 % 100, k % 70);
    buf_str(&b, "o0,c0,2024-01-01,p1,1,1\n"); /* the first order once more, two batches later */
    shop_orders(&s, b.data);
    EXPECT_COUNTS(&s, 140001, 0, 0, 0);
    cr_expect_eq(pg_int(s.db, "select max(line_key) from order_lines"), 8);
    cr_expect_eq(pg_int(s.db, "select sum(revenue) from customer_stats"), 140001);
    shop_orders(&s, b.data);
    EXPECT_COUNTS(&s, 0, 0, 140001, 0);
    buf_done(&b);
    shop_close(&s);
}

struct file {
    FILE *f;
};

static enum meros_code file_read(void *arg, char *to, size_t cap, size_t *out_n, struct meros_err *err)
{
    struct file *f = arg;
    (void)err;
    *out_n = fread(to, 1, cap, f->f);
    return MEROS_OK;
}

/* The counts are those of the data folder's README and of a computation by other means. */
Test(imports, takes_a_real_shops_year_as_it_is, .timeout = 300)
{
    const char *data = getenv("MEROS_TEST_DATA");
    char command[1000];
    struct shop s;
    snprintf(command, sizeof command, "%s/online_retail/OnlineRetail.csv.gz", data != NULL ? data : "");
    FILE *there = fopen(command, "r");
    if (there == NULL) cr_skip_test("no data folder");
    fclose(there);
    snprintf(command, sizeof command, "gzip -dc '%s/online_retail/OnlineRetail.csv.gz'", data);
    struct file f = {popen(command, "r")};
    cr_assert(f.f != NULL);
    shop_open(&s);
    struct import_options o = {.dataset = DATASET_ORDERS,
                               .map = STR("InvoiceNo:order_id,StockCode:product_id,Quantity:quantity,InvoiceDate:ordered_at,"
                                          "UnitPrice:unit_price,CustomerID:customer_id")};
    enum meros_code rc = service_import(&s.svc, &o, file_read, &f, NULL, NULL, &s.result, &s.err);
    cr_assert_eq(rc, MEROS_OK, "%s", s.err.detail);
    pclose(f.f);
    cr_expect_eq(s.result.received, 541909);
    EXPECT_COUNTS(&s, 406829, 0, 0, 135080);
    cr_expect_eq(s.result.errors[0].line, 624);
    cr_expect_str_eq(s.result.errors[0].column, "CustomerID");
    EXPECT_TABLE(&s, "select count(*), sum(revenue), sum(orders), sum(returns), sum(products), sum(lines) from customer_stats",
                 "4372|8300065.814|18536|3654|266802|397924\n");
    cr_expect_eq(pg_int(s.db, "select count(*) from products"), 3684);
    shop_close(&s);
}
