/* A client that holds the service to its word: every exchange is checked against openapi/openapi.yaml, and one that is
 * not as documented fails the test.
 *
 *   struct reply *r = post("/v1/jobs", "{\"kind\":\"train.segments\"}");
 *   expect(r, 202);
 *   cr_assert_str_eq(text_at(r, "/state"), "queued");
 *
 * An operation counts as visited once it has answered with success. Replies live until the test ends. Requests carry the instance's admin key unless the call says otherwise. */
#ifndef TESTS_CLIENT_H
#define TESTS_CLIENT_H

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stddef.h>
#include "meros/codec/json.h"
#include "openapi.h"
#include "service.h"

struct reply {
    int status; /* 0: no answer came; `error` says why */
    const char *error;
    const char *type;               /* Content-Type, "" if none */
    const char *headers[129];       /* name, value, …, NULL */
    char *body;                     /* NUL-terminated; decoded if it was gzipped */
    size_t n;
    const struct json *json;        /* NULL unless the body is JSON */
    const char *operation;          /* operationId, NULL if none fits */
    const char *what;               /* "GET /v1/jobs", for messages */
    double seconds;
};

struct call {
    const char *method, *path; /* path: as it goes on the wire, with its query */
    const char *key;           /* NULL: the admin key; "": none */
    const char *type;          /* of the body; NULL: application/json if there is a body, "": none */
    const char *body;
    size_t n;                       /* 0: strlen(body) */
    const char *const *headers;     /* further ones, "Name: value", NULL at the end */
    bool gzip;                      /* send the body gzipped */
    bool accept_gzip;
    /* The body from a function instead, sent chunked: fills up to cap bytes, returns how many; 0 at the end. */
    size_t (*source)(void *arg, char *to, size_t cap);
    void *source_arg;
    /* The answer to a function instead, as it comes; false to hang up. */
    bool (*sink)(void *arg, const char *p, size_t n);
    void *sink_arg;
    double timeout;       /* seconds; 0: 60 */
    bool unchecked;       /* not held against the contract: for what no client of ours would send */
    bool may_fail;        /* no answer is an answer too (the service is being killed) */
};

void client_use(const struct instance *s); /* NULL: the shared one, as at the start */
const struct instance *client_instance(void);
const struct openapi *client_contract(void);
struct reply *call(const struct call *c);

#define get(p_)       call(&(struct call){.method = "GET", .path = (p_)})
#define head(p_)      call(&(struct call){.method = "HEAD", .path = (p_)})
#define delete_(p_)   call(&(struct call){.method = "DELETE", .path = (p_)})
#define post(p_, j_)  call(&(struct call){.method = "POST", .path = (p_), .body = (j_)})
#define put(p_, j_)   call(&(struct call){.method = "PUT", .path = (p_), .body = (j_)})
#define patch(p_, j_) call(&(struct call){.method = "PATCH", .path = (p_), .body = (j_)})

#define expect(r, want)                                                                                      \
    cr_assert_eq((r)->status, (want), "%s was answered %d, not %d: %s%.600s", (r)->what, (r)->status, (want), (r)->error, (r)->body)
/* An error with this field wrong. */
#define expect_fault(r, want, pointer)                                                                       \
    do {                                                                                                     \
        struct reply *reply_ = (r);                                                                          \
        expect(reply_, want);                                                                                \
        cr_assert(has_fault(reply_, pointer), "%s: no fault at %s: %.600s", reply_->what, pointer, reply_->body); \
    } while (0)
bool has_fault(const struct reply *r, const char *pointer);

/* printf into memory that lives until the test ends. */
const char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));
const char *header_of(const struct reply *r, const char *name); /* NULL if absent */
bool keep(void *memory); /* frees it when the test ends */

/* By JSON pointer. at() is NULL where there is nothing; the others fail the test. */
const struct json *at(const struct reply *r, const char *pointer);
const struct json *at_json(const struct json *v, const char *pointer);
const char *text_at(const struct reply *r, const char *pointer);
int64_t int_at(const struct reply *r, const char *pointer);
double num_at(const struct reply *r, const char *pointer);
bool bool_at(const struct reply *r, const char *pointer);
size_t count_at(const struct reply *r, const char *pointer);
bool null_at(const struct reply *r, const char *pointer);

/* A key with these scopes ("read,train"), made by the admin; the key itself. */
const char *key_with(const char *scopes);

/* POST /v1/imports/{dataset}?query with a body in CSV or NDJSON (told by its first byte). */
struct reply *import_(const char *dataset, const char *query, const char *body);
/* Waits for the job's end; fails after `seconds`. The last answer to GET /v1/jobs/{id}. */
struct reply *await_job(const char *id, double seconds);
/* POST /v1/jobs and await_job; must succeed. */
struct reply *run_job(const char *json);

/* Bytes over a socket of our own, for what curl would not send. Reads until the server closes or `seconds` of silence after
 * the first bytes of an answer, which may take a minute; SILENT for who wants none: nothing is waited for. Returns the
 * answer, kept until the test ends. */
enum { SILENT = 0 };
const char *raw_exchange(const void *bytes, size_t n, double seconds);
/* The same for threads, which may not use what belongs to the test: one request that asks for the connection to be
 * closed; the status, or 0 where no whole answer came within EXCHANGE_PATIENCE_S. */
enum { EXCHANGE_PATIENCE_S = 120 };
int socket_exchange(int port, const void *bytes, size_t n, char *answer, size_t cap);

/* What was visited, over all processes; for tests/http/main.c. */
void client_visits_file(const char *path);

#endif
