/* PostgreSQL for the rest of the service: connections, transactions, migrations, the embedded cluster.
 *
 * A pool hands out connections to worker threads; one connection belongs to one thread until it is released.
 * A broken one is replaced on release; while the database is away, acquiring fails at once with UNAVAILABLE
 * (a circuit breaker probes in the background with backoff), so nothing queues up behind a dead database.
 * store_acquire waits at most the time-out for a free connection, then UNAVAILABLE with Retry-After.
 * Aggregates (store/customers.h, …) take the connection, so that a use case spans several of them in one
 * transaction. */
#ifndef MEROS_STORE_STORE_H
#define MEROS_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/err.h"
#include "meros/base/str.h"

struct store_pool;
struct store_conn;

struct store_config {
    const char *url;          /* libpq connection string or URI; never logged */
    int max_connections;      /* 0: 16 */
    int acquire_timeout_ms;   /* 0: 2000 */
    int statement_timeout_ms; /* 0: 30000; long work raises it with store_set_timeout */
};

/* Succeeds also while the database is away: the breaker is then open and its thread probes. INVALID for a url
 * that cannot be one. Starts one thread. */
enum meros_code store_open(const struct store_config *config, struct store_pool **out,
                           struct meros_err *err) MEROS_MUSTCHECK;
void store_close(struct store_pool *p); /* all connections must be back; NULL is fine */
enum meros_code store_acquire(struct store_pool *p, struct store_conn **out,
                              struct meros_err *err) MEROS_MUSTCHECK;
/* For questions that may take seconds: of the pool's connections a fifth at most (one at least) is held by them at a time, so that many
 * of them leave others theirs. Further ones wait as store_acquire does, no more than the pool has connections, then UNAVAILABLE. */
enum meros_code store_acquire_long(struct store_pool *p, struct store_conn **out,
                                   struct meros_err *err) MEROS_MUSTCHECK;
/* Rolls back an open transaction and gives the statement time-out back its default; NULL is fine. Session
 * state of other kinds (temporary tables without ON COMMIT DROP, session-level advisory locks) must not be
 * left behind. */
void store_release(struct store_pool *p, struct store_conn *c);
/* A connection outside the pool that its owner keeps for long (listener, imports, training). */
enum meros_code store_connect(struct store_pool *p, struct store_conn **out,
                              struct meros_err *err) MEROS_MUSTCHECK;
void store_disconnect(struct store_conn *c);
bool store_broken(const struct store_conn *c);
/* A name of this process among those that use the database, made anew with each start: what its sessions write down is marked by it
 * (store/changed.h). Letters and digits. */
const char *store_origin(void);
bool store_available(struct store_pool *p); /* what the breaker believes; never blocks */

enum meros_code store_begin(struct store_conn *c, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code store_begin_snapshot(struct store_conn *c,
                                     struct meros_err *err) MEROS_MUSTCHECK; /* repeatable read, read only */
/* UNAVAILABLE from a commit: whether it happened is not known (the connection was lost while waiting for the
 * answer). */
enum meros_code store_commit(struct store_conn *c, struct meros_err *err) MEROS_MUSTCHECK;
/* Inside a transaction: its commit need not be on disk when store_commit returns. For what is done again if the server dies. */
enum meros_code store_unforced(struct store_conn *c, struct meros_err *err) MEROS_MUSTCHECK;
void store_rollback(struct store_conn *c);
/* For a connection of the caller's own (store_connect) that runs few statements very often: plans are made once, not for
 * the parameters of each call. It lasts as long as the connection. */
enum meros_code store_set_generic_plans(struct store_conn *c, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code store_set_timeout(struct store_conn *c, int statement_ms,
                                  struct meros_err *err) MEROS_MUSTCHECK; /* 0: none */
/* How long a transaction of this connection may stand still between two statements before the database ends it (60 s if
 * nothing is said): for those that hold locks which others wait for, should the process be paused in the middle. */
enum meros_code store_set_standstill(struct store_conn *c, int ms, struct meros_err *err) MEROS_MUSTCHECK;
/* From another thread, which must know that the connection is still held: the running statement of this
 * connection, or the next one if none runs, fails with CANCELLED. Rolling back still works. */
void store_cancel(struct store_conn *c);

/* LISTEN/NOTIFY on a connection of its own. Channels are fixed names of the program (a-z and _). wait: up to
 * timeout_ms; channel and payload are "" when nothing came. After UNAVAILABLE: reconnect, listen again, look
 * once at what the notification would have told. */
enum meros_code store_listen(struct store_conn *c, const char *channel,
                             struct meros_err *err) MEROS_MUSTCHECK;
enum { STORE_PAYLOAD_MAX = 8000 };
enum meros_code store_wait(struct store_conn *c, int timeout_ms, char channel[64], char payload[STORE_PAYLOAD_MAX],
                           struct meros_err *err) MEROS_MUSTCHECK;
void store_wake(struct store_conn *c); /* makes a store_wait() in another thread return early */

/* Migrations: numbered files embedded in the program, run in order under an advisory lock, each in a
 * transaction, their checksums recorded. CONFLICT if an applied one differs from ours or is newer than ours.
 */
enum meros_code store_migrate(struct store_pool *p, int *out_applied, int *out_version,
                              struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code store_schema_current(struct store_pool *p, bool *out_current, int *out_version,
                                     struct meros_err *err) MEROS_MUSTCHECK;

/* Connections open, idle, waiting and failures since the start, for /metrics. */
struct store_stats {
    int open, idle, waiting;
    int64_t acquired, timeouts, connect_failures;
};
void store_pool_stats(struct store_pool *p, struct store_stats *out);

/* --- the embedded PostgreSQL: a private cluster in DIR/postgres on a unix socket, made on first start,
 * recovered after a crash. Started as root it runs as the user `postgres` of Debian's package, which must be
 * able to enter DIR (make DIR with mode 0711 or wider); if it cannot, as under /root, the cluster lives in
 * /var/lib/meros and DIR/postgres/location says so. As an ordinary user it runs as that user. The operating
 * system's user is the only credential.
 *
 * cluster_start is for the service: one at a time for a folder, a second gets CONFLICT with the other's
 * process id. cluster_attach is for commands (`meros key create`): uses the cluster of a running service, or
 * starts it for as long as the command runs. Whoever is the last to call cluster_stop stops PostgreSQL (fast
 * shutdown, waits up to 8 s; a longer checkpoint goes on by itself and the next start waits for it). A
 * service killed -9 leaves PostgreSQL running, and the next start or command adopts it at once. Errors are
 * sentences for the operator. `url` (1200 bytes always do) may be given to store_open. Start, attach and stop
 * belong to one thread; alive and tend may be called from any until stop. */
struct cluster;
enum { CLUSTER_URL_MAX = 1200 };
enum meros_code cluster_start(const char *dir, struct cluster **out, char *url, size_t url_cap,
                              struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code cluster_attach(const char *dir, struct cluster **out, char *url, size_t url_cap,
                               struct meros_err *err) MEROS_MUSTCHECK;
void cluster_stop(struct cluster *k); /* NULL is fine */
bool cluster_alive(struct cluster *k);
/* Called about every second by the service: starts the postmaster again if it died (kill -9, out of memory),
 * leftover backends and shared memory cleared away, and keeps its log short. Blocks until it is ready;
 * UNAVAILABLE if it does not come up, and then tries at most every 1, 2, 4 … 32 s. */
enum meros_code cluster_tend(struct cluster *k, struct meros_err *err) MEROS_MUSTCHECK;

#endif
