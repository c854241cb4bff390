/* What the files of "train.recommendations" share: reco_params.c (what may be asked for), reco_data.c (who had to do with what, and what is
 * held out), reco_content.c (the catalogue's texts), reco_fit.c (a component of the model from a part of the data), reco_judges.c (how well it
 * foretells what was held out), reco_search.c (settings, choice), reco_blend.c (several components as one), reco_metrics.c (what is said of
 * the outcome), reco_training.c (the model that is stored).
 *
 * Time-ordered hold-out. A customer's interactions stand oldest first. The last ones of positive weight (params.holdout of them, at
 * most half) are the test; of what is before those, likewise, the validation. What stands behind the first one held out is not looked
 * at either. Settings and algorithm are chosen by the validation, from models that saw neither part; what is reported comes from
 * models that saw all but the test; what is stored has seen everything. At most RECO_JUDGES customers, drawn by the seed, are asked
 * in each part. Everything is measured with recommender_score, by which answers are made too. */
#ifndef MEROS_RECO_TRAINING_PRIV_H
#define MEROS_RECO_TRAINING_PRIV_H

#include "meros/domain/interaction.h"
#include "meros/ml/als.h"
#include "meros/ml/interactions.h"
#include "meros/ml/item_knn.h"
#include "meros/ml/ranking_metrics.h"
#include "meros/model/recommender.h"
#include "training_priv.h"

enum { RECO_AUTO = RECO_ALGORITHMS, RECO_JUDGES = 10000, RECO_HOLDOUT_MAX = 1000, RECO_K = 10, RECO_LEFT_OUT_MAX = 300 };

/* Which parameters were given: they are kept; the others are searched for where there is a validation. */
enum {
    RECO_GIVEN_FACTORS = 1,
    RECO_GIVEN_ITERATIONS = 2,
    RECO_GIVEN_REGULARIZATION = 4,
    RECO_GIVEN_ALPHA = 8,
    RECO_GIVEN_K = 16,
    RECO_GIVEN_SHRINK = 32,
};

/* Of all algorithms that have any. */
struct reco_settings {
    struct als_params als;
    double ease_lambda;
    struct item_knn_params knn;
};

struct reco_params {
    int algorithm;                   /* enum reco_algorithm, or RECO_AUTO */
    unsigned given;                  /* RECO_GIVEN_… */
    struct reco_settings settings;   /* what was given, else defaults */
    struct interaction_weights weights;
    bool evaluate;
    int holdout;                     /* a customer's interactions held out */
    int64_t as_of;                   /* TIME_NONE: now */
    int64_t seed;
};
/* INVALID (shape) or UNPROCESSABLE (sense), with pointers from "/params" on. */
enum meros_code reco_params_read(const struct json *params, int64_t now, struct reco_params *out, struct meros_err *err) MEROS_MUSTCHECK;
void reco_params_write(const struct reco_params *p, struct jsonw *w);

/* --- reco_data.c */

struct reco_basket_line {
    int64_t order_no, customer_no, product_no, at;
};

/* What there is to learn from. Users are the customers by customer_no, items products by product_no: everything that anybody had to
 * do with and, where the catalogue has texts, all of it. User u's interactions are those from start[u] to start[u + 1], oldest first,
 * of one moment in an order drawn by the seed; weights are not 0. */
struct reco_data {
    size_t users, items, n, bytes, budget;
    size_t taken;         /* items with an interaction of positive weight */
    int64_t *customer_no; /* users */
    size_t *start;        /* users + 1 */
    size_t *valid_from, *test_from; /* users: where the parts begin; start[u + 1] where nothing is held out of u */
    uint32_t *item;       /* n */
    float *weight;        /* n */
    int64_t *at;          /* n */
    int64_t *product_no;  /* items, ascending */
    struct reco_basket_line *lines; /* by order */
    size_t n_lines, orders;
    size_t texts;         /* products with a text */
    struct neighbours content; /* of those; copied into models */
    int64_t first_at, last_at;
    size_t negative;      /* interactions below 0 */
    size_t valid_users, test_users; /* of whom something is held out */
};

enum reco_part { RECO_PART_VALIDATION, RECO_PART_TEST, RECO_PART_ALL }; /* what is learnt from: all before what it is judged by */
static inline size_t reco_data_end(const struct reco_data *d, enum reco_part part, size_t u)
{
    return part == RECO_PART_VALIDATION ? d->valid_from[u] : part == RECO_PART_TEST ? d->test_from[u] : d->start[u + 1];
}

