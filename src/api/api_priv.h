/* What the files of src/api/ share: the resources' routes, and the one way to read a body, to page, and to answer. */
#ifndef MEROS_API_PRIV_H
#define MEROS_API_PRIV_H

#include <stdbool.h>
#include <stdint.h>
#include "meros/api/api.h"
#include "meros/codec/json.h"
#include "meros/service/ingest.h"
#include "meros/service/service.h"

/* One table a resource, ended by pattern NULL; src/api/routes.c puts together those that it lists. */
extern const struct http_route api_health_routes[];       /* healthz, readyz */
extern const struct http_route api_metrics_routes[];
extern const struct http_route api_openapi_routes[];
extern const struct http_route api_keys_routes[];
extern const struct http_route api_jobs_routes[];
extern const struct http_route api_imports_routes[];
extern const struct http_route api_customers_routes[];    /* put, patch, delete, list, orders, events */
extern const struct http_route api_consent_routes[];
extern const struct http_route api_customer_get_routes[]; /* GET /v1/customers/{id}: fresh stats and segments */
extern const struct http_route api_clv_routes[];          /* what customers will be worth */
extern const struct http_route api_products_routes[];
extern const struct http_route api_recommendations_routes[]; /* what to show a customer; similar, bought together, popular products */
extern const struct http_route api_segments_routes[];     /* segmentations and their members */
extern const struct http_route api_segment_history_routes[]; /* who entered and left, and the stream of it */
extern const struct http_route api_models_routes[];
extern const struct http_route api_rejections_routes[];
extern const struct http_route api_events_routes[];       /* events, outcomes of campaigns */
extern const struct http_route api_webhooks_routes[];
extern const struct http_route api_collect_routes[];       /* events in, recommendations out */
extern const struct http_route api_likely_buyers_routes[];
extern const struct http_route api_group_recommend_routes[]; /* for a segment, an audience, a list of customers */
extern const struct http_route api_reco_performance_routes[]; /* clicks, conversions, verdicts of experiments */
extern const struct http_route api_audiences_routes[];    /* rules that say which customers are meant */
extern const struct http_route api_reco_rules_routes[];   /* rules of recommendations, the experiment */
extern const struct http_route api_segment_routes[], api_ga4_routes[], api_posthog_routes[];

static inline struct service *api_service(const struct http_request *req)
{
    return http_ctx(req);
}

/* --- bodies */
#define API_JSON "application/json"
/* The body as JSON; json_free(*out) at the end. With an empty optional body *out is NULL. */
enum meros_code api_body_json(struct http_request *req, struct json **out, struct meros_err *err) MEROS_MUSTCHECK;

/* An object of the client's own members (attributes, consent) as text for the database, up to 64 KiB, in the arena;
 * faults go to o under `name`. keep_nulls: a patch, in which null removes. STR_NONE for NULL. */
struct str api_object_text(struct json_obj *o, const char *name, const struct json *object, bool keep_nulls, struct arena *arena);

/* --- answers
 *   struct api_reply r;
 *   struct jsonw *w = api_reply_begin(&r);
 *   jsonw_begin_object(w); …
 *   return api_reply_end(&r, req, 200, err);     // or api_reply_drop(&r) on the way out of an error */
struct api_reply {
    struct buf buf;
    struct jsonw w;
};
struct jsonw *api_reply_begin(struct api_reply *r);
enum meros_code api_reply_end(struct api_reply *r, struct http_request *req, int status, struct meros_err *err) MEROS_MUSTCHECK;
void api_reply_drop(struct api_reply *r); /* also after api_reply_end */

