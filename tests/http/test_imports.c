/* Bulk data in: what lands, what is refused and where, and that doing it twice changes nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "client.h"

#define counts(r, received_, inserted_, updated_, duplicates_, rejected_)                                          \
    do {                                                                                                          \
        struct reply *r_ = (r);                                                                                   \
        expect(r_, 200);                                                                                          \
        cr_assert(int_at(r_, "/received") == (received_) && int_at(r_, "/inserted") == (inserted_) &&             \
                      int_at(r_, "/updated") == (updated_) && int_at(r_, "/duplicates") == (duplicates_) &&       \
                      int_at(r_, "/rejected") == (rejected_),                                                     \
                  "%s", r_->body);                                                                                \
    } while (0)

static void error_at(const struct reply *r, size_t i, int64_t line, const char *column)
{
    cr_assert_eq(int_at(r, text("/errors/%zu/line", i)), line, "%s", r->body);
    if (column != NULL) cr_assert_str_eq(text_at(r, text("/errors/%zu/column", i)), column, "%s", r->body);
}

Test(imports, a_csv_of_orders_lands_and_is_seen_at_once)
{
    counts(import_("orders", NULL, "order_id,customer_id,ordered_at,product_id,quantity,unit_price\n"
                                   "io1-1,io1-anna,2026-01-15 10:30,io1-mug,2,7.50\n"
                                   "io1-1,io1-anna,2026-01-15 10:30,io1-tea,1,3.25\n"
                                   "io1-2,io1-anna,2026-01-20T10:30:00Z,io1-mug,-1,7.50\n"),
           3, 3, 0, 0, 0);
    struct reply *r = get("/v1/customers/io1-anna");
    expect(r, 200);
    cr_assert_eq(int_at(r, "/stats/orders"), 1);
    cr_assert_eq(int_at(r, "/stats/returns"), 1);
    cr_assert_eq(num_at(r, "/stats/revenue"), 10.75);
    cr_assert_eq(num_at(r, "/stats/gross_revenue"), 18.25);
    cr_assert_eq(num_at(r, "/stats/returned_amount"), 7.5);
    cr_assert_eq(int_at(r, "/stats/products"), 2);
    cr_assert_eq(num_at(r, "/stats/units"), 3);
    cr_assert_str_eq(text_at(r, "/stats/first_order_at"), "2026-01-15T10:30:00Z");
    cr_assert_str_eq(text_at(r, "/stats/last_seen_at"), "2026-01-20T10:30:00Z");
    r = get("/v1/customers/io1-anna/orders");
    expect(r, 200);
    cr_assert_eq(count_at(r, "/data"), 2);
    cr_assert_str_eq(text_at(r, "/data/0/order_id"), "io1-2", "newest first");
    cr_assert_eq(count_at(r, "/data/1/lines"), 2);
}

Test(imports, sending_the_same_file_twice_changes_nothing)
{
    const char *file = "order_id,customer_id,ordered_at,product_id,quantity,unit_price\n"
                       "io2-1,io2-a,2026-01-15,x,2,7.50\nio2-1,io2-a,2026-01-15,x,2,7.50\nio2-2,io2-b,2026-01-16,y,1,1\n";
    counts(import_("orders", NULL, file), 3, 3, 0, 0, 0);
    const char *before = get("/v1/customers/io2-a?at=2026-02-01T00:00:00Z")->body;
    counts(import_("orders", NULL, file), 3, 0, 0, 3, 0);
    cr_assert_str_eq(get("/v1/customers/io2-a?at=2026-02-01T00:00:00Z")->body, before);
    cr_assert_eq(num_at(get("/v1/customers/io2-a"), "/stats/revenue"), 30);
}

Test(imports, the_same_line_with_other_content_is_an_update)
{
    counts(import_("orders", NULL, "order_id,customer_id,ordered_at,line_id,quantity,unit_price\nio3-1,io3-a,2026-01-15,L1,2,10\nio3-1,io3-a,2026-01-15,L2,1,5\n"), 2, 2, 0, 0, 0);
    counts(import_("orders", NULL, "order_id,customer_id,ordered_at,line_id,quantity,unit_price\nio3-1,io3-a,2026-01-15,L2,3,5\n"), 1, 0, 1, 0, 0);
    cr_assert_eq(num_at(get("/v1/customers/io3-a"), "/stats/revenue"), 35);
    cr_assert_eq(int_at(get("/v1/customers/io3-a"), "/stats/orders"), 1);
}

Test(imports, bad_rows_are_told_by_line_and_column_and_good_ones_land)
{
    struct reply *r = import_("orders", NULL,
                              "order_id,customer_id,ordered_at,quantity,unit_price\n"
                              "io4-1,io4-a,2026-01-15,1,10\n"          /* 2 */
                              "io4-2,,2026-01-15,1,10\n"               /* 3: no customer */
                              "io4-3,io4-a,the other day,1,10\n"       /* 4: no time */
                              "io4-4,io4-a,2026-01-15,one,10\n"        /* 5: no quantity */
                              "io4-5,io4-a,2026-01-15,1\n"             /* 6: a field short */
                              "io4-6,io4-a,2026-01-15,1,10,11\n"       /* 7: a field more */
                              "io4-7,io4-a,2026-02-30,1,10\n"          /* 8: no such day */
                              "io4-8,io4-a,2126-01-15,1,10\n"          /* 9: the future */
                              "io4-9,io4-a,2026-01-15,1,10\n");        /* 10 */
    counts(r, 9, 2, 0, 0, 7);
    cr_assert_eq(count_at(r, "/errors"), 7);
    error_at(r, 0, 3, "customer_id");
    error_at(r, 1, 4, "ordered_at");
    error_at(r, 2, 5, "quantity");
    error_at(r, 3, 6, NULL);
    error_at(r, 4, 7, NULL);
    error_at(r, 5, 8, "ordered_at");
    error_at(r, 6, 9, "ordered_at");
    cr_assert_eq(num_at(get("/v1/customers/io4-a"), "/stats/revenue"), 20);
}

