/* How the endpoints that recommend read what they are asked for. */
#ifndef MEROS_API_RECOMMEND_PRIV_H
#define MEROS_API_RECOMMEND_PRIV_H

#include "api_priv.h"
#include "meros/service/recommend.h"

#define API_PRICE_MAX 1e15
enum { API_CATEGORY_MAX = 1000, API_EXCLUDE_TEXT_MAX = 12000 };

extern const char *const api_recommend_strategies[]; /* those that may be asked for, in the order of enum recommend_strategy */
extern const char *const api_recommend_scoring[];    /* of them those that score products for a customer, and auto */
enum recommend_strategy api_recommend_strategy(struct http_request *req); /* the query parameter; without one auto */

/* Query parameters: of products as well, and of customers only. */
#define API_RECOMMEND_FILTER_PARAMS                                                                  \
    {.name = "limit", .kind = HTTP_PARAM_INT, .min = 1, .max = RECOMMEND_LIMIT_MAX},                 \
    {.name = "category", .kind = HTTP_PARAM_STR, .max = API_CATEGORY_MAX},                           \
    {.name = "exclude", .kind = HTTP_PARAM_STR, .max = API_EXCLUDE_TEXT_MAX},                        \
    {.name = "available", .kind = HTTP_PARAM_BOOL},                                                  \
    {.name = "min_price", .kind = HTTP_PARAM_NUM, .min = 0, .max = API_PRICE_MAX},                   \
    {.name = "max_price", .kind = HTTP_PARAM_NUM, .min = 0, .max = API_PRICE_MAX},                   \
    {.name = "attributes", .kind = HTTP_PARAM_STR, .max = 2000}
#define API_RECOMMEND_CUSTOMER_PARAMS                                                                \
    {.name = "strategy", .kind = HTTP_PARAM_ENUM, .words = api_recommend_strategies},                \
    {.name = "exclude_purchased", .kind = HTTP_PARAM_BOOL},                                          \
    {.name = "exclude_seen", .kind = HTTP_PARAM_BOOL},                                               \
    {.name = "diversity", .kind = HTTP_PARAM_NUM, .min = 0, .max = 1}

/* From whichever of those parameters the route has; the rest by default. Texts live in the request's arena. */
enum meros_code api_recommend_query(struct http_request *req, struct recommend_query *out, struct meros_err *err) MEROS_MUSTCHECK;

/* From the members of a body of the same names ("exclude" an array, "attributes" an object). Faults go to o; only what is not the
 * client's is returned. Texts live in the tree and in the arena. */
enum meros_code api_recommend_members(struct http_request *req, struct json_obj *o, struct recommend_query *out, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code api_recommend_recent(struct http_request *req, struct json_obj *o, struct recommend_recent **out, size_t *out_n,
                                     struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code api_recommend_ids(struct http_request *req, struct json_obj *o, const char *name, int flags, size_t most,
                                  const struct str **out, size_t *out_n, struct meros_err *err) MEROS_MUSTCHECK;

#endif
