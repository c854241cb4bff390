/* The settings of Kafka's security reach the wire: what a broker of ours sees of a client is TLS, or the name and password,
 * and a certificate that nobody vouches for is refused and said. */
#include "meros/connect/kafka.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "meros/base/clock.h"
#include "meros/base/log.h"

static double now_s(void)
{
    return (double)clock_mono_ns() / 1e9;
}

static struct kafka_consumer *consumer(const struct kafka_access *access)
{
    struct kafka_consumer *c = NULL;
    struct meros_err err = MEROS_ERR_INIT;
    const struct str topics[] = {STR("t")};
    cr_assert_eq(kafka_consumer_open(access, "g", topics, 1, &c, &err), MEROS_OK, "%s", err.detail);
    return c;
}

static void poll_once(struct kafka_consumer *c)
{
    struct kafka_message m[1];
    size_t n;
    kafka_consumer_poll(c, 50, m, 1, 1, &n);
    kafka_messages_free(m, n);
}

/* --- a broker that writes down what it is told, and knows no more than how a client introduces itself */

struct broker {
    int fd, port;
    pthread_t thread;
    _Atomic bool stop;
    pthread_mutex_t lock;
    char heard[16384]; /* of all connections, under the lock */
    size_t n;
};

static bool read_all(struct broker *b, int fd, void *to, size_t n)
{
    for (size_t got = 0; got < n && !b->stop;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, 100) <= 0) continue;
        ssize_t k = recv(fd, (char *)to + got, n - got, 0);
        if (k <= 0) return false;
        got += (size_t)k;
    }
    return !b->stop;
}

static void note(struct broker *b, const void *p, size_t n)
{
    pthread_mutex_lock(&b->lock);
    if (b->n + n <= sizeof b->heard) {
        memcpy(b->heard + b->n, p, n);
        b->n += n;
    }
    pthread_mutex_unlock(&b->lock);
}

static bool heard(struct broker *b, const char *what, size_t n)
{
    pthread_mutex_lock(&b->lock);
    const bool found = memmem(b->heard, b->n, what, n) != NULL;
    pthread_mutex_unlock(&b->lock);
    return found;
}

static void put16(unsigned char *p, int v)
{
    p[0] = (unsigned char)(v >> 8);
    p[1] = (unsigned char)v;
}

/* An answer: its length, the number of the request, the rest. */
static void answer(int fd, const unsigned char *correlation, const unsigned char *body, size_t n)
{
    unsigned char out[256] = {0, 0, 0, (unsigned char)(4 + n)};
    memcpy(out + 4, correlation, 4);
    memcpy(out + 8, body, n);
    if (send(fd, out, 8 + n, MSG_NOSIGNAL) < 0) return; /* the client went away */
}

/* ApiVersions (in its first form, which a client falls back to) and SaslHandshake; then the client says who it is. */
static void converse(struct broker *b, int fd)
{
    static const unsigned char mechanisms[] = {0, 0, 0, 0, 0, 1, 0, 5, 'P', 'L', 'A', 'I', 'N'};
    unsigned char size[4], frame[4096];
    while (read_all(b, fd, size, 4)) {
        note(b, size, 4);
        const size_t n = (size_t)size[0] << 24 | (size_t)size[1] << 16 | (size_t)size[2] << 8 | size[3];
        if (n > sizeof frame) { /* no length of Kafka's: TLS, perhaps */
            if (read_all(b, fd, frame, 2)) note(b, frame, 2);
            return;
        }
        if (!read_all(b, fd, frame, n)) return;
        note(b, frame, n);
        const int call = n < 8 ? -1 : frame[0] << 8 | frame[1], version = n < 8 ? 0 : frame[2] << 8 | frame[3];
        if (call == 18) {
            static const int apis[][3] = {{17, 0, 0}, {18, 0, 0}, {3, 0, 1}};
            unsigned char body[64] = {0};
            put16(body, version == 0 ? 0 : 35);
            put16(body + 4, 3);
            for (int i = 0; i < 3; i++)
                for (int k = 0; k < 3; k++) put16(body + 6 + 6 * i + 2 * k, apis[i][k]);
            answer(fd, frame + 4, body, 6 + 18);
        } else if (call == 17) {
            answer(fd, frame + 4, mechanisms, sizeof mechanisms);
        }
    }
}

static void *serve(void *arg)
{
    struct broker *b = arg;
    while (!b->stop) {
        struct pollfd p = {.fd = b->fd, .events = POLLIN};
        if (poll(&p, 1, 100) <= 0) continue;
        int fd = accept4(b->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) continue;
        converse(b, fd);
        close(fd);
    }
    return NULL;
}

static void broker_start(struct broker *b)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    memset(b, 0, sizeof *b);
    pthread_mutex_init(&b->lock, NULL);
    b->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(b->fd >= 0 && bind(b->fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(b->fd, 16) == 0);
    cr_assert_eq(getsockname(b->fd, (struct sockaddr *)&a, &n), 0);
    b->port = ntohs(a.sin_port);
    cr_assert_eq(pthread_create(&b->thread, NULL, serve, b), 0);
}

static void broker_stop(struct broker *b)
{
    b->stop = true;
    pthread_join(b->thread, NULL);
    close(b->fd);
}

/* Whether a client with these settings says so to a broker, in a minute. */
static bool says(struct kafka_access access, const char *what, size_t n)
{
    static struct broker b;
    char address[40];
    broker_start(&b);
    snprintf(address, sizeof address, "127.0.0.1:%d", b.port);
    access.brokers = address;
    struct kafka_consumer *c = consumer(&access);
    for (double end = now_s() + 60; !heard(&b, what, n) && now_s() < end;) poll_once(c);
    const bool said = heard(&b, what, n);
    kafka_consumer_close(c);
    broker_stop(&b);
    return said;
}

