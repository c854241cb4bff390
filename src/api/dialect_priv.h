/* What the endpoints of other people's SDKs share (segment.c, ga4.c, posthog.c): a key that may be in the body, and the way
 * from a body that was decoded to an answer.
 *
 *   static enum meros_code post(struct http_request *req, struct meros_err *err)
 *   {
 *       … look at the body for its key …
 *       if ((rc = dialect_admit(req, key, &again, err)) != MEROS_OK || again) return rc;
 *       if ((rc = dialect_begin(req, INGEST_FROM_SEGMENT, answer, &x, err)) != MEROS_OK) return rc;
 *       if ((rc = segment_decode(&x->d, call, &body, err)) != MEROS_OK) return rc;
 *       return dialect_submit(x, err);
 *   }
 *
 * Routes are HTTP_PUBLIC, since the server cannot know of a key in a body, and HTTP_INLINE_LIGHT. */
#ifndef MEROS_API_DIALECT_PRIV_H
#define MEROS_API_DIALECT_PRIV_H

#include "api_priv.h"
#include "meros/service/dialect.h"

/* A key of the Authorization header was looked at by the server; here the one in the body (or query) is, where the header
 * had none that may do this. Whose it is becomes the request's principal. *again: only the database can tell, and the
 * handler runs again where it may ask; it returns at once, without an answer. UNAUTHENTICATED, FORBIDDEN, UNAVAILABLE. */
enum meros_code dialect_admit(struct http_request *req, struct str key, bool *again, struct meros_err *err) MEROS_MUSTCHECK;
/* For routes whose body holds the key: without a body, who asks is told first whether the header's key would do. */
enum meros_code dialect_needs_body(struct http_request *req, struct meros_err *err) MEROS_MUSTCHECK;

struct dialect_request {
    struct api_ingest in; /* first: api_ingest's callbacks get this */
    struct dialect d;
    size_t accepted, rejected; /* messages, once all is landed */
    enum meros_code (*answer)(struct http_request *req, struct dialect_request *x, struct meros_err *err);
};
/* In the request's arena. answer() is called when everything is on disk, or at once where there is nothing to land; it
 * replies, and must not block. */
enum meros_code dialect_begin(struct http_request *req, enum ingest_source source,
                              enum meros_code (*answer)(struct http_request *, struct dialect_request *, struct meros_err *),
                              struct dialect_request **out, struct meros_err *err) MEROS_MUSTCHECK;
/* Lands the items, then notes what was rejected, counts, and answers. */
enum meros_code dialect_submit(struct dialect_request *x, struct http_request *req, struct meros_err *err) MEROS_MUSTCHECK;

#endif
