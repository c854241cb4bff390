/* What recommendations brought, held against a plain recomputation of the same random history. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "client.h"
#include "meros/base/clock.h"
#include "meros/service/recommend_words.h"
#include "meros/service/recommendation_id.h"
#include "pg.h"

enum { CUSTOMERS = 40, PRODUCTS = 8, ANSWERS = 120, CLICKS = 400, LINES = 700, PICKS = 5, STRATEGIES = 4 };
#define KEY_HEX "0707070707070707070707070707070707070707070707070707070707070707"
#define PERFORMANCE "/v1/recommendations/performance"

static const int64_t START = INT64_C(1780000000) * TIME_SECOND; /* May 2026 */
static struct service maker; /* makes ids as the service does: it has its key */
static struct pg *db;
static struct instance s;
static int64_t product_no[PRODUCTS];
static uint64_t state = 20261122;

static unsigned dice(unsigned n)
{
    state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (unsigned)(state >> 33) % n;
}

static void begin(void)
{
    struct meros_err err = MEROS_ERR_INIT;
    cr_assert_eq(crypto_start(&err), MEROS_OK);
    memset(maker.settings.pii_key, 7, sizeof maker.settings.pii_key);
    db = pg_fresh();
    instance_start(&s, (const char *const[]){text("MEROS_DATABASE_URL=%s", db->url), "MEROS_PII_KEY=" KEY_HEX, NULL});
    client_use(&s);
    for (int i = 0; i < PRODUCTS; i++) {
        expect(put(text("/v1/products/p%d", i), text("{\"name\":\"product %d\"}", i)), 201);
        product_no[i] = pg_int(db, text("select product_no from products where product_id = 'p%d'", i));
    }
}

static void end(void)
{
    client_use(NULL);
    instance_done(&s);
    pg_done(db);
}

static const char *when(int64_t t)
{
    char out[TIME_TEXT];
    time_format(t, out);
    return text("%s", out);
}

static void post_all(const char *items)
{
    struct reply *r = post("/v1/events", text("[%s]", items));
    expect(r, 200);
    cr_assert_eq(int_at(r, "/rejected"), 0, "%s", r->body);
}

/* --- the history */
struct answer {
    char id[RECOMMENDATION_ID_MAX + 1];
    int product[PICKS], by[PICKS];
};
struct click {
    int customer, product; /* product -1: none */
    int strategy, slot;
    int64_t at;
    bool known, converted;
    double revenue;
};
struct line {
    int customer, product;
    int64_t at;
    bool returned;
    double amount;
};
struct counts {
    int64_t impressions, clicks, conversions;
    double revenue;
};
static struct answer answers[ANSWERS];
static struct click clicks[CLICKS];
static struct line lines[LINES];
static struct counts want[STRATEGIES + 2][PICKS + 1]; /* by strategy and slot (0: null) */
static int64_t unknown_impressions, unknown_clicks;

static void make_answers(void)
{
    for (int i = 0; i < ANSWERS; i++) {
        struct recommendation_parts p = {.at = START, .strategy = (uint8_t)(1 + dice(STRATEGIES)), .model_no = 1, .n = PICKS};
        for (int k = 0; k < PICKS; k++) {
            answers[i].product[k] = (i + k * 3) % PRODUCTS; /* 3 is prime to 8: all different */
            answers[i].by[k] = k < 3 ? p.strategy : RECOMMEND_POPULAR;
            p.picks[k].product_no = product_no[answers[i].product[k]];
            p.picks[k].by = (uint8_t)answers[i].by[k];
        }
        recommendation_id_make(&maker, &p, answers[i].id);
    }
}

