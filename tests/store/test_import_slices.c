/* An import is merged in slices: whatever their size, the tables and the counts are the same; between two of them others
 * have the lock, and whatever they do there, or whatever breaks, the import ends right. */
#include <pthread.h>
#include <time.h>
#include "import_support.h"
#include "meros/base/arena.h"
#include "meros/store/identity.h"
#include "meros/store/ingest.h"
#include "stats_check.h"

#define ORDERS "order_id,customer_id,ordered_at,product_id,quantity,unit_price,line_id\n"

/* What an import does with each file, at slices of `rows`: its counts and, told by ids, all that is stored. */
struct outcome {
    char counts[400];
    char *tables[6];
};
enum { TABLES = sizeof((struct outcome *)0)->tables / sizeof(char *) };

static const char *const queries[TABLES] = {
    "select order_id, customer_id, line_key, product_id, ordered_at, quantity, unit_price, amount, line_id, from_events "
    "from order_lines join order_ids using (order_no) join customers on customers.customer_no = order_lines.customer_no "
    "left join products using (product_no) order by 1, 3",
    "select order_id, ordered_at, purchase, lines, revenue, gross_revenue from orders order by 1",
    "select customer_id, type, event_id, occurred_at, product_id, value, e.properties from events e join customers using (customer_no) "
    "left join products using (product_no) order by 1, 2, 3, 4, 5, 6",
    "select customer_id, kind, count, round(decayed::numeric, 6), decayed_at, first_at from customer_event_stats join customers "
    "using (customer_no) order by 1, 2",
    "select customer_id, created_at, attributes from customers order by 1",
    "select product_id, name, category, price, attributes from products order by 1",
};

struct file {
    enum dataset_kind dataset;
    const char *text;
};

static void import_all(const struct file *files, size_t n, size_t rows, struct outcome *out)
{
    struct shop s;
    size_t at = 0;
    shop_open(&s);
    s.svc.settings.import_slice_rows = rows;
    for (size_t k = 0; k < n; k++) {
        shop_import(&s, (struct import_options){.dataset = files[k].dataset, .format = files[k].text[0] == '{' ? IMPORT_NDJSON : IMPORT_CSV},
                    files[k].text);
        at += (size_t)snprintf(out->counts + at, sizeof out->counts - at, "%lld/%lld/%lld/%lld ", (long long)s.result.inserted,
                               (long long)s.result.updated, (long long)s.result.duplicates, (long long)s.result.rejected);
        EXPECT_NONE(s.db, ODD_ORDERS);
        EXPECT_NONE(s.db, ODD_STATS);
        EXPECT_NONE(s.db, ODD_PAIRS);
        EXPECT_NONE(s.db, ODD_DAYS);
    }
    for (size_t k = 0; k < TABLES; k++) out->tables[k] = pg_table(s.db, queries[k]);
    shop_close(&s);
}

