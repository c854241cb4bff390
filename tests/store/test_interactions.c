/* Pairs of customers and products, and baskets, against what is said of them row by row. */
#include <math.h>

#include "import_support.h"
#include "meros/base/clock.h"
#include "meros/store/interactions.h"
#include "store_priv.h"

struct lines {
    struct buf b;
    struct pg *db;
};

/* customer|product|weight|last|bought|purchases */
static enum meros_code note(void *arg, const struct interaction_row *r, struct meros_err *err)
{
    struct lines *l = arg;
    char last[TIME_TEXT], bought[TIME_TEXT] = "-";
    (void)err;
    time_format(r->last_at, last);
    if (r->bought_at != TIME_NONE) time_format(r->bought_at, bought);
    buf_printf(&l->b, "%lld|%lld|%.10g|%.10s|%.10s|%d\n", (long long)r->customer_no, (long long)r->product_no, r->weight, last, bought, r->purchases);
    return MEROS_OK;
}

static enum meros_code note_line(void *arg, int64_t order_no, int64_t customer_no, int64_t product_no, int64_t at, struct meros_err *err)
{
    struct lines *l = arg;
    char text[TIME_TEXT];
    (void)err;
    time_format(at, text);
    buf_printf(&l->b, "%lld|%lld|%lld|%.10s\n", (long long)order_no, (long long)customer_no, (long long)product_no, text);
    return MEROS_OK;
}

/* With ids in place of numbers. */
static char *named(struct shop *s, const char *numbers, const char *sql)
{
    char *quoted = malloc(strlen(numbers) + strlen(sql) + 64);
    sprintf(quoted, sql, numbers);
    char *out = pg_table(s->db, quoted);
    free(quoted);
    return out;
}

static char *pairs(struct shop *s, const struct interaction_weights *w, const char *as_of)
{
    struct lines l = {.db = s->db};
    struct store_conn *c = pg_conn(s->db);
    int64_t at = TIME_NONE;
    if (as_of != NULL) cr_assert(time_parse(str_of(as_of), &at));
    buf_init(&l.b, 1 << 20);
    cr_assert_eq(store_begin_snapshot(c, &s->err), MEROS_OK);
    cr_assert_eq(store_interactions_all(c, w, at, note, &l, &s->err), MEROS_OK, "%s (%s)", s->err.detail, s->err.sqlstate);
    store_rollback(c);
    buf_char(&l.b, '\0');
    char *out = named(s, l.b.data,
                      "select c.customer_id, p.product_id, x[3], x[4], x[5], x[6] from "
                      "(select string_to_array(line, '|') as x, at from regexp_split_to_table('%s', E'\\n') with ordinality as t (line, at) where line <> '') r "
                      "join customers c on c.customer_no = x[1]::bigint join products p on p.product_no = x[2]::bigint order by at");
    buf_done(&l.b);
    return out;
}

#define EXPECT_PAIRS(s, w, as_of, want)                                                                      \
    do {                                                                                                     \
        char *got_ = pairs(s, w, as_of);                                                                     \
        cr_expect_str_eq(got_, want, "got:\n%s", got_);                                                      \
        free(got_);                                                                                          \
    } while (0)

static void events(struct shop *s, const char *text)
{
    shop_import(s, (struct import_options){.dataset = DATASET_EVENTS}, text);
}

Test(interactions, add_up_what_events_and_lines_weigh)
{
    struct shop s;
    shop_open(&s);
    events(&s, "customer_id,type,occurred_at,product_id,value\n"
               "a,product_viewed,2024-01-01,p,\na,product_viewed,2024-01-02,p,\na,product_added,2024-01-03,p,\n"
               "a,product_removed,2024-01-04,q,\na,wished,2024-01-05,r,\na,page_viewed,2024-01-06,,\n"
               "a,recommendation_shown,2024-01-09,q,\na,recommendation_shown,2024-01-09,z,\na,checkout_started,2024-01-07,t,\n"
               "b,review_submitted,2024-01-01,p,5\nb,review_submitted,2024-01-02,q,1\nb,review_submitted,2024-01-03,r,3\n"
               "b,review_submitted,2024-01-04,s,\nb,review_submitted,2024-01-05,t,4\nb,review_submitted,2024-01-06,u,9\n");
    shop_orders(&s, "order_id,customer_id,ordered_at,product_id,quantity,amount\n"
                    "o1,a,2024-02-01,p,2,10\no1,a,2024-02-01,q,1,5\no2,a,2024-03-01,p,1,5\no3,a,2024-04-01,q,-1,-5\n"
                    "o4,b,2024-02-01,v,,7\no5,b,2024-02-02,w,,-7\no6,b,2024-02-03,,,9\n");
    EXPECT_PAIRS(&s, &interaction_weights_default, NULL,
                 "a|r|1|2024-01-05|-|0\na|t|0|2024-01-07|-|0\na|p|15|2024-03-01|2024-03-01|2\na|q|-1|2024-04-01|-|1\n"
                 "b|p|3|2024-01-01|-|0\nb|q|-3|2024-01-02|-|0\nb|r|0|2024-01-03|-|0\nb|s|0|2024-01-04|-|0\nb|t|1.5|2024-01-05|-|0\n"
                 "b|u|3|2024-01-06|-|0\nb|v|5|2024-02-01|2024-02-01|1\nb|w|-5|2024-02-02|-|0\n");

    /* Other weights, also of types that only this shop has. */
    struct interaction_weights w = interaction_weights_default;
    cr_assert(interaction_weights_put(&w, STR("wished"), 7));
    cr_assert(interaction_weights_put(&w, STR("it's \"odd\", {quoted} \\ \xc3\xa9"), 2));
    w.purchase = 100;
    w.returned = 0;
    events(&s, "customer_id,type,occurred_at,product_id\nc,\"it's \"\"odd\"\", {quoted} \\ \xc3\xa9\",2024-01-01,p\n");
    char *got = pairs(&s, &w, NULL);
    cr_expect_not_null(strstr(got, "a|r|7|"), "%s", got);
    cr_expect_not_null(strstr(got, "a|p|205|"), "%s", got);
    cr_expect_not_null(strstr(got, "c|p|2|"), "%s", got);
    free(got);
    shop_close(&s);
}

