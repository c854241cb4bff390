/* HTTP requests of ours to machines of others: POSTs over libcurl's multi interface, all on one thread.
 *
 * Made for receivers that nobody here chose: each request is on its own, so one that hangs delays no other; it has a
 * time-out for connecting and one for all of it; what the receiver says beyond its status is read up to 64 KiB and thrown
 * away; redirects are not followed; only http and https, HTTP/1.1, no proxies of the environment, no cookies, no
 * credentials in URLs; certificates are verified. Unless private addresses are allowed, the address of every socket is
 * judged by connect/address.h at the moment it is opened, after names were resolved.
 *
 * Thread-safe. `done` is called exactly once for every request that http_out_submit took, on the thread of http_out (or
 * on that of http_out_stop's caller's behalf, before it returns): it must not block, and may submit. */
#ifndef MEROS_CONNECT_HTTP_OUT_H
#define MEROS_CONNECT_HTTP_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include "meros/base/err.h"
#include "meros/base/str.h"

struct http_out;

struct http_out_config {
    int in_flight_max;      /* requests that are not done yet; 0: 256 */
    int connect_timeout_ms; /* resolving, TCP and TLS; 0: 5000 */
    int timeout_ms;         /* all of a request; 0: 15000 */
    bool allow_private;
    const char *ca_file;    /* PEM file of the authorities that sign receivers' certificates; NULL or "": the system's */
};

enum http_out_outcome {
    HTTP_OUT_ANSWERED, /* status is there */
    HTTP_OUT_REFUSED,  /* by us: every address of the host is private */
    HTTP_OUT_FAILED,   /* no answer; error tells why */
    HTTP_OUT_CANCELLED /* http_out_stop's time was over; whether the receiver has got it is not known */
};
struct http_out_result {
    enum http_out_outcome outcome;
    int status;        /* of the answer; 0: none */
    int retry_after;   /* seconds, of the answer's Retry-After (a date is converted); 0: none */
    const char *error; /* in words, for people; NULL when answered. Lives during the call. Never holds the URL */
    double seconds;    /* from submitting to the end */
};

struct http_out_header {
    const char *name, *value; /* no control characters */
};
struct http_out_request {
    const char *url;
    const struct http_out_header *headers; /* beside Host, Content-Length and Accept */
    size_t n_headers;
    struct str body;
    void (*done)(void *arg, const struct http_out_result *r);
    void *arg;
};

/* Before other threads use libcurl. Starts one thread. */
enum meros_code http_out_start(const struct http_out_config *config, struct http_out **out, struct meros_err *err) MEROS_MUSTCHECK;
/* Copies what it is given. UNAVAILABLE when in_flight_max is reached or it is stopping: done is not called then. */
enum meros_code http_out_submit(struct http_out *o, const struct http_out_request *r, struct meros_err *err) MEROS_MUSTCHECK;
/* Takes no more, gives those in flight up to deadline_ms, cancels the rest, joins. Callable twice, and with NULL. */
void http_out_stop(struct http_out *o, int deadline_ms);
void http_out_free(struct http_out *o); /* after http_out_stop; NULL is fine */

/* Whether a URL could be sent to: absolute, http or https, a host, no user or password, no blanks or control characters,
 * up to HTTP_OUT_URL_MAX bytes, else INVALID; UNPROCESSABLE when its host says by itself that it is private and
 * allow_private is false (a name is only judged when it is connected to). */
enum { HTTP_OUT_URL_MAX = 2000 };
enum meros_code http_out_url_check(struct str url, bool allow_private, struct meros_err *err) MEROS_MUSTCHECK;

#endif
