/* Receivers are told: signed, again until they have it, each for itself. Those of the tests listen on the loopback. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "client.h"
#include "meros/base/crypto.h"
#include "unit_receiver.h"

static const char *url_of(struct receiver *r)
{
    return text("http://127.0.0.1:%d/hook", receiver_port(r));
}

/* PUT with some members beside the url; its answer. */
static struct reply *hook(const char *name, struct receiver *r, const char *members)
{
    struct reply *x = put(text("/v1/webhooks/%s", name), text("{\"url\":\"%s\",\"events\":[\"job.finished\"]%s}", url_of(r), members));
    cr_assert(x->status == 200 || x->status == 201, "%d %s", x->status, x->body);
    return x;
}

/* Of the tests that say little about events: only messages that were asked for come. */
static struct reply *quiet_hook(const char *name, struct receiver *r)
{
    return put(text("/v1/webhooks/%s", name), text("{\"url\":\"%s\",\"events\":[\"segment.left\"],\"segmentation\":\"nobody\"}", url_of(r)));
}

static const char *send_test(const char *name)
{
    struct reply *r = post(text("/v1/webhooks/%s/test", name), "");
    expect(r, 202);
    return text_at(r, "/id");
}

static struct reply *await_state(const char *name, bool (*there)(const struct reply *r), double seconds)
{
    struct reply *r;
    double end = seconds_now() + seconds;
    do {
        r = get(text("/v1/webhooks/%s", name));
        expect(r, 200);
        if (there(r)) return r;
        pause_ms(20);
    } while (seconds_now() < end);
    cr_assert_fail("it did not come to that: %s", r->body);
    return NULL;
}

static bool nothing_waits(const struct reply *r)
{
    return int_at(r, "/waiting") == 0;
}
static bool off(const struct reply *r)
{
    return !bool_at(r, "/enabled");
}
static bool failing(const struct reply *r)
{
    return !null_at(r, "/failing_since");
}

static const char *head_of(const struct received *x, const char *name)
{
    char *v = received_header(x, name);
    cr_assert_not_null(v, "no %s in %s", name, x->head);
    keep(v);
    return v;
}

/* By the specification's words: base64(HMAC-SHA256(base64-decoded secret, id.timestamp.body)). */
static const char *signature_of(const char *secret, const struct received *x)
{
    unsigned char key[64], digest[SHA256_BYTES];
    char base64[64];
    size_t n;
    cr_assert(base64_decode_standard(str_of(secret + 6), key, sizeof key, &n));
    const char *content = text("%s.%s.%s", head_of(x, "webhook-id"), head_of(x, "webhook-timestamp"), x->body);
    crypto_hmac_sha256(key, n, content, strlen(content), digest);
    base64_encode_standard(digest, sizeof digest, base64);
    return text("v1,%s", base64);
}

Test(webhooks, are_made_shown_listed_replaced_and_deleted)
{
    struct reply *made = put("/v1/webhooks/crm", "{\"url\":\"https://crm.example.com/hook\",\"events\":[\"segment.entered\",\"segment.left\","
                                                 "\"segment.left\"],\"segmentation\":\"behaviour\",\"segment\":\"s1\"}");
    expect(made, 201);
    cr_assert_eq(strncmp(text_at(made, "/secret"), "whsec_", 6), 0);
    cr_assert_eq(strlen(text_at(made, "/secret")), 6 + 44, "256 bits");
    cr_assert_not_null(strstr(header_of(made, "Cache-Control"), "no-store"));
    cr_assert_eq(count_at(made, "/events"), 2);
    cr_assert(bool_at(made, "/enabled") && null_at(made, "/disabled_reason") && null_at(made, "/failing_since"));
    struct reply *seen = get("/v1/webhooks/crm");
    expect(seen, 200);
    cr_assert_null(at(seen, "/secret"));
    cr_assert_str_eq(text_at(seen, "/segmentation"), "behaviour");
    cr_assert_str_eq(text_at(seen, "/segment"), "s1");
    struct reply *again = put("/v1/webhooks/crm", "{\"url\":\"https://crm.example.com/other\",\"events\":[\"job.finished\"],\"enabled\":false}");
    expect(again, 200);
    cr_assert_null(at(again, "/secret"), "it keeps the one it has");
    cr_assert(null_at(again, "/segmentation") && !bool_at(again, "/enabled") && !null_at(again, "/disabled_at"));
    expect(post("/v1/webhooks/crm/test", ""), 409);
    put("/v1/webhooks/crm2", "{\"url\":\"https://crm.example.com/hook\",\"events\":[\"job.finished\"]}");
    struct reply *page = get("/v1/webhooks?limit=1");
    expect(page, 200);
    bool found = false;
    for (int i = 0; i < 60 && !found; i++) {
        found = strcmp(text_at(page, "/data/0/name"), "crm2") == 0;
        cr_assert(found || !null_at(page, "/next"));
        if (!found) page = get(text("/v1/webhooks?limit=1&cursor=%s", text_at(page, "/next")));
    }
    expect(delete_("/v1/webhooks/crm"), 204);
    expect(delete_("/v1/webhooks/crm2"), 204);
    expect(get("/v1/webhooks/crm"), 404);
    expect(delete_("/v1/webhooks/crm"), 404);
    expect(post("/v1/webhooks/crm/test", ""), 404);
    expect(get("/v1/webhooks/crm/deliveries"), 404);
}

