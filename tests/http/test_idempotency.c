/* Idempotency-Key: a POST that is sent again is done once. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "client.h"
#include "pg.h"

static struct reply *once(const char *path, const char *type, const char *body, const char *idempotency_key, const char *api_key)
{
    return call(&(struct call){.method = "POST", .path = path, .type = type, .body = body, .key = api_key,
                               .headers = (const char *const[]){text("Idempotency-Key: %s", idempotency_key), NULL}});
}

Test(idempotency, the_first_answer_is_given_again)
{
    const char *body = "{\"name\":\"once\",\"scopes\":[\"read\"]}";
    struct reply *a = once("/v1/keys", NULL, body, "id1", NULL), *b = once("/v1/keys", NULL, body, "id1", NULL);
    expect(a, 201);
    expect(b, 201);
    cr_assert_str_eq(a->body, b->body);
    cr_assert_str_eq(header_of(b, "Idempotency-Replayed"), "true");
    cr_assert_null(header_of(a, "Idempotency-Replayed"));
    cr_assert_str_eq(header_of(b, "Location"), header_of(a, "Location"));
    struct reply *c = once("/v1/keys", NULL, body, "id1-other", NULL);
    cr_assert_str_neq(text_at(c, "/id"), text_at(a, "/id"));
}

Test(idempotency, the_same_key_with_another_body_is_422)
{
    expect(once("/v1/keys", NULL, "{\"name\":\"a\",\"scopes\":[\"read\"]}", "id2", NULL), 201);
    expect(once("/v1/keys", NULL, "{\"name\":\"b\",\"scopes\":[\"read\"]}", "id2", NULL), 422);
}

Test(idempotency, an_answer_that_was_an_error_is_not_kept)
{
    expect(once("/v1/keys", NULL, "{\"name\":\"a\",\"scopes\":[\"root\"]}", "id3", NULL), 400);
    expect(once("/v1/keys", NULL, "{\"name\":\"a\",\"scopes\":[\"read\"]}", "id3", NULL), 201);
}

Test(idempotency, keys_of_different_clients_and_operations_do_not_meet)
{
    const char *other = key_with("admin"), *body = "{\"name\":\"a\",\"scopes\":[\"read\"]}";
    struct reply *a = once("/v1/keys", NULL, body, "id4", NULL), *b = once("/v1/keys", NULL, body, "id4", other);
    expect(b, 201);
    cr_assert_str_neq(text_at(a, "/id"), text_at(b, "/id"));
    expect(once("/v1/imports/customers", "text/csv", "customer_id\nid4-a\n", "id4", NULL), 200);
}

Test(idempotency, an_import_is_replayed_without_being_done)
{
    const char *file = "order_id,customer_id,ordered_at,amount\nid5-1,id5-a,2026-01-15,10\n";
    struct reply *a = once("/v1/imports/orders", "text/csv", file, "id5", NULL), *b = once("/v1/imports/orders", "text/csv", file, "id5", NULL);
    expect(a, 200);
    expect(b, 200);
    cr_assert_str_eq(a->body, b->body, "inserted again says the first answer, not duplicates");
    cr_assert_eq(int_at(b, "/inserted"), 1);
    expect(once("/v1/imports/orders", "text/csv", "order_id,customer_id,ordered_at,amount\nid5-1,id5-a,2026-01-15,11\n", "id5", NULL), 422);
    cr_assert_eq(num_at(get("/v1/customers/id5-a"), "/stats/revenue"), 10);
}

Test(idempotency, while_the_first_is_under_way_the_second_is_409)
{
    struct pg *db = pg_fresh();
    struct instance s;
    instance_start(&s, (const char *const[]){text("MEROS_DATABASE_URL=%s", db->url), NULL});
    client_use(&s);
    const char *head_ = text("POST /v1/imports/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: text/csv\r\nTransfer-Encoding: chunked\r\n"
                             "Idempotency-Key: id6\r\nConnection: close\r\n\r\n27\r\norder_id,customer_id,ordered_at,amount\n\r\n", client_instance()->key);
    const char *tail = "1D\r\nid6-1,id6-a,2026-01-15,10.25\n\r\n0\r\n\r\n";
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)s.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    cr_assert_eq(send(fd, head_, strlen(head_), 0), (ssize_t)strlen(head_));
    const char *file = "order_id,customer_id,ordered_at,amount\nid6-1,id6-a,2026-01-15,10.25\n";
    struct reply *r = NULL;
    for (double until = seconds_now() + 60; pg_int(db, "select count(*) from idempotency") == 0; pause_ms(20))
        cr_assert_lt(seconds_now(), until, "the first was not admitted");
    r = once("/v1/imports/orders", "text/csv", file, "id6", NULL);
    expect(r, 409);
    cr_assert_not_null(header_of(r, "Retry-After"));
    cr_assert_eq(send(fd, tail, strlen(tail), 0), (ssize_t)strlen(tail));
    char answer[4096] = "";
    size_t n = 0;
    for (ssize_t got; n + 1 < sizeof answer && (got = recv(fd, answer + n, sizeof answer - 1 - n, 0)) > 0;) n += (size_t)got;
    close(fd);
    cr_assert_eq(strncmp(answer, "HTTP/1.1 200", 12), 0, "%s", answer);
    r = once("/v1/imports/orders", "text/csv", file, "id6", NULL);
    expect(r, 200);
    cr_assert_str_eq(header_of(r, "Idempotency-Replayed"), "true", "the body is the same however it was cut");
    instance_done(&s);
    pg_done(db);
}

Test(idempotency, keys_are_1_to_255_visible_characters)
{
    char key[257];
    memset(key, 'k', sizeof key);
    const char *body = "{\"name\":\"a\",\"scopes\":[\"read\"]}";
    expect(once("/v1/keys", NULL, body, text("%.*s", 255, key), NULL), 201);
    expect(once("/v1/keys", NULL, body, text("%.*s", 256, key), NULL), 400);
    expect(once("/v1/keys", NULL, body, "a b", NULL), 400);
    expect(once("/v1/keys", NULL, body, "\xC3\xA4", NULL), 400);
}
