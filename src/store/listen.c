/* LISTEN and NOTIFY. One thread waits on the server's socket and on an eventfd that store_wake() writes to.
 */
#include "plumbing.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "meros/base/clock.h"

enum meros_code store_listen(struct store_conn *c, const char *channel, struct meros_err *err)
{
    /* LISTEN takes no parameters, hence the one text put together here; a channel is a fixed name of the
     * program. */
    assert(strspn(channel, "abcdefghijklmnopqrstuvwxyz_") == strlen(channel) && channel[0] != '\0' &&
           strlen(channel) < 64);
    char text[80];
    snprintf(text, sizeof text, "listen %s", channel);
    if (c->wake_fd < 0) c->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (c->wake_fd < 0) return err_set(err, MEROS_UNAVAILABLE, "No file descriptor is left to wait with.");
    c->listening = true;
    return conn_simple(c, text, "listen", err);
}

static enum meros_code lost(struct store_conn *c, struct meros_err *err)
{
    return conn_fail(c, NULL, "wait", err);
}

enum meros_code store_wait(struct store_conn *c, int timeout_ms, char channel[64], char payload[STORE_PAYLOAD_MAX],
                           struct meros_err *err)
{
    enum meros_code rc = conn_ready(c, err);
    if (rc != MEROS_OK) return rc;
    assert(c->wake_fd >= 0);
    int64_t deadline = clock_mono_ns() + (int64_t)timeout_ms * 1000000;
    channel[0] = payload[0] = '\0';
    for (;;) {
        PGnotify *n = PQnotifies(c->pg);
        if (n != NULL) {
            snprintf(channel, 64, "%s", n->relname);
            snprintf(payload, STORE_PAYLOAD_MAX, "%s", n->extra);
            PQfreemem(n);
            return MEROS_OK;
        }
        int64_t left = (deadline - clock_mono_ns() + 999999) / 1000000;
        struct pollfd fds[2] = {{.fd = PQsocket(c->pg), .events = POLLIN},
                                {.fd = c->wake_fd, .events = POLLIN}};
        int ready = poll(fds, 2, left < 0 ? 0 : (int)left);
        if (ready < 0 && errno != EINTR)
            return err_set(err, MEROS_UNAVAILABLE, "Waiting for the database failed.");
        if (ready > 0 && fds[1].revents != 0) {
            eventfd_t v;
            eventfd_read(c->wake_fd, &v);
            return MEROS_OK;
        }
        if (ready > 0 && fds[0].revents != 0 && (!PQconsumeInput(c->pg) || PQstatus(c->pg) != CONNECTION_OK))
            return lost(c, err);
        if (ready == 0 && left <= 0) return MEROS_OK;
    }
}

void store_wake(struct store_conn *c)
{
    if (c->wake_fd >= 0) eventfd_write(c->wake_fd, 1);
}
