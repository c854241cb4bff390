/* Whom a rule means, asked of PostgreSQL about everybody and of the evaluator about one customer at a time: always the same. */
#include "import_support.h"
#include <math.h>
#include "meros/base/clock.h"
#include "meros/model/snapshot.h"
#include "../../src/service/audiences_priv.h"
#include "../../src/service/serving_priv.h"

enum { CUSTOMERS = 60, SEEDS = 3, RULES = 120, MEMORY = 64 << 20 };

struct random {
    uint64_t state;
};

static unsigned below(struct random *r, unsigned n)
{
    r->state = r->state * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned)(r->state >> 33) % n;
}

static const char *const moves[] = {"null", "'s0'", "'s1'", "'s2'"};
/* What attributes hold and rules ask for, as JSON: with the ends of what is read as a number or a time, and what just is none. */
static const char *const numbers[] = {"0", "5", "5.5", "-3", "0.1", "123456789012345678", "1e300", "1e301", "1e-320", "1e-10", "2024"};
static const char *const texts[] = {
    "\"5\"", "\"5.50\"", "\"-3\"", "\"--3\"", "\"1e3\"", "\" 5\"", "\"5 \"", "\"12.\"", "\".5\"", "\"0.1\"", "\"123456789012345\"", "\"1234567890123456\"",
    "\"\"", "\"ab\"", "\"abc\"", "\"ABC\"", "\"é\"", "\"'; drop table customers; --\"", "\"%\"", "\"true\"", "\"false\"", "\"True\"",
    "\"0.00000000000000000000000000000000000000001\"", "\"NaN\"", "\"infinity\"", "\"5\\n\""};
static const char *const times[] = {
    "\"2024-02-29\"", "\"2023-02-29\"", "\"2024-03-01 10:00\"", "\"2024-03-01T10:00:00Z\"", "\"2024-03-01T10:00:00+02:00\"", "\"2024-03-01T24:00:00\"",
    "\"2024-3-1\"", "\"0999-01-01\"", "\"2024-03-01T10:00Z\"", "\"9999-12-31T23:59:59-14:00\"", "\"2024-03-01T10:00:60Z\"", "\"2024-03-01T10:00:00.5\"",
    "\"2024-03-01T10:00:00.1234567\"", "\"2024-03-01T10:00:00+15:00\"", "\"2024-03-01t10:00:00z\"", "\"2024-04-31\"", "\"1000-01-01\"", "\"2024-03-01T10:60\"",
    "\"2024-03-01T10:00:00.123456-05:30\"", "\"2024-03-01T10:00:00.\"", "\"2024-00-01\"", "\"now\"", "\"2024-03-01T10:00:00+02:00x\""};
static const char *const others[] = {"true", "false", "null", "[]", "[\"ab\",\"abc\",5]", "[5]", "{\"ab\":1}"};
static const char *const good_times[] = {"\"2024-02-29\"", "\"2024-03-01T10:00:00Z\"", "\"2024-03-01T08:00:00Z\"", "\"1000-01-01\"", "\"9999-12-31\""};
#define ONE_OF(r, list) ((list)[below(r, sizeof (list) / sizeof (list)[0])])

static const char *any_value(struct random *r)
{
    switch (below(r, 5)) {
    case 0: return ONE_OF(r, numbers);
    case 1: return ONE_OF(r, texts);
    case 2:
    case 3: return ONE_OF(r, times);
    default: return ONE_OF(r, others);
    }
}

/* --- a shop */

static void at_text(struct random *r, int64_t now, int days, char out[TIME_TEXT])
{
    time_format(now - (int64_t)below(r, (unsigned)days * 24) * TIME_DAY / 24 - TIME_SECOND, out);
}

