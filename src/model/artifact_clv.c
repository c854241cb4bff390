/* What is in the artifact of a model of customer lifetime value, between the frame and the checksum. */
#include <math.h>

#include "artifact_priv.h"

enum { SBG = CLV_KINDS }; /* its number among the algorithms */

/* --- writing */

static void put_fit(struct buf *b, const struct clv_fitted *f)
{
    artifact_put_doubles(b, (const double[]){f->log_likelihood, f->gradient_norm, f->decrement, f->condition}, 4);
    artifact_put_le(b, (uint64_t)f->evaluations, 4);
    artifact_put_le(b, (uint64_t)f->iterations, 4);
    artifact_put_u8(b, f->converged);
    artifact_put_u8(b, f->at_bound);
}

static void put_purchases(struct buf *b, const struct clv_purchase_model *p)
{
    const size_t n = (size_t)p->n_covariates;
    artifact_put_u8(b, p->unit);
    artifact_put_u8(b, (unsigned)p->n_theta);
    artifact_put_doubles(b, p->parameter, CLV_PARAMETERS);
    artifact_put_doubles(b, p->standard_error, CLV_PARAMETERS);
    artifact_put_u8(b, (unsigned)p->n_covariates);
    for (int e = 0; e < CLV_EFFECTS_MAX; e++) {
        artifact_put_doubles(b, p->coefficient[e], n);
        artifact_put_doubles(b, p->coefficient_error[e], n);
    }
    artifact_put_doubles(b, p->covariate_mean, n);
    artifact_put_doubles(b, p->covariance, (size_t)p->n_theta * (size_t)p->n_theta);
    put_fit(b, &p->fit);
    artifact_put_doubles(b, (const double[]){p->customers, p->repeat_customers, p->repeat_purchases}, 3);
}

static void put_spend(struct buf *b, const struct clv_spend_model *s)
{
    artifact_put_u8(b, s->kind);
    artifact_put_doubles(b, s->parameter, 3);
    artifact_put_doubles(b, s->standard_error, 3);
    artifact_put_doubles(b, s->covariance, 9);
    artifact_put_doubles(b, (const double[]){s->mean, s->deviation, s->buyers, s->correlation}, 4);
    artifact_put_u8(b, s->correlation_warning);
    put_fit(b, &s->fit);
}

void artifact_put_clv(struct buf *out, const struct trained_clv *m)
{
    artifact_put_u8(out, m->contract ? SBG : m->model.purchase.kind);
    artifact_put_str(out, m->name);
    artifact_put_le(out, (uint64_t)m->as_of, 8);
    artifact_put_le(out, (uint64_t)m->trained_at, 8);
    artifact_put_le(out, (uint64_t)m->data_from, 8);
    artifact_put_le(out, (uint64_t)m->data_to, 8);
    artifact_put_le(out, (uint64_t)m->observed_to, 4);
    artifact_put_le(out, m->rows, 8);
    buf_append(out, m->row_hash, sizeof m->row_hash);
    artifact_put_str(out, m->build);
    if (m->contract) {
        artifact_put_doubles(out, (const double[]){m->sbg.alpha, m->sbg.beta, m->period_days}, 3);
        put_fit(out, &m->sbg_fit);
        return;
    }
    put_purchases(out, &m->model.purchase);
    artifact_put_prep(out, &m->prep);
    put_spend(out, &m->model.spend);
}

/* --- reading. What numbers may be is clv_check's to say: NaN has a meaning in some. */

static void get_doubles(struct artifact_reader *r, double *out, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = artifact_get_any_double(r);
}

static bool get_flag(struct artifact_reader *r)
{
    return artifact_get_below(r, 1, 2, "a flag in it is neither 0 nor 1");
}

static void get_fit(struct artifact_reader *r, struct clv_fitted *f)
{
    f->log_likelihood = artifact_get_any_double(r);
    f->gradient_norm = artifact_get_any_double(r);
    f->decrement = artifact_get_any_double(r);
    f->condition = artifact_get_any_double(r);
    f->evaluations = (int)artifact_get_below(r, 4, INT32_MAX, "a count in it is out of range");
    f->iterations = (int)artifact_get_below(r, 4, INT32_MAX, "a count in it is out of range");
    f->converged = get_flag(r);
    f->at_bound = get_flag(r);
}

