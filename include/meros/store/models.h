/* Trained models as rows: written once, activated, listed, deleted. The artifact is bytes here (model/artifact.h). */
#ifndef MEROS_STORE_MODELS_H
#define MEROS_STORE_MODELS_H

#include <stdbool.h>
#include <stdint.h>
#include "meros/base/buf.h"
#include "meros/base/err.h"
#include "meros/base/str.h"
#include "meros/domain/segment.h"
#include "meros/store/store.h"

typedef enum meros_code (*model_row_fn)(void *arg, const struct model_row *m, struct meros_err *err);

/* Changes of the models of one kind and name follow one another: until the transaction ends nobody else stores or activates
 * one. Segmentations have a row of their own for that (store_segmentation_lock), the other kinds this. */
enum meros_code store_model_lock(struct store_conn *c, struct str kind, struct str name, struct meros_err *err) MEROS_MUSTCHECK;
/* Version and model_no are given by the database: the next version of (kind, name). Call within a transaction that holds
 * the segmentation's row or store_model_lock. */
enum meros_code store_model_insert(struct store_conn *c, const struct model_row *m, int64_t *out_model_no,
                                   int64_t *out_version, struct meros_err *err) MEROS_MUSTCHECK;
/* NOT_FOUND. */
enum meros_code store_model_get(struct store_conn *c, struct str id, model_row_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;
/* The active model of (kind, name); NOT_FOUND without words of its own: the caller knows what was asked for. */
enum meros_code store_model_active(struct store_conn *c, struct str kind, struct str name, model_row_fn fn, void *arg,
                                   struct meros_err *err) MEROS_MUSTCHECK;
/* Newest first, older than model_no `before` (0: from the newest). kind absent: any. active < 0: any, else 0 or 1. */
enum meros_code store_model_list(struct store_conn *c, struct str kind, int active, int64_t before, int64_t limit,
                                 model_row_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;
/* Appends the artifact's bytes. */
enum meros_code store_model_artifact(struct store_conn *c, int64_t model_no, struct buf *out, struct meros_err *err) MEROS_MUSTCHECK;
/* The same of at most `most` bytes from `from` on, of a model by its public id; none where the artifact has ended. NOT_FOUND. */
enum meros_code store_model_artifact_part(struct store_conn *c, struct str id, size_t from, size_t most, struct buf *out,
                                          struct meros_err *err) MEROS_MUSTCHECK;
/* Makes it the one active model of its (kind, name) and says so on channel "models". In a transaction that holds the
 * segmentation's row or store_model_lock; takes effect at its commit. */
enum meros_code store_model_activate(struct store_conn *c, int64_t model_no, int64_t at, struct meros_err *err) MEROS_MUSTCHECK;
/* NOT_FOUND; CONFLICT while it is active. */
enum meros_code store_model_delete(struct store_conn *c, struct str id, struct meros_err *err) MEROS_MUSTCHECK;

#endif
