/* What train.recommendations may be asked for. */
#include <stdio.h>
#include <string.h>

#include "meros/base/clock.h"
#include "reco_training_priv.h"

/* enum reco_algorithm, and RECO_AUTO */
static const char *const words[] = {"popular", "content", "item_knn", "ease", "als", "sequence", "blend", "auto", NULL};

/* Weights of binary data whose rows have some hundred entries at most: about a tenth of what an item of some popularity has. */
#define EASE_LAMBDA_DEFAULT 500

/* A fault of sense, 422: only reported where there was none of shape. */
static void no_sense(struct meros_err *err, const char *pointer, const char *detail)
{
    if (err->code == MEROS_OK) err_set(err, MEROS_UNPROCESSABLE, "The parameters make no sense together; see `errors`.");
    err_field(err, pointer, "%s", detail);
}

static void weight_fault(struct json_obj *o, struct str type, const char *what)
{
    char pointer[ERR_POINTER_MAX];
    const int n = type.n > 60 ? (int)utf8_cut(type.p, 60) : (int)type.n;
    snprintf(pointer, sizeof pointer, "/params/weights/%.*s", n, type.p);
    err_field(o->err, pointer, "%s", what);
    o->failed = true;
}

/* {"product_viewed": 1, …, "purchase": 5, "returned": -5, "other": 1}: what is not said stays as it is by default. */
static void read_weights(struct json_obj *o, struct interaction_weights *out)
{
    const struct json *given = json_obj_object(o, "weights", JSON_OPTIONAL), *v;
    const void *at = NULL;
    struct str type;
    while (given != NULL && json_next(given, &at, &type, &v)) {
        const double weight = json_num(v);
        if (!(weight >= -100 && weight <= 100)) {
            weight_fault(o, type, "must be a number from -100 to 100");
            continue;
        }
        if (str_is(type, "purchase")) out->purchase = weight;
        else if (str_is(type, "returned")) out->returned = weight;
        else if (str_is(type, "other")) out->other = weight;
        else if (str_is(type, "recommendation_shown")) weight_fault(o, type, "weighs nothing: it is what the shop did, not what the customer did");
        else if (!interaction_weights_put(out, type, weight))
            weight_fault(o, type, "must be a type of events of at most 100 bytes, of which at most 64 have a weight of their own");
    }
}

static bool given(const struct json *params, const char *name)
{
    return json_get(params, name) != NULL;
}

/* What belongs to some algorithms only; `auto` and `blend` find it themselves. */
static void check_belongs(const struct json *params, const struct reco_params *p, struct meros_err *err)
{
    static const struct {
        const char *name;
        unsigned algorithms; /* bits */
        const char *what;
    } belongs[] = {
        {"factors", 1u << RECO_ALS, "belongs to \"als\"; \"auto\" and \"blend\" find it themselves"},
        {"iterations", 1u << RECO_ALS, "belongs to \"als\""},
        {"alpha", 1u << RECO_ALS, "belongs to \"als\"; \"auto\" and \"blend\" find it themselves"},
        {"regularization", 1u << RECO_ALS | 1u << RECO_EASE, "belongs to \"als\" and \"ease\"; \"auto\" and \"blend\" find it themselves"},
        {"k", 1u << RECO_ITEM_KNN, "belongs to \"item_knn\"; \"auto\" and \"blend\" find it themselves"},
        {"shrink", 1u << RECO_ITEM_KNN, "belongs to \"item_knn\"; \"auto\" and \"blend\" find it themselves"},
    };
    char pointer[64];
    for (size_t i = 0; i < sizeof belongs / sizeof belongs[0]; i++) {
        if (!given(params, belongs[i].name) || (belongs[i].algorithms >> p->algorithm & 1) != 0) continue;
        snprintf(pointer, sizeof pointer, "/params/%s", belongs[i].name);
        no_sense(err, pointer, belongs[i].what);
    }
}

static void check_sense(const struct json *params, const struct reco_params *p, int64_t now, struct meros_err *err)
{
    check_belongs(params, p, err);
    if (p->as_of != TIME_NONE && p->as_of > now + TIME_DAY) no_sense(err, "/params/as_of", "lies in the future");
    if (!p->evaluate && (p->algorithm == RECO_AUTO || p->algorithm == RECO_BLEND))
        no_sense(err, "/params/evaluate", "cannot be false here: \"auto\" and \"blend\" learn from what is held out; name another algorithm");
    if (!p->evaluate && given(params, "holdout")) no_sense(err, "/params/holdout", "goes with `evaluate`");
}

