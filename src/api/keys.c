/* /v1/keys: made, listed and revoked by an admin. The key itself is in one answer only: that of its creation. */
#include <stdio.h>
#include "api_priv.h"
#include "meros/base/crypto.h"
#include "meros/service/keys.h"

static void write_scopes(struct jsonw *w, unsigned scopes)
{
    jsonw_key(w, "scopes");
    jsonw_begin_array(w);
    for (unsigned i = 0; key_scope_words[i] != NULL; i++) {
        if ((scopes & 1u << i) != 0)
            jsonw_cstr(w, key_scope_words[i]);
    }
    jsonw_end_array(w);
}

static void write_members(struct jsonw *w, const struct key_info *key)
{
    jsonw_kstr(w, "id", key->id);
    jsonw_kstr(w, "name", key->name);
    write_scopes(w, key->scopes);
    jsonw_ktime(w, "created_at", key->created_at);
    jsonw_ktime(w, "last_used_at", key->last_used_at);
    jsonw_ktime(w, "revoked_at", key->revoked_at);
}

struct created {
    struct jsonw *w;
    const char *text;
};

static void write_created(void *arg, const struct key_info *key)
{
    struct created *c = arg;
    jsonw_begin_object(c->w);
    jsonw_kcstr(c->w, "key", c->text);
    write_members(c->w, key);
    jsonw_end_object(c->w);
}

static enum meros_code decode(struct http_request *req, char name[KEY_NAME_MAX + 1], unsigned *out_scopes, struct meros_err *err)
{
    struct json *body = NULL;
    struct json_obj o;
    enum meros_code rc = api_body_json(req, &body, err);
    if (rc != MEROS_OK)
        return rc;
    json_obj_begin(&o, body, "", err);
    struct str given = json_obj_id(&o, "name", JSON_REQUIRED);
    if (given.n > KEY_NAME_MAX)
        json_obj_fault(&o, "name", "has more than %d bytes", KEY_NAME_MAX);
    const struct json *scopes = json_obj_array(&o, "scopes", JSON_REQUIRED, 16);
    *out_scopes = 0;
    for (size_t i = 0; i < json_count(scopes); i++) {
        unsigned scope = key_scope_of(json_str(json_at(scopes, i)));
        *out_scopes |= scope;
        if (scope == 0) {
            char pointer[32];
            snprintf(pointer, sizeof pointer, "/scopes/%zu", i);
            err_field(err, pointer, "must be one of ingest, read, recommend, train, privacy, admin");
            o.failed = true;
        }
    }
    if (scopes != NULL && json_count(scopes) == 0)
        json_obj_fault(&o, "scopes", "must name at least one scope");
    rc = json_obj_end(&o);
    if (rc == MEROS_OK && !str_copy(name, KEY_NAME_MAX + 1, given))
        rc = err_field(err, "/name", "has more than %d bytes", KEY_NAME_MAX);
    json_free(body);
    return rc;
}

static enum meros_code create(struct http_request *req, struct meros_err *err)
{
    struct service *svc = api_service(req);
    char name[KEY_NAME_MAX + 1], id[KEY_ID_CAP], text[KEY_TEXT_CAP], location[64];
    unsigned scopes;
    enum meros_code rc = decode(req, name, &scopes, err);
    if (rc != MEROS_OK)
        return rc;
    rc = keys_create(svc, str_of(name), scopes, id, text, err);
    if (rc != MEROS_OK)
        return rc;
    struct api_reply r;
    struct created c = {api_reply_begin(&r), text};
    rc = keys_get(svc, str_of(id), write_created, &c, err);
    crypto_wipe(text, sizeof text);
    if (rc != MEROS_OK) {
        api_reply_drop(&r);
        return rc;
    }
    snprintf(location, sizeof location, "/v1/keys/%s", id);
    http_reply_header(req, "Location", location);
    http_reply_header(req, "Cache-Control", "no-store");
    return api_reply_end(&r, req, 201, err);
}

static void write_item(void *arg, const struct key_info *key)
{
    struct api_listing *l = arg;
    if (!api_listing_take(l, key->key_no)) return;
    jsonw_begin_object(l->w);
    write_members(l->w, key);
    jsonw_end_object(l->w);
}

static enum meros_code list(struct http_request *req, struct meros_err *err)
{
    struct api_page page;
    enum meros_code rc = api_page_read(req, "keys", "i", &page, err);
    if (rc != MEROS_OK)
        return rc;
    struct api_reply r;
    struct api_listing l = {.w = api_reply_begin(&r), .limit = page.limit};
    api_page_begin(&page, l.w);
    rc = keys_list(api_service(req), page.part[0].i, page.limit + 1, write_item, &l, err);
    if (rc != MEROS_OK) {
        api_reply_drop(&r);
        return rc;
    }
    api_page_end(&page, l.w, l.n > l.limit, (struct api_part[]){{.i = l.last}});
    return api_reply_end(&r, req, 200, err);
}

static void write_one(void *arg, const struct key_info *key)
{
    struct jsonw *w = arg;
    jsonw_begin_object(w);
    write_members(w, key);
    jsonw_end_object(w);
}

static enum meros_code get(struct http_request *req, struct meros_err *err)
{
    struct api_reply r;
    struct jsonw *w = api_reply_begin(&r);
    enum meros_code rc = keys_get(api_service(req), http_path_param(req, "id"), write_one, w, err);
    if (rc == MEROS_OK)
        return api_reply_end(&r, req, 200, err);
    api_reply_drop(&r);
    return rc;
}

static enum meros_code revoke(struct http_request *req, struct meros_err *err)
{
    enum meros_code rc = keys_revoke(api_service(req), http_path_param(req, "id"), err);
    if (rc == MEROS_OK)
        http_reply_empty(req, 204);
    return rc;
}

static const struct http_param list_params[] = {API_PAGE_PARAMS, {0}};

const struct http_route api_keys_routes[] = {
    {.method = HTTP_POST, .pattern = "/v1/keys", .name = "createKey", .scopes = SCOPE_ADMIN, .body = HTTP_BODY_BUFFERED,
     .media = API_JSON, .body_max = 16 << 10, .fn = create},
    {.method = HTTP_GET, .pattern = "/v1/keys", .name = "listKeys", .scopes = SCOPE_ADMIN, .params = list_params, .fn = list},
    {.method = HTTP_GET, .pattern = "/v1/keys/{id}", .name = "getKey", .scopes = SCOPE_ADMIN, .fn = get},
    {.method = HTTP_DELETE, .pattern = "/v1/keys/{id}", .name = "revokeKey", .scopes = SCOPE_ADMIN, .fn = revoke},
    {0},
};
