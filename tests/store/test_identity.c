/* Who is who: visitors who get a name, people who turn out to be one, and what becomes of their history. */
#include "import_support.h"
#include <pthread.h>
#include "meros/service/customers.h"
#include "meros/store/identity.h"
#include "meros/store/customers.h"
#include "identity_check.h"

struct crowd {
    struct shop shop;
    struct store_conn *c;
    struct arena memory;
    struct identity_outcome out;
};

static void open_crowd(struct crowd *w)
{
    shop_open(&w->shop);
    w->c = pg_conn(w->shop.db);
    arena_init(&w->memory, 1 << 20);
}

static void close_crowd(struct crowd *w)
{
    arena_done(&w->memory);
    shop_close(&w->shop);
}

/* Items as words: "u1" a known id, "?a1" an anonymous one, "u1+a1" both, "u1=old" an alias. */
static size_t items_of(const char *text, char *words, struct identity_item *items)
{
    size_t n = 0;
    strcpy(words, text);
    for (char *save = NULL, *w = strtok_r(words, " ", &save); w != NULL; w = strtok_r(NULL, " ", &save)) {
        struct identity_item *i = &items[n++];
        *i = (struct identity_item){.anonymous = *w == '?', .other = STR_NONE};
        w += *w == '?';
        char *mark = strpbrk(w, "+=");
        if (mark != NULL) {
            i->alias = *mark == '=';
            i->other = str_of(mark + 1);
            *mark = '\0';
        }
        i->id = str_of(w);
    }
    return n;
}

static enum meros_code try_resolve(struct crowd *w, bool exclusive, const char *text, struct identity_item *items)
{
    char *words = arena_alloc(&w->memory, strlen(text) + 1);
    size_t n = items_of(text, words, items);
    cr_assert_eq(store_begin(w->c, &w->shop.err), MEROS_OK);
    enum meros_code rc = identity_resolve(w->c, exclusive, items, n, &w->memory, &w->out, &w->shop.err);
    if (rc == MEROS_OK && !w->out.exclusive) rc = store_commit(w->c, &w->shop.err);
    else store_rollback(w->c);
    return rc;
}

/* As the ingest path does it. Returns the number of the first item's customer. */
static int64_t resolve(struct crowd *w, const char *text)
{
    struct identity_item items[16];
    err_clear(&w->shop.err);
    enum meros_code rc = try_resolve(w, false, text, items);
    if (rc == MEROS_OK && w->out.exclusive) rc = try_resolve(w, true, text, items);
    cr_assert_eq(rc, MEROS_OK, "%s: %s (%s)", text, w->shop.err.detail, w->shop.err.sqlstate);
    return items[0].customer_no;
}

static void events(struct crowd *w, const char *ndjson)
{
    shop_import(&w->shop, (struct import_options){.dataset = DATASET_EVENTS, .format = IMPORT_NDJSON}, ndjson);
}

#define PEOPLE "select c.customer_id, c.anonymous, string_agg(i.customer_id, ' ' order by i.customer_id) from customers c " \
               "join customer_ids i using (customer_no) group by c.customer_no, c.customer_id, c.anonymous order by 1"

Test(identity, an_id_that_was_never_seen_makes_a_customer_and_an_anonymous_one_a_visitor)
{
    struct crowd w;
    open_crowd(&w);
    int64_t u = resolve(&w, "u1 ?a1 u1");
    cr_expect_eq(w.out.made, 2);
    EXPECT_TABLE(&w.shop, PEOPLE, "a1|t|a1\nu1|f|u1\n");
    cr_expect_eq(resolve(&w, "u1"), u);
    cr_expect_eq(w.out.made, 0);
    close_crowd(&w);
}

Test(identity, an_anonymous_id_beside_a_known_one_is_another_name_of_the_customer)
{
    struct crowd w;
    open_crowd(&w);
    int64_t u = resolve(&w, "u1+a1 ?a1");
    EXPECT_TABLE(&w.shop, PEOPLE, "u1|f|a1 u1\n");
    cr_expect_eq(resolve(&w, "?a1"), u);
    cr_expect_eq(resolve(&w, "u1+a2"), u, "a second device");
    EXPECT_TABLE(&w.shop, PEOPLE, "u1|f|a1 a2 u1\n");
    close_crowd(&w);
}

