/* "train.recommendations" over HTTP: what may be asked for, what is said of the outcome, stopping it, going back to an older model. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "client.h"

static void wrong_parameters_are_named(void)
{
    static const struct {
        const char *params, *pointer;
        int status;
    } wrong[] = {
        {"\"algorithm\":\"svd\"", "/params/algorithm", 400},
        {"\"factors\":0", "/params/factors", 400},
        {"\"iterations\":1.5", "/params/iterations", 400},
        {"\"regularization\":0", "/params/regularization", 400},
        {"\"alpha\":-1", "/params/alpha", 400},
        {"\"half_life_days\":-1", "/params/half_life_days", 400},
        {"\"k\":0", "/params/k", 400},
        {"\"shrink\":-1", "/params/shrink", 400},
        {"\"evaluate\":\"yes\"", "/params/evaluate", 400},
        {"\"holdout\":0", "/params/holdout", 400},
        {"\"seed\":-1", "/params/seed", 400},
        {"\"as_of\":\"then\"", "/params/as_of", 400},
        {"\"neighbours\":5", "/params/neighbours", 400},
        {"\"weights\":[1]", "/params/weights", 400},
        {"\"weights\":{\"product_viewed\":\"much\"}", "/params/weights/product_viewed", 400},
        {"\"weights\":{\"purchase\":101}", "/params/weights/purchase", 400},
        {"\"weights\":{\"recommendation_shown\":1}", "/params/weights/recommendation_shown", 400},
        {"\"factors\":64", "/params/factors", 422},
        {"\"algorithm\":\"ease\",\"alpha\":2", "/params/alpha", 422},
        {"\"algorithm\":\"als\",\"k\":20", "/params/k", 422},
        {"\"algorithm\":\"blend\",\"regularization\":2", "/params/regularization", 422},
        {"\"evaluate\":false", "/params/evaluate", 422},
        {"\"algorithm\":\"ease\",\"evaluate\":false,\"holdout\":2", "/params/holdout", 422},
        {"\"as_of\":\"2999-01-01\"", "/params/as_of", 422},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        expect_fault(call(&(struct call){.method = "POST", .path = "/v1/jobs", .unchecked = true,
                                         .body = text("{\"kind\":\"train.recommendations\",\"params\":{%s}}", wrong[i].params)}),
                     wrong[i].status, wrong[i].pointer);
}

/* Customers like one of four corners of the catalogue, ten products each. */
static void fill(int customers)
{
    struct buf b;
    uint32_t r = 3;
    buf_init(&b, 64 << 20);
    buf_str(&b, "customer_id,type,occurred_at,product_id\n");
    for (int c = 0; c < customers; c++)
        for (int k = 0; k < 10; k++) {
            r = r * 1664525u + 1013904223u;
            buf_printf(&b, "t%d,product_viewed,2025-03-%02dT0%d:00:00Z,corner%d-%u\n", c, 1 + 2 * k, c % 10, c % 4, (r >> 16) % 10);
        }
    buf_char(&b, '\0');
    expect(import_("events", "", b.data), 200);
    buf_done(&b);
}

#define M "/result/metrics/"

static void the_outcome_is_said(void)
{
    struct reply *r = run_job("{\"kind\":\"train.recommendations\",\"params\":{\"algorithm\":\"item_knn\",\"weights\":{\"product_viewed\":2,\"wished\":4},\"half_life_days\":30}}");
    cr_assert_str_eq(text_at(r, "/result/model/kind"), "recommendations");
    cr_assert_str_eq(text_at(r, "/result/model/name"), "recommendations");
    cr_assert_str_eq(text_at(r, "/result/model/algorithm"), "item_knn");
    cr_assert(bool_at(r, "/result/active"));
    static const char *const members[] = {"recall_at_10", "ndcg_at_10", "precision_at_10", "map_at_10", "coverage_at_10", "novelty", "users"};
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        cr_expect_geq(num_at(r, text(M "test/%s", members[i])), 0);
        cr_expect_geq(num_at(r, text(M "baseline/%s", members[i])), 0);
    }
    cr_expect_gt(num_at(r, M "test/ndcg_at_10"), num_at(r, M "baseline/ndcg_at_10"));
    cr_expect_eq(count_at(r, M "candidates"), 2); /* and popular, which it is compared with */
    cr_expect_gt(int_at(r, M "candidates/1/tried"), 1);
    cr_expect_eq(int_at(r, M "products"), 40);

    struct reply *m = get(text("/v1/models/%s", text_at(r, "/result/model/id")));
    expect(m, 200);
    cr_expect(bool_at(m, "/active"));
    cr_expect_eq(num_at(m, "/params/weights/wished"), 4);
    cr_expect_eq(num_at(m, "/params/weights/purchase"), 5);
    cr_expect_eq(num_at(m, "/params/half_life_days"), 30);
    cr_expect_eq(num_at(m, "/metrics/test/ndcg_at_10"), num_at(r, M "test/ndcg_at_10"));
    cr_expect_gt(int_at(m, "/artifact_bytes"), 1000);
}

static void an_older_model_comes_back(void)
{
    struct reply *before = get("/v1/models?kind=recommendations&active=true");
    expect(before, 200);
    const char *old = text_at(before, "/data/0/id");
    struct reply *r = run_job("{\"kind\":\"train.recommendations\",\"params\":{\"algorithm\":\"ease\",\"regularization\":20,\"evaluate\":false}}");
    cr_expect(null_at(r, M "test"));
    cr_expect_eq(num_at(r, M "settings/regularization"), 20);
    const char *new = text_at(r, "/result/model/id");
    expect(post(text("/v1/models/%s/activate", old), ""), 200);
    cr_expect(bool_at(get(text("/v1/models/%s", old)), "/active"));
    cr_expect_not(bool_at(get(text("/v1/models/%s", new)), "/active"));
    expect(delete_(text("/v1/models/%s", old)), 409);
    expect(delete_(text("/v1/models/%s", new)), 204);
}

static void a_running_one_stops_within_seconds(void)
{
    struct reply *r = post("/v1/jobs", "{\"kind\":\"train.recommendations\",\"params\":{\"algorithm\":\"als\",\"factors\":512,\"iterations\":1000}}");
    expect(r, 202);
    const char *id = text_at(r, "/id");
    for (const double began = seconds_now(); strcmp(text_at(r, "/state"), "queued") == 0; pause_ms(20)) {
        cr_assert_lt(seconds_now() - began, 60);
        r = get(text("/v1/jobs/%s", id));
    }
    expect(delete_(text("/v1/jobs/%s", id)), 202);
    r = await_job(id, 60);
    cr_assert_str_eq(text_at(r, "/state"), "cancelled");
}

Test(train_recommendations, are_asked_for_stopped_and_taken_back, .timeout = 600)
{
    static struct instance s;
    instance_start(&s, NULL);
    client_use(&s);
    wrong_parameters_are_named();
    struct reply *r = post("/v1/jobs", "{\"kind\":\"train.recommendations\"}");
    expect(r, 202);
    r = await_job(text_at(r, "/id"), 120);
    cr_assert_str_eq(text_at(r, "/state"), "failed");
    cr_assert_not_null(strstr(text_at(r, "/error/detail"), "import orders"), "%s", r->body);
    fill(200);
    the_outcome_is_said();
    an_older_model_comes_back();
    a_running_one_stops_within_seconds();
    client_use(NULL);
    instance_done(&s);
}
