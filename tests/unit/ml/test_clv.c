/* Lifetime value of a customer: published figures, units, discounting, intervals, and inputs at the edge. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cdnow.h"
#include "meros/ml/clv.h"
#include "meros/ml/rng.h"
#include "meros/ml/special.h"

#define near(got, want, tolerance, ...)                                                                      \
    cr_expect(fabs((got) - (want)) <= (tolerance), "%s: %.10g, want %.10g", #got, (double)(got), (double)(want))

static struct meros_err err;

static void with_cdnow(struct cdnow *c)
{
    if (!cdnow_load(c)) cr_skip_test("the CDNOW files are not there");
}

static struct clv_model fit_cdnow(const struct cdnow *c, enum clv_kind kind, enum clv_unit unit)
{
    struct clv_model m;
    const struct clv_data d = {.n = c->n, .x = c->x, .t_x = c->t_x, .t = c->t, .mean_value = c->mean_value, .value_days = c->value_days};
    const struct clv_fit_params p = {.kind = kind, .unit = unit};
    cr_assert_eq(clv_fit(&d, &p, NULL, &m, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(clv_check(&m, &err), MEROS_OK, "%s", err.detail);
    return m;
}

Test(clv, fits_on_the_transactions_agree_with_the_published_ones)
{
    static struct cdnow c;
    with_cdnow(&c);
    cr_assert_eq(c.n, 2357);
    struct clv_model m = fit_cdnow(&c, CLV_BGNBD, CLV_WEEK);
    near(m.purchase.repeat_purchases, 2457, 0);
    near(m.purchase.repeat_customers, 946, 0);
    near(m.purchase.fit.log_likelihood, -9582.4292, 5e-4);
    const double want[] = {.242595, 4.413602, .792922, 2.425907};
    for (int i = 0; i < 4; i++) near(m.purchase.parameter[i], want[i], 1e-3 * want[i]);
    near(m.spend.parameter[0], 6.2496, 1e-3 * 6.2496);
    near(m.spend.parameter[1], 3.7442, 1e-3 * 3.7442);
    near(m.spend.parameter[2], 15.4435, 1e-3 * 15.4435);
    near(m.spend.fit.log_likelihood, -4055.9177, 5e-3);
    cr_expect(m.purchase.fit.converged && m.spend.fit.converged);
    near(m.spend.buyers, 946, 0);
    struct clv_question q = {.horizon_days = 364, .annual_rate = 0, .level = 0.9};
    const struct clv_history h = {2, 213, 272, 22.345, 2, NULL};
    struct clv_answer a;
    clv_score(&m, &q, &h, &a);
    near(a.clv, 38.433, .05);
}
