#include "bench.h"

#include <stdlib.h>
#include "meros/ml/clv.h"

/* Columns of the rows, apart. */
static double *column(const struct npy *rows, size_t c)
{
    double *out = malloc((rows->rows + 1) * sizeof *out);
    for (size_t i = 0; out != NULL && i < rows->rows; i++) out[i] = rows->f64[i * rows->cols + c];
    return out;
}

static enum meros_code run(const struct bench_args *a, struct meros_err *err)
{
    static const char *const known[] = {"kind", "horizon", "repeat", NULL};
    const struct ml_run with = {.pool = a->pool};
    struct npy rows = {0};
    struct clv_model m;
    double *x = NULL, *t_x = NULL, *t = NULL, *orders = NULL, horizon, fitting = 0, scoring = 0, sum = 0;
    int64_t kind, repeat;
    enum meros_code code = bench_known(a, known, err);
    if (code == MEROS_OK) code = bench_whole(a, "kind", CLV_BGNBD, &kind, err);
    if (code == MEROS_OK) code = bench_whole(a, "repeat", 1, &repeat, err);
    if (code == MEROS_OK) code = bench_number(a, "horizon", 365, &horizon, err);
    if (code == MEROS_OK && (a->x == NULL || kind < 0 || kind >= CLV_KINDS)) code = err_set(err, MEROS_INVALID, "clv needs --x and a kind of 0, 1 or 2");
    if (code == MEROS_OK) code = npy_load(a->x, NPY_F64, &rows, err);
    if (code == MEROS_OK && rows.cols != 3) code = err_set(err, MEROS_INVALID, "--x has %zu columns, not x, t_x, T", rows.cols);
    if (code != MEROS_OK) goto out;
    x = column(&rows, 0);
    t_x = column(&rows, 1);
    t = column(&rows, 2);
    orders = malloc((rows.rows + 1) * sizeof *orders);
    if (x == NULL || t_x == NULL || t == NULL || orders == NULL) {
        code = err_set(err, MEROS_OUT_OF_MEMORY, "no memory for %zu rows", rows.rows);
        goto out;
    }
    const struct clv_data d = {.n = rows.rows, .x = x, .t_x = t_x, .t = t};
    const struct clv_fit_params params = {.kind = (enum clv_kind)kind, .unit = CLV_WEEK};
    for (int i = 0; i < repeat || i == 0; i++) {
        const double start = bench_seconds();
        code = clv_fit(&d, &params, &with, &m, err);
        const double fitted = bench_seconds();
        if (code == MEROS_OK) code = clv_score_all(&m, &(struct clv_question){horizon, 0, 0}, &d, &with, &(struct clv_scores){.expected_orders = orders}, err);
        const double scored = bench_seconds();
        if (code != MEROS_OK) goto out;
        if (i == 0 || scored - start < fitting + scoring) {
            fitting = fitted - start;
            scoring = scored - fitted;
        }
    }
    for (size_t i = 0; i < rows.rows; i++) sum += orders[i];
    const double *p = m.purchase.parameter, *e = m.purchase.standard_error;
    bench_print("clv", rows.rows, fitting + scoring,
                "\"fit_seconds\": %.6f, \"score_seconds\": %.6f, \"log_likelihood\": %.6f, \"parameters\": [%.9g, %.9g, %.9g, %.9g], "
                "\"standard_errors\": [%.9g, %.9g, %.9g, %.9g], "
                "\"converged\": %s, \"evaluations\": %d, \"expected_orders\": %.9g, \"threads\": %d",
                fitting, scoring, m.purchase.fit.log_likelihood, p[0], p[1], p[2], p[3], e[0], e[1], e[2], e[3], m.purchase.fit.converged ? "true" : "false",
                m.purchase.fit.evaluations, sum, ml_pool_threads(a->pool));
out:
    free(orders);
    free(t);
    free(t_x);
    free(x);
    npy_done(&rows);
    return code;
}

const struct bench_task bench_clv = {
    .name = "clv",
    .usage = "    --x (n, 3)  x, t_x, T of each customer in days\n"
             "    --param kind=0 (0 BG/NBD, 1 MBG/NBD, 2 Pareto/NBD) horizon=365 (days that orders are expected in)   repeat=1\n"
             "    quality: fit_seconds, score_seconds, log_likelihood, parameters (in weeks), standard_errors, converged, expected_orders\n",
    .run = run,
};
