/* Customers: put, patch, erase, list, their orders and events. GET of one customer is in customer_get.c. */
#include "api_priv.h"
#include "meros/base/clock.h"
#include "meros/domain/rows.h"
#include "meros/service/customers.h"
#include <math.h>
#include <stdio.h>

static void number_or_null(struct jsonw *w, const char *name, double v)
{
    if (isnan(v)) jsonw_knull(w, name);
    else jsonw_knum(w, name, v);
}

static void write_customer(struct jsonw *w, const struct customer_record *r)
{
    jsonw_begin_object(w);
    jsonw_kstr(w, "customer_id", r->customer_id);
    jsonw_ktime(w, "created_at", r->created_at);
    jsonw_kstr(w, "email", r->email);
    jsonw_kstr(w, "name", r->name);
    jsonw_kstr(w, "phone", r->phone);
    jsonw_kraw(w, "attributes", r->attributes);
    jsonw_kraw(w, "consent", r->consent);
    jsonw_end_object(w);
}

static enum meros_code show_customer(void *arg, const struct customer_record *r, struct meros_err *err)
{
    (void)err;
    write_customer(arg, r);
    return MEROS_OK;
}

/* --- PUT, PATCH */

/* A text that PATCH may clear with null. */
static struct str text_field(struct json_obj *o, const struct json *body, const char *name, size_t max, unsigned bit, unsigned *given)
{
    if (json_get(body, name) != NULL) *given |= bit;
    struct str s = json_obj_str(o, name, JSON_NULLABLE, max);
    if (str_present(s) && s.n == 0) s = STR_NONE;
    return s;
}

static struct str consent_field(struct json_obj *o, bool patch, struct arena *arena)
{
    static const char *const purposes[] = {"profiling", "marketing", "sale"};
    const struct json *consent = json_obj_object(o, "consent", 0);
    struct json_obj fields;
    if (consent == NULL) return STR_NONE;
    json_obj_begin(&fields, consent, "/consent", o->err);
    for (size_t k = 0; k < 3; k++) json_obj_bool(&fields, purposes[k], patch ? JSON_NULLABLE : 0, false);
    if (json_obj_end(&fields) != MEROS_OK) o->failed = true;
    return api_object_text(o, "consent", consent, patch, arena);
}

static enum meros_code decode(struct http_request *req, const struct json *body, struct customer_change *c, struct meros_err *err)
{
    struct json_obj o;
    bool patch = !c->replace;
    json_obj_begin(&o, body, "", err);
    if (json_get(body, "created_at") != NULL) c->given |= CHANGE_CREATED_AT;
    c->created_at = json_obj_time(&o, "created_at", JSON_NULLABLE, TIME_NONE);
    if (c->created_at != TIME_NONE && !moment_plausible(c->created_at, clock_now()))
        json_obj_fault(&o, "created_at", "must lie between 1900 and tomorrow");
    c->email = text_field(&o, body, "email", EMAIL_MAX, CHANGE_EMAIL, &c->given);
    c->name = text_field(&o, body, "name", PERSON_NAME_MAX, CHANGE_NAME, &c->given);
    c->phone = text_field(&o, body, "phone", PHONE_MAX, CHANGE_PHONE, &c->given);
    c->attributes = api_object_text(&o, "attributes", json_obj_object(&o, "attributes", 0), patch, http_arena(req));
    c->consent = consent_field(&o, patch, http_arena(req));
    if (str_present(c->attributes)) c->given |= CHANGE_ATTRIBUTES;
    if (str_present(c->consent)) c->given |= CHANGE_CONSENT;
    return json_obj_end(&o);
}

static enum meros_code change(struct http_request *req, bool replace, struct meros_err *err)
{
    struct customer_change c = {.replace = replace};
    struct json *body = NULL;
    struct api_reply r;
    bool created = false;
    enum meros_code rc = api_body_json(req, &body, err);
    if (rc != MEROS_OK) return rc;
    rc = decode(req, body, &c, err);
    struct jsonw *w = api_reply_begin(&r);
    if (rc == MEROS_OK) rc = service_change_customer(api_service(req), http_path_param(req, "id"), &c, &created, show_customer, w, err);
    json_free(body);
    if (rc == MEROS_OK) return api_reply_end(&r, req, created ? 201 : 200, err);
    api_reply_drop(&r);
    return rc;
}