static const char *show(int i)
{
    const struct answer *a = &answers[i];
    const int way = (int)dice(5), other = (i + 2) % PRODUCTS; /* in steps of 3 from i, five do not meet i + 2 */
    const char *head = text("{\"event_id\":\"s%d\",\"customer_id\":\"c%u\",\"type\":\"recommendation_shown\",\"occurred_at\":\"%s\"", i, dice(CUSTOMERS),
                            when(START + i * TIME_SECOND));
    if (way == 0) { /* the first two, one of them twice, as ids and as objects, and one that was not in the answer */
        for (int k = 0; k < 2; k++) want[a->by[k]][k + 1].impressions++;
        unknown_impressions++;
        return text("%s,\"properties\":{\"recommendation_id\":\"%s\",\"products\":[\"p%d\",{\"product_id\":\"p%d\"},\"p%d\",\"p%d\"]}}", head, a->id,
                    a->product[0], a->product[1], a->product[0], other);
    }
    if (way == 1) {
        want[a->by[2]][3].impressions++;
        return text("%s,\"product_id\":\"p%d\",\"properties\":{\"recommendation_id\":\"%s\"}}", head, a->product[2], a->id);
    }
    if (way == 2) {
        unknown_impressions++;
        return text("%s,\"properties\":{\"recommendation_id\":\"%.*s\"}}", head, (int)strlen(a->id) - 1, a->id);
    }
    for (int k = 0; k < PICKS; k++) want[a->by[k]][k + 1].impressions++;
    return text("%s,\"properties\":{\"recommendation_id\":\"%s\"}}", head, a->id);
}

static const char *click(int i)
{
    const int which = (int)dice(ANSWERS), k = (int)dice(PICKS), way = (int)dice(10);
    const struct answer *a = &answers[which];
    struct click *c = &clicks[i];
    *c = (struct click){.customer = (int)dice(CUSTOMERS), .product = a->product[k], .strategy = a->by[k], .slot = k + 1,
                        .at = START + (int64_t)dice(40 * 86400) * TIME_SECOND, .known = true};
    const char *head = text("{\"event_id\":\"k%d\",\"customer_id\":\"c%d\",\"type\":\"recommendation_clicked\",\"occurred_at\":\"%s\"", i, c->customer, when(c->at));
    if (way == 0) { /* only the slot */
        return text("%s,\"properties\":{\"recommendation_id\":\"%s\",\"slot\":%d}}", head, a->id, c->slot);
    }
    if (way == 1) { /* only the id: a click, but of nobody knows what */
        struct recommendation_parts p;
        cr_assert(recommendation_id_read(&maker, str_of(a->id), &p));
        c->product = -1, c->strategy = p.strategy, c->slot = 0;
        return text("%s,\"properties\":{\"recommendation_id\":\"%s\"}}", head, a->id);
    }
    if (way == 2) {
        c->known = false, unknown_clicks++;
        return text("%s,\"product_id\":\"p%d\",\"properties\":{\"recommendation_id\":\"rec_forged\"}}", head, c->product);
    }
    if (way == 3) { /* not in the answer */
        c->known = false, unknown_clicks++;
        return text("%s,\"product_id\":\"p%d\",\"properties\":{\"recommendation_id\":\"%s\"}}", head, (which + 2) % PRODUCTS, a->id);
    }
    return text("%s,\"product_id\":\"p%d\",\"properties\":{\"recommendation_id\":\"%s\",\"colour\":\"red\"}}", head, c->product, a->id);
}

static void send_events(const char *(*make)(int), int n)
{
    char *all = calloc(1, 1 << 20);
    for (int i = 0; i < n; i++) {
        const char *one = make(i);
        if (i % 100 == 0) all[0] = '\0';
        if (i % 100 != 0) strcat(all, ",");
        strcat(all, one);
        if (i % 7 == 0) strcat(strcat(all, ","), one); /* again: it counts once */
        if (i % 100 == 99 || i == n - 1) post_all(all), post_all(all);
    }
    free(all);
}

