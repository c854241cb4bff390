/* Which model of lifetime value is the active one: the one place where that changes. */
#ifndef MEROS_CLV_ACTIVE_PRIV_H
#define MEROS_CLV_ACTIVE_PRIV_H

#include "meros/base/err.h"
#include "meros/base/str.h"
#include "meros/model/segment_model.h"
#include "meros/service/service.h"

struct store_conn;
struct trained_clv;

/* In the caller's transaction, which holds store_model_lock of the model's name: makes it the active one, and writes
 * down what everybody is worth by it. */
enum meros_code clv_make_active(struct service *svc, struct store_conn *c, const char *id, int64_t model_no, int64_t version,
                                const struct trained_clv *m, struct meros_err *err) MEROS_MUSTCHECK;
/* The same of a stored model, as POST /v1/models/{id}/activate asks for it. In the caller's transaction; takes the lock. */
enum meros_code clv_activate(struct service *svc, struct store_conn *c, struct str model_id, struct meros_err *err) MEROS_MUSTCHECK;

/* In the caller's transaction: writes down anew what everybody is worth by the active model. *out_there false: none is. */
enum meros_code clv_rewrite(struct service *svc, struct store_conn *c, bool *out_there, char out_id[MODEL_ID_CAP], int *out_version,
                            int64_t *out_customers, struct meros_err *err) MEROS_MUSTCHECK;

#endif