static enum meros_code put(struct http_request *req, struct meros_err *err)
{
    return change(req, true, err);
}

static enum meros_code patch(struct http_request *req, struct meros_err *err)
{
    return change(req, false, err);
}

/* --- DELETE */
static enum meros_code erase(struct http_request *req, struct meros_err *err)
{
    struct erasure e;
    char receipt[33];
    unsigned char random[16];
    enum meros_code rc = service_erase_customer(api_service(req), http_path_param(req, "id"), &e, err);
    if (rc != MEROS_OK) return rc;
    crypto_random(random, sizeof random);
    hex_encode(random, sizeof random, receipt);
    struct api_reply r;
    struct jsonw *w = api_reply_begin(&r);
    jsonw_begin_object(w);
    jsonw_kcstr(w, "receipt", receipt);
    jsonw_kstr(w, "customer_id", http_path_param(req, "id"));
    jsonw_ktime(w, "erased_at", clock_now());
    jsonw_key(w, "erased");
    jsonw_begin_object(w);
    jsonw_kint(w, "ids", e.names);
    jsonw_kint(w, "orders", e.orders);
    jsonw_kint(w, "order_lines", e.order_lines);
    jsonw_kint(w, "events", e.events);
    jsonw_kint(w, "memberships", e.memberships);
    jsonw_end_object(w);
    jsonw_end_object(w);
    return api_reply_end(&r, req, 200, err);
}

/* --- lists: each shows up to page.limit rows and counts one more */
struct listing {
    struct jsonw *w;
    int64_t limit, n, last_no, last_at;
    char last_key[33];
};

static enum meros_code list_customer(void *arg, const struct customer_record *r, struct meros_err *err)
{
    struct listing *l = arg;
    (void)err;
    if (l->n++ >= l->limit) return MEROS_OK;
    write_customer(l->w, r);
    l->last_no = r->customer_no;
    return MEROS_OK;
}

static enum meros_code list(struct http_request *req, struct meros_err *err)
{
    struct api_page page;
    struct api_reply r;
    enum meros_code rc = api_page_read(req, "customers", "i", &page, err);
    if (rc != MEROS_OK) return rc;
    struct listing l = {.w = api_reply_begin(&r), .limit = page.limit};
    api_page_begin(&page, l.w);
    rc = service_list_customers(api_service(req), page.given ? page.part[0].i : 0, page.limit + 1, list_customer, &l, err);
    if (rc != MEROS_OK) {
        api_reply_drop(&r);
        return rc;
    }
    api_page_end(&page, l.w, l.n > l.limit, (struct api_part[]){{.i = l.last_no}});
    return api_reply_end(&r, req, 200, err);
}

static enum meros_code list_order(void *arg, const struct order_record *r, struct meros_err *err)
{
    struct listing *l = arg;
    (void)err;
    if (l->n++ >= l->limit) return MEROS_OK;
    struct jsonw *w = l->w;
    jsonw_begin_object(w);
    jsonw_kstr(w, "order_id", r->order_id);
    jsonw_ktime(w, "ordered_at", r->ordered_at);
    jsonw_kcstr(w, "kind", r->purchase ? "purchase" : "return");
    jsonw_knum(w, "units", r->units);
    jsonw_knum(w, "revenue", r->revenue);
    jsonw_key(w, "lines");
    jsonw_begin_array(w);
    for (size_t k = 0; k < r->n_lines; k++) {
        const struct order_line_record *line = &r->lines[k];
        jsonw_begin_object(w);
        jsonw_kstr(w, "product_id", line->product_id);
        number_or_null(w, "quantity", line->quantity);
        number_or_null(w, "unit_price", line->unit_price);
        jsonw_knum(w, "amount", line->amount);
        if (line->ordered_at != r->ordered_at) jsonw_ktime(w, "ordered_at", line->ordered_at);
        if (str_present(line->line_id)) jsonw_kstr(w, "line_id", line->line_id);
        jsonw_end_object(w);
    }
    jsonw_end_array(w);
    jsonw_end_object(w);
    l->last_at = r->ordered_at;
    l->last_no = r->order_no;
    return MEROS_OK;
}