Test(imports, lines_are_counted_through_quoted_line_breaks)
{
    struct reply *r = import_("products", NULL, "product_id,name,description\r\nio5-1,\"a \"\"mug\"\"\",\"two\r\nlines, and a comma\"\r\n,no id,x\r\nio5-2,plain,\n");
    counts(r, 3, 2, 0, 0, 1);
    error_at(r, 0, 4, "product_id");
    r = get("/v1/products/io5-1");
    cr_assert_str_eq(text_at(r, "/name"), "a \"mug\"");
    cr_assert(strncmp(text_at(r, "/description"), "two", 3) == 0 && strstr(text_at(r, "/description"), "lines, and a comma") != NULL);
}

Test(imports, with_abort_nothing_lands)
{
    struct reply *r = import_("orders", "on_error=abort", "order_id,customer_id,ordered_at,amount\nio6-1,io6-a,2026-01-15,10\nio6-2,io6-a,nonsense,10\n");
    expect(r, 422);
    error_at(r, 0, 3, "ordered_at");
    expect(get("/v1/customers/io6-a"), 404);
    counts(import_("orders", "on_error=abort", "order_id,customer_id,ordered_at,amount\nio6-1,io6-a,2026-01-15,10\n"), 1, 1, 0, 0, 0);
}

Test(imports, ndjson_of_events_lands)
{
    const char *file = "{\"event_id\":\"io7-1\",\"customer_id\":\"io7-a\",\"type\":\"product_viewed\",\"occurred_at\":\"2026-01-15T10:00:00Z\",\"product_id\":\"io7-p\",\"properties\":{\"page\":{\"depth\":[1,2]}},\"colour\":\"red\"}\n"
                       "{\"event_id\":\"io7-2\",\"customer_id\":\"io7-a\",\"type\":\"my_own_type\",\"occurred_at\":\"2026-01-16T10:00:00+01:00\",\"value\":2.5}\n"
                       "{\"event_id\":\"io7-3\",\"customer_id\":\"io7-a\"}\n"
                       "not json\n";
    struct reply *r = import_("events", NULL, file);
    counts(r, 4, 2, 0, 0, 2);
    error_at(r, 0, 3, "type");
    error_at(r, 1, 4, NULL);
    counts(import_("events", NULL, file), 4, 0, 0, 2, 2);
    r = get("/v1/customers/io7-a/events");
    expect(r, 200);
    cr_assert_eq(count_at(r, "/data"), 2);
    cr_assert_str_eq(text_at(r, "/data/0/type"), "my_own_type");
    cr_assert_str_eq(text_at(r, "/data/0/occurred_at"), "2026-01-16T09:00:00Z");
    cr_assert_eq(int_at(r, "/data/1/properties/page/depth/1"), 2);
    cr_assert_str_eq(text_at(r, "/data/1/properties/colour"), "red", "an unknown column of an event is a property");
    cr_assert_eq(int_at(get("/v1/customers/io7-a"), "/stats/events/product_viewed/count"), 1);
}

