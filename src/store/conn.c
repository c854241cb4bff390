/* One connection: opening within a time-out, the session's settings, errors, cancelling, being reset for the
 * next. */
#include "plumbing.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include "meros/base/clock.h"
#include "meros/base/log.h"

enum { SESSION_MS = 3000 };

/* What the session needs whatever the server's defaults are, in one round trip rather than in the `options` of
 * the start packet, which poolers refuse. jit costs more than it gives at our sizes. plan_cache_mode: look-ups
 * by key took 77 us with auto, 81 with generic plans, 212 with custom ones, a join of two tables 173, 85 and
 * 688, so auto, which settles on the generic plan where it is no worse and can still tell skewed values apart.
 * client_connection_check_interval makes the server stop a statement whose process was killed; otherwise it goes on to
 * its end and holds its locks against the process that takes the job over. Only servers on Linux can. */
static const char session[] =
    "select set_config('statement_timeout', $1, false), set_config('idle_in_transaction_session_timeout', "
    "'60000', false),"
    " set_config('lock_timeout', '10000', false), set_config('TimeZone', 'UTC', false), set_config('jit', "
    "'off', false),"
    " set_config('plan_cache_mode', 'auto', false), set_config('default_transaction_isolation', 'read "
    "committed', false),"
    " set_config('DateStyle', 'ISO, YMD', false), set_config('bytea_output', 'hex', false),"
    " set_config('standard_conforming_strings', 'on', false), set_config('meros.origin', $2, false),"
    " case when version() like '%linux%' then set_config('client_connection_check_interval', '2000', false) end";

static char origin[17];
static pthread_once_t origin_once = PTHREAD_ONCE_INIT;

static void make_origin(void)
{
    unsigned char random[8];
    if (getrandom(random, sizeof random, 0) != sizeof random) memcpy(random, &(int64_t){clock_now() ^ (int64_t)getpid() << 40}, sizeof random);
    for (size_t i = 0; i < sizeof random; i++) snprintf(origin + 2 * i, 3, "%02x", random[i]);
}

const char *store_origin(void)
{
    pthread_once(&origin_once, make_origin);
    return origin;
}

static void no_notice(void *arg, const PGresult *result)
{
    (void)arg, (void)result; /* libpq would print them to standard error */
}

enum meros_code url_check(const char *url, struct meros_err *err)
{
    char *message = NULL;
    PQconninfoOption *options = url == NULL ? NULL : PQconninfoParse(url, &message);
    PQfreemem(message); /* quotes the text it dislikes, which may be the password */
    if (options == NULL)
        return err_set(err, MEROS_INVALID,
                       "The database URL is not one that PostgreSQL understands; it looks like "
                       "postgresql://user:password@host:5432/database, with special characters of "
                       "the password written as %%XX.");
    PQconninfoFree(options);
    return MEROS_OK;
}

/* libpq's message as one of a few fixed phrases: its own text can hold pieces of a mistyped URL. */
static const char *reason_of(PGconn *pg)
{
    static const char *const phrases[][2] = {
        {"authentication failed", "the database refused the user or password"},
        {"no password supplied", "the database wants a password"},
        {"no pg_hba.conf entry", "the database does not accept this host and user"},
        {"role \"", "the database user does not exist"},
        {"database \"", "the database does not exist"},
        {"could not translate host name", "the database's host name is not known"},
        {"too many clients", "the database has too many clients"},
        {"remaining connection slots", "the database has too many clients"},
        {"starting up", "the database is starting up"},
        {"recovery mode", "the database is recovering"},
        {"not yet accepting connections", "the database is starting up"},
        {"shutting down", "the database is shutting down"},
        {"Connection refused", "nothing listens at the database's address"},
        {"No such file or directory", "the database's socket does not exist"},
        {"No route to host", "there is no route to the database's host"},
        {"SSL", "an encrypted connection could not be made"},
        {"certificate", "an encrypted connection could not be made"},
        {"Permission denied", "the database's socket may not be opened by this user"},
    };
    const char *message = PQerrorMessage(pg);
    for (size_t i = 0; i < sizeof phrases / sizeof phrases[0]; i++)
        if (strstr(message, phrases[i][0]) != NULL) return phrases[i][1];
    return "the database does not answer";
}

static const char no_answer[] = "the database does not answer in time";

