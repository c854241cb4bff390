#include "app_priv.h"

#include <errno.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>
#include "meros/base/clock.h"

static void handled(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
}

void signals_block(void)
{
    sigset_t set;
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL); /* a client that went away is an error of that write, not of the process */
    handled(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

enum signal_event signals_wait(int timeout_ms)
{
    sigset_t set;
    struct timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
    handled(&set);
    switch (sigtimedwait(&set, NULL, &timeout)) {
    case SIGTERM:
    case SIGINT: return SIGNAL_STOP;
    case SIGHUP: return SIGNAL_RELOAD;
    default: return SIGNAL_NOTHING;
    }
}

static int64_t insisted_ns;

/* Ctrl-C reaches every process of a terminal's group, and a wrapper such as `make run` passes on what it got: signals
 * that come together are one. clock_gettime and _exit are safe in a handler. */
static void end_now(int signal)
{
    if (signal != SIGALRM && clock_mono_ns() - insisted_ns < INT64_C(500000000)) return;
    static const char late[] = "meros: the drain took too long; ending now\n";
    if (signal == SIGALRM && write(STDERR_FILENO, late, sizeof late - 1) < 0) {}
    _exit(signal == SIGALRM ? EXIT_FAILED : 128 + signal);
}

void signals_insist(int deadline_s)
{
    sigset_t set;
    struct sigaction now = {.sa_handler = end_now, .sa_flags = SA_RESTART};
    insisted_ns = clock_mono_ns();
    sigaction(SIGTERM, &now, NULL);
    sigaction(SIGINT, &now, NULL);
    sigaction(SIGALRM, &now, NULL);
    alarm((unsigned)deadline_s);
    handled(&set);
    sigdelset(&set, SIGHUP);
    sigaddset(&set, SIGALRM);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}
