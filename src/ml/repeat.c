#include "meros/ml/repeat.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "meros/ml/matrix.h"

struct bought { /* one purchase of the item at hand */
    double at;
    uint32_t customer;
};
struct spell {
    double days;
    bool cut; /* off by the end */
};

static enum meros_code check(const struct repeat_purchase *p, size_t n, size_t items, double end, const struct repeat_params *params,
                             struct meros_err *err)
{
    if (params->min_repeats < 1 || params->least_at_risk < 1) {
        return err_set(err, MEROS_UNPROCESSABLE, "repeats and spells at risk are counted from 1");
    }
    if (!(params->min_share >= 0 && params->min_share <= 1)) {
        return err_set(err, MEROS_UNPROCESSABLE, "a share of %g is not within 0 .. 1", params->min_share);
    }
    if (!(params->min_gap >= 0)) return err_set(err, MEROS_UNPROCESSABLE, "a gap of %g days is below 0", params->min_gap);
    if (!isfinite(end)) return err_set(err, MEROS_UNPROCESSABLE, "the end of observation is no moment");
    for (size_t i = 0; i < n; i++) {
        if (p[i].item < items && isfinite(p[i].at)) continue;
        return err_set(err, MEROS_UNPROCESSABLE, "purchase %zu is of item %u of %zu, at %g", i, p[i].item, items, p[i].at);
    }
    return MEROS_OK;
}

static int by_customer(const void *a, const void *b)
{
    const struct bought *x = a, *y = b;
    if (x->customer != y->customer) return x->customer < y->customer ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

static int by_days(const void *a, const void *b)
{
    const struct spell *x = a, *y = b;
    if (x->days != y->days) return x->days < y->days ? -1 : 1;
    return x->cut - y->cut; /* who comes back on the day that another is lost sight of was watched until then */
}

/* The spells of n purchases by customer and time; returns how many there are. */
static size_t spells_of(const struct bought *b, size_t n, double end, double min_gap, struct spell *out, struct repeat_item *item)
{
    size_t spells = 0;
    for (size_t i = 0; i < n;) {
        const uint32_t customer = b[i].customer;
        const uint32_t before = item->repeats;
        double last = b[i].at;
        for (i++; i < n && b[i].customer == customer; i++) {
            if (b[i].at - last >= min_gap && b[i].at > last) {
                out[spells++] = (struct spell){b[i].at - last, false};
                item->repeats++;
            }
            last = b[i].at; /* of purchases that are one, the next spell begins with the last */
        }
        out[spells++] = (struct spell){end - last, true};
        item->buyers++;
        item->repeaters += item->repeats > before;
    }
    return spells;
}

/* F at the repeats of n spells by their days: up to where `target` is reached (its days are given), or to the end (F is given). */
static double kaplan_meier(const struct spell *s, size_t n, uint32_t least_at_risk, double target, double *out_days)
{
    double lasting = 1;
    for (size_t i = 0; i < n && n - i >= least_at_risk; i++) {
        if (s[i].cut) continue;
        lasting *= 1 - 1 / (double)(n - i);
        *out_days = s[i].days;
        if (1 - lasting >= target) break;
    }
    return 1 - lasting;
}

static float median_days(struct spell *s, size_t n, uint32_t least_at_risk)
{
    double days = 0, last = 0;
    qsort(s, n, sizeof *s, by_days);
    const double all = kaplan_meier(s, n, least_at_risk, INFINITY, &last);
    (void)kaplan_meier(s, n, least_at_risk, all / 2, &days);
    return (float)days;
}

static size_t counted(const struct repeat_purchase *p, size_t n, double end)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) kept += p[i].at <= end;
    return kept;
}

enum meros_code repeat_fit(const struct repeat_purchase *p, size_t n, size_t items, double end, const struct repeat_params *params,
                           size_t budget, struct repeat_item *out, struct meros_err *err)
{
    struct ml_need need = {0};
    enum meros_code code = check(p, n, items, end, params, err);
    if (code != MEROS_OK) return code;
    ml_need_add(&need, n, sizeof(struct bought) + sizeof(struct spell));
    ml_need_add(&need, items + 1, sizeof(size_t));
    code = ml_need_check(&need, budget, "what is bought again", err);
    if (code != MEROS_OK) return code;
    struct bought *bought = ml_alloc_raw(n, sizeof *bought);
    struct spell *spells = ml_alloc_raw(n, sizeof *spells);
    size_t *begin = ml_alloc(items + 1, sizeof *begin); /* of an item's purchases: first where they end */
    if (bought == NULL || spells == NULL || begin == NULL) {
        code = err_set(err, MEROS_OUT_OF_MEMORY, "no memory for %zu purchases", n);
        goto out;
    }
    for (size_t i = 0; i < n; i++) begin[p[i].item] += p[i].at <= end;
    for (size_t i = 1; i < items; i++) begin[i] += begin[i - 1];
    for (size_t i = 0; i < n; i++) { /* from its end downwards */
        if (p[i].at <= end) bought[--begin[p[i].item]] = (struct bought){p[i].at, p[i].customer};
    }
    for (size_t i = 0, kept = counted(p, n, end); i < items; i++) {
        const size_t from = begin[i], to = i + 1 < items ? begin[i + 1] : kept;
        struct repeat_item one = {0};
        qsort(bought + from, to - from, sizeof *bought, by_customer);
        const size_t n_spells = spells_of(bought + from, to - from, end, params->min_gap, spells, &one);
        if (one.buyers > 0) one.share = (float)((double)one.repeaters / (double)one.buyers);
        if (one.repeats >= params->min_repeats && (double)one.repeaters >= params->min_share * (double)one.buyers)
            one.days = median_days(spells, n_spells, params->least_at_risk);
        out[i] = one;
    }
out:
    free(begin);
    free(spells);
    free(bought);
    return code;
}
