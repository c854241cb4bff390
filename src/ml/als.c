#include "meros/ml/als.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "factors_priv.h"
#include "meros/ml/blas.h"
#include "meros/ml/matrix.h"
#include "meros/ml/rng.h"

/* Rows are taken ROWS at a time, whatever the threads. A Gram matrix is the sum of at most GRAM_PARTS, added up in
 * order. The exact solver gathers PANEL scaled rows for one product; the other packs rows up to a megabyte, which a
 * core's own cache holds. */
enum { ROWS = 64, GRAM_PARTS = 64, GRAM_ROWS = 1024, PANEL = 256, PACK_FLOATS = 1 << 18 };

/* One side while the other stands still: users, or items. */
struct side {
    const struct interactions *of;
    float *factors;  /* (of->rows, stride) */
    float *opposite; /* (of->cols, stride) */
    float *ridge;    /* of->rows */
};

struct fit {
    const struct als_params *p;
    size_t stride;
    struct ml_pool *pool;
    struct side user, item;
    size_t longest;
    float *gram;        /* (stride, stride) of the side that stands still, ... */
    float *diagonal;    /* ... or its diagonal (stride), once it has no other entries */
    float *axes;        /* (stride, stride): row i is new axis i by the old ones */
    double *eigen;      /* the work of finding them */
    uint16_t *y16;      /* (users or items, stride): the side that stands still, rounded */
    float *gram_parts;  /* (GRAM_PARTS, stride, stride) */
    float *extra;       /* (threads, longest) */
    float *target;      /* (threads, longest) */
    float *system;      /* (threads, stride, stride) and ... */
    float *panel;       /* ... (threads, PANEL, stride), of the exact solver and of turning factors */
    float *pack;        /* (threads, PACK_FLOATS), of conjugate gradients */
    double *loss_parts; /* a part of ROWS users */
    /* what a parallel_for is about */
    const struct side *side;
    const float *gram_of;
    float *turning;
    uint16_t *rounding; /* NULL: not that side */
    size_t gram_rows, gram_step, turn_rows;
};

static size_t stride_of(int factors)
{
    return ((size_t)factors + FACTORS_LANES - 1) / FACTORS_LANES * FACTORS_LANES;
}

static enum meros_code check(const struct als_params *p, struct meros_err *err)
{
    if (p->factors < 1 || p->factors > ALS_FACTORS_MAX) {
        return err_set(err, MEROS_UNPROCESSABLE, "%d factors: it takes 1 to %d", p->factors, ALS_FACTORS_MAX);
    }
    if (p->iterations < 1 || p->iterations > 1000) {
        return err_set(err, MEROS_UNPROCESSABLE, "%d iterations: it takes 1 to 1000", p->iterations);
    }
    if (!(p->alpha >= 0 && p->alpha <= 1e9)) return err_set(err, MEROS_UNPROCESSABLE, "alpha %g is not within 0 .. 1e9", p->alpha);
    if (!(p->lambda > 0 && p->lambda <= 1e9)) {
        return err_set(err, MEROS_UNPROCESSABLE, "lambda %g is not above 0 and at most 1e9", p->lambda);
    }
    if (!(p->nu >= 0 && p->nu <= 1)) return err_set(err, MEROS_UNPROCESSABLE, "nu %g is not within 0 .. 1", p->nu);
    if (p->solver != ALS_CG && p->solver != ALS_CHOLESKY) return err_set(err, MEROS_UNPROCESSABLE, "there is no such solver");
    if (p->cg_steps < 1 || p->cg_steps > 100) {
        return err_set(err, MEROS_UNPROCESSABLE, "%d conjugate gradient steps: it takes 1 to 100", p->cg_steps);
    }
    return MEROS_OK;
}

/* --- confidence --- */

static float extra_of(double alpha, float weight)
{
    return (float)alpha * fabsf(weight);
}

