/* The processes of the embedded PostgreSQL. Children between fork and exec make system calls only: other
 * threads of the program may have held locks at the moment of the fork. */
#include "cluster_priv.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static enum meros_code fill_user(const struct passwd *w, bool switch_to, struct cluster_user *out,
                                 struct meros_err *err)
{
    *out = (struct cluster_user){.uid = w->pw_uid, .gid = w->pw_gid, .switch_to = switch_to, .n_groups = 64};
    snprintf(out->name, sizeof out->name, "%s", w->pw_name);
    if (strlen(w->pw_name) >= sizeof out->name || strpbrk(w->pw_name, "\"\n/") != NULL)
        return err_set(err, MEROS_INVALID,
                       "The name of the user that PostgreSQL would run as cannot be used.");
    if (switch_to && getgrouplist(w->pw_name, w->pw_gid, out->groups, &out->n_groups) < 0)
        return err_set(err, MEROS_INVALID, "The user %s is in too many groups to run PostgreSQL.", out->name);
    return MEROS_OK;
}

enum meros_code user_by_uid(uid_t uid, bool switch_to, struct cluster_user *out, struct meros_err *err)
{
    struct passwd w, *found = NULL;
    char text[4096];
    if (getpwuid_r(uid, &w, text, sizeof text, &found) != 0 || found == NULL)
        return err_set(
            err, MEROS_INVALID,
            "The user id %d has no entry in /etc/passwd, and PostgreSQL needs one to run; start as a user "
            "that has one, or give MEROS_DATABASE_URL.",
            (int)uid);
    return fill_user(&w, switch_to, out, err);
}

enum meros_code user_by_name(const char *name, struct cluster_user *out, struct meros_err *err)
{
    struct passwd w, *found = NULL;
    char text[4096];
    if (getpwnam_r(name, &w, text, sizeof text, &found) != 0 || found == NULL)
        return err_set(
            err, MEROS_UNAVAILABLE,
            "PostgreSQL does not run as root, and the user %s that Debian's package postgresql-15 makes does "
            "not exist. Install it (apt-get install postgresql-15), or start as an ordinary user.",
            name);
    return fill_user(&w, true, out, err);
}

static bool become(const struct cluster_user *u)
{
    if (!u->switch_to) return true;
    return setgroups((size_t)u->n_groups, u->groups) == 0 && setresgid(u->gid, u->gid, u->gid) == 0 &&
           setresuid(u->uid, u->uid, u->uid) == 0;
}

static int wait_for(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int as_user(const struct cluster_user *u, int (*fn)(const void *arg), const void *arg)
{
    pid_t pid = fork();
    if (pid == 0) _exit(become(u) ? fn(arg) : 127);
    return pid < 0 ? -1 : wait_for(pid);
}

static int can_use(const void *dir)
{
    return access(dir, R_OK | W_OK | X_OK) == 0 ? 0 : 1;
}

bool user_can_use(const struct cluster_user *u, const char *dir)
{
    return as_user(u, can_use, dir) == 0;
}

int run_program(const struct cluster_user *u, char *const argv[], int log_fd, bool wait)
{
    char *const environment[] = {(char[]){"PATH=/usr/local/bin:/usr/bin:/bin"}, (char[]){"LANG=C.UTF-8"},
                                 (char[]){"LC_ALL=C.UTF-8"}, (char[]){"TZ=UTC"}, NULL};
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    pid_t pid = null < 0 ? -1 : fork();
    if (pid == 0) {
        sigset_t none;
        sigemptyset(&none);
        signal(SIGPIPE, SIG_DFL);
        sigprocmask(SIG_SETMASK, &none, NULL);
        umask(077);
        /* A session of its own: an interrupt typed at the terminal is for the service, which then stops us in
         * order. */
        if (setsid() < 0 || !become(u) || chdir("/") != 0) _exit(127);
        if (dup2(null, 0) < 0 || dup2(log_fd, 1) < 0 || dup2(log_fd, 2) < 0) _exit(127);
        syscall(SYS_close_range, 3, ~0U, 0);
        execve(argv[0], argv, environment);
        _exit(127);
    }
    if (null >= 0) close(null);
    if (pid < 0) return -1;
    return wait ? wait_for(pid) : pid;
}

/* --- leftovers: processes that still sit in the data folder of a postmaster that is gone. They hold its
 * shared memory, and a new one rightly refuses to start beside them. PostgreSQL's processes have the data
 * folder as working folder, and only the same user (or a privileged root) may look: hence in a child that has
 * become that user. */
struct leftovers {
    const char *data;
    int signal_number;
};

static int signal_all(const void *arg)
{
    const struct leftovers *k = arg;
    int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC), found = 0;
    char entries[8192], path[32], cwd[CLUSTER_PATH];
    size_t data_n = strlen(k->data);
    for (long n; proc >= 0 && (n = getdents64(proc, entries, sizeof entries)) > 0;) {
        for (long at = 0; at < n;) {
            struct dirent64 d;
            memcpy(&d, entries + at, offsetof(struct dirent64, d_name));
            const char *name = entries + at + offsetof(struct dirent64, d_name);
            at += d.d_reclen;
            pid_t pid = 0;
            for (const char *p = name; *p >= '0' && *p <= '9' && pid < 100000000; p++)
                pid = pid * 10 + (*p - '0');
            size_t name_n = strlen(name);
            if (pid <= 1 || name_n > 10) continue;
            memcpy(path, name, name_n);
            memcpy(path + name_n, "/cwd", 5);
            ssize_t length = readlinkat(proc, path, cwd, sizeof cwd);
            if (length != (ssize_t)data_n || memcmp(cwd, k->data, data_n) != 0 || pid == getpid()) continue;
            memcpy(path + name_n, "/exe", 5);
            length = readlinkat(proc, path, cwd, sizeof cwd);
            if (length < 9 || memcmp(cwd + length - 9, "/postgres", 9) != 0) continue;
            kill(pid, k->signal_number);
            found++;
        }
    }
    return found > 100 ? 100 : found;
}