Test(import_slices, of_any_size_give_the_same_tables_and_counts, .timeout = 300)
{
    static const struct file files[] = {
        /* lines of one order apart, an order that changes hands, rejected places, line ids, lines that contradict each other */
        {DATASET_ORDERS, ORDERS "o1,ann,2024-01-01,p1,1,5,\no2,ben,2024-01-02,p1,2,5,\no1,ann,2024-01-01,p2,1,7,\n"
                                "o3,,2024-01-03,p1,1,1,\no3,cid,2024-01-03,p1,1,2,\no4,ann,2024-01-04,p3,1,9,l1\no2,cid,2024-01-02,p9,1,4,\n"
                                "o4,ann,2024-01-04,p3,2,9,l1\no5,dot,some day,p1,1,1,\no1,ann,2024-01-01,p1,-1,5,\no4,ann,2024-01-04,p3,3,9,l2\n"},
        {DATASET_ORDERS, ORDERS "o1,ann,2024-01-01,p1,1,5,\no2,ben,2024-01-02,p1,2,5,\no1,ann,2024-01-01,p2,1,8,\no5,dot,2024-01-05,p1,1,1,\n"
                                "o4,ben,2024-01-04,p3,3,9,l1\no6,ann,2024-01-06,p3,3,9,\no1,ann,2024-01-01,p1,-1,5,\n"},
        /* the same event several times, with an id and without one, ending as it was and otherwise */
        {DATASET_EVENTS, "{\"customer_id\":\"ann\",\"type\":\"searched\",\"event_id\":\"e1\",\"q\":1,\"occurred_at\":\"2024-01-01T00:00:00Z\"}\n"
                         "{\"customer_id\":\"ann\",\"type\":\"searched\",\"event_id\":\"e2\",\"q\":1,\"occurred_at\":\"2024-01-01T00:00:00Z\"}\n"
                         "{\"customer_id\":\"ben\",\"type\":\"searched\",\"q\":1,\"occurred_at\":\"2024-01-01T00:00:00Z\"}\n"
                         "{\"customer_id\":\"ann\",\"type\":\"searched\",\"event_id\":\"e1\",\"q\":2,\"occurred_at\":\"2024-01-02T00:00:00Z\"}\n"
                         "{\"customer_id\":\"ben\",\"type\":\"searched\",\"q\":1,\"occurred_at\":\"2024-01-01T00:00:00Z\"}\n"
                         "{\"customer_id\":\"ann\",\"type\":\"product_viewed\",\"product_id\":\"p7\",\"occurred_at\":\"2024-01-03T00:00:00Z\"}\n"
                         "{\"customer_id\":\"ann\",\"type\":\"searched\",\"event_id\":\"e1\",\"q\":3,\"occurred_at\":\"2024-01-02T00:00:00Z\"}\n"},
        {DATASET_EVENTS, "{\"customer_id\":\"ann\",\"type\":\"searched\",\"event_id\":\"e1\",\"q\":1,\"occurred_at\":\"2024-01-01T00:00:00Z\"}\n"
                         "{\"customer_id\":\"dot\",\"type\":\"searched\",\"event_id\":\"e9\",\"occurred_at\":\"2024-01-01T00:00:00Z\"}\n"
                         "{\"customer_id\":\"ann\",\"type\":\"searched\",\"event_id\":\"e1\",\"q\":3,\"occurred_at\":\"2024-01-02T00:00:00Z\"}\n"
                         "{\"customer_id\":\"ann\",\"type\":\"order_completed\",\"event_id\":\"e3\",\"order_id\":\"o7\",\"products\":[{\"product_id\":\"p1\","
                         "\"price\":3}],\"occurred_at\":\"2024-01-07T00:00:00Z\"}\n"
                         "{\"customer_id\":\"ben\",\"type\":\"order_refunded\",\"event_id\":\"e4\",\"order_id\":\"o7\",\"occurred_at\":\"2024-01-08T00:00:00Z\"}\n"},
        {DATASET_CUSTOMERS, "customer_id,plan\nann,a\nben,a\nann,b\nnew,c\nann,c\nben,a\n"},
        {DATASET_CUSTOMERS, "customer_id,plan\nann,a\nben,b\nann,c\nnew,c\n"},
        {DATASET_PRODUCTS, "product_id,name,price\np1,One,1\np2,Two,2\np1,Uno,1\nx,X,\n"},
    };
    enum { FILES = sizeof files / sizeof files[0] };
    struct outcome whole = {0}, cut = {0};
    import_all(files, FILES, 100000, &whole);
    for (size_t rows = 1; rows <= 3; rows++) {
        import_all(files, FILES, rows, &cut);
        cr_expect_str_eq(cut.counts, whole.counts, "slices of %zu", rows);
        for (size_t k = 0; k < TABLES; k++) {
            cr_expect_str_eq(cut.tables[k], whole.tables[k], "slices of %zu, table %zu:\n%s\nnot\n%s", rows, k, cut.tables[k], whole.tables[k]);
            free(cut.tables[k]);
        }
    }
    for (size_t k = 0; k < TABLES; k++) free(whole.tables[k]);
}

