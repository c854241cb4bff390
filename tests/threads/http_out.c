/* Several threads hand requests to connect/http_out.h while it is being stopped; each that was taken is told of once. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include "meros/connect/http_out.h"
#include "unit_receiver.c"

enum { THREADS = 4, EACH = 150, PATIENCE_MS = 120000 }; /* the machine may be slow: nothing is given up before */

static struct http_out *out;
static char quick_url[100], slow_url[100];
static atomic_int taken, told, answered, stopping;

static void done(void *arg, const struct http_out_result *r)
{
    (void)arg;
    told++;
    answered += r->outcome == HTTP_OUT_ANSWERED;
}

static void *submit(void *arg)
{
    struct meros_err err = MEROS_ERR_INIT;
    for (int i = 0; i < EACH; i++) {
        const struct http_out_request r = {.url = i % 50 == 7 ? slow_url : quick_url, .body = STR("{}"), .done = done, .arg = arg};
        const bool full = http_out_submit(out, &r, &err) != MEROS_OK;
        taken += !full;
        if (i % 10 == 0 || full) nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
        if (full && !stopping) i--; /* as many as may be are under way: again */
    }
    return NULL;
}

int main(void)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct receiver *quick = receiver_start(), *slow = receiver_start();
    pthread_t threads[THREADS];
    snprintf(quick_url, sizeof quick_url, "http://127.0.0.1:%d/", receiver_port(quick));
    snprintf(slow_url, sizeof slow_url, "http://127.0.0.1:%d/", receiver_port(slow));
    receiver_behaves(slow, (struct receiver_way){.mode = RECEIVER_HANG});
    if (http_out_start(&(struct http_out_config){.allow_private = true, .connect_timeout_ms = PATIENCE_MS, .timeout_ms = PATIENCE_MS}, &out, &err) != MEROS_OK) {
        fprintf(stderr, "%s\n", err.detail);
        return 1;
    }
    for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, submit, NULL);
    while (answered < 50) nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    stopping = 1;
    http_out_stop(out, 200);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    http_out_free(out);
    receiver_stop(quick);
    receiver_stop(slow);
    if (taken != told || answered < 50) {
        fprintf(stderr, "%d were taken, %d told of, %d answered\n", (int)taken, (int)told, (int)answered);
        return 1;
    }
    return 0;
}
