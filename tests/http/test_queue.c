/* The queue over HTTP: page by page, followed while it changes; what a key that may only look can do. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include "client.h"

static const char *queue(const char *json)
{
    struct reply *r = post("/v1/jobs", json);
    expect(r, 202);
    cr_assert_str_eq(header_of(r, "Location"), text("/v1/jobs/%s", text_at(r, "/id")));
    return text_at(r, "/id");
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
        const char *answer = raw_exchange(request, strlen(request), 60);
        cr_assert_not_null(strstr(answer, " 200 OK"), "%s", answer);
        e->cancelled_at = seconds_now();
        e->cancel = NULL;
    }
    return true;
}

Test(queue, wait_in_the_queue_page_by_page_and_leave_it_when_cancelled)
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
    r = call(&(struct call){.method = "GET", .path = text("/v1/jobs/%s/stream", ids[0]), .sink = hear, .sink_arg = &e, .timeout = 100});
    expect(r, 200);
    cr_assert_not_null(strstr(e.text, "event: done\ndata: {"), "%s", e.text);
    cr_assert_not_null(strstr(e.text, "\"state\":\"cancelled\""), "%s", e.text);
    cr_assert_lt(seconds_now() - e.cancelled_at, 30);
    expect(get(text("/v1/jobs/%s/done", ids[0])), 409);
    r = call(&(struct call){.method = "GET", .path = text("/v1/jobs/%s/stream", ids[0]),
                            .headers = (const char *const[]){"Last-Event-ID: done", NULL}});
    expect(r, 204);
    instance_done(&s);
}

Test(queue, those_who_may_only_read_can_look_and_not_touch)
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
