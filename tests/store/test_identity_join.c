/* Joining two customers: which number goes on is decided by size, and nobody can tell. */
#include "import_support.h"
#include "identity_check.h"
#include "identity_priv.h"
#include "meros/base/clock.h"
#include "meros/store/clv_list.h"
#include "meros/store/customers.h"
#include "meros/store/segment_changes.h"
#include "meros/store/segments.h"

struct crowd {
    struct shop shop;
    struct store_conn *c;
    struct arena memory;
    struct identity_outcome out;
};

static void open_crowd(struct crowd *w)
{
    w->out = (struct identity_outcome){0};
    shop_open(&w->shop);
    w->c = pg_conn(w->shop.db);
    arena_init(&w->memory, 1 << 20);
}

static void close_crowd(struct crowd *w)
{
    arena_done(&w->memory);
    shop_close(&w->shop);
}

static int64_t number_of(struct crowd *w, const char *id)
{
    char query[120];
    snprintf(query, sizeof query, "select customer_no from customer_ids where customer_id = '%s'", id);
    return pg_int(w->shop.db, query);
}

/* Loser and survivor by ids; returns the number that is left. spare below zero: the number of the loser, whatever it has. */
static int64_t join(struct crowd *w, const char *loser, const char *survivor, int64_t spare)
{
    const int64_t from = number_of(w, loser);
    int64_t into = number_of(w, survivor);
    w->out = (struct identity_outcome){0};
    cr_assert_eq(store_begin(w->c, &w->shop.err), MEROS_OK);
    cr_assert_eq(identity_move(w->c, &from, &into, 1, spare, &w->memory, &w->out, &w->shop.err), MEROS_OK, "%s (%s)", w->shop.err.detail,
                 w->shop.err.sqlstate);
    cr_assert_eq(store_commit(w->c, &w->shop.err), MEROS_OK);
    return into;
}

