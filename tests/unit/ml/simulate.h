/* Customers who behave as the models say. */
#ifndef SIMULATE_H
#define SIMULATE_H

#include <math.h>
#include "meros/ml/bgnbd.h"
#include "meros/ml/paretonbd.h"
#include "meros/ml/rng.h"

static inline double gamma_draw(struct ml_rng *r, double shape) /* Marsaglia & Tsang 2000 */
{
    if (shape < 1) return gamma_draw(r, shape + 1) * pow(1 - ml_rng_uniform(r), 1 / shape);
    const double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        const double z = ml_rng_normal(r), v = pow(1 + c * z, 3);
        if (v > 0 && log(1 - ml_rng_uniform(r)) < z * z / 2 + d - d * v + d * log(v)) return d * v;
    }
}

static inline double exponential_draw(struct ml_rng *r, double rate)
{
    return -log(1 - ml_rng_uniform(r)) / rate;
}

/* What a customer is by nature: how fast it buys, and how it leaves (the chance p, or the time). */
struct nature {
    double rate, p, leaves;
};

static inline void live(struct ml_rng *r, const struct nature *c, double to, double *count, double *last)
{
    double at = 0;
    *count = *last = 0;
    for (;;) {
        at += exponential_draw(r, c->rate);
        if (!(at < to) || !(at < c->leaves)) return;
        ++*count;
        *last = at;
        if (ml_rng_uniform(r) < c->p) return;
    }
}

static inline void simulate_bgnbd(const struct bgnbd *m, struct ml_rng *r, double seen, double *x, double *t_x)
{
    const double g = gamma_draw(r, m->a);
    struct nature c = {gamma_draw(r, m->r) / m->alpha, g / (g + gamma_draw(r, m->b)), INFINITY};
    if (m->kind == MBGNBD && ml_rng_uniform(r) < c.p) c.leaves = 0;
    live(r, &c, seen, x, t_x);
}

static inline void simulate_paretonbd(const struct paretonbd *m, struct ml_rng *r, double seen, double *x, double *t_x)
{
    struct nature c = {gamma_draw(r, m->r) / m->alpha, 0, exponential_draw(r, gamma_draw(r, m->s) / m->beta)};
    live(r, &c, seen, x, t_x);
}

#endif
