/* Reading a JSON body and writing a JSON answer. */
#include "api_priv.h"

enum { REPLY_MAX = 64 << 20 };

enum meros_code api_body_json(struct http_request *req, struct json **out, struct meros_err *err)
{
    struct str body = http_body(req);
    if (body.n == 0 && (http_route_of(req)->flags & HTTP_BODY_OPTIONAL) != 0) {
        *out = NULL;
        return MEROS_OK;
    }
    return json_parse(body.p, body.n, out, err);
}

struct jsonw *api_reply_begin(struct api_reply *r)
{
    buf_init(&r->buf, REPLY_MAX);
    jsonw_init(&r->w, &r->buf);
    return &r->w;
}

enum meros_code api_reply_end(struct api_reply *r, struct http_request *req, int status, struct meros_err *err)
{
    if (r->buf.failed) {
        buf_done(&r->buf);
        return err_set(err, MEROS_OUT_OF_MEMORY, "The answer does not fit into memory; ask for less with ?limit=.");
    }
    http_reply_json(req, status, &r->buf);
    return MEROS_OK;
}

void api_reply_drop(struct api_reply *r)
{
    buf_done(&r->buf);
}