static void send_lines(void)
{
    char *csv = calloc(1, 1 << 20);
    strcat(csv, "order_id,customer_id,ordered_at,product_id,quantity,unit_price\n");
    for (int i = 0; i < LINES; i++) {
        struct line *l = &lines[i];
        const int quantity = dice(6) == 0 ? -1 : 1 + (int)dice(3);
        const double price = 0.5 + 0.25 * dice(40);
        *l = (struct line){.customer = (int)dice(CUSTOMERS), .product = (int)dice(PRODUCTS), .at = START + (int64_t)dice(60 * 86400) * TIME_SECOND,
                           .returned = quantity < 0, .amount = quantity * price};
        sprintf(csv + strlen(csv), "o%d,c%d,%s,p%d,%d,%.2f\n", i, l->customer, when(l->at), l->product, quantity, price);
    }
    expect(import_("orders", "", csv), 200);
    free(csv);
}

/* --- the plain recomputation: each line looks through all clicks, each return through all lines */

static struct click *click_before(const struct line *l, int64_t window, int64_t to)
{
    struct click *last = NULL;
    for (int i = 0; i < CLICKS; i++) {
        struct click *c = &clicks[i];
        if (c->known && c->at < to && c->customer == l->customer && c->product == l->product && c->at <= l->at && (last == NULL || c->at > last->at)) last = c;
    }
    return last != NULL && l->at - last->at <= window ? last : NULL;
}

static void recompute(int days, int64_t to)
{
    for (int i = 0; i < CLICKS; i++) clicks[i].converted = false, clicks[i].revenue = 0;
    for (int i = 0; i < LINES; i++) {
        const struct line *bought = &lines[i], *l = &lines[i];
        if (l->returned) {
            bought = NULL;
            for (int k = 0; k < LINES; k++) {
                const struct line *b = &lines[k];
                if (!b->returned && b->customer == l->customer && b->product == l->product && b->at <= l->at && (bought == NULL || b->at > bought->at)) bought = b;
            }
        }
        struct click *c = bought != NULL ? click_before(bought, days * TIME_DAY, to) : NULL;
        if (c == NULL) continue;
        c->converted = c->converted || !l->returned;
        c->revenue += l->amount;
    }
    for (int a = 0; a < STRATEGIES + 2; a++)
        for (int b = 0; b <= PICKS; b++) want[a][b].clicks = want[a][b].conversions = 0, want[a][b].revenue = 0;
    for (int i = 0; i < CLICKS; i++) {
        if (!clicks[i].known || clicks[i].at >= to) continue;
        struct counts *w = &want[clicks[i].strategy][clicks[i].slot];
        w->clicks++;
        w->conversions += clicks[i].converted;
        w->revenue += clicks[i].revenue;
    }
}

static void expect_counts(const struct reply *r, const char *where, const struct counts *w)
{
    cr_expect_eq(int_at(r, text("%s/impressions", where)), w->impressions, "%s: %lld, not %lld", where, (long long)int_at(r, text("%s/impressions", where)), (long long)w->impressions);
    cr_expect_eq(int_at(r, text("%s/clicks", where)), w->clicks, "%s", where);
    cr_expect_eq(int_at(r, text("%s/conversions", where)), w->conversions, "%s", where);
    cr_expect_float_eq(num_at(r, text("%s/revenue", where)), w->revenue, 1e-6, "%s", where);
}

static int strategy_of(const char *word)
{
    int i = 0;
    while (recommend_strategy_words[i] != NULL && strcmp(recommend_strategy_words[i], word) != 0) i++;
    return i;
}

static void add(struct counts *to, const struct counts *w)
{
    to->impressions += w->impressions, to->clicks += w->clicks, to->conversions += w->conversions, to->revenue += w->revenue;
}

