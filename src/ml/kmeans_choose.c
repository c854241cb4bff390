/* How many clusters: see cluster_metrics.h for the rule and what it was chosen on. */
#include <float.h>
#include <math.h>

#include "meros/ml/cluster_metrics.h"

/* A silhouette from which on two clusters count as really two (Kaufman & Rousseeuw 1990: "reasonable
 * structure"). */
static const double TWO_ARE_REAL = 0.5;
enum { TABLE_SILHOUETTE_ROWS = 5000 };

/* A fit's progress as a share of the whole search's. */
struct part {
    const struct ml_run *run;
    double from, share;
};
static bool part_keeps_going(void *arg, double fraction, const char *stage)
{
    const struct part *p = arg;
    return p->run->keep_going(p->run->arg, p->from + p->share * fraction, stage);
}
static struct ml_run run_of(struct part *p)
{
    struct ml_run run = {0};
    if (p->run == NULL) return run;
    run = *p->run;
    if (run.keep_going != NULL) {
        run.keep_going = part_keeps_going;
        run.arg = p;
    }
    return run;
}

static enum meros_code fit_and_measure(struct ml_matrix x, struct kmeans_params p, int k,
                                       size_t silhouette_rows, struct part part, struct kmeans_result *fit,
                                       struct cluster_metrics *m, struct meros_err *err)
{
    struct part fitting = {part.run, part.from, part.share * 0.8};
    struct part measuring = {part.run, part.from + part.share * 0.8, part.share * 0.2};
    struct ml_run run = run_of(&fitting);
    struct cluster_metrics_params mp = {silhouette_rows, p.seed};
    p.k = k;
    p.init = NULL;
    enum meros_code code = kmeans_fit(x, &p, &run, fit, err);
    if (code != MEROS_OK) return code;
    run = run_of(&measuring);
    code = cluster_metrics(x, fit->labels, k, &mp, &run, m, err);
    if (code != MEROS_OK) kmeans_result_done(fit);
    return code;
}

/* Where the inertia bends most: the k farthest below the straight line from (1, total) to the last k tried.
 */
static void score_by_knee(struct kmeans_choice *c, double total)
{
    const struct kmeans_k_row *last = &c->table[c->n_table - 1];
    for (size_t i = 0; i < c->n_table; i++) {
        struct kmeans_k_row *r = &c->table[i];
        double along = (double)(r->k - 1) / (double)(last->k - 1);
        double down = total > last->inertia ? (total - r->inertia) / (total - last->inertia) : 0;
        r->score = down - along;
    }
    c->index = "knee";
}

static size_t best_row(const struct kmeans_choice *c)
{
    size_t best = 0;
    for (size_t i = 1; i < c->n_table; i++) {
        if (c->table[i].score > c->table[best].score) best = i;
    }
    return best;
}

/* The total sum of squares, and whether there are two different rows at all. */
static enum meros_code total_of(struct ml_matrix x, struct kmeans_params p, const struct ml_run *run,
                                double *out, struct meros_err *err)
{
    struct kmeans_result one = {0};
    struct part none = {run, 0, 0};
    struct ml_run with = run_of(&none);
    p.k = p.n_init = 1;
    p.init = NULL;
    enum meros_code code = kmeans_fit(x, &p, &with, &one, err);
    if (code != MEROS_OK) return code;
    *out = one.inertia;
    kmeans_result_done(&one);
    return MEROS_OK;
}

static enum meros_code fill_table(struct ml_matrix x, const struct kmeans_params *params, int k_min,
                                  int k_max, const struct ml_run *run, struct kmeans_choice *c,
                                  struct meros_err *err)
{
    double share = 1.0 / (k_max - k_min + 2), from = 0; /* one more for the fit that is returned */
    for (int k = k_min; k <= k_max; k++, from += share) {
        struct kmeans_result fit = {0};
        struct cluster_metrics m;
        enum meros_code code = fit_and_measure(x, *params, k, TABLE_SILHOUETTE_ROWS,
                                               (struct part){run, from, share}, &fit, &m, err);
        if (code != MEROS_OK) return code;
        bool possible = fit.n_nonempty == k; /* not, past the number of distinct rows */
        if (possible) {
            c->table[c->n_table++] = (struct kmeans_k_row){
                .k = k,
                .inertia = fit.inertia,
                .silhouette = m.silhouette,
                .calinski_harabasz = m.calinski_harabasz,
                .davies_bouldin = m.davies_bouldin,
                .iterations = fit.iterations,
                .converged = fit.converged,
                .score = m.inertia > 0 ? m.calinski_harabasz
                                       : DBL_MAX}; /* no spread within: it cannot be better */
        }
        kmeans_result_done(&fit);
        if (!possible) break;
    }
    return MEROS_OK;
}

enum meros_code kmeans_choose_k(struct ml_matrix x, const struct kmeans_params *params, int k_min, int k_max,
                                const struct ml_run *run, struct kmeans_choice *out, struct meros_err *err)
{
    if (k_min < KMEANS_AUTO_K_MIN || k_max > KMEANS_AUTO_K_MAX || k_min > k_max) {
        return err_set(err, MEROS_UNPROCESSABLE, "k is chosen among %d to %d, not %d to %d",
                       KMEANS_AUTO_K_MIN, KMEANS_AUTO_K_MAX, k_min, k_max);
    }
    if (x.rows < 3 || x.rows <= (size_t)k_min) {
        return err_set(err, MEROS_UNPROCESSABLE, "%zu rows are too few to choose a number of clusters",
                       x.rows);
    }
    if ((size_t)k_max > x.rows - 1) k_max = (int)(x.rows - 1);
    struct kmeans_choice c = {.index = "calinski_harabasz"};
    double total = 0;
    enum meros_code code = total_of(x, *params, run, &total, err);
    if (code == MEROS_OK) code = fill_table(x, params, k_min, k_max, run, &c, err);
    if (code != MEROS_OK) return code;
    if (c.n_table == 0) {
        return err_set(err, MEROS_UNPROCESSABLE, "fewer than %d rows differ: there is nothing to divide",
                       k_min);
    }
    size_t best = best_row(&c);
    if (c.table[best].k == 2 && !(c.table[best].silhouette >= TWO_ARE_REAL) && c.n_table > 1) {
        score_by_knee(&c, total);
        best = best_row(&c);
    }
    double share = 1.0 / (k_max - k_min + 2);
    code = fit_and_measure(x, *params, c.table[best].k, 0, (struct part){run, 1 - share, share}, &c.fit,
                           &c.metrics, err);
    if (code == MEROS_OK) *out = c;
    return code;
}

void kmeans_choice_done(struct kmeans_choice *c)
{
    if (c == NULL) return;
    kmeans_result_done(&c->fit);
    *c = (struct kmeans_choice){0};
}