Test(identity, whoever_an_import_of_outcomes_makes_is_to_be_judged)
{
    struct crowd w;
    open_crowd(&w);
    shop_import(&w.shop, (struct import_options){.dataset = DATASET_OUTCOMES, .format = IMPORT_NDJSON},
                "{\"campaign\":\"spring\",\"customer_id\":\"new\",\"type\":\"sent\"}\n");
    EXPECT_TABLE(&w.shop, "select c.customer_id from customers c join changed_customers n on c.customer_no = any(n.customer_nos)", "new\n");
    close_crowd(&w);
}

Test(identity, a_visitor_who_signs_up_becomes_the_customer_and_nothing_moves)
{
    struct crowd w;
    open_crowd(&w);
    int64_t a = resolve(&w, "?a1");
    cr_expect_eq(resolve(&w, "u1+a1"), a);
    cr_expect_eq(w.out.named, 1);
    cr_expect_eq(w.out.joined, 0);
    EXPECT_TABLE(&w.shop, PEOPLE, "u1|f|a1 u1\n");
    cr_expect_eq(resolve(&w, "?a2"), resolve(&w, "a2"), "the same id said as a known one");
    EXPECT_TABLE(&w.shop, PEOPLE, "a2|f|a2\nu1|f|a1 u1\n");
    close_crowd(&w);
}

Test(identity, a_visitor_who_logs_in_joins_the_customer_with_all_history)
{
    struct crowd w;
    struct identity_item items[4];
    open_crowd(&w);
    resolve(&w, "?a1 u1");
    shop_orders(&w.shop, "order_id,customer_id,ordered_at,product_id,quantity,unit_price\no1,u1,2024-01-01,p1,1,10\n"
                         "o2,u1,2024-02-01,p2,1,5\n");
    events(&w, "{\"customer_id\":\"u1\",\"type\":\"product_viewed\",\"occurred_at\":\"2024-01-01\"}\n");
    resolve(&w, "?a1"); /* the imports above named nobody but u1 */
    pg_run(w.shop.db, "insert into events select customer_no, gen_random_uuid(), 0, 'product_viewed', '2023-12-01' from customer_ids where customer_id = 'a1';"
                      "insert into customer_event_stats select customer_no, 0, 1, 1, '2023-12-01', '2023-12-01' from customer_ids where customer_id = 'a1'");
    cr_assert_eq(try_resolve(&w, false, "u1+a1 u2", items), MEROS_OK);
    cr_expect(w.out.exclusive, "a join is not done under the shared lock");
    EXPECT_TABLE(&w.shop, PEOPLE, "a1|t|a1\nu1|f|u1\n");
    int64_t u = resolve(&w, "u1+a1 u2");
    cr_expect_eq(w.out.joined, 1);
    cr_assert_eq(w.out.n_changed, 1);
    cr_expect_eq(w.out.changed_nos[0], u);
    EXPECT_TABLE(&w.shop, PEOPLE, "u1|f|a1 u1\nu2|f|u2\n");
    EXPECT_TABLE(&w.shop, "select c.customer_id, e.occurred_at::date from events e join customers c using (customer_no) order by 2",
                 "u1|2023-12-01\nu1|2024-01-01\n");
    EXPECT_ALL_EXACT(w.shop.db);
    resolve(&w, "u1+a1 u2 ?a1");
    cr_expect_eq(w.out.joined + w.out.made + w.out.named, 0, "said again, it changes nothing");
    close_crowd(&w);
}

Test(identity, an_anonymous_id_stays_with_its_first_owner_when_another_logs_in_on_the_same_device)
{
    struct crowd w;
    open_crowd(&w);
    int64_t one = resolve(&w, "u1+a1"), two = resolve(&w, "u2+a1");
    cr_expect_neq(one, two);
    cr_expect_eq(resolve(&w, "?a1"), one);
    EXPECT_TABLE(&w.shop, PEOPLE, "u1|f|a1 u1\nu2|f|u2\n");
    resolve(&w, "u3+a3 u4+a3");
    EXPECT_TABLE(&w.shop, PEOPLE, "u1|f|a1 u1\nu2|f|u2\nu3|f|a3 u3\nu4|f|u4\n");
    close_crowd(&w);
}

