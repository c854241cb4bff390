/* A server with a small table of routes, in the test's own process, and raw sockets to talk to it. */
#ifndef TEST_HTTP_SERVE_H
#define TEST_HTTP_SERVE_H

#include <stdbool.h>
#include <stddef.h>
#include "meros/http/server.h"

enum { SCOPE_A = 1, SCOPE_B = 2 };

/* Starts a server on a free port with the routes of serve.c; change may adjust the configuration, and may be NULL. */
struct http_server *serve(void (*change)(struct http_config *c));
void serve_stop(struct http_server *s); /* drains and frees; the test fails if that takes long */
extern int serve_count;                  /* deferred requests kept in serve_kept */
extern struct http_request *serve_kept[512];

/* A blocking socket with a 5 s time-out, connected to 127.0.0.1. */
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