static void compare(const struct reply *r, bool with_slots)
{
    struct counts total = {0};
    size_t cells = 0;
    for (int a = 0; a < STRATEGIES + 2; a++) {
        bool any = false;
        for (int b = 0; b <= PICKS; b++) {
            const struct counts *w = &want[a][b];
            add(&total, w);
            any = any || w->impressions + w->clicks > 0;
            if (with_slots) cells += w->impressions + w->clicks > 0;
        }
        if (!with_slots) cells += any;
    }
    expect_counts(r, "/total", &total);
    cr_assert_eq(count_at(r, "/data"), cells);
    for (size_t i = 0; i < cells; i++) {
        const int a = strategy_of(text_at(r, text("/data/%zu/strategy", i)));
        struct counts w = {0};
        cr_assert_lt(a, STRATEGIES + 2);
        if (with_slots) w = want[a][null_at(r, text("/data/%zu/slot", i)) ? 0 : int_at(r, text("/data/%zu/slot", i))];
        for (int b = 0; b <= PICKS && !with_slots; b++) add(&w, &want[a][b]);
        expect_counts(r, text("/data/%zu", i), &w);
    }
}

Test(reco_performance, is_what_a_plain_recomputation_finds)
{
    begin();
    make_answers();
    send_events(show, ANSWERS);
    send_events(click, CLICKS);
    send_lines();
    const int64_t far = START + 100 * TIME_DAY, half = START + 20 * TIME_DAY;
    const char *period = text("from=%s&to=%s", when(START), when(far));
    struct reply *r = get(text(PERFORMANCE "?%s", period));
    expect(r, 200);
    recompute(7, far);
    compare(r, true);
    cr_expect_eq(int_at(r, "/unknown/impressions"), unknown_impressions);
    cr_expect_eq(int_at(r, "/unknown/clicks"), unknown_clicks);
    cr_expect_gt(int_at(r, "/total/conversions"), 20, "the history is one in which something happens");

    r = get(text(PERFORMANCE "?%s&by=strategy&attribution_days=2", period));
    expect(r, 200);
    recompute(2, far);
    compare(r, false);
    cr_assert_null(at(r, "/data/0/slot"));

    /* clicks of the first half; what was bought after them may lie behind */
    r = get(text(PERFORMANCE "?from=%s&to=%s", when(START), when(half)));
    expect(r, 200);
    recompute(7, half);
    compare(r, true);

    r = get(text(PERFORMANCE "?from=%s&to=%s&by=model", when(START - 10 * TIME_DAY), when(START)));
    expect(r, 200);
    cr_expect_eq(count_at(r, "/data"), 0);
    cr_expect(null_at(r, "/total/click_through_rate") && null_at(r, "/total/click_through_interval"));
    end();
}

/* --- experiments */

static void send_one(const char *type, const char *customer, const char *id, int product, int64_t t)
{
    post_all(text("{\"customer_id\":\"%s\",\"type\":\"%s\",\"occurred_at\":\"%s\",\"product_id\":\"p%d\",\"properties\":{\"recommendation_id\":\"%s\"}}", customer,
                  type, when(t), product, id));
}

static const char *answer_of(int64_t experiment, int arm, int arm_of_second_pick)
{
    static char id[RECOMMENDATION_ID_MAX + 1];
    struct recommendation_parts p = {.at = START, .strategy = RECOMMEND_POPULAR, .experiment = (uint32_t)experiment, .arm = (uint8_t)arm, .n = 2};
    p.picks[0].product_no = product_no[0], p.picks[1].product_no = product_no[1];
    p.picks[0].by = p.picks[1].by = RECOMMEND_POPULAR;
    p.picks[1].arm = (uint8_t)arm_of_second_pick;
    recommendation_id_make(&maker, &p, id);
    return id;
}

