#include <math.h>

#include "clv_priv.h"
#include "meros/codec/json.h"
#include "meros/store/days.h"
#include "meros/store/stats.h"

struct clv_row clv_row_of(int64_t customer_no, const struct clv_answer *a, int64_t at)
{
    return (struct clv_row){customer_no, isnan(a->clv) ? a->expected_orders : a->clv, a->p_alive, a->expected_orders,
                            a->expected_order_value, a->population, at};
}

static enum meros_code read_covariates(struct store_conn *c, const struct trained_clv *m, const int64_t *nos, size_t n,
                                       struct arena *arena, struct clv_judged *out, struct meros_err *err)
{
    struct customer_state *states = arena_array(arena, n, sizeof *states);
    if (states == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory while reading customers.");
    enum meros_code rc = store_stats_live_by_no(c, nos, n, arena, states, err);
    for (size_t i = 0; i < n && rc == MEROS_OK; i++) {
        struct json *attributes = NULL;
        if (states[i].known && states[i].attributes.n > 2) /* "{}" is most of them */
            rc = json_parse_stored(states[i].attributes.p, states[i].attributes.n, &attributes, err);
        if (rc == MEROS_OK) trained_clv_covariates(m, attributes, out[i].covariates);
        json_free(attributes);
    }
    return rc;
}

enum meros_code clv_judge_read(struct store_conn *c, const struct trained_clv *m, const int64_t *nos, size_t n, int64_t now,
                               struct arena *arena, struct clv_judged *out, struct meros_err *err)
{
    struct customer_purchases *bought = arena_array(arena, n, sizeof *bought);
    if (bought == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory while reading customers.");
    enum meros_code rc = store_days_of(c, nos, n, arena, bought, err);
    if (rc != MEROS_OK) return rc;
    for (size_t i = 0; i < n; i++)
        out[i].history = purchase_history_of(bought[i].days, bought[i].n, trained_clv_day(m, bought[i].days, bought[i].n, TIME_NONE, now));
    return m->model.purchase.n_covariates > 0 ? read_covariates(c, m, nos, n, arena, out, err) : MEROS_OK;
}

void clv_judge_score(const struct trained_clv *m, const struct clv_question *q, const struct clv_judged *j, struct clv_answer *out)
{
    const struct clv_history h = trained_clv_history(&j->history, m->model.purchase.n_covariates > 0 ? j->covariates : NULL);
    clv_score(&m->model, q, &h, out);
}