Test(imports, latin1_bom_delimiter_and_column_names_of_others)
{
    counts(call(&(struct call){.method = "POST", .path = "/v1/imports/customers?charset=latin1&delimiter=%3B&map=Kunde:customer_id,Ort:city", .type = "text/csv",
                               .body = "Kunde;Ort;Umsatz\nio8-a;K\xF6ln;3,5\n"}), 1, 1, 0, 0, 0);
    struct reply *r = get("/v1/customers/io8-a");
    cr_assert_str_eq(text_at(r, "/attributes/city"), "K\xC3\xB6ln");
    cr_assert_str_eq(text_at(r, "/attributes/Umsatz"), "3,5");
    counts(import_("customers", NULL, "\xEF\xBB\xBF" "customer_id,country\nio8-b,DE\n"), 1, 1, 0, 0, 0);
    cr_assert_str_eq(text_at(get("/v1/customers/io8-b"), "/attributes/country"), "DE");
    r = call(&(struct call){.method = "POST", .path = "/v1/imports/customers", .type = "text/csv", .body = "customer_id,city\nio8-c,K\xF6ln\n"});
    counts(r, 1, 0, 0, 0, 1);
    error_at(r, 0, 2, NULL);
    counts(call(&(struct call){.method = "POST", .path = "/v1/imports/customers?delimiter=tab", .type = "text/csv", .body = "customer_id\tcity\nio8-d\tBonn\n"}), 1, 1, 0, 0, 0);
    counts(call(&(struct call){.method = "POST", .path = "/v1/imports/customers?delimiter=%09", .type = "text/csv", .body = "customer_id\tcity\nio8-d\tBonn\n"}), 1, 0, 0, 1, 0);
}

Test(imports, dates_as_others_write_them)
{
    counts(import_("orders", NULL, "order_id,customer_id,ordered_at,amount\nio9-1,io9-us,12/1/2010 8:26,1\n"), 1, 1, 0, 0, 0);
    cr_assert_str_eq(text_at(get("/v1/customers/io9-us"), "/stats/first_order_at"), "2010-12-01T08:26:00Z");
    counts(import_("orders", "day_first=true", "order_id,customer_id,ordered_at,amount\nio9-2,io9-eu,12/1/2010 8:26,1\n"), 1, 1, 0, 0, 0);
    cr_assert_str_eq(text_at(get("/v1/customers/io9-eu"), "/stats/first_order_at"), "2010-01-12T08:26:00Z");
    counts(import_("orders", "date_format=%25d.%25m.%25Y%20%25H:%25M", "order_id,customer_id,ordered_at,amount\nio9-3,io9-de,31.12.2010 23:59,1\nio9-4,io9-de,2010-12-31,1\n"), 2, 1, 0, 0, 1);
    cr_assert_str_eq(text_at(get("/v1/customers/io9-de"), "/stats/first_order_at"), "2010-12-31T23:59:00Z");
}

Test(imports, an_empty_file_and_a_header_alone_bring_nothing)
{
    counts(import_("orders", NULL, "order_id,customer_id,ordered_at\n"), 0, 0, 0, 0, 0);
    counts(import_("orders", NULL, "order_id,customer_id,ordered_at"), 0, 0, 0, 0, 0);
    struct reply *r = call(&(struct call){.method = "POST", .path = "/v1/imports/events", .type = "application/x-ndjson", .body = "\n\n"});
    counts(r, 0, 0, 0, 0, 0);
}