Test(webhooks, are_refused_with_pointers_when_asked_for_wrongly)
{
    expect_fault(put("/v1/webhooks/x", "{\"events\":[\"job.finished\"]}"), 400, "/url");
    expect_fault(put("/v1/webhooks/x", "{\"url\":\"https://example.com\"}"), 400, "/events");
    expect_fault(put("/v1/webhooks/x", "{\"url\":\"https://example.com\",\"events\":[]}"), 400, "/events");
    expect_fault(put("/v1/webhooks/x", "{\"url\":\"ftp://example.com\",\"events\":[\"job.finished\"]}"), 400, "/url");
    expect_fault(put("/v1/webhooks/x", "{\"url\":\"https://a:b@example.com\",\"events\":[\"job.finished\"]}"), 400, "/url");
    expect_fault(put("/v1/webhooks/x", "{\"url\":\"https://example.com\",\"events\":[\"job.finished\"],\"segment\":\"s1\"}"), 400, "/segment");
    expect_fault(put("/v1/webhooks/x", "{\"url\":\"https://example.com\",\"events\":[\"job.finished\"],\"secret\":\"hush\"}"), 400, "/secret");
    expect_fault(put("/v1/webhooks/x", "{\"url\":\"https://example.com\",\"events\":[\"job.finished\"],\"secret\":\"whsec_c2hvcnQ=\"}"), 400, "/secret");
    expect_fault(put("/v1/webhooks/x", "{\"url\":\"https://example.com\",\"events\":[\"job.finished\"],\"colour\":1}"), 400, "/colour");
    struct reply *r = put("/v1/webhooks/x", "{\"url\":\"https://example.com\",\"events\":[\"job.finished\",\"score.crossed\"]}");
    expect_fault(r, 422, "/events/1");
    cr_assert_not_null(strstr(text_at(r, "/detail"), "model.activated"), "it says which there are");
    expect(get("/v1/webhooks/x"), 404);
    const char *key = key_with("ingest,read,recommend,train,privacy");
    expect(call(&(struct call){.method = "GET", .path = "/v1/webhooks", .key = key}), 403);
}

Test(webhooks, private_addresses_are_refused_unless_configuration_allows_them)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost", "10.0.0.8:8080", "192.168.1.1", "169.254.169.254", "[::1]", "[fd00::1]",
                                        "[::ffff:127.0.0.1]", "0x7f.1", "2130706433", "a.localhost", "0.0.0.0"};
    struct instance s;
    instance_start(&s, NULL);
    client_use(&s);
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++)
        expect_fault(put("/v1/webhooks/x", text("{\"url\":\"http://%s/\",\"events\":[\"job.finished\"]}", hosts[i])), 422, "/url");
    expect(get("/v1/webhooks/x"), 404);
    expect(put("/v1/webhooks/x", "{\"url\":\"http://example.com/\",\"events\":[\"job.finished\"]}"), 201);
    instance_done(&s);
}