Test(import_slices, give_the_same_of_orders_that_come_in_pieces, .timeout = 300)
{
    static const char *const texts[] = {
        "o1,ann,2024-01-01,p1,1,5,\no2,ben,2024-01-02,p1,2,5,\no1,ann,2024-01-01,p2,1,7,\no3,ann,2024-01-03,p1,1,1,\no2,ben,2024-01-02,p3,1,4,\n",
        "o1,ann,2024-01-01,p1,1,5,\no2,ben,2024-01-02,p1,2,5,\no1,,2024-01-01,p2,1,7,\no1,ann,2024-01-01,p3,1,7,\no3,cid,2024-01-03,p1,1,1,\n",
        "o1,,2024-01-01,p1,1,5,\no2,ben,2024-01-02,p1,2,5,\no1,ann,2024-01-01,p2,1,7,\no3,,2024-01-03,p1,1,1,\no2,ben,2024-01-02,p3,1,4,\no3,,2024-01-03,p2,1,1,\n",
        "o1,ann,2024-01-01,p1,1,5,\no2,ben,2024-01-02,p1,2,5,\no1,ben,2024-01-01,p2,1,7,\no3,ann,2024-01-03,p1,1,1,\no2,ben,2024-01-02,p3,1,4,\n",
    };
    static const char *const owners[] = {"o1|ann|2\no2|ben|2\no3|ann|1\n", "o1|ann|2\no2|ben|1\no3|cid|1\n", "o1|ann|1\no2|ben|2\n",
                                         "o1|ben|2\no2|ben|2\no3|ann|1\n"};
    for (size_t t = 0; t < sizeof texts / sizeof texts[0]; t++) {
        char *first = NULL;
        for (size_t rows = 1; rows <= 4; rows++) {
            char text[1000];
            struct shop s;
            shop_open(&s);
            s.svc.settings.import_slice_rows = rows;
            snprintf(text, sizeof text, "%s%s", ORDERS, texts[t]);
            shop_orders(&s, text);
            check_order_side(s.db);
            EXPECT_TABLE(&s, "select order_id, customer_id, count(*) from order_lines l join order_ids using (order_no) "
                             "join customers c on c.customer_no = l.customer_no group by 1, 2 order by 1", owners[t]);
            char *lines = pg_table(s.db, queries[0]);
            if (first == NULL) first = lines;
            else cr_expect_str_eq(lines, first, "file %zu in slices of %zu:\n%s\nnot\n%s", t, rows, lines, first);
            if (lines != first) free(lines);
            shop_close(&s);
        }
        free(first);
    }
}

/* Advisory locks of this test's database: others use the server too. */
#define LOCKS "pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())"

/* --- between two slices */
struct between {
    struct shop *shop;
    void (*act)(struct between *b); /* on the connection, after the slice `at` */
    struct store_conn *c;
    int at, slices;
};

static void after_slice(void *arg, const struct import_progress *p)
{
    struct between *b = arg;
    if (p->merged > 0 && ++b->slices == b->at) b->act(b);
}

static void import_with(struct shop *s, enum dataset_kind dataset, const char *text, struct between *b)
{
    struct body body = {text, strlen(text)};
    b->shop = s;
    cr_assert_eq(store_connect(s->db->pool, &b->c, &s->err), MEROS_OK, "%s", s->err.detail);
    cr_assert_eq(service_import(&s->svc, &(struct import_options){.dataset = dataset}, body_read, &body, after_slice, b, &s->result, &s->err),
                 MEROS_OK, "%s", s->err.detail);
    store_disconnect(b->c);
}