Test(identity, an_alias_joins_two_customers_and_the_one_that_it_names_survives)
{
    struct crowd w;
    open_crowd(&w);
    int64_t old = resolve(&w, "old"), fresh = resolve(&w, "u1");
    cr_expect_eq(resolve(&w, "u1=old"), fresh);
    cr_expect_eq(resolve(&w, "old"), fresh);
    EXPECT_TABLE(&w.shop, PEOPLE, "u1|f|old u1\n");
    cr_expect_neq(old, fresh);
    int64_t named = resolve(&w, "v1");
    cr_expect_eq(resolve(&w, "v2=v1"), named, "a new name of a known customer: nothing moves");
    EXPECT_TABLE(&w.shop, PEOPLE, "u1|f|old u1\nv2|f|v1 v2\n");
    int64_t known = resolve(&w, "k1");
    resolve(&w, "?x1");
    cr_expect_eq(resolve(&w, "?x1=k1"), known, "the identified one survives, whichever way it is said");
    EXPECT_TABLE(&w.shop, PEOPLE, "k1|f|k1 x1\nu1|f|old u1\nv2|f|v1 v2\n");
    close_crowd(&w);
}

Test(identity, what_one_batch_says_follows_its_order_and_chains)
{
    struct crowd w;
    open_crowd(&w);
    resolve(&w, "?a1 ?a2 u1 u2");
    int64_t u3 = resolve(&w, "u1+a1 u2+a2 u2=u1 u3=u2 ?a1");
    EXPECT_TABLE(&w.shop, PEOPLE, "u3|f|a1 a2 u1 u2 u3\n");
    cr_expect_eq(resolve(&w, "?a2"), u3);
    close_crowd(&w);
}

Test(identity, attributes_of_the_survivor_hold_and_a_denied_consent_stays_denied)
{
    struct crowd w;
    open_crowd(&w);
    resolve(&w, "?a1 u1");
    pg_run(w.shop.db,
           "update customers set attributes = '{\"plan\": \"pro\", \"city\": null}', consent = '{\"marketing\": true}', phone = '\\x01', "
           "  created_at = null where customer_id = 'u1';"
           "update customers set attributes = '{\"plan\": \"free\", \"source\": \"ad\"}', consent = '{\"marketing\": false, \"sale\": true}', "
           "  email = '\\x02', email_hash = '\\x03', created_at = '2024-01-01', phone = '\\x04' where customer_id = 'a1'");
    resolve(&w, "u1+a1");
    EXPECT_TABLE(&w.shop, "select customer_id, attributes, consent, email, email_hash, phone, created_at::date from customers",
                 "u1|{\"city\": null, \"plan\": \"pro\", \"source\": \"ad\"}|{\"sale\": true, \"marketing\": false}|\\x02|\\x03|\\x01|2024-01-01\n");
    close_crowd(&w);
}

Test(identity, of_an_event_that_both_have_one_stays)
{
    struct crowd w;
    open_crowd(&w);
    events(&w, "{\"customer_id\":\"u1\",\"event_id\":\"m1\",\"type\":\"page_viewed\",\"occurred_at\":\"2024-01-01\"}\n"
               "{\"customer_id\":\"u2\",\"event_id\":\"m1\",\"type\":\"page_viewed\",\"occurred_at\":\"2024-01-01\"}\n"
               "{\"customer_id\":\"u2\",\"event_id\":\"m2\",\"type\":\"page_viewed\",\"occurred_at\":\"2024-01-02\"}\n");
    resolve(&w, "u1=u2");
    cr_expect_eq(pg_int(w.shop.db, "select count(*) from events"), 2);
    EXPECT_ALL_EXACT(w.shop.db);
    close_crowd(&w);
}

Test(identity, orders_that_events_told_of_are_named_when_they_move)
{
    struct crowd w;
    open_crowd(&w);
    events(&w, "{\"customer_id\":\"u2\",\"type\":\"order_completed\",\"occurred_at\":\"2024-01-01\",\"properties\":{\"order_id\":\"o1\",\"revenue\":5}}\n"
               "{\"customer_id\":\"u2\",\"type\":\"order_refunded\",\"occurred_at\":\"2024-01-01\",\"properties\":{\"order_id\":\"o1\"}}\n"
               "{\"customer_id\":\"u2\",\"type\":\"page_viewed\",\"occurred_at\":\"2024-01-01\",\"properties\":{\"order_id\":\"o2\"}}\n");
    resolve(&w, "u1");
    int64_t u = resolve(&w, "u1=u2");
    cr_assert_eq(w.out.n_orders, 1);
    cr_expect(str_is(w.out.orders[0].order_id, "o1") && w.out.orders[0].customer_no == u);
    close_crowd(&w);
}

