/* An import is merged in slices: events have their turn in between, and a service killed in the middle leaves nothing that
 * the same file does not make good. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "client.h"

enum { ROWS = 40000, CUSTOMERS = 2000, SENDERS = 4 };

static struct instance s;

/* Events of so many customers, each ROWS / CUSTOMERS times. Customers are merged in the order of their ids. */
static char *events_file(void)
{
    char *file = malloc(ROWS * 80 + 100);
    size_t n = (size_t)sprintf(file, "event_id,customer_id,type,occurred_at\n");
    for (int k = 0; k < ROWS; k++) n += (size_t)sprintf(file + n, "e%d,slice-%04d,page_viewed,2026-01-15T10:%02d:00Z\n", k, k % CUSTOMERS, k % 60);
    keep(file);
    return file;
}

/* Sends the file over a connection of its own; the status, 0 if no answer came. */
struct sending {
    pthread_t thread;
    const char *file;
    int port, status;
    char answer[2048];
};

static void *send_file(void *arg)
{
    struct sending *x = arg;
    const size_t n = strlen(x->file);
    char *request = malloc(n + 500);
    size_t at = (size_t)sprintf(request, "POST /v1/imports/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: text/csv\r\n"
                                         "Content-Length: %zu\r\nConnection: close\r\n\r\n", s.key, n);
    memcpy(request + at, x->file, n);
    x->status = socket_exchange(x->port, request, at + n, x->answer, sizeof x->answer);
    free(request);
    return NULL;
}

static int64_t count_of(const char *customer)
{
    struct reply *r = get(text("/v1/customers/%s", customer));
    return r->status == 200 && at(r, "/stats/events/page_viewed/count") != NULL ? int_at(r, "/stats/events/page_viewed/count") : 0;
}

Test(import_slices, of_a_service_that_was_killed_are_made_good_by_the_same_file, .timeout = 500)
{
    instance_start(&s, NULL);
    client_use(&s);
    struct sending x = {.file = events_file(), .port = s.port};
    cr_assert_eq(pthread_create(&x.thread, NULL, send_file, &x), 0);
    for (double until = seconds_now() + 120; count_of("slice-0000") == 0; pause_ms(2))
        cr_assert_lt(seconds_now(), until, "nothing landed for a minute");
    instance_kill(&s);
    pthread_join(x.thread, NULL);
    instance_again(&s);
    client_use(&s);
    cr_assert_eq(count_of("slice-0000"), ROWS / CUSTOMERS, "a slice that landed stays");
    const bool cut = x.status == 0; /* as it nearly always is; a machine may be fast enough */
    if (cut) cr_expect_eq(count_of(text("slice-%04d", CUSTOMERS - 1)) % (ROWS / CUSTOMERS), 0, "events of a customer came in part");

    struct reply *r = import_("events", "", x.file);
    expect(r, 200);
    cr_expect_eq(int_at(r, "/inserted") + int_at(r, "/duplicates"), ROWS, "%s", r->body);
    cr_expect_eq(int_at(r, "/updated"), 0);
    cr_expect_gt(int_at(r, "/duplicates"), 0, "%s", r->body);
    if (cut) cr_expect_gt(int_at(r, "/inserted"), 0, "%s", r->body);
    for (int k = 0; k < CUSTOMERS; k += 37) cr_expect_eq(count_of(text("slice-%04d", k)), ROWS / CUSTOMERS);
    cr_expect_eq(count_of(text("slice-%04d", CUSTOMERS - 1)), ROWS / CUSTOMERS);
    r = import_("events", "", x.file);
    cr_expect_eq(int_at(r, "/duplicates"), ROWS, "%s", r->body);
    instance_done(&s);
}

/* --- events meanwhile */
static _Atomic bool over;

struct sender {
    pthread_t thread;
    int index, landed, refused;
};

static void *send_events(void *arg)
{
    struct sender *x = arg;
    for (int k = 0; !over; k++) {
        char body[200], request[500], answer[1024];
        const int n = snprintf(body, sizeof body, "{\"customer_id\":\"live-%d\",\"type\":\"page_viewed\",\"event_id\":\"%d-%d\"}", x->index, x->index, k);
        snprintf(request, sizeof request, "POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"
                                          "Content-Length: %d\r\nConnection: close\r\n\r\n%s", s.key, n, body);
        if (socket_exchange(s.port, request, strlen(request), answer, sizeof answer) == 200) x->landed++;
        else x->refused++;
        pause_ms(5);
    }
    return NULL;
}

Test(import_slices, let_events_land_in_between, .timeout = 500)
{
    struct sender senders[SENDERS] = {0};
    instance_start(&s, NULL);
    client_use(&s);
    struct sending x = {.file = events_file(), .port = s.port};
    over = false;
    for (int i = 0; i < SENDERS; i++) {
        senders[i].index = i;
        cr_assert_eq(pthread_create(&senders[i].thread, NULL, send_events, &senders[i]), 0);
    }
    cr_assert_eq(pthread_create(&x.thread, NULL, send_file, &x), 0);
    for (double until = seconds_now() + 120; count_of("slice-0000") == 0; pause_ms(2))
        cr_assert_lt(seconds_now(), until, "nothing landed for a minute");
    pthread_join(x.thread, NULL);
    over = true;
    cr_expect_eq(x.status, 200, "%s", x.answer);
    for (int i = 0; i < SENDERS; i++) {
        pthread_join(senders[i].thread, NULL);
        /* a machine that much else runs on may keep some of them for five seconds */
        cr_expect_leq(senders[i].refused, senders[i].landed / 10, "%d events were refused, %d landed", senders[i].refused, senders[i].landed);
        cr_expect_eq(count_of(text("live-%d", i)), senders[i].landed);
        cr_expect_gt(senders[i].landed, 0);
    }
    for (int k = 0; k < CUSTOMERS; k += 97) cr_expect_eq(count_of(text("slice-%04d", k)), ROWS / CUSTOMERS);
    instance_done(&s);
}
