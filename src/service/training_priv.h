/* The course of a training, the same for every kind of model: one struct training is one run of a job.
 *
 * A kind embeds struct training as the first member of its own struct, fills a struct training_kind in, and its job is
 *
 *   static enum meros_code run(struct job_ctx *ctx, struct meros_err *err) { return training_run(&kind, ctx, err); }
 *   static enum meros_code check(struct service *svc, const struct json *params, struct meros_err *err)
 *
 * with the parameters read by the same function in both. training_run takes these steps; the first that fails ends it:
 *
 *   1. read          the parameters of the job
 *   2. learn         extract, fit, judge: over t->conn, with the threads of t->pool
 *   3. in one transaction, which is all that others see of it:
 *      lock          what versions of (kind, name) are numbered under
 *      row           what is written down of the model; it is encoded and inserted
 *      activate      unless lock said that it is not to become the active one
 *      write_result  more members of the job's result; the job ends
 *   4. the snapshot of this process is published with the commit (service/serving.h); other replicas are notified
 *   5. done          whatever happened
 *
 * Everything runs on the job's thread. CANCELLED, wherever it comes from, ends the job as job_stopped says. */
#ifndef MEROS_SERVICE_TRAINING_PRIV_H
#define MEROS_SERVICE_TRAINING_PRIV_H

#include "meros/base/buf.h"
#include "meros/codec/json.h"
#include "meros/ml/parallel.h"
#include "meros/service/jobs.h"
#include "models_priv.h"

struct prep;
struct training_kind;

struct training {
    /* given to the kind */
    const struct training_kind *kind;
    struct job_ctx *ctx;
    struct store_conn *conn;    /* its own, without a limit of time; cancelled when the job is told to stop. From learn on */
    struct ml_pool *pool;       /* from learn on */
    int64_t at;                 /* the moment that observation ends with: as_of, or now. From learn on */
    int64_t trained_at;         /* from lock on */
    struct stored_model stored; /* from activate on */
    /* set by the kind */
    int64_t as_of;              /* in read; TIME_NONE: now */
    struct buf metrics, features; /* in learn: one JSON value each; features an array */
    bool active;                /* true, unless lock says otherwise: whether it becomes the active model */
};

/* Functions get the kind's own struct by its first member. NULL where nothing stands behind a name: not needed. */
struct training_kind {
    enum model_kind model;
    size_t size; /* of the kind's own struct, which is given zeroed */
    enum meros_code (*read)(struct training *t, int64_t now, struct meros_err *err); /* t->ctx->params */
    void (*write_params)(const struct training *t, struct jsonw *w);                 /* as they were understood, one object */
    enum meros_code (*learn)(struct training *t, struct meros_err *err);
    enum meros_code (*lock)(struct training *t, struct meros_err *err); /* NULL: store_model_lock */
    /* Members that only the kind knows: name, algorithm, seed, as_of, data_from, data_to, rows, row_hash, build; name
     * and algorithm end with a NUL. *out: what is encoded; it stays the kind's. */
    void (*row)(struct training *t, struct model_row *row, struct model *out);
    enum meros_code (*activate)(struct training *t, struct meros_err *err); /* NULL: store_model_activate alone */
    void (*write_result)(const struct training *t, struct jsonw *w);        /* NULL: nothing beside model, active and metrics */
    void (*done)(struct training *t); /* frees what the kind's own struct holds beyond the training; it may be half built */
};

enum meros_code training_run(const struct training_kind *kind, struct job_ctx *ctx, struct meros_err *err) MEROS_MUSTCHECK;

/* Says how far it is; CANCELLED where the job is to stop. stage: a literal. Extracting goes to about 0.35, fitting to 0.85,
 * "storing" begins at 0.9 by itself. */
enum meros_code training_step(struct training *t, double fraction, const char *stage, struct meros_err *err) MEROS_MUSTCHECK;

/* A computation's own progress, 0 to 1, as a part of the job's. */
struct training_part {
    struct training *t;
    double from, to;
    const char *stage; /* literal */
};
/* For functions of ml; `used` bytes of what training_memory_bytes allows are taken already. part must outlive it. */
struct ml_run training_ml_run(struct training_part *part, size_t used);

/* The names of prepared columns into t->features. */
void training_write_columns(struct training *t, const struct prep *p);

#endif