static void make_orders(struct shop *s, struct random *r, int64_t now)
{
    struct buf b;
    char at[TIME_TEXT];
    buf_init(&b, 1 << 20);
    buf_str(&b, "order_id,customer_id,ordered_at,product_id,quantity,unit_price\n");
    for (unsigned o = 0; o < 90; o++) {
        const unsigned customer = below(r, CUSTOMERS), lines = 1 + below(r, 3);
        at_text(r, now, 400, at);
        for (unsigned k = 0; k < lines; k++) buf_printf(&b, "o%u,c%u,%s,p%u,%d,%u.99\n", o, customer, at, below(r, 6), (int)below(r, 6) - 1, below(r, 30));
    }
    shop_orders(s, b.data);
    buf_done(&b);
}

static void make_events(struct shop *s, struct random *r, int64_t now)
{
    static const char *const types[] = {"product_viewed", "product_added", "recommendation_shown", "wished_for", "other"};
    struct buf b;
    char at[TIME_TEXT];
    buf_init(&b, 1 << 20);
    for (unsigned n = 0; n < 300; n++) {
        at_text(r, now, 60, at);
        buf_printf(&b, "{\"customer_id\":\"c%u\",\"type\":\"%s\",\"occurred_at\":\"%s\",\"event_id\":\"e%u\"", below(r, CUSTOMERS), ONE_OF(r, types), at, n);
        if (below(r, 4) > 0) buf_printf(&b, ",\"product_id\":\"p%u\"", below(r, 6));
        buf_str(&b, "}\n");
    }
    shop_import(s, (struct import_options){.dataset = DATASET_EVENTS, .format = IMPORT_NDJSON}, b.data);
    buf_done(&b);
}

static void make_customers(struct shop *s, struct random *r)
{
    struct buf b, sql;
    buf_init(&b, 1 << 20);
    buf_init(&sql, 1 << 20);
    buf_str(&b, "customer_id,created_at\n");
    for (unsigned k = 0; k < CUSTOMERS; k++) {
        buf_printf(&b, "c%u,%s\n", k, below(r, 2) ? "2023-05-06" : "");
        buf_printf(&sql, "update customers set attributes = $j${\"a\":%s,\"b\":%s,\"it's\":%s}$j$, consent = '{%s}' where customer_id = 'c%u';", any_value(r),
                   any_value(r), any_value(r), below(r, 3) == 0 ? "" : below(r, 2) ? "\"marketing\":true" : "\"marketing\":false,\"profiling\":true", k);
        if (below(r, 3) > 0)
            buf_printf(&sql, "insert into memberships select customer_no, %u, 's%u', now() from customers where customer_id = 'c%u';", 1 + below(r, 2), below(r, 3), k);
        if (below(r, 5) == 0) /* moved, or gone from it, and not written down yet */
            buf_printf(&sql, "insert into pending_moves select customer_no, %u, 1, %s, now() from customers where customer_id = 'c%u';", 1 + below(r, 2),
                       ONE_OF(r, moves), k);
        if (below(r, 3) > 0)
            buf_printf(&sql, "insert into customer_clv select customer_no, %u.5, 0.%u, 2, %s, false, now(), 1 from customers where customer_id = 'c%u';",
                       below(r, 9), below(r, 9), below(r, 2) ? "null" : "7", k);
    }
    shop_import(s, (struct import_options){.dataset = DATASET_CUSTOMERS}, b.data);
    pg_run(s->db, "insert into segmentations (segmentation_no, name) overriding system value values (1, 'behaviour'), (2, 'rfm')");
    pg_run(s->db, sql.data);
    shop_import(s, (struct import_options){.dataset = DATASET_PRODUCTS},
                "product_id,category\np0,garden\np1,garden/tools\np2,gardening\np3,kitchen\np4,\np5,garden/tools/small\n");
    buf_done(&b);
    buf_done(&sql);
}

/* --- rules */

static void put_number(struct random *r, struct buf *b)
{
    if (below(r, 2)) buf_printf(b, "%u", below(r, 12));
    else buf_str(b, ONE_OF(r, numbers));
}

