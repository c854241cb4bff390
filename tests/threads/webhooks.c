/* The sender of webhooks under ThreadSanitizer: two services on one outbox, receivers that take, refuse and hang, messages
 * noted from two threads, one service stopped and started again in the middle. Exit status 0: whoever takes messages got
 * each of them. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "meros/base/crypto.h"
#include "meros/base/log.h"
#include "meros/service/listener.h"
#include "meros/service/webhooks.h"
#include "pg.c"
#include "unit_receiver.c"

#define CHECK(cond)                                                                                          \
    do {                                                                                                     \
        if (!(cond)) {                                                                                       \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #cond, err.detail);                       \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)

enum { MESSAGES = 60 };

static struct pg *db;
static struct service a, b;
static struct meros_err err;

static void nap(int ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000}, NULL);
}

static void on(struct service *svc)
{
    *svc = (struct service){.store = db->pool};
    svc->settings.webhook_allow_private = true;
    svc->settings.webhook_give_up_hours = 24;
    svc->settings.webhook_timeout_ms = 60000;
    memset(svc->settings.pii_key, 7, sizeof svc->settings.pii_key);
    CHECK(listener_new(svc, &err) == MEROS_OK);
    CHECK(webhooks_start(svc, &err) == MEROS_OK);
    CHECK(listener_start(svc, &err) == MEROS_OK);
}

static void off(struct service *svc)
{
    webhooks_stop(svc, 300);
    listener_stop(svc);
    webhooks_free(svc);
    listener_free(svc);
}

static void ignore(void *arg, const struct webhook_info *w)
{
    (void)arg, (void)w;
}

static void hook(const char *name, struct receiver *r)
{
    char url[100], secret[WEBHOOK_SECRET_CAP];
    bool made;
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", receiver_port(r));
    const struct webhook_wish wish = {.name = str_of(name), .url = str_of(url), .events = {STR("job.finished")}, .n_events = 1,
                                      .segmentation = STR_NONE, .segment_id = STR_NONE, .enabled = true, .secret = STR_NONE};
    CHECK(webhooks_put(&a, &wish, &made, secret, ignore, NULL, &err) == MEROS_OK);
}

static void *tell(void *arg)
{
    struct service *svc = arg;
    static const char *const names[] = {"takes", "refuses", "hangs"};
    for (int i = 0; i < MESSAGES; i++) {
        struct meros_err mine = MEROS_ERR_INIT;
        char id[40];
        for (int k = 0; k < 3; k++)
            if ((k == 0 || i % 5 == 0) && webhooks_test(svc, str_of(names[k]), id, &mine) != MEROS_OK) {
                fprintf(stderr, "webhooks: %s\n", mine.detail);
                exit(1);
            }
        webhooks_measure(svc);
        nap(3);
    }
    return NULL;
}

/* How many different messages came. */
static int different(struct receiver *r)
{
    static char seen[10 * MESSAGES][64];
    int n = 0;
    for (size_t i = 0; i < receiver_count(r) && n < 10 * MESSAGES; i++) {
        struct received x = receiver_get(r, i);
        char *id = received_header(&x, "webhook-id");
        bool known = id == NULL;
        for (int k = 0; k < n && !known; k++) known = strcmp(seen[k], id) == 0;
        if (!known) snprintf(seen[n++], sizeof seen[0], "%s", id);
        free(id);
    }
    return n;
}

int main(void)
{
    pthread_t tellers[2];
    if (!pg_server_start()) return 0; /* before there are threads */
    struct receiver *takes = receiver_start(), *refuses = receiver_start(), *hangs = receiver_start();
    CHECK(crypto_start(&err) == MEROS_OK);
    log_configure(LOG_ERROR + 1, LOG_KEY_VALUE);
    receiver_behaves(refuses, (struct receiver_way){.status = 500});
    receiver_behaves(hangs, (struct receiver_way){.mode = RECEIVER_HANG});
    db = pg_fresh();
    on(&a);
    on(&b);
    hook("takes", takes);
    hook("refuses", refuses);
    hook("hangs", hangs);
    CHECK(pthread_create(&tellers[0], NULL, tell, &a) == 0);
    CHECK(pthread_create(&tellers[1], NULL, tell, &a) == 0);
    for (int i = 0; i < 3; i++) {
        nap(150);
        off(&b);
        on(&b);
    }
    for (int i = 0; i < 2; i++) pthread_join(tellers[i], NULL);
    for (int i = 0; i < 2000 && different(takes) < 2 * MESSAGES; i++) nap(100);
    const int came = different(takes);
    long long waiting = -1;
    for (int i = 0; i < 600 && waiting != 0; i++) {
        waiting = pg_int(db, "select count(*) from webhook_outbox join webhooks using (webhook_no) where name = 'takes'");
        nap(100);
    }
    off(&a);
    off(&b);
    pg_done(db);
    receiver_stop(takes);
    receiver_stop(refuses);
    receiver_stop(hangs);
    printf("webhooks: %d of %d messages came, %lld wait\n", came, 2 * MESSAGES, waiting);
    return came == 2 * MESSAGES && waiting == 0 ? 0 : 1;
}