Test(identity, memberships_move_where_the_survivor_has_none_and_end_where_it_has)
{
    struct crowd w;
    open_crowd(&w);
    resolve(&w, "?a1 u1");
    pg_run(w.shop.db,
           "insert into memberships select customer_no, 1, 's1', '2024-01-01' from customer_ids where customer_id = 'u1';"
           "insert into memberships select customer_no, n, 's2', '2024-01-02' from customer_ids, generate_series(1, 2) n where customer_id = 'a1'");
    resolve(&w, "u1+a1");
    EXPECT_TABLE(&w.shop, "select c.customer_id, segmentation_no, segment_id, since::date from memberships join customers c using (customer_no) order by 2",
                 "u1|1|s1|2024-01-01\nu1|2|s2|2024-01-02\n");
    close_crowd(&w);
}

Test(identity, a_visitor_whom_a_put_or_an_import_names_is_that_customer)
{
    struct crowd w;
    bool created;
    open_crowd(&w);
    resolve(&w, "?a1 ?a2 ?a3 ?a4 ?a5");
    struct customer_change put = {.replace = true, .created_at = TIME_NONE}, patch = {.given = CHANGE_CREATED_AT, .created_at = 0};
    const struct sealed_person nobody = {0};
    cr_assert_eq(store_begin(w.c, &w.shop.err), MEROS_OK);
    cr_assert_eq(customers_change(w.c, STR("a1"), &put, &nobody, &created, &w.shop.err), MEROS_OK, "%s", w.shop.err.detail);
    cr_assert_eq(customers_change(w.c, STR("a2"), &patch, &nobody, &created, &w.shop.err), MEROS_OK, "%s", w.shop.err.detail);
    cr_assert_eq(store_commit(w.c, &w.shop.err), MEROS_OK);
    shop_import(&w.shop, (struct import_options){.dataset = DATASET_CUSTOMERS}, "customer_id\na3\n");
    shop_orders(&w.shop, "order_id,customer_id,ordered_at,amount\no1,a4,2024-01-01,5\n");
    EXPECT_TABLE(&w.shop, PEOPLE, "a1|f|a1\na2|f|a2\na3|f|a3\na4|f|a4\na5|t|a5\n");
    close_crowd(&w);
}

Test(identity, erasing_by_any_name_erases_the_whole_person)
{
    struct crowd w;
    struct erasure gone;
    open_crowd(&w);
    events(&w, "{\"customer_id\":\"u2\",\"type\":\"page_viewed\",\"occurred_at\":\"2024-01-01\"}\n");
    resolve(&w, "u1+a1 u1=u2");
    cr_assert_eq(service_erase_customer(&w.shop.svc, STR("a1"), &gone, &w.shop.err), MEROS_OK);
    cr_expect_eq(gone.names, 3);
    cr_expect_eq(pg_int(w.shop.db, "select (select count(*) from events) + (select count(*) from customer_ids) + (select count(*) from customers)"), 0);
    close_crowd(&w);
}

/* --- two writers at once */
struct rival {
    struct crowd *w;
    struct store_conn *c;
    struct identity_item items[4];
    const char *text;
    enum meros_code rc;
    struct identity_outcome out;
};

static void *rival_main(void *arg)
{
    struct rival *r = arg;
    struct arena memory;
    struct meros_err err = {0};
    char words[200];
    arena_init(&memory, 1 << 20);
    size_t n = items_of(r->text, words, r->items);
    r->rc = store_begin(r->c, &err);
    if (r->rc == MEROS_OK) r->rc = identity_resolve(r->c, false, r->items, n, &memory, &r->out, &err);
    if (r->rc == MEROS_OK && !r->out.exclusive) r->rc = store_commit(r->c, &err);
    else store_rollback(r->c);
    arena_done(&memory);
    return NULL;
}