static double mass_of(const struct interactions *x, size_t row, double alpha)
{
    double sum = 0;
    for (size_t i = x->start[row]; i < x->start[row + 1]; i++) sum += fabs((double)x->weight[i]);
    return (double)x->cols + alpha * sum;
}

static double mean_mass_of(const struct interactions *x, double alpha)
{
    double sum = 0;
    for (size_t i = 0; i < x->n; i++) sum += fabs((double)x->weight[i]);
    return x->rows == 0 ? 1 : fmax((double)x->cols + alpha * sum / (double)x->rows, 1e-300);
}

static double ridge_of(double lambda, double nu, double mass, double mean_mass)
{
    return nu == 0 ? lambda : lambda * pow(mass / mean_mass, nu);
}

static void confidence(double alpha, const float *restrict weight, size_t n, float *restrict extra, float *restrict target)
{
    for (size_t i = 0; i < n; i++) {
        extra[i] = extra_of(alpha, weight[i]);
        target[i] = weight[i] > 0 ? 1 + extra[i] : 0;
    }
}

/* --- Gram matrices --- */

static void gram_part(void *arg, size_t part, int worker)
{
    (void)worker;
    struct fit *f = arg;
    const size_t from = part * f->gram_step, left = f->gram_rows - from;
    ml_gram_f32(f->gram_of + from * f->stride, left < f->gram_step ? left : f->gram_step, f->stride,
                f->gram_parts + part * f->stride * f->stride);
}

static void gram(struct fit *f, const float *factors, size_t rows, float *out)
{
    const size_t cells = f->stride * f->stride;
    f->gram_of = factors;
    f->gram_rows = rows;
    f->gram_step = (rows + GRAM_PARTS - 1) / GRAM_PARTS;
    if (f->gram_step < GRAM_ROWS) f->gram_step = GRAM_ROWS;
    const size_t parts = (rows + f->gram_step - 1) / f->gram_step;
    parallel_for(f->pool, parts, gram_part, f);
    for (size_t c = 0; c < cells; c++) {
        double sum = 0;
        for (size_t part = 0; part < parts; part++) sum += (double)f->gram_parts[part * cells + c];
        out[c] = (float)sum;
    }
}

/* --- axes --- */

/* Turning all factors alike changes no score and no length. Along the axes of its Gram matrix the side that stands still has a
 * diagonal one: a step of conjugate gradients multiplies by stride numbers where it took stride^2, and the diagonal says so much
 * of a system that dividing by it saves a step. */

static void turn_rows(void *arg, size_t part, int worker)
{
    struct fit *f = arg;
    const size_t from = part * PANEL, left = f->turn_rows - from, n = left < PANEL ? left : PANEL, stride = f->stride;
    float *rows = f->turning + from * stride, *panel = f->panel + (size_t)worker * PANEL * stride;
    memcpy(panel, rows, n * stride * sizeof *panel);
    ml_gemm_f32(false, true, n, stride, stride, 1, panel, stride, f->axes, stride, 0, rows, stride);
    for (size_t i = 0; f->rounding != NULL && i < n * stride; i++) f->rounding[from * stride + i] = factors_round(rows[i]);
}

static void turn(struct fit *f, float *factors, size_t rows, uint16_t *rounded)
{
    f->turning = factors;
    f->turn_rows = rows;
    f->rounding = rounded;
    parallel_for(f->pool, (rows + PANEL - 1) / PANEL, turn_rows, f);
}

/* Both sides along the axes of f->gram, whose diagonal is left in f->diagonal; false: it is not finite. */
static bool turn_to_axes(struct fit *f, const struct side *side)
{
    const size_t k = (size_t)f->p->factors, stride = f->stride;
    double *a = f->eigen, *values = a + k * k, *work = values + k;
    for (size_t i = 0; i < k; i++) {
        for (size_t j = 0; j < k; j++) a[i * k + j] = (double)f->gram[i * stride + j];
    }
    if (!ml_eigen(a, k, values, work)) return false;
    memset(f->axes, 0, stride * stride * sizeof *f->axes);
    memset(f->diagonal, 0, stride * sizeof *f->diagonal);
    for (size_t i = 0; i < k; i++) {
        f->diagonal[i] = values[i] > 0 ? (float)values[i] : 0;
        for (size_t j = 0; j < k; j++) f->axes[i * stride + j] = (float)a[i * k + j];
    }
    turn(f, side->factors, side->of->rows, NULL);
    turn(f, side->opposite, side->of->cols, f->y16);
    return true;
}

