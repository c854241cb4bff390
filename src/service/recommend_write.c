/* The answer as JSON. What differs between two askings of the same comes first (id and moment), so that the rest can be kept. */
#include "recommend_priv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include "meros/codec/json.h"

static void parts_of(const struct recommend_query *q, const struct recommend_answer *a, struct recommendation_parts *out)
{
    out->at = q->now;
    out->strategy = (uint8_t)a->strategy;
    out->experiment = a->experiment_no;
    out->arm = a->experiment_no == 0 ? 0 : a->arm < 0 ? 2 : (uint8_t)a->arm;
    out->model_no = a->model_no;
    out->n = a->n < RECOMMENDATION_PICKS_MAX ? a->n : RECOMMENDATION_PICKS_MAX;
    for (size_t i = 0; i < out->n; i++) {
        out->picks[i].product_no = a->picks[i].product_no;
        out->picks[i].by = (uint8_t)a->picks[i].by;
        out->picks[i].arm = out->arm == 2 ? a->picks[i].arm : 0;
    }
}

/* {"recommendation_id":"…","evaluated_at":"…", and room for tail_n more */
static void write_head(void *svc, const struct recommendation_parts *p, size_t tail_n, struct buf *out)
{
    char id[RECOMMENDATION_ID_MAX + 1], at[TIME_TEXT];
    recommendation_id_make(svc, p, id);
    const size_t at_n = time_format(p->at, at), id_n = strlen(id);
    if (buf_reserve(out, id_n + at_n + tail_n + 64) == NULL) return;
    buf_append(out, "{\"recommendation_id\":\"", 22);
    buf_append(out, id, id_n);
    buf_append(out, "\",\"evaluated_at\":\"", 18);
    buf_append(out, at, at_n);
    buf_append(out, "\",", 2);
}

/* Six digits: what a score of float32 is worth. */
void recommend_write_score(struct jsonw *w, double score)
{
    char text[32];
    if (isnan(score)) {
        jsonw_knull(w, "score");
        return;
    }
    const int n = snprintf(text, sizeof text, "%.6g", score);
    jsonw_kraw(w, "score", (struct str){text, (size_t)n});
}

static void write_reason(struct jsonw *w, const struct catalog *c, const struct recommend_pick *p)
{
    const uint32_t because = p->because_no != 0 ? catalog_find_no(c, p->because_no) : CATALOG_NONE;
    jsonw_key(w, "reason");
    jsonw_begin_object(w);
    jsonw_kcstr(w, "type", recommend_reason_words[p->reason]);
    if (because != CATALOG_NONE) jsonw_kstr(w, "product_id", catalog_at(c, because)->product_id);
    jsonw_end_object(w);
}

static void write_items(struct jsonw *w, struct service *svc, const struct recommend_answer *a, const struct recommend_pair *pairs)
{
    const struct catalog *c = catalog_read_begin(svc);
    jsonw_key(w, "items");
    jsonw_begin_array(w);
    for (size_t i = 0; i < a->n; i++) {
        jsonw_begin_object(w);
        jsonw_kstr(w, "product_id", catalog_at(c, a->picks[i].slot)->product_id);
        recommend_write_score(w, a->picks[i].score);
        if (pairs != NULL) {
            jsonw_knum(w, "support", pairs[i].support);
            jsonw_knum(w, "confidence", pairs[i].confidence);
            jsonw_knum(w, "lift", pairs[i].lift);
        }
        write_reason(w, c, &a->picks[i]);
        jsonw_end_object(w);
    }
    jsonw_end_array(w);
    catalog_read_end(svc);
}

static void write_fallback(struct jsonw *w, const struct recommend_answer *a)
{
    jsonw_key(w, "fallback");
    jsonw_begin_array(w);
    for (unsigned s = 0; s < RECOMMEND_STRATEGIES; s++)
        if ((a->fallback & 1u << s) != 0) jsonw_cstr(w, recommend_strategy_words[s]);
    jsonw_end_array(w);
}

void recommend_write_model(struct jsonw *w, const char *id, int version, const char *algorithm)
{
    if (id == NULL) {
        jsonw_knull(w, "model");
        return;
    }
    jsonw_key(w, "model");
    jsonw_begin_object(w);
    jsonw_kcstr(w, "id", id);
    jsonw_kint(w, "version", version);
    jsonw_kcstr(w, "algorithm", algorithm);
    jsonw_end_object(w);
}

static void write_experiment(struct jsonw *w, const struct recommend_answer *a)
{
    static const char *const arms[] = {"first", "second"};
    if (a->experiment_no == 0) {
        jsonw_knull(w, "experiment");
        return;
    }
    jsonw_key(w, "experiment");
    jsonw_begin_object(w);
    jsonw_kcstr(w, "name", a->experiment);
    jsonw_kcstr(w, "arm", a->arm < 0 ? "interleaved" : arms[a->arm]);
    jsonw_end_object(w);
}

