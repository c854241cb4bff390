/* What the files of "train.segments" share: training_params.c (what may be asked for), training_fit.c (from statistics to a model
 * and who is in which segment), training.c (the course of the job, the names of segments, storing). */
#ifndef MEROS_SERVICE_TRAINING_PRIV_H
#define MEROS_SERVICE_TRAINING_PRIV_H

#include "meros/base/buf.h"
#include "meros/ml/cluster_metrics.h"
#include "meros/ml/kmeans.h"
#include "meros/model/describe.h"
#include "meros/service/training.h"
#include "models_priv.h"

/* One training. */
struct training {
    struct job_ctx *ctx;
    struct segment_params params;
    struct store_conn *conn;
    struct ml_pool *pool;
    struct dataset data;
    float *x; /* kmeans: (n, prep.n_columns) */
    struct segment_model *model;
    double *worths; /* value: (n), scoring_worths */
    int32_t *labels; /* (n) positions in the model */
    struct cluster_metrics metrics;
    bool has_metrics;
    struct kmeans_k_row table[KMEANS_AUTO_K_MAX - KMEANS_AUTO_K_MIN + 1];
    size_t n_table;
    const char *index; /* by which k was chosen; NULL: it was given */
    int iterations;
    bool converged;
    struct describe desc;
    int64_t at; /* the moment customers are judged at */
    struct buf metrics_json, features_json, params_json;
    struct stored_model stored;
};

enum meros_code training_step(struct training *t, double fraction, const char *stage, struct meros_err *err) MEROS_MUSTCHECK;
/* Prepares the customers extracted, divides them by the method asked for and measures the outcome: t->model but for the names
 * of k-means' segments, t->labels, t->metrics. */
enum meros_code training_fit(struct training *t, struct meros_err *err) MEROS_MUSTCHECK;

#endif