Test(interactions, of_a_moment_are_what_was_known_by_then_and_weighed_as_of_it)
{
    struct shop s;
    struct interaction_weights w = interaction_weights_default;
    shop_open(&s);
    events(&s, "customer_id,type,occurred_at,product_id\na,product_viewed,2024-01-01,p\na,product_viewed,2024-01-11,p\na,product_added,2024-01-31,q\n");
    shop_orders(&s, "order_id,customer_id,ordered_at,product_id,quantity\no1,a,2024-01-21,p,1\no2,a,2024-02-21,p,-1\n");
    EXPECT_PAIRS(&s, &w, "2024-01-01", "");
    EXPECT_PAIRS(&s, &w, "2024-01-11", "a|p|1|2024-01-01|-|0\n");
    EXPECT_PAIRS(&s, &w, "2024-01-31", "a|p|7|2024-01-21|2024-01-21|1\n");
    EXPECT_PAIRS(&s, &w, NULL, "a|q|3|2024-01-31|-|0\na|p|2|2024-02-21|-|1\n");
    w.half_life_days = 10;
    EXPECT_PAIRS(&s, &w, "2024-01-31", "a|p|2.875|2024-01-21|2024-01-21|1\n"); /* 1/8 + 1/4 + 5/2 */
    shop_close(&s);
}

Test(interactions, of_who_refused_profiling_are_nobodys)
{
    struct shop s;
    struct lines l = {0};
    shop_open(&s);
    events(&s, "customer_id,type,occurred_at,product_id\na,product_viewed,2024-01-01,p\nb,product_viewed,2024-01-01,p\nc,product_viewed,2024-01-01,p\n");
    shop_orders(&s, "order_id,customer_id,ordered_at,product_id,quantity\no1,a,2024-01-21,p,1\no2,b,2024-01-21,p,1\n");
    pg_run(s.db, "update customers set consent = '{\"profiling\": false}' where customer_id = 'a';"
                 "update customers set consent = '{\"profiling\": true, \"marketing\": false}' where customer_id = 'b'");
    EXPECT_PAIRS(&s, &interaction_weights_default, NULL, "b|p|6|2024-01-21|2024-01-21|1\nc|p|1|2024-01-01|-|0\n");
    buf_init(&l.b, 1 << 16);
    struct store_conn *c = pg_conn(s.db);
    cr_assert_eq(store_begin_snapshot(c, &s.err), MEROS_OK);
    cr_assert_eq(store_baskets_all(c, TIME_NONE, note_line, &l, &s.err), MEROS_OK, "%s", s.err.detail);
    store_rollback(c);
    cr_expect_eq(l.b.len > 0 && memchr(l.b.data, '\n', l.b.len) == l.b.data + l.b.len - 1, true, "one line: b's");
    buf_done(&l.b);
    shop_close(&s);
}

Test(interactions, baskets_have_each_product_of_an_order_once_and_nothing_that_came_back)
{
    struct shop s;
    struct lines l = {0};
    shop_open(&s);
    shop_orders(&s, "order_id,customer_id,ordered_at,product_id,quantity,amount\n"
                    "o1,a,2024-01-02,q,1,1\no1,a,2024-01-01,q,2,1\no1,a,2024-01-03,p,1,1\no2,b,2024-01-04,p,-1,-1\no2,b,2024-01-04,r,,3\no3,b,2024-01-09,,,5\n");
    buf_init(&l.b, 1 << 16);
    struct store_conn *c = pg_conn(s.db);
    cr_assert_eq(store_begin_snapshot(c, &s.err), MEROS_OK);
    cr_assert_eq(store_baskets_all(c, TIME_NONE, note_line, &l, &s.err), MEROS_OK, "%s", s.err.detail);
    store_rollback(c);
    buf_char(&l.b, '\0');
    char *got = named(&s, l.b.data,
                      "select o.order_id, c.customer_id, p.product_id, x[4] from "
                      "(select string_to_array(line, '|') as x from regexp_split_to_table('%s', E'\\n') as t (line) where line <> '') r "
                      "join order_ids o on o.order_no = x[1]::bigint join customers c on c.customer_no = x[2]::bigint "
                      "join products p on p.product_no = x[3]::bigint order by 1, 3");
    cr_expect_str_eq(got, "o1|a|p|2024-01-03\no1|a|q|2024-01-01\no2|b|r|2024-01-04\n", "got:\n%s", got);
    free(got);
    buf_done(&l.b);
    shop_close(&s);
}
