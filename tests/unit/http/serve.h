/* A server with a small table of routes, in the test's own process, and raw sockets to talk to it. */
#ifndef TEST_HTTP_SERVE_H
#define TEST_HTTP_SERVE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include "meros/http/server.h"

enum { SCOPE_A = 1, SCOPE_B = 2 };

/* Starts a server on a free port with the routes of serve.c; change may adjust the configuration, and may be NULL. */
struct http_server *serve(void (*change)(struct http_config *c));
void serve_stop(struct http_server *s); /* drains and frees; the test fails if the drain runs into its deadline */
extern int serve_count;                  /* deferred requests kept in serve_kept */
extern struct http_request *serve_kept[512];
/* GET /gate holds its worker until the gate is open. Both are counted: who came in, who is through. */
extern _Atomic bool serve_gate_open;
extern _Atomic int serve_entered, serve_left;
extern _Atomic int serve_late_begun, serve_late_replies; /* GET /later-by: handlers begun, answers made */
extern _Atomic int serve_uploads; /* handlers of POST /upload that have begun */

/* How long a test waits for what must happen. The machine may be busy or stolen: nothing here measures how quick the
 * server is, and a bound on time is far above what it guards and far below what would come without it. */
enum { PATIENCE_MS = 30000 };
/* Waits for *n to reach `wanted`; the test fails when it does not. */
void wait_for(_Atomic int *n, int wanted);
/* Waits until something is there to be read, which stays; false at the end of the connection. */
bool wait_readable(int fd);

/* A blocking socket with a time-out of PATIENCE_MS, connected to 127.0.0.1. */
int dial(int port);
int try_dial(int port); /* -1 where dial() fails the test */
void send_all(int fd, const char *p, size_t n);
void send_text(int fd, const char *s);
/* Reads one answer: status line, headers and the body that Content-Length or chunks announce (none with head_only).
 * NUL-terminated; status 0 at the end of the connection. */
struct answer {
    int status;
    char head[8192];
    char *body;
    size_t n;
};
bool read_answer(int fd, struct answer *a, bool head_only);
void answer_done(struct answer *a);
const char *answer_header(const struct answer *a, const char *name); /* the value, static storage; NULL if absent */
bool at_end(int fd); /* the peer closes, within the time-out, without sending anything more */
/* One request on a connection of its own. */
struct answer ask(int port, const char *request);
long now_milliseconds(void);

#endif
