/* Jobs over HTTP: queued, listed, followed, cancelled; and what becomes of them when the service is stopped or killed. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include "client.h"

enum { MANY = 6000 };

/* A shop of n customers with two orders each, enough to divide. */
static const char *shop(int n)
{
    size_t cap = (size_t)n * 2 * 48 + 100, len = 0;
    char *csv = malloc(cap);
    cr_assert(csv != NULL && keep(csv));
    len += (size_t)snprintf(csv, cap, "order_id,customer_id,ordered_at,product_id,quantity,unit_price\n");
    for (int i = 0; i < 2 * n; i++)
        len += (size_t)snprintf(csv + len, cap - len, "o%d,c%d,2026-%02d-%02d,p%d,%d,%d\n", i, i % n, 1 + i % 9, 1 + i % 28, i % 17, 1 + i % 5,
                                1 + (i * 7919) % 90);
    return csv;
}

static struct reply *job(const char *id)
{
    return get(text("/v1/jobs/%s", id));
}

static const char *queue(const char *json)
{
    struct reply *r = post("/v1/jobs", json);
    expect(r, 202);
    cr_assert_str_eq(header_of(r, "Location"), text("/v1/jobs/%s", text_at(r, "/id")));
    return text_at(r, "/id");
}

static void await_state(const char *id, const char *state, double seconds)
{
    double end = seconds_now() + seconds;
    struct reply *r = job(id);
    while (strcmp(text_at(r, "/state"), state) != 0 && seconds_now() < end) {
        pause_ms(20);
        r = job(id);
    }
    cr_assert_str_eq(text_at(r, "/state"), state, "%s", r->body);
}

Test(jobs, an_unknown_kind_is_answered_with_those_that_there_are)
{
    struct reply *r = post("/v1/jobs", "{\"kind\":\"train.miracles\"}");
    expect_fault(r, 400, "/kind");
    cr_assert_not_null(strstr(text_at(r, "/detail"), "train.segments"), "%s", r->body);
    expect_fault(post("/v1/jobs", "{}"), 400, "/kind");
    expect_fault(post("/v1/jobs", "{\"kind\":\"refresh\",\"priority\":1}"), 400, "/priority");
}

Test(jobs, wrong_params_are_told_by_their_pointers)
{
    expect_fault(post("/v1/jobs", "{\"kind\":\"train.segments\",\"params\":{\"k\":\"many\"}}"), 400, "/params/k");
    expect_fault(post("/v1/jobs", "{\"kind\":\"train.segments\",\"params\":{\"kk\":3}}"), 400, "/params/kk");
    expect_fault(post("/v1/jobs", "{\"kind\":\"train.segments\",\"params\":[]}"), 400, "/params");
    expect_fault(post("/v1/jobs", "{\"kind\":\"train.segments\",\"params\":{\"method\":\"rfm\",\"k\":3}}"), 422, "/params/k");
}

Test(jobs, one_that_has_ended_says_so_everywhere)
{
    expect(import_("orders", "", shop(50)), 200);
    const char *id = text_at(run_job("{\"kind\":\"train.segments\",\"params\":{\"name\":\"jobs-a\",\"method\":\"rfm\"}}"), "/id");
    struct reply *r = job(id);
    expect(r, 200);
    cr_assert_eq(num_at(r, "/progress"), 1);
    cr_assert_str_eq(text_at(r, "/result/model/algorithm"), "rfm");
    cr_assert(null_at(r, "/error"));
    expect(get(text("/v1/jobs/%s/done", id)), 200);
    r = delete_(text("/v1/jobs/%s", id));
    expect(r, 409);
    bool listed = false;
    r = get("/v1/jobs?state=succeeded&kind=train.segments&limit=1000");
    expect(r, 200);
    for (size_t i = 0; i < count_at(r, "/data"); i++)
        listed = listed || strcmp(text_at(r, text("/data/%zu/id", i)), id) == 0;
    cr_assert(listed);
    expect(get("/v1/jobs/job_none"), 404);
    expect(delete_("/v1/jobs/job_none"), 404);
    expect(get("/v1/jobs/job_none/stream"), 404);
    expect_fault(get("/v1/jobs?state=asleep"), 400, "?state");
}

Test(jobs, what_cannot_be_done_fails_with_the_reason)
{
    struct instance s;
    instance_start(&s, NULL);
    client_use(&s);
    const char *id = queue("{\"kind\":\"train.segments\"}");
    struct reply *r = await_job(id, 20);
    cr_assert_str_eq(text_at(r, "/state"), "failed");
    cr_assert_str_eq(text_at(r, "/error/instance"), id);
    cr_assert_gt(strlen(text_at(r, "/error/detail")), 10);
    expect(get(text("/v1/jobs/%s/done", id)), 409);
    instance_done(&s);
}

struct events {
    char text[20000];
    size_t n;
    const char *cancel; /* a job to cancel at the first event */
    double cancelled_at;
};

static bool hear(void *arg, const char *p, size_t n)
{
    struct events *e = arg;
    size_t take = n < sizeof e->text - 1 - e->n ? n : sizeof e->text - 1 - e->n;
    memcpy(e->text + e->n, p, take);
    e->n += take;
    e->text[e->n] = '\0';
    if (e->cancel != NULL && strstr(e->text, "event: progress") != NULL) {
        const char *request = text("DELETE /v1/jobs/%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nConnection: close\r\n\r\n",
                                   e->cancel, client_instance()->key); /* curl is busy listening */
        const char *answer = raw_exchange(request, strlen(request), 5);
        cr_assert_not_null(strstr(answer, " 200 OK"), "%s", answer);
        e->cancelled_at = seconds_now();
        e->cancel = NULL;
    }
    return true;
}