static void land_in_between(struct between *b)
{
    struct meros_err err = MEROS_ERR_INIT;
    cr_assert_eq(store_set_timeout(b->c, 60000, &err), MEROS_OK); /* instead of for ever */
    for (int k = 0; k < 2; k++) {
        cr_assert_eq(store_begin(b->c, &err), MEROS_OK);
        cr_assert_eq(store_ingest_lock(b->c, k == 1, &err), MEROS_OK, "the import holds the lock between slices: %s", err.detail);
        cr_assert_eq(store_commit(b->c, &err), MEROS_OK);
    }
    EXPECT_NONE(b->shop->db, ODD_STATS); /* statistics are right after every slice, and who changed is noted */
    cr_expect_eq(pg_int(b->shop->db, "select count(*) from customers c where not exists "
                                     "(select from changed_customers n where c.customer_no = any(n.customer_nos))"), 0);
    cr_expect_eq(pg_int(b->shop->db, "select count(*) from order_lines"), 4);
}

static const char eight_lines[] = ORDERS "o1,ann,2024-01-01,p1,1,5,\no2,ben,2024-01-02,p1,2,5,\no3,ann,2024-01-01,p2,1,7,\n"
                                         "o4,cid,2024-01-03,p1,1,1,\no5,cid,2024-01-03,p1,1,2,\no6,ann,2024-01-04,p3,1,9,\n"
                                         "o7,ben,2024-01-02,p9,1,4,\no8,dot,2024-01-04,p3,2,9,\n";

Test(import_slices, let_the_lock_go_in_between_and_leave_everything_right_each)
{
    struct shop s;
    struct between b = {.act = land_in_between, .at = 2};
    shop_open(&s);
    s.svc.settings.import_slice_rows = 2;
    import_with(&s, DATASET_ORDERS, eight_lines, &b);
    cr_expect_eq(b.slices, 4);
    EXPECT_COUNTS(&s, 8, 0, 0, 0);
    EXPECT_NONE(s.db, ODD_STATS);
    shop_close(&s);
}