/* Two people with something of everything, and something in common of everything that can be. */
static void tell_of_two(struct crowd *w)
{
    shop_import(&w->shop, (struct import_options){.dataset = DATASET_EVENTS, .format = IMPORT_NDJSON},
                "{\"customer_id\":\"old\",\"event_id\":\"m1\",\"type\":\"page_viewed\",\"occurred_at\":\"2024-01-01\",\"properties\":{\"of\":\"old\"}}\n"
                "{\"customer_id\":\"u1\",\"event_id\":\"m1\",\"type\":\"page_viewed\",\"occurred_at\":\"2024-01-02\",\"properties\":{\"of\":\"u1\"}}\n"
                "{\"customer_id\":\"old\",\"event_id\":\"m2\",\"type\":\"page_viewed\",\"occurred_at\":\"2024-01-03\"}\n"
                "{\"customer_id\":\"old\",\"event_id\":\"m3\",\"type\":\"searched\",\"occurred_at\":\"2024-01-04\"}\n"
                "{\"customer_id\":\"u1\",\"event_id\":\"m4\",\"type\":\"searched\",\"occurred_at\":\"2024-01-05\"}\n"
                "{\"customer_id\":\"u1\",\"event_id\":\"m5\",\"type\":\"odd\",\"occurred_at\":\"2024-01-05\"}\n"
                "{\"customer_id\":\"old\",\"event_id\":\"o1\",\"type\":\"order_completed\",\"occurred_at\":\"2024-02-01\",\"properties\":{\"order_id\":\"told1\",\"revenue\":5}}\n"
                "{\"customer_id\":\"u1\",\"event_id\":\"o1\",\"type\":\"order_completed\",\"occurred_at\":\"2024-02-01\",\"properties\":{\"order_id\":\"told2\",\"revenue\":7}}\n"
                "{\"customer_id\":\"u1\",\"event_id\":\"o3\",\"type\":\"order_refunded\",\"occurred_at\":\"2024-02-02\",\"properties\":{\"order_id\":\"told3\",\"revenue\":1}}\n"
                "{\"customer_id\":\"old\",\"event_id\":\"o4\",\"type\":\"order_completed\",\"occurred_at\":\"2024-02-03\",\"properties\":{\"order_id\":\"told3\",\"revenue\":9}}\n");
    shop_orders(&w->shop, "order_id,customer_id,ordered_at,product_id,quantity,unit_price\no1,u1,2024-01-01,p1,1,10\n"
                          "o2,old,2023-02-01,p1,3,5\no2,old,2023-02-01,p2,3,5\no3,old,2025-02-01,p3,-1,5\n");
    shop_import(&w->shop, (struct import_options){.dataset = DATASET_OUTCOMES, .format = IMPORT_NDJSON},
                "{\"campaign\":\"spring\",\"customer_id\":\"old\",\"type\":\"sent\",\"outcome_id\":\"1\",\"variant\":\"of old\"}\n"
                "{\"campaign\":\"spring\",\"customer_id\":\"u1\",\"type\":\"sent\",\"outcome_id\":\"1\",\"variant\":\"of u1\"}\n"
                "{\"campaign\":\"spring\",\"customer_id\":\"old\",\"type\":\"opened\",\"outcome_id\":\"2\"}\n"
                "{\"campaign\":\"spring\",\"customer_id\":\"u1\",\"type\":\"converted\",\"outcome_id\":\"3\",\"value\":3}\n");
    pg_run(w->shop.db,
           "update customers set recorded_at = '2024-03-01', attributes = '{\"plan\": \"pro\"}', consent = '{\"marketing\": true}', created_at = null "
           "where customer_id = 'u1';"
           "update customers set recorded_at = '2024-02-01', attributes = '{\"plan\": \"free\", \"source\": \"ad\"}', anonymous = true, "
           "  consent = '{\"marketing\": false}', email = '\\x02', email_hash = '\\x03', created_at = '2024-01-01' where customer_id = 'old';"
           "insert into segmentations (name) select 's' || n from generate_series(1, 5) n;"
           "insert into models (model_id, kind, name, version, algorithm, params, features, metrics, seed, evaluated_at, trained_at, rows, row_hash, build, "
           "  artifact, checksum, active) select 'm' || n, 'segments', 's' || n, 1, 'kmeans', '{}', '[]', '{}', 1, now(), now(), 1, '', '', '', '', true "
           "  from generate_series(1, 5) n;"
           /* 1: both, elsewhere; 2: only old; 3: only u1; 4: both, in the same, old later; 5: old now, u1 was and left */
           "insert into segment_changes (customer_no, segmentation_no, segment_id, entered, news, at, model_no) "
           "select i.customer_no, s.segmentation_no, v.id, v.entered, true, timestamptz '2024-05-01' + v.day * interval '1 day', m.model_no "
           "from (values (1, 'u1', 's1', 'a', true, 1), (2, 'old', 's1', 'b', true, 2), (3, 'old', 's2', 'a', true, 3), (4, 'u1', 's3', 'a', true, 4), "
           "  (5, 'u1', 's4', 'a', true, 5), (6, 'old', 's4', 'a', true, 6), (7, 'old', 's5', 'a', true, 7), (8, 'u1', 's5', 'a', true, 8), "
           "  (9, 'u1', 's5', 'a', false, 9)) v (place, who, name, id, entered, day) "
           "join customer_ids i on i.customer_id = v.who join segmentations s on s.name = v.name join models m on m.name = v.name order by place;"
           "insert into memberships select h.customer_no, h.segmentation_no, h.segment_id, h.at from segment_changes h "
           "where h.entered and not exists (select from segment_changes l where l.customer_no = h.customer_no and l.segmentation_no = h.segmentation_no "
           "  and l.change_no > h.change_no)");
}

/* Everything, by names. What a join does at its own moment is left out: changed_at, and when somebody left. */
static const char EVERYTHING[] =
    "select 'customer', c.customer_id, c.anonymous, c.created_at, c.attributes, c.consent, c.email, c.email_hash, c.recorded_at, "
    "  (select string_agg(i.customer_id, ' ' order by i.customer_id) from customer_ids i where i.customer_no = c.customer_no)::text from customers c "
    "union all select 'event', c.customer_id, null, e.occurred_at, e.properties, null, null, null, null, e.event_key || e.type || e.kind "
    "  from events e join customers c using (customer_no) "
    "union all select 'activity', c.customer_id, null, s.first_at, null, null, null, null, s.decayed_at, s.kind || ' ' || s.count || ' ' || s.decayed "
    "  from customer_event_stats s join customers c using (customer_no) "
    "union all select 'order', c.customer_id, o.purchase, o.ordered_at, null, null, null, null, null, o.order_id || ' ' || i.order_no || ' ' || o.revenue "
    "  from orders o join customers c using (customer_no) join order_ids i on i.order_id = o.order_id and i.customer_no = o.customer_no "
    "union all select 'line', c.customer_id, l.from_events, l.ordered_at, null, null, null, null, null, o.order_id || ' ' || l.line_key || ' ' || l.amount "
    "  from order_lines l join customers c using (customer_no) join orders o using (customer_no, order_no) "
    "union all select 'stats', c.customer_id, null, null, to_jsonb(s) - 'customer_no', null, null, null, null, null "
    "  from customer_stats s join customers c using (customer_no) "
    "union all select 'product', c.customer_id, null, null, to_jsonb(p) - 'customer_no', null, null, null, null, null "
    "  from customer_products p join customers c using (customer_no) "
    "union all select 'outcome', c.customer_id, null, null, to_jsonb(o) - 'customer_no' - 'occurred_at', null, null, null, null, null "
    "  from outcomes o join customers c using (customer_no) "
    "union all select 'membership', c.customer_id, null, m.since, null, null, null, null, null, m.segmentation_no || m.segment_id "
    "  from memberships m join customers c using (customer_no) "
    "union all select 'change', c.customer_id, h.entered, case when h.entered then h.at end, null, null, null, null, null, "
    "  h.change_no || ' ' || h.segmentation_no || h.segment_id || h.news || h.model_no from segment_changes h join customers c using (customer_no) "
    "order by 1, 2, 3, 4, 5, 10";