Test(jobs, wait_in_the_queue_page_by_page_and_leave_it_when_cancelled)
{
    struct instance s;
    struct events e = {0};
    const char *ids[3];
    instance_start(&s, (const char *const[]){"MEROS_JOB_WORKERS=0", NULL});
    client_use(&s);
    for (int i = 0; i < 3; i++)
        ids[i] = queue("{\"kind\":\"refresh\"}");
    struct reply *r = get("/v1/jobs?limit=2");
    expect(r, 200);
    cr_assert_eq(count_at(r, "/data"), 2);
    cr_assert_str_eq(text_at(r, "/data/0/id"), ids[2], "newest first");
    const char *next = text_at(r, "/next");
    queue("{\"kind\":\"refresh\"}"); /* a cursor stays right while jobs are added */
    r = get(text("/v1/jobs?limit=2&cursor=%s", next));
    cr_assert_eq(count_at(r, "/data"), 1);
    cr_assert_str_eq(text_at(r, "/data/0/id"), ids[0]);
    cr_assert(null_at(r, "/next"));
    expect_fault(get(text("/v1/keys?cursor=%s", next)), 400, "?cursor");

    expect(get(text("/v1/jobs/%s/done", ids[0])), 404);
    e.cancel = ids[0];
    r = call(&(struct call){.method = "GET", .path = text("/v1/jobs/%s/stream", ids[0]), .sink = hear, .sink_arg = &e, .timeout = 10});
    expect(r, 200);
    cr_assert_not_null(strstr(e.text, "event: done\ndata: {"), "%s", e.text);
    cr_assert_not_null(strstr(e.text, "\"state\":\"cancelled\""), "%s", e.text);
    cr_assert_lt(seconds_now() - e.cancelled_at, 2);
    expect(get(text("/v1/jobs/%s/done", ids[0])), 409);
    r = call(&(struct call){.method = "GET", .path = text("/v1/jobs/%s/stream", ids[0]),
                            .headers = (const char *const[]){"Last-Event-ID: done", NULL}});
    expect(r, 204);
    instance_done(&s);
}

Test(jobs, a_running_one_stops_within_two_seconds, .timeout = 120)
{
    struct instance s;
    instance_start(&s, NULL);
    client_use(&s);
    expect(import_("orders", "", shop(MANY)), 200);
    const char *id = queue("{\"kind\":\"train.segments\",\"params\":{\"name\":\"long\"}}");
    await_state(id, "running", 20);
    double asked = seconds_now();
    expect(delete_(text("/v1/jobs/%s", id)), 202);
    struct reply *r = await_job(id, 10);
    cr_assert_str_eq(text_at(r, "/state"), "cancelled", "%s", r->body);
    cr_assert_lt(seconds_now() - asked, 3);
    expect(get("/v1/segmentations/long"), 404);
    instance_done(&s);
}

static void one_model_of(const char *id)
{
    struct reply *r = get("/v1/models?kind=segments");
    int n = 0;
    expect(r, 200);
    for (size_t i = 0; i < count_at(r, "/data"); i++)
        n += strcmp(text_at(r, text("/data/%zu/job_id", i)), id) == 0;
    cr_assert_eq(n, 1, "%d models of one job", n);
}

Test(jobs, one_whose_process_was_killed_is_taken_over_and_ends_right, .timeout = 180)
{
    struct instance s;
    instance_start(&s, NULL);
    client_use(&s);
    expect(import_("orders", "", shop(MANY)), 200);
    const char *id = queue("{\"kind\":\"train.segments\",\"params\":{\"name\":\"killed\",\"seed\":3}}");
    await_state(id, "running", 20);
    instance_kill(&s);
    instance_again(&s);
    client_use(&s);
    struct reply *r = await_job(id, 90);
    cr_assert_str_eq(text_at(r, "/state"), "succeeded", "%s", r->body);
    cr_assert_eq(int_at(r, "/attempts"), 2);
    one_model_of(id);
    expect(get("/v1/segmentations/killed"), 200);
    instance_done(&s);
}

Test(jobs, one_that_runs_when_the_service_stops_goes_back_into_the_queue, .timeout = 180)
{
    struct instance s;
    instance_start(&s, NULL);
    client_use(&s);
    expect(import_("orders", "", shop(MANY)), 200);
    const char *id = queue("{\"kind\":\"train.segments\",\"params\":{\"name\":\"stopped\"}}");
    await_state(id, "running", 20);
    double asked = seconds_now();
    cr_assert_eq(instance_stop(&s), 0);
    cr_assert_lt(seconds_now() - asked, 10);
    instance_again(&s);
    client_use(&s);
    struct reply *r = await_job(id, 90);
    cr_assert_str_eq(text_at(r, "/state"), "succeeded", "%s", r->body);
    cr_assert_eq(int_at(r, "/attempts"), 1, "handing back is not an attempt");
    one_model_of(id);
    instance_done(&s);
}

Test(jobs, those_who_may_only_read_can_look_and_not_touch)
{
    struct reply *key = post("/v1/keys", "{\"name\":\"looker\",\"scopes\":[\"read\"]}");
    expect(key, 201);
    const char *looker = text_at(key, "/key");
    expect(call(&(struct call){.method = "GET", .path = "/v1/jobs", .key = looker}), 200);
    struct reply *r = call(&(struct call){.method = "POST", .path = "/v1/jobs", .key = looker, .body = "{\"kind\":\"refresh\"}"});
    expect(r, 403);
    cr_assert_not_null(strstr(text_at(r, "/detail"), "train"), "the scope that is needed is named: %s", r->body);
    expect(call(&(struct call){.method = "DELETE", .path = "/v1/jobs/job_none", .key = looker}), 403);
}