Test(webhooks, a_message_is_signed_as_standard_webhooks_has_it)
{
    struct receiver *r = receiver_start();
    struct reply *made = quiet_hook("signed", r);
    expect(made, 201);
    const char *secret = text_at(made, "/secret"), *id = send_test("signed");
    cr_assert(receiver_await(r, 1, 30));
    struct received x = receiver_get(r, 0);
    cr_assert_str_eq(head_of(&x, "webhook-id"), id);
    cr_assert_str_eq(head_of(&x, "webhook-signature"), signature_of(secret, &x));
    cr_assert_str_eq(head_of(&x, "Content-Type"), "application/json");
    cr_assert_eq(strncmp(head_of(&x, "User-Agent"), "Meros/", 6), 0);
    cr_assert_lt(fabs(atof(head_of(&x, "webhook-timestamp")) - (double)time(NULL)), 60);
    struct meros_err err = MEROS_ERR_INIT;
    struct json *body = NULL;
    cr_assert_eq(json_parse(x.body, x.body_n, &body, &err), MEROS_OK, "%s", x.body);
    cr_assert(str_is(json_str(at_json(body, "/type")), "webhook.test"));
    cr_assert(str_is(json_str(at_json(body, "/data/webhook")), "signed"));
    int64_t t;
    cr_assert(time_parse(json_str(at_json(body, "/timestamp")), &t));
    json_free(body);
    struct reply *after = await_state("signed", nothing_waits, 30);
    cr_assert_eq(int_at(after, "/delivered"), 1);
    cr_assert_not(null_at(after, "/last_success_at"));
    cr_assert_eq(receiver_count(r), 1, "once");
    expect(delete_("/v1/webhooks/signed"), 204);
    receiver_stop(r);
}

Test(webhooks, a_rotated_secret_signs_beside_the_old_one_and_a_given_one_replaces_it)
{
    struct receiver *r = receiver_start();
    struct reply *made = quiet_hook("rotated", r);
    const char *first = text_at(made, "/secret");
    made = hook("rotated", r, ",\"rotate_secret\":true");
    const char *second = text_at(made, "/secret");
    cr_assert_str_neq(first, second);
    send_test("rotated");
    cr_assert(receiver_await(r, 1, 30));
    struct received x = receiver_get(r, 0);
    cr_assert_str_eq(head_of(&x, "webhook-signature"), text("%s %s", signature_of(second, &x), signature_of(first, &x)));
    const char *third = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    made = hook("rotated", r, text(",\"secret\":\"%s\"", third));
    cr_assert_str_eq(text_at(made, "/secret"), third);
    cr_assert_null(at(hook("rotated", r, text(",\"secret\":\"%s\"", third)), "/secret"), "nothing has changed");
    send_test("rotated");
    cr_assert(receiver_await(r, 2, 30));
    x = receiver_get(r, 1);
    cr_assert_str_eq(head_of(&x, "webhook-signature"), signature_of(third, &x));
    expect(delete_("/v1/webhooks/rotated"), 204);
    receiver_stop(r);
}

Test(webhooks, a_message_is_sent_again_under_its_id_until_it_was_taken)
{
    struct receiver *r = receiver_start();
    quiet_hook("again", r);
    receiver_behaves(r, (struct receiver_way){.status = 500});
    const char *id = send_test("again");
    cr_assert(receiver_await(r, 1, 30));
    struct reply *state = await_state("again", failing, 30);
    cr_assert_str_eq(text_at(state, "/last_error"), "It answered 500.");
    struct reply *waiting = get("/v1/webhooks/again/deliveries");
    expect(waiting, 200);
    cr_assert_eq(count_at(waiting, "/data"), 1);
    cr_assert_str_eq(text_at(waiting, "/data/0/id"), id);
    cr_assert_str_eq(text_at(waiting, "/data/0/type"), "webhook.test");
    cr_assert_str_eq(text_at(waiting, "/data/0/last_error"), "It answered 500.");
    cr_assert_geq(int_at(waiting, "/data/0/attempts"), 1);
    receiver_behaves(r, (struct receiver_way){.mode = RECEIVER_CLOSE});
    cr_assert(receiver_await(r, 2, 60));
    receiver_behaves(r, (struct receiver_way){.status = 201});
    state = await_state("again", nothing_waits, 120);
    cr_assert(null_at(state, "/failing_since") && bool_at(state, "/enabled"));
    cr_assert_eq(int_at(state, "/delivered"), 1);
    for (size_t i = 0; i < receiver_count(r); i++) {
        struct received x = receiver_get(r, i);
        cr_assert_str_eq(head_of(&x, "webhook-id"), id);
    }
    expect(delete_("/v1/webhooks/again"), 204);
    receiver_stop(r);
}