static void get_purchases(struct artifact_reader *r, struct clv_purchase_model *p)
{
    p->unit = (enum clv_unit)artifact_get_below(r, 1, CLV_UNITS, "its unit of time is not known");
    p->n_theta = (int)artifact_get_below(r, 1, CLV_THETA_MAX + 1, "it has too many parameters");
    get_doubles(r, p->parameter, CLV_PARAMETERS);
    get_doubles(r, p->standard_error, CLV_PARAMETERS);
    p->n_covariates = (int)artifact_get_below(r, 1, CLV_COVARIATES_MAX + 1, "it has too many covariates");
    for (int e = 0; e < CLV_EFFECTS_MAX; e++) {
        get_doubles(r, p->coefficient[e], (size_t)p->n_covariates);
        get_doubles(r, p->coefficient_error[e], (size_t)p->n_covariates);
    }
    get_doubles(r, p->covariate_mean, (size_t)p->n_covariates);
    if (r->fault == NULL && p->n_theta != CLV_PARAMETERS + clv_effects(p->kind) * p->n_covariates)
        artifact_fail(r, "it has not the number of parameters that its covariates make");
    get_doubles(r, p->covariance, (size_t)p->n_theta * (size_t)p->n_theta);
    get_fit(r, &p->fit);
    double counts[3];
    get_doubles(r, counts, 3);
    p->customers = counts[0];
    p->repeat_customers = counts[1];
    p->repeat_purchases = counts[2];
}

static void get_spend(struct artifact_reader *r, struct clv_spend_model *s)
{
    s->kind = (enum clv_spend)artifact_get_below(r, 1, CLV_SPENDS, "its model of values is not known");
    get_doubles(r, s->parameter, 3);
    get_doubles(r, s->standard_error, 3);
    get_doubles(r, s->covariance, 9);
    s->mean = artifact_get_any_double(r);
    s->deviation = artifact_get_any_double(r);
    s->buyers = artifact_get_any_double(r);
    s->correlation = artifact_get_any_double(r);
    s->correlation_warning = get_flag(r);
    get_fit(r, &s->fit);
}

static void get_covariates(struct artifact_reader *r, struct trained_clv *m)
{
    artifact_get_prep(r, &m->prep);
    if (r->fault == NULL && m->prep.n_columns != (size_t)m->model.purchase.n_covariates)
        artifact_fail(r, "its covariates are not those of its parameters");
    for (size_t j = 0; r->fault == NULL && j < m->prep.n_columns; j++)
        if (m->prep.columns[j].kind == PREP_STAT) artifact_fail(r, "a covariate in it is no attribute");
}

static void get_content(struct artifact_reader *r, struct trained_clv *m, unsigned algorithm)
{
    m->observed_to = (int32_t)(uint32_t)artifact_get_le(r, 4);
    m->rows = artifact_get_le(r, 8);
    const unsigned char *hash = artifact_take(r, SHA256_BYTES);
    if (hash != NULL) memcpy(m->row_hash, hash, SHA256_BYTES);
    artifact_get_build(r, m->build, sizeof m->build);
    if (m->contract) {
        m->sbg.alpha = artifact_get_double(r);
        m->sbg.beta = artifact_get_double(r);
        m->period_days = artifact_get_double(r);
        get_fit(r, &m->sbg_fit);
        if (r->fault == NULL && !(m->sbg.alpha > 0 && m->sbg.beta > 0 && m->period_days > 0))
            artifact_fail(r, "a parameter in it is not positive");
        return;
    }
    m->model.purchase.kind = (enum clv_kind)algorithm;
    get_purchases(r, &m->model.purchase);
    get_covariates(r, m);
    get_spend(r, &m->model.spend);
    if (r->fault == NULL && clv_check(&m->model, NULL) != MEROS_OK) artifact_fail(r, "its parameters cannot be used");
}

struct trained_clv *artifact_get_clv(struct artifact_reader *r)
{
    const unsigned algorithm = artifact_get_below(r, 1, SBG + 1, "its algorithm is not known");
    struct trained_clv *m = r->fault == NULL ? trained_clv_new(algorithm == SBG) : NULL;
    if (m == NULL) {
        artifact_fail(r, "memory ran out");
        return NULL;
    }
    artifact_get_name(r, m->name, sizeof m->name);
    m->as_of = artifact_get_time(r);
    m->trained_at = artifact_get_time(r);
    m->data_from = artifact_get_time(r);
    m->data_to = artifact_get_time(r);
    get_content(r, m, algorithm);
    if (r->fault == NULL) return m;
    trained_clv_free(m);
    return NULL;
}