Test(reco_performance, of_an_experiment_counts_customers_and_tests_the_difference)
{
    begin();
    struct reply *x = put("/v1/recommendations/experiment", "{\"name\":\"spring\",\"arms\":[\"popular\",\"trending\"]}");
    expect(x, 201);
    const int64_t number = int_at(x, "/number");
    const int64_t t = START;
    for (int i = 0; i < 20; i++) { /* ten an arm; of the first 2 click, of the second 7, one of them three times */
        const int arm = i % 2, k = i / 2;
        const char *who = text("x%d", i);
        send_one("recommendation_shown", who, answer_of(number, arm, 0), 0, t);
        if (k < (arm ? 7 : 2)) send_one("recommendation_clicked", who, answer_of(number, arm, 0), 0, t + TIME_SECOND);
        if (arm == 1 && k == 0) send_one("recommendation_clicked", who, answer_of(number, arm, 0), 0, t + 2 * TIME_SECOND);
        if (arm == 1 && k == 0) send_one("recommendation_clicked", who, answer_of(number, arm, 0), 0, t + 3 * TIME_SECOND);
    }
    for (int arm = 0; arm < 2; arm++) send_one("recommendation_shown", "both", answer_of(number, arm, 0), 0, t);
    expect(import_("orders", "", text("order_id,customer_id,ordered_at,product_id,quantity,unit_price\nox,x1,%s,p0,2,5\noy,x3,%s,p0,1,7\n", when(t + TIME_DAY),
                                      when(t + 2 * TIME_DAY))), 200);
    struct reply *r = get(text(PERFORMANCE "?from=%s&to=%s&by=experiment", when(START), when(START + TIME_DAY)));
    expect(r, 200);
    cr_assert_eq(count_at(r, "/experiments"), 1);
    cr_assert_eq(count_at(r, "/data"), 0);
#define X "/experiments/0"
    cr_expect_eq(int_at(r, X "/number"), number);
    cr_expect_str_eq(text_at(r, X "/unit"), "customer");
    cr_expect_eq(int_at(r, X "/customers_in_both"), 1);
    cr_expect(int_at(r, X "/arms/0/customers") == 10 && int_at(r, X "/arms/1/customers") == 10);
    cr_expect(int_at(r, X "/arms/0/customers_who_clicked") == 2 && int_at(r, X "/arms/1/customers_who_clicked") == 7);
    cr_expect_eq(int_at(r, X "/arms/1/clicks"), 9);
    cr_expect(int_at(r, X "/arms/0/customers_who_bought") == 0 && int_at(r, X "/arms/1/customers_who_bought") == 2);
    cr_expect_float_eq(num_at(r, X "/arms/1/revenue"), 17, 1e-9);
    cr_expect_float_eq(num_at(r, X "/customer_click_rate/difference"), 0.5, 1e-12);
    cr_expect_float_eq(num_at(r, X "/customer_click_rate/p_value"), 0.0246, 5e-5, "z = 0.5 / sqrt(0.45 * 0.55 * 0.2)");
    cr_expect(num_at(r, X "/customer_click_rate/interval/0") > 0 && num_at(r, X "/customer_click_rate/interval/1") < 1);
    cr_expect_eq(num_at(r, X "/sample_ratio_p_value"), 1);

    x = put("/v1/recommendations/experiment", "{\"name\":\"spring\",\"arms\":[\"popular\",\"trending\"],\"mode\":\"interleave\"}");
    expect(x, 201);
    for (int i = 0; i < 9; i++) /* eight prefer the second, one the first, one saw only */
        send_one("recommendation_clicked", text("y%d", i), answer_of(int_at(x, "/number"), 2, 1), i < 8 ? 1 : 0, t);
    send_one("recommendation_shown", "y9", answer_of(int_at(x, "/number"), 2, 1), 0, t);
    /* A pin is of neither list: who clicks it prefers none. */
    for (int i = 0; i < 10; i++) send_one("recommendation_clicked", text("z%d", i), answer_of(int_at(x, "/number"), 2, RECOMMENDATION_NO_ARM), 1, t);
    r = get(text(PERFORMANCE "?from=%s&to=%s&by=experiment", when(START), when(START + TIME_DAY)));
    expect(r, 200);
    cr_assert_eq(count_at(r, "/experiments"), 2);
    cr_expect_not(null_at(r, X "/ended_at"), "the first gave way to the second");
#undef X
#define X "/experiments/1"
    cr_expect(int_at(r, X "/customers_preferring_first") == 1 && int_at(r, X "/customers_preferring_second") == 8);
    cr_expect_eq(int_at(r, X "/customers_undecided"), 1);
    cr_expect_float_eq(num_at(r, X "/p_value"), 2 * 10.0 / 512, 1e-12, "nine coins");
    cr_expect_float_eq(num_at(r, X "/preference_for_second"), 8 / 9.0, 1e-12);
#undef X
    end();
}

