/* /v1/webhooks: who is told of what. A secret is in one answer only: that of the PUT that made or changed it. */
#include <stdio.h>
#include "api_priv.h"
#include "meros/base/crypto.h"
#include "meros/service/webhooks.h"

enum { EVENTS_MAX = 8 };

static void write_members(struct jsonw *w, const struct webhook_info *x)
{
    jsonw_kstr(w, "name", x->name);
    jsonw_kstr(w, "url", x->url);
    jsonw_key(w, "events");
    jsonw_begin_array(w);
    for (size_t i = 0; i < x->n_events; i++) jsonw_str(w, x->events[i]);
    jsonw_end_array(w);
    jsonw_kstr(w, "segmentation", x->segmentation);
    jsonw_kstr(w, "segment", x->segment_id);
    jsonw_kbool(w, "enabled", x->enabled);
    jsonw_kstr(w, "disabled_reason", x->disabled_reason);
    jsonw_ktime(w, "disabled_at", x->disabled_at);
    jsonw_ktime(w, "failing_since", x->failing_since);
    jsonw_ktime(w, "last_success_at", x->last_success_at);
    jsonw_ktime(w, "last_failure_at", x->last_failure_at);
    jsonw_kstr(w, "last_error", x->last_error);
    jsonw_kint(w, "waiting", x->waiting);
    jsonw_kint(w, "delivered", x->delivered);
    jsonw_kint(w, "dropped", x->dropped);
    jsonw_ktime(w, "created_at", x->created_at);
    jsonw_ktime(w, "changed_at", x->changed_at);
}

struct put {
    struct jsonw *w;
    char secret[WEBHOOK_SECRET_CAP];
};

static void write_put(void *arg, const struct webhook_info *x)
{
    struct put *p = arg;
    jsonw_begin_object(p->w);
    write_members(p->w, x);
    if (p->secret[0] != '\0') jsonw_kcstr(p->w, "secret", p->secret);
    jsonw_end_object(p->w);
}

static bool known_event(struct str type)
{
    for (size_t i = 0; webhook_events[i] != NULL; i++) {
        if (str_is(type, webhook_events[i])) return true;
    }
    return false;
}

static enum meros_code decode_events(const struct json *events, struct webhook_wish *wish, struct meros_err *err)
{
    char pointer[32];
    for (size_t i = 0; i < json_count(events); i++) {
        struct str type = json_str(json_at(events, i));
        bool again = false;
        snprintf(pointer, sizeof pointer, "/events/%zu", i);
        if (!str_present(type)) return err_field(err, pointer, "must be a string");
        if (!known_event(type)) {
            err_set(err, MEROS_UNPROCESSABLE,
                    "There is no event of this type; there are segment.entered, segment.left, job.finished and model.activated.");
            return err_field(err, pointer, "must be one of segment.entered, segment.left, job.finished, model.activated");
        }
        for (size_t k = 0; k < wish->n_events; k++) again = again || str_eq(wish->events[k], type);
        if (!again) wish->events[wish->n_events++] = type;
    }
    return MEROS_OK;
}

static enum meros_code decode(const struct json *body, struct webhook_wish *wish, struct meros_err *err)
{
    struct json_obj o;
    json_obj_begin(&o, body, "", err);
    wish->url = json_obj_str(&o, "url", JSON_REQUIRED, 4096);
    const struct json *events = json_obj_array(&o, "events", JSON_REQUIRED, EVENTS_MAX);
    if (events != NULL && json_count(events) == 0) json_obj_fault(&o, "events", "must name at least one type of event");
    wish->segmentation = json_obj_id(&o, "segmentation", JSON_NULLABLE);
    wish->segment_id = json_obj_id(&o, "segment", JSON_NULLABLE);
    if (str_present(wish->segment_id) && !str_present(wish->segmentation))
        json_obj_fault(&o, "segment", "needs the segmentation that it is one of");
    wish->enabled = json_obj_bool(&o, "enabled", 0, true);
    wish->secret = json_obj_str(&o, "secret", 0, 200);
    wish->rotate = json_obj_bool(&o, "rotate_secret", 0, false);
    enum meros_code rc = json_obj_end(&o);
    return rc == MEROS_OK ? decode_events(events, wish, err) : rc;
}

static enum meros_code put(struct http_request *req, struct meros_err *err)
{
    struct webhook_wish wish = {.name = http_path_param(req, "name")};
    struct json *body = NULL;
    struct api_reply r;
    bool created = false;
    enum meros_code rc = api_body_json(req, &body, err);
    if (rc != MEROS_OK) return rc;
    struct put p = {.w = api_reply_begin(&r)};
    rc = decode(body, &wish, err);
    if (rc == MEROS_OK) rc = webhooks_put(api_service(req), &wish, &created, p.secret, write_put, &p, err);
    json_free(body);
    crypto_wipe(p.secret, sizeof p.secret);
    if (rc == MEROS_OK) {
        http_reply_header(req, "Cache-Control", "no-store");
        return api_reply_end(&r, req, created ? 201 : 200, err);
    }
    api_reply_drop(&r);
    return rc;
}

