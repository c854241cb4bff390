/* What a recommendation is asked for: from the parameters of a GET or the members of a POST. */
#include "recommend_priv.h"

#include <math.h>
#include <stdio.h>

const char *const api_recommend_strategies[] = {"auto", "popular", "trending", "similar", "bought_together", "sequence",
                                                "content", "als", "ease", "blend", NULL};
const char *const api_recommend_scoring[] = {"auto", "similar", "sequence", "content", "als", "ease", "blend", NULL};

static enum meros_code no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for the request.");
}

/* "a,b,c" as n texts in the arena. An empty one among them is a fault. */
static enum meros_code split(struct http_request *req, const char *pointer, struct str text, size_t most, const struct str **out, size_t *out_n,
                             struct meros_err *err)
{
    size_t n = 1;
    for (size_t i = 0; i < text.n; i++) n += text.p[i] == ',';
    if (n > most) return err_field(err, pointer, "has more than %zu", most);
    struct str *list = arena_array(http_arena(req), n, sizeof *list);
    if (list == NULL) return no_memory(err);
    const char *at = text.p, *end = text.p + text.n;
    for (size_t i = 0; i < n; i++) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        list[i] = (struct str){at, (size_t)((comma != NULL ? comma : end) - at)};
        if (list[i].n == 0) return err_field(err, pointer, "has an empty one between its commas");
        if (comma != NULL) at = comma + 1;
    }
    *out = list;
    *out_n = n;
    return MEROS_OK;
}

static enum meros_code read_excluded(struct http_request *req, struct recommend_query *q, struct meros_err *err)
{
    const struct str text = http_query_str(req, "exclude");
    if (text.n == 0) return MEROS_OK;
    enum meros_code rc = split(req, "?exclude", text, RECOMMEND_EXCLUDE_MAX, &q->exclude, &q->n_exclude, err);
    for (size_t i = 0; rc == MEROS_OK && i < q->n_exclude; i++)
        if (!id_valid(q->exclude[i])) rc = err_field(err, "?exclude", "must be ids of products with commas between them");
    return rc;
}

static enum meros_code read_attributes(struct http_request *req, struct recommend_query *q, struct meros_err *err)
{
    const struct str text = http_query_str(req, "attributes");
    const struct str *pairs;
    if (text.n == 0) return MEROS_OK;
    enum meros_code rc = split(req, "?attributes", text, RECOMMEND_ATTRIBUTES_MAX, &pairs, &q->n_attributes, err);
    for (size_t i = 0; rc == MEROS_OK && i < q->n_attributes; i++) {
        const char *colon = memchr(pairs[i].p, ':', pairs[i].n);
        if (colon == NULL || colon == pairs[i].p) return err_field(err, "?attributes", "must be name:value,name:value");
        q->attributes[i].name = (struct str){pairs[i].p, (size_t)(colon - pairs[i].p)};
        q->attributes[i].value = (struct str){colon + 1, pairs[i].n - (size_t)(colon + 1 - pairs[i].p)};
    }
    return rc;
}

static enum meros_code check_prices(const struct recommend_query *q, const char *pointer, struct meros_err *err)
{
    if (!isnan(q->min_price) && !isnan(q->max_price) && q->min_price > q->max_price) return err_field(err, pointer, "lies above max_price");
    return MEROS_OK;
}

enum recommend_strategy api_recommend_strategy(struct http_request *req)
{
    const struct str word = http_query_str(req, "strategy");
    return str_present(word) ? (enum recommend_strategy)recommend_strategy_of(word) : RECOMMEND_AUTO; /* one of them: the route said which there are */
}

enum meros_code api_recommend_query(struct http_request *req, struct recommend_query *out, struct meros_err *err)
{
    struct recommend_query q = recommend_query_default();
    q.limit = (size_t)http_query_int(req, "limit", (int64_t)q.limit);
    q.strategy = api_recommend_strategy(req);
    q.category = http_query_str(req, "category");
    if (q.category.n == 0) q.category = STR_NONE;
    q.min_price = http_query_num(req, "min_price", NAN);
    q.max_price = http_query_num(req, "max_price", NAN);
    q.exclude_purchased = http_query_bool(req, "exclude_purchased", q.exclude_purchased);
    q.exclude_seen = http_query_bool(req, "exclude_seen", q.exclude_seen);
    q.available = http_query_bool(req, "available", q.available);
    q.diversity = http_query_num(req, "diversity", 0);
    enum meros_code rc = check_prices(&q, "?min_price", err);
    if (rc == MEROS_OK) rc = read_excluded(req, &q, err);
    if (rc == MEROS_OK) rc = read_attributes(req, &q, err);
    if (rc == MEROS_OK) *out = q;
    return rc;
}

/* --- bodies */

