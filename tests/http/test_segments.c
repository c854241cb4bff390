/* Orders go in, segments come out: trained, looked at, retrained, rolled back. One shop, one service, one story a test. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "client.h"

static struct instance s;

/* Three kinds of customer that nobody could mix up: often and lately, seldom and long ago, once and for much. */
static void fill(int each)
{
    struct buf b;
    buf_init(&b, 64 << 20);
    buf_str(&b, "order_id,customer_id,ordered_at,product_id,quantity,unit_price\n");
    uint32_t r = 11;
    for (int kind = 0; kind < 3; kind++)
        for (int c = 0; c < each; c++)
            for (int o = 0; o < (kind == 0 ? 20 : kind == 1 ? 3 : 1); o++) {
                r = r * 1664525u + 1013904223u;
                int month = kind == 0 ? 1 + o % 12 : kind == 1 ? 1 + o : 6, day = 1 + (int)(r >> 10) % 28;
                buf_printf(&b, "s-%d-%d-%d,s-%d-%d,%d-%02d-%02dT12:00:00Z,p%u,%u,%u.5\n", kind, c, o, kind, c, kind == 1 ? 2024 : 2025, month, day, r >> 27,
                           1 + (r >> 16) % 3, kind == 2 ? 900 + (r >> 20) % 90 : 10 + (r >> 20) % 10);
            }
    expect(call(&(struct call){.method = "POST", .path = "/v1/imports/orders", .type = "text/csv", .body = b.data, .n = b.len, .timeout = 120}), 200);
    buf_done(&b);
}

/* One customer's odd attributes: numbers that no integer holds, that swamp every mean, that are not numbers everywhere. */
static void add_oddities(int each)
{
    for (int kind = 0; kind < 3; kind++)
        for (int c = 0; c < each; c++)
            expect(put(text("/v1/customers/s-%d-%d", kind, c), text("{\"attributes\":{\"height\":%s,\"plan\":%s,\"deep\":{\"a\":[1]}}}", c == 7 ? "1e308" : c == 8 ? "-1e308" : c == 9 ? "\"tall\"" : "1.8",
                                                                    c == 3 ? "1e22" : c == 4 ? "true" : "\"basic\"")), 200);
}

static const char *const kmeans = "{\"kind\":\"train.segments\",\"params\":{\"name\":\"behaviour\",\"k\":3,\"seed\":7,\"as_of\":\"2026-01-01T00:00:00Z\"}}";

/* The sums that must hold of any segmentation. */
static void consistent(const struct reply *r, int64_t customers)
{
    int64_t size = 0;
    double share = 0, revenue = 0;
    cr_assert_eq(int_at(r, "/customers"), customers);
    for (size_t i = 0; i < count_at(r, "/segments"); i++) {
        size += int_at(r, text("/segments/%zu/size", i));
        share += num_at(r, text("/segments/%zu/share", i));
        revenue += num_at(r, text("/segments/%zu/revenue_share", i));
        cr_assert_gt(strlen(text_at(r, text("/segments/%zu/label", i))), 2);
        cr_assert_gt(strlen(text_at(r, text("/segments/%zu/description", i))), 10);
        for (size_t j = 0; j < i; j++) {
            cr_assert_str_neq(text_at(r, text("/segments/%zu/id", i)), text_at(r, text("/segments/%zu/id", j)));
            cr_assert_str_neq(text_at(r, text("/segments/%zu/label", i)), text_at(r, text("/segments/%zu/label", j)));
        }
        cr_assert_gt(count_at(r, text("/segments/%zu/features/recency_days", i)), 0);
    }
    cr_assert_eq(size, customers);
    cr_assert_float_eq(share, 1, 1e-6);
    cr_assert_float_eq(revenue, 1, 1e-6);
}

/* All members of a segment, page by page; returns how many, and counts how many of them begin with `prefix`. */
static size_t members(const char *name, const char *segment, const char *prefix, size_t *out_with)
{
    size_t n = 0;
    const char *cursor = "";
    *out_with = 0;
    while (cursor != NULL) {
        struct reply *r = get(text("/v1/segmentations/%s/segments/%s/customers?limit=50%s", name, segment, cursor));
        expect(r, 200);
        for (size_t i = 0; i < count_at(r, "/data"); i++, n++)
            *out_with += strncmp(text_at(r, text("/data/%zu/customer_id", i)), prefix, strlen(prefix)) == 0;
        cursor = null_at(r, "/next") ? NULL : text("&cursor=%s", text_at(r, "/next"));
    }
    return n;
}

static const char *segment_of(const char *customer, const char *name)
{
    struct reply *r = get(text("/v1/customers/%s", customer));
    expect(r, 200);
    return text_at(r, text("/segments/%s/id", name));
}

