/* Judging some customers with a model of lifetime value: what lists (clv_lists.c) and the sweeper share. */
#ifndef MEROS_SERVICE_CLV_PRIV_H
#define MEROS_SERVICE_CLV_PRIV_H

#include "meros/base/arena.h"
#include "meros/domain/clv.h"
#include "meros/domain/purchase_days.h"
#include "meros/ml/clv.h"
#include "meros/model/clv_model.h"

struct store_conn;

struct clv_judged {
    struct purchase_history history;
    double covariates[CLV_COVARIATES_MAX];
};
/* out[i]: what nos[i] has bought up to the present (of a model trained for the past: that moment and what came later). */
enum meros_code clv_judge_read(struct store_conn *c, const struct trained_clv *m, const int64_t *nos, size_t n, int64_t now,
                               struct arena *arena, struct clv_judged *out, struct meros_err *err) MEROS_MUSTCHECK;
void clv_judge_score(const struct trained_clv *m, const struct clv_question *q, const struct clv_judged *j, struct clv_answer *out);

/* What lists, summaries and tiers of value say of a customer. */
struct clv_row clv_row_of(int64_t customer_no, const struct clv_answer *a, int64_t at);

#endif
