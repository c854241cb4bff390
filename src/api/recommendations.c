/* Recommendations for customers and visitors, and given products in their order. All of it runs on the HTTP thread: what is known
 * of the customer is in memory (service/shelf.h), or read and the answer made by who read it; nothing here waits. */
#include "recommend_priv.h"
#include "meros/service/shelf.h"

enum { RANK_PRODUCTS_MAX = 1000, ANSWER_MAX = 4 << 20 };

/* One request, from when it is decoded until it is answered. Lives in the request's arena. */
struct asking {
    struct shelf_ask ask;
    struct http_request *req;
    struct recommend_query q;
    struct str customer_id; /* STR_NONE: nobody's name */
    struct recommend_recent *recent;
    size_t n_recent;
    const struct str *products; /* of a ranking */
    size_t n_products;
    struct json *body;          /* holds texts; NULL: none */
    enum meros_code (*answer)(struct asking *x, const struct shelf *shelf, struct buf *out, struct meros_err *err);
};

static enum meros_code answer_list(struct asking *x, const struct shelf *shelf, struct buf *out, struct meros_err *err)
{
    return recommend_json(api_service(x->req), &x->q, x->customer_id, shelf, x->recent, x->n_recent, http_arena(x->req), out, err);
}

static enum meros_code answer_ranked(struct asking *x, const struct shelf *shelf, struct buf *out, struct meros_err *err)
{
    struct recommend_answer a;
    struct recommend_ranked *ranked = arena_array(http_arena(x->req), x->n_products, sizeof *ranked);
    if (ranked == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for the ranking.");
    enum meros_code rc = recommend_rank(api_service(x->req), &x->q, shelf, x->recent, x->n_recent, http_arena(x->req), ranked, x->products,
                                        x->n_products, &a, err);
    if (rc == MEROS_OK) recommend_rank_write(x->customer_id, &a, ranked, x->products, x->n_products, out);
    return rc;
}

/* Replies; the shelf stays the caller's. */
static enum meros_code reply(struct asking *x, const struct shelf *shelf, struct meros_err *err)
{
    struct buf out;
    buf_init(&out, ANSWER_MAX);
    enum meros_code rc = x->answer(x, shelf, &out, err);
    json_free(x->body);
    x->body = NULL;
    if (rc == MEROS_OK && out.failed) rc = err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for the answer.");
    if (rc == MEROS_OK) http_reply_json(x->req, 200, &out);
    else buf_done(&out);
    return rc;
}

/* Of whom nothing can be read now: what is popular is better than an error. */
static void read_shelf(struct shelf_ask *ask, enum meros_code rc, const struct shelf *s, bool stale, const struct meros_err *why)
{
    struct asking *x = ask->arg;
    struct meros_err err = MEROS_ERR_INIT;
    (void)why;
    if (rc != MEROS_OK) x->q.why_not = "database_away";
    x->q.stale = stale;
    rc = reply(x, rc == MEROS_OK ? s : NULL, &err);
    shelf_release(s);
    http_complete(x->req, rc, &err); /* the asking lives in the request's arena: it is gone after this */
}

/* Attributes are text that is parsed for each product that is looked at: not on the thread that serves everybody. */
static bool better_on_a_worker(const struct asking *x)
{
    return x->q.n_attributes > 0 && !http_may_block(x->req);
}

static enum meros_code go(struct asking *x, struct meros_err *err)
{
    struct service *svc = api_service(x->req);
    if (better_on_a_worker(x)) {
        json_free(x->body);
        http_use_worker(x->req);
        return MEROS_OK;
    }
    if (!str_present(x->customer_id)) return reply(x, NULL, err);
    const struct shelf *shelf = shelf_peek(svc, x->customer_id);
    if (shelf != NULL) {
        enum meros_code rc = reply(x, shelf, err);
        shelf_release(shelf);
        return rc;
    }
    struct asking *kept = arena_alloc(http_arena(x->req), sizeof *kept);
    if (kept == NULL) {
        json_free(x->body);
        return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for the request.");
    }
    *kept = *x;
    kept->ask = (struct shelf_ask){.customer_id = x->customer_id, .done = read_shelf, .arg = kept};
    http_defer(x->req);
    struct meros_err refused = MEROS_ERR_INIT;
    enum meros_code rc = shelf_ask(svc, &kept->ask, &refused);
    if (rc != MEROS_OK) read_shelf(&kept->ask, rc, NULL, false, &refused);
    return MEROS_OK;
}

/* --- GET /v1/customers/{id}/recommendations */

static enum meros_code get(struct http_request *req, struct meros_err *err)
{
    struct asking x = {.req = req, .customer_id = http_path_param(req, "id"), .answer = answer_list};
    enum meros_code rc = api_recommend_query(req, &x.q, err);
    return rc == MEROS_OK ? go(&x, err) : rc;
}

/* --- POST /v1/recommendations, POST /v1/rank */

static enum meros_code decode_list(struct asking *x, struct json_obj *o, struct meros_err *err)
{
    x->answer = answer_list;
    return api_recommend_members(x->req, o, &x->q, err);
}

static enum meros_code decode_ranking(struct asking *x, struct json_obj *o, struct meros_err *err)
{
    x->answer = answer_ranked;
    x->q = recommend_query_default();
    x->q.strategy = (enum recommend_strategy)json_obj_enum(o, "strategy", 0, api_recommend_strategies, RECOMMEND_AUTO);
    enum meros_code rc = api_recommend_ids(x->req, o, "products", JSON_REQUIRED, RANK_PRODUCTS_MAX, &x->products, &x->n_products, err);
    if (rc == MEROS_OK && x->n_products == 0) json_obj_fault(o, "products", "must name at least one product");
    return rc;
}

static enum meros_code post(struct http_request *req, enum meros_code (*decode)(struct asking *x, struct json_obj *o, struct meros_err *err),
                            struct meros_err *err)
{
    struct asking x = {.req = req, .customer_id = STR_NONE};
    struct json_obj o;
    enum meros_code rc = api_body_json(req, &x.body, err);
    if (rc != MEROS_OK) return rc;
    json_obj_begin(&o, x.body, "", err);
    x.customer_id = json_obj_id(&o, "customer_id", JSON_NULLABLE);
    rc = api_recommend_recent(req, &o, &x.recent, &x.n_recent, err);
    if (rc == MEROS_OK) rc = decode(&x, &o, err);
    if (rc == MEROS_OK) rc = json_obj_end(&o);
    if (rc == MEROS_OK) return go(&x, err);
    json_free(x.body);
    return rc;
}

static enum meros_code post_list(struct http_request *req, struct meros_err *err)
{
    return post(req, decode_list, err);
}

static enum meros_code post_ranking(struct http_request *req, struct meros_err *err)
{
    return post(req, decode_ranking, err);
}

/* --- products */

static enum meros_code products(struct http_request *req, enum recommend_strategy strategy, struct str product_id, struct meros_err *err)
{
    struct recommend_query q;
    struct recommend_answer a;
    struct recommend_pair *pairs;
    struct buf out;
    enum meros_code rc = api_recommend_query(req, &q, err);
    if (rc != MEROS_OK) return rc;
    if (q.n_attributes > 0 && !http_may_block(req)) {
        http_use_worker(req);
        return MEROS_OK;
    }
    q.strategy = strategy;
    rc = recommend_products(api_service(req), &q, product_id, http_arena(req), &a, &pairs, err);
    if (rc != MEROS_OK) return rc;
    buf_init(&out, ANSWER_MAX);
    recommend_products_write(api_service(req), &q, product_id, &a, pairs, &out);
    http_reply_json(req, 200, &out);
    return MEROS_OK;
}

static enum meros_code similar(struct http_request *req, struct meros_err *err)
{
    return products(req, RECOMMEND_SIMILAR, http_path_param(req, "id"), err);
}

static enum meros_code bought_together(struct http_request *req, struct meros_err *err)
{
    return products(req, RECOMMEND_BOUGHT_TOGETHER, http_path_param(req, "id"), err);
}

static enum meros_code popular(struct http_request *req, struct meros_err *err)
{
    return products(req, http_query_bool(req, "trending", false) ? RECOMMEND_TRENDING : RECOMMEND_POPULAR, STR_NONE, err);
}

/* --- */

static const struct http_param customer_params[] = {API_RECOMMEND_FILTER_PARAMS, API_RECOMMEND_CUSTOMER_PARAMS, {0}};
static const struct http_param product_params[] = {API_RECOMMEND_FILTER_PARAMS, {0}};
static const struct http_param popular_params[] = {API_RECOMMEND_FILTER_PARAMS, {.name = "trending", .kind = HTTP_PARAM_BOOL}, {0}};

const struct http_route api_recommendations_routes[] = {
    {.method = HTTP_GET, .pattern = "/v1/customers/{id}/recommendations", .name = "getRecommendations", .scopes = SCOPE_READ | SCOPE_RECOMMEND,
     .flags = HTTP_INLINE, .params = customer_params, .fn = get},
    {.method = HTTP_POST, .pattern = "/v1/recommendations", .name = "postRecommendations", .scopes = SCOPE_READ | SCOPE_RECOMMEND,
     .body = HTTP_BODY_BUFFERED, .media = API_JSON, .flags = HTTP_INLINE_LIGHT, .fn = post_list},
    {.method = HTTP_POST, .pattern = "/v1/rank", .name = "rankProducts", .scopes = SCOPE_READ | SCOPE_RECOMMEND,
     .body = HTTP_BODY_BUFFERED, .media = API_JSON, .flags = HTTP_INLINE_LIGHT, .fn = post_ranking},
    {.method = HTTP_GET, .pattern = "/v1/products/{id}/similar", .name = "getSimilarProducts", .scopes = SCOPE_READ | SCOPE_RECOMMEND,
     .flags = HTTP_INLINE, .params = product_params, .fn = similar},
    {.method = HTTP_GET, .pattern = "/v1/products/{id}/bought-together", .name = "getBoughtTogether", .scopes = SCOPE_READ | SCOPE_RECOMMEND,
     .flags = HTTP_INLINE, .params = product_params, .fn = bought_together},
    {.method = HTTP_GET, .pattern = "/v1/products/popular", .name = "getPopularProducts", .scopes = SCOPE_READ | SCOPE_RECOMMEND,
     .flags = HTTP_INLINE, .params = popular_params, .fn = popular},
    {0},
};
