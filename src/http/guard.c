/* accept4 in our own words, because libmicrohttpd 0.9.75 misuses libc's. Defined in the program, it takes the place of libc's for every
 * shared library of the process. (Three more: loop.c.)
 *
 * When the process has no file descriptor left, the pending connection stays in the backlog and the listening socket stays
 * readable: the loop spins. Here a descriptor kept in reserve is given up, the connection is taken and
 * closed at once (its client sees that and may try again), and the reserve is taken back. Another thread may be quicker
 * and get the descriptor that was given up; then there is no reserve until one can be had again, and until then the
 * threads that listen take naps instead of spinning. */
#include "http_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { NAP_MS = 10 };

static pthread_mutex_t reserve_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic int reserve = -1; /* written under the lock */

static void take_reserve_locked(void)
{
    if (reserve < 0) reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Takes a pending connection and closes it. False: there was no descriptor for that. */
static bool drop_one(int fd)
{
    pthread_mutex_lock(&reserve_lock);
    take_reserve_locked();
    bool have = reserve >= 0;
    if (have) {
        close(reserve);
        reserve = -1;
        int dropped = (int)syscall(SYS_accept4, fd, NULL, NULL, SOCK_CLOEXEC);
        if (dropped >= 0) close(dropped);
        else have = errno != EMFILE && errno != ENFILE; /* else another listening thread took it: as good */
        take_reserve_locked();
    }
    pthread_mutex_unlock(&reserve_lock);
    return have;
}

int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    int s = (int)syscall(SYS_accept4, fd, addr, len, flags);
    int why = errno;
    if (s >= 0) {
        if (reserve < 0) guard_start();
        return s;
    }
    if ((why == EMFILE || why == ENFILE) && !drop_one(fd))
        nanosleep(&(struct timespec){.tv_nsec = NAP_MS * 1000000L}, NULL);
    errno = why;
    return -1;
}

void guard_start(void)
{
    pthread_mutex_lock(&reserve_lock);
    take_reserve_locked();
    pthread_mutex_unlock(&reserve_lock);
}
