/* The recommender read the other way: not what a history says of all items, but what all items of a history say of one. */
#include <stdlib.h>
#include <string.h>
#include "recommender_priv.h"

/* The column of an item in a table of rows of any order. */
static void add_column(const size_t *start, const uint32_t *item, const float *value, size_t items, uint32_t to, float *voice)
{
    for (size_t i = 0; i < items; i++)
        for (size_t e = start[i]; e < start[i + 1]; e++)
            if (item[e] == to) voice[i] += value[e];
}

static void component(const struct recommender *r, enum reco_algorithm a, uint32_t to, float *voice)
{
    static const float once = 1;
    float user[ALS_FACTORS_MAX] __attribute__((aligned(64)));
    memset(voice, 0, r->items * sizeof *voice);
    switch (a) {
    case RECO_EASE: add_column(r->ease.start, r->ease.item, r->ease.value, r->items, to, voice); break;
    case RECO_ITEM_KNN: neighbours_add_scores(&r->item_knn, &to, &once, 1, voice); break; /* `turned` turned again */
    case RECO_CONTENT: add_column(r->content.start, r->content.item, r->content.score, r->items, to, voice); break;
    case RECO_SEQUENCE: add_column(r->next.start, r->next.item, r->next.score, r->items, to, voice); break;
    case RECO_ALS:
        /* y_i' A^-1 y_to, up to a factor: a user with `to` alone has (A + c y y')^-1 y, which points where A^-1 y does (Sherman & Morrison 1950). */
        als_fold_in(&r->als, &to, &once, 1, user);
        als_score(&r->als, user, voice);
        break;
    default: break;
    }
}

bool recommender_voices(const struct recommender *r, enum reco_algorithm a, uint32_t to, float *scratch, float *voice)
{
    if (a == RECO_POPULAR || to >= r->items || !recommender_has(r, a)) return false;
    if (a != RECO_BLEND) {
        component(r, a, to, voice);
        return true;
    }
    bool any = false;
    memset(voice, 0, r->items * sizeof *voice);
    for (int c = 0; c < RECO_BLEND; c++) {
        if (c == RECO_POPULAR || !recommender_blends(r, (enum reco_algorithm)c)) continue;
        const float share = recommender_share(r, (enum reco_algorithm)c);
        component(r, (enum reco_algorithm)c, to, scratch);
        for (size_t i = 0; i < r->items; i++) voice[i] += share * scratch[i];
        any = true;
    }
    return any;
}
