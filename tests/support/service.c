#include "service.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

/* Seconds. A machine on which much else runs is slow; what never comes is still found. */
enum { STARTS_WITHIN = 120, STOPS_WITHIN = 60 };

double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void pause_ms(int ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000L};
    nanosleep(&t, NULL);
}

static const char *binary(void)
{
    const char *path = getenv("MEROS_TEST_BINARY");
    return path != NULL && path[0] != '\0' ? path : "build/asan/meros";
}

/* --- the log */

char *instance_log(const struct instance *s, long from)
{
    FILE *f = fopen(s->log, "re");
    char *text = NULL;
    long n = 0;
    if (f != NULL && fseek(f, 0, SEEK_END) == 0) n = ftell(f) - s->log_from - from;
    if (n < 0) n = 0;
    text = calloc(1, (size_t)n + 1);
    if (f != NULL && text != NULL && n > 0 && fseek(f, s->log_from + from, SEEK_SET) == 0) text[fread(text, 1, (size_t)n, f)] = '\0';
    if (f != NULL) fclose(f);
    return text;
}

bool instance_logged(const struct instance *s, const char *text)
{
    char *log = instance_log(s, 0);
    bool found = strstr(log, text) != NULL;
    free(log);
    return found;
}

void instance_show_log(const struct instance *s, long from, long most)
{
    char *log = instance_log(s, from);
    long n = (long)strlen(log), begin = n > most ? n - most : 0;
    fprintf(stderr, "---- log of the service, %s%ld bytes ----\n%s---- end of the log ----\n", begin > 0 ? "the last " : "", n - begin, log + begin);
    free(log);
}

static void fail_with_log(const struct instance *s, const char *what)
{
    instance_show_log(s, 0, 8000);
    cr_assert_fail("%s", what);
}

void instance_await_log(const struct instance *s, const char *text, double seconds)
{
    for (double until = seconds_now() + seconds; !instance_logged(s, text); pause_ms(20))
        if (seconds_now() > until) {
            fail_with_log(s, text);
            return;
        }
}

/* --- starting */

/* The settings of this machine's user are not the tests'. */
static void clean_environment(const struct instance *s)
{
    char setting[300];
    for (char **e = environ; *e != NULL;) {
        char name[200];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(*e, "="), *e);
        if (strncmp(name, "MEROS_", 6) == 0) unsetenv(name), e = environ;
        else e++;
    }
    setenv("MEROS_PORT", "0", 1);
    setenv("MEROS_BIND", "127.0.0.1", 1);
    setenv("MEROS_DATA_DIR", s->data, 1);
    setenv("MEROS_BOOTSTRAP_KEY", s->key, 1);
    setenv("MEROS_LOG_LEVEL", "debug", 1);
    setenv("MEROS_ACQUIRE_TIMEOUT", "30s", 1); /* of a connection to the database: the default is for clients who would rather hear no */
    setenv("MEROS_DRAIN_TIMEOUT", "40s", 1);   /* its end is forced 5 s later, which fails the test: not on a busy machine */
    for (size_t i = 0; s->env[i] != NULL; i++) {
        snprintf(setting, sizeof setting, "%.*s", (int)strcspn(s->env[i], "="), s->env[i]);
        setenv(setting, strchr(s->env[i], '=') + 1, 1);
    }
}

static void spawn(struct instance *s)
{
    struct stat st;
    int log = open(s->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    s->log_from = log >= 0 && fstat(log, &st) == 0 ? (long)st.st_size : 0;
    char program[4096];
    cr_assert(log >= 0 && realpath(binary(), program) != NULL, "the program %s is not there: %s", binary(), strerror(errno));
    pid_t parent = getpid(), pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM); /* dies with the test, also with one that crashed */
        if (getppid() != parent) _exit(1);
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        dup2(log, STDOUT_FILENO);
        dup2(log, STDERR_FILENO);
        for (int fd = 3; fd < 256; fd++) close(fd);
        clean_environment(s);
        execl(program, program, "serve", (char *)NULL);
        _exit(127);
    }
    close(log);
    s->pid = pid;
    s->port = 0;
}

