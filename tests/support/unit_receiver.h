/* An HTTP server for tests to send requests to: on a free port of the loopback, a thread a connection, remembering what it
 * was sent. How it answers can be changed at any time. Thread-safe; ends with receiver_stop() or the process. */
#ifndef TESTS_UNIT_RECEIVER_H
#define TESTS_UNIT_RECEIVER_H

#include <stdbool.h>
#include <stddef.h>

enum receiver_mode {
    RECEIVER_ANSWER, /* with `status` and `headers` after delay_ms */
    RECEIVER_HANG,   /* reads the request and never answers */
    RECEIVER_CLOSE,  /* reads the request and closes */
    RECEIVER_BABBLE, /* answers in what is not HTTP, and closes */
    RECEIVER_DRIP,   /* answers, and then sends a byte of body every 50 ms for ever */
    RECEIVER_FLOOD   /* answers, and then sends a body without end as fast as it goes */
};
struct receiver_way {
    enum receiver_mode mode;
    int status;          /* 0: 204 */
    const char *headers; /* further ones, each with its "\r\n"; a literal. NULL: none */
    int delay_ms;
};
struct received {
    const char *target, *head, *body; /* head: all header lines; live until receiver_stop */
    size_t body_n;
    double at; /* monotonic seconds, when its body was all there */
};

struct receiver;
struct receiver *receiver_start(void); /* fails the program when it cannot */
int receiver_port(const struct receiver *r);
void receiver_behaves(struct receiver *r, struct receiver_way way);
size_t receiver_count(struct receiver *r);
/* Waits until it has got n requests; false after that many seconds. */
bool receiver_await(struct receiver *r, size_t n, double seconds);
struct received receiver_get(struct receiver *r, size_t i);
/* The value of a header, malloc'ed; NULL if there is none. */
char *received_header(const struct received *x, const char *name);
int receiver_connections(struct receiver *r); /* opened so far */
void receiver_stop(struct receiver *r);

#endif
