/* The life of a job, from 202 to its end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "client.h"

Test(jobs, are_queued_with_202_and_a_location)
{
    struct reply *r = post("/v1/jobs", "{\"kind\":\"refresh\"}");
    expect(r, 202);
    cr_assert_str_eq(header_of(r, "Location"), text("/v1/jobs/%s", text_at(r, "/id")));
    r = await_job(text_at(r, "/id"), 60);
    cr_assert_str_eq(text_at(r, "/state"), "succeeded", "%s", r->body);
    cr_assert_eq(num_at(r, "/progress"), 1);
    cr_assert(!null_at(r, "/started_at") && !null_at(r, "/finished_at") && null_at(r, "/error"));
    const char *id = text_at(r, "/id");
    expect(get(text("/v1/jobs/%s/done", id)), 200);
    expect(delete_(text("/v1/jobs/%s", id)), 409);
    r = get("/v1/jobs?state=succeeded&kind=refresh&limit=1000");
    cr_assert_not_null(strstr(r->body, id));
    cr_assert_null(strstr(get("/v1/jobs?state=failed&limit=1000")->body, id));
    cr_assert_eq(count_at(get("/v1/jobs?kind=nothing.of.the.kind"), "/data"), 0);
}

Test(jobs, of_unknown_kinds_and_with_wrong_params_are_refused_with_pointers)
{
    expect_fault(post("/v1/jobs", "{\"kind\":\"train.everything\"}"), 400, "/kind");
    expect_fault(post("/v1/jobs", "{\"kind\":\"refresh\",\"params\":{\"all\":true}}"), 400, "/params/all");
    struct reply *r = post("/v1/jobs", "{\"kind\":\"train.segments\",\"params\":{\"k\":\"seven\",\"method\":\"magic\",\"seed\":-1,\"scaling\":7,\"colour\":1,\"as_of\":\"soon\"}}");
    expect(r, 400);
    static const char *const pointers[] = {"/params/k", "/params/method", "/params/seed", "/params/scaling", "/params/colour", "/params/as_of"};
    for (size_t i = 0; i < sizeof pointers / sizeof pointers[0]; i++) cr_assert(has_fault(r, pointers[i]), "%s in %s", pointers[i], r->body);
    expect_fault(post("/v1/jobs", "{\"kind\":\"train.segments\",\"params\":{\"features\":[\"recency_days\",\"shoe_size\"]}}"), 422, "/params/features/1");
    expect_fault(post("/v1/jobs", "{\"kind\":\"train.segments\",\"params\":{\"k\":0}}"), 400, "/params/k");
    expect_fault(post("/v1/jobs", "{\"kind\":\"train.segments\",\"params\":{\"k\":100000}}"), 400, "/params/k");
    expect_fault(post("/v1/jobs", "{\"kind\":\"train.segments\",\"params\":{\"name\":\"a/b\"}}"), 400, "/params/name");
}

/* --- with a queue that stands still, and one that is busy */

static bool until_done(void *arg, const char *p, size_t n)
{
    struct buf *b = arg;
    buf_append(b, p, n);
    return !b->failed;
}

static void fill(int customers)
{
    struct buf b;
    buf_init(&b, 64 << 20);
    buf_str(&b, "order_id,customer_id,ordered_at,product_id,quantity,unit_price\n");
    uint32_t r = 5;
    for (int c = 0; c < customers; c++)
        for (int o = 0; o < 2 + c % 5; o++) {
            r = r * 1664525u + 1013904223u;
            buf_printf(&b, "j-%d-%d,j-%d,2025-%02d-%02d,p%u,%u,%u.5\n", c, o, c, 1 + (int)(r >> 8) % 12, 1 + (int)(r >> 12) % 28, r >> 24, 1 + (r >> 16) % 5, 1 + (r >> 20) % 80);
        }
    expect(call(&(struct call){.method = "POST", .path = "/v1/imports/orders", .type = "text/csv", .body = b.data, .n = b.len, .timeout = 120}), 200);
    buf_done(&b);
}

