/* The outbox of webhooks: what is still to be told to whom, written in the transaction that makes the news, so that news
 * and the telling of it are there together or not at all.
 *
 * Ended jobs ("job.finished") and activated models ("model.activated") are noted by triggers of the database, whoever ends
 * or activates them. Changes of segments are noted by whoever writes them, since only it knows which are news. */
#ifndef MEROS_STORE_OUTBOX_H
#define MEROS_STORE_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/err.h"
#include "meros/base/str.h"
#include "meros/domain/segment.h"
#include "meros/store/store.h"

/* Told on commit when a job or a model was noted, a test was asked for, or a webhook was changed. */
#define STORE_WEBHOOKS_CHANNEL "meros_webhooks"

/* Inside the caller's transaction: notes the rows of segment_changes first_no … last_no (both of them, and all between)
 * for every enabled webhook that wants them. One statement, which looks at nothing where there is no such webhook.
 * *out_n (may be NULL): messages noted. The sender hears of them by STORE_CHANGES_CHANNEL. */
enum meros_code store_outbox_segment_changes(struct store_conn *c, int64_t first_no, int64_t last_no, int64_t *out_n,
                                             struct meros_err *err) MEROS_MUSTCHECK;
/* A message of type webhook.test. */
enum meros_code store_outbox_test(struct store_conn *c, int64_t webhook_no, char out_id[40], struct meros_err *err) MEROS_MUSTCHECK;

/* --- sending */

/* What a message is about, as it is now. */
struct outbox_message {
    int64_t delivery_no, webhook_no;
    struct str id;       /* "msg_…": the same however often it is sent */
    struct str type;
    int64_t created_at;
    int64_t attempts;    /* this one included */
    enum {
        OUTBOX_GONE, /* what it was about is no more: drop it */
        OUTBOX_TEST,
        OUTBOX_CHANGE,
        OUTBOX_MODEL,
        OUTBOX_JOB
    } about;
    struct segment_change change; /* segment.entered, segment.left */
    /* model.activated */
    struct str model_id;
    int64_t model_version;
    struct str model_kind, model_name, model_algorithm;
    int64_t activated_at;
    /* job.finished */
    struct str job_id, job_kind, job_state, job_error; /* job_error: JSON, or STR_NONE */
    int64_t job_created_at, job_started_at, job_finished_at;
};
typedef void (*outbox_message_fn)(void *arg, const struct outbox_message *m); /* views live during the call */

/* For the connection of whoever sends: its commits do not wait for the disk. What a crash of the machine takes back of them
 * is sent once more. */
enum meros_code store_outbox_session(struct store_conn *c, struct meros_err *err) MEROS_MUSTCHECK;
/* Takes up to wanted[i] due messages of webhook_nos[i], those due first first (newest: the newest first), for lease_seconds:
 * until then no other process takes them. They become due again by themselves. */
enum meros_code store_outbox_claim(struct store_conn *c, const int64_t *webhook_nos, const int64_t *wanted, size_t n, bool newest,
                                   double lease_seconds, outbox_message_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;

/* What became of messages that were claimed; those that somebody else has claimed since are left as they are. */
struct outbox_claimed {
    const int64_t *webhook_nos, *delivery_nos, *attempts;
    size_t n;
};
enum meros_code store_outbox_done(struct store_conn *c, struct outbox_claimed x, struct meros_err *err) MEROS_MUSTCHECK; /* deletes them */
/* Due again in delays[i] seconds. */
enum meros_code store_outbox_failed(struct store_conn *c, struct outbox_claimed x, const double *delays, const struct str *errors,
                                    struct meros_err *err) MEROS_MUSTCHECK;
/* Due now, as if they had not been claimed. */
enum meros_code store_outbox_give_back(struct store_conn *c, struct outbox_claimed x, struct meros_err *err) MEROS_MUSTCHECK;

/* Ends every claim: for whoever knows that nobody sends anything. */
enum meros_code store_outbox_orphan(struct store_conn *c, int64_t *out_n, struct meros_err *err) MEROS_MUSTCHECK;
/* Deletes what belongs to no webhook, what has waited for `days` for one that is switched off, and the oldest of every
 * webhook that has more than `most` (counted in its `dropped`). *out_dropped: how many of the last. */
enum meros_code store_outbox_tidy(struct store_conn *c, int64_t most, int days, int64_t *out_dropped, struct meros_err *err) MEROS_MUSTCHECK;
/* Messages that wait, counted up to `most`; *out_oldest_seconds: how long the oldest has, 0 where there is none. */
enum meros_code store_outbox_depth(struct store_conn *c, int64_t most, int64_t *out_n, double *out_oldest_seconds,
                                   struct meros_err *err) MEROS_MUSTCHECK;

/* Messages that wait for a webhook, in the order of delivery_no, after `after` (0: from the first). */
struct outbox_waiting {
    int64_t delivery_no;
    struct str id, type, last_error;
    int64_t attempts, created_at, due_at;
};
typedef void (*outbox_waiting_fn)(void *arg, const struct outbox_waiting *w);
enum meros_code store_outbox_list(struct store_conn *c, int64_t webhook_no, int64_t after, int64_t limit, outbox_waiting_fn fn,
                                  void *arg, struct meros_err *err) MEROS_MUSTCHECK;

#endif