/* PQconnectPoll until done or the deadline; libpq's own connect_timeout counts for blocking connects only. */
static const char *connect_within(PGconn *pg, int timeout_ms)
{
    int64_t deadline = clock_mono_ns() / 1000000 + timeout_ms;
    if (PQstatus(pg) == CONNECTION_BAD) return reason_of(pg);
    PostgresPollingStatusType want = PGRES_POLLING_WRITING;
    while (want != PGRES_POLLING_OK) {
        if (want == PGRES_POLLING_FAILED) return reason_of(pg);
        int64_t left = deadline - clock_mono_ns() / 1000000;
        if (left <= 0) return no_answer;
        struct pollfd fd = {.fd = PQsocket(pg), .events = want == PGRES_POLLING_READING ? POLLIN : POLLOUT};
        int n = poll(&fd, 1, (int)left);
        if (n < 0 && errno != EINTR) return "the connection could not be waited for";
        if (n > 0) want = PQconnectPoll(pg);
    }
    return NULL;
}

static const char *session_start(struct store_conn *c, int statement_timeout_ms)
{
    if (PQserverVersion(c->pg) < 150000) return "the database is older than PostgreSQL 15";
    char timeout[16];
    snprintf(timeout, sizeof timeout, "%d", statement_timeout_ms);
    /* What is left of the time to connect is not known here; a connection that was made is answered at once or never. */
    c->timeout_ms = SESSION_MS;
    PGresult *r = conn_answer(c, PQsendQueryParams(c->pg, session, 2, NULL, (const char *const[]){timeout, store_origin()}, NULL, NULL, 0));
    bool ok = PQresultStatus(r) == PGRES_TUPLES_OK;
    PQclear(r);
    c->timeout_ms = statement_timeout_ms;
    return ok ? NULL : c->late ? no_answer : "the session could not be set up";
}

enum meros_code conn_open(struct store_pool *p, const char *url, int statement_timeout_ms, int timeout_ms,
                          struct store_conn **out, const char **reason, struct meros_err *err)
{
    /* The URL may override what stands before it; what stands after it is ours. */
    static const char *const keys[] = {"application_name",
                                       "tcp_user_timeout",
                                       "keepalives_idle",
                                       "keepalives_interval",
                                       "keepalives_count",
                                       "gssencmode",
                                       "dbname",
                                       "client_encoding",
                                       NULL};
    const char *values[] = {"meros", "5000", "15", "5", "3", "disable", url, "UTF8", NULL};
    struct store_conn *c = calloc(1, sizeof *c);
    if (c == NULL) {
        *reason = "out of memory";
        return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for a database connection.");
    }
    c->pool = p;
    c->wake_fd = -1;
    pthread_mutex_init(&c->cancel_lock, NULL);
    c->pg = PQconnectStartParams(keys, values, 1);
    const char *why = c->pg == NULL ? "out of memory" : connect_within(c->pg, timeout_ms);
    if (why == NULL) {
        PQsetNoticeReceiver(c->pg, no_notice, NULL);
        if (PQsetnonblocking(c->pg, 1) != 0) why = "out of memory";
    }
    if (why == NULL) {
        why = session_start(c, statement_timeout_ms);
    }
    if (why != NULL) {
        conn_close(c);
        *reason = why;
        err_set(err, MEROS_UNAVAILABLE, "The database cannot be reached right now.");
        if (err != NULL) err->retry_after = 1;
        return MEROS_UNAVAILABLE;
    }
    *out = c;
    return MEROS_OK;
}

bool conn_answers(struct store_pool *p)
{
    struct store_conn *c = NULL;
    const char *reason = NULL;
    const bool open = conn_open(p, pool_url(p), SESSION_MS, SESSION_MS, &c, &reason, NULL) == MEROS_OK;
    if (open) conn_close(c);
    return open || reason != no_answer;
}

void conn_close(struct store_conn *c)
{
    if (c == NULL) return;
    PQfinish(c->pg);
    if (c->wake_fd >= 0) close(c->wake_fd);
    for (size_t i = 0; i < c->cap_prepared; i++) free(c->prepared[i]);
    free(c->prepared);
    pthread_mutex_destroy(&c->cancel_lock);
    free(c);
}

/* A server that went away leaves its farewell or an end of file to read; an idle session has nothing else to
 * say. */
bool conn_healthy(struct store_conn *c)
{
    struct pollfd fd = {.fd = PQsocket(c->pg), .events = POLLIN};
    if (c->broken || fd.fd < 0) return false;
    if (poll(&fd, 1, 0) <= 0) return true;
    if (!PQconsumeInput(c->pg)) return false;
    PGnotify *n;
    while ((n = PQnotifies(c->pg)) != NULL) PQfreemem(n);
    if (PQstatus(c->pg) != CONNECTION_OK) return false;
    /* Something was said (a changed setting, a notice). If the server then hung up, that is readable too. */
    return poll(&fd, 1, 0) <= 0;
}