Test(webhooks, retry_after_is_honoured)
{
    struct receiver *r = receiver_start();
    quiet_hook("later", r);
    receiver_behaves(r, (struct receiver_way){.status = 429, .headers = "Retry-After: 7\r\n"});
    send_test("later");
    cr_assert(receiver_await(r, 1, 30));
    receiver_behaves(r, (struct receiver_way){0});
    cr_assert(receiver_await(r, 2, 60));
    cr_assert_geq(receiver_get(r, 1).at - receiver_get(r, 0).at, 6.9);
    expect(delete_("/v1/webhooks/later"), 204);
    receiver_stop(r);
}

Test(webhooks, a_receiver_that_hangs_delays_no_other)
{
    struct receiver *slow = receiver_start(), *quick = receiver_start();
    enum { EACH = 20 };
    double sent[EACH], worst = 0;
    struct instance s; /* of its own: none of what hangs may be given up before this ends */
    instance_start(&s, (const char *const[]){"MEROS_WEBHOOK_ALLOW_PRIVATE=true", "MEROS_WEBHOOK_TIMEOUT=60s", NULL});
    client_use(&s);
    quiet_hook("slow", slow);
    quiet_hook("quick", quick);
    receiver_behaves(slow, (struct receiver_way){.mode = RECEIVER_HANG});
    for (int i = 0; i < EACH; i++) send_test("slow");
    cr_assert(receiver_await(slow, 4, 30));
    for (int i = 0; i < EACH; i++) {
        sent[i] = seconds_now();
        send_test("quick");
    }
    cr_assert(receiver_await(quick, EACH, 30));
    for (int i = 0; i < EACH; i++) worst = fmax(worst, receiver_get(quick, (size_t)i).at - sent[i]);
    printf("webhooks: beside a receiver that hangs, another got each of %d messages within %.0f ms\n", EACH, worst * 1e3);
    struct reply *r = get("/v1/webhooks/slow");
    cr_assert_eq(int_at(r, "/waiting"), EACH);
    cr_assert_eq(receiver_count(slow), 4, "no more than four are under way to one");
    receiver_stop(slow);
    receiver_stop(quick);
    instance_done(&s);
}

Test(webhooks, redirects_are_failures_and_are_not_followed)
{
    struct receiver *r = receiver_start(), *other = receiver_start();
    static char location[100];
    snprintf(location, sizeof location, "Location: http://127.0.0.1:%d/\r\n", receiver_port(other));
    quiet_hook("redirected", r);
    receiver_behaves(r, (struct receiver_way){.status = 302, .headers = location});
    send_test("redirected");
    cr_assert_str_eq(text_at(await_state("redirected", failing, 30), "/last_error"), "It answered 302.");
    cr_assert_eq(receiver_count(other), 0);
    expect(delete_("/v1/webhooks/redirected"), 204);
    receiver_stop(r);
    receiver_stop(other);
}

Test(webhooks, whoever_answers_410_is_switched_off_at_once_and_on_again_by_putting_it)
{
    struct receiver *r = receiver_start();
    quiet_hook("gone", r);
    receiver_behaves(r, (struct receiver_way){.status = 410});
    const char *id = send_test("gone");
    struct reply *state = await_state("gone", off, 30);
    cr_assert_not_null(strstr(text_at(state, "/disabled_reason"), "410"));
    cr_assert(!null_at(state, "/disabled_at"));
    cr_assert_eq(int_at(state, "/waiting"), 1, "what waits is kept for a while");
    expect(post("/v1/webhooks/gone/test", ""), 409);
    receiver_behaves(r, (struct receiver_way){0});
    state = quiet_hook("gone", r);
    expect(state, 200);
    cr_assert(bool_at(state, "/enabled") && null_at(state, "/disabled_reason") && null_at(state, "/failing_since"));
    cr_assert(receiver_await(r, 2, 60));
    struct received x = receiver_get(r, 1);
    cr_assert_str_eq(head_of(&x, "webhook-id"), id);
    expect(delete_("/v1/webhooks/gone"), 204);
    receiver_stop(r);
}

