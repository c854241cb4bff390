/* The catalogue. */
#include "api_priv.h"
#include "meros/domain/rows.h"
#include "meros/service/products.h"
#include <math.h>

static void write_product(struct jsonw *w, const struct product_record *r)
{
    jsonw_begin_object(w);
    jsonw_kstr(w, "product_id", r->product_id);
    jsonw_kstr(w, "name", r->name);
    jsonw_kstr(w, "category", r->category);
    if (isnan(r->price_shown)) jsonw_knull(w, "price");
    else jsonw_knum(w, "price", r->price_shown);
    jsonw_kstr(w, "description", r->description);
    jsonw_kbool(w, "available", r->available);
    jsonw_kraw(w, "attributes", r->attributes);
    jsonw_end_object(w);
}

static enum meros_code show(void *arg, const struct product_record *r, struct meros_err *err)
{
    (void)err;
    write_product(arg, r);
    return MEROS_OK;
}

static enum meros_code decode(struct http_request *req, const struct json *body, struct product_record *p, struct meros_err *err)
{
    struct json_obj o;
    char number[32];
    json_obj_begin(&o, body, "", err);
    p->name = json_obj_str(&o, "name", JSON_NULLABLE, PRODUCT_NAME_MAX);
    p->category = json_obj_str(&o, "category", JSON_NULLABLE, CATEGORY_MAX);
    p->description = json_obj_str(&o, "description", JSON_NULLABLE, DESCRIPTION_MAX);
    double price = json_obj_num(&o, "price", JSON_NULLABLE, 0, (double)PRICE_MAX, NAN);
    if (!isnan(price)) {
        struct str text = {number, json_number_text(price, number)};
        if (!decimal_parse(text, PRICE_MAX, &p->price)) json_obj_fault(&o, "price", "must be a number with up to six decimals");
    }
    p->available = json_obj_bool(&o, "available", 0, true);
    p->attributes = api_object_text(&o, "attributes", json_obj_object(&o, "attributes", 0), false, http_arena(req));
    return json_obj_end(&o);
}

static enum meros_code put(struct http_request *req, struct meros_err *err)
{
    struct product_record p = {.product_id = http_path_param(req, "id")};
    struct json *body = NULL;
    struct api_reply r;
    bool created = false;
    enum meros_code rc = api_body_json(req, &body, err);
    if (rc != MEROS_OK) return rc;
    rc = decode(req, body, &p, err);
    struct jsonw *w = api_reply_begin(&r);
    if (rc == MEROS_OK) rc = service_put_product(api_service(req), &p, &created, show, w, err);
    json_free(body);
    if (rc == MEROS_OK) return api_reply_end(&r, req, created ? 201 : 200, err);
    api_reply_drop(&r);
    return rc;
}

static enum meros_code get(struct http_request *req, struct meros_err *err)
{
    struct api_reply r;
    enum meros_code rc = service_get_product(api_service(req), http_path_param(req, "id"), show, api_reply_begin(&r), err);
    if (rc == MEROS_OK) return api_reply_end(&r, req, 200, err);
    api_reply_drop(&r);
    return rc;
}

static enum meros_code drop(struct http_request *req, struct meros_err *err)
{
    enum meros_code rc = service_delete_product(api_service(req), http_path_param(req, "id"), err);
    if (rc == MEROS_OK) http_reply_empty(req, 204);
    return rc;
}

struct listing {
    struct jsonw *w;
    int64_t limit, n, last;
};

static enum meros_code list_product(void *arg, const struct product_record *r, struct meros_err *err)
{
    struct listing *l = arg;
    (void)err;
    if (l->n++ >= l->limit) return MEROS_OK; /* one more than asked for tells that there is more */
    write_product(l->w, r);
    l->last = r->product_no;
    return MEROS_OK;
}

static enum meros_code list(struct http_request *req, struct meros_err *err)
{
    struct api_page page;
    struct api_reply r;
    enum meros_code rc = api_page_read(req, "products", "i", &page, err);
    if (rc != MEROS_OK) return rc;
    struct listing l = {.w = api_reply_begin(&r), .limit = page.limit};
    api_page_begin(&page, l.w);
    rc = service_list_products(api_service(req), page.given ? page.part[0].i : 0, page.limit + 1, list_product, &l, err);
    if (rc != MEROS_OK) {
        api_reply_drop(&r);
        return rc;
    }
    api_page_end(&page, l.w, l.n > l.limit, (struct api_part[]){{.i = l.last}});
    return api_reply_end(&r, req, 200, err);
}

static const struct http_param list_params[] = {API_PAGE_PARAMS, {0}};

const struct http_route api_products_routes[] = {
    {.method = HTTP_GET, .pattern = "/v1/products", .name = "listProducts", .scopes = SCOPE_READ, .params = list_params, .fn = list},
    {.method = HTTP_PUT, .pattern = "/v1/products/{id}", .name = "putProduct", .scopes = SCOPE_INGEST,
     .body = HTTP_BODY_BUFFERED, .media = API_JSON, .fn = put},
    {.method = HTTP_GET, .pattern = "/v1/products/{id}", .name = "getProduct", .scopes = SCOPE_READ, .fn = get},
    {.method = HTTP_DELETE, .pattern = "/v1/products/{id}", .name = "deleteProduct", .scopes = SCOPE_INGEST, .fn = drop},
    {0},
};