Test(imports, what_makes_no_sense_as_a_whole_is_refused)
{
    struct reply *r = import_("orders", NULL, "order_id,ordered_at\n1,2026-01-01\n");
    cr_assert(r->status == 400 || r->status == 422, "a file without a needed column: %d %s", r->status, r->body);
    cr_assert_not_null(strstr(r->body, "customer_id"));
    expect(call(&(struct call){.method = "POST", .path = "/v1/imports/things", .type = "text/csv", .body = "a\n1\n"}), 404);
    expect(call(&(struct call){.method = "POST", .path = "/v1/imports/orders", .body = "{}"}), 415);
    expect_fault(import_("orders", "delimeter=;", "a\n"), 400, "?delimeter");
    expect_fault(import_("orders", "charset=utf-16", "a\n"), 400, "?charset");
    expect_fault(import_("orders", "on_error=ignore", "a\n"), 400, "?on_error");
    r = import_("orders", "map=a:order_id,b:order_id", "a,b\n1,2\n");
    cr_assert(r->status == 400 || r->status == 422, "two columns for one field: %d %s", r->status, r->body);
    r = import_("orders", NULL, "order_id,order_id,customer_id,ordered_at\n1,2,3,2026-01-01\n");
    cr_assert(r->status == 400 || r->status == 422, "a column twice: %d %s", r->status, r->body);
}

Test(imports, hostile_values_stay_values)
{
    static const char *const hostile[] = {"'; drop table customers; --", "\\\\", "$1", "{\\\"", "NULL", "{}\\\",\\\\", "\\\\N", "\\\\.", "a\\tb", "%s%n", "<script>", "../..", "\xF0\x9F\x98\x80"};
    for (size_t i = 0; i < sizeof hostile / sizeof hostile[0]; i++) {
        counts(import_("customers", NULL, text("{\"customer_id\":\"io10-%zu\",\"name\":\"%s\",\"note\":\"%s\"}\n", i, hostile[i], hostile[i])), 1, 1, 0, 0, 0);
        struct reply *r = get(text("/v1/customers/io10-%zu", i));
        struct json *sent = NULL;
        struct meros_err err = MEROS_ERR_INIT;
        const char *quoted = text("\"%s\"", hostile[i]);
        cr_assert_eq(json_parse(quoted, strlen(quoted), &sent, &err), MEROS_OK);
        cr_assert(str_is(json_str(sent), text_at(r, "/attributes/note")), "%s", r->body);
        json_free(sent);
    }
    struct reply *r = import_("customers", NULL, "{\"customer_id\":\"io10-nul\",\"note\":\"a\\u0000b\"}\n{\"customer_id\":\"io10\\n\"}\n{\"customer_id\":\"\"}\n");
    counts(r, 3, 0, 0, 0, 3);
    for (size_t i = 0; i < 3; i++) error_at(r, i, (int64_t)i + 1, NULL);
}

Test(imports, a_gzipped_file_is_taken)
{
    counts(call(&(struct call){.method = "POST", .path = "/v1/imports/orders", .type = "text/csv", .gzip = true,
                               .body = "order_id,customer_id,ordered_at,amount\nio11-1,io11-a,2026-01-15,10\n"}), 1, 1, 0, 0, 0);
    struct reply *r = call(&(struct call){.method = "POST", .path = "/v1/imports/orders", .type = "text/csv", .body = "no gzip",
                                          .headers = (const char *const[]){"Content-Encoding: gzip", NULL}});
    expect(r, 400);
}

Test(imports, a_client_that_hangs_up_in_the_middle_leaves_nothing)
{
    const char *request = text("POST /v1/imports/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: text/csv\r\nContent-Length: 100000\r\n\r\n"
                               "order_id,customer_id,ordered_at,amount\nio12-1,io12-a,2026-01-15,10\n", client_instance()->key);
    raw_exchange(request, strlen(request), SILENT);
    expect(get("/v1/customers/io12-a"), 404);
    expect(get("/healthz"), 200);
}

/* --- size */

struct lines {
    size_t n, next, pending;
    char line[200];
};
static size_t order_lines(void *arg, char *to, size_t cap)
{
    struct lines *l = arg;
    size_t n = 0;
    while (n + sizeof l->line < cap && l->next < l->n) {
        n += (size_t)sprintf(to + n, "big-%zu,big-c%zu,2025-%02zu-%02zuT10:00:00Z,product-%zu,%zu,%zu.%02zu,\"a comment that makes the line longer\"\n", l->next / 3, l->next / 3 % 50000,
                             1 + l->next % 12, 1 + l->next % 28, l->next % 5000, 1 + l->next % 4, 1 + l->next % 90, l->next % 100);
        l->next++;
    }
    return n;
}
struct with_header {
    bool sent;
    struct lines lines;
};
static size_t big_file(void *arg, char *to, size_t cap)
{
    struct with_header *w = arg;
    if (w->sent) return order_lines(&w->lines, to, cap);
    w->sent = true;
    return (size_t)sprintf(to, "order_id,customer_id,ordered_at,product_id,quantity,unit_price,comment\n");
}

