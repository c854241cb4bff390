/* What is sent to receivers: signature and body by Standard Webhooks, and when it is sent again. */
#include "meros/base/crypto.h"
#include "meros/codec/json.h"
#include "meros/service/segment_changes.h"
#include "webhooks_priv.h"

#include <stdio.h>

static const struct str PREFIX = {"whsec_", 6};

bool webhook_secret_parse(struct str text, struct webhook_secret *out)
{
    struct webhook_secret s = {.n = 0};
    if (text.n < PREFIX.n || !str_eq((struct str){text.p, PREFIX.n}, PREFIX)) return false;
    struct str encoded = {text.p + PREFIX.n, text.n - PREFIX.n};
    if (!base64_decode_standard(encoded, s.bytes, sizeof s.bytes, &s.n) || s.n < WEBHOOK_SECRET_MIN) return false;
    *out = s;
    crypto_wipe(&s, sizeof s);
    return true;
}

void webhook_secret_text(const struct webhook_secret *s, char out[WEBHOOK_SECRET_CAP])
{
    memcpy(out, PREFIX.p, PREFIX.n);
    base64_encode_standard(s->bytes, s->n, out + PREFIX.n);
}

static void sign_with(const struct webhook_secret *s, struct str content, char *out)
{
    unsigned char digest[SHA256_BYTES];
    crypto_hmac_sha256(s->bytes, s->n, content.p, content.n, digest);
    memcpy(out, "v1,", 3);
    base64_encode_standard(digest, sizeof digest, out + 3);
}

bool webhook_sign(const struct webhook_secret *secret, const struct webhook_secret *old, const char *id, int64_t timestamp_s,
                  struct str body, char out[WEBHOOK_SIGNATURE_CAP])
{
    struct buf content;
    buf_init(&content, body.n + 256);
    buf_printf(&content, "%s.%lld.", id, (long long)timestamp_s);
    buf_append(&content, body.p, body.n);
    bool ok = !content.failed;
    if (ok) sign_with(secret, (struct str){content.data, content.len}, out);
    if (ok && old->n > 0) {
        size_t n = strlen(out);
        out[n++] = ' ';
        sign_with(old, (struct str){content.data, content.len}, out + n);
    }
    buf_done(&content);
    return ok;
}

static void write_job(struct jsonw *w, const struct outbox_message *m)
{
    jsonw_kstr(w, "id", m->job_id);
    jsonw_kstr(w, "kind", m->job_kind);
    jsonw_kstr(w, "state", m->job_state);
    jsonw_ktime(w, "created_at", m->job_created_at);
    jsonw_ktime(w, "started_at", m->job_started_at);
    jsonw_ktime(w, "finished_at", m->job_finished_at);
    jsonw_kraw(w, "error", m->job_error);
}

static void write_model(struct jsonw *w, const struct outbox_message *m)
{
    jsonw_kstr(w, "id", m->model_id);
    jsonw_kstr(w, "kind", m->model_kind);
    jsonw_kstr(w, "name", m->model_name);
    jsonw_kint(w, "version", m->model_version);
    jsonw_kstr(w, "algorithm", m->model_algorithm);
    jsonw_ktime(w, "activated_at", m->activated_at);
}

void webhook_body(struct buf *out, const struct outbox_message *m, struct str webhook_name)
{
    struct jsonw w;
    jsonw_init(&w, out);
    jsonw_begin_object(&w);
    jsonw_kstr(&w, "type", m->type);
    jsonw_ktime(&w, "timestamp", m->created_at);
    jsonw_key(&w, "data");
    if (m->about == OUTBOX_CHANGE) {
        segment_change_write(&w, &m->change);
    } else {
        jsonw_begin_object(&w);
        if (m->about == OUTBOX_JOB) write_job(&w, m);
        else if (m->about == OUTBOX_MODEL) write_model(&w, m);
        else jsonw_kstr(&w, "webhook", webhook_name);
        jsonw_end_object(&w);
    }
    jsonw_end_object(&w);
}

double webhook_backoff(int64_t failures, double chance)
{
    static const double steps[] = {5, 30, 120, 600, 3600};
    enum { STEPS = sizeof steps / sizeof steps[0] };
    double step = steps[failures < 1 ? 0 : failures > STEPS ? STEPS - 1 : failures - 1];
    return step * (0.1 + 0.9 * chance);
}
