#include "clv_active_priv.h"

#include "meros/base/clock.h"
#include "meros/base/log.h"
#include "meros/model/artifact.h"
#include "meros/service/clv_lists.h"
#include "meros/store/models.h"
#include "meros/store/store.h"

enum meros_code clv_make_active(struct service *svc, struct store_conn *c, const char *id, int64_t model_no, int64_t version,
                                const struct trained_clv *m, struct meros_err *err)
{
    enum meros_code rc = store_model_activate(c, model_no, clock_now(), err);
    if (rc == MEROS_OK && !m->contract) rc = clv_lists_replace(svc, c, model_no, m, NULL, err);
    if (rc == MEROS_OK)
        log_info("model.activated", KV("model", id), KV("clv", m->name), KV_I("version", version), KV("algorithm", trained_clv_algorithm(m)));
    return rc;
}

struct stored {
    int64_t model_no, version;
    char id[MODEL_ID_CAP], name[SEGMENTATION_NAME_MAX + 1];
    bool active;
};

static enum meros_code take(void *arg, const struct model_row *m, struct meros_err *err)
{
    struct stored *s = arg;
    (void)err;
    s->model_no = m->model_no;
    s->version = m->version;
    s->active = m->active;
    (void)str_copy(s->id, sizeof s->id, m->id);
    (void)str_copy(s->name, sizeof s->name, m->name);
    return MEROS_OK;
}

static enum meros_code decode(struct store_conn *c, int64_t model_no, struct model *out, struct meros_err *err)
{
    struct buf bytes;
    buf_init(&bytes, ARTIFACT_MAX + 1);
    enum meros_code rc = store_model_artifact(c, model_no, &bytes, err);
    if (rc == MEROS_OK) rc = artifact_decode(bytes.data, bytes.len, out, err);
    buf_done(&bytes);
    if (rc != MEROS_OK || out->kind == MODEL_CLV) return rc;
    model_done(out);
    return err_set(err, MEROS_INTERNAL, "The artifact of a model of lifetime value is of another kind.");
}

enum meros_code clv_activate(struct service *svc, struct store_conn *c, struct str model_id, struct meros_err *err)
{
    struct stored s = {0};
    struct model m = {0};
    enum meros_code rc = store_model_get(c, model_id, take, &s, err);
    if (rc == MEROS_OK) rc = store_model_lock(c, STR("clv"), str_of(s.name), err);
    if (rc == MEROS_OK) rc = store_model_get(c, model_id, take, &s, err); /* as it is now that nobody else changes it */
    if (rc != MEROS_OK || s.active) return rc; /* activating the active one changes nothing */
    rc = decode(c, s.model_no, &m, err);
    if (rc == MEROS_OK) rc = clv_make_active(svc, c, s.id, s.model_no, s.version, m.clv, err);
    model_done(&m);
    return rc;
}

enum meros_code clv_rewrite(struct service *svc, struct store_conn *c, bool *out_there, char out_id[MODEL_ID_CAP], int *out_version,
                            int64_t *out_customers, struct meros_err *err)
{
    struct stored s = {0};
    struct model m = {0};
    *out_there = false;
    enum meros_code rc = store_model_lock(c, STR("clv"), STR(TRAINED_CLV_NAME), err);
    if (rc == MEROS_OK) rc = store_model_active(c, STR("clv"), STR(TRAINED_CLV_NAME), take, &s, err);
    if (rc == MEROS_NOT_FOUND) {
        err_clear(err);
        return MEROS_OK;
    }
    if (rc == MEROS_OK) rc = decode(c, s.model_no, &m, err);
    if (rc == MEROS_OK) rc = clv_lists_replace(svc, c, s.model_no, m.clv, out_customers, err);
    model_done(&m);
    if (rc != MEROS_OK) return rc;
    *out_there = true;
    memcpy(out_id, s.id, sizeof s.id);
    *out_version = (int)s.version;
    return MEROS_OK;
}