int signal_leftovers(const struct cluster_user *u, const char *data, int signal_number)
{
    int n = as_user(u, signal_all, &(struct leftovers){data, signal_number});
    return n < 0 || n == 127 ? 0 : n;
}

/* --- postmaster.pid: pid, data folder, start time, port, socket folder, address, shared memory, status */
struct cluster_pid pid_read(const char *data)
{
    struct cluster_pid out = {0};
    char path[CLUSTER_PATH + 32], line[CLUSTER_PATH];
    snprintf(path, sizeof path, "%s/postmaster.pid", data);
    FILE *f = fopen(path, "re");
    if (f == NULL) return out;
    for (int i = 1; fgets(line, sizeof line, f) != NULL; i++) {
        line[strcspn(line, "\n")] = '\0';
        if (i == 1) out.pid = (pid_t)strtol(line, NULL, 10);
        if (i == 5) snprintf(out.socket_dir, sizeof out.socket_dir, "%s", line);
        if (i == 8) {
            line[strcspn(line, " ")] = '\0';
            snprintf(out.status, sizeof out.status, "%.15s", line);
        }
    }
    fclose(f);
    return out;
}

bool pid_alive(pid_t pid, const char *data)
{
    if (pid <= 1) return false;
    waitpid(pid, NULL, WNOHANG); /* reaps it if it was our child; fails harmlessly otherwise */
    char path[48], text[2 * CLUSTER_PATH];
    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0) return false; /* a zombie has no command line */
    text[n] = '\0';
    /* We start it as …/postgres -D DATA …; its children rename themselves. */
    for (const char *p = text; p < text + n; p += strlen(p) + 1)
        if (strcmp(p, data) == 0) return true;
    return false;
}

static int major_of(const char *name)
{
    char *end;
    long v = strtol(name, &end, 10);
    return isdigit((unsigned char)name[0]) && *end == '\0' && v < 1000 ? (int)v : 0;
}

static bool has_programs(const char *bin)
{
    char path[CLUSTER_PATH + 16];
    snprintf(path, sizeof path, "%s/postgres", bin);
    if (access(path, X_OK) != 0) return false;
    snprintf(path, sizeof path, "%s/initdb", bin);
    return access(path, X_OK) == 0;
}

/* On PATH, where other systems have it; the version is asked of the program. */
static int find_on_path(char out[CLUSTER_PATH])
{
    const char *path = getenv("PATH");
    for (const char *p = path == NULL ? "" : path; *p;) {
        size_t n = strcspn(p, ":");
        if (n > 0 && n < CLUSTER_PATH - 32 && *p == '/') {
            char command[CLUSTER_PATH + 32], line[128] = "";
            snprintf(out, CLUSTER_PATH, "%.*s", (int)n, p);
            if (has_programs(out) && strchr(out, '\'') == NULL) {
                snprintf(command, sizeof command, "'%s/postgres' --version", out);
                FILE *f = popen(command, "re");
                if (f != NULL) {
                    if (fgets(line, sizeof line, f) == NULL) line[0] = '\0';
                    pclose(f);
                }
                const char *digits = strpbrk(line, "0123456789");
                if (digits != NULL) return atoi(digits);
            }
        }
        p += n + (p[n] == ':');
    }
    return 0;
}

enum meros_code find_binaries(int major, char out[CLUSTER_PATH], int *out_major, struct meros_err *err)
{
    int best = 0;
    DIR *d = opendir("/usr/lib/postgresql");
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        char bin[CLUSTER_PATH];
        int v = major_of(e->d_name);
        snprintf(bin, sizeof bin, "/usr/lib/postgresql/%d/bin", v);
        if (v >= 15 && v > best && (major == 0 || v == major) && has_programs(bin)) {
            best = v;
            memcpy(out, bin, sizeof bin);
        }
    }
    if (d != NULL) closedir(d);
    if (best == 0) {
        char bin[CLUSTER_PATH];
        int v = find_on_path(bin);
        if (v >= 15 && (major == 0 || v == major)) {
            best = v;
            memcpy(out, bin, sizeof bin);
        }
    }
    if (best == 0)
        return err_set(err, MEROS_UNAVAILABLE,
                       "The programs of PostgreSQL %d%s are not installed. Install Debian's package "
                       "(apt-get install postgresql-%d), or give MEROS_DATABASE_URL.",
                       major == 0 ? 15 : major, major == 0 ? " or newer" : ", which made this cluster,",
                       major == 0 ? 15 : major);
    *out_major = best;
    return MEROS_OK;
}

long long memory_bytes(void)
{
    long long bytes = (long long)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
    static const char *const limits[] = {"/sys/fs/cgroup/memory.max",
                                         "/sys/fs/cgroup/memory/memory.limit_in_bytes"};
    for (size_t i = 0; i < 2; i++) {
        FILE *f = fopen(limits[i], "re");
        long long v;
        if (f == NULL) continue;
        if (fscanf(f, "%lld", &v) == 1 && v > 0 && v < bytes) bytes = v;
        fclose(f);
    }
    return bytes;
}
