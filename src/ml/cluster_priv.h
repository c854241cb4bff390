/* The silhouette, as cluster_metrics calls it. */
#ifndef MEROS_ML_CLUSTER_PRIV_H
#define MEROS_ML_CLUSTER_PRIV_H

#include "meros/ml/cluster_metrics.h"

void silhouette_need(struct ml_need *need, struct ml_matrix x, int k,
                     const struct cluster_metrics_params *params);
/* Fills the silhouette fields of m. `rows` of x have a label; at least two clusters do. */
enum meros_code silhouette_of(struct ml_matrix x, const int32_t *labels, int k, size_t rows,
                              const struct cluster_metrics_params *params, const struct ml_run *run,
                              struct cluster_metrics *m, struct meros_err *err) MEROS_MUSTCHECK;

#endif