/* Five times the file must not take noticeably more memory: the body is never held whole. */
Test(imports, fifty_megabytes_stream_through_in_flat_memory, .timeout = 500)
{
    struct instance s;
    instance_start(&s, (const char *const[]){"ASAN_OPTIONS=abort_on_error=1:quarantine_size_mb=1", "MEROS_LOG_LEVEL=info", NULL});
    client_use(&s);
    struct with_header small = {.lines = {.n = 40000}}, big = {.lines = {.n = 400000}};
    const char *path = "/v1/imports/orders?on_error=skip";
    counts(call(&(struct call){.method = "POST", .path = path, .type = "text/csv", .source = big_file, .source_arg = &small, .timeout = 200}), 40000, 40000, 0, 0, 0);
    long before = instance_rss_kb(&s);
    struct reply *r = call(&(struct call){.method = "POST", .path = path, .type = "text/csv", .source = big_file, .source_arg = &big, .timeout = 200});
    counts(r, 400000, 360000, 0, 40000, 0);
    long after = instance_rss_kb(&s);
    cr_assert_lt(after - before, 60000, "memory went from %ld to %ld KiB over a file of 44 MB", before, after);
    instance_done(&s);
}

/* --- the real file */

static size_t from_gzip(void *arg, char *to, size_t cap)
{
    return fread(to, 1, cap, arg);
}

Test(imports, online_retail_gives_its_known_totals, .timeout = 500)
{
    const char *folder = getenv("MEROS_TEST_DATA"), *path = text("%s/online_retail/OnlineRetail.csv.gz", folder == NULL ? "" : folder);
    FILE *f = folder == NULL ? NULL : fopen(path, "re");
    if (f == NULL) cr_skip_test("MEROS_TEST_DATA does not lead to online_retail/OnlineRetail.csv.gz");
    struct instance s;
    instance_start(&s, (const char *const[]){"MEROS_LOG_LEVEL=info", NULL});
    client_use(&s);
    const char *query = "/v1/imports/orders?map=InvoiceNo:order_id,StockCode:product_id,Quantity:quantity,InvoiceDate:ordered_at,UnitPrice:unit_price,CustomerID:customer_id";
    struct reply *r = call(&(struct call){.method = "POST", .path = query, .type = "text/csv", .headers = (const char *const[]){"Content-Encoding: gzip", NULL},
                                          .source = from_gzip, .source_arg = f, .timeout = 220});
    expect(r, 200);
    cr_assert_eq(int_at(r, "/received"), 541909, "%s", r->body);
    cr_assert_eq(int_at(r, "/inserted") + int_at(r, "/rejected") + int_at(r, "/duplicates"), 541909, "%.300s", r->body);
    cr_assert_eq(int_at(r, "/rejected"), 135080, "rows without a customer: %.300s", r->body);
    cr_assert_eq(int_at(r, "/inserted"), 406829);
    cr_assert_eq(count_at(r, "/errors"), 100);
    cr_assert_str_eq(text_at(r, "/errors/0/column"), "CustomerID", "by the file's own name for it");
    cr_assert_eq(int_at(r, "/errors/0/line"), 624, "the first line of the file without a customer");
    int64_t customers = 0;
    const char *cursor = "";
    while (cursor != NULL) {
        struct reply *page = get(text("/v1/customers?limit=1000%s", cursor));
        customers += (int64_t)count_at(page, "/data");
        cursor = null_at(page, "/next") ? NULL : text("&cursor=%s", text_at(page, "/next"));
    }
    cr_assert_eq(customers, 4372);
    r = get("/v1/customers/12346"); /* bought for 77,183.60 and sent all of it back */
    cr_assert_eq(int_at(r, "/stats/orders"), 1);
    cr_assert_eq(int_at(r, "/stats/returns"), 1);
    cr_assert_eq(num_at(r, "/stats/revenue"), 0);
    cr_assert_eq(num_at(r, "/stats/gross_revenue"), 77183.6);
    r = get("/v1/customers/12347");
    cr_assert_eq(int_at(r, "/stats/orders"), 7);
    cr_assert_eq(num_at(r, "/stats/revenue"), 4310);
    instance_done(&s);
    fclose(f);
}