Test(reco_performance, dialects_of_others_tell_of_it_too)
{
    begin();
    const char *id = answer_of(0, 0, 0);
    expect(post("/v1/track", text("{\"userId\":\"d1\",\"event\":\"Recommendation Shown\",\"timestamp\":\"%s\",\"properties\":{\"recommendation_id\":\"%s\"}}", when(START), id)), 200);
    expect(post("/v1/track", text("{\"userId\":\"d1\",\"event\":\"Recommendation Clicked\",\"timestamp\":\"%s\",\"properties\":{\"recommendation_id\":\"%s\",\"product_id\":\"p1\"}}",
                                  when(START), id)), 200);
    const char *ga4 = text("{\"client_id\":\"d2\",\"timestamp_micros\":%lld,\"events\":["
                           "{\"name\":\"recommendation_shown\",\"params\":{\"recommendation_id\":\"%s\"}},"
                           "{\"name\":\"recommendation_clicked\",\"params\":{\"recommendation_id\":\"%s\",\"position\":2}}]}",
                           (long long)(clock_now() - TIME_DAY), id, id);
    expect(call(&(struct call){.method = "POST", .path = text("/mp/collect?measurement_id=G-1&api_secret=%s", s.key), .key = "", .body = ga4}), 204);
    struct reply *r = get(text(PERFORMANCE "?from=%s&by=slot", when(START)));
    expect(r, 200);
    cr_expect_eq(int_at(r, "/total/impressions"), 4);
    cr_expect_eq(int_at(r, "/total/clicks"), 2);
    cr_expect_eq(int_at(r, "/data/1/clicks"), 2, "both at the second place: %s", r->body);
    end();
}

Test(reco_performance, is_refused_with_pointers_when_asked_for_wrongly)
{
    expect_fault(get(PERFORMANCE "?by=colour"), 400, "?by");
    expect_fault(get(PERFORMANCE "?by=strategy,"), 400, "?by");
    expect_fault(get(PERFORMANCE "?from=2026-01-02&to=2026-01-01"), 400, "?from");
    expect_fault(get(PERFORMANCE "?from=2016-01-02&to=2026-01-01"), 400, "?from");
    expect_fault(get(PERFORMANCE "?attribution_days=0"), 400, "?attribution_days");
    expect(call(&(struct call){.method = "GET", .path = PERFORMANCE, .key = key_with("recommend,ingest,train")}), 403);
    expect(call(&(struct call){.method = "GET", .path = PERFORMANCE, .key = key_with("read")}), 200);
}

/* --- rules, here because replicas share a database of the test's own */

Test(reco_rules, hold_on_other_replicas_within_a_second_or_so)
{
    struct instance other;
    begin();
    instance_start(&other, (const char *const[]){text("MEROS_DATABASE_URL=%s", db->url), "MEROS_PII_KEY=" KEY_HEX, NULL});
    const char *key = key_with("admin");
    expect(put("/v1/recommendations/rules/here", "{\"kind\":\"block\",\"products\":[\"p0\"]}"), 201);
    client_use(&other);
    expect(call(&(struct call){.method = "GET", .path = "/v1/recommendations/rules/here", .key = key}), 200);
    instance_done(&other);
    end();
}