static void kmeans_finds_the_three_kinds(void)
{
    struct reply *job = run_job(kmeans), *r = get("/v1/segmentations/behaviour");
    expect(r, 200);
    cr_assert_str_eq(text_at(r, "/method"), "kmeans");
    cr_assert_eq(count_at(r, "/segments"), 3);
    consistent(r, 180);
    cr_assert_str_eq(text_at(job, "/result/model/id"), text_at(r, "/model/id"));
    cr_assert_eq(int_at(job, "/result/model/version"), 1);
    cr_assert_gt(num_at(job, "/result/metrics/silhouette"), 0.3);
    cr_assert_gt(num_at(r, "/metrics/calinski_harabasz"), 0);
    cr_assert_gt(num_at(r, "/metrics/davies_bouldin"), 0);
    for (int kind = 0; kind < 3; kind++) {
        size_t with, n = members("behaviour", segment_of(text("s-%d-0", kind), "behaviour"), text("s-%d-", kind), &with);
        cr_assert(n == 60 && with == 60, "kind %d: %zu members, %zu of that kind", kind, n, with);
    }
    cr_assert_not_null(strstr(get("/v1/segmentations")->body, "\"behaviour\""));
    expect(get("/v1/segmentations/nope"), 404);
    expect(get("/v1/segmentations/behaviour/segments/nope/customers"), 404);
}

static void training_again_keeps_the_ids(const char *seed)
{
    const char *before[3];
    for (int kind = 0; kind < 3; kind++) before[kind] = segment_of(text("s-%d-0", kind), "behaviour");
    const char *since = text_at(get("/v1/customers/s-0-0"), "/segments/behaviour/since");
    run_job(text("{\"kind\":\"train.segments\",\"params\":{\"name\":\"behaviour\",\"k\":3,\"seed\":%s,\"as_of\":\"2026-01-01T00:00:00Z\"}}", seed));
    for (int kind = 0; kind < 3; kind++) cr_assert_str_eq(segment_of(text("s-%d-0", kind), "behaviour"), before[kind], "seed %s", seed);
    cr_assert_str_eq(text_at(get("/v1/customers/s-0-0"), "/segments/behaviour/since"), since, "who stayed has been there since then");
}

static void an_older_model_is_activated(void)
{
    struct reply *r = get("/v1/models?kind=segments&limit=10");
    expect(r, 200);
    size_t n = count_at(r, "/data"), active = 0;
    cr_assert_geq(n, 2);
    for (size_t i = 0; i < n; i++) active += bool_at(r, text("/data/%zu/active", i));
    cr_assert_eq(active, 1);
    cr_assert(bool_at(r, "/data/0/active"), "the newest is");
    cr_assert_eq(count_at(get("/v1/models?active=true"), "/data"), 1);
    const char *newest = text_at(r, "/data/0/id"), *oldest = text_at(r, text("/data/%zu/id", n - 1));
    expect(delete_(text("/v1/models/%s", newest)), 409);
    struct reply *a = call(&(struct call){.method = "POST", .path = text("/v1/models/%s/activate", oldest), .type = ""});
    expect(a, 200);
    cr_assert(bool_at(a, "/active"));
    cr_assert_str_eq(text_at(get("/v1/segmentations/behaviour"), "/model/id"), oldest);
    cr_assert_str_eq(text_at(get("/v1/customers/s-0-0"), "/segments/behaviour/model/id"), oldest);
    r = get(text("/v1/models/%s", newest));
    expect(r, 200);
    cr_assert_not(bool_at(r, "/active"));
    cr_assert_eq(int_at(r, "/rows"), 180);
    expect(get("/v1/models/nope"), 404);
    struct reply *artifact = get(text("/v1/models/%s/export", newest));
    expect(artifact, 200);
    cr_assert_gt(artifact->n, 100);
    expect(delete_(text("/v1/models/%s", newest)), 204);
    expect(get(text("/v1/models/%s", newest)), 404);
    expect(call(&(struct call){.method = "POST", .path = text("/v1/models/%s/activate", newest), .type = ""}), 404);
}

static void rfm_stands_beside_it(void)
{
    run_job("{\"kind\":\"train.segments\",\"params\":{\"name\":\"value\",\"method\":\"rfm\",\"as_of\":\"2026-01-01T00:00:00Z\"}}");
    struct reply *r = get("/v1/segmentations/value");
    expect(r, 200);
    cr_assert_str_eq(text_at(r, "/method"), "rfm");
    consistent(r, 180);
    cr_assert_leq(count_at(r, "/segments"), 11);
    r = get("/v1/customers/s-0-0");
    cr_assert(at(r, "/segments/behaviour") != NULL && at(r, "/segments/value") != NULL);
    int64_t recency = int_at(r, "/segments/value/rfm/recency"), frequency = int_at(r, "/segments/value/rfm/frequency");
    cr_assert(recency >= 4 && frequency >= 4, "who bought often and lately: %s", r->body);
    cr_assert_lt(int_at(get("/v1/customers/s-1-0"), "/segments/value/rfm/recency"), recency);
}

