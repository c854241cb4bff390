/* What train.segments may be asked for. */
#include <stdio.h>
#include <string.h>

#include "meros/service/segment_training.h"

/* Every word of the contract is known here; those that this version cannot do are refused with what it can do. */
static const char *const method_words[] = {"kmeans", "rfm", "value", "hierarchical", "dbscan", "hdbscan", NULL};
enum { METHODS_HERE = SEGMENT_METHOD_COUNT };

/* A fault of sense, 422: only reported where there was none of shape. */
static void no_sense(struct meros_err *err, const char *pointer, const char *detail)
{
    if (err->code == MEROS_OK) err_set(err, MEROS_UNPROCESSABLE, "The parameters make no sense together; see `errors`.");
    err_field(err, pointer, "%s", detail);
}

static void read_k(struct json_obj *o, struct segment_params *out)
{
    const struct json *k = json_obj_any(o, "k", JSON_OPTIONAL);
    if (k == NULL || str_is(json_str(k), "auto")) return;
    if (!json_is_int(k) || json_int(k) < 1 || json_int(k) > SEGMENTS_MAX)
        json_obj_fault(o, "k", "must be \"auto\" or a whole number from 1 to %d", SEGMENTS_MAX);
    else
        out->k = (int)json_int(k);
}

static void feature_fault(struct json_obj *o, size_t i, const char *what)
{
    char pointer[ERR_POINTER_MAX];
    snprintf(pointer, sizeof pointer, "/params/features/%zu", i);
    err_field(o->err, pointer, "%s", what);
    o->failed = true;
}

static void read_features(struct json_obj *o, struct segment_params *out)
{
    const struct json *list = json_obj_array(o, "features", JSON_OPTIONAL, TRAIN_FEATURES_MAX);
    for (size_t i = 0; i < json_count(list); i++) {
        struct str name = json_str(json_at(list, i));
        if (!str_present(name)) {
            feature_fault(o, i, "must be the name of a feature");
            continue;
        }
        for (size_t before = 0; before < out->n_features; before++)
            if (str_eq(out->features[before], name)) feature_fault(o, i, "is named twice");
        out->features[out->n_features++] = name;
    }
    if (list != NULL && json_count(list) == 0) json_obj_fault(o, "features", "must name at least one feature; leave it out for all");
}

static void check_features(const struct segment_params *p, struct meros_err *err)
{
    for (size_t i = 0; i < p->n_features; i++) {
        if (prep_feature_known(p->features[i])) continue;
        char pointer[ERR_POINTER_MAX];
        snprintf(pointer, sizeof pointer, "/params/features/%zu", i);
        no_sense(err, pointer,
                 "is no feature; there are recency_days, frequency, monetary, average_order_value, tenure_days, "
                 "interpurchase_days, basket_size, …, engagement, \"attributes\" and \"attributes.<name>\"");
    }
}

/* Parameters of the contract that belong to methods which are not available here. */
static void refuse_others(struct json_obj *o, bool present[4])
{
    static const char *const others[] = {"linkage", "eps", "min_samples", "reduce"};
    for (size_t i = 0; i < 4; i++) present[i] = json_obj_any(o, others[i], JSON_OPTIONAL) != NULL;
}

