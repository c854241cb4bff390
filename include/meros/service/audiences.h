/* Audiences (`/v1/audiences/{name}`): named rules that say which customers are meant (domain/audience.h). Nobody's membership is stored:
 * lists and counts are evaluated in PostgreSQL when they are asked for, one customer is judged in this process from present facts, and
 * both say the same. The rules are rows, read whole into memory for `audiences` in GET /v1/customers/{id}: a change is in effect in this
 * process when the call returns, on other replicas within a second or so.
 *
 * Evaluating a rule over everybody takes AUDIENCE_TIMEOUT_MS at most, then TIMEOUT. */
#ifndef MEROS_SERVICE_AUDIENCES_H
#define MEROS_SERVICE_AUDIENCES_H

#include <stdbool.h>
#include <stdint.h>
#include "meros/base/arena.h"
#include "meros/base/err.h"
#include "meros/base/str.h"
#include "meros/codec/json.h"
#include "meros/domain/audience.h"
#include "meros/service/service.h"

enum { AUDIENCE_SAMPLE = 10, AUDIENCE_TIMEOUT_MS = 10000, AUDIENCE_DESCRIPTION_MAX = 1000 };

/* By serving_start and serving_free: it reads the rules and subscribes to svc->listener. */
enum meros_code audiences_start(struct service *svc, struct meros_err *err) MEROS_MUSTCHECK;
void audiences_free(struct service *svc);

/* --- the rules. definition: {"rule", "description"?}; INVALID with pointers into it, CONFLICT when there are too many. The row's rule is
 * in its canonical form. */
enum meros_code audience_put(struct service *svc, struct str name, const struct json *definition, bool *out_created, audience_row_fn fn,
                             void *arg, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code audience_get(struct service *svc, struct str name, audience_row_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code audience_list(struct service *svc, struct str after, int64_t limit, audience_row_fn fn, void *arg,
                              struct meros_err *err) MEROS_MUSTCHECK; /* by name */
enum meros_code audience_delete(struct service *svc, struct str name, struct meros_err *err) MEROS_MUSTCHECK;

/* --- whom they mean. All of an answer is as of one moment. */
struct audience_sample { /* in the arena */
    int64_t customers; /* in all */
    const struct str *ids; /* up to AUDIENCE_SAMPLE of them, or as many as were asked for */
    size_t n;
    int64_t evaluated_at;
};
/* definition: {"rule"} */
enum meros_code audience_preview(struct service *svc, const struct json *definition, struct arena *arena, struct audience_sample *out,
                                 struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code audience_sample(struct service *svc, struct str name, int64_t most, struct arena *arena, struct audience_sample *out,
                                struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code audience_members(struct service *svc, struct str name, int64_t after, int64_t limit, audience_member_fn fn, void *arg,
                                 struct meros_err *err) MEROS_MUSTCHECK;
/* Whether one customer is meant, and what made it so, as an object of JSON. NOT_FOUND for the audience or the customer. */
enum meros_code audience_explain(struct service *svc, struct str name, struct str customer_id, struct jsonw *w, struct meros_err *err) MEROS_MUSTCHECK;

#endif
