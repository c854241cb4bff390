/* A PostgreSQL that was stopped (SIGSTOP): its sockets stay open and nothing comes out of them. Every request is answered
 * nevertheless, and when it goes on everything is as if it had only been slow. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "client.h"

static struct instance s;

/* Statements may take a second and their answers two more; the rest is for a busy machine. */
enum { BOUND_S = 40, CLIENTS = 8 };

struct asker {
    pthread_t thread;
    const char *request;
    _Atomic int status;
    double seconds;
    char answer[2048];
};

static void *ask(void *arg)
{
    struct asker *a = arg;
    const double from = seconds_now();
    a->status = socket_exchange(s.port, a->request, strlen(a->request), a->answer, sizeof a->answer);
    a->seconds = seconds_now() - from;
    return NULL;
}

static const char *request_of(const char *method, const char *path, const char *body)
{
    return text("%s %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
                method, path, s.key, (int)strlen(body), body);
}

static double quick(const char *path)
{
    const double from = seconds_now();
    expect(get(path), 200);
    return seconds_now() - from;
}

Test(frozen, every_request_is_answered_while_the_database_is_stopped_and_nothing_is_lost_when_it_goes_on, .timeout = 300)
{
    static const char body[] = "{\"customer_id\":\"f1\",\"type\":\"page_viewed\",\"event_id\":\"frozen-1\"}";
    instance_start(&s, (const char *const[]){"MEROS_STATEMENT_TIMEOUT=1s", NULL});
    client_use(&s);
    expect(post("/v1/events", "{\"customer_id\":\"f1\",\"type\":\"page_viewed\",\"event_id\":\"frozen-0\"}"), 200);
    expect(get("/v1/customers/f1"), 200);
    struct asker askers[CLIENTS] = {
        {.request = request_of("GET", "/v1/customers/f1", "")},       {.request = request_of("GET", "/v1/customers/f1/events", "")},
        {.request = request_of("GET", "/v1/customers", "")},          {.request = request_of("PUT", "/v1/customers/f2", "{\"attributes\":{\"plan\":\"pro\"}}")},
        {.request = request_of("POST", "/v1/events", body)},          {.request = request_of("GET", "/v1/products", "")},
        {.request = request_of("GET", "/v1/jobs", "")},               {.request = request_of("DELETE", "/v1/customers/nobody", "")}};
    instance_signal_database(&s, SIGSTOP);
    for (int k = 0; k < CLIENTS; k++) cr_assert_eq(pthread_create(&askers[k].thread, NULL, ask, &askers[k]), 0);
    for (int k = 0; k < 5; k++) {
        cr_expect_lt(quick("/healthz"), BOUND_S);
        cr_expect_lt(quick("/metrics"), BOUND_S);
        pause_ms(200);
    }
    for (int k = 0; k < CLIENTS; k++) {
        pthread_join(askers[k].thread, NULL);
        cr_expect_eq(askers[k].status, 503, "%.60s: %d\n%s", askers[k].request, askers[k].status, askers[k].answer);
        cr_expect_not_null(strstr(askers[k].answer, "Retry-After"), "%.60s", askers[k].request);
        cr_expect_lt(askers[k].seconds, BOUND_S, "%.60s took %.1f s", askers[k].request, askers[k].seconds);
    }
    for (double until = seconds_now() + 60; get("/readyz")->status != 503; pause_ms(100)) cr_assert_lt(seconds_now(), until, "it notices");
    struct reply *m = get("/metrics");
    cr_expect_not_null(strstr(m->body, "meros_db_up 0"));

    instance_signal_database(&s, SIGCONT);
    instance_wait_ready(&s, 60);
    for (double until = seconds_now() + 60;; pause_ms(100)) {
        struct reply *r = post("/v1/events", body);
        if (r->status == 200) break;
        cr_assert_eq(r->status, 503, "%s", r->body);
        cr_assert_lt(seconds_now(), until);
    }
    struct reply *r = get("/v1/customers/f1");
    expect(r, 200);
    cr_expect_eq(int_at(r, "/stats/events/page_viewed/count"), 2, "once, whether the first try had landed or not: %s", r->body);
    cr_expect_eq(count_at(get("/v1/customers/f1/events"), "/data"), 2);
    r = put("/v1/customers/f2", "{\"attributes\":{\"plan\":\"free\"}}");
    cr_expect(r->status == 200 || r->status == 201, "%d %s", r->status, r->body);
    cr_expect_str_eq(text_at(get("/v1/customers/f2"), "/attributes/plan"), "free", "what was asked for before does not come afterwards");
    instance_done(&s);
}
