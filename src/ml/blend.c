#include "meros/ml/blend.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "meros/ml/matrix.h"

enum { C_MAX = BLEND_COMPONENTS_MAX, STEPS_MAX = 100, HALVINGS = 40 };

struct fit {
    const struct blend_lists *of;
    double l2;
    double inverse[C_MAX]; /* 1 / scale, 0 for a component that says nothing */
    size_t users;          /* whose lists say something */
    double *s;             /* a row: its blended score, of the list at hand */
};

/* The loss at w, its gradient and Hessian (the lower half). */
struct point {
    double w[C_MAX], loss, gradient[C_MAX], hessian[C_MAX][C_MAX];
};

static enum meros_code check(const struct blend_lists *l, const struct blend_params *p, struct meros_err *err)
{
    if (l->components < 1 || l->components > C_MAX) {
        return err_set(err, MEROS_UNPROCESSABLE, "a blend of %zu components: it takes 1 to %d", l->components, C_MAX);
    }
    if (!(p->l2 >= 0 && p->l2 <= 1e9)) return err_set(err, MEROS_UNPROCESSABLE, "l2 %g is not within 0 .. 1e9", p->l2);
    if (p->k < 1) return err_set(err, MEROS_UNPROCESSABLE, "NDCG at 0: k is at least 1");
    for (size_t i = 0; i < l->start[l->users] * l->components; i++) {
        if (isfinite(l->score[i])) continue;
        return err_set(err, MEROS_UNPROCESSABLE, "the score of component %zu in row %zu is not finite", i % l->components,
                       i / l->components);
    }
    return MEROS_OK;
}

static size_t relevant_of(const struct blend_lists *l, size_t user)
{
    size_t n = 0;
    for (size_t r = l->start[user]; r < l->start[user + 1]; r++) n += l->relevant[r] != 0;
    return n;
}

/* Whether the list tells anything apart. */
static bool says_something(const struct blend_lists *l, size_t user)
{
    const size_t relevant = relevant_of(l, user);
    return relevant > 0 && relevant < l->start[user + 1] - l->start[user];
}

static void scales(const struct blend_lists *l, struct blend *b)
{
    double squares[C_MAX] = {0};
    size_t rows = 0;
    for (size_t u = 0; u < l->users; u++) {
        if (!says_something(l, u)) continue;
        const size_t from = l->start[u], n = l->start[u + 1] - from;
        b->users++;
        rows += n;
        for (size_t c = 0; c < l->components; c++) {
            double mean = 0, sum = 0;
            for (size_t r = from; r < from + n; r++) mean += (double)l->score[r * l->components + c];
            mean /= (double)n;
            for (size_t r = from; r < from + n; r++) {
                const double off = (double)l->score[r * l->components + c] - mean;
                sum += off * off;
            }
            squares[c] += sum;
        }
    }
    for (size_t c = 0; c < l->components; c++) b->scale[c] = rows == 0 ? 0 : sqrt(squares[c] / (double)rows);
}

static void score_list(const struct fit *f, size_t user, const double *w)
{
    const struct blend_lists *l = f->of;
    double share[C_MAX];
    for (size_t c = 0; c < l->components; c++) share[c] = w[c] * f->inverse[c];
    for (size_t r = l->start[user]; r < l->start[user + 1]; r++) {
        double s = 0;
        for (size_t c = 0; c < l->components; c++) s += share[c] * (double)l->score[r * l->components + c];
        f->s[r] = s;
    }
}

/* --- the loss */

static void row_of(const struct fit *f, size_t row, double *x)
{
    for (size_t c = 0; c < f->of->components; c++) x[c] = (double)f->of->score[row * f->of->components + c] * f->inverse[c];
}

/* The others of a list as one: sum of exp(s - top), their mean and second moments under the softmax. */
struct others {
    double top, sum, mean[C_MAX], square[C_MAX][C_MAX];
};

static void sum_others(const struct fit *f, size_t user, struct others *o)
{
    const struct blend_lists *l = f->of;
    const size_t n = l->components;
    *o = (struct others){.top = -INFINITY};
    for (size_t r = l->start[user]; r < l->start[user + 1]; r++) {
        if (!l->relevant[r]) o->top = fmax(o->top, f->s[r]);
    }
    for (size_t r = l->start[user]; r < l->start[user + 1]; r++) {
        double x[C_MAX];
        if (l->relevant[r]) continue;
        const double e = exp(f->s[r] - o->top);
        row_of(f, r, x);
        o->sum += e;
        for (size_t i = 0; i < n; i++) {
            o->mean[i] += e * x[i];
            for (size_t j = 0; j <= i; j++) o->square[i][j] += e * x[i] * x[j];
        }
    }
    for (size_t i = 0; i < n; i++) {
        o->mean[i] /= o->sum;
        for (size_t j = 0; j <= i; j++) o->square[i][j] /= o->sum;
    }
}

