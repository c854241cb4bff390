/* Shared by cluster.c (who may start and stop it, when), cluster_files.c (where it lives, making it, its log) and cluster_proc.c (processes
 * and users). */
#ifndef MEROS_STORE_CLUSTER_PRIV_H
#define MEROS_STORE_CLUSTER_PRIV_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
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

struct cluster {
    /* immutable after opening */
    char base[CLUSTER_PATH], data[CLUSTER_PATH], run[CLUSTER_PATH], log[CLUSTER_PATH], bin[CLUSTER_PATH];
    int major;
    struct cluster_user user; /* PostgreSQL runs as this one */
    struct cluster_user self;
    int lock_start, lock_users, lock_serve;
    /* under lock: starting again */
    pthread_mutex_t lock;
    int64_t next_try_ns;
    int failures;
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

/* --- cluster_files.c */

/* UNAVAILABLE: what, which path, and what errno says. */
enum meros_code cluster_failed(struct meros_err *err, const char *what, const char *path);
/* A name within k->base, which cluster_settle has seen to leave room for. */
void cluster_join(char out[CLUSTER_PATH], const char *a, const char *b);
/* The first line without its end; false where there is none. */
bool cluster_read_line(const char *path, char out[CLUSTER_PATH]);
/* All folders and both users of k, made where they are not there. */
enum meros_code cluster_settle(struct cluster *k, const char *dir, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code cluster_make(struct cluster *k, struct meros_err *err) MEROS_MUSTCHECK; /* initdb */
/* Who may connect. *out_changed becomes true where PostgreSQL has to read it anew. */
enum meros_code cluster_write_access(struct cluster *k, bool *out_changed, struct meros_err *err) MEROS_MUSTCHECK;

int cluster_log_open(const struct cluster *k); /* to append to; -1 */
void cluster_log_bound(const struct cluster *k);
off_t cluster_log_size(const struct cluster *k);
/* The last thing that PostgreSQL complained about since `from`, for an error message. */
void cluster_log_complaint(const struct cluster *k, off_t from, char *out, size_t cap);

#endif
