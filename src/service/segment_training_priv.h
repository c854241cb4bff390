/* What the files of "train.segments" share: segment_training_params.c (what may be asked for), segment_training_fit.c (from
 * statistics to a model and who is in which segment), segment_training.c (extracting, the names of segments, what is stored). */
#ifndef MEROS_SERVICE_SEGMENT_TRAINING_PRIV_H
#define MEROS_SERVICE_SEGMENT_TRAINING_PRIV_H

#include "meros/ml/cluster_metrics.h"
#include "meros/ml/kmeans.h"
#include "meros/model/describe.h"
#include "meros/service/segment_training.h"
#include "training_priv.h"

/* One training. */
struct segment_training {
    struct training base;
    struct segment_params params;
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
    int64_t segmentation_no;
};

/* Prepares the customers extracted, divides them by the method asked for and measures the outcome: t->model but for the names
 * of k-means' segments, t->labels, t->metrics. */
enum meros_code segment_training_fit(struct segment_training *t, struct meros_err *err) MEROS_MUSTCHECK;

#endif
