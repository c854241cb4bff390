/* Shared by cluster.c (who may start and stop it, when) and cluster_proc.c (processes, users, files). */
#ifndef MEROS_STORE_CLUSTER_PRIV_H
#define MEROS_STORE_CLUSTER_PRIV_H

#include <stdbool.h>
#include <sys/types.h>
#include "meros/store/store.h"

enum { CLUSTER_PATH = 1024, CLUSTER_ARGS = 128 };

struct cluster_user {
    uid_t uid;
    gid_t gid;
    gid_t groups[64];
    int n_groups;
    bool switch_to; /* we are root: children become this user */
    char name[64];
};

/* What stands in postmaster.pid; pid 0: no such file. */
struct cluster_pid {
    pid_t pid;
    char socket_dir[CLUSTER_PATH];
    char status[16]; /* "starting", "ready", "stopping" */
};

enum meros_code user_by_uid(uid_t uid, bool switch_to, struct cluster_user *out,
                            struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code user_by_name(const char *name, struct cluster_user *out,
                             struct meros_err *err) MEROS_MUSTCHECK;

/* Runs fn(arg) in a child process that has become the user; its exit status, or -1. fn may only make system
 * calls. */
int as_user(const struct cluster_user *u, int (*fn)(const void *arg), const void *arg);
bool user_can_use(const struct cluster_user *u, const char *dir);    /* read, write and enter */
/* Starts a program as the user with a clean environment, output appended to log_fd. wait: its exit status;
 * otherwise its pid, in a session of its own. -1 on failure. */
int run_program(const struct cluster_user *u, char *const argv[], int log_fd, bool wait);
/* Sends the signal to what is left of a cluster whose postmaster died; how many processes that were. */
int signal_leftovers(const struct cluster_user *u, const char *data, int signal_number);

struct cluster_pid pid_read(const char *data);
/* A live postmaster (not a zombie, not a stranger with a recycled pid) of this data folder. */
bool pid_alive(pid_t pid, const char *data);

/* The folder with initdb and postgres; of this major version, or with 0 the newest from 15 on. */
enum meros_code find_binaries(int major, char out[CLUSTER_PATH], int *out_major,
                              struct meros_err *err) MEROS_MUSTCHECK;
long long memory_bytes(void); /* of the machine or of our control group, whichever is less */

#endif
