#include <math.h>

#include "meros/codec/json.h"
#include "meros/service/clv_population.h"
#include "clv_priv.h"
#include "serving_priv.h"

/* Rounded to what a float knows: seven digits. */
static void write_ratio(struct jsonw *w, const char *name, float value)
{
    const double unit = fabsf(value) < 10 ? 1e6 : 1e4;
    if (isnan(value)) jsonw_knull(w, name);
    else jsonw_knum(w, name, round((double)value * unit) / unit);
}

static void write_events(struct jsonw *w, const struct customer_stats *s, const float raw[FEATURE_COUNT])
{
    jsonw_key(w, "events");
    jsonw_begin_object(w);
    for (int k = 0; k < EVENT_KIND_COUNT; k++) {
        if (s->events[k].count == 0) continue;
        jsonw_key(w, event_kind_name((enum event_kind)k));
        jsonw_begin_object(w);
        jsonw_kint(w, "count", s->events[k].count);
        write_ratio(w, "recent", raw[FEATURE_ENGAGEMENT_FIRST + k]);
        jsonw_end_object(w);
    }
    jsonw_end_object(w);
}

static void write_stats(struct jsonw *w, const struct customer_stats *s, int64_t at, double half_life_days)
{
    float raw[FEATURE_COUNT];
    features_compute(s, at, half_life_days, raw);
    jsonw_begin_object(w);
    jsonw_kint(w, "orders", s->orders);
    jsonw_kint(w, "returns", s->returns);
    jsonw_kmoney(w, "revenue", s->revenue);
    jsonw_kmoney(w, "gross_revenue", s->gross_revenue);
    jsonw_kmoney(w, "returned_amount", s->returned_amount);
    if (s->orders == 0) jsonw_knull(w, "average_order_value");
    else jsonw_kmoney(w, "average_order_value", s->revenue / (double)s->orders);
    jsonw_knum(w, "units", s->units);
    jsonw_kint(w, "products", s->products);
    write_ratio(w, "recency_days", raw[FEATURE_RECENCY]);
    write_ratio(w, "tenure_days", raw[FEATURE_TENURE]);
    write_ratio(w, "interpurchase_days", raw[FEATURE_INTERPURCHASE]);
    write_ratio(w, "return_rate", raw[FEATURE_RETURN_RATE]);
    write_ratio(w, "engagement", raw[FEATURE_ENGAGEMENT]);
    jsonw_ktime(w, "first_order_at", s->first_order_at);
    jsonw_ktime(w, "last_order_at", s->last_order_at);
    jsonw_ktime(w, "last_seen_at", s->last_seen_at);
    write_events(w, s, raw);
    jsonw_end_object(w);
}

static void write_segment(struct jsonw *w, const struct snapshot_model *m, const struct customer_stats *s,
                          const struct json *attributes, const struct stored_membership *stored, double worth, int64_t asked, int64_t now)
{
    const struct segment_model *model = m->model;
    const int64_t at = asked != TIME_NONE ? asked : segment_model_moment(model, s, now);
    float raw[FEATURE_COUNT];
    features_compute(s, at, model->half_life_days, raw);
    struct prep_values values;
    if (segment_model_needs_attributes(model)) prep_read_json(&model->prep, attributes, &values);
    const struct segment_name *segment = &model->segments[segment_model_assign(model, raw, &values, worth)];
    while (stored != NULL && !str_is(stored->segmentation, model->name)) stored = stored->next;
    /* Stored memberships lag behind; where they agree they know since when. */
    const bool same = stored != NULL && str_is(stored->segment_id, segment->id) && stored->since <= at;

    jsonw_key(w, model->name);
    jsonw_begin_object(w);
    jsonw_kcstr(w, "id", segment->id);
    jsonw_kcstr(w, "label", segment->label);
    jsonw_ktime(w, "since", same ? stored->since : at);
    jsonw_ktime(w, "evaluated_at", at);
    if (model->method == SEGMENT_RFM) {
        const struct rfm_scores scores = rfm_score(&model->cuts, raw);
        jsonw_key(w, "rfm");
        jsonw_begin_object(w);
        const struct {
            const char *name;
            int score;
        } parts[] = {{"recency", scores.r}, {"frequency", scores.f}, {"monetary", scores.m}};
        for (size_t i = 0; i < 3; i++) {
            if (parts[i].score == 0) jsonw_knull(w, parts[i].name);
            else jsonw_kint(w, parts[i].name, parts[i].score);
        }
        jsonw_end_object(w);
    }
    jsonw_key(w, "model");
    jsonw_begin_object(w);
    jsonw_kcstr(w, "id", m->id);
    jsonw_kint(w, "version", m->version);
    jsonw_end_object(w);
    jsonw_end_object(w);
}