Test(webhooks, one_that_fails_for_too_long_is_switched_off_and_says_so)
{
    struct receiver *r = receiver_start();
    struct instance s;
    instance_start(&s, (const char *const[]){"MEROS_WEBHOOK_ALLOW_PRIVATE=true", "MEROS_WEBHOOK_GIVE_UP_HOURS=0.0005", NULL});
    client_use(&s);
    quiet_hook("dead", r);
    receiver_behaves(r, (struct receiver_way){.status = 503});
    for (int i = 0; i < 5; i++) send_test("dead");
    struct reply *state = await_state("dead", off, 120);
    cr_assert_not_null(strstr(text_at(state, "/disabled_reason"), "No delivery has succeeded for"), "%s", state->body);
    cr_assert_not_null(strstr(text_at(state, "/disabled_reason"), "It answered 503."), "%s", state->body);
    instance_await_log(&s, "event=webhook.switched_off webhook=dead", 60);
    receiver_behaves(r, (struct receiver_way){0});
    quiet_hook("dead", r);
    cr_assert_eq(int_at(await_state("dead", nothing_waits, 60), "/delivered"), 5, "what had waited was sent");
    receiver_stop(r);
    instance_done(&s);
}

Test(webhooks, what_was_noted_outlives_a_kill_of_the_service)
{
    struct receiver *r = receiver_start();
    struct instance s;
    instance_start(&s, (const char *const[]){"MEROS_WEBHOOK_ALLOW_PRIVATE=true", NULL});
    client_use(&s);
    quiet_hook("safe", r);
    receiver_behaves(r, (struct receiver_way){.mode = RECEIVER_HANG});
    const char *ids[10];
    for (int i = 0; i < 10; i++) ids[i] = send_test("safe");
    cr_assert(receiver_await(r, 4, 30), "some are under way, others wait");
    instance_kill(&s);
    receiver_behaves(r, (struct receiver_way){0});
    size_t before = receiver_count(r);
    instance_again(&s);
    client_use(&s);
    cr_assert_eq(int_at(await_state("safe", nothing_waits, 120), "/delivered"), 10);
    for (int i = 0; i < 10; i++) {
        int n = 0;
        for (size_t k = before; k < receiver_count(r); k++) {
            struct received x = receiver_get(r, k);
            n += strcmp(head_of(&x, "webhook-id"), ids[i]) == 0;
        }
        cr_assert_eq(n, 1, "%s was sent %d times after the start", ids[i], n);
    }
    receiver_stop(r);
    instance_done(&s);
}

Test(webhooks, what_is_under_way_when_the_service_stops_is_given_back)
{
    struct receiver *r = receiver_start();
    struct instance s;
    instance_start(&s, (const char *const[]){"MEROS_WEBHOOK_ALLOW_PRIVATE=true", NULL});
    client_use(&s);
    quiet_hook("stopped", r);
    receiver_behaves(r, (struct receiver_way){.mode = RECEIVER_HANG});
    const char *id = send_test("stopped");
    cr_assert(receiver_await(r, 1, 30));
    cr_assert_eq(instance_stop(&s), 0);
    receiver_behaves(r, (struct receiver_way){0});
    instance_again(&s);
    client_use(&s);
    cr_assert(receiver_await(r, 2, 60));
    struct received x = receiver_get(r, 1);
    cr_assert_str_eq(head_of(&x, "webhook-id"), id);
    cr_assert(null_at(await_state("stopped", nothing_waits, 30), "/last_failure_at"), "that was no failure of the receiver's");
    receiver_stop(r);
    instance_done(&s);
}

/* Waits for a message that has these; fails after 60 s. */
static struct json *await_message(struct receiver *r, const char *type, const char *pointer, const char *value)
{
    struct meros_err err = MEROS_ERR_INIT;
    size_t seen = 0;
    for (double end = seconds_now() + 60; seconds_now() < end; pause_ms(20)) {
        for (; seen < receiver_count(r); seen++) {
            struct received x = receiver_get(r, seen);
            struct json *body = NULL;
            cr_assert_eq(json_parse(x.body, x.body_n, &body, &err), MEROS_OK, "%s", x.body);
            if (str_is(json_str(at_json(body, "/type")), type) && str_is(json_str(at_json(body, pointer)), value)) return body;
            json_free(body);
        }
    }
    cr_assert_fail("no %s with %s = %s came", type, pointer, value);
    return NULL;
}

