/* Two functions of libc in our own words, because libmicrohttpd 0.9.75 misuses them. Defined in the program, they take
 * the place of libc's for every shared library of the process.
 *
 * epoll_wait: MHD_epoll() calls it again, with the same blocking time-out, whenever a call returned as many events as
 * its array holds (128): with exactly 128 ready connections that second call sleeps while 128 clients wait. So a full
 * array is never returned.
 *
 * accept4: when the process has no file descriptor left, the pending connection stays in the backlog and the listening
 * socket stays readable: the loop spins. Here a descriptor kept in reserve is given up, the connection is taken and
 * closed at once (its client sees that and may try again), and the reserve is taken back. */
#include "http_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_mutex_t reserve_lock = PTHREAD_MUTEX_INITIALIZER;
static int reserve = -1;

int epoll_wait(int fd, struct epoll_event *events, int max, int timeout)
{
    return epoll_pwait(fd, events, max > 1 ? max - 1 : max, timeout, NULL);
}

int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    int s = (int)syscall(SYS_accept4, fd, addr, len, flags);
    if (s >= 0 || (errno != EMFILE && errno != ENFILE)) return s;
    int why = errno;
    pthread_mutex_lock(&reserve_lock);
    if (reserve >= 0) {
        close(reserve);
        int dropped = (int)syscall(SYS_accept4, fd, NULL, NULL, SOCK_CLOEXEC);
        if (dropped >= 0) close(dropped);
        reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    pthread_mutex_unlock(&reserve_lock);
    errno = why;
    return -1;
}

void guard_start(void)
{
    pthread_mutex_lock(&reserve_lock);
    if (reserve < 0) reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    pthread_mutex_unlock(&reserve_lock);
}
