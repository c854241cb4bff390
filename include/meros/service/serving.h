/* Answers about one customer, fresh as of the last commit: the published snapshot of the active models, and the reader
 * that fetches customers' current state for many requests at once.
 *
 * Reader: service/asker.h. A reader thread fetches up to SERVING_BATCH customers with one query, judges each with the snapshot, and
 * hands each its JSON. Each answer is true as of a commit that was there when the query began, which is after the request came.
 * With the database away a batch is refused at once (UNAVAILABLE), and so is whoever has waited for SERVING_PATIENCE_MS.
 *
 * Models: every replica follows channel "models" through the listener and reads the active set again when it changed. */
#ifndef MEROS_SERVICE_SERVING_H
#define MEROS_SERVICE_SERVING_H

#include "meros/base/buf.h"
#include "meros/base/err.h"
#include "meros/base/str.h"
#include "meros/service/asker.h"
#include "meros/service/service.h"

struct snapshot; /* model/snapshot.h */
struct clv_ask;  /* service/clv.h */

enum { SERVING_BATCH = 256, SERVING_QUEUE_MAX = 8192, SERVING_PATIENCE_MS = 5000 };

/* Fills svc->serving; loads the active models (the database must be up) and subscribes to svc->listener, so between
 * listener_new and listener_start. */
enum meros_code serving_start(struct service *svc, struct meros_err *err) MEROS_MUSTCHECK;
/* Refuses what is queued and what comes, and joins the threads; callable when never started. */
void serving_stop(struct service *svc);
void serving_free(struct service *svc);

/* Reads the active models again and publishes them. An artifact that cannot be used is logged and left out. */
enum meros_code serving_reload(struct service *svc, struct meros_err *err) MEROS_MUSTCHECK;
/* Commits a transaction that changes which models are active, and publishes them with it, so that who sees the outcome sees it in
 * answers too: the active set is read through the transaction, and between commit and publishing nobody is answered. As store_commit
 * fails; then nothing is published, and the caller rolls back. */
struct store_conn;
enum meros_code serving_commit(struct service *svc, struct store_conn *c, struct meros_err *err) MEROS_MUSTCHECK;
/* The present set; snapshot_release() it. */
const struct snapshot *serving_snapshot(struct service *svc);
/* Where it is published: who acquires it here does not wait for a commit that is about to publish another (threads that must not
 * block). Lives as long as serving does. */
struct snapshot_holder *serving_models(struct service *svc);

/* One question. The asker's memory; it must live, with customer_id and clv, until done() is called: exactly once, by the reader
 * or the watch thread. On MEROS_OK json holds the answer and may be taken over. done() must not block. */
struct serving_ask {
    struct asker_link link; /* private */
    struct str customer_id;
    int64_t at; /* the moment to judge at; TIME_NONE: the present */
    const struct clv_ask *clv; /* only what the customer will be worth (NOT_FOUND without a model); NULL: all that is known */
    void (*done)(struct serving_ask *ask, enum meros_code rc, struct buf *json, const struct meros_err *err);
    void *arg;
};
/* Never blocks. MEROS_OK: done() will be called, perhaps before this returns. UNAVAILABLE: it will not be. */
enum meros_code serving_ask(struct service *svc, struct serving_ask *ask, struct meros_err *err) MEROS_MUSTCHECK;

#endif