static void put_scalar(struct random *r, struct buf *b, enum audience_type type)
{
    if (type == AUDIENCE_NUMBER) put_number(r, b);
    else if (type == AUDIENCE_BOOL) buf_str(b, below(r, 2) ? "true" : "false");
    else if (type == AUDIENCE_TIME) buf_str(b, ONE_OF(r, good_times));
    else if (below(r, 3) == 0) buf_printf(b, "\"s%u\"", below(r, 3)); /* a segment */
    else buf_str(b, ONE_OF(r, texts));
}

static void put_value(struct random *r, struct buf *b, enum audience_op op, enum audience_type type)
{
    buf_str(b, ",\"value\":");
    switch (audience_ops[op].takes) {
    case AUDIENCE_TAKES_TRUTH: buf_str(b, below(r, 2) ? "true" : "false"); return;
    case AUDIENCE_TAKES_DAYS: buf_printf(b, "%u", 1 + below(r, 400)); return;
    case AUDIENCE_TAKES_PAIR:
        if (type == AUDIENCE_NUMBER) buf_printf(b, "[%u,%u.5]", below(r, 5), 5 + below(r, 9));
        else buf_printf(b, "[\"2024-02-29\",\"2024-03-0%u\"]", 1 + below(r, 3));
        return;
    case AUDIENCE_TAKES_LIST:
        buf_char(b, '[');
        for (unsigned k = 0, n = 1 + below(r, 12); k < n; k++) {
            if (k > 0) buf_char(b, ',');
            put_scalar(r, b, type);
        }
        buf_char(b, ']');
        return;
    default: put_scalar(r, b, type);
    }
}

static void put_field(struct random *r, struct buf *b)
{
    static const char *const attributes[] = {"a", "b", "it's", "nowhere", "x\\\"y"}, *const segmentations[] = {"behaviour", "rfm", "none"};
    static const enum audience_type types[] = {AUDIENCE_NUMBER, AUDIENCE_TEXT, AUDIENCE_BOOL, AUDIENCE_TIME};
    const enum audience_field f = below(r, 3) == 0 ? AUDIENCE_ATTRIBUTE : (enum audience_field)below(r, AUDIENCE_FIELD_COUNT);
    enum audience_type type = audience_fields[f].type;
    enum audience_op op;
    if (type == AUDIENCE_ANY) type = ONE_OF(r, types);
    do op = (enum audience_op)below(r, AUDIENCE_OP_COUNT);
    while (!(audience_ops[op].types & type));
    buf_printf(b, "{\"field\":\"%s%s\",\"op\":\"%s\"", audience_fields[f].name,
               f == AUDIENCE_ATTRIBUTE ? ONE_OF(r, attributes) : f == AUDIENCE_SEGMENT ? ONE_OF(r, segmentations) : "", audience_op_words[op]);
    put_value(r, b, op, type);
    buf_char(b, '}');
}

static void put_event(struct random *r, struct buf *b)
{
    static const char *const types[] = {"product_viewed", "product_added", "wished_for", "never", "order_completed"};
    buf_printf(b, "{\"event\":\"%s\"", ONE_OF(r, types));
    if (below(r, 2)) buf_printf(b, ",\"count\":{\"%s\":%u}", audience_op_words[below(r, AUDIENCE_COUNT_OPS)], below(r, 4));
    else if (below(r, 2)) buf_printf(b, ",\"count\":{\">=\":%u,\"<\":%u}", below(r, 2), 2 + below(r, 3));
    if (below(r, 2)) buf_printf(b, ",\"within_days\":%u", 1 + below(r, 60));
    if (below(r, 3) == 0) buf_printf(b, ",\"where\":{\"category\":\"%s\"}", below(r, 2) ? "garden" : "garden/tools");
    else if (below(r, 3) == 0) buf_printf(b, ",\"where\":{\"product_id\":\"p%u\"}", below(r, 8));
    buf_char(b, '}');
}

