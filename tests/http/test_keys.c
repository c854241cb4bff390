/* Keys and what they open. */
#include <stdio.h>
#include <string.h>
#include "client.h"

static const char *const scopes[] = {"ingest", "read", "recommend", "train", "privacy", "admin"};
enum { SCOPES = sizeof scopes / sizeof scopes[0] };

Test(keys, are_shown_once_and_listed_without_their_secret)
{
    struct reply *made = post("/v1/keys", "{\"name\":\"crm\",\"scopes\":[\"ingest\",\"read\"]}");
    expect(made, 201);
    const char *key = text_at(made, "/key"), *id = text_at(made, "/id");
    cr_assert_geq(strlen(key), 43, "256 bits");
    cr_assert_str_eq(header_of(made, "Location"), text("/v1/keys/%s", id));
    cr_assert_not_null(strstr(header_of(made, "Cache-Control"), "no-store"));
    struct reply *seen = get(text("/v1/keys/%s", id));
    expect(seen, 200);
    cr_assert_str_eq(text_at(seen, "/name"), "crm");
    cr_assert_eq(count_at(seen, "/scopes"), 2);
    cr_assert_null(at(seen, "/key"));
    cr_assert_null(strstr(seen->body, key));
    cr_assert_null(strstr(get("/v1/keys?limit=1000")->body, key));
    expect(call(&(struct call){.method = "GET", .path = "/v1/jobs", .key = key}), 200);
}

Test(keys, are_different_every_time)
{
    cr_assert_str_neq(key_with("read"), key_with("read"));
}

Test(keys, open_nothing_once_revoked)
{
    struct reply *made = post("/v1/keys", "{\"name\":\"gone\",\"scopes\":[\"read\"]}");
    const char *key = text_at(made, "/key"), *path = text("/v1/keys/%s", text_at(made, "/id"));
    expect(call(&(struct call){.method = "GET", .path = "/v1/jobs", .key = key}), 200);
    expect(delete_(path), 204);
    struct reply *r = call(&(struct call){.method = "GET", .path = "/v1/jobs", .key = key});
    expect(r, 401);
    cr_assert_not(null_at(get(path), "/revoked_at"));
    expect(delete_(path), 204);
    expect(delete_("/v1/keys/nope"), 404);
}

Test(keys, are_refused_with_pointers_when_asked_for_wrongly)
{
    expect_fault(post("/v1/keys", "{\"scopes\":[\"read\"]}"), 400, "/name");
    expect_fault(post("/v1/keys", "{\"name\":\"x\"}"), 400, "/scopes");
    expect_fault(post("/v1/keys", "{\"name\":\"x\",\"scopes\":[]}"), 400, "/scopes");
    expect_fault(post("/v1/keys", "{\"name\":\"x\",\"scopes\":[\"read\",\"root\"]}"), 400, "/scopes/1");
    expect_fault(post("/v1/keys", "{\"name\":\"x\",\"scopes\":\"read\"}"), 400, "/scopes");
    expect_fault(post("/v1/keys", "{\"name\":\"x\\ny\",\"scopes\":[\"read\"]}"), 400, "/name");
    expect_fault(post("/v1/keys", text("{\"name\":\"%0101d\",\"scopes\":[\"read\"]}", 1)), 400, "/name");
    expect_fault(post("/v1/keys", "{\"name\":\"x\",\"scopes\":[\"read\"],\"key\":\"mine\"}"), 400, "/key");
}

Test(keys, the_list_pages)
{
    for (int i = 0; i < 3; i++) key_with("read");
    struct reply *r = get("/v1/keys?limit=2");
    expect(r, 200);
    cr_assert_eq(count_at(r, "/data"), 2);
    struct reply *next = get(text("/v1/keys?limit=2&cursor=%s", text_at(r, "/next")));
    expect(next, 200);
    cr_assert_str_neq(text_at(r, "/data/1/id"), text_at(next, "/data/0/id"));
    expect_fault(get(text("/v1/jobs?cursor=%s", text_at(r, "/next"))), 400, "?cursor");
}

