/* Preloaded into PostgreSQL, so that every flush to disk takes the same time wherever its files are: real disks wander too
 * much to be measured on. SLOWSYNC_US: microseconds, 2000 if not given. */
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static void wait_a_while(void)
{
    const char *text = getenv("SLOWSYNC_US");
    const long us = text != NULL ? atol(text) : 2000;
    struct timespec left = {us / 1000000, us % 1000000 * 1000};
    while (nanosleep(&left, &left) != 0) {}
}

int fsync(int fd);
int fdatasync(int fd);

int fsync(int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    wait_a_while();
    return real(fd);
}

int fdatasync(int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    wait_a_while();
    return real(fd);
}