/* --- lists: {"data": […], "next": cursor | null}, ?limit= and ?cursor= everywhere the same.
 *
 * A cursor says after which row to go on: the row's place in the list's order (its keyset), so it stays right while rows
 * come and go. It is opaque to clients: base64url of version, list, parts. `list` names the list (and its order: a
 * cursor of one list given to another is 400); `shape` says what the parts are: 'i' int64, 'd' double, 't' text.
 *
 *   static const struct http_param params[] = {API_PAGE_PARAMS, {.name = "state", …}, {0}};
 *
 *   struct api_page page;
 *   TRY(api_page_read(req, "jobs", "i", &page, err));   // page.limit, page.given, page.part[0].i
 *   rows = … where job_no < page.part[0].i … limit page.limit + 1
 *   api_page_begin(&page, w);                           // {"data":[
 *   for each of the first page.limit rows: write it
 *   api_page_end(&page, w, more, (struct api_part[]){{.i = last_no}});   // ],"next":…}        */
enum { API_LIMIT_MAX = 1000, API_LIMIT_DEFAULT = 100, API_PARTS_MAX = 3, API_CURSOR_CAP = 1024 };
#define API_PAGE_PARAMS                                                                                      \
    {.name = "limit", .kind = HTTP_PARAM_INT, .min = 1, .max = API_LIMIT_MAX},                               \
    {.name = "cursor", .kind = HTTP_PARAM_STR, .max = API_CURSOR_CAP}

struct api_part {
    int64_t i;
    double d;
    struct str t; /* of a read cursor: points into page.text */
};
struct api_page {
    int64_t limit;
    bool given; /* a cursor was given; the parts say after which row */
    struct api_part part[API_PARTS_MAX];
    /* private */
    const char *list, *shape;
    char text[API_CURSOR_CAP];
};
enum meros_code api_page_read(struct http_request *req, const char *list, const char *shape, struct api_page *out,
                              struct meros_err *err) MEROS_MUSTCHECK;
void api_page_begin(struct api_page *p, struct jsonw *w);
void api_page_end(struct api_page *p, struct jsonw *w, bool more, const struct api_part *last);

/* Writing a list whose rows come through a callback, one more of them asked for than the page holds: that one only tells
 * that there is more. */
struct api_listing {
    struct jsonw *w;
    int64_t limit, n, last; /* last: of the row that ends the page, what its cursor holds */
};
/* Whether this row is to be written; then `last` is its part of the cursor. */
static inline bool api_listing_take(struct api_listing *l, int64_t part)
{
    if (l->n++ >= l->limit) return false;
    l->last = part;
    return true;
}

/* The cursor itself, for tests and for lists of another form. 0 if it does not fit. */
size_t api_cursor_encode(const char *list, const char *shape, const struct api_part *parts, char out[API_CURSOR_CAP]);
/* False for anything that api_cursor_encode did not make for this list and shape. text holds what the parts point to. */
bool api_cursor_decode(struct str cursor, const char *list, const char *shape, struct api_part *out, char text[API_CURSOR_CAP]);

/* --- the ingest path. An endpoint decodes its body into items and hands them over as the last thing it does:
 *
 *   struct my_request { struct api_ingest in; … } *x = arena_zalloc(http_arena(req), sizeof *x);
 *   x->in.request = (struct ingest_request){.source = INGEST_FROM_SEGMENT, .items = items, .n = n, .results = results};
 *   x->in.answer = answer;
 *   return api_ingest(req, &x->in, err);
 *
 * answer() replies from in->request.results once all is committed, on the HTTP thread or the worker; it must not block. Everything
 * that it reads lives in the request's arena. Fit for routes with HTTP_INLINE_LIGHT and for those without. */
struct api_ingest {
    struct ingest_request request; /* source, items, n, results: the endpoint's; the rest is set by api_ingest */
    enum meros_code (*answer)(struct http_request *req, struct api_ingest *in, struct meros_err *err);
    struct http_request *req; /* private */
};
enum meros_code api_ingest(struct http_request *req, struct api_ingest *in, struct meros_err *err) MEROS_MUSTCHECK;

/* The name of what is being done once, where the request has an Idempotency-Key; NULL otherwise. Pass it on to what
 * creates, so that a crash between doing and answering does not do it twice. */
const char *api_once(struct http_request *req);

#endif