Test(jobs, stream_their_progress_until_they_end, .timeout = 500)
{
    struct instance s;
    struct buf events;
    instance_start(&s, (const char *const[]){"MEROS_LOG_LEVEL=info", NULL});
    client_use(&s);
    fill(300);
    struct reply *job = post("/v1/jobs", "{\"kind\":\"train.segments\",\"params\":{\"name\":\"stream\",\"k\":3,\"seed\":1}}");
    expect(job, 202);
    const char *path = text("/v1/jobs/%s/stream", text_at(job, "/id"));
    buf_init(&events, 16 << 20);
    struct reply *r = call(&(struct call){.method = "GET", .path = path, .sink = until_done, .sink_arg = &events, .timeout = 120});
    expect(r, 200);
    cr_assert_eq(strncmp(r->type, "text/event-stream", 17), 0);
    double last = 0;
    int n = 0;
    bool done = false;
    char *save = NULL;
    for (char *event = strtok_r(events.data, "\n", &save); event != NULL; event = strtok_r(NULL, "\n", &save)) {
        if (strcmp(event, "event: done") == 0) done = true;
        if (strncmp(event, "data: ", 6) != 0) continue;
        struct json *v = NULL;
        struct meros_err err = MEROS_ERR_INIT;
        cr_assert_eq(json_parse(event + 6, strlen(event + 6), &v, &err), MEROS_OK, "%s", event);
        double progress = json_num(json_get(v, "progress"));
        cr_assert_geq(progress, last, "progress never goes back");
        last = progress;
        n++;
        if (done) cr_assert(str_is(json_str(json_get(v, "state")), "succeeded"), "%s", event);
        json_free(v);
    }
    cr_assert(done && n >= 2 && last == 1, "%d events, the last at %g", n, last);
    buf_done(&events);
    expect(call(&(struct call){.method = "GET", .path = path, .headers = (const char *const[]){"Last-Event-ID: done", NULL}}), 204);
    expect(get("/v1/jobs/job_nope/stream"), 404);
    instance_done(&s);
}

Test(jobs, are_cancelled_while_queued_at_once_and_while_running_within_seconds, .timeout = 500)
{
    struct instance s;
    instance_start(&s, (const char *const[]){"MEROS_LOG_LEVEL=info", NULL});
    client_use(&s);
    fill(1500);
    const char *train = "{\"kind\":\"train.segments\",\"params\":{\"name\":\"c\",\"k\":\"auto\"}}";
    struct reply *first = post("/v1/jobs", train), *last = NULL;
    for (int i = 0; i < 4; i++) { /* so many trainings take longer than this client, however slow it is */
        last = post("/v1/jobs", train);
        expect(last, 202);
    }
    const char *running = text("/v1/jobs/%s", text_at(first, "/id")), *queued = text("/v1/jobs/%s", text_at(last, "/id"));
    expect(get(text("%s/done", queued)), 404);
    struct reply *r = delete_(queued);
    expect(r, 200);
    cr_assert_str_eq(text_at(r, "/state"), "cancelled");
    expect(get(text("%s/done", queued)), 409);
    double began = seconds_now();
    r = delete_(running);
    if (r->status != 409) { /* it may have ended on a fast machine */
        cr_assert(r->status == 200 || r->status == 202, "%d %s", r->status, r->body);
        r = await_job(text_at(first, "/id"), 60);
        cr_assert(strcmp(text_at(r, "/state"), "cancelled") == 0 || strcmp(text_at(r, "/state"), "succeeded") == 0, "%s", r->body);
        cr_assert_lt(seconds_now() - began, 40);
    }
    r = post("/v1/jobs", "{\"kind\":\"train.segments\",\"params\":{\"name\":\"c\",\"k\":2}}");
    cr_assert_str_eq(text_at(await_job(text_at(r, "/id"), 200), "/state"), "succeeded", "the queue goes on");
    expect(delete_("/v1/jobs/job_nope"), 404);
    instance_done(&s);
}

Test(jobs, that_cannot_be_done_fail_with_a_problem, .timeout = 500)
{
    struct instance s;
    instance_start(&s, NULL); /* nobody has bought anything */
    client_use(&s);
    struct reply *r = post("/v1/jobs", "{\"kind\":\"train.segments\"}");
    expect(r, 202);
    r = await_job(text_at(r, "/id"), 60);
    cr_assert_str_eq(text_at(r, "/state"), "failed", "%s", r->body);
    cr_assert_eq(strncmp(text_at(r, "/error/type"), "/problems/", 10), 0);
    cr_assert_gt(strlen(text_at(r, "/error/detail")), 10);
    cr_assert(null_at(r, "/result"));
    expect(get(text("/v1/jobs/%s/done", text_at(r, "/id"))), 409);
    instance_done(&s);
}