/* --- solving --- */

/* The system of one row by Cholesky: x becomes its solution. */
static bool solve_exactly(const struct factors_system *s, const float *gram, size_t factors, float *system, float *panel, float *x)
{
    const size_t stride = s->stride;
    memcpy(system, gram, stride * stride * sizeof *system);
    for (size_t f = 0; f < stride; f++) system[f * stride + f] += s->ridge;
    memset(x, 0, stride * sizeof *x);
    for (size_t from = 0; from < s->n; from += PANEL) {
        const size_t n = s->n - from < PANEL ? s->n - from : PANEL;
        for (size_t i = 0; i < n; i++) {
            const float *row = s->y + s->item[from + i] * stride;
            const float root = sqrtf(s->extra[from + i]), target = s->target[from + i];
            for (size_t f = 0; f < stride; f++) {
                panel[i * stride + f] = root * row[f];
                x[f] += target * row[f];
            }
        }
        ml_gram_add_f32(panel, n, stride, system);
    }
    return ml_solve_spd_f32(system, factors, stride, x);
}

static void solve_rows(void *arg, size_t part, int worker)
{
    struct fit *f = arg;
    const struct side *side = f->side;
    const struct interactions *of = side->of;
    const struct factors_kernel *kernel = factors_kernel_best();
    const size_t w = (size_t)worker, end = (part + 1) * ROWS < of->rows ? (part + 1) * ROWS : of->rows;
    const bool exact = f->p->solver == ALS_CHOLESKY;
    float *extra = f->extra + w * f->longest, *target = f->target + w * f->longest;
    for (size_t row = part * ROWS; row < end; row++) {
        const size_t from = of->start[row], n = of->start[row + 1] - from;
        float *x = side->factors + row * f->stride;
        if (n == 0) {
            memset(x, 0, f->stride * sizeof *x);
            continue;
        }
        confidence(f->p->alpha, of->weight + from, n, extra, target);
        const size_t room = PACK_FLOATS / f->stride;
        const struct factors_system s = {
            .pack = exact ? NULL : f->pack + w * PACK_FLOATS, .pack_rows = n < room ? n : room, .ahead = of->n - from,
            .diagonal = f->diagonal, .ridge = side->ridge[row], .y = side->opposite, .y16 = f->y16, .stride = f->stride,
            .item = of->col + from, .extra = extra, .target = target, .n = n};
        if (!exact) {
            kernel->solve(&s, f->p->cg_steps, 0, x);
        } else if (!solve_exactly(&s, f->gram, (size_t)f->p->factors, f->system + w * f->stride * f->stride,
                                  f->panel + w * PANEL * f->stride, x)) {
            x[0] = NAN; /* found by the check of the loss; a positive definite system has a factor unless it overflows */
        }
    }
}

/* False: numbers have left float32. */
static bool solve_side(struct fit *f, const struct side *side)
{
    gram(f, side->opposite, side->of->cols, f->gram);
    if (f->p->solver == ALS_CG && !turn_to_axes(f, side)) return false;
    f->side = side;
    parallel_for(f->pool, (side->of->rows + ROWS - 1) / ROWS, solve_rows, f);
    return true;
}

/* --- the loss --- */

static double norm2(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    return sum;
}