TestSuite(kafka_access, .timeout = 240);

Test(kafka_access, ssl_begins_with_a_clienthello)
{
    static const char hello[] = {0x16, 0x03};
    log_configure(LOG_ERROR, LOG_KEY_VALUE);
    cr_assert(says((struct kafka_access){.security_protocol = "ssl"}, hello, sizeof hello));
    cr_assert(says((struct kafka_access){.security_protocol = "sasl_ssl", .sasl_mechanism = "PLAIN", .username = "u", .password = "p"}, hello,
                   sizeof hello));
}

Test(kafka_access, name_and_password_are_told_by_the_mechanism_asked_for)
{
    static const char plain[] = "\0meros\0hunter2", scram[] = "SCRAM-SHA-512";
    log_configure(LOG_ERROR, LOG_KEY_VALUE);
    cr_assert(says((struct kafka_access){.security_protocol = "sasl_plaintext", .sasl_mechanism = "PLAIN", .username = "meros", .password = "hunter2"},
                   plain, sizeof plain - 1));
    cr_assert(says((struct kafka_access){.security_protocol = "sasl_plaintext", .sasl_mechanism = "SCRAM-SHA-512", .username = "meros", .password = "hunter2"},
                   scram, sizeof scram - 1));
}

/* --- certificates */

static char folder[64];

static void in_folder(const char *command)
{
    char line[600];
    snprintf(line, sizeof line, "cd '%s' && %s >/dev/null 2>&1 </dev/null", folder, command);
    cr_assert_eq(system(line), 0, "%s", line);
}

/* openssl as a broker that has a certificate; its port. What it says is in its file `said`. */
static pid_t tls_broker(int *out_port)
{
    char path[100], said[8192];
    pid_t child = fork();
    if (child == 0) {
        /* it ends with its standard input, so it needs one that does not end */
        if (chdir(folder) != 0) _exit(127);
        execlp("sh", "sh", "-c", "exec openssl s_server -accept 127.0.0.1:0 -cert cert.pem -key key.pem <fifo >said 2>&1", (char *)NULL);
        _exit(127);
    }
    snprintf(path, sizeof path, "%s/said", folder);
    *out_port = 0;
    for (double end = now_s() + 60; *out_port == 0 && now_s() < end; usleep(20000)) {
        FILE *f = fopen(path, "re");
        if (f == NULL) continue;
        said[fread(said, 1, sizeof said - 1, f)] = '\0';
        fclose(f);
        const char *at = strstr(said, "ACCEPT 127.0.0.1:");
        if (at != NULL && strchr(at, '\n') != NULL) *out_port = atoi(at + 17);
    }
    cr_assert_gt(*out_port, 0, "openssl s_server did not begin: %s", said);
    return child;
}

static bool in_file(const char *name, const char *what)
{
    static char said[1 << 20];
    char path[100];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "re");
    if (f == NULL) return false;
    said[fread(said, 1, sizeof said - 1, f)] = '\0';
    fclose(f);
    return strstr(said, what) != NULL;
}

Test(kafka_access, a_broker_is_believed_if_the_authority_in_the_file_vouches_for_it_and_no_other)
{
    static const char *const make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost "
                                    "-addext subjectAltName=IP:127.0.0.1 -keyout %s -out %s";
    char command[400], address[40], path[100];
    int port;
    strcpy(folder, "/tmp/meros-kafka-test-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(command, sizeof command, make, "key.pem", "cert.pem");
    in_folder(command);
    snprintf(command, sizeof command, make, "other-key.pem", "other.pem");
    in_folder(command);
    in_folder("mkfifo fifo && (sleep 240 >fifo & echo $! >sleeper)");
    pid_t broker = tls_broker(&port);
    snprintf(address, sizeof address, "127.0.0.1:%d", port);

    /* what is logged goes to a file */
    snprintf(path, sizeof path, "%s/log", folder);
    log_configure(LOG_INFO, LOG_KEY_VALUE);
    const int kept = dup(STDERR_FILENO);
    cr_assert_not_null(freopen(path, "a", stderr));
    snprintf(path, sizeof path, "%s/other.pem", folder);
    struct kafka_health h = {0};
    struct kafka_consumer *c = consumer(&(struct kafka_access){.brokers = address, .security_protocol = "ssl", .ca_file = path});
    for (double end = now_s() + 60; (!in_file("log", "certificate verify failed") || h.errors == 0) && now_s() < end; kafka_consumer_health(c, &h)) poll_once(c);
    kafka_consumer_close(c);
    const bool refused_in_log = in_file("log", "certificate verify failed");
    const bool shaken = in_file("said", "CIPHER is");

    snprintf(path, sizeof path, "%s/cert.pem", folder);
    c = consumer(&(struct kafka_access){.brokers = address, .security_protocol = "ssl", .ca_file = path});
    for (double end = now_s() + 60; !in_file("said", "CIPHER is") && now_s() < end;) poll_once(c);
    kill(broker, SIGKILL); /* it answers nothing: closing need not wait for it */
    waitpid(broker, NULL, 0);
    kafka_consumer_close(c);
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    close(kept);
    cr_expect(refused_in_log, "the log says why");
    cr_expect(!h.up && h.errors > 0, "and so does its health");
    cr_expect_not(shaken, "the handshake was not completed with it");
    cr_expect(in_file("said", "CIPHER is"), "the other one was believed");
    in_folder("kill $(cat sleeper)");
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    cr_assert_eq(system(command), 0);
}
