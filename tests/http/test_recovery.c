/* What happens when something dies in the middle of it, and what stays in the log. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "client.h"

static struct instance s;

static void fill(int customers)
{
    struct buf b;
    buf_init(&b, 64 << 20);
    buf_str(&b, "order_id,customer_id,ordered_at,product_id,quantity,unit_price\n");
    uint32_t r = 3;
    for (int c = 0; c < customers; c++)
        for (int o = 0; o < 1 + c % 6; o++) {
            r = r * 1664525u + 1013904223u;
            buf_printf(&b, "r-%d-%d,r-%d,2025-%02d-%02d,p%u,%u,%u.5\n", c, o, c, 1 + (int)(r >> 8) % 12, 1 + (int)(r >> 12) % 28, r >> 24, 1 + (r >> 16) % 5, 1 + (r >> 20) % 80);
        }
    expect(call(&(struct call){.method = "POST", .path = "/v1/imports/orders", .type = "text/csv", .body = b.data, .n = b.len, .timeout = 120}), 200);
    buf_done(&b);
}

/* Heavy enough to be under way when it is struck. */
static const char *const heavy = "{\"kind\":\"train.segments\",\"params\":{\"name\":\"heavy\",\"k\":\"auto\",\"seed\":1}}";

static void await_running(const char *id)
{
    for (double until = seconds_now() + 100;; pause_ms(5)) {
        const char *state = text_at(get(text("/v1/jobs/%s", id)), "/state");
        if (strcmp(state, "running") == 0) return;
        cr_assert_str_eq(state, "queued", "it ended before it could be struck");
        cr_assert_lt(seconds_now(), until);
    }
}

Test(recovery, a_training_killed_with_its_process_is_taken_over_and_ends_right, .timeout = 500)
{
    instance_start(&s, (const char *const[]){"MEROS_LOG_LEVEL=info", NULL});
    client_use(&s);
    fill(4000);
    struct reply *r = post("/v1/jobs", heavy);
    expect(r, 202);
    const char *id = text_at(r, "/id");
    await_running(id);
    instance_kill(&s);
    instance_again(&s);
    r = await_job(id, 120);
    cr_assert_str_eq(text_at(r, "/state"), "succeeded", "%s", r->body);
    cr_assert_eq(int_at(r, "/attempts"), 2);
    struct reply *models = get("/v1/models");
    cr_assert_eq(count_at(models, "/data"), 1, "the first attempt left nothing half done: %s", models->body);
    cr_assert_str_eq(text_at(get("/v1/segmentations/heavy"), "/model/id"), text_at(r, "/result/model/id"));
    cr_assert_eq(int_at(get("/v1/segmentations/heavy"), "/customers"), 4000);
    instance_done(&s);
}

/* --- under load */

struct load {
    pthread_t thread;
    int index;
    _Atomic bool stop;
    int answered;
    _Atomic int acknowledged;
    int unavailable, broken, wrong;
};

/* A raw client of its own: one request a connection, as curl's handle is the test's. */
static void *send_orders(void *arg)
{
    struct load *l = arg;
    for (int i = 0; !l->stop; i++) {
        char body[200], request[600];
        int n = snprintf(body, sizeof body, "order_id,customer_id,ordered_at,amount\nload-%d-%d,load-%d,2025-06-01,1\n", l->index, i, l->index);
        snprintf(request, sizeof request, "POST /v1/imports/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: text/csv\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", s.key, n, body);
        char answer[2048] = "";
        int status = socket_exchange(s.port, request, strlen(request), answer, sizeof answer);
        if (status == 0) l->broken++;
        else if (status == 503 || status == 504) l->unavailable += strstr(answer, "Retry-After") != NULL, l->wrong += strstr(answer, "Retry-After") == NULL && status == 503;
        else if (status == 200) l->acknowledged++;
        else l->wrong++;
        l->answered++;
        if (status != 200) pause_ms(20);
    }
    return NULL;
}

enum { LOADERS = 3 };
static struct load loaders[LOADERS];

static void load_begin(void)
{
    for (int i = 0; i < LOADERS; i++) {
        loaders[i].index = i;
        loaders[i].stop = false;
        loaders[i].acknowledged = 0;
        loaders[i].answered = loaders[i].unavailable = loaders[i].broken = loaders[i].wrong = 0;
        cr_assert_eq(pthread_create(&loaders[i].thread, NULL, send_orders, &loaders[i]), 0);
    }
}

/* Waits until so many more were acknowledged. */
static void load_goes_on(int more)
{
    int before = -1;
    for (double until = seconds_now() + 60;; pause_ms(10)) {
        int now = 0;
        for (int i = 0; i < LOADERS; i++) now += loaders[i].acknowledged;
        if (before < 0) before = now;
        if (now >= before + more) return;
        cr_assert_lt(seconds_now(), until, "%d", now - before);
    }
}

static int load_end(int *out_unavailable, int *out_broken)
{
    int acknowledged = 0, wrong = 0;
    *out_unavailable = *out_broken = 0;
    for (int i = 0; i < LOADERS; i++) {
        loaders[i].stop = true;
        pthread_join(loaders[i].thread, NULL);
        acknowledged += loaders[i].acknowledged;
        *out_unavailable += loaders[i].unavailable;
        *out_broken += loaders[i].broken;
        wrong += loaders[i].wrong;
    }
    cr_assert_eq(wrong, 0, "answers that were neither 200 nor 503 with Retry-After: %d", wrong);
    return acknowledged;
}

/* Each acknowledged order was of 1: the revenue says how many there are. */
static double stored(void)
{
    double sum = 0;
    for (int i = 0; i < LOADERS; i++) {
        struct reply *r = get(text("/v1/customers/load-%d", i));
        if (r->status == 200) sum += num_at(r, "/stats/revenue");
    }
    return sum;
}

