/* How an endpoint hands items to the ingest path and is answered when they have landed. */
#include <stdlib.h>
#include "api_priv.h"

static enum meros_code reply(struct http_request *req, void *arg, struct meros_err *err)
{
    struct api_ingest *in = arg;
    enum meros_code rc = in->answer(req, in, err);
    free(in->request.spent);
    in->request.spent = NULL;
    return rc;
}

/* Whoever lands tells many at once, so answers are made on the threads of their connections. */
static void landed(struct ingest_request *r, enum meros_code rc, const struct meros_err *err)
{
    struct api_ingest *in = r->arg; /* in the request's arena: it is gone after this */
    if (rc == MEROS_OK) {
        http_complete_by(in->req, reply, in);
        return;
    }
    free(r->spent);
    http_complete(in->req, rc, err);
}

enum meros_code api_ingest(struct http_request *req, struct api_ingest *in, struct meros_err *err)
{
    in->req = req;
    if (http_may_block(req) && str_present(http_header(req, "Idempotency-Key"))) {
        /* the answer is kept by whoever called the handler (src/api/idempotency.c), so it has to be there on return */
        enum meros_code rc = ingest_land(api_service(req), &in->request, err);
        return rc != MEROS_OK ? rc : in->answer(req, in, err);
    }
    in->request.done = landed;
    in->request.arg = in;
    in->request.frees_spent = true;
    http_defer(req);
    enum meros_code rc = ingest_submit(api_service(req), &in->request, err);
    /* Deferred already: a refusal is delivered as any other answer is. */
    if (rc != MEROS_OK) http_complete(req, rc, err);
    return MEROS_OK;
}
