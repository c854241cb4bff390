#include "meros/domain/interaction.h"

#include <string.h>

/* Orders count by their lines, however they were told of. */
const struct interaction_weights interaction_weights_default = {
    .n = 11,
    .type = {"checkout_started", "order_cancelled", "order_completed", "order_refunded", "order_updated", "product_added", "product_removed",
             "product_viewed", "recommendation_clicked", "recommendation_shown", "review_submitted"},
    .weight = {0, 0, 0, 0, 0, 3, -1, 1, 1.5, 0, 3},
    .purchase = 5,
    .returned = -5,
    .other = 1,
    .half_life_days = 0,
};

/* As strcmp; `type` has no NUL inside. */
static int compare(const char *a, struct str type)
{
    const int c = strncmp(a, type.p, type.n);
    return c != 0 ? c : a[type.n] != 0;
}

bool interaction_weights_put(struct interaction_weights *w, struct str type, double weight)
{
    if (type.n == 0 || type.n > INTERACTION_TYPE_MAX || memchr(type.p, 0, type.n) != NULL) return false;
    size_t at = 0;
    while (at < w->n && compare(w->type[at], type) < 0) at++;
    if (at == w->n || compare(w->type[at], type) != 0) {
        if (w->n == INTERACTION_TYPES_MAX) return false;
        memmove(w->type + at + 1, w->type + at, (w->n - at) * sizeof w->type[0]);
        memmove(w->weight + at + 1, w->weight + at, (w->n - at) * sizeof w->weight[0]);
        memset(w->type[at], 0, sizeof w->type[at]);
        memcpy(w->type[at], type.p, type.n);
        w->n++;
    }
    w->weight[at] = weight;
    return true;
}

bool interaction_weights_equal(const struct interaction_weights *a, const struct interaction_weights *b)
{
    if (a->n != b->n || a->purchase != b->purchase || a->returned != b->returned || a->other != b->other ||
        a->half_life_days != b->half_life_days)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (a->weight[i] != b->weight[i] || strcmp(a->type[i], b->type[i]) != 0) return false;
    return true;
}