/* What is left of the budget; at least 1, as 0 is no limit. */
static inline size_t reco_data_left(const struct reco_data *d)
{
    return d->budget > d->bytes ? d->budget - d->bytes : 1;
}

enum meros_code reco_data_read(struct reco_data *d, struct training *t, const struct reco_params *p, struct meros_err *err) MEROS_MUSTCHECK;
void reco_data_done(struct reco_data *d);
uint32_t reco_data_item(const struct reco_data *d, int64_t product_no); /* which must be there */

/* --- reco_fit.c */

/* What an algorithm reads weights as. */
enum reco_reading { RECO_READ_SIGNED, RECO_READ_POSITIVE, RECO_READ_AT_MOST_ONE };
/* (users, items) of a part and its transpose. */
struct reco_matrix {
    struct interactions by_user, by_item;
};
enum meros_code reco_matrix_build(const struct reco_data *d, enum reco_part part, enum reco_reading reading, struct reco_matrix *out,
                                  struct meros_err *err) MEROS_MUSTCHECK;
void reco_matrix_done(struct reco_matrix *m);

/* Fits component `a` of r from a part, in place of what was there; r is of d's items. */
enum meros_code reco_fit(struct recommender *r, enum reco_algorithm a, const struct reco_settings *s, const struct reco_data *d,
                         enum reco_part part, struct training_part *progress, struct meros_err *err) MEROS_MUSTCHECK;
/* What is not compared but asked for by name: trending, bought together, when things are bought again. From everything. */
enum meros_code reco_fit_rest(struct recommender *r, const struct reco_data *d, struct training_part *progress, struct meros_err *err) MEROS_MUSTCHECK;
/* Frees what component `a` has, which r then has not. */
void reco_forget(struct recommender *r, enum reco_algorithm a);
/* `to` gets what `from` has of component `a`, which `from` then has not. */
void reco_move(struct recommender *to, struct recommender *from, enum reco_algorithm a);
/* Bytes that fitting takes beside the data, at most, of the algorithms that may not fit the budget (0 of others). */
size_t reco_fit_memory(enum reco_algorithm a, const struct reco_settings *s, const struct reco_data *d, struct ml_pool *pool);

/* --- reco_search.c */

struct reco_candidate {
    bool considered, measured;       /* measured: validation (where it chose) and test */
    char left_out[RECO_LEFT_OUT_MAX]; /* why, in words, it is no part of the model either; "": it is not left out */
    struct reco_settings settings;   /* the best ones found, or given */
    int tried;                       /* settings */
    struct ranking_metrics validation, test;
    double seconds;
};

struct reco_training {
    struct training base;
    struct reco_params params;
    struct reco_data data;
    struct reco_candidate candidates[RECO_ALGORITHMS];
    enum reco_algorithm chosen;
    const char *chosen_by;           /* a word of metrics.chosen_by */
    double blend[RECO_ALGORITHMS], blend_scale[RECO_ALGORITHMS];
    struct recommender *model;
    double work, work_done;          /* what searching and fitting take, in nanoseconds of a core */
};
/* Chooses settings and algorithm and measures them: candidates, chosen, blend. */
enum meros_code reco_search(struct reco_training *t, struct meros_err *err) MEROS_MUSTCHECK;
/* A fit of `a`, or a measurement, as the next part of the job's progress. */
struct training_part reco_work(struct reco_training *t, enum reco_algorithm a, double share, const char *stage);

/* --- reco_judges.c */

/* Who is asked in a part, and what they took. */
struct reco_judges {
    const struct reco_data *data;
    enum reco_part part;
    struct interactions seen, took;
};
enum meros_code reco_judges_of(const struct reco_data *d, enum reco_part part, struct reco_judges *out, struct meros_err *err) MEROS_MUSTCHECK;
void reco_judges_done(struct reco_judges *j);
enum meros_code reco_measure(const struct recommender *r, enum reco_algorithm a, const struct reco_judges *j, struct training_part *progress,
                             struct ranking_metrics *out, struct meros_err *err) MEROS_MUSTCHECK;

/* --- reco_blend.c: the weights of r's components, from what the validation's customers took. */
enum meros_code reco_blend(struct reco_training *t, struct recommender *r, const struct reco_judges *j, struct meros_err *err) MEROS_MUSTCHECK;

/* --- reco_metrics.c */
void reco_metrics_write(const struct reco_training *t, struct jsonw *w);
void reco_settings_write(enum reco_algorithm a, const struct reco_settings *s, struct jsonw *w); /* members; none of most */

#endif
