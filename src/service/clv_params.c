/* What train.clv may be asked for. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "clv_training_priv.h"
#include "meros/base/clock.h"

enum { MODEL_AUTO = CLV_KINDS, MODEL_SBG };
static const char *const model_words[] = {"bgnbd", "mbgnbd", "paretonbd", "auto", "sbg", NULL}; /* enum clv_kind, and two more */
static const char *const value_words[] = {"gamma_gamma", NULL};
static const char *const unit_words[] = {"day", "week", NULL}; /* enum clv_unit */

/* A fault of sense, 422: only reported where there was none of shape. */
static void no_sense(struct meros_err *err, const char *pointer, const char *detail)
{
    if (err->code == MEROS_OK) err_set(err, MEROS_UNPROCESSABLE, "The parameters make no sense together; see `errors`.");
    err_field(err, pointer, "%s", detail);
}

static void item_fault(struct json_obj *o, const char *list, size_t i, const char *what)
{
    char pointer[ERR_POINTER_MAX];
    snprintf(pointer, sizeof pointer, "/params/%s/%zu", list, i);
    err_field(o->err, pointer, "%s", what);
    o->failed = true;
}

static void read_covariates(struct json_obj *o, struct clv_params *out)
{
    const struct json *list = json_obj_array(o, "covariates", JSON_OPTIONAL, CLV_COVARIATES_MAX);
    for (size_t i = 0; i < json_count(list) && out->n_covariates < CLV_COVARIATES_MAX; i++) {
        const struct str name = json_str(json_at(list, i));
        if (!str_present(name) || name.n == 0) {
            item_fault(o, "covariates", i, "must be the name of an attribute");
            continue;
        }
        for (size_t before = 0; before < out->n_covariates; before++)
            if (str_eq(out->covariates[before], name)) item_fault(o, "covariates", i, "is named twice");
        out->covariates[out->n_covariates++] = name;
    }
}

/* [{"survivors": [1000, 631, 468, …]}, …]: how many there were at first, and after each period. */
static void check_cohort(struct json_obj *o, const struct json *cohort, size_t i)
{
    const struct json *list = json_get(cohort, "survivors");
    const void *at = NULL;
    struct str name;
    const struct json *v;
    double before = INFINITY;
    while (json_next(cohort, &at, &name, &v))
        if (!str_is(name, "survivors")) item_fault(o, "cohorts", i, "may have no member but `survivors`");
    if (list == NULL || json_count(list) < 2 || json_count(list) > PERIODS_MAX + 1) {
        item_fault(o, "cohorts", i, "must have `survivors`: how many there were at first and after each period, 2 to 601 numbers");
        return;
    }
    for (size_t k = 0; k < json_count(list); k++) {
        const struct json *n = json_at(list, k);
        const double value = json_num(n);
        if (!(value >= 0 && value <= 1e12) || value > before) {
            item_fault(o, "cohorts", i, "has survivors that are no numbers from 0 on, or become more");
            return;
        }
        before = value;
    }
    if (json_num(json_at(list, 0)) <= 0) item_fault(o, "cohorts", i, "begins with nobody");
}

static void read_contract(struct json_obj *o, struct clv_params *out)
{
    out->cohorts = json_obj_array(o, "cohorts", JSON_OPTIONAL, COHORTS_MAX);
    for (size_t i = 0; i < json_count(out->cohorts); i++) check_cohort(o, json_at(out->cohorts, i), i);
    const struct json *attributes = json_obj_object(o, "contract", JSON_OPTIONAL);
    if (attributes != NULL) {
        struct json_obj c;
        struct meros_err faults = MEROS_ERR_INIT;
        json_obj_begin(&c, attributes, "/params/contract", &faults);
        out->start = json_obj_str(&c, "start", JSON_REQUIRED, 1024);
        out->end = json_obj_str(&c, "end", JSON_REQUIRED, 1024);
        if (json_obj_end(&c) != MEROS_OK)
            json_obj_fault(o, "contract", "must name two attributes: {\"start\": …, \"end\": …}; of what a contract begins and ends with");
    }
    out->period_days = json_obj_num(o, "period_days", JSON_OPTIONAL, 1, 3653, 365.25);
    out->discount_rate = json_obj_num(o, "discount_rate", JSON_OPTIONAL, 0, 10, 0.1);
}

