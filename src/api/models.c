/* /v1/models: what was trained, from what, how good it is; making another version the active one. */
#include <stdio.h>

#include "api_priv.h"
#include "meros/base/crypto.h"
#include "meros/base/log.h"
#include "meros/service/models.h"

static void write_digest(struct jsonw *w, const char *name, struct str bytes)
{
    char hex[2 * SHA256_BYTES + 1];
    if (bytes.n != SHA256_BYTES) {
        jsonw_knull(w, name);
        return;
    }
    hex_encode(bytes.p, bytes.n, hex);
    jsonw_kcstr(w, name, hex);
}

/* They are among the metrics, and shown by themselves as the contract has it. */
static void write_importances(struct jsonw *w, struct str metrics)
{
    struct json *tree = NULL;
    if (json_parse_stored(metrics.p, metrics.n, &tree, NULL) != MEROS_OK) return;
    const struct json *list = json_get(tree, "feature_importances");
    if (list != NULL) {
        jsonw_key(w, "feature_importances");
        jsonw_value(w, list);
    }
    json_free(tree);
}

static void write_model(struct jsonw *w, const struct model_row *m)
{
    jsonw_begin_object(w);
    jsonw_kstr(w, "id", m->id);
    jsonw_kstr(w, "kind", m->kind);
    jsonw_kstr(w, "name", m->name);
    jsonw_kint(w, "version", m->version);
    jsonw_kstr(w, "algorithm", m->algorithm);
    jsonw_kbool(w, "active", m->active);
    jsonw_kraw(w, "params", m->params);
    jsonw_kraw(w, "features", m->features);
    write_importances(w, m->metrics);
    jsonw_ktime(w, "as_of", m->as_of);
    jsonw_key(w, "data_window");
    jsonw_begin_object(w);
    jsonw_ktime(w, "from", m->data_from);
    jsonw_ktime(w, "to", m->data_to);
    jsonw_end_object(w);
    jsonw_kint(w, "rows", m->rows);
    write_digest(w, "row_hash", m->row_hash);
    jsonw_kint(w, "seed", m->seed);
    jsonw_kraw(w, "metrics", m->metrics);
    jsonw_ktime(w, "trained_at", m->trained_at);
    jsonw_ktime(w, "activated_at", m->activated_at);
    jsonw_ktime(w, "evaluated_at", m->evaluated_at);
    jsonw_kstr(w, "build", m->build);
    jsonw_kstr(w, "job_id", m->job_id);
    write_digest(w, "checksum", m->checksum);
    jsonw_kint(w, "artifact_bytes", m->artifact_bytes);
    jsonw_end_object(w);
}

static void write_one(void *arg, const struct model_row *m)
{
    write_model(arg, m);
}

static enum meros_code reply_model(struct http_request *req, struct meros_err *err)
{
    struct api_reply r;
    struct jsonw *w = api_reply_begin(&r);
    enum meros_code rc = models_get(api_service(req), http_path_param(req, "id"), write_one, w, err);
    if (rc == MEROS_OK) return api_reply_end(&r, req, 200, err);
    api_reply_drop(&r);
    return rc;
}

static void write_item(void *arg, const struct model_row *m)
{
    struct api_listing *l = arg;
    if (!api_listing_take(l, m->model_no)) return;
    write_model(l->w, m);
}

static enum meros_code list(struct http_request *req, struct meros_err *err)
{
    struct api_page page;
    enum meros_code rc = api_page_read(req, "models", "i", &page, err);
    if (rc != MEROS_OK) return rc;
    const int active = http_query_given(req, "active") ? http_query_bool(req, "active", false) : -1;
    struct api_reply r;
    struct api_listing l = {.w = api_reply_begin(&r), .limit = page.limit};
    api_page_begin(&page, l.w);
    rc = models_list(api_service(req), http_query_str(req, "kind"), active, page.part[0].i, page.limit + 1, write_item, &l, err);
    if (rc != MEROS_OK) {
        api_reply_drop(&r);
        return rc;
    }
    api_page_end(&page, l.w, l.n > l.limit, (struct api_part[]){{.i = l.last}});
    return api_reply_end(&r, req, 200, err);
}

/* Nothing needs to be said when activating; an empty object is as good as no body. */
static enum meros_code check_empty(struct http_request *req, struct meros_err *err)
{
    struct json *body = NULL;
    enum meros_code rc = api_body_json(req, &body, err);
    if (rc != MEROS_OK || body == NULL) return rc;
    struct json_obj o;
    json_obj_begin(&o, body, "", err);
    rc = json_obj_end(&o);
    json_free(body);
    return rc;
}