Test(identity_join, whoever_has_the_larger_history_the_result_is_the_same)
{
    static const int64_t spares[] = {INT64_MAX / 2, -1000000};
    char *found[2];
    for (int k = 0; k < 2; k++) {
        struct crowd w;
        open_crowd(&w);
        tell_of_two(&w);
        const int64_t old = number_of(&w, "old"), u1 = number_of(&w, "u1");
        cr_expect_eq(join(&w, "old", "u1", spares[k]), k == 0 ? u1 : old);
        cr_expect_eq(number_of(&w, "old"), number_of(&w, "u1"));
        cr_expect_eq(w.out.joined, 1);
        cr_assert_eq(w.out.n_changed, 1);
        cr_expect_eq(w.out.changed_nos[0], number_of(&w, "u1"));
        EXPECT_ALL_EXACT(w.shop.db);
        found[k] = pg_table(w.shop.db, EVERYTHING);
        for (size_t i = 0; i < w.out.n_orders; i++) cr_expect_eq(w.out.orders[i].customer_no, number_of(&w, "u1"));
        for (int o = 1; o <= 3; o += 2) {
            char id[16];
            size_t named = 0;
            snprintf(id, sizeof id, "told%d", o);
            for (size_t i = 0; i < w.out.n_orders; i++) named += str_is(w.out.orders[i].order_id, id);
            cr_expect_geq(named, 1, "%s: of one a twin is gone, of one each had an event", id);
        }
        cr_assert_eq(pg_int(w.shop.db, "select (select count(*) from events where properties ->> 'of' = 'old') + (select count(*) from outcomes where variant = 'of old')"),
                     0, "of twins the survivor's stays");
        close_crowd(&w);
    }
    cr_expect_str_eq(found[0], found[1], "\n%s\nand\n%s", found[0], found[1]);
    cr_expect(strstr(found[0], "customer|u1|f|2024-01-01 00:00:00+00|{\"plan\": \"pro\", \"source\": \"ad\"}|{\"marketing\": false}|\\x02|\\x03|2024-02-01"), "%s", found[0]);
    free(found[0]);
    free(found[1]);
}

static void remember(void *arg, const struct member_row *m)
{
    *(int64_t *)arg = m->since;
}

Test(identity_join, members_as_of_now_are_since_when_the_live_answer_says)
{
    static const int64_t spares[] = {INT64_MAX / 2, -1000000};
    for (int k = 0; k < 2; k++) {
        struct crowd w;
        open_crowd(&w);
        tell_of_two(&w);
        const int64_t no = join(&w, "old", "u1", spares[k]);
        for (int s = 1; s <= 5; s++) {
            char name[16], query[200];
            int64_t since = 0;
            snprintf(name, sizeof name, "s%d", s);
            snprintf(query, sizeof query, "select extract(epoch from since)::bigint * 1000000 from memberships join segmentations using (segmentation_no) "
                                          "where name = 's%d' and segment_id = 'a' and customer_no = %lld", s, (long long)no);
            cr_assert_eq(store_members_page_at(w.c, str_of(name), STR("a"), clock_now() + 1000000, 0, 10, remember, &since, &w.shop.err), MEROS_OK);
            cr_expect_neq(since, 0);
            cr_expect_eq(since, pg_int(w.shop.db, query), "%s", name);
        }
        cr_expect_eq(pg_int(w.shop.db, "select count(*) from segment_changes where news and not entered and segment_id = 'b'"), 1, "what was left is news");
        close_crowd(&w);
    }
}