static void loss_rows(void *arg, size_t part, int worker)
{
    (void)worker;
    struct fit *f = arg;
    const struct interactions *of = f->user.of;
    const struct factors_kernel *kernel = factors_kernel_best();
    const size_t end = (part + 1) * ROWS < of->rows ? (part + 1) * ROWS : of->rows;
    double loss = 0;
    for (size_t row = part * ROWS; row < end; row++) {
        const float *x = f->user.factors + row * f->stride;
        for (size_t i = of->start[row]; i < of->start[row + 1]; i++) {
            float score;
            kernel->dots(f->item.factors + of->col[i] * f->stride, 1, f->stride, x, &score);
            const double s = (double)score, miss = (of->weight[i] > 0 ? 1 : 0) - s;
            loss += (1 + (double)extra_of(f->p->alpha, of->weight[i])) * miss * miss - s * s;
        }
        loss += (double)f->user.ridge[row] * norm2(x, f->stride);
    }
    f->loss_parts[part] = loss;
}

static double loss_of(struct fit *f)
{
    const struct interactions *of = f->item.of;
    const size_t parts = (f->user.of->rows + ROWS - 1) / ROWS;
    double loss = 0;
    parallel_for(f->pool, parts, loss_rows, f);
    for (size_t part = 0; part < parts; part++) loss += f->loss_parts[part];
    for (size_t row = 0; row < of->rows; row++) {
        loss += (double)f->item.ridge[row] * norm2(f->item.factors + row * f->stride, f->stride);
    }
    /* <X'X, Y'Y>; f->axes is free between turns */
    gram(f, f->item.factors, of->rows, f->axes);
    gram(f, f->user.factors, f->user.of->rows, f->gram);
    for (size_t c = 0; c < f->stride * f->stride; c++) loss += (double)f->gram[c] * (double)f->axes[c];
    return loss;
}

/* --- the fit --- */

static size_t longest_row(const struct interactions *x)
{
    size_t longest = 0;
    for (size_t row = 0; row < x->rows; row++) {
        if (interactions_of(x, row) > longest) longest = interactions_of(x, row);
    }
    return longest;
}

/* A Gram matrix, its eigenvalues and the work of finding them. */
static size_t eigen_of(size_t factors)
{
    return factors * factors + factors + ml_eigen_work(factors);
}

static void need_of(const struct als_params *p, const struct interactions *by_user, size_t longest, size_t threads,
                    struct ml_need *need)
{
    const size_t stride = stride_of(p->factors), cells = stride * stride;
    ml_need_add(need, by_user->rows, stride * sizeof(float));
    ml_need_add(need, by_user->cols, stride * sizeof(float));
    ml_need_add(need, by_user->rows + by_user->cols, sizeof(float)); /* ridges */
    ml_need_add(need, GRAM_PARTS + 2, cells * sizeof(float));
    ml_need_add(need, 2, stride * sizeof(float));
    if (p->solver == ALS_CG) ml_need_add(need, by_user->rows > by_user->cols ? by_user->rows : by_user->cols, stride * sizeof(uint16_t));
    ml_need_add(need, eigen_of((size_t)p->factors), sizeof(double));
    ml_need_add(need, threads, 2 * longest * sizeof(float));
    ml_need_add(need, threads, ((p->solver == ALS_CHOLESKY ? cells : PACK_FLOATS) + PANEL * stride) * sizeof(float));
    ml_need_add(need, by_user->rows / ROWS + 1, sizeof(double));
    ml_need_add(need, (size_t)p->iterations, sizeof(double));
}

static size_t longest_of(const struct interactions *by_user, const struct interactions *by_item)
{
    const size_t a = longest_row(by_user), b = longest_row(by_item);
    return a > b ? a : b;
}

size_t als_memory(const struct als_params *p, const struct interactions *by_user, const struct interactions *by_item,
                  struct ml_pool *pool)
{
    struct ml_need need = {0};
    need_of(p, by_user, longest_of(by_user, by_item), (size_t)ml_pool_threads(pool), &need);
    return need.overflow ? SIZE_MAX : need.bytes;
}