static enum meros_code activate(struct http_request *req, struct meros_err *err)
{
    enum meros_code rc = check_empty(req, err);
    if (rc == MEROS_OK) rc = models_activate(api_service(req), http_path_param(req, "id"), err);
    return rc == MEROS_OK ? reply_model(req, err) : rc;
}

static enum meros_code delete(struct http_request *req, struct meros_err *err)
{
    enum meros_code rc = models_delete(api_service(req), http_path_param(req, "id"), err);
    if (rc == MEROS_OK) http_reply_empty(req, 204);
    return rc;
}

static void take_tag(void *arg, const struct model_row *m)
{
    char *tag = arg; /* 2 * SHA256_BYTES + 3 */
    const size_t n = m->checksum.n < SHA256_BYTES ? m->checksum.n : SHA256_BYTES;
    tag[0] = '"';
    hex_encode(m->checksum.p, n, tag + 1);
    memcpy(tag + 1 + 2 * n, "\"", 2);
}

/* The artifact as it is stored (model/artifact.h describes the format), from `piece`, its first one, on. The connection is cut where it
 * does not come to its end. */
static enum meros_code send_artifact(struct http_request *req, struct str id, struct buf *piece, struct meros_err *err)
{
    struct meros_err why = MEROS_ERR_INIT; /* nobody hears it: the answer has begun */
    struct http_stream *s = http_reply_stream(req, "application/octet-stream");
    enum meros_code rc = MEROS_OK;
    if (s == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory while exporting a model.");
    for (size_t at = 0; rc == MEROS_OK && piece->len > 0 && http_stream_send(s, piece->data, piece->len, true);) {
        at += piece->len;
        buf_clear(piece);
        rc = models_export(api_service(req), id, at, piece, &why);
    }
    if (rc == MEROS_OK) {
        http_stream_end(s);
    } else {
        log_warn("model.export_cut", KV("request", http_request_id(req)), KV("detail", why.detail));
        http_stream_abort(s);
    }
    return MEROS_OK;
}

static enum meros_code export(struct http_request *req, struct meros_err *err)
{
    struct buf piece;
    char disposition[ID_MAX + 64], tag[2 * SHA256_BYTES + 3];
    struct str id = http_path_param(req, "id");
    buf_init(&piece, MODEL_PIECE_MAX + 1);
    enum meros_code rc = models_get(api_service(req), id, take_tag, tag, err);
    if (rc == MEROS_OK) rc = models_export(api_service(req), id, 0, &piece, err);
    if (rc == MEROS_OK) {
        /* An id that names a model is plain letters and digits. */
        snprintf(disposition, sizeof disposition, "attachment; filename=\"%.*s.merosmodel\"", (int)id.n, id.p);
        http_reply_header(req, "Content-Disposition", disposition);
        http_reply_header(req, "ETag", tag);
        rc = send_artifact(req, id, &piece, err);
    }
    buf_done(&piece);
    return rc;
}

static const struct http_param list_params[] = {
    API_PAGE_PARAMS,
    {.name = "kind", .kind = HTTP_PARAM_STR, .max = 63},
    {.name = "active", .kind = HTTP_PARAM_BOOL},
    {0},
};

const struct http_route api_models_routes[] = {
    {.method = HTTP_GET, .pattern = "/v1/models", .name = "listModels", .scopes = SCOPE_READ | SCOPE_TRAIN, .params = list_params, .fn = list},
    {.method = HTTP_GET, .pattern = "/v1/models/{id}", .name = "getModel", .scopes = SCOPE_READ | SCOPE_TRAIN, .fn = reply_model},
    {.method = HTTP_DELETE, .pattern = "/v1/models/{id}", .name = "deleteModel", .scopes = SCOPE_TRAIN, .fn = delete},
    {.method = HTTP_POST, .pattern = "/v1/models/{id}/activate", .name = "activateModel", .scopes = SCOPE_TRAIN,
     .body = HTTP_BODY_BUFFERED, .media = API_JSON, .flags = HTTP_BODY_OPTIONAL, .fn = activate},
    {.method = HTTP_GET, .pattern = "/v1/models/{id}/export", .name = "exportModel", .scopes = SCOPE_READ | SCOPE_TRAIN, .fn = export},
    {0},
};