static void write_one(void *arg, const struct webhook_info *x)
{
    struct jsonw *w = arg;
    jsonw_begin_object(w);
    write_members(w, x);
    jsonw_end_object(w);
}

static enum meros_code get(struct http_request *req, struct meros_err *err)
{
    struct api_reply r;
    enum meros_code rc = webhooks_get(api_service(req), http_path_param(req, "name"), write_one, api_reply_begin(&r), err);
    if (rc == MEROS_OK) return api_reply_end(&r, req, 200, err);
    api_reply_drop(&r);
    return rc;
}

struct listing {
    struct jsonw *w;
    int64_t limit, n;
    char last[ID_MAX + 1];
};

static void write_item(void *arg, const struct webhook_info *x)
{
    struct listing *l = arg;
    if (l->n++ >= l->limit || !str_copy(l->last, sizeof l->last, x->name)) return;
    write_one(l->w, x);
}

static enum meros_code list(struct http_request *req, struct meros_err *err)
{
    struct api_page page;
    struct api_reply r;
    enum meros_code rc = api_page_read(req, "webhooks", "t", &page, err);
    if (rc != MEROS_OK) return rc;
    struct listing l = {.w = api_reply_begin(&r), .limit = page.limit};
    api_page_begin(&page, l.w);
    rc = webhooks_list(api_service(req), page.given ? page.part[0].t : STR(""), page.limit + 1, write_item, &l, err);
    if (rc != MEROS_OK) {
        api_reply_drop(&r);
        return rc;
    }
    api_page_end(&page, l.w, l.n > l.limit, (struct api_part[]){{.t = str_of(l.last)}});
    return api_reply_end(&r, req, 200, err);
}

static enum meros_code drop(struct http_request *req, struct meros_err *err)
{
    enum meros_code rc = webhooks_delete(api_service(req), http_path_param(req, "name"), err);
    if (rc == MEROS_OK) http_reply_empty(req, 204);
    return rc;
}

static enum meros_code test(struct http_request *req, struct meros_err *err)
{
    char id[40];
    struct api_reply r;
    enum meros_code rc = webhooks_test(api_service(req), http_path_param(req, "name"), id, err);
    if (rc != MEROS_OK) return rc;
    struct jsonw *w = api_reply_begin(&r);
    jsonw_begin_object(w);
    jsonw_kcstr(w, "id", id);
    jsonw_end_object(w);
    return api_reply_end(&r, req, 202, err);
}

static void write_waiting(void *arg, const struct webhook_waiting *x)
{
    struct api_listing *l = arg;
    if (!api_listing_take(l, x->delivery_no)) return;
    jsonw_begin_object(l->w);
    jsonw_kstr(l->w, "id", x->id);
    jsonw_kstr(l->w, "type", x->type);
    jsonw_ktime(l->w, "created_at", x->created_at);
    jsonw_kint(l->w, "attempts", x->attempts);
    jsonw_ktime(l->w, "next_at", x->next_at);
    jsonw_kstr(l->w, "last_error", x->last_error);
    jsonw_end_object(l->w);
}

static enum meros_code waiting(struct http_request *req, struct meros_err *err)
{
    struct api_page page;
    struct api_reply r;
    enum meros_code rc = api_page_read(req, "webhook-deliveries", "i", &page, err);
    if (rc != MEROS_OK) return rc;
    struct api_listing l = {.w = api_reply_begin(&r), .limit = page.limit};
    api_page_begin(&page, l.w);
    rc = webhooks_waiting(api_service(req), http_path_param(req, "name"), page.part[0].i, page.limit + 1, write_waiting, &l, err);
    if (rc != MEROS_OK) {
        api_reply_drop(&r);
        return rc;
    }
    api_page_end(&page, l.w, l.n > l.limit, (struct api_part[]){{.i = l.last}});
    return api_reply_end(&r, req, 200, err);
}

static const struct http_param list_params[] = {API_PAGE_PARAMS, {0}};

const struct http_route api_webhooks_routes[] = {
    {.method = HTTP_GET, .pattern = "/v1/webhooks", .name = "listWebhooks", .scopes = SCOPE_ADMIN, .params = list_params, .fn = list},
    {.method = HTTP_PUT, .pattern = "/v1/webhooks/{name}", .name = "putWebhook", .scopes = SCOPE_ADMIN, .body = HTTP_BODY_BUFFERED,
     .media = API_JSON, .body_max = 64 << 10, .fn = put},
    {.method = HTTP_GET, .pattern = "/v1/webhooks/{name}", .name = "getWebhook", .scopes = SCOPE_ADMIN, .fn = get},
    {.method = HTTP_DELETE, .pattern = "/v1/webhooks/{name}", .name = "deleteWebhook", .scopes = SCOPE_ADMIN, .fn = drop},
    {.method = HTTP_POST, .pattern = "/v1/webhooks/{name}/test", .name = "testWebhook", .scopes = SCOPE_ADMIN, .fn = test},
    {.method = HTTP_GET, .pattern = "/v1/webhooks/{name}/deliveries", .name = "listWebhookDeliveries", .scopes = SCOPE_ADMIN,
     .params = list_params, .fn = waiting},
    {0},
};
