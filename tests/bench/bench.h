/* The parts of build/bench: a dispatcher of numerical tasks over anybody's .npy files. A task is one file
 * task_<name>.c with a `struct bench_task`, listed in main.c. It measures its fit alone and prints through
 * bench_print. */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/err.h"
#include "meros/ml/parallel.h"

/* A .npy file, converted. 1-dimensional arrays have cols 1. */
struct npy {
    size_t rows, cols;
    float *f32; /* one of these, as asked for */
    double *f64;
};
enum npy_as { NPY_F32, NPY_F64 };
/* Formats 1.0 and 2.0, C order, little-endian float32, float64, and integers of 1 to 8 bytes, 1 or 2
 * dimensions; everything else is refused with the reason. */
enum meros_code npy_load(const char *path, enum npy_as as, struct npy *out,
                         struct meros_err *err) MEROS_MUSTCHECK;
void npy_done(struct npy *a);
/* Writes (rows, cols) of values that lie `stride` apart, as float32 in format 1.0. */
enum meros_code npy_save(const char *path, const float *values, size_t rows, size_t cols, size_t stride,
                         struct meros_err *err) MEROS_MUSTCHECK;

struct bench_args {
    const char *x, *y, *init;  /* files, NULL when not given */
    const char *out;           /* where a task that has an answer of arrays writes it (.npy), NULL: nowhere */
    const char *const *params; /* "name=value", n_params of them; each task says which it knows */
    size_t n_params;
    struct ml_pool *pool;
};
/* The value of --param name=…, or `otherwise`; a value that is not a number is an error. bench_known
 * refuses parameters that are not among `names` (NULL at the end). */
enum meros_code bench_number(const struct bench_args *a, const char *name, double otherwise, double *out,
                             struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code bench_whole(const struct bench_args *a, const char *name, int64_t otherwise, int64_t *out,
                            struct meros_err *err) MEROS_MUSTCHECK; /* the same for whole numbers */
enum meros_code bench_known(const struct bench_args *a, const char *const *names,
                            struct meros_err *err) MEROS_MUSTCHECK;

bool bench_given(const struct bench_args *a, const char *name);

double bench_seconds(void); /* monotonic */
/* One JSON line. `quality` is the inside of an object, already JSON. */
void bench_print(const char *task, size_t n, double seconds, const char *quality_format, ...)
    __attribute__((format(printf, 4, 5)));

struct bench_task {
    const char *name, *usage;
    enum meros_code (*run)(const struct bench_args *a, struct meros_err *err);
};
extern const struct bench_task bench_kmeans, bench_cluster_metrics, bench_choose_k, bench_als, bench_ease,
    bench_item_knn, bench_topk, bench_clv;

/* --x of the tasks about interactions: rows of user, item, weight. Built by user and by item. */
struct interactions;
enum meros_code bench_interactions(const struct bench_args *a, struct interactions *by_user,
                                   struct interactions *by_item, struct meros_err *err) MEROS_MUSTCHECK;

#endif