static enum meros_code orders(struct http_request *req, struct meros_err *err)
{
    struct api_page page;
    struct api_reply r;
    enum meros_code rc = api_page_read(req, "customer_orders", "ii", &page, err);
    if (rc != MEROS_OK) return rc;
    struct listing l = {.w = api_reply_begin(&r), .limit = page.limit};
    api_page_begin(&page, l.w);
    rc = service_customer_orders(api_service(req), http_path_param(req, "id"), page.given ? page.part[0].i : TIME_NONE,
                                 page.given ? page.part[1].i : 0, page.limit + 1, list_order, &l, err);
    if (rc != MEROS_OK) {
        api_reply_drop(&r);
        return rc;
    }
    api_page_end(&page, l.w, l.n > l.limit, (struct api_part[]){{.i = l.last_at}, {.i = l.last_no}});
    return api_reply_end(&r, req, 200, err);
}

static enum meros_code list_event(void *arg, const struct event_record *r, struct meros_err *err)
{
    struct listing *l = arg;
    (void)err;
    if (l->n++ >= l->limit) return MEROS_OK;
    struct jsonw *w = l->w;
    jsonw_begin_object(w);
    jsonw_kstr(w, "event_id", r->event_id);
    jsonw_kstr(w, "type", r->type);
    jsonw_ktime(w, "occurred_at", r->occurred_at);
    jsonw_kstr(w, "product_id", r->product_id);
    number_or_null(w, "value", r->value);
    number_or_null(w, "quantity", r->quantity);
    jsonw_kraw(w, "properties", str_present(r->properties) ? r->properties : STR("{}"));
    jsonw_end_object(w);
    l->last_at = r->occurred_at;
    str_copy(l->last_key, sizeof l->last_key, r->key);
    return MEROS_OK;
}

static bool is_key(struct str s)
{
    unsigned char bytes[16];
    return hex_decode(s, bytes, sizeof bytes);
}

static enum meros_code events(struct http_request *req, struct meros_err *err)
{
    struct api_page page;
    struct api_reply r;
    enum meros_code rc = api_page_read(req, "customer_events", "it", &page, err);
    if (rc != MEROS_OK) return rc;
    if (page.given && !is_key(page.part[1].t)) return err_field(err, "?cursor", "is not a cursor of this list");
    struct listing l = {.w = api_reply_begin(&r), .limit = page.limit};
    api_page_begin(&page, l.w);
    rc = service_customer_events(api_service(req), http_path_param(req, "id"), page.given ? page.part[0].i : TIME_NONE,
                                 page.given ? page.part[1].t : STR_NONE, page.limit + 1, list_event, &l, err);
    if (rc != MEROS_OK) {
        api_reply_drop(&r);
        return rc;
    }
    api_page_end(&page, l.w, l.n > l.limit, (struct api_part[]){{.i = l.last_at}, {.t = str_of(l.last_key)}});
    return api_reply_end(&r, req, 200, err);
}

static const struct http_param list_params[] = {API_PAGE_PARAMS, {0}};

const struct http_route api_customers_routes[] = {
    {.method = HTTP_GET, .pattern = "/v1/customers", .name = "listCustomers", .scopes = SCOPE_READ, .params = list_params, .fn = list},
    {.method = HTTP_PUT, .pattern = "/v1/customers/{id}", .name = "putCustomer", .scopes = SCOPE_INGEST,
     .body = HTTP_BODY_BUFFERED, .media = API_JSON, .fn = put},
    {.method = HTTP_PATCH, .pattern = "/v1/customers/{id}", .name = "patchCustomer", .scopes = SCOPE_INGEST,
     .body = HTTP_BODY_BUFFERED, .media = API_JSON, .fn = patch},
    {.method = HTTP_DELETE, .pattern = "/v1/customers/{id}", .name = "deleteCustomer", .scopes = SCOPE_PRIVACY, .fn = erase},
    {.method = HTTP_GET, .pattern = "/v1/customers/{id}/orders", .name = "listCustomerOrders", .scopes = SCOPE_READ,
     .params = list_params, .fn = orders},
    {.method = HTTP_GET, .pattern = "/v1/customers/{id}/events", .name = "listCustomerEvents", .scopes = SCOPE_READ,
     .params = list_params, .fn = events},
    {0},
};
