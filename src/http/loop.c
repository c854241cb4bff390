/* How libmicrohttpd's threads wait, in our own words: epoll_wait, epoll_ctl, recv and write, defined in the program, take the place of
 * libc's for every shared library of the process. For anything but what is told here they do what libc's do.
 *
 * Never a full array. MHD_epoll() of 0.9.75 calls epoll_wait again, with the same blocking time-out, whenever a call returned as many
 * events as its array holds (128): with exactly 128 ready connections that second call sleeps while 128 clients wait. So one less is
 * returned.
 *
 * What is to be taken away may be gone. MHD_quiesce_daemon tells a thread of the pool that it is quiesced and takes the listening socket
 * out of that thread's set; the thread, seeing that it is quiesced, may take it out itself in between, and whoever comes second is told
 * ENOENT and ends the process (rare: a drain of busy servers has to fall into that moment). That something is not there which was to be
 * taken away is no error.
 *
 * Suspended connections stay in their set. libmicrohttpd takes a connection out of its set when it is suspended and puts it back when it
 * waits for its next request: two calls for each request that is not answered at once, and an event that tells nothing, since who is put
 * in is told that he may write. Here taking out is only noted (`away`), and so is that something happened to the connection meanwhile
 * (`missed`; libmicrohttpd is not told, for it does not look for events of a suspended connection). When it is put back there is nothing
 * to do but, if something was missed, to have the kernel tell it again. That is what it would have been told in either case: sets are
 * edge-triggered and say what is so when something changes or when they are asked to look again.
 *
 * What is known to be empty is not read. libmicrohttpd reads from a connection that was suspended once more when it has answered it,
 * since something might have come meanwhile. But who got less than he asked for has read all there was, and the set will say when more
 * comes (`dry`); unless the client has closed its side (`ended`), of which an event may have told together with the last bytes.
 *
 * Who is awake need not be woken. MHD_resume_connection wakes the connection's thread by a write to an eventfd, once for each connection;
 * who tells a hundred clients that their events have landed would do so a hundred times, and the thread would read it as often.
 * loop_resume() leaves the write out where the thread is awake, or has been woken by somebody else and has not looked yet: having
 * returned from epoll_wait it looks for connections to resume in any case. The thread says that it will sleep before it looks whether it
 * was called, the others call before they look whether it sleeps, all in one order (sequentially consistent): so one of the two sees the
 * other, and nobody sleeps who was called. */
#include "http_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { WATCHES_MAX = 1 << 20 };
static const uint64_t OURS = UINT64_C(1) << 63; /* in an event: the rest is a descriptor; no address of a process has it set */

/* By descriptor. The rest is of the connection's HTTP thread alone. `open` changes under the server's conns_lock, which orders one
 * connection's use of a descriptor before the next one's. */
static struct watch {
    void *ptr; /* libmicrohttpd's, for its events */
    int set;
    _Atomic bool open; /* a connection of ours */
    bool in;           /* the kernel has it in its set, under OURS */
    bool away, missed, dry, ended; /* as above */
} *watches;
static size_t n_watches;

/* Of servers that are no more. Never freed: who resumed a server's last connection may still look at its thread's. */
struct http_loops {
    struct http_loops *next;
    int n;
    _Atomic int taken;
    struct http_loop of[];
};
static pthread_mutex_t spare_lock = PTHREAD_MUTEX_INITIALIZER;
static struct http_loops *spare;

static _Thread_local struct http_loop *mine; /* of an HTTP thread; it waits in no set but its daemon's */
static _Thread_local struct http_loop *calling;

static void make_watches(void)
{
    struct rlimit limit;
    const size_t most = getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_max > WATCHES_MAX ? WATCHES_MAX : (size_t)limit.rlim_max;
    watches = calloc(most, sizeof *watches); /* what is not used stays untouched; without it everything is done at length */
    if (watches != NULL) n_watches = most;
}

void loop_start(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_watches);
}

struct http_loops *loops_new(int n)
{
    pthread_mutex_lock(&spare_lock);
    struct http_loops **at = &spare;
    while (*at != NULL && (*at)->n < n) at = &(*at)->next;
    struct http_loops *l = *at;
    if (l != NULL) *at = l->next;
    pthread_mutex_unlock(&spare_lock);
    if (l == NULL && (l = calloc(1, sizeof *l + (size_t)n * sizeof l->of[0])) != NULL) l->n = n;
    if (l != NULL) atomic_store(&l->taken, 0);
    return l;
}

void loops_give_back(struct http_loops *l)
{
    if (l == NULL) return;
    pthread_mutex_lock(&spare_lock);
    l->next = spare;
    spare = l;
    pthread_mutex_unlock(&spare_lock);
}