enum meros_code reco_params_read(const struct json *params, int64_t now, struct reco_params *out, struct meros_err *err)
{
    static const char *const names[] = {"factors", "iterations", "regularization", "alpha", "k", "shrink"}; /* RECO_GIVEN_… */
    struct meros_err faults = MEROS_ERR_INIT; /* err may be NULL; and it is judged in two steps */
    struct reco_params p = {.settings = {.als = ALS_PARAMS_DEFAULT, .ease_lambda = EASE_LAMBDA_DEFAULT, .knn = ITEM_KNN_PARAMS_DEFAULT},
                            .weights = interaction_weights_default};
    struct json_obj o;
    json_obj_begin(&o, params, "/params", &faults);
    p.algorithm = json_obj_enum(&o, "algorithm", JSON_OPTIONAL, words, RECO_AUTO);
    p.settings.als.factors = (int)json_obj_int(&o, "factors", JSON_OPTIONAL, 1, ALS_FACTORS_MAX, p.settings.als.factors);
    p.settings.als.iterations = (int)json_obj_int(&o, "iterations", JSON_OPTIONAL, 1, 1000, p.settings.als.iterations);
    p.settings.als.alpha = json_obj_num(&o, "alpha", JSON_OPTIONAL, 0, 1e6, p.settings.als.alpha);
    const double lambda = json_obj_num(&o, "regularization", JSON_OPTIONAL, 1e-6, 1e9, 0);
    if (lambda > 0) p.settings.als.lambda = p.settings.ease_lambda = lambda;
    p.settings.knn.k = (int)json_obj_int(&o, "k", JSON_OPTIONAL, 1, NEIGHBOURS_MAX, p.settings.knn.k);
    p.settings.knn.shrink = json_obj_num(&o, "shrink", JSON_OPTIONAL, 0, 1e9, p.settings.knn.shrink);
    p.weights.half_life_days = json_obj_num(&o, "half_life_days", JSON_OPTIONAL, 0, 36500, 0);
    read_weights(&o, &p.weights);
    p.evaluate = json_obj_bool(&o, "evaluate", JSON_OPTIONAL, true);
    p.holdout = (int)json_obj_int(&o, "holdout", JSON_OPTIONAL, 1, RECO_HOLDOUT_MAX, 1);
    p.seed = json_obj_int(&o, "seed", JSON_OPTIONAL, 0, INT64_MAX, 0);
    p.as_of = json_obj_time(&o, "as_of", JSON_OPTIONAL | JSON_NULLABLE, TIME_NONE);
    p.settings.als.seed = (uint64_t)p.seed;
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        if (given(params, names[i])) p.given |= 1u << i;
    enum meros_code rc = json_obj_end(&o);
    if (rc == MEROS_OK) {
        check_sense(params, &p, now, &faults);
        rc = faults.code;
    }
    if (rc == MEROS_OK) *out = p;
    else if (err != NULL) *err = faults;
    return rc;
}

void reco_params_write(const struct reco_params *p, struct jsonw *w)
{
    jsonw_begin_object(w);
    jsonw_kcstr(w, "algorithm", words[p->algorithm]);
    if (p->given & RECO_GIVEN_FACTORS) jsonw_kint(w, "factors", p->settings.als.factors);
    if (p->given & RECO_GIVEN_ITERATIONS) jsonw_kint(w, "iterations", p->settings.als.iterations);
    if (p->given & RECO_GIVEN_REGULARIZATION) jsonw_knum(w, "regularization", p->settings.ease_lambda);
    if (p->given & RECO_GIVEN_ALPHA) jsonw_knum(w, "alpha", p->settings.als.alpha);
    if (p->given & RECO_GIVEN_K) jsonw_kint(w, "k", p->settings.knn.k);
    if (p->given & RECO_GIVEN_SHRINK) jsonw_knum(w, "shrink", p->settings.knn.shrink);
    jsonw_knum(w, "half_life_days", p->weights.half_life_days);
    jsonw_key(w, "weights");
    jsonw_begin_object(w);
    for (size_t i = 0; i < p->weights.n; i++)
        if (strcmp(p->weights.type[i], "recommendation_shown") != 0) jsonw_knum(w, p->weights.type[i], p->weights.weight[i]);
    jsonw_knum(w, "purchase", p->weights.purchase);
    jsonw_knum(w, "returned", p->weights.returned);
    jsonw_knum(w, "other", p->weights.other);
    jsonw_end_object(w);
    jsonw_kbool(w, "evaluate", p->evaluate);
    if (p->evaluate) jsonw_kint(w, "holdout", p->holdout);
    jsonw_kint(w, "seed", p->seed);
    jsonw_ktime(w, "as_of", p->as_of);
    jsonw_end_object(w);
}
