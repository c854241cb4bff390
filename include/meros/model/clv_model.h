/* A trained model of customer lifetime value: what training found (ml/clv.h, or ml/retention.h for customers under
 * contract) with what is needed to ask it about a customer, and nothing about any customer.
 *
 * Two names of kind "clv", each with versions and an active one of its own: TRAINED_CLV_NAME for shops, whose customers leave
 * without saying so and of whom live answers are given; TRAINED_CONTRACT_NAME ("sbg"), whose answers are its metrics.
 *
 * Built once (training, or decoding an artifact), then immutable and shared by threads. trained_clv_free takes NULL. */
#ifndef MEROS_MODEL_CLV_MODEL_H
#define MEROS_MODEL_CLV_MODEL_H

#include <stdbool.h>
#include <stdint.h>
#include "meros/base/crypto.h"
#include "meros/domain/purchase_days.h"
#include "meros/feature/prep.h"
#include "meros/ml/clv.h"
#include "meros/ml/retention.h"
#include "meros/model/segment_model.h"

#define TRAINED_CLV_NAME "clv"
#define TRAINED_CONTRACT_NAME "contract"

struct trained_clv {
    bool contract;       /* sbg: `sbg` holds; else `model` and `prep` */
    char name[SEGMENTATION_NAME_MAX + 1];
    int64_t as_of;       /* the moment it was trained for; TIME_NONE: its present */
    int64_t trained_at;
    int64_t data_from, data_to; /* the first and the last day with a purchase that it was trained on */
    int32_t observed_to; /* the last day that it learnt from (before `as_of` where a hold-out was asked for) */
    uint64_t rows;       /* customers it was trained on */
    unsigned char row_hash[SHA256_BYTES]; /* of their histories, in order */
    char build[96];
    struct clv_model model;
    struct prep prep;    /* covariates: one column each, n_columns = model.purchase.n_covariates; empty without */
    struct sbg sbg;
    struct clv_fitted sbg_fit;
    double period_days;  /* sbg: of a period */
};

struct trained_clv *trained_clv_new(bool contract); /* NULL: out of memory */
void trained_clv_free(struct trained_clv *m);
const char *trained_clv_algorithm(const struct trained_clv *m); /* "bgnbd", "mbgnbd", "paretonbd", "sbg" */
bool trained_clv_converged(const struct trained_clv *m);

static inline bool trained_clv_needs_attributes(const struct trained_clv *m)
{
    return m->prep.n_attributes > 0;
}

/* The last day that is looked at when a customer is asked about: the day of `at` where the asker says so; else today, or,
 * for a model trained as of a moment in the past, that day or the last on which the customer bought or gave back since. */
int32_t trained_clv_day(const struct trained_clv *m, const struct purchase_day *days, size_t n, int64_t at, int64_t now);

/* One covariate: of a number how many standard deviations above the mean it is, of a level (the most frequent one apart, which
 * the others are compared with) whether the customer has it; NaN: not known. */
double trained_clv_covariate(const struct prep *p, size_t column, const struct prep_values *values);
/* A customer's covariates as the model reads them (NaN: not known); out has room for CLV_COVARIATES_MAX. */
void trained_clv_covariates(const struct trained_clv *m, const struct json *attributes, double *out);
/* What clv_score asks for; covariates as above, NULL: none known. It must outlive the result. Nothing bought yet: all 0. */
struct clv_history trained_clv_history(const struct purchase_history *h, const double *covariates);

#endif