struct http_loop *loop_here(struct http_loops *l)
{
    if (mine == NULL) {
        const int k = atomic_fetch_add(&l->taken, 1);
        if (k < l->n) mine = &l->of[k];
    }
    return mine;
}

void loop_connected(int fd)
{
    if (mine == NULL || fd < 0 || (size_t)fd >= n_watches) return;
    struct watch *w = &watches[fd];
    w->in = w->away = w->missed = w->dry = w->ended = false;
    atomic_store_explicit(&w->open, true, memory_order_relaxed);
}

void loop_forget(int fd)
{
    if (fd < 0 || (size_t)fd >= n_watches) return;
    struct watch *w = &watches[fd];
    atomic_store_explicit(&w->open, false, memory_order_relaxed);
    if (w->away) (void)syscall(SYS_epoll_ctl, w->set, EPOLL_CTL_DEL, fd, NULL);
}

static struct watch *watch_of(int fd)
{
    return fd >= 0 && (size_t)fd < n_watches && atomic_load_explicit(&watches[fd].open, memory_order_relaxed) ? &watches[fd] : NULL;
}

static int put_in(struct watch *w, int set, int fd, struct epoll_event *event)
{
    if (w->away && !w->missed) {
        w->away = false;
        return 0;
    }
    struct epoll_event e = {.events = event->events | EPOLLRDHUP, .data.u64 = OURS | (uint64_t)fd};
    const int rc = (int)syscall(SYS_epoll_ctl, set, w->away ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &e);
    if (rc != 0) return rc;
    w->ptr = event->data.ptr;
    w->set = set;
    w->in = true;
    w->away = w->missed = w->dry = false;
    return 0;
}

int epoll_ctl(int set, int op, int fd, struct epoll_event *event)
{
    struct watch *w = watch_of(fd);
    if (w != NULL && op == EPOLL_CTL_ADD) return put_in(w, set, fd, event);
    if (w != NULL && op == EPOLL_CTL_DEL && w->in) {
        w->away = true;
        return 0;
    }
    const int rc = (int)syscall(SYS_epoll_ctl, set, op, fd, event);
    return rc != 0 && op == EPOLL_CTL_DEL && errno == ENOENT ? 0 : rc;
}

/* Gives our events libmicrohttpd's addresses and leaves those out that it is not to see. */
static int translate(struct epoll_event *events, int n)
{
    int kept = 0;
    for (int i = 0; i < n; i++) {
        const uint64_t u = events[i].data.u64;
        struct watch *w = (u & OURS) != 0 ? &watches[u & ~OURS] : NULL;
        if (w != NULL) {
            w->dry = false;
            if ((events[i].events & (EPOLLRDHUP | EPOLLERR | EPOLLHUP)) != 0) w->ended = true;
            if (w->away) {
                w->missed = true;
                continue;
            }
        }
        events[kept] = events[i];
        if (w != NULL) events[kept].data.ptr = w->ptr;
        kept++;
    }
    return kept;
}

int epoll_wait(int set, struct epoll_event *events, int max, int timeout)
{
    if (max > 1) max--;
    if (mine == NULL) return epoll_pwait(set, events, max, timeout, NULL);
    atomic_store(&mine->asleep, true);
    if (atomic_load(&mine->called)) timeout = 0;
    const int n = epoll_pwait(set, events, max, timeout, NULL);
    atomic_store(&mine->asleep, false);
    if (n < 0) return n; /* it looks for nobody now */
    atomic_store(&mine->called, false); /* whoever called before this is found by the look that follows */
    return translate(events, n);
}

ssize_t recv(int fd, void *to, size_t n, int flags)
{
    struct watch *w = mine != NULL && flags != MSG_PEEK ? watch_of(fd) : NULL;
    if (w != NULL && w->dry) {
        errno = EAGAIN;
        return -1;
    }
    const ssize_t got = recvfrom(fd, to, n, flags, NULL, NULL);
    if (w != NULL) w->dry = w->in && !w->ended && got > 0 && (size_t)got < n;
    return got;
}

ssize_t write(int fd, const void *p, size_t n)
{
    if (calling != NULL && (atomic_exchange(&calling->called, true) || !atomic_load(&calling->asleep))) return (ssize_t)n;
    return syscall(SYS_write, fd, p, n);
}

void loop_resume(struct http_loop *l, struct MHD_Connection *mhd)
{
    calling = l; /* NULL: unknown, and it is written */
    MHD_resume_connection(mhd);
    calling = NULL;
}