Test(recovery, the_death_of_postgresql_under_load_loses_nothing_that_was_acknowledged, .timeout = 500)
{
    int unavailable, broken;
    instance_start(&s, (const char *const[]){"MEROS_LOG_LEVEL=info", NULL});
    client_use(&s);
    load_begin();
    load_goes_on(10);
    pid_t postmaster = instance_postmaster(&s);
    cr_assert(postmaster > 0 && kill(postmaster, SIGKILL) == 0);
    for (double until = seconds_now() + 60; get("/readyz")->status == 200 && seconds_now() < until;) pause_ms(10);
    expect(get("/healthz"), 200);
    instance_wait_ready(&s, 100);
    load_goes_on(10);
    int acknowledged = load_end(&unavailable, &broken);
    cr_assert_eq(broken, 0, "the service itself never went away");
    cr_assert_gt(unavailable, 0, "meanwhile it said 503");
    cr_assert_geq(acknowledged, 20);
    cr_assert_geq(stored(), acknowledged, "acknowledged %d", acknowledged);
    instance_done(&s);
}

Test(recovery, terminated_under_load_and_training_it_leaves_within_ten_seconds_and_hands_the_job_back, .timeout = 500)
{
    int unavailable, broken;
    instance_start(&s, (const char *const[]){"MEROS_LOG_LEVEL=info", NULL});
    client_use(&s);
    fill(4000);
    load_begin();
    load_goes_on(1);
    struct reply *r = post("/v1/jobs", heavy);
    const char *id = text_at(r, "/id");
    await_running(id);
    double began = seconds_now();
    cr_assert_eq(instance_stop(&s), 0);
    cr_assert_lt(seconds_now() - began, 30);
    int acknowledged = load_end(&unavailable, &broken);
    cr_assert_gt(acknowledged, 0);
    began = seconds_now();
    instance_again(&s);
    cr_assert_lt(seconds_now() - began, 60, "the second start is quick");
    cr_assert_geq(stored(), acknowledged);
    r = await_job(id, 120);
    cr_assert_str_eq(text_at(r, "/state"), "succeeded", "%s", r->body);
    instance_done(&s);
}

/* --- the log */

Test(recovery, neither_secrets_nor_personal_data_reach_the_log, .timeout = 500)
{
    static const char *const formats[] = {"MEROS_LOG_FORMAT=text", "MEROS_LOG_FORMAT=json"};
    for (int f = 0; f < 2; f++) {
        instance_start(&s, (const char *const[]){formats[f], "MEROS_LOG_LEVEL=debug", NULL});
        client_use(&s);
        const char *key = key_with("read");
        put("/v1/customers/Secret-Customer", "{\"email\":\"secret.mail@example.org\",\"name\":\"Secret Name\",\"phone\":\"+49 30 5550199\",\"attributes\":{\"note\":\"secret-attribute\"}}");
        patch("/v1/customers/Secret-Customer", "{\"email\":\"secret.mail2@example.org\",\"attributes\":{\"note\":\"secret-attribute\"}}");
        put("/v1/customers/Secret-Customer", "{\"email\":7,\"name\":\"Secret Name\",\"secret-field\":1}");
        put("/v1/customers/Secret-Customer", "{\"email\": secret.mail@example.org}");
        import_("customers", NULL, "customer_id,email,name\nSecret-Customer,secret.mail@example.org,Secret Name\n,secret.mail@example.org,Secret Name\n");
        import_("events", NULL, "{\"customer_id\":\"Secret-Customer\",\"type\":\"secret-type\",\"properties\":{\"text\":\"secret-text\"}}\n{\"customer_id\":7,\"email\":\"secret.mail@example.org\"}\n");
        import_("orders", "on_error=abort", "order_id,customer_id,ordered_at\nsecret-order,Secret-Customer,secret-time\n");
        get("/v1/customers/Secret-Customer");
        get("/v1/customers/Secret-Customer/orders?limit=secret-parameter");
        call(&(struct call){.method = "GET", .path = "/v1/jobs", .key = key});
        call(&(struct call){.method = "GET", .path = "/v1/jobs", .key = "secret-wrong-key"});
        call(&(struct call){.method = "POST", .path = "/v1/keys", .body = "{\"name\":\"n\",\"scopes\":[\"read\"]}", .headers = (const char *const[]){"Idempotency-Key: secret-idempotency", NULL}});
        delete_("/v1/customers/Secret-Customer");
        cr_assert_eq(instance_stop(&s), 0);
        char *log = instance_log(&s, 0);
        const char *const never[] = {s.key, key, "mk_", "secret.mail", "Secret Name", "5550199", "secret-attribute", "secret-field", "secret-type", "secret-text", "secret-order",
                                     "secret-time", "secret-parameter", "secret-wrong-key", "secret-idempotency", "Secret-Customer"};
        for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
            const char *found = strstr(log, never[i]);
            cr_assert_null(found, "\"%s\" is in the log: %.300s", never[i], found == NULL ? "" : found - (found - log > 150 ? 150 : found - log));
        }
        cr_assert_not_null(strstr(log, "putCustomer"), "requests are logged by their route");
        /* Every line is a line of ours. */
        for (char *line = log, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
            *end = '\0';
            struct json *v = NULL;
            struct meros_err err = MEROS_ERR_INIT;
            if (f == 0) cr_assert(strncmp(line, "20", 2) == 0 && strstr(line, " level=") != NULL && strstr(line, " event=") != NULL, "%s", line);
            else cr_assert(json_parse(line, (size_t)(end - line), &v, &err) == MEROS_OK && json_get(v, "event") != NULL, "%s: %s", err.detail, line);
            json_free(v);
        }
        free(log);
        instance_done(&s);
    }
}
