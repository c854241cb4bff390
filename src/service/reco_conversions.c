/* From clicks to what was bought after them. Clicks and lines of one customer and product are walked by time: a purchase belongs to
 * the last click before it, if that is no further back than the window; what comes back undoes the last purchase before it, and
 * so that purchase's click, which stays a conversion: the recommendation sold it. */
#include <stdlib.h>
#include "meros/store/reco_feedback.h"
#include "reco_performance_priv.h"

enum { PAIRS_AT_ONCE = 2000 };

static int by_pair(const void *a, const void *b)
{
    const struct reco_click *x = a, *y = b;
    if (x->customer_no != y->customer_no) return x->customer_no < y->customer_no ? -1 : 1;
    if (x->product_no != y->product_no) return x->product_no < y->product_no ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

struct following {
    struct reco_click *clicks;
    int64_t window;
    size_t from[PAIRS_AT_ONCE], to[PAIRS_AT_ONCE]; /* clicks of each pair */
    /* of the pair whose lines come */
    size_t pair, next; /* next: the first click behind the line */
    struct reco_click *of_last; /* of the last purchase; NULL: none, or it followed no click */
};

static void follow(void *arg, const struct feedback_line *l)
{
    struct following *f = arg;
    if (l->pair != f->pair) {
        f->pair = l->pair;
        f->next = f->from[l->pair];
        f->of_last = NULL;
    }
    while (f->next < f->to[l->pair] && f->clicks[f->next].at <= l->ordered_at) f->next++;
    if (!l->returned) {
        struct reco_click *click = f->next > f->from[l->pair] ? &f->clicks[f->next - 1] : NULL;
        f->of_last = click != NULL && l->ordered_at - click->at <= f->window ? click : NULL;
        if (f->of_last != NULL) f->of_last->converted = true;
    }
    if (f->of_last != NULL) f->of_last->revenue += l->amount;
}

enum meros_code reco_follow_clicks(struct store_conn *c, struct reco_click *clicks, size_t n, int64_t window, struct meros_err *err)
{
    enum meros_code rc = MEROS_OK;
    struct following *f = malloc(sizeof *f);
    int64_t *nos = malloc(3 * PAIRS_AT_ONCE * sizeof *nos);
    if (f == NULL || nos == NULL) rc = err_set(err, MEROS_OUT_OF_MEMORY, "No memory for clicks.");
    if (rc == MEROS_OK && n > 1) qsort(clicks, n, sizeof *clicks, by_pair);
    for (size_t i = 0; rc == MEROS_OK && i < n;) {
        size_t pairs = 0;
        while (i < n && pairs < PAIRS_AT_ONCE) {
            size_t to = i + 1;
            while (to < n && clicks[to].customer_no == clicks[i].customer_no && clicks[to].product_no == clicks[i].product_no) to++;
            if (clicks[i].product_no != 0) {
                f->from[pairs] = i;
                f->to[pairs] = to;
                nos[pairs] = clicks[i].customer_no;
                nos[PAIRS_AT_ONCE + pairs] = clicks[i].product_no;
                nos[2 * PAIRS_AT_ONCE + pairs++] = clicks[i].at;
            }
            i = to;
        }
        f->clicks = clicks;
        f->window = window;
        f->pair = SIZE_MAX;
        if (pairs > 0) rc = store_feedback_lines(c, nos, nos + PAIRS_AT_ONCE, nos + 2 * PAIRS_AT_ONCE, pairs, follow, f, err);
    }
    free(f);
    free(nos);
    return rc;
}
