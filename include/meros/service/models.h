/* Trained models of every kind: looking at them, making one the active one of its kind and name, taking one away. Views given to
 * callbacks live during the call. */
#ifndef MEROS_SERVICE_MODELS_H
#define MEROS_SERVICE_MODELS_H

#include <stdint.h>
#include "meros/base/buf.h"
#include "meros/base/err.h"
#include "meros/base/str.h"
#include "meros/domain/segment.h"
#include "meros/service/service.h"

typedef void (*model_fn)(void *arg, const struct model_row *m);
enum meros_code models_get(struct service *svc, struct str id, model_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code models_list(struct service *svc, struct str kind, int active, int64_t before, int64_t limit, model_fn fn,
                            void *arg, struct meros_err *err) MEROS_MUSTCHECK;
/* Makes it the active one of its kind and name, and judges everybody with it (segmentations); takes as long as that takes. */
enum meros_code models_activate(struct service *svc, struct str id, struct meros_err *err) MEROS_MUSTCHECK;
/* CONFLICT while it is active. */
enum meros_code models_delete(struct service *svc, struct str id, struct meros_err *err) MEROS_MUSTCHECK;
/* The artifact piece by piece, since that of recommendations may be as large as ARTIFACT_MAX: appends at most MODEL_PIECE_MAX bytes from
 * `from` on, none at its end. A stored model never changes, so pieces fit together; NOT_FOUND where it was deleted in between. Between two
 * pieces nothing of the database is held. */
enum { MODEL_PIECE_MAX = 256 << 10 };
enum meros_code models_export(struct service *svc, struct str id, size_t from, struct buf *out, struct meros_err *err) MEROS_MUSTCHECK;

#endif