/* ann becomes ben while half of her orders are not in yet. */
static void join_in_between(struct between *b)
{
    struct meros_err err = MEROS_ERR_INIT;
    const int64_t ann = pg_int(b->shop->db, "select customer_no from customer_ids where customer_id = 'ann'");
    const int64_t ben = pg_int(b->shop->db, "select customer_no from customer_ids where customer_id = 'ben'");
    struct identity_outcome who = {0};
    struct arena memory;
    arena_init(&memory, 1 << 20);
    cr_assert_eq(store_begin(b->c, &err), MEROS_OK);
    cr_assert_eq(store_ingest_lock(b->c, true, &err), MEROS_OK);
    cr_assert_eq(identity_join(b->c, ann, ben, &memory, &who, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(store_commit(b->c, &err), MEROS_OK);
    arena_done(&memory);
}

Test(import_slices, follow_a_customer_who_is_joined_in_between)
{
    struct shop s;
    struct between b = {.act = join_in_between, .at = 2};
    shop_open(&s);
    s.svc.settings.import_slice_rows = 2;
    import_with(&s, DATASET_ORDERS, eight_lines, &b);
    EXPECT_COUNTS(&s, 8, 0, 0, 0);
    EXPECT_NONE(s.db, ODD_STATS);
    EXPECT_NONE(s.db, ODD_ORDERS);
    cr_expect_eq(pg_int(s.db, "select count(*) from order_lines l where not exists (select from customers c where c.customer_no = l.customer_no)"), 0);
    cr_expect_eq(pg_int(s.db, "select sum(orders)::bigint from customer_stats"), 8);
    shop_close(&s);
}

/* The import's own connection, which waits for nothing now. */
static void cut_in_between(struct between *b)
{
    cr_assert_eq(pg_int(b->shop->db, "select count(pg_terminate_backend(pid)) from " LOCKS " and granted"), 1,
                 "the import has its turn, and nothing else");
    for (int k = 0; k < 3000 && pg_int(b->shop->db, "select count(*) from " LOCKS) > 0; k++)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
}

Test(import_slices, go_on_over_another_connection_and_count_each_row_once)
{
    struct shop s;
    struct between b = {.act = cut_in_between, .at = 2};
    shop_open(&s);
    s.svc.settings.import_slice_rows = 2;
    import_with(&s, DATASET_ORDERS, eight_lines, &b);
    EXPECT_COUNTS(&s, 8, 0, 0, 0);
    cr_expect_eq(pg_int(s.db, "select count(*) from order_lines"), 8);
    EXPECT_NONE(s.db, ODD_STATS);
    shop_close(&s);
}

static void stop_in_between(struct between *b)
{
    b->shop->svc.draining = true;
}

/* What a service that is stopping has not merged, it says, and the same file again brings the rest. */
Test(import_slices, that_a_stopping_service_gave_up_are_made_good_by_the_same_file)
{
    struct shop s;
    struct buf text;
    shop_open(&s);
    buf_init(&text, 1 << 20);
    buf_str(&text, ORDERS);
    for (int k = 0; k < 3000; k++) buf_printf(&text, "o%d,c%d,2024-01-01,p%d,1,2,\n", k, k % 50, k % 7);
    struct between b = {.shop = &s, .act = stop_in_between, .at = 1};
    struct body body = {text.data, text.len};
    s.svc.settings.import_slice_rows = 1;
    enum meros_code rc = service_import(&s.svc, &(struct import_options){.dataset = DATASET_ORDERS}, body_read, &body, after_slice, &b, &s.result, &s.err);
    const int64_t landed = pg_int(s.db, "select count(*) from order_lines");
    if (rc == MEROS_UNAVAILABLE) {
        cr_expect(strstr(s.err.detail, "send the same file again") != NULL, "%s", s.err.detail);
        cr_expect(landed > 0 && landed < 3000, "%lld", (long long)landed);
    } else {
        cr_expect_eq(rc, MEROS_OK, "%s", s.err.detail); /* a machine that is fast enough */
    }
    EXPECT_NONE(s.db, ODD_STATS);
    s.svc.draining = false;
    s.svc.settings.import_slice_rows = 500;
    shop_orders(&s, text.data);
    EXPECT_COUNTS(&s, 3000 - landed, 0, landed, 0);
    EXPECT_NONE(s.db, ODD_STATS);
    cr_expect_eq(pg_int(s.db, "select count(*) from order_lines"), 3000);
    buf_done(&text);
    shop_close(&s);
}

/* --- two imports at once */
struct rival {
    struct shop *shop;
    struct import_result result;
    enum meros_code rc;
};

static void *import_rival(void *arg)
{
    struct rival *r = arg;
    struct meros_err err = MEROS_ERR_INIT;
    static const char text[] = "customer_id,plan\na,second\nb,second\nc,second\nd,second\n";
    struct body body = {text, strlen(text)};
    r->rc = service_import(&r->shop->svc, &(struct import_options){.dataset = DATASET_CUSTOMERS}, body_read, &body, NULL, NULL, &r->result, &err);
    return NULL;
}

static pthread_t rival_thread;
static struct rival rival;

static void start_rival(struct between *b)
{
    rival = (struct rival){.shop = b->shop};
    cr_assert_eq(pthread_create(&rival_thread, NULL, import_rival, &rival), 0);
    for (int k = 0; k < 3000 && pg_int(b->shop->db, "select count(*) from " LOCKS " and not granted") == 0; k++)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
}

Test(import_slices, of_two_imports_do_not_mix_the_later_one_has_the_last_word)
{
    struct shop s;
    struct between b = {.act = start_rival, .at = 2};
    shop_open(&s);
    s.svc.settings.import_slice_rows = 1;
    import_with(&s, DATASET_CUSTOMERS, "customer_id,plan\na,first\nb,first\nc,first\nd,first\n", &b);
    pthread_join(rival_thread, NULL);
    cr_expect_eq(rival.rc, MEROS_OK);
    EXPECT_COUNTS(&s, 4, 0, 0, 0);
    cr_expect_eq(rival.result.updated, 4);
    EXPECT_TABLE(&s, "select customer_id, attributes ->> 'plan' from customers order by 1", "a|second\nb|second\nc|second\nd|second\n");
    shop_close(&s);
}