static bool alive(struct instance *s)
{
    siginfo_t info = {0};
    return s->pid > 0 && waitid(P_PID, (id_t)s->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0;
}

/* Of the line that says where it listens, in either form of the log. */
static int port_of(const struct instance *s)
{
    char *log = instance_log(s, 0), *at = strstr(log, "http.listening"), *end = at == NULL ? NULL : strchr(at, '\n');
    int port = 0;
    if (end != NULL && (at = strstr(at, "port")) != NULL && at < end) port = atoi(at + strcspn(at, "0123456789\n"));
    free(log);
    return port;
}

static void await_listening(struct instance *s)
{
    for (double until = seconds_now() + STARTS_WITHIN; (s->port = port_of(s)) == 0; pause_ms(10))
        if (!alive(s) || seconds_now() > until) {
            fail_with_log(s, "the service did not start");
            return;
        }
}

/* One GET /readyz by hand: this file stands below the client, which needs an instance that is up. */
static bool ready(const struct instance *s)
{
    static const char request[] = "GET /readyz HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)s->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {.tv_sec = 5};
    char answer[64] = "";
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0 &&
              connect(fd, (struct sockaddr *)&address, sizeof address) == 0 && send(fd, request, sizeof request - 1, MSG_NOSIGNAL) > 0 &&
              recv(fd, answer, sizeof answer - 1, 0) > 0 && strncmp(answer, "HTTP/1.1 200", 12) == 0;
    if (fd >= 0) close(fd);
    return ok;
}

void instance_wait_ready(struct instance *s, double seconds)
{
    for (double until = seconds_now() + seconds; !ready(s); pause_ms(20))
        if (!alive(s) || seconds_now() > until) {
            fail_with_log(s, "the service did not become ready");
            return;
        }
}

void instance_start_unready(struct instance *s, const char *const *env)
{
    const char *root = getenv("TEST_ROOT"), *temporary = root != NULL ? root : getenv("TMPDIR");
    size_t n = 0;
    memset(s, 0, sizeof *s);
    snprintf(s->folder, sizeof s->folder, "%.150s/%s-XXXXXX", temporary != NULL && temporary[0] != '\0' ? temporary : "/tmp",
             root != NULL ? "i" : "meros-http");
    cr_assert_not_null(mkdtemp(s->folder), "%s: %s", s->folder, strerror(errno));
    chmod(s->folder, 0755); /* PostgreSQL's own user must get through it */
    snprintf(s->data, sizeof s->data, "%s/data", s->folder);
    snprintf(s->log, sizeof s->log, "%s/log", s->folder);
    unsigned char random[16];
    FILE *f = fopen("/dev/urandom", "re");
    cr_assert(f != NULL && fread(random, 1, sizeof random, f) == sizeof random);
    fclose(f);
    int at = snprintf(s->key, sizeof s->key, "test_admin_");
    for (size_t i = 0; i < sizeof random; i++) at += snprintf(s->key + at, sizeof s->key - (size_t)at, "%02x", random[i]);
    const char *template = getenv("TEST_TEMPLATE");
    if (template != NULL) {
        char copy[600];
        snprintf(copy, sizeof copy, "cp -a '%s' '%s'", template, s->data);
        cr_assert_eq(system(copy), 0, "%s", copy);
    }
    for (; env != NULL && env[n] != NULL && n + 1 < INSTANCE_ENV_MAX; n++) s->env[n] = env[n];
    spawn(s);
    await_listening(s);
}

void instance_start(struct instance *s, const char *const *env)
{
    instance_start_unready(s, env);
    instance_wait_ready(s, STARTS_WITHIN);
}

void instance_again(struct instance *s)
{
    cr_assert_eq(s->pid, 0, "it still runs");
    spawn(s);
    await_listening(s);
    instance_wait_ready(s, STARTS_WITHIN);
}

/* --- stopping */

static int exit_code(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int instance_wait(struct instance *s, double seconds)
{
    int status = 0;
    for (double until = seconds_now() + seconds;; pause_ms(5)) {
        pid_t got = waitpid(s->pid, &status, WNOHANG);
        if (got == s->pid) break;
        if (got < 0 || seconds_now() > until) {
            kill(s->pid, SIGABRT); /* its stack may tell where it hangs */
            waitpid(s->pid, &status, 0);
            s->pid = 0;
            fail_with_log(s, "the service did not end in time");
            return -1;
        }
    }
    s->pid = 0;
    return exit_code(status);
}

void instance_signal(struct instance *s, int signal)
{
    cr_assert(s->pid > 0 && kill(s->pid, signal) == 0);
}

int instance_stop(struct instance *s)
{
    instance_signal(s, SIGTERM);
    return instance_wait(s, STOPS_WITHIN);
}

void instance_kill(struct instance *s)
{
    instance_signal(s, SIGKILL);
    cr_assert_eq(instance_wait(s, STOPS_WITHIN), -SIGKILL);
}

pid_t instance_postmaster(const struct instance *s)
{
    /* The cluster lies somewhere below the data folder; its pid file says who serves it. */
    static const char *const places[] = {"pgdata", "postgres", "cluster", "pg", "postgres/data", "pg/data", "postgresql"};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        char path[300];
        int pid = 0;
        snprintf(path, sizeof path, "%s/%s/postmaster.pid", s->data, places[i]);
        FILE *f = fopen(path, "re");
        if (f == NULL) continue;
        if (fscanf(f, "%d", &pid) != 1) pid = 0;
        fclose(f);
        if (pid > 1 && kill(pid, 0) == 0) return pid;
    }
    return 0;
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

void instance_done(struct instance *s)
{
    int code = s->pid > 0 ? instance_stop(s) : 0;
    pid_t postmaster = instance_postmaster(s);
    if (postmaster > 0) kill(postmaster, SIGQUIT); /* left behind by a service that was killed */
    char *log = instance_log(s, -s->log_from);
    bool sane = strstr(log, "ERROR: AddressSanitizer") == NULL && strstr(log, "ERROR: LeakSanitizer") == NULL &&
                strstr(log, "runtime error: ") == NULL;
    free(log);
    if (code != 0 || !sane) fail_with_log(s, sane ? "the service did not exit with 0" : "a sanitizer spoke");
    for (double until = seconds_now() + 10; postmaster > 0 && kill(postmaster, 0) == 0 && seconds_now() < until;) pause_ms(20);
    nftw(s->folder, remove_entry, 32, FTW_DEPTH | FTW_PHYS);
}

/* --- one folder for the folders of a run, so that tests that failed leave nothing behind */

/* In memory where there is enough: an honest fsync on a busy disk makes these tests slow, not better. */
static const char *where_there_is_room(void)
{
    struct statvfs shm;
    const char *temporary = getenv("TMPDIR");
    if (temporary != NULL && temporary[0] != '\0') return temporary;
    bool memory = access("/dev/shm", W_OK) == 0 && statvfs("/dev/shm", &shm) == 0 &&
                  (unsigned long long)shm.f_bavail * shm.f_frsize > 4ULL << 30;
    return memory ? "/dev/shm" : "/tmp";
}

void instances_begin(void)
{
    static char root[200];
    snprintf(root, sizeof root, "%.150s/meros-http-XXXXXX", where_there_is_room());
    cr_assert_not_null(mkdtemp(root), "%s: %s", root, strerror(errno));
    chmod(root, 0755);
    setenv("TEST_ROOT", root, 1);
}

void instances_end(void)
{
    const char *root = getenv("TEST_ROOT");
    if (root != NULL) nftw(root, remove_entry, 32, FTW_DEPTH | FTW_PHYS);
}

/* --- sharing */

void instance_make_template(struct instance *s)
{
    instance_start(s, NULL);
    if (instance_stop(s) != 0) {
        instance_show_log(s, 0, 8000); /* outside a test an assertion could not be shown */
        fprintf(stderr, "the service that the others are copies of did not exit with 0\n");
        exit(1);
    }
    setenv("TEST_TEMPLATE", s->data, 1);
}

void instance_share(const struct instance *s)
{
    char number[32];
    snprintf(number, sizeof number, "%d", s->port);
    setenv("TEST_SHARED_PORT", number, 1);
    snprintf(number, sizeof number, "%d", (int)s->pid);
    setenv("TEST_SHARED_PID", number, 1);
    setenv("TEST_SHARED_KEY", s->key, 1);
    setenv("TEST_SHARED_FOLDER", s->folder, 1);
}

const struct instance *instance_shared(void)
{
    static struct instance s;
    const char *port = getenv("TEST_SHARED_PORT"), *pid = getenv("TEST_SHARED_PID");
    if (s.port != 0) return &s;
    cr_assert(port != NULL && pid != NULL, "there is no shared service: run build/asan/tests/http itself");
    s.port = atoi(port);
    s.pid = atoi(pid);
    snprintf(s.key, sizeof s.key, "%s", getenv("TEST_SHARED_KEY"));
    snprintf(s.folder, sizeof s.folder, "%s", getenv("TEST_SHARED_FOLDER"));
    snprintf(s.data, sizeof s.data, "%s/data", s.folder);
    snprintf(s.log, sizeof s.log, "%s/log", s.folder);
    return &s;
}

/* --- measuring, and the other commands */

void instance_signal_database(const struct instance *s, int signal)
{
    const pid_t postmaster = instance_postmaster(s);
    cr_assert_gt(postmaster, 0);
    DIR *d = opendir("/proc");
    cr_assert_not_null(d);
    kill(postmaster, signal); /* first, so that it has no more children */
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char path[300];
        int parent = 0;
        const int pid = atoi(e->d_name);
        snprintf(path, sizeof path, "/proc/%d/stat", pid);
        FILE *f = pid > 0 ? fopen(path, "re") : NULL;
        if (f == NULL) continue;
        if (fscanf(f, "%*d %*[^)]) %*c %d", &parent) == 1 && parent == postmaster) kill(pid, signal);
        fclose(f);
    }
    closedir(d);
}

long instance_rss_kb(const struct instance *s)
{
    char path[64], line[256];
    long kb = -1;
    snprintf(path, sizeof path, "/proc/%d/status", (int)s->pid);
    FILE *f = fopen(path, "re");
    if (f == NULL) return -1;
    while (fgets(line, sizeof line, f) != NULL && sscanf(line, "VmRSS: %ld", &kb) != 1) {}
    fclose(f);
    return kb;
}

int instance_command(const struct instance *s, const char *const *arguments, char *out, size_t cap)
{
    int pipes[2], status = 0;
    char program[4096];
    const char *argv[32] = {"meros"};
    cr_assert(realpath(binary(), program) != NULL && pipe(pipes) == 0);
    for (size_t i = 0; arguments[i] != NULL && i < 30; i++) argv[i + 1] = arguments[i];
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int log = open(s->log, O_WRONLY | O_CREAT | O_APPEND, 0644);
        dup2(pipes[1], STDOUT_FILENO);
        dup2(log, STDERR_FILENO);
        for (int fd = 3; fd < 256; fd++) close(fd);
        clean_environment(s);
        union {
            const char **in;
            char **to;
        } arg = {argv}; /* exec takes what it does not change */
        execv(program, arg.to);
        _exit(127);
    }
    close(pipes[1]);
    size_t n = 0;
    for (ssize_t got; n + 1 < cap && (got = read(pipes[0], out + n, cap - 1 - n)) > 0;) n += (size_t)got;
    out[n] = '\0';
    close(pipes[0]);
    waitpid(pid, &status, 0);
    return exit_code(status);
}
