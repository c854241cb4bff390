#include "bench.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "meros/base/str.h"
#include "meros/ml/blas.h"

static const struct bench_task *const tasks[] = {&bench_kmeans, &bench_cluster_metrics, &bench_choose_k,
                                               &bench_als,    &bench_ease,            &bench_item_knn,
                                               &bench_topk,   &bench_clv};
enum { N_TASKS = sizeof tasks / sizeof tasks[0], PARAMS_MAX = 32 };

static void usage(FILE *to)
{
    fputs("build/bench TASK --x x.npy [--y y.npy] [--init c.npy] [--out o.npy] [--threads N] [--param name=value …]\n\n"
          "Runs one numerical task on your own data and prints one line of JSON:\n"
          "  task, n (rows), seconds (of the fit alone, without reading the file), quality, peak_rss_mb\n\n"
          "Files are numpy's .npy (1.0 or 2.0, C order; float32, float64 or integers).\n"
          "  --threads   threads that work (all CPUs when not given); the answer does not depend on it\n"
          "  --param     parameters of the task, as often as needed\n\nTasks:\n",
          to);
    for (int i = 0; i < N_TASKS; i++) fprintf(to, "  %s\n%s\n", tasks[i]->name, tasks[i]->usage);
}

double bench_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void bench_print(const char *task, size_t n, double seconds, const char *quality_format, ...)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    va_list ap;
    printf("{\"task\": \"%s\", \"n\": %zu, \"seconds\": %.6f, \"quality\": {", task, n, seconds);
    va_start(ap, quality_format);
    vprintf(quality_format, ap);
    va_end(ap);
    printf("}, \"peak_rss_mb\": %.1f}\n", (double)u.ru_maxrss / 1024);
}

static bool is_for(const char *param, const char *name)
{
    size_t len = strlen(name);
    return strncmp(param, name, len) == 0 && param[len] == '=';
}

bool bench_given(const struct bench_args *a, const char *name)
{
    for (size_t i = 0; i < a->n_params; i++) {
        if (is_for(a->params[i], name)) return true;
    }
    return false;
}

enum meros_code bench_number(const struct bench_args *a, const char *name, double otherwise, double *out,
                             struct meros_err *err)
{
    size_t len = strlen(name);
    *out = otherwise;
    for (size_t i = 0; i < a->n_params; i++) {
        if (!is_for(a->params[i], name)) continue;
        if (!str_to_double(str_of(a->params[i] + len + 1), out)) {
            return err_set(err, MEROS_INVALID, "--param %s: that is not a number", a->params[i]);
        }
    }
    return MEROS_OK;
}

enum meros_code bench_whole(const struct bench_args *a, const char *name, int64_t otherwise, int64_t *out,
                            struct meros_err *err)
{
    double value;
    enum meros_code code = bench_number(a, name, (double)otherwise, &value, err);
    if (code != MEROS_OK) return code;
    if (!(fabs(value) <= 1e15) || value != floor(value)) {
        return err_set(err, MEROS_INVALID, "--param %s=%g: that is not a whole number", name, value);
    }
    *out = (int64_t)value;
    return MEROS_OK;
}

enum meros_code bench_known(const struct bench_args *a, const char *const *names, struct meros_err *err)
{
    for (size_t i = 0; i < a->n_params; i++) {
        size_t len = strcspn(a->params[i], "=");
        bool known = false;
        for (size_t j = 0; names[j] != NULL && !known; j++) {
            known = strlen(names[j]) == len && strncmp(names[j], a->params[i], len) == 0;
        }
        if (!known)
            return err_set(err, MEROS_INVALID, "--param %s: this task has no such parameter", a->params[i]);
    }
    return MEROS_OK;
}

static const char **place_for(struct bench_args *a, const char *option)
{
    if (strcmp(option, "--x") == 0) return &a->x;
    if (strcmp(option, "--y") == 0) return &a->y;
    if (strcmp(option, "--init") == 0) return &a->init;
    if (strcmp(option, "--out") == 0) return &a->out;
    return NULL;
}

int main(int argc, char **argv)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct bench_args a = {0};
    const char *params[PARAMS_MAX];
    int64_t threads = 0; /* as many as CPUs */
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        usage(argc < 2 ? stderr : stdout);
        return argc < 2 ? 2 : 0;
    }
    a.params = params;
    for (int i = 2; i < argc; i += 2) {
        const char **place = place_for(&a, argv[i]);
        if (i + 1 >= argc) {
            fprintf(stderr, "bench: %s needs a value\n", argv[i]);
            return 2;
        }
        if (place != NULL)
            *place = argv[i + 1];
        else if (strcmp(argv[i], "--threads") == 0 && str_to_int64(str_of(argv[i + 1]), &threads) &&
                 threads > 0 && threads <= 1024)
            continue;
        else if (strcmp(argv[i], "--param") == 0 && a.n_params < PARAMS_MAX)
            params[a.n_params++] = argv[i + 1];
        else {
            fprintf(stderr, "bench: %s %s is not understood; see --help\n", argv[i], argv[i + 1]);
            return 2;
        }
    }
    ml_start();
    enum meros_code code = ml_pool_new(&a.pool, (int)threads, 0, &err);
    if (code == MEROS_OK) {
        code = err_set(&err, MEROS_NOT_FOUND, "there is no task %s; see --help", argv[1]);
        for (int i = 0; i < N_TASKS; i++) {
            if (strcmp(tasks[i]->name, argv[1]) == 0) {
                err_clear(&err);
                code = tasks[i]->run(&a, &err);
            }
        }
    }
    ml_pool_free(a.pool);
    if (code == MEROS_OK) return 0;
    fprintf(stderr, "bench: %s\n", err.detail);
    return 1;
}