static void put_rule(struct random *r, struct buf *b, int depth)
{
    const unsigned kind = depth > 3 ? 0 : below(r, 6);
    if (kind < 2) {
        put_field(r, b);
    } else if (kind == 2) {
        put_event(r, b);
    } else if (kind == 3) {
        buf_str(b, "{\"not\":");
        put_rule(r, b, depth + 1);
        buf_char(b, '}');
    } else {
        buf_str(b, kind == 4 ? "{\"all\":[" : "{\"any\":[");
        for (unsigned k = 0, n = kind == 4 ? below(r, 4) : 1 + below(r, 3); k < n; k++) {
            if (k > 0) buf_char(b, ',');
            put_rule(r, b, depth + 1);
        }
        buf_str(b, "]}");
    }
}

/* --- both answers */

struct found {
    int64_t nos[CUSTOMERS];
    size_t n;
};

static void note(void *arg, int64_t customer_no, struct str customer_id)
{
    struct found *f = arg;
    (void)customer_id;
    cr_assert_lt(f->n, (size_t)CUSTOMERS);
    f->nos[f->n++] = customer_no;
}

static struct json *parsed(struct str s)
{
    struct json *v = NULL;
    struct meros_err err = MEROS_ERR_INIT;
    cr_assert_eq(json_parse_stored(s.p, s.n, &v, &err), MEROS_OK, "%s: %.*s", err.detail, (int)s.n, s.p);
    return v;
}

static void compare(struct shop *s, struct store_conn *c, const struct snapshot *models, const char *rule, int64_t now, size_t *members)
{
    struct audience_set *set = audience_set_new();
    struct audience_value values[AUDIENCE_LEAVES_MAX];
    bool leaves[AUDIENCE_LEAVES_MAX];
    struct arena arena;
    struct str ids[CUSTOMERS];
    char names[CUSTOMERS][8];
    int64_t ats[CUSTOMERS], count = -1, all = -1;
    struct found sql = {.n = 0};
    struct serving_found f;
    const struct str *sample;
    size_t sampled = 0, at = 0;
    arena_init(&arena, MEMORY);
    cr_assert_eq(audience_set_add(set, STR("x"), str_of(rule), &s->err), MEROS_OK, "%s: %s", s->err.detail, rule);
    for (unsigned k = 0; k < CUSTOMERS; k++) {
        snprintf(names[k], sizeof names[k], "c%u", k);
        ids[k] = str_of(names[k]);
        ats[k] = TIME_NONE;
    }
    const struct serving_query q = {.ids = ids, .ats = ats, .n = CUSTOMERS, .whole = CUSTOMERS, .models = models, .audiences = set, .now = now, .half_life_days = 30};
    cr_assert_eq(serving_fetch(c, &arena, &q, &f, &s->err), MEROS_OK, "%s", s->err.detail);
    const struct audience_question question = {&set->items[0].rule, now, 30};
    cr_assert_eq(store_audience_page(c, &question, 0, CUSTOMERS, note, &sql, &s->err), MEROS_OK, "%s (%s): %s", s->err.detail, s->err.sqlstate, rule);
    cr_assert_eq(store_audience_count(c, &question, &count, &s->err), MEROS_OK, "%s", s->err.detail);
    cr_assert_eq(store_audience_sample(c, &question, 5, &arena, &sample, &sampled, &all, &s->err), MEROS_OK, "%s", s->err.detail);
    cr_assert(count == (int64_t)sql.n && all == count && sampled == (sql.n < 5 ? sql.n : 5), "%lld, %lld and %zu: %s", (long long)count, (long long)all, sql.n, rule);
    for (unsigned k = 0; k < CUSTOMERS; k++) {
        struct json *attributes = parsed(f.states[k].attributes), *consent = parsed(f.states[k].consent);
        const struct audience_subject x = serving_subject(&q, &f, k, attributes, consent, &arena);
        const bool in = audience_judge(set, 0, &x, values, leaves);
        bool there = false;
        for (size_t i = 0; i < sql.n; i++) there |= sql.nos[i] == f.states[k].stats.customer_no;
        cr_assert_eq(in, there, "%s is %s by the evaluator and %s by SQL: %s\n%.*s", names[k], in ? "in" : "out", there ? "in" : "out", rule,
                     (int)f.states[k].attributes.n, f.states[k].attributes.p);
        at += in;
        json_free(attributes);
        json_free(consent);
    }
    cr_assert_eq(at, sql.n);
    *members += at;
    arena_done(&arena);
    audience_set_release(set);
}