Test(keys, the_command_makes_lists_and_revokes_them_beside_the_running_service)
{
    const struct instance *s = client_instance();
    static char out[1 << 18]; /* the list holds the keys of all other tests too */
    cr_assert_eq(instance_command(s, (const char *const[]){"key", "create", "--scopes", "read", "--name", "by hand", NULL}, out, sizeof out), 0);
    cr_assert_eq(strcspn(out, "\n"), strlen(out) - 1, "the key alone on one line: %s", out);
    out[strcspn(out, "\n")] = '\0';
    const char *key = text("%s", out);
    double until = seconds_now() + 60;
    struct reply *r;
    while ((r = call(&(struct call){.method = "GET", .path = "/v1/jobs", .key = key}))->status == 401 && seconds_now() < until) pause_ms(20);
    expect(r, 200);
    cr_assert_eq(instance_command(s, (const char *const[]){"key", "list", NULL}, out, sizeof out), 0);
    cr_assert(strstr(out, "by hand") != NULL && strstr(out, key) == NULL, "%s", out);
    cr_assert_neq(instance_command(s, (const char *const[]){"key", "create", "--scopes", "root", "--name", "x", NULL}, out, sizeof out), 0);
}

/* --- the table of scopes, from the contract */

struct table {
    const char *keys[SCOPES];
    int operations, public;
};

/* Each description says "Scope: `read`." or "Scopes: `read`, `train`."; what needs no key has an empty security. */
static bool is_public(const struct operation *op)
{
    const struct json *security = json_get(op->node, "security");
    return security != NULL && json_count(security) == 0;
}

static const char *scopes_sentence(const struct operation *op)
{
    struct str description = json_str(json_get(op->node, "description"));
    const char *at = description.p == NULL ? NULL : strstr(description.p, "Scope");
    return at == NULL ? "" : text("%.*s", (int)strcspn(at, "."), at);
}

/* The template with an id that nothing has. */
static const char *sample_path(const char *template)
{
    struct buf b;
    buf_init(&b, 1000);
    for (const char *p = template; *p; p++) {
        if (*p == '{') {
            bool dataset = strncmp(p, "{dataset}", 9) == 0;
            buf_str(&b, dataset ? "orders" : "no-such-thing");
            p = strchr(p, '}');
        } else {
            buf_char(&b, *p);
        }
    }
    const char *path = text("%s", b.data);
    buf_done(&b);
    return path;
}

static bool hang_up(void *arg, const char *p, size_t n)
{
    (void)arg, (void)p, (void)n;
    return false;
}

static struct reply *ask(const struct operation *op, const char *key)
{
    const bool endless = strcmp(op->path, "/v1/stream/segments") == 0;
    const char *method = text("%s", op->method);
    char *upper = strdup(method);
    cr_assert(keep(upper));
    for (char *p = upper; *p; p++)
        if (*p >= 'a' && *p <= 'z') *p = (char)(*p - 32);
    return call(&(struct call){.method = upper, .path = sample_path(op->path), .key = key, .sink = endless ? hang_up : NULL, .unchecked = endless});
}

static void try_operation(void *arg, const struct operation *op)
{
    struct table *t = arg;
    const char *allowed = scopes_sentence(op);
    t->operations++;
    if (is_public(op)) {
        t->public++;
        struct reply *r = ask(op, "");
        /* /metrics is as open as its setting */
        if (strcmp(op->path, "/metrics") != 0) cr_assert(r->status != 401 && r->status != 403, "%s: %d", op->id, r->status);
        return;
    }
    cr_assert(strchr(allowed, '`') != NULL, "%s: the contract names neither scopes nor that it is open", op->id);
    expect(ask(op, ""), 401);
    expect(ask(op, "mk_nobody"), 401);
    for (int s = 0; s < SCOPES; s++) {
        bool may = strcmp(scopes[s], "admin") == 0 || strstr(allowed, text("`%s`", scopes[s])) != NULL;
        struct reply *r = ask(op, t->keys[s]);
        if (may) cr_assert(r->status != 401 && r->status != 403, "%s refuses a key with scope %s: %s", op->id, scopes[s], r->body);
        else cr_assert_eq(r->status, 403, "%s answers %d to a key with scope %s alone", op->id, r->status, scopes[s]);
    }
}

Test(keys, open_exactly_what_the_contract_says_operation_by_operation)
{
    struct table t = {0};
    for (int s = 0; s < SCOPES; s++) t.keys[s] = key_with(scopes[s]);
    openapi_each(client_contract(), try_operation, &t);
    cr_assert_gt(t.operations, 20);
    cr_assert_lt(t.public, 8);
}
