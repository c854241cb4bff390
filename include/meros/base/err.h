/* Errors: one table of codes, and the struct that carries one to whoever can answer for it.
 *
 * A function that can fail returns enum meros_code (0 is success) and takes `struct meros_err *err` last. The lowest
 * function that knows what happened fills it with err_set(); callers pass it on or add context with err_prefix().
 * `detail` is a sentence for the client: what happened, where, what to do. It must hold no secret and no personal data.
 * The same table gives the HTTP status, the slug of the problem type and its title (RFC 9457).
 * A meros_err belongs to one thread; it owns no memory. Functions here never fail. */
#ifndef MEROS_BASE_ERR_H
#define MEROS_BASE_ERR_H

#include <stdbool.h>
#include <stddef.h>

/* code, HTTP status, slug, title */
#define MEROS_CODES(X)                                                                                       \
    X(OK, 200, "ok", "OK")                                                                                   \
    X(INVALID, 400, "invalid-request", "The request is not valid")                                           \
    X(UNAUTHENTICATED, 401, "unauthenticated", "A valid API key is needed")                                  \
    X(FORBIDDEN, 403, "forbidden", "This key may not do that")                                               \
    X(NOT_FOUND, 404, "not-found", "There is no such thing here")                                            \
    X(METHOD_NOT_ALLOWED, 405, "method-not-allowed", "This path does not take that method")                  \
    X(NOT_ACCEPTABLE, 406, "not-acceptable", "No acceptable form of the answer exists")                      \
    X(REQUEST_TIMEOUT, 408, "request-timeout", "The request took too long to arrive")                        \
    X(CONFLICT, 409, "conflict", "The request conflicts with the present state")                             \
    X(TOO_LARGE, 413, "too-large", "The request is too large")                                               \
    X(URI_TOO_LONG, 414, "uri-too-long", "The address is too long")                                          \
    X(UNSUPPORTED_MEDIA, 415, "unsupported-media-type", "The body's media type is not understood")           \
    X(UNPROCESSABLE, 422, "unprocessable", "The request is well-formed but makes no sense")                  \
    X(RATE_LIMITED, 429, "rate-limited", "Too many requests")                                                \
    X(HEADERS_TOO_LARGE, 431, "headers-too-large", "The request's headers are too large")                    \
    X(CANCELLED, 499, "cancelled", "The work was cancelled")                                                 \
    X(INTERNAL, 500, "internal", "Something went wrong in the service")                                      \
    X(NOT_IMPLEMENTED, 501, "not-implemented", "The service does not do that")                               \
    X(UNAVAILABLE, 503, "unavailable", "The service cannot answer right now")                                \
    X(TIMEOUT, 504, "timeout", "The work took too long")                                                     \
    X(OUT_OF_MEMORY, 507, "out-of-memory", "The work needs more memory than it may use")

enum meros_code {
#define X(code, status, slug, title) MEROS_##code,
    MEROS_CODES(X)
#undef X
    MEROS_CODE_COUNT
};

#define MEROS_MUSTCHECK __attribute__((warn_unused_result))

enum { ERR_DETAIL_MAX = 512, ERR_FIELDS_MAX = 16, ERR_POINTER_MAX = 128, ERR_FIELD_DETAIL_MAX = 200 };

/* One wrong field of a request: where (a JSON pointer such as "/rule/all/0/op", or "?limit" for a query parameter)
 * and what is wrong with it. */
struct meros_err_field {
    char pointer[ERR_POINTER_MAX];
    char detail[ERR_FIELD_DETAIL_MAX];
};

struct meros_err {
    enum meros_code code;
    char detail[ERR_DETAIL_MAX];
    char sqlstate[6];   /* of the database, "" elsewhere */
    int retry_after;    /* seconds for Retry-After; 0: none (UNAVAILABLE and RATE_LIMITED then say 1) */
    bool close;         /* the HTTP connection cannot go on after this error (ambiguous framing) */
    size_t n_fields;
    struct meros_err_field fields[ERR_FIELDS_MAX];
};

#define MEROS_ERR_INIT {0}

/* Replaces what err held. Returns code, so that `return err_set(err, MEROS_NOT_FOUND, "…")` reads well. err may be NULL. */
enum meros_code err_set(struct meros_err *err, enum meros_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Adds a wrong field. Sets code to INVALID if err held no error yet, and detail to a sentence if it had none.
 * Past ERR_FIELDS_MAX further ones are dropped. Returns err->code. */
enum meros_code err_field(struct meros_err *err, const char *pointer, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts context before the detail: "line 3: " + detail. */
void err_prefix(struct meros_err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

void err_clear(struct meros_err *err);

int meros_code_status(enum meros_code code);
const char *meros_code_slug(enum meros_code code);
const char *meros_code_title(enum meros_code code);

#endif