/* One holds what it said open; the other says `second` at that moment and waits; then the first commits. */
static void race(struct crowd *w, const char *first, struct rival *second)
{
    struct identity_item items[4];
    char words[200];
    pthread_t thread;
    second->w = w;
    second->c = pg_conn(w->shop.db);
    cr_assert_eq(store_begin(w->c, &w->shop.err), MEROS_OK);
    cr_assert_eq(identity_resolve(w->c, false, items, items_of(first, words, items), &w->memory, &w->out, &w->shop.err), MEROS_OK);
    cr_assert_eq(pthread_create(&thread, NULL, rival_main, second), 0);
    for (int k = 0; k < 3000 && pg_int(w->shop.db, "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()") == 0; k++)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    cr_assert_eq(store_commit(w->c, &w->shop.err), MEROS_OK);
    pthread_join(thread, NULL);
}

Test(identity, two_writers_that_make_the_same_visitor_make_one)
{
    struct crowd w;
    struct rival r = {.text = "?a2 ?a1 ?a3"};
    open_crowd(&w);
    race(&w, "?a1", &r);
    cr_expect_eq(r.rc, MEROS_OK);
    cr_expect_eq(r.items[1].customer_no, resolve(&w, "?a1"));
    EXPECT_TABLE(&w.shop, PEOPLE, "a1|t|a1\na2|t|a2\na3|t|a3\n");
    cr_expect_eq(pg_int(w.shop.db, "select count(*) from customers"), 3);
    close_crowd(&w);
}

Test(identity, a_visitor_is_named_by_one_of_two_writers_and_the_other_tries_again)
{
    struct crowd w;
    struct rival r = {.text = "u2+a1"};
    open_crowd(&w);
    resolve(&w, "?a1");
    race(&w, "u1+a1", &r);
    cr_expect_eq(r.rc, MEROS_UNAVAILABLE);
    resolve(&w, "u2+a1");
    EXPECT_TABLE(&w.shop, PEOPLE, "u1|f|a1 u1\nu2|f|u2\n");
    close_crowd(&w);
}

Test(identity, a_customer_made_by_two_writers_with_more_to_say_is_tried_again)
{
    struct crowd w;
    struct rival r = {.text = "u1+a1"};
    open_crowd(&w);
    race(&w, "?a1", &r);
    cr_expect_eq(r.rc, MEROS_UNAVAILABLE);
    resolve(&w, "u1+a1");
    EXPECT_TABLE(&w.shop, PEOPLE, "u1|f|a1 u1\n");
    cr_expect_eq(pg_int(w.shop.db, "select count(*) from customers"), 1);
    close_crowd(&w);
}

/* --- whatever joins in whatever order */
static unsigned below(uint64_t *state, unsigned n)
{
    *state = *state * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned)(*state >> 33) % n;
}

Test(identity, statistics_stay_exact_whatever_is_joined, .timeout = 300)
{
    for (uint64_t seed = 1; seed <= 3; seed++) {
        uint64_t state = seed;
        struct crowd w;
        struct buf b;
        open_crowd(&w);
        buf_init(&b, 1 << 20);
        for (int k = 0; k < 1000; k++) /* so much that who joins them goes on under their numbers */
            buf_printf(&b, "{\"customer_id\":\"c%d\",\"event_id\":\"l%d\",\"type\":\"searched\",\"occurred_at\":\"2024-%02d-02\"}\n", k % 3 == 0 ? 1 : 2, k, 1 + k % 12);
        events(&w, b.data);
        buf_done(&b);
        for (int step = 0; step < 25; step++) {
            char said[64];
            buf_init(&b, 1 << 20);
            if (below(&state, 3) > 0) {
                buf_str(&b, "order_id,customer_id,ordered_at,product_id,quantity,amount\n");
                for (unsigned n = 1 + below(&state, 6); n > 0; n--)
                    buf_printf(&b, "o%u,c%u,2024-%02u-01,p%u,%d,%u.5\n", below(&state, 30), below(&state, 10), 1 + below(&state, 12),
                               below(&state, 5), (int)below(&state, 5) - 1, below(&state, 20));
                shop_orders(&w.shop, b.data);
            }
            buf_clear(&b);
            for (unsigned n = 1 + below(&state, 8); n > 0; n--)
                buf_printf(&b, "{\"customer_id\":\"c%u\",\"event_id\":\"e%u\",\"type\":\"%s\",\"occurred_at\":\"2024-%02u-01\"}\n", below(&state, 10),
                           below(&state, 30), below(&state, 2) == 0 ? "searched" : "odd", 1 + below(&state, 12));
            events(&w, b.data);
            switch (below(&state, 4)) {
            case 0: snprintf(said, sizeof said, "c%u=c%u", below(&state, 10), below(&state, 10)); break;
            case 1: snprintf(said, sizeof said, "c%u+a%u ?a%u", below(&state, 10), below(&state, 5), below(&state, 5)); break;
            case 2: snprintf(said, sizeof said, "?a%u c%u+a%u", below(&state, 5), below(&state, 10), below(&state, 5)); break;
            default: snprintf(said, sizeof said, "?a%u ?a%u=c%u", below(&state, 5), below(&state, 5), below(&state, 10)); break;
            }
            resolve(&w, said);
            EXPECT_ALL_EXACT(w.shop.db);
            buf_done(&b);
        }
        close_crowd(&w);
    }
}

