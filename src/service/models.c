#include "meros/service/models.h"

#include <stdio.h>

#include "clv_active_priv.h"
#include "meros/base/clock.h"
#include "meros/base/crypto.h"
#include "meros/model/artifact.h"
#include "meros/service/scoring.h"
#include "meros/service/serving.h"
#include "meros/store/models.h"
#include "meros/store/store.h"
#include "models_priv.h"

struct giving {
    model_fn fn;
    void *arg;
};

static enum meros_code give_model(void *arg, const struct model_row *m, struct meros_err *err)
{
    const struct giving *g = arg;
    (void)err;
    g->fn(g->arg, m);
    return MEROS_OK;
}

enum meros_code models_get(struct service *svc, struct str id, model_fn fn, void *arg, struct meros_err *err)
{
    struct store_conn *c = NULL;
    struct giving g = {fn, arg};
    enum meros_code rc = store_acquire(svc->store, &c, err);
    if (rc == MEROS_OK) rc = store_model_get(c, id, give_model, &g, err);
    store_release(svc->store, c);
    return rc;
}

enum meros_code models_list(struct service *svc, struct str kind, int active, int64_t before, int64_t limit, model_fn fn,
                            void *arg, struct meros_err *err)
{
    struct store_conn *c = NULL;
    struct giving g = {fn, arg};
    enum meros_code rc = store_acquire(svc->store, &c, err);
    if (rc == MEROS_OK) rc = store_model_list(c, kind, active, before, limit, give_model, &g, err);
    store_release(svc->store, c);
    return rc;
}

/* --- the active one */

static void take_kind(void *arg, const struct model_row *m)
{
    enum model_kind *kind = arg;
    for (int k = 0; k < MODEL_KINDS; k++)
        if (str_is(m->kind, model_kind_words[k])) *kind = (enum model_kind)k;
}

struct stored_reco {
    int64_t no;
    bool active;
};

static enum meros_code take_reco(void *arg, const struct model_row *m, struct meros_err *err)
{
    (void)err;
    *(struct stored_reco *)arg = (struct stored_reco){m->model_no, m->active};
    return MEROS_OK;
}

/* Nothing is kept of any customer's recommendations, so there is nothing to write anew. */
static enum meros_code activate_reco(struct store_conn *c, struct str id, struct meros_err *err)
{
    struct stored_reco s = {0};
    enum meros_code rc = store_model_lock(c, str_of(model_kind_words[MODEL_RECOMMENDATIONS]), STR(RECOMMENDER_NAME), err);
    if (rc == MEROS_OK) rc = store_model_get(c, id, take_reco, &s, err);
    return rc != MEROS_OK || s.active ? rc : store_model_activate(c, s.no, clock_now(), err);
}

/* In one transaction, which takes as long as it takes: a lifetime value is written down of everybody. */
static enum meros_code activate(struct service *svc, enum model_kind kind, struct str id, struct meros_err *err)
{
    struct store_conn *c = NULL;
    enum meros_code rc = store_connect(svc->store, &c, err);
    if (rc == MEROS_OK) rc = store_set_timeout(c, 0, err);
    if (rc == MEROS_OK) rc = store_begin(c, err);
    if (rc == MEROS_OK) rc = kind == MODEL_CLV ? clv_activate(svc, c, id, err) : activate_reco(c, id, err);
    if (rc == MEROS_OK) rc = serving_commit(svc, c, err);
    if (rc != MEROS_OK && c != NULL) store_rollback(c);
    store_disconnect(c);
    return rc;
}

enum meros_code models_activate(struct service *svc, struct str id, struct meros_err *err)
{
    enum model_kind kind = MODEL_KINDS;
    enum meros_code rc = models_get(svc, id, take_kind, &kind, err);
    if (rc != MEROS_OK) return rc;
    switch (kind) {
    case MODEL_SEGMENTS: return scoring_activate(svc, id, err);
    case MODEL_CLV:
    case MODEL_RECOMMENDATIONS: return activate(svc, kind, id, err);
    case MODEL_KINDS: break;
    }
    return err_set(err, MEROS_INTERNAL, "The model is of a kind that is not known.");
}

enum meros_code models_delete(struct service *svc, struct str id, struct meros_err *err)
{
    struct store_conn *c = NULL;
    enum meros_code rc = store_acquire(svc->store, &c, err);
    if (rc == MEROS_OK) rc = store_model_delete(c, id, err);
    store_release(svc->store, c);
    return rc;
}

enum meros_code models_export(struct service *svc, struct str id, size_t from, struct buf *out, struct meros_err *err)
{
    struct store_conn *c = NULL;
    enum meros_code rc = store_acquire(svc->store, &c, err);
    if (rc == MEROS_OK) rc = store_model_artifact_part(c, id, from, MODEL_PIECE_MAX, out, err);
    store_release(svc->store, c);
    return rc;
}

/* --- storing */

enum meros_code models_store(struct store_conn *c, const struct model *m, const struct model_row *row, struct stored_model *out,
                             struct meros_err *err)
{
    unsigned char id[8], sum[SHA256_BYTES];
    char hex[17];
    struct buf artifact;
    struct model_row full = *row;
    buf_init(&artifact, ARTIFACT_MAX);
    enum meros_code rc = artifact_encode(m, &artifact, err);
    if (rc == MEROS_OK) {
        crypto_random(id, sizeof id);
        hex_encode(id, sizeof id, hex);
        snprintf(out->id, sizeof out->id, MODEL_ID_PREFIX "%s", hex);
        crypto_sha256(artifact.data, artifact.len, sum);
        full.id = str_of(out->id);
        full.kind = str_of(model_kind_words[m->kind]);
        full.checksum = (struct str){(const char *)sum, SHA256_BYTES};
        full.artifact = (struct str){artifact.data, artifact.len};
        rc = store_model_insert(c, &full, &out->no, &out->version, err);
    }
    buf_done(&artifact);
    return rc;
}

void models_write_ref(struct jsonw *w, const struct stored_model *m, enum model_kind kind, struct str name, struct str algorithm)
{
    jsonw_begin_object(w);
    jsonw_kcstr(w, "id", m->id);
    jsonw_kcstr(w, "kind", model_kind_words[kind]);
    jsonw_kstr(w, "name", name);
    jsonw_kint(w, "version", m->version);
    jsonw_kstr(w, "algorithm", algorithm);
    jsonw_end_object(w);
}