/* The members of what the customer will be worth. */
static void write_value(struct jsonw *w, const struct serving_view *v, const struct clv_ask *ask, bool full)
{
    const struct trained_clv *m = v->models->clv->model;
    const struct customer_purchases *p = v->purchases;
    const struct purchase_history history = purchase_history_of(p->days, p->n, trained_clv_day(m, p->days, p->n, v->at, v->now));
    double covariates[CLV_COVARIATES_MAX];
    trained_clv_covariates(m, v->attributes, covariates);
    int64_t moment = v->at != TIME_NONE ? v->at : v->now;
    if (v->at == TIME_NONE && m->as_of != TIME_NONE)
        moment = history.end > day_of_time(m->as_of) ? (int64_t)history.end * TIME_DAY : m->as_of;
    clv_write(w, v->models->clv, ask, &history, covariates, moment, full);
}

/* For tiers of value; NaN: nothing bought. */
static double worth_of(const struct serving_view *v)
{
    const struct trained_clv *m = v->models->clv->model;
    const struct customer_purchases *p = v->purchases;
    struct clv_judged judged = {.history = purchase_history_of(p->days, p->n, trained_clv_day(m, p->days, p->n, v->at, v->now))};
    struct clv_answer a;
    if (!judged.history.any) return NAN;
    trained_clv_covariates(m, v->attributes, judged.covariates);
    clv_judge_score(m, &(struct clv_question){CLV_HORIZON_DAYS, CLV_DISCOUNT_RATE, 0}, &judged, &a);
    return clv_row_of(v->state->stats.customer_no, &a, v->now).worth;
}

void serving_write_clv(struct buf *out, const struct serving_view *v, const struct clv_ask *ask)
{
    struct jsonw w;
    jsonw_init(&w, out);
    jsonw_begin_object(&w);
    jsonw_kstr(&w, "customer_id", v->state->customer_id);
    write_value(&w, v, ask, true);
    jsonw_end_object(&w);
}

void serving_write_customer(struct buf *out, const struct serving_view *v)
{
    static const struct clv_ask usual = {CLV_HORIZON_DAYS, CLV_DISCOUNT_RATE, 0, false};
    const struct customer_state *state = v->state;
    const int64_t moment = v->at == TIME_NONE ? v->now : v->at;
    struct jsonw w;
    jsonw_init(&w, out);
    jsonw_begin_object(&w);
    jsonw_kstr(&w, "customer_id", state->customer_id);
    jsonw_ktime(&w, "created_at", state->created_at);
    jsonw_kstr(&w, "email", state->email);
    jsonw_kstr(&w, "name", state->name);
    jsonw_kstr(&w, "phone", state->phone);
    jsonw_kraw(&w, "attributes", state->attributes);
    jsonw_kraw(&w, "consent", state->consent);
    jsonw_key(&w, "stats");
    write_stats(&w, &state->stats, moment, v->half_life_days);
    jsonw_key(&w, "segments");
    jsonw_begin_object(&w);
    double worth = NAN;
    bool valued = false; /* worth is known: asked for by the first segmentation that needs it */
    for (size_t i = 0; i < v->models->n_models; i++) {
        const struct snapshot_model *m = &v->models->models[i];
        if (m->model->method == SEGMENT_VALUE) {
            if (v->models->clv == NULL) continue; /* its artifact cannot be read: where somebody is cannot be told */
            if (!valued) worth = worth_of(v);
            valued = true;
        }
        write_segment(&w, m, &state->stats, v->attributes, v->memberships, worth, v->at, v->now);
    }
    jsonw_end_object(&w);
    jsonw_key(&w, "clv");
    if (v->models->clv == NULL) {
        jsonw_null(&w);
    } else {
        jsonw_begin_object(&w);
        write_value(&w, v, &usual, false);
        jsonw_end_object(&w);
    }
    jsonw_key(&w, "scores"); /* empty until models of these kinds are trained */
    jsonw_begin_object(&w);
    jsonw_end_object(&w);
    jsonw_key(&w, "audiences");
    if (v->audiences == NULL) jsonw_null(&w);
    else audience_names_write(&w, v->audiences, v->subject);
    jsonw_ktime(&w, "evaluated_at", moment);
    jsonw_end_object(&w);
}
