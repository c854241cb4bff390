/* A trained recommender: what training found about products. A history (a customer's, or a visitor's recent products) goes in,
 * a score for every product comes out. Knows nothing of any customer; holds no text of the catalogue.
 *
 * Items are the products of the training, numbered 0 .. items - 1 by ascending product_no. What a component has not is
 * all-zero. Whoever serves asks for a component, or for `algorithm`, which is the one that training chose.
 *
 *   ALS       factors of items; the customer's are folded in      EASE      what an item says of others, signed, sparse rows
 *   ITEM_KNN  neighbours, read turned round                       CONTENT   neighbours by TF-IDF of name, description, category, attributes
 *   SEQUENCE  what comes next (transitions)                       POPULAR   decayed popularity, the same for everybody
 *   BLEND     the weighted sum of standardised components (ml/blend.h); weights learnt on held-out interactions
 *
 * EASE reads min(weight, 1); all but ALS pass over weights of 0 and below; ALS reads them as a confident no. BLEND is
 *   sum over components c with blend[c] > 0 of blend[c] / blend_scale[c] * (c's scores of the history with min(weight, 1)).
 *
 * Built once (training, or decoding an artifact), then immutable and shared by threads. recommender_free takes NULL. */
#ifndef MEROS_MODEL_RECOMMENDER_H
#define MEROS_MODEL_RECOMMENDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/crypto.h"
#include "meros/base/err.h"
#include "meros/domain/interaction.h"
#include "meros/ml/als.h"
#include "meros/ml/bought_together.h"
#include "meros/ml/ease.h"
#include "meros/ml/neighbours.h"

#define RECOMMENDER_NAME "recommendations"

enum reco_algorithm { RECO_POPULAR, RECO_CONTENT, RECO_ITEM_KNN, RECO_EASE, RECO_ALS, RECO_SEQUENCE, RECO_BLEND, RECO_ALGORITHMS };
extern const char *const reco_algorithm_words[]; /* "popular", "content", "item_knn", "ease", "als", "sequence", "blend"; NULL-terminated */

/* Signed rows: EASE's B, each item's strongest entries by absolute value (all of them for a small catalogue). */
struct reco_rows {
    size_t items, n;
    size_t *start;  /* items + 1 */
    uint32_t *item; /* n, ascending in a row */
    float *value;
};

struct recommender {
    enum reco_algorithm algorithm; /* what answers when nobody asks for another */
    char name[32];
    int64_t as_of, trained_at, data_from, data_to; /* as_of TIME_NONE: its present */
    uint64_t rows, customers; /* pairs, customers that it was trained on */
    unsigned char row_hash[SHA256_BYTES];
    char build[96];
    struct interaction_weights weights;

    size_t items;
    int64_t *product_no;        /* items, ascending */
    float *popular, *trending;  /* items, 0 .. 1: share of the best one's score */
    float *repeat_days;         /* items: who buys it again does so after this many days (median); 0: not bought again */
    struct als_model als;       /* without users' factors */
    struct reco_rows ease;
    struct neighbours item_knn;        /* best first: similar products */
    struct neighbours item_knn_turned; /* for scores; made when loaded, not in the artifact */
    struct neighbours content;         /* best first */
    struct bought_together together;
    struct neighbours next;            /* of SEQUENCE */
    double next_decay;
    double blend[RECO_ALGORITHMS];     /* weight of each component, at most 1000; 0: not in it; BLEND's own entry is 0 */
    double blend_scale[RECO_ALGORITHMS]; /* what a component's scores are divided by before, at least 1e-9 where it has a weight */
};

/* The strongest k (at least 1) entries of each item's row of B, by absolute value, equal ones by the lower item; entries of
 * exactly 0 say nothing and are left out. With k >= items scores are ease_score's. *out is written on success only. */
enum meros_code reco_rows_of(const struct ease_model *m, size_t k, struct reco_rows *out, struct meros_err *err) MEROS_MUSTCHECK;
void reco_rows_done(struct reco_rows *t); /* takes an all-zero one */

struct recommender *recommender_new(size_t items); /* arrays of `items` zeroed; NULL: out of memory */
void recommender_free(struct recommender *r);
/* Makes what is derived (item_knn_turned) once training has filled in the rest; decoding does it by itself. */
enum meros_code recommender_finish(struct recommender *r, struct meros_err *err) MEROS_MUSTCHECK;
bool recommender_has(const struct recommender *r, enum reco_algorithm a);
size_t recommender_memory(const struct recommender *r); /* bytes */
#define RECO_NO_ITEM UINT32_MAX
uint32_t recommender_item(const struct recommender *r, int64_t product_no); /* RECO_NO_ITEM: not trained on. O(log items) */

/* A history in items of this model. The caller's memory. */
struct reco_history {
    const uint32_t *item;  /* n different ones, oldest first */
    const float *weight;   /* n, not 0 */
    size_t n;
};
/* From rows of domain/interaction.h, oldest first (items that are not known and weights of 0 are left out); item and weight have
 * room for n. */
struct reco_history recommender_history(const struct recommender *r, const struct interaction_row *rows, size_t n, uint32_t *item,
                                        float *weight);

/* scores (items) is written whole; higher is better; -INFINITY is never written: excluding is the caller's. An algorithm that the
 * model has not, or an empty history: `popular` for POPULAR, else all 0. scratch: `items` floats (BLEND needs it). Allocates nothing;
 * any number of threads. */
void recommender_score(const struct recommender *r, enum reco_algorithm a, const struct reco_history *h, float *scratch, float *scores);

/* The score of item `to` alone, as recommender_score has it but for rounding: a pair looked up for each item of the history, of ALS a
 * user's system. 0 where that writes 0. */
float recommender_score_of(const struct recommender *r, enum reco_algorithm a, const struct reco_history *h, uint32_t to);

/* Why item `to` was scored as it was: the item of the history that says the most for it by this algorithm, RECO_NO_ITEM when none
 * says anything. *out_kind: the component that spoke (BLEND: the one that gave the most); POPULAR when no item did. As cheap as
 * looking a pair up for each item of the history, but for ALS, which solves a user's system: as als_fold_in. */
uint32_t recommender_reason(const struct recommender *r, enum reco_algorithm a, const struct reco_history *h, uint32_t to,
                            enum reco_algorithm *out_kind);

/* What having had to do with each item says for item `to`, a unit of weight of it: the score of `to` is about the sum of voice times
 * weight over the history, of ALS times a factor. For finding who would want a product without scoring everybody. voice: items, 64-byte
 * aligned, written whole; scratch as above. False: this algorithm says the same to everybody, or is not there. */
bool recommender_voices(const struct recommender *r, enum reco_algorithm a, uint32_t to, float *scratch, float *voice);

/* How alike two products are, 0 .. 1: by factors, else by neighbours, else by content. For diversity (ml/mmr.h). */
float recommender_alike(const struct recommender *r, uint32_t a, uint32_t b);

#endif