static void add_user(const struct fit *f, size_t user, struct point *at)
{
    const struct blend_lists *l = f->of;
    const size_t n = l->components;
    struct others o;
    score_list(f, user, at->w);
    sum_others(f, user, &o);
    const double share = 1 / ((double)f->users * (double)relevant_of(l, user));
    for (size_t r = l->start[user]; r < l->start[user + 1]; r++) {
        double x[C_MAX], m[C_MAX];
        if (!l->relevant[r]) continue;
        /* e may be 0 or infinite: then p, what the others have of the softmax, is 1 or 0 */
        const double e = exp(f->s[r] - o.top), p = o.sum / (o.sum + e);
        row_of(f, r, x);
        at->loss += share * (e > 0 ? log1p(o.sum / e) : log(o.sum) + o.top - f->s[r]);
        for (size_t i = 0; i < n; i++) {
            m[i] = p * o.mean[i] + (1 - p) * x[i];
            at->gradient[i] += share * (m[i] - x[i]);
            for (size_t j = 0; j <= i; j++)
                at->hessian[i][j] += share * (p * o.square[i][j] + (1 - p) * x[i] * x[j] - m[i] * m[j]);
        }
    }
}

static void evaluate(const struct fit *f, struct point *at)
{
    const size_t n = f->of->components;
    at->loss = 0;
    memset(at->gradient, 0, sizeof at->gradient);
    memset(at->hessian, 0, sizeof at->hessian);
    for (size_t u = 0; u < f->of->users; u++) {
        if (says_something(f->of, u)) add_user(f, u, at);
    }
    for (size_t i = 0; i < n; i++) {
        at->loss += f->l2 / 2 * at->w[i] * at->w[i];
        at->gradient[i] += f->l2 * at->w[i];
        at->hessian[i][i] += f->l2 + 1e-9; /* components that say the same leave it singular */
    }
}

/* --- its minimum over w >= 0 */

/* The Newton direction of the components that may move; false when the Hessian is not positive definite to rounding. */
static bool direction(const struct point *at, const bool *moves, size_t n, double *d)
{
    double l[C_MAX][C_MAX] = {{0}}, y[C_MAX] = {0};
    for (size_t i = 0; i < n; i++) {
        d[i] = 0;
        if (!moves[i]) continue;
        for (size_t j = 0; j <= i; j++) {
            if (!moves[j]) continue;
            double sum = at->hessian[i][j];
            for (size_t k = 0; k < j; k++) sum -= l[i][k] * l[j][k];
            if (i != j) l[i][j] = sum / l[j][j];
            else if (!(sum > 0)) return false;
            else l[i][i] = sqrt(sum);
        }
        y[i] = -at->gradient[i];
        for (size_t k = 0; k < i; k++) y[i] -= l[i][k] * y[k];
        y[i] /= l[i][i];
    }
    for (size_t i = n; i-- > 0;) {
        if (!moves[i]) continue;
        d[i] = y[i];
        for (size_t k = i + 1; k < n; k++) d[i] -= l[k][i] * d[k];
        d[i] /= l[i][i];
    }
    return true;
}

/* One step of at, projected onto w >= 0 and shortened until the loss falls; false: there is none left to make. */
static bool improve(const struct fit *f, struct point *at)
{
    const size_t n = f->of->components;
    bool moves[C_MAX];
    double d[C_MAX], steepest = 0;
    for (size_t i = 0; i < n; i++) {
        moves[i] = f->inverse[i] > 0 && !(at->w[i] <= 0 && at->gradient[i] >= 0);
        if (moves[i]) steepest = fmax(steepest, fabs(at->gradient[i]));
    }
    if (!(steepest > 1e-8)) return false;
    for (int newton = direction(at, moves, n, d); newton >= 0; newton--) { /* else along the gradient */
        for (size_t i = 0; i < n && !newton; i++) d[i] = moves[i] ? -at->gradient[i] : 0;
        double t = 1;
        for (int h = 0; h < HALVINGS; h++, t /= 2) {
            struct point next;
            double gain = 0;
            for (size_t i = 0; i < n; i++) {
                next.w[i] = fmax(0, at->w[i] + t * d[i]);
                gain += at->gradient[i] * (at->w[i] - next.w[i]);
            }
            evaluate(f, &next);
            if (!(next.loss <= at->loss - 1e-4 * gain) || !(next.loss < at->loss)) continue;
            *at = next;
            return true;
        }
    }
    return false;
}