enum meros_code api_recommend_ids(struct http_request *req, struct json_obj *o, const char *name, int flags, size_t most, const struct str **out,
                                  size_t *out_n, struct meros_err *err)
{
    const struct json *array = json_obj_array(o, name, flags, most);
    const size_t n = json_count(array);
    struct str *ids = arena_array(http_arena(req), n + 1, sizeof *ids);
    if (ids == NULL) return no_memory(err);
    for (size_t i = 0; i < n; i++) {
        ids[i] = json_str(json_at(array, i));
        if (id_valid(ids[i])) continue;
        char pointer[ERR_POINTER_MAX + 40];
        snprintf(pointer, sizeof pointer, "%s/%s/%zu", o->pointer, name, i);
        err_field(err, pointer, "must be an id: 1 to %d bytes of UTF-8 without control characters", ID_MAX);
        o->failed = true;
    }
    *out = ids;
    *out_n = n;
    return MEROS_OK;
}

/* Text as it is; a number or a boolean in its usual words. */
static bool attribute_text(struct http_request *req, const struct json *v, struct str *out)
{
    char number[32];
    switch (json_kind(v)) {
    case JSON_KIND_STRING: *out = json_str(v); return true;
    case JSON_KIND_BOOL: *out = str_of(json_bool(v) ? "true" : "false"); return true;
    case JSON_KIND_NUMBER: {
        const size_t n = json_number_text(json_num(v), number);
        *out = (struct str){arena_strndup(http_arena(req), number, n), n};
        return out->p != NULL;
    }
    default: return false;
    }
}

static void body_attributes(struct http_request *req, struct json_obj *o, struct recommend_query *q)
{
    const struct json *object = json_obj_object(o, "attributes", 0), *value;
    const void *at = NULL;
    struct str name;
    while (json_next(object, &at, &name, &value)) {
        if (q->n_attributes == RECOMMEND_ATTRIBUTES_MAX) {
            json_obj_fault(o, "attributes", "has more than %d members", RECOMMEND_ATTRIBUTES_MAX);
            return;
        }
        if (!attribute_text(req, value, &q->attributes[q->n_attributes].value)) {
            json_obj_fault(o, "attributes", "must hold texts, numbers or booleans");
            return;
        }
        q->attributes[q->n_attributes++].name = name;
    }
}

enum meros_code api_recommend_recent(struct http_request *req, struct json_obj *o, struct recommend_recent **out, size_t *out_n, struct meros_err *err)
{
    const struct json *array = json_obj_array(o, "recent", 0, RECOMMEND_RECENT_MAX);
    const size_t n = json_count(array);
    struct recommend_recent *recent = arena_array(http_arena(req), n + 1, sizeof *recent);
    if (recent == NULL) return no_memory(err);
    for (size_t i = 0; i < n; i++) {
        struct json_obj one;
        char pointer[ERR_POINTER_MAX + 40];
        snprintf(pointer, sizeof pointer, "%s/recent/%zu", o->pointer, i);
        json_obj_begin(&one, json_at(array, i), pointer, err);
        recent[i].product_id = json_obj_id(&one, "product_id", JSON_REQUIRED);
        recent[i].type = json_obj_id(&one, "type", 0);
        if (json_obj_end(&one) != MEROS_OK) o->failed = true;
    }
    *out = recent;
    *out_n = n;
    return MEROS_OK;
}

enum meros_code api_recommend_members(struct http_request *req, struct json_obj *o, struct recommend_query *out, struct meros_err *err)
{
    struct recommend_query q = recommend_query_default();
    q.limit = (size_t)json_obj_int(o, "limit", 0, 1, RECOMMEND_LIMIT_MAX, (int64_t)q.limit);
    q.strategy = (enum recommend_strategy)json_obj_enum(o, "strategy", 0, api_recommend_strategies, RECOMMEND_AUTO);
    q.category = json_obj_str(o, "category", 0, API_CATEGORY_MAX);
    if (q.category.n == 0) q.category = STR_NONE;
    q.min_price = json_obj_num(o, "min_price", 0, 0, API_PRICE_MAX, NAN);
    q.max_price = json_obj_num(o, "max_price", 0, 0, API_PRICE_MAX, NAN);
    q.exclude_purchased = json_obj_bool(o, "exclude_purchased", 0, q.exclude_purchased);
    q.exclude_seen = json_obj_bool(o, "exclude_seen", 0, q.exclude_seen);
    q.available = json_obj_bool(o, "available", 0, q.available);
    q.diversity = json_obj_num(o, "diversity", 0, 0, 1, 0);
    char price[ERR_POINTER_MAX + 40];
    snprintf(price, sizeof price, "%s/min_price", o->pointer);
    if (check_prices(&q, price, err) != MEROS_OK) o->failed = true;
    body_attributes(req, o, &q);
    enum meros_code rc = api_recommend_ids(req, o, "exclude", 0, RECOMMEND_EXCLUDE_MAX, &q.exclude, &q.n_exclude, err);
    if (rc == MEROS_OK) *out = q;
    return rc;
}
