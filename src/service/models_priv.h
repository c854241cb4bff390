/* What trainings of all kinds share when they store a model. */
#ifndef MEROS_MODELS_PRIV_H
#define MEROS_MODELS_PRIV_H

#include "meros/domain/segment.h"
#include "meros/model/model.h"

struct store_conn;

struct stored_model {
    char id[MODEL_ID_CAP];
    int64_t no, version;
};
/* Encodes the model and writes its row, in the caller's transaction, which holds what versions of (kind, name) are numbered
 * under. row: everything but id, kind, artifact and checksum. */
enum meros_code models_store(struct store_conn *c, const struct model *m, const struct model_row *row, struct stored_model *out,
                             struct meros_err *err) MEROS_MUSTCHECK;
/* {"id", "kind", "name", "version", "algorithm"}, as results of jobs show a model. */
void models_write_ref(struct jsonw *w, const struct stored_model *m, enum model_kind kind, struct str name, struct str algorithm);

#endif