void als_model_done(struct als_model *m)
{
    free(m->user);
    free(m->item);
    free(m->gram);
    free(m->trace);
    *m = (struct als_model){0};
}

static void fit_done(struct fit *f)
{
    free(f->user.ridge);
    free(f->item.ridge);
    free(f->gram);
    free(f->diagonal);
    free(f->axes);
    free(f->eigen);
    free(f->y16);
    free(f->gram_parts);
    free(f->extra);
    free(f->target);
    free(f->system);
    free(f->panel);
    free(f->pack);
    free(f->loss_parts);
}

static enum meros_code allocate(struct fit *f, struct als_model *m, struct meros_err *err)
{
    const size_t threads = (size_t)ml_pool_threads(f->pool), cells = f->stride * f->stride;
    const bool exact = f->p->solver == ALS_CHOLESKY;
    m->user = ml_alloc(m->users, f->stride * sizeof *m->user);
    m->item = ml_alloc(m->items, f->stride * sizeof *m->item);
    m->gram = ml_alloc(f->stride, sizeof *m->gram);
    if (f->p->trace) m->trace = ml_alloc((size_t)f->p->iterations, sizeof *m->trace);
    f->user.ridge = ml_alloc(m->users, sizeof *f->user.ridge);
    f->item.ridge = ml_alloc(m->items, sizeof *f->item.ridge);
    f->gram = ml_alloc(cells, sizeof *f->gram);
    f->diagonal = ml_alloc(f->stride, sizeof *f->diagonal);
    f->axes = ml_alloc(cells, sizeof *f->axes);
    f->eigen = ml_alloc(eigen_of(m->factors), sizeof *f->eigen);
    f->gram_parts = ml_alloc_raw(GRAM_PARTS, cells * sizeof *f->gram_parts);
    f->extra = ml_alloc_raw(threads, f->longest * sizeof *f->extra);
    f->target = ml_alloc_raw(threads, f->longest * sizeof *f->target);
    f->loss_parts = ml_alloc(m->users / ROWS + 1, sizeof *f->loss_parts);
    if (!exact) f->y16 = ml_alloc_raw(m->users > m->items ? m->users : m->items, f->stride * sizeof *f->y16);
    if (!exact) f->pack = ml_alloc_raw(threads, PACK_FLOATS * sizeof *f->pack);
    if (exact) f->system = ml_alloc_raw(threads, cells * sizeof *f->system);
    f->panel = ml_alloc_raw(threads, PANEL * f->stride * sizeof *f->panel);
    if (m->user != NULL && m->item != NULL && m->gram != NULL && (!f->p->trace || m->trace != NULL) &&
        f->user.ridge != NULL && f->item.ridge != NULL && f->gram != NULL && f->diagonal != NULL && f->axes != NULL &&
        f->eigen != NULL && f->gram_parts != NULL && f->extra != NULL && f->target != NULL && f->loss_parts != NULL &&
        f->panel != NULL && (exact ? f->system != NULL : f->pack != NULL && f->y16 != NULL)) {
        return MEROS_OK;
    }
    return err_set(err, MEROS_OUT_OF_MEMORY, "no memory for the factors of %zu users and %zu items", m->users, m->items);
}

/* Small random items; users follow from them. */
static void start(const struct fit *f, const struct als_model *m)
{
    struct ml_rng rng;
    const double scale = 0.1 / sqrt((double)m->factors);
    ml_rng_seed(&rng, f->p->seed);
    for (size_t i = 0; i < m->items; i++) {
        for (size_t k = 0; k < m->factors; k++) m->item[i * m->stride + k] = (float)(scale * ml_rng_normal(&rng));
    }
}

static void ridges(const struct als_params *p, const struct interactions *of, float *out)
{
    const double mean = mean_mass_of(of, p->alpha);
    for (size_t row = 0; row < of->rows; row++) out[row] = (float)ridge_of(p->lambda, p->nu, mass_of(of, row, p->alpha), mean);
}