/* --- traits */
static size_t patch(struct crowd *w, const char *id, struct customer_change change, struct sealed email)
{
    int64_t changed[1];
    size_t n;
    const struct customer_patch p = {.customer_no = resolve(w, id), .change = &change, .person = {.email = email}};
    cr_assert_eq(store_begin(w->c, &w->shop.err), MEROS_OK);
    cr_assert_eq(customers_patch(w->c, &p, 1, &w->memory, changed, &n, &w->shop.err), MEROS_OK, "%s", w->shop.err.detail);
    cr_assert_eq(store_commit(w->c, &w->shop.err), MEROS_OK);
    return n;
}

Test(identity, traits_that_are_known_already_do_not_write_the_row)
{
    struct crowd w;
    open_crowd(&w);
    const struct customer_change change = {.given = CHANGE_ATTRIBUTES | CHANGE_EMAIL, .created_at = TIME_NONE, .attributes = STR("{\"plan\":\"pro\",\"gone\":null}")};
    const struct sealed one = {STR("sealed-1"), STR("hash")}, again = {STR("sealed-2"), STR("hash")}, other = {STR("sealed-3"), STR("hush")};
    cr_expect_eq(patch(&w, "?a1", change, one), 1);
    EXPECT_TABLE(&w.shop, "select customer_id, anonymous, attributes, encode(email, 'escape'), encode(email_hash, 'escape') from customers",
                 "a1|t|{\"plan\": \"pro\"}|sealed-1|hash\n");
    char *row = pg_text(w.shop.db, "select xmin::text from customers");
    cr_expect_eq(patch(&w, "?a1", change, again), 0, "the same email, sealed anew");
    char *now = pg_text(w.shop.db, "select xmin::text from customers");
    cr_expect_str_eq(now, row);
    free(now);
    cr_expect_eq(patch(&w, "?a1", change, other), 1);
    cr_expect_eq(patch(&w, "?a1", (struct customer_change){.given = CHANGE_EMAIL, .created_at = TIME_NONE}, (struct sealed){STR_NONE, STR_NONE}), 1);
    EXPECT_TABLE(&w.shop, "select email, email_hash from customers", "(null)|(null)\n");
    free(row);
    close_crowd(&w);
}

Test(identity, traits_of_one_customer_are_applied_in_their_order)
{
    struct crowd w;
    int64_t changed[3];
    size_t n;
    open_crowd(&w);
    const struct customer_change first = {.given = CHANGE_ATTRIBUTES, .created_at = TIME_NONE, .attributes = STR("{\"a\":1,\"b\":1}")};
    const struct customer_change second = {.given = CHANGE_ATTRIBUTES, .created_at = TIME_NONE, .attributes = STR("{\"a\":null,\"b\":2}")};
    int64_t u = resolve(&w, "u1"), v = resolve(&w, "u2");
    const struct customer_patch p[] = {{.customer_no = v, .change = &first}, {.customer_no = u, .change = &first}, {.customer_no = u, .change = &second}};
    cr_assert_eq(store_begin(w.c, &w.shop.err), MEROS_OK);
    cr_assert_eq(customers_patch(w.c, p, 3, &w.memory, changed, &n, &w.shop.err), MEROS_OK, "%s", w.shop.err.detail);
    cr_assert_eq(store_commit(w.c, &w.shop.err), MEROS_OK);
    cr_expect_eq(n, 3);
    EXPECT_TABLE(&w.shop, "select customer_id, attributes from customers order by 1", "u1|{\"b\": 2}\nu2|{\"a\": 1, \"b\": 1}\n");
    close_crowd(&w);
}