static void check_contract(const struct json *params, const struct clv_params *p, struct meros_err *err)
{
    static const char *const others[] = {"value_model", "penalty", "time_unit", "holdout_days", "covariates"};
    char pointer[64];
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (json_get(params, others[i]) == NULL) continue;
        snprintf(pointer, sizeof pointer, "/params/%s", others[i]);
        no_sense(err, pointer, "does not go with \"sbg\"");
    }
    if (json_count(p->cohorts) == 0 && !str_present(p->start))
        no_sense(err, "/params/cohorts",
                 "is needed for \"sbg\": counts of survivors by period; or `contract`, naming the attributes in which customers have "
                 "the start and the end of their contract");
    if (json_count(p->cohorts) > 0 && str_present(p->start))
        no_sense(err, "/params/contract", "does not go with `cohorts`; say one of the two");
}

static void check_shop(const struct json *params, const struct clv_params *p, struct meros_err *err)
{
    static const char *const others[] = {"cohorts", "contract", "period_days", "discount_rate"};
    char pointer[64];
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (json_get(params, others[i]) == NULL) continue;
        snprintf(pointer, sizeof pointer, "/params/%s", others[i]);
        no_sense(err, pointer, "belongs to the model \"sbg\"");
    }
    (void)p;
}

enum meros_code clv_params_read(const struct json *params, int64_t now, struct clv_params *out, struct meros_err *err)
{
    struct meros_err faults = MEROS_ERR_INIT; /* err may be NULL; and it is judged in two steps */
    struct clv_params p = {.as_of = TIME_NONE};
    struct json_obj o;
    json_obj_begin(&o, params, "/params", &faults);
    const int model = json_obj_enum(&o, "model", JSON_OPTIONAL, model_words, CLV_BGNBD);
    p.automatic = model == MODEL_AUTO;
    p.contract = model == MODEL_SBG;
    p.kind = model < CLV_KINDS ? (enum clv_kind)model : CLV_BGNBD;
    (void)json_obj_enum(&o, "value_model", JSON_OPTIONAL, value_words, 0);
    p.unit = (enum clv_unit)json_obj_enum(&o, "time_unit", JSON_OPTIONAL, unit_words, CLV_DAY);
    p.penalty = json_obj_num(&o, "penalty", JSON_OPTIONAL, 0, 1000, 0);
    p.as_of = json_obj_time(&o, "as_of", JSON_OPTIONAL | JSON_NULLABLE, TIME_NONE);
    p.holdout_days = (int)json_obj_int(&o, "holdout_days", JSON_OPTIONAL, 1, HOLDOUT_MAX_DAYS, 0);
    read_covariates(&o, &p);
    read_contract(&o, &p);
    enum meros_code rc = json_obj_end(&o);
    if (rc == MEROS_OK) {
        if (p.as_of != TIME_NONE && p.as_of > now + TIME_DAY) no_sense(&faults, "/params/as_of", "lies in the future");
        if (p.contract) check_contract(params, &p, &faults);
        else check_shop(params, &p, &faults);
        rc = faults.code;
    }
    if (rc == MEROS_OK) *out = p;
    else if (err != NULL) *err = faults;
    return rc;
}

static void write_contract(const struct clv_params *p, struct jsonw *w)
{
    jsonw_knum(w, "period_days", p->period_days);
    jsonw_knum(w, "discount_rate", p->discount_rate);
    if (p->cohorts != NULL) {
        jsonw_key(w, "cohorts");
        jsonw_value(w, p->cohorts);
    } else {
        jsonw_key(w, "contract");
        jsonw_begin_object(w);
        jsonw_kstr(w, "start", p->start);
        jsonw_kstr(w, "end", p->end);
        jsonw_end_object(w);
    }
}

void clv_params_write(const struct clv_params *p, struct jsonw *w)
{
    jsonw_begin_object(w);
    jsonw_kcstr(w, "model", p->contract ? "sbg" : p->automatic ? "auto" : clv_kind_name(p->kind));
    if (p->contract) {
        write_contract(p, w);
    } else {
        jsonw_kcstr(w, "value_model", value_words[0]);
        jsonw_kcstr(w, "time_unit", clv_unit_name(p->unit));
        jsonw_knum(w, "penalty", p->penalty);
        if (p->holdout_days > 0) jsonw_kint(w, "holdout_days", p->holdout_days);
        if (p->n_covariates > 0) {
            jsonw_key(w, "covariates");
            jsonw_begin_array(w);
            for (size_t i = 0; i < p->n_covariates; i++) jsonw_str(w, p->covariates[i]);
            jsonw_end_array(w);
        }
    }
    jsonw_ktime(w, "as_of", p->as_of);
    jsonw_end_object(w);
}