/* The model along the axes of its items, as folding in wants it. */
static bool finish(struct fit *f, struct als_model *m)
{
    gram(f, m->item, m->items, f->gram);
    if (!turn_to_axes(f, &f->user)) return false;
    memcpy(m->gram, f->diagonal, f->stride * sizeof *m->gram);
    return true;
}

static enum meros_code iterate(struct fit *f, struct als_model *m, const struct ml_run *run, struct meros_err *err)
{
    bool good = true;
    for (int it = 0; it < f->p->iterations && good; it++) {
        const double done = (double)it / (double)f->p->iterations, half = 0.5 / (double)f->p->iterations;
        enum meros_code code = ml_run_check(run, done, "users' factors", err);
        if (code != MEROS_OK) return code;
        good = solve_side(f, &f->user);
        code = ml_run_check(run, done + half, "items' factors", err);
        if (code != MEROS_OK) return code;
        good = good && solve_side(f, &f->item);
        if (m->trace != NULL && it + 1 < f->p->iterations) m->trace[it] = loss_of(f);
    }
    good = good && finish(f, m);
    m->loss = good ? loss_of(f) : NAN;
    if (m->trace != NULL) m->trace[f->p->iterations - 1] = m->loss;
    if (isfinite(m->loss)) return MEROS_OK;
    return err_set(err, MEROS_UNPROCESSABLE, "the factors have left the range of numbers: the weights or alpha are too large");
}

enum meros_code als_fit(const struct interactions *by_user, const struct interactions *by_item,
                        const struct als_params *params, const struct ml_run *run, struct als_model *out,
                        struct meros_err *err)
{
    struct ml_need need = {0};
    struct fit f = {.p = params, .pool = ml_run_pool(run)};
    struct als_model m = {.users = by_user->rows, .items = by_user->cols};
    enum meros_code code = check(params, err);
    if (code != MEROS_OK) return code;
    if (by_item->rows != by_user->cols || by_item->cols != by_user->rows || by_item->n != by_user->n) {
        return err_set(err, MEROS_UNPROCESSABLE, "the interactions by item are not those by user transposed");
    }
    f.longest = longest_of(by_user, by_item);
    need_of(params, by_user, f.longest, (size_t)ml_pool_threads(f.pool), &need);
    code = ml_need_check(&need, run == NULL ? 0 : run->memory_budget, "the factorisation", err);
    if (code != MEROS_OK) return code;
    m.factors = (size_t)params->factors;
    m.stride = f.stride = stride_of(params->factors);
    m.alpha = params->alpha;
    m.lambda = params->lambda;
    m.nu = params->nu;
    m.iterations = params->iterations;
    m.mean_mass = mean_mass_of(by_user, params->alpha);
    code = allocate(&f, &m, err);
    if (code != MEROS_OK) goto out;
    f.user = (struct side){.of = by_user, .factors = m.user, .opposite = m.item, .ridge = f.user.ridge};
    f.item = (struct side){.of = by_item, .factors = m.item, .opposite = m.user, .ridge = f.item.ridge};
    ridges(params, by_user, f.user.ridge);
    ridges(params, by_item, f.item.ridge);
    start(&f, &m);
    code = iterate(&f, &m, run, err);
    if (code != MEROS_OK) goto out;
    *out = m;
    m = (struct als_model){0};
out:
    fit_done(&f);
    als_model_done(&m);
    return code;
}

/* --- use --- */

/* Factors beyond it are of numbers that have left float32 on the way, and their scores would too. */
#define FOLDED_MAX 1e9f

/* The last of somebody's items that the model knows, at most ALS_FOLD_MAX, and room for one more. */
struct folded {
    uint32_t item[ALS_FOLD_MAX + 1];
    float extra[ALS_FOLD_MAX + 1], target[ALS_FOLD_MAX + 1];
    size_t n;
    float ridge;
};