/* n events of somebody, as rows, and their activity. */
static void make_events(struct crowd *w, const char *id, int n)
{
    char text[900];
    snprintf(text, sizeof text,
             "insert into events select customer_no, gen_random_uuid(), 0, 'product_viewed', timestamptz '2024-01-01' + make_interval(mins => i) "
             "from customer_ids, generate_series(1, %d) i where customer_id = '%s';"
             "insert into customer_event_stats select customer_no, 0, count(*), sum(power(2::float8, -date_part('epoch', newest - occurred_at) / 86400 / 30)), "
             "  max(newest), min(occurred_at) from (select *, max(occurred_at) over () as newest from events "
             "    where kind = 0 and customer_no = (select customer_no from customer_ids where customer_id = '%s')) e group by customer_no",
             n, id, id);
    pg_run(w->shop.db, text);
}

Test(identity_join, a_long_history_stays_and_the_short_one_moves_to_it)
{
    for (int k = 0; k < 2; k++) { /* of who joins, of who is joined */
        struct crowd w;
        open_crowd(&w);
        tell_of_two(&w);
        make_events(&w, k == 0 ? "old" : "u1", 20000);
        const int64_t large = number_of(&w, k == 0 ? "old" : "u1");
        cr_expect_eq(join(&w, "old", "u1", IDENTITY_SPARE), large);
        cr_expect_lt(w.out.moved, 50, "%zu", w.out.moved);
        cr_expect_eq(pg_int(w.shop.db, "select count(*) from customers where customer_id = 'u1' and not anonymous"), 1);
        EXPECT_ALL_EXACT(w.shop.db);
        close_crowd(&w);
    }
}

Test(identity_join, of_several_who_join_one_the_largest_history_stays)
{
    struct crowd w;
    open_crowd(&w);
    tell_of_two(&w);
    pg_run(w.shop.db, "insert into customers (customer_no, customer_id) select nextval('customer_nos'), 'v' || i from generate_series(1, 4) i;"
                      "insert into customer_ids (customer_id, customer_no) select customer_id, customer_no from customers where customer_id like 'v%'");
    make_events(&w, "v2", 1000);
    make_events(&w, "old", 5000);
    const int64_t from[] = {number_of(&w, "v1"), number_of(&w, "old"), number_of(&w, "v2"), number_of(&w, "v3")}, u1 = number_of(&w, "u1"), v4 = number_of(&w, "v4");
    int64_t into[] = {u1, u1, u1, v4};
    cr_assert_eq(store_begin(w.c, &w.shop.err), MEROS_OK);
    cr_assert_eq(identity_move(w.c, from, into, 4, IDENTITY_SPARE, &w.memory, &w.out, &w.shop.err), MEROS_OK, "%s", w.shop.err.detail);
    cr_assert_eq(store_commit(w.c, &w.shop.err), MEROS_OK);
    for (int k = 0; k < 3; k++) cr_expect_eq(into[k], from[1]);
    cr_expect_eq(into[3], v4, "little is won: the survivor keeps the number");
    cr_assert_eq(w.out.n_changed, 2);
    cr_expect_leq(w.out.moved, 1100);
    EXPECT_TABLE(&w.shop, "select c.customer_id, c.anonymous, string_agg(i.customer_id, ' ' order by i.customer_id) from customers c "
                          "join customer_ids i using (customer_no) group by c.customer_no, c.customer_id, c.anonymous order by 1",
                 "u1|f|old u1 v1 v2\nv4|f|v3 v4\n");
    EXPECT_ALL_EXACT(w.shop.db);
    close_crowd(&w);
}

Test(identity_join, neither_a_join_nor_an_erasure_waits_while_everybodys_worth_is_written)
{
    struct crowd w;
    struct erasure erased;
    open_crowd(&w);
    tell_of_two(&w);
    const int64_t both = number_of(&w, "old") + number_of(&w, "u1");
    struct store_conn *writer = pg_conn(w.shop.db);
    cr_assert_eq(store_begin(writer, &w.shop.err), MEROS_OK);
    cr_assert_eq(store_clv_replace_lock(writer, &w.shop.err), MEROS_OK);
    const int64_t left = join(&w, "old", "u1", 0);
    cr_assert_eq(w.out.n_gone, 1);
    cr_expect_eq(w.out.gone_nos[0], both - left, "whose prediction is to go");
    pg_run(w.shop.db, "delete from changed_customers");
    cr_assert_eq(store_begin(w.c, &w.shop.err), MEROS_OK);
    cr_assert_eq(customers_erase(w.c, STR("u1"), &erased, &w.shop.err), MEROS_OK, "%s", w.shop.err.detail);
    cr_assert_eq(store_commit(w.c, &w.shop.err), MEROS_OK);
    cr_expect_eq(pg_int(w.shop.db, "select customer_nos[1] from changed_customers"), left, "whose prediction is to go");
    store_rollback(writer);
    close_crowd(&w);
}
