/* Starting threads. thread_start names the thread (for ps and gdb), blocks all signals in it (one thread of the
 * program waits for signals) and, with nice > 0, lowers that thread's priority: training must hardly move the service's
 * latency. Join with pthread_join. */
#ifndef MEROS_BASE_THREAD_H
#define MEROS_BASE_THREAD_H

#include <pthread.h>
#include "meros/base/err.h"

enum meros_code thread_start(pthread_t *out, const char *name, int nice, void *(*fn)(void *), void *arg,
                             struct meros_err *err) MEROS_MUSTCHECK;
int thread_cpus(void); /* CPUs this process may run on, at least 1 */

#endif