static void fold(const struct als_model *m, const uint32_t *items, const float *weights, size_t n, struct folded *f)
{
    double mass = 0;
    f->n = 0;
    for (size_t i = n > ALS_FOLD_MAX ? n - ALS_FOLD_MAX : 0; i < n; i++) {
        if (items[i] >= m->items || weights[i] == 0) continue;
        mass += fabs((double)weights[i]);
        confidence(m->alpha, &weights[i], 1, &f->extra[f->n], &f->target[f->n]);
        f->item[f->n++] = items[i];
    }
    f->ridge = (float)ridge_of(m->lambda, m->nu, (double)m->items + m->alpha * mass, m->mean_mass);
}

static void solve_folded(const struct als_model *m, const struct folded *f, float *x)
{
    const struct factors_system s = {.diagonal = m->gram, .ridge = f->ridge, .y = m->item, .stride = m->stride, .item = f->item,
                                     .extra = f->extra, .target = f->target, .n = f->n, .ahead = f->n};
    memset(x, 0, m->stride * sizeof *x);
    if (f->n == 0) return;
    factors_kernel_best()->solve(&s, 2 * (int)m->factors, 1e-12f, x);
    for (size_t k = 0; k < m->stride; k++) {
        if (fabsf(x[k]) <= FOLDED_MAX) continue;
        memset(x, 0, m->stride * sizeof *x);
        return;
    }
}

void als_fold_in(const struct als_model *m, const uint32_t *items, const float *weights, size_t n, float *out)
{
    struct folded f;
    fold(m, items, weights, n, &f);
    solve_folded(m, &f, out);
}

void als_explain(const struct als_model *m, const uint32_t *items, const float *weights, size_t n, uint32_t to, float *out)
{
    float z[FACTORS_STRIDE_MAX] __attribute__((aligned(64)));
    struct folded f;
    const struct factors_kernel *kernel = factors_kernel_best();
    memset(out, 0, n * sizeof *out);
    if (to >= m->items) return;
    fold(m, items, weights, n, &f);
    /* A z = y_to: the same A, as the added row has no confidence, and y_to alone on the right. */
    for (size_t i = 0; i < f.n; i++) f.target[i] = 0;
    f.item[f.n] = to;
    f.extra[f.n] = 0;
    f.target[f.n++] = 1;
    solve_folded(m, &f, z);
    for (size_t i = n > ALS_FOLD_MAX ? n - ALS_FOLD_MAX : 0; i < n; i++) {
        if (items[i] >= m->items || !(weights[i] > 0)) continue;
        kernel->dots(m->item + items[i] * m->stride, 1, m->stride, z, &out[i]);
        out[i] *= 1 + extra_of(m->alpha, weights[i]);
    }
}

void als_score(const struct als_model *m, const float *user, float *scores)
{
    factors_kernel_best()->dots(m->item, m->items, m->stride, user, scores);
}

float als_score_of(const struct als_model *m, const float *user, uint32_t item)
{
    float score;
    factors_kernel_best()->dots(m->item + item * m->stride, 1, m->stride, user, &score);
    return score;
}

float als_alike(const struct als_model *m, uint32_t a, uint32_t b)
{
    const struct factors_kernel *kernel = factors_kernel_best();
    const float *x = m->item + a * m->stride, *y = m->item + b * m->stride;
    float xx, yy, xy;
    kernel->dots(x, 1, m->stride, x, &xx);
    kernel->dots(y, 1, m->stride, y, &yy);
    kernel->dots(x, 1, m->stride, y, &xy);
    const double cosine = (double)xy / sqrt((double)xx * (double)yy);
    return cosine > 0 ? (float)fmin(cosine, 1) : 0; /* 0 / 0 is not above 0 */
}

static void score(const void *arg, size_t user, int worker, float *scores)
{
    (void)worker;
    const struct als_model *m = arg;
    als_score(m, m->user + user * m->stride, scores);
}

struct ranking_model als_ranking(const struct als_model *m)
{
    return (struct ranking_model){.score = score, .arg = m};
}