Test(webhooks, tell_of_jobs_models_and_segments)
{
    struct receiver *r = receiver_start();
    struct instance s;
    struct buf b;
    instance_start(&s, (const char *const[]){"MEROS_WEBHOOK_ALLOW_PRIVATE=true", NULL});
    client_use(&s);
    expect(put("/v1/webhooks/all", text("{\"url\":\"%s\",\"events\":[\"segment.entered\",\"segment.left\",\"job.finished\",\"model.activated\"]}", url_of(r))), 201);
    buf_init(&b, 1 << 20);
    buf_str(&b, "order_id,customer_id,ordered_at,product_id,quantity,unit_price\n");
    for (int c = 0; c < 60; c++)
        for (int o = 0; o < (c < 30 ? 12 : 1); o++)
            buf_printf(&b, "o-%d-%d,c-%d,2025-%02d-%02dT12:00:00Z,p1,1,%d.5\n", c, o, c, c < 30 ? 1 + o : 2, 1 + c % 28, c < 30 ? 50 : 5);
    expect(import_("orders", "", b.data), 200);
    buf_done(&b);
    struct reply *job = run_job("{\"kind\":\"train.segments\",\"params\":{\"name\":\"behaviour\",\"k\":2,\"seed\":7}}");
    struct json *m = await_message(r, "job.finished", "/data/id", text_at(job, "/id"));
    cr_assert(str_is(json_str(at_json(m, "/data/state")), "succeeded") && str_is(json_str(at_json(m, "/data/kind")), "train.segments"));
    json_free(m);
    m = await_message(r, "model.activated", "/data/id", text_at(job, "/result/model/id"));
    cr_assert(str_is(json_str(at_json(m, "/data/name")), "behaviour") && json_int(at_json(m, "/data/version")) == 1);
    json_free(m);
    /* Somebody buys as the others do: a change that is told. */
    struct reply *before = get("/v1/customers/c-59");
    expect(before, 200);
    const char *was = text_at(before, "/segments/behaviour/id");
    buf_init(&b, 1 << 20);
    buf_str(&b, "order_id,customer_id,ordered_at,product_id,quantity,unit_price\n");
    for (int o = 0; o < 11; o++) buf_printf(&b, "x-%d,c-59,2025-%02d-03T12:00:00Z,p1,1,50.5\n", o, 2 + o);
    expect(import_("orders", "", b.data), 200);
    buf_done(&b);
    m = await_message(r, "segment.left", "/data/customer_id", "c-59");
    cr_assert(str_is(json_str(at_json(m, "/data/segment/id")), was));
    cr_assert(str_is(json_str(at_json(m, "/data/type")), "segment.left") && str_is(json_str(at_json(m, "/data/segmentation")), "behaviour"));
    json_free(m);
    m = await_message(r, "segment.entered", "/data/customer_id", "c-59");
    cr_assert_not(str_is(json_str(at_json(m, "/data/segment/id")), was));
    cr_assert(str_present(json_str(at_json(m, "/data/segment/label"))) && str_present(json_str(at_json(m, "/data/at"))));
    cr_assert(str_is(json_str(at_json(m, "/data/model/id")), text_at(job, "/result/model/id")));
    json_free(m);
    receiver_stop(r);
    instance_done(&s);
}

Test(webhooks, deliveries_are_counted_in_the_metrics)
{
    struct receiver *r = receiver_start();
    quiet_hook("counted", r);
    send_test("counted");
    await_state("counted", nothing_waits, 30);
    struct reply *m = get("/metrics");
    cr_assert_not_null(strstr(m->body, "meros_webhook_deliveries_total{result=\"delivered\"}"), "%s", m->body);
    cr_assert_not_null(strstr(m->body, "meros_webhook_outbox "));
    cr_assert_not_null(strstr(m->body, "meros_webhook_oldest_seconds "));
    expect(delete_("/v1/webhooks/counted"), 204);
    receiver_stop(r);
}