/* What follows the head: the object is open and closed here. */
static void write_tail(struct buf *out, struct service *svc, struct str customer_id, const struct recommend_answer *a)
{
    struct jsonw w;
    jsonw_init(&w, out);
    jsonw_kstr(&w, "customer_id", customer_id);
    jsonw_kcstr(&w, "strategy", recommend_strategy_words[a->strategy]);
    jsonw_kbool(&w, "personalised", a->personalised);
    jsonw_kstr(&w, "reason_not_personalised", str_of(a->why_not));
    jsonw_kbool(&w, "stale", a->stale);
    write_fallback(&w, a);
    write_items(&w, svc, a, NULL);
    write_experiment(&w, a);
    recommend_write_model(&w, a->model_no != 0 ? a->model_id : NULL, a->model_version, a->algorithm);
    jsonw_end_object(&w);
}

void recommend_write(struct service *svc, const struct recommend_query *q, struct str customer_id, const struct recommend_answer *a,
                     struct buf *out)
{
    struct recommendation_parts parts;
    parts_of(q, a, &parts);
    write_head(svc, &parts, 0, out);
    write_tail(out, svc, customer_id, a);
}

void recommend_products_write(struct service *svc, const struct recommend_query *q, struct str product_id,
                              const struct recommend_answer *a, const struct recommend_pair *pairs, struct buf *out)
{
    struct recommendation_parts parts;
    struct jsonw w;
    parts_of(q, a, &parts);
    write_head(svc, &parts, 0, out);
    jsonw_init(&w, out);
    if (str_present(product_id)) jsonw_kstr(&w, "product_id", product_id);
    jsonw_kcstr(&w, "strategy", recommend_strategy_words[a->strategy]);
    write_fallback(&w, a);
    write_items(&w, svc, a, pairs);
    recommend_write_model(&w, a->model_no != 0 ? a->model_id : NULL, a->model_version, a->algorithm);
    jsonw_end_object(&w);
}

void recommend_rank_write(struct str customer_id, const struct recommend_answer *a, const struct recommend_ranked *products,
                          const struct str *product_ids, size_t n, struct buf *out)
{
    struct jsonw w;
    jsonw_init(&w, out);
    jsonw_begin_object(&w);
    jsonw_kstr(&w, "customer_id", customer_id);
    jsonw_kcstr(&w, "strategy", recommend_strategy_words[a->strategy]);
    jsonw_kbool(&w, "personalised", a->personalised);
    jsonw_kstr(&w, "reason_not_personalised", str_of(a->why_not));
    jsonw_kbool(&w, "stale", a->stale);
    jsonw_key(&w, "items");
    jsonw_begin_array(&w);
    for (size_t i = 0; i < n; i++) {
        jsonw_begin_object(&w);
        jsonw_kstr(&w, "product_id", product_ids[products[i].place]);
        recommend_write_score(&w, products[i].score);
        jsonw_end_object(&w);
    }
    jsonw_end_array(&w);
    recommend_write_model(&w, a->model_no != 0 ? a->model_id : NULL, a->model_version, a->algorithm);
    jsonw_end_object(&w);
}

/* What the kept answer must have been made from to be right now. */
static struct recommend_of present(struct service *svc)
{
    struct recommend_of of = {.rules_version = reco_rules_version(svc), .catalog_version = catalog_version(svc)};
    const struct snapshot *s = snapshot_acquire(svc->recommending->models);
    of.model_no = s->recommender != NULL ? s->recommender->model_no : 0;
    snapshot_release(s);
    return of;
}

enum meros_code recommend_json(struct service *svc, const struct recommend_query *q, struct str customer_id, const struct shelf *shelf,
                               const struct recommend_recent *recent, size_t n_recent, struct arena *arena, struct buf *out,
                               struct meros_err *err)
{
    char key[RECOMMEND_KEY_MAX];
    struct recommendation_parts parts;
    struct recommend_answer a;
    const bool plain = shelf != NULL && shelf->known && n_recent == 0 && q->why_not == NULL;
    const size_t key_n = plain ? reco_query_key(q, customer_id, key) : 0;
    if (key_n > 0) {
        const struct recommend_of of = present(svc);
        if (reco_kept_answer(shelf, &of, q->now, key, key_n, &parts, write_head, svc, out)) return MEROS_OK;
    }
    enum meros_code rc = recommend(svc, q, customer_id, shelf, recent, n_recent, arena, &a, err);
    if (rc != MEROS_OK) return rc;
    parts_of(q, &a, &parts);
    write_head(svc, &parts, 0, out);
    const size_t from = out->len;
    write_tail(out, svc, customer_id, &a);
    if (out->failed) return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for the answer.");
    if (key_n > 0) reco_keep_answer(shelf, &a.of, a.valid_until, key, key_n, &parts, out->data + from, out->len - from);
    return MEROS_OK;
}
