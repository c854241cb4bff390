/* POST /v1/imports/{dataset}: a body of any length into the database. */
#include "api_priv.h"
#include "meros/service/imports.h"

static enum meros_code read_body(void *arg, char *to, size_t cap, size_t *out_n, struct meros_err *err)
{
    return http_body_read(arg, to, cap, out_n, err);
}

static bool dataset_of(struct str name, enum dataset_kind *out)
{
    for (int d = 0; d < DATASET_COUNT; d++) {
        if (!str_is(name, datasets[d].name)) continue;
        *out = (enum dataset_kind)d;
        return true;
    }
    return false;
}

/* The media type without its parameters. */
static enum import_format format_of(struct http_request *req)
{
    struct str type = http_header(req, "Content-Type");
    const char *end = type.n > 0 ? memchr(type.p, ';', type.n) : NULL;
    if (end != NULL) type.n = (size_t)(end - type.p);
    return str_ieq(str_trim(type), STR("application/x-ndjson")) ? IMPORT_NDJSON : IMPORT_CSV;
}

static void write_errors(struct jsonw *w, const struct import_result *r)
{
    jsonw_key(w, "errors");
    jsonw_begin_array(w);
    for (size_t k = 0; k < r->n_errors; k++) {
        const struct import_error *e = &r->errors[k];
        jsonw_begin_object(w);
        jsonw_kint(w, "line", e->line);
        jsonw_kstr(w, "column", e->column[0] != '\0' ? str_of(e->column) : STR_NONE);
        jsonw_kcstr(w, "detail", e->detail);
        jsonw_end_object(w);
    }
    jsonw_end_array(w);
}

/* on_error=abort with bad rows: a problem whose errors name lines and columns rather than pointers into JSON. */
static enum meros_code reply_aborted(struct http_request *req, const struct import_result *r, struct meros_err *err)
{
    struct api_reply reply;
    struct jsonw *w = api_reply_begin(&reply);
    jsonw_begin_object(w);
    jsonw_kcstr(w, "type", "/problems/unprocessable");
    jsonw_kcstr(w, "title", meros_code_title(MEROS_UNPROCESSABLE));
    jsonw_kint(w, "status", 422);
    jsonw_kcstr(w, "detail", err->detail);
    jsonw_kcstr(w, "instance", http_request_id(req));
    jsonw_kint(w, "received", r->received);
    jsonw_kint(w, "rejected", r->rejected);
    write_errors(w, r);
    jsonw_end_object(w);
    if (reply.buf.failed) {
        api_reply_drop(&reply);
        return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for the answer.");
    }
    http_reply_bytes(req, 422, "application/problem+json", (struct str){reply.buf.data, reply.buf.len});
    api_reply_drop(&reply);
    return MEROS_OK;
}

static enum meros_code post_import(struct http_request *req, struct meros_err *err)
{
    struct import_options options = {
        .format = format_of(req),
        .map = http_query_str(req, "map"),
        .date_format = http_query_str(req, "date_format"),
        .delimiter = http_query_str(req, "delimiter"),
        .day_first = http_query_bool(req, "day_first", false),
        .latin1 = str_is(http_query_str(req, "charset"), "latin1"),
        .abort_on_error = str_is(http_query_str(req, "on_error"), "abort"),
    };
    struct str name = http_path_param(req, "dataset");
    if (!dataset_of(name, &options.dataset))
        return err_set(err, MEROS_NOT_FOUND, "There is no dataset of that name to import; there are customers, products, orders, events and outcomes.");
    struct import_result *r = arena_zalloc(http_arena(req), sizeof *r);
    if (r == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for an import.");
    enum meros_code rc = service_import(api_service(req), &options, read_body, req, NULL, NULL, r, err);
    if (rc == MEROS_UNPROCESSABLE && r->n_errors > 0) return reply_aborted(req, r, err);
    if (rc != MEROS_OK) return rc;
    struct api_reply reply;
    struct jsonw *w = api_reply_begin(&reply);
    jsonw_begin_object(w);
    jsonw_kcstr(w, "dataset", datasets[options.dataset].name);
    jsonw_kint(w, "received", r->received);
    jsonw_kint(w, "inserted", r->inserted);
    jsonw_kint(w, "updated", r->updated);
    jsonw_kint(w, "duplicates", r->duplicates);
    jsonw_kint(w, "rejected", r->rejected);
    write_errors(w, r);
    jsonw_knum(w, "seconds", (double)(int64_t)(r->seconds * 1e3 + 0.5) / 1e3);
    jsonw_end_object(w);
    return api_reply_end(&reply, req, 200, err);
}

static const char *const charsets[] = {"utf-8", "latin1", NULL};
static const char *const on_errors[] = {"skip", "abort", NULL};
static const struct http_param params[] = {
    {.name = "map", .kind = HTTP_PARAM_STR, .max = 16384},
    {.name = "date_format", .kind = HTTP_PARAM_STR, .max = 100},
    {.name = "day_first", .kind = HTTP_PARAM_BOOL},
    {.name = "delimiter", .kind = HTTP_PARAM_STR, .max = 8},
    {.name = "charset", .kind = HTTP_PARAM_ENUM, .words = charsets},
    {.name = "on_error", .kind = HTTP_PARAM_ENUM, .words = on_errors},
    {0},
};

const struct http_route api_imports_routes[] = {
    {.method = HTTP_POST, .pattern = "/v1/imports/{dataset}", .name = "importDataset", .scopes = SCOPE_INGEST,
     .body = HTTP_BODY_STREAM, .media = "text/csv application/x-ndjson", .params = params, .fn = post_import},
    {0},
};
