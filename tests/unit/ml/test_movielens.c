/* The published figures of MovieLens 100K, mcrec_split (Dacrema et al., TOIS 2021, Table 46): all unseen items ranked,
 * k = 10, 942 users. */
#include <math.h>

#include "meros/ml/als.h"
#include "meros/ml/blas.h"
#include "meros/ml/ease.h"
#include "recommend_data.h"

static void expect_digits(const struct ranking_metrics *m, const char *want, const char *what)
{
    char got[64];
    snprintf(got, sizeof got, "%.4f %.4f %.4f", m->precision, m->recall, m->ndcg);
    cr_expect_str_eq(got, want, "%s: %s, published %s", what, got, want);
    cr_expect_eq(m->users, 942);
}

Test(movielens, ease_is_the_published_one_to_every_digit, .timeout = 300)
{
    struct movielens data = movielens_load();
    struct ease_model model;
    struct ranking_metrics m;
    ml_start();
    cr_assert_eq(ease_fit(&data.train.user, &data.train.item, 458, NULL, &model, NULL), MEROS_OK);
    const struct ease_ranking of = {&model, &data.train.user};
    const struct ranking_model ranking = ease_ranking(&of);
    cr_assert_eq(ranking_evaluate(&ranking, &data.train.user, &data.test, 10, NULL, &m, NULL), MEROS_OK);
    expect_digits(&m, "0.3739 0.2430 0.2905", "EASE, lambda 458");
    ease_model_done(&model);
    movielens_done(&data);
}