/* Who buys as another kind does is judged as that kind at the very next look, with no job in between. */
static void a_new_order_moves_a_customer_at_once(void)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_str(&b, "order_id,customer_id,ordered_at,product_id,quantity,unit_price\n");
    for (int o = 0; o < 20; o++) buf_printf(&b, "s-new-%d,s-1-0,2025-%02d-15T12:00:00Z,p%d,2,15.5\n", o, 1 + o % 12, o);
    const char *before = segment_of("s-1-0", "behaviour");
    expect(import_("orders", NULL, b.data), 200);
    buf_done(&b);
    cr_assert_str_neq(segment_of("s-1-0", "behaviour"), before);
    cr_assert_str_eq(segment_of("s-1-0", "behaviour"), segment_of("s-0-0", "behaviour"));
    run_job("{\"kind\":\"refresh\"}");
    size_t with, n = members("behaviour", segment_of("s-0-0", "behaviour"), "s-1-0", &with);
    cr_assert(n == 61 && with == 1, "after a refresh the list of members has it too: %zu, %zu", n, with);
}

static void an_erased_customer_is_in_no_segment(void)
{
    const char *segment = segment_of("s-2-5", "behaviour");
    struct reply *r = delete_("/v1/customers/s-2-5");
    cr_assert(r->status == 200 || r->status == 204);
    struct reply *list = get(text("/v1/segmentations/behaviour/segments/%s/customers?limit=1000", segment));
    cr_assert_null(strstr(list->body, "\"s-2-5\""));
}

Test(segments, from_orders_to_segments_and_back_to_an_older_model, .timeout = 500)
{
    instance_start(&s, (const char *const[]){"MEROS_LOG_LEVEL=info", NULL});
    client_use(&s);
    cr_assert_eq(count_at(get("/v1/segmentations"), "/data"), 0);
    fill(60);
    kmeans_finds_the_three_kinds();
    training_again_keeps_the_ids("7");
    training_again_keeps_the_ids("12345");
    an_older_model_is_activated();
    rfm_stands_beside_it();
    a_new_order_moves_a_customer_at_once();
    an_erased_customer_is_in_no_segment();
    cr_assert_eq(instance_stop(&s), 0);
    instance_again(&s);
    cr_assert_str_eq(segment_of("s-1-0", "behaviour"), segment_of("s-0-0", "behaviour"), "the models are there after a restart");
    instance_done(&s);
}

Test(segments, the_same_data_and_seed_give_the_same_segments_whatever_the_threads, .timeout = 500)
{
    double inertia[2];
    const char *settings[] = {"MEROS_TRAINING_THREADS=1", "MEROS_TRAINING_THREADS=3"};
    for (int i = 0; i < 2; i++) {
        instance_start(&s, (const char *const[]){settings[i], "MEROS_LOG_LEVEL=info", NULL});
        client_use(&s);
        fill(40);
        inertia[i] = num_at(run_job("{\"kind\":\"train.segments\",\"params\":{\"k\":\"auto\",\"seed\":3,\"as_of\":\"2026-01-01T00:00:00Z\"}}"), "/result/metrics/inertia");
        instance_done(&s);
    }
    cr_assert_eq(inertia[0], inertia[1]);
}

/* A poisoned attribute of one customer must stop neither the training of all nor the reading of that one. */
Test(segments, odd_attributes_of_a_few_stop_nobodys_training, .timeout = 500)
{
    instance_start(&s, (const char *const[]){"MEROS_LOG_LEVEL=info", NULL});
    client_use(&s);
    fill(30);
    add_oddities(30);
    struct reply *job = run_job("{\"kind\":\"train.segments\",\"params\":{\"k\":3,\"seed\":1,\"as_of\":\"2026-01-01T00:00:00Z\"}}");
    cr_assert(num_at(job, "/result/metrics/silhouette") > -1, "%s", job->body);
    struct reply *r = get("/v1/segmentations/behaviour");
    expect(r, 200);
    consistent(r, 90);
    static const char *const odd[] = {"s-0-7", "s-0-8", "s-0-9", "s-0-3", "s-0-4"};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) segment_of(odd[i], "behaviour");
    instance_done(&s);
}