bool conn_reset(struct store_conn *c)
{
    if (c->broken || c->copying || c->listening || c->in_pipeline || c->stray) return false;
    PGTransactionStatusType t = PQtransactionStatus(c->pg);
    if (t == PQTRANS_INTRANS || t == PQTRANS_INERROR) store_rollback(c);
    /* A cancellation under way must have arrived before the next holder's statements begin. */
    pthread_mutex_lock(&c->cancel_lock);
    c->cancelled = false;
    pthread_mutex_unlock(&c->cancel_lock);
    if (c->broken || PQtransactionStatus(c->pg) != PQTRANS_IDLE) return false;
    return true;
}

bool store_broken(const struct store_conn *c)
{
    return c->broken;
}

void store_cancel(struct store_conn *c)
{
    pthread_mutex_lock(&c->cancel_lock);
    c->cancelled = true;
    if (!conn_cancel(c)) c->stray = true; /* if it fails, the flag still stops the next statement */
    pthread_mutex_unlock(&c->cancel_lock);
}

/* True once after store_cancel; waits until the server has been told, so that a late signal hits no later
 * statement. */
static bool take_cancelled(struct store_conn *c)
{
    if (!c->cancelled) return false;
    pthread_mutex_lock(&c->cancel_lock);
    bool was = c->cancelled;
    c->cancelled = false;
    pthread_mutex_unlock(&c->cancel_lock);
    return was;
}

enum meros_code conn_ready(struct store_conn *c, struct meros_err *err)
{
    if (c->broken || PQstatus(c->pg) != CONNECTION_OK) {
        c->broken = true;
        err_set(err, MEROS_UNAVAILABLE, "The connection to the database was lost; try again.");
        if (err != NULL) err->retry_after = 1;
        return MEROS_UNAVAILABLE;
    }
    if (take_cancelled(c)) return err_set(err, MEROS_CANCELLED, "The work was cancelled.");
    return MEROS_OK;
}

enum meros_code conn_fail(struct store_conn *c, PGresult *result, const char *what, struct meros_err *err)
{
    const char *field = result == NULL ? NULL : PQresultErrorField(result, PG_DIAG_SQLSTATE);
    char state[6] = "";
    if (field != NULL) snprintf(state, sizeof state, "%s", field);
    struct sqlstate s = sqlstate_look(state);
    if (c->late) {
        s = (struct sqlstate){MEROS_UNAVAILABLE, true, "The database does not answer; whether it did what was asked is not known. Try again."};
    } else if (PQstatus(c->pg) != CONNECTION_OK) {
        s = state[0] == '\0' || !s.broken ? sqlstate_look("08006") : s;
    } else if (state[0] == '\0') {
        /* libpq itself gave up: out of memory, or a protocol it does not follow any more. */
        s = (struct sqlstate){MEROS_UNAVAILABLE, true, "The database's answer could not be read; try again."};
    }
    /* Another version of the service changed a table under a prepared statement; a new session sees it as it
     * is. */
    const char *function = result == NULL ? NULL : PQresultErrorField(result, PG_DIAG_SOURCE_FUNCTION);
    if (strcmp(state, "0A000") == 0 && function != NULL && strcmp(function, "RevalidateCachedQuery") == 0)
        s = (struct sqlstate){MEROS_UNAVAILABLE, true, "The database's tables have just changed; try again."};
    if (strcmp(state, "57014") == 0 && take_cancelled(c))
        s = (struct sqlstate){MEROS_CANCELLED, false, "The work was cancelled."};

    const char *constraint = result == NULL ? NULL : PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
    if (constraint != NULL) err_set(err, s.code, "%s (rule %s)", s.detail, constraint);
    else err_set(err, s.code, "%s", s.detail);
    if (err != NULL) {
        memcpy(err->sqlstate, state, sizeof state);
        if (s.code == MEROS_UNAVAILABLE) err->retry_after = 1;
    }
    /* Our own mistakes and time-outs are worth a line here, where statement and message are known; the edge
     * logs the request. What clients can cause at will is not. */
    if (s.code == MEROS_INTERNAL || s.code == MEROS_TIMEOUT) {
        char primary[200] = "";
        const char *message = result == NULL ? NULL : PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
        if (message != NULL) sqlstate_primary(state, message, primary, sizeof primary);
        log_error("store.statement_failed", KV("statement", what), KV("sqlstate", state),
                  KV("message", primary));
    }
    PQclear(result);
    if (s.broken && !c->broken) {
        c->broken = true;
        log_warn("store.connection_lost", KV("statement", what), KV("sqlstate", state));
        pool_suspect(c->pool);
    }
    return s.code;
}

enum meros_code conn_simple(struct store_conn *c, const char *text, const char *what, struct meros_err *err)
{
    enum meros_code rc = conn_ready(c, err);
    if (rc != MEROS_OK) return rc;
    PGresult *r = conn_exec(c, text);
    ExecStatusType status = PQresultStatus(r);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) return conn_fail(c, r, what, err);
    PQclear(r);
    return MEROS_OK;
}