Test(audiences, mean_the_same_customers_by_sql_and_one_by_one, .timeout = 600)
{
    for (unsigned seed = 1; seed <= SEEDS; seed++) {
        struct random r = {seed};
        struct shop s;
        struct buf rule;
        size_t members = 0;
        shop_open(&s);
        struct store_conn *c = pg_conn(s.db);
        struct snapshot *models = snapshot_new(0);
        const int64_t now = clock_now();
        make_customers(&s, &r);
        make_orders(&s, &r, now);
        make_events(&s, &r, now);
        buf_init(&rule, 1 << 20);
        for (int k = 0; k < RULES; k++) {
            buf_clear(&rule);
            put_rule(&r, &rule, 0);
            compare(&s, c, models, rule.data, now, &members);
        }
        cr_assert(members > RULES * CUSTOMERS / 10 && members < RULES * CUSTOMERS * 9 / 10, "the rules must part customers: %zu", members);
        /* Every field with every operator, alone. */
        for (int k = 0; k < 4 * RULES; k++) {
            buf_clear(&rule);
            put_field(&r, &rule);
            compare(&s, c, models, rule.data, now, &members);
        }
        buf_done(&rule);
        snapshot_release(models);
        shop_close(&s);
    }
}

/* Values of a customer that are a rule's bounds to the last bit. */
Test(audiences, hold_at_the_very_bound)
{
    struct shop s;
    size_t members = 0;
    shop_open(&s);
    struct store_conn *c = pg_conn(s.db);
    struct snapshot *models = snapshot_new(0);
    shop_orders(&s, "order_id,customer_id,ordered_at,product_id,quantity,unit_price\n"
                    "o1,c0,2026-01-01T00:00:00.000001Z,p,3,19.99\no2,c0,2026-01-08T00:00:00.000002Z,p,1,0.1\no3,c1,2026-01-11,p,1,19.99\n");
    for (int k = 2; k < CUSTOMERS; k++) { /* compare() asks for so many */
        char one[100];
        snprintf(one, sizeof one, "customer_id\nc%d\n", k);
        shop_import(&s, (struct import_options){.dataset = DATASET_CUSTOMERS}, one);
    }
    int64_t now = 0;
    cr_assert(time_parse(STR("2026-02-01T00:00:00.000003Z"), &now));
    const char *const met[] = {
        "{\"field\":\"stats.revenue\",\"op\":\"=\",\"value\":60.07}", "{\"field\":\"stats.revenue\",\"op\":\"between\",\"value\":[19.99,19.99]}",
        "{\"field\":\"stats.last_order_at\",\"op\":\"within_days\",\"value\":21}", "{\"field\":\"stats.recency_days\",\"op\":\"<=\",\"value\":21.000000000034724}",
        "{\"field\":\"stats.first_order_at\",\"op\":\"between\",\"value\":[\"2026-01-01T00:00:00.000001Z\",\"2026-01-01T00:00:00.000001Z\"]}",
    };
    for (size_t i = 0; i < sizeof met / sizeof met[0]; i++) {
        members = 0;
        compare(&s, c, models, met[i], now, &members);
        cr_expect_eq(members, i == 2 ? 0 : 1, "%s: %zu", met[i], members);
    }
    snapshot_release(models);
    shop_close(&s);
}