/* --- how good it is */

static double ndcg_of(const struct fit *f, const double *w, size_t k)
{
    const struct blend_lists *l = f->of;
    double sum = 0;
    for (size_t u = 0; u < l->users; u++) {
        double gain = 0, ideal = 0;
        if (!says_something(l, u)) continue;
        score_list(f, u, w);
        for (size_t r = l->start[u], n = relevant_of(l, u), seen = 0; seen < n; r++) {
            if (!l->relevant[r]) continue;
            size_t rank = 1; /* of equal ones the first is first */
            for (size_t o = l->start[u]; o < l->start[u + 1]; o++) rank += f->s[o] > f->s[r] || (f->s[o] == f->s[r] && o < r);
            if (rank <= k) gain += 1 / log2((double)rank + 1);
            ideal += 1 / log2((double)++seen + 1);
        }
        sum += gain / ideal;
    }
    return sum / (double)f->users;
}

static void compare(const struct fit *f, size_t k, struct blend *b)
{
    size_t best = 0;
    for (size_t c = 0; c < f->of->components; c++) {
        double w[C_MAX] = {0};
        w[c] = 1;
        b->alone[c] = ndcg_of(f, w, k);
        if (b->alone[c] > b->alone[best]) best = c;
    }
    b->ndcg = ndcg_of(f, b->weight, k);
    if (b->ndcg >= b->alone[best]) return;
    memset(b->weight, 0, sizeof b->weight);
    b->weight[best] = 1;
    b->ndcg = b->alone[best];
    b->single = true;
}

static enum meros_code no_memory(const struct blend_lists *l, struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "no memory for %zu candidates", l->start[l->users]);
}

enum meros_code blend_ndcg(const struct blend_lists *lists, const struct blend *b, size_t k, double *out, struct meros_err *err)
{
    struct fit f = {.of = lists, .s = ml_alloc_raw(lists->start[lists->users], sizeof *f.s)};
    if (f.s == NULL) return no_memory(lists, err);
    for (size_t c = 0; c < lists->components; c++) f.inverse[c] = 1 / b->scale[c];
    for (size_t u = 0; u < lists->users; u++) f.users += says_something(lists, u);
    *out = f.users > 0 ? ndcg_of(&f, b->weight, k) : 0;
    free(f.s);
    return MEROS_OK;
}

enum meros_code blend_fit(const struct blend_lists *lists, const struct blend_params *params, const struct ml_run *run,
                          struct blend *out, struct meros_err *err)
{
    struct fit f = {.of = lists, .l2 = params->l2};
    struct blend b = {.users = 0};
    struct point at;
    double total = 0;
    enum meros_code code = check(lists, params, err);
    if (code != MEROS_OK) return code;
    scales(lists, &b);
    if (b.users == 0) return err_set(err, MEROS_UNPROCESSABLE, "no user has both a relevant candidate and another to tell it from");
    f.users = b.users;
    for (size_t c = 0; c < lists->components; c++) {
        const bool differs = b.scale[c] > 0;
        if (!differs) b.scale[c] = 1;
        f.inverse[c] = differs ? 1 / b.scale[c] : 0;
        at.w[c] = differs ? 1 / (double)lists->components : 0;
    }
    f.s = ml_alloc_raw(lists->start[lists->users], sizeof *f.s);
    if (f.s == NULL) return no_memory(lists, err);
    evaluate(&f, &at);
    for (; b.iterations < STEPS_MAX; b.iterations++) {
        code = ml_run_check(run, (double)b.iterations / STEPS_MAX, "the blend", err);
        if (code != MEROS_OK) goto out;
        if (!improve(&f, &at)) break;
    }
    for (size_t c = 0; c < lists->components; c++) total += at.w[c];
    for (size_t c = 0; c < lists->components; c++) b.weight[c] = total > 0 ? at.w[c] / total : 0;
    compare(&f, params->k, &b);
    *out = b;
out:
    free(f.s);
    return code;
}