static void check_sense(const struct segment_params *p, int method, const struct json *params, const bool others[4],
                        int64_t now, struct meros_err *err)
{
    if (method >= METHODS_HERE) no_sense(err, "/params/method", "is not available here; available are \"kmeans\", \"rfm\" and \"value\"");
    if (others[0]) no_sense(err, "/params/linkage", "belongs to the method \"hierarchical\", which is not available here");
    if (others[1]) no_sense(err, "/params/eps", "belongs to the method \"dbscan\", which is not available here");
    if (others[2]) no_sense(err, "/params/min_samples", "belongs to density methods, which are not available here");
    if (others[3]) no_sense(err, "/params/reduce", "is not available here; leave it out");
    if (method == SEGMENT_RFM) {
        if (json_get(params, "k") != NULL) no_sense(err, "/params/k", "does not go with \"rfm\", which has its own groups");
        if (p->n_features > 0) no_sense(err, "/params/features", "does not go with \"rfm\", which looks at recency, frequency and monetary value");
        if (json_get(params, "scaling") != NULL) no_sense(err, "/params/scaling", "does not go with \"rfm\", which scores by quintile");
    }
    if (method == SEGMENT_VALUE) {
        if (p->k >= SEGMENTS_MAX) no_sense(err, "/params/k", "is too much for \"value\", which has a group more for those who have bought nothing");
        if (p->n_features > 0) no_sense(err, "/params/features", "does not go with \"value\", which looks at predicted lifetime value");
        if (json_get(params, "scaling") != NULL) no_sense(err, "/params/scaling", "does not go with \"value\", which looks at one number");
    }
    if (p->as_of != TIME_NONE && p->as_of > now + TIME_DAY) no_sense(err, "/params/as_of", "lies in the future");
    check_features(p, err);
}

enum meros_code segment_params_read(const struct json *params, int64_t now, struct segment_params *out, struct meros_err *err)
{
    struct meros_err faults = MEROS_ERR_INIT; /* err may be NULL; and it is judged in two steps */
    struct segment_params p = {.name = STR("behaviour"), .as_of = TIME_NONE};
    struct json_obj o;
    json_obj_begin(&o, params, "/params", &faults);
    struct str name = json_obj_str(&o, "name", JSON_OPTIONAL, 1024);
    if (str_present(name)) p.name = name;
    if (!segmentation_name_valid(p.name))
        json_obj_fault(&o, "name", "must be 1 to %d letters, digits, \"-\" or \"_\"", SEGMENTATION_NAME_MAX);
    const int method = json_obj_enum(&o, "method", JSON_OPTIONAL, method_words, SEGMENT_KMEANS);
    p.method = method < METHODS_HERE ? (enum segment_method)method : SEGMENT_KMEANS;
    read_k(&o, &p);
    read_features(&o, &p);
    p.scaling = (enum prep_scaling)json_obj_enum(&o, "scaling", JSON_OPTIONAL, prep_scaling_words, SCALING_STANDARD);
    p.seed = json_obj_int(&o, "seed", JSON_OPTIONAL, 0, INT64_MAX, 0);
    p.as_of = json_obj_time(&o, "as_of", JSON_OPTIONAL | JSON_NULLABLE, TIME_NONE);
    bool others[4];
    refuse_others(&o, others);
    enum meros_code rc = json_obj_end(&o);
    if (rc == MEROS_OK) {
        check_sense(&p, method, params, others, now, &faults);
        rc = faults.code;
    }
    if (rc == MEROS_OK) *out = p;
    else if (err != NULL) *err = faults;
    return rc;
}

void segment_params_write(const struct segment_params *p, struct jsonw *w)
{
    jsonw_begin_object(w);
    jsonw_kstr(w, "name", p->name);
    jsonw_kcstr(w, "method", segment_method_words[p->method]);
    if (p->method == SEGMENT_KMEANS || p->method == SEGMENT_VALUE) {
        if (p->k == 0) jsonw_kcstr(w, "k", "auto");
        else jsonw_kint(w, "k", p->k);
    }
    if (p->method == SEGMENT_KMEANS) {
        if (p->n_features > 0) {
            jsonw_key(w, "features");
            jsonw_begin_array(w);
            for (size_t i = 0; i < p->n_features; i++) jsonw_str(w, p->features[i]);
            jsonw_end_array(w);
        }
        jsonw_kcstr(w, "scaling", prep_scaling_words[p->scaling]);
    }
    if (p->method != SEGMENT_RFM) jsonw_kint(w, "seed", p->seed);
    jsonw_ktime(w, "as_of", p->as_of);
    jsonw_end_object(w);
}
