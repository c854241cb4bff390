/* The frame of an artifact: whose content it is, how long, and that it is whole. */
#include "artifact_priv.h"

static const char magics[MODEL_KINDS][8] = {
    [MODEL_SEGMENTS] = {'M', 'E', 'R', 'O', 'S', 'S', 'E', 'G'},
    [MODEL_CLV] = {'M', 'E', 'R', 'O', 'S', 'C', 'L', 'V'},
    [MODEL_RECOMMENDATIONS] = {'M', 'E', 'R', 'O', 'S', 'R', 'C', 'O'},
};
enum { MAGIC = sizeof magics[0], LENGTH_AT = MAGIC + 4, CONTENT_AT = LENGTH_AT + 8 };

size_t artifact_max(enum model_kind kind)
{
    return kind == MODEL_RECOMMENDATIONS ? ARTIFACT_MAX : 16 << 20;
}

enum meros_code artifact_encode(const struct model *m, struct buf *out, struct meros_err *err)
{
    const size_t start = out->len;
    buf_append(out, magics[m->kind], MAGIC);
    artifact_put_le(out, ARTIFACT_VERSION, 4);
    artifact_put_le(out, 0, 8); /* the length, known at the end */
    if (m->kind == MODEL_SEGMENTS) artifact_put_segments(out, m->segments);
    else if (m->kind == MODEL_CLV) artifact_put_clv(out, m->clv);
    else artifact_put_reco(out, m->recommender);
    if (out->failed || out->len - start + SHA256_BYTES > artifact_max(m->kind))
        return err_set(err, MEROS_OUT_OF_MEMORY, "The model's artifact is larger than %zu MB.", artifact_max(m->kind) >> 20);
    const uint64_t length = out->len - start + SHA256_BYTES;
    for (int i = 0; i < 8; i++) out->data[start + LENGTH_AT + (size_t)i] = (char)(unsigned char)(length >> (8 * i));
    unsigned char sum[SHA256_BYTES];
    crypto_sha256(out->data + start, out->len - start, sum);
    buf_append(out, sum, sizeof sum);
    return out->failed ? err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory while writing the model's artifact.") : MEROS_OK;
}

static const char *check_frame(const unsigned char *p, size_t n, enum model_kind *kind)
{
    if (n < CONTENT_AT + SHA256_BYTES || n > ARTIFACT_MAX) return "its length is impossible";
    int k = 0;
    while (k < MODEL_KINDS && memcmp(p, magics[k], MAGIC) != 0) k++;
    if (k == MODEL_KINDS) return "it does not begin as one";
    if (n > artifact_max((enum model_kind)k)) return "its length is impossible";
    *kind = (enum model_kind)k;
    struct artifact_reader r = {.p = p, .n = n, .at = MAGIC};
    if (artifact_get_le(&r, 4) != ARTIFACT_VERSION) return "it is of another version of the format";
    if (artifact_get_le(&r, 8) != n) return "it is cut short or has bytes too many";
    unsigned char sum[SHA256_BYTES];
    crypto_sha256(p, n - SHA256_BYTES, sum);
    return crypto_equal(sum, p + n - SHA256_BYTES, SHA256_BYTES) ? NULL : "its checksum does not match";
}

enum meros_code artifact_decode(const void *p, size_t n, struct model *out, struct meros_err *err)
{
    struct artifact_reader r = {.p = p, .n = n < SHA256_BYTES ? n : n - SHA256_BYTES, .at = CONTENT_AT};
    struct model m = {0};
    r.fault = check_frame(p, n, &m.kind);
    if (r.fault == NULL && m.kind == MODEL_SEGMENTS) m.segments = artifact_get_segments(&r);
    else if (r.fault == NULL && m.kind == MODEL_CLV) m.clv = artifact_get_clv(&r);
    else if (r.fault == NULL) m.recommender = artifact_get_reco(&r);
    if (r.fault == NULL && r.at != r.n) artifact_fail(&r, "it has bytes too many");
    if (r.fault != NULL) {
        model_done(&m);
        return err_set(err, MEROS_UNPROCESSABLE, "The model's artifact cannot be used: %s.", r.fault);
    }
    *out = m;
    return MEROS_OK;
}
