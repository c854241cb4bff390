#include "meros/store/webhooks.h"

#include "meros/store/outbox.h"
#include "store_priv.h"

/* events as text joined by blanks: event types hold none, and rows have no arrays. */
#define COLUMNS                                                                                              \
    "w.webhook_no, w.name, w.url, array_to_string(w.events, ' '), w.segmentation, w.segment_id, w.secret, "  \
    "case when w.old_until > now() then w.old_secret end, w.enabled, w.disabled_reason, w.disabled_at, w.created_at, w.changed_at, " \
    "w.failures, w.failing_since, w.last_success_at, w.last_failure_at, w.last_error, w.delivered, w.dropped, "  \
    "coalesce(greatest(extract(epoch from w.rest_until - now()), 0), 0)::float8"
#define WAITING "(select count(*) from (select 1 from webhook_outbox o where o.webhook_no = w.webhook_no limit 100000) x)"
_Static_assert(WEBHOOK_WAITING_MAX == 100000, "WAITING counts as far as the header says");
#define TELL_ "pg_notify('" STORE_WEBHOOKS_CHANNEL "', '')"

static const struct sql LOCK = {
    "webhook_lock", "select " COLUMNS ", -1::bigint from webhooks w where name = $1 for update", SQL_ROW_OR_NONE};
static const struct sql INSERT = {
    "webhook_insert",
    "insert into webhooks (name, url, events, segmentation, segment_id, enabled, secret, disabled_at) "
    "select $1, $2, $3, $4, $5, $6, $7, case when not $6 then now() end where (select count(*) from webhooks) < $8 returning " TELL_,
    SQL_ROW_OR_NONE};
static const struct sql UPDATE = {
    "webhook_update",
    "update webhooks set url = $2, events = $3, segmentation = $4, segment_id = $5, enabled = $6, secret = coalesce($7, secret), "
    "old_secret = case when $7 is null then old_secret when $8 > 0 then secret end, "
    "old_until = case when $7 is null then old_until when $8 > 0 then now() + make_interval(secs => $8) end, "
    "disabled_reason = case when $6 or enabled then null else disabled_reason end, "
    "disabled_at = case when $6 then null when enabled then now() else disabled_at end, "
    "changed_at = now(), failures = 0, failing_since = null, rest_until = null "
    "where webhook_no = $1 returning " TELL_,
    SQL_ROW};
static const struct sql GET = {
    "webhook_get", "select " COLUMNS ", " WAITING " from webhooks w where name = $1", SQL_ROW_OR_NONE};
static const struct sql LIST = {
    "webhook_list", "select " COLUMNS ", " WAITING " from webhooks w where name > $1 order by name limit $2", SQL_ROWS};
static const struct sql DELETE = {"webhook_delete", "delete from webhooks where name = $1 returning " TELL_, SQL_ROW_OR_NONE};
static const struct sql ENABLED = {
    "webhooks_enabled", "select " COLUMNS ", -1::bigint from webhooks w where enabled order by webhook_no", SQL_ROWS};

/* $2 delivered, $3 dropped, $4 last failed, $5 first and $6 repeated failures after the last success, $7 error */
static const struct sql RESULT = {
    "webhook_result",
    "update webhooks w set delivered = w.delivered + $2, dropped = w.dropped + $3, "
    "last_success_at = case when $2 > 0 then now() else w.last_success_at end, "
    "last_failure_at = case when $7::text is not null then now() else w.last_failure_at end, "
    "last_error = coalesce($7, w.last_error), "
    "failures = b.before + $5 + case when b.before + $5 >= $8 then $6 else 0 end, "
    "failing_since = case when not $4 then case when $2 > 0 then null else w.failing_since end "
    "when $2 > 0 or w.failing_since is null then now() else w.failing_since end, "
    "rest_until = case when $2 > 0 then null else w.rest_until end "
    "from (select webhook_no, failures as was, case when $2 > 0 then 0 else failures end as before from webhooks where webhook_no = $1 for update) b "
    "where w.webhook_no = b.webhook_no "
    "returning w.failures, coalesce(extract(epoch from now() - w.failing_since), 0)::float8, b.was >= $8 and $2 > 0",
    SQL_ROW_OR_NONE};
/* What waits for its next attempt may be tried now: whoever did not answer does again. */
static const struct sql HURRY = {
    "webhook_hurry", "update webhook_outbox set due_at = now() where webhook_no = $1 and due_at > now() and not claimed", SQL_NOTHING};
static const struct sql REST = {
    "webhook_rest", "update webhooks set rest_until = now() + make_interval(secs => $2) where webhook_no = $1", SQL_NOTHING};
static const struct sql SWITCH_OFF = {
    "webhook_switch_off",
    "update webhooks set enabled = false, disabled_reason = $2, disabled_at = now() where webhook_no = $1 and enabled returning name, " TELL_,
    SQL_ROW_OR_NONE};

static void give(const struct rows *r, size_t i, webhook_row_fn fn, void *arg)
{
    struct webhook_row w = {
        .webhook_no = rows_int(r, i, 0),
        .name = rows_text(r, i, 1),
        .url = rows_text(r, i, 2),
        .segmentation = rows_text(r, i, 4),
        .segment_id = rows_text(r, i, 5),
        .secret = rows_bytes(r, i, 6),
        .old_secret = rows_bytes(r, i, 7),
        .enabled = rows_bool(r, i, 8),
        .disabled_reason = rows_text(r, i, 9),
        .disabled_at = rows_time(r, i, 10),
        .created_at = rows_time(r, i, 11),
        .changed_at = rows_time(r, i, 12),
        .failures = rows_int(r, i, 13),
        .failing_since = rows_time(r, i, 14),
        .last_success_at = rows_time(r, i, 15),
        .last_failure_at = rows_time(r, i, 16),
        .last_error = rows_text(r, i, 17),
        .delivered = rows_int(r, i, 18),
        .dropped = rows_int(r, i, 19),
        .resting_seconds = rows_num(r, i, 20),
        .waiting = rows_int(r, i, 21),
    };
    struct str events = rows_text(r, i, 3);
    while (events.n > 0 && w.n_events < WEBHOOK_EVENTS_MAX) {
        const char *blank = memchr(events.p, ' ', events.n);
        size_t n = blank == NULL ? events.n : (size_t)(blank - events.p);
        w.events[w.n_events++] = (struct str){events.p, n};
        n += blank != NULL;
        events = (struct str){events.p + n, events.n - n};
    }
    fn(arg, &w);
}

static enum meros_code no_such_webhook(struct meros_err *err)
{
    return err_set(err, MEROS_NOT_FOUND, "There is no webhook with this name; GET /v1/webhooks lists those that exist.");
}

enum meros_code store_webhook_lock(struct store_conn *c, struct str name, bool *out_found, webhook_row_fn fn, void *arg,
                                   struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &LOCK, &r, err, P_TEXT(name));
    if (rc != MEROS_OK) return rc;
    *out_found = r.n == 1;
    if (r.n == 1) give(&r, 0, fn, arg);
    rows_done(&r);
    return MEROS_OK;
}

enum meros_code store_webhook_insert(struct store_conn *c, const struct webhook_row *w, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &INSERT, &r, err, P_TEXT(w->name), P_TEXT(w->url), P_TEXTS(w->events, w->n_events),
                                  P_TEXT(w->segmentation), P_TEXT(w->segment_id), P_BOOL(w->enabled),
                                  P_BYTES(w->secret.p, w->secret.n), P_INT(WEBHOOKS_MAX));
    if (rc == MEROS_CONFLICT) return err_set(err, MEROS_CONFLICT, "The webhook is being made by another request at this moment.");
    if (rc != MEROS_OK) return rc;
    if (r.n == 0) rc = err_set(err, MEROS_CONFLICT, "There are %d webhooks, as many as there may be; delete one first.", WEBHOOKS_MAX);
    rows_done(&r);
    return rc;
}

enum meros_code store_webhook_update(struct store_conn *c, int64_t webhook_no, const struct webhook_row *w, double old_seconds,
                                     struct meros_err *err)
{
    struct rows r;
    struct sql_param secret = str_present(w->secret) ? P_BYTES(w->secret.p, w->secret.n) : P_NULL;
    enum meros_code rc =
        sql_exec(c, &UPDATE, &r, err, P_INT(webhook_no), P_TEXT(w->url), P_TEXTS(w->events, w->n_events), P_TEXT(w->segmentation),
                 P_TEXT(w->segment_id), P_BOOL(w->enabled), secret, P_NUM(old_seconds));
    if (rc == MEROS_OK) rows_done(&r);
    return rc;
}

enum meros_code store_webhook_get(struct store_conn *c, struct str name, webhook_row_fn fn, void *arg, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &GET, &r, err, P_TEXT(name));
    if (rc != MEROS_OK) return rc;
    if (r.n == 0) rc = no_such_webhook(err);
    else give(&r, 0, fn, arg);
    rows_done(&r);
    return rc;
}

static enum meros_code give_all(enum meros_code rc, struct rows *r, webhook_row_fn fn, void *arg)
{
    if (rc != MEROS_OK) return rc;
    for (size_t i = 0; i < r->n; i++) give(r, i, fn, arg);
    rows_done(r);
    return MEROS_OK;
}

enum meros_code store_webhook_list(struct store_conn *c, struct str after, int64_t limit, webhook_row_fn fn, void *arg,
                                   struct meros_err *err)
{
    struct rows r;
    return give_all(sql_exec(c, &LIST, &r, err, P_TEXT(after), P_INT(limit)), &r, fn, arg);
}

enum meros_code store_webhooks_enabled(struct store_conn *c, webhook_row_fn fn, void *arg, struct meros_err *err)
{
    struct rows r;
    return give_all(sql_exec0(c, &ENABLED, &r, err), &r, fn, arg);
}

enum meros_code store_webhook_delete(struct store_conn *c, struct str name, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &DELETE, &r, err, P_TEXT(name));
    if (rc != MEROS_OK) return rc;
    if (r.n == 0) rc = no_such_webhook(err);
    rows_done(&r);
    return rc;
}

enum meros_code store_webhook_result(struct store_conn *c, const struct webhook_outcome *o, struct webhook_state *out,
                                     struct meros_err *err)
{
    struct rows r;
    enum meros_code rc =
        sql_exec(c, &RESULT, &r, err, P_INT(o->webhook_no), P_INT(o->delivered), P_INT(o->dropped), P_BOOL(o->last_failed),
                 P_INT(o->failed_after), P_INT(o->failed_again), P_TEXT(o->error), P_INT(WEBHOOK_RESTS_AFTER));
    if (rc != MEROS_OK) return rc;
    *out = (struct webhook_state){0}; /* of one that was deleted meanwhile */
    if (r.n == 1) *out = (struct webhook_state){rows_int(&r, 0, 0), rows_num(&r, 0, 1), rows_bool(&r, 0, 2)};
    rows_done(&r);
    return out->recovered ? sql_exec(c, &HURRY, NULL, err, P_INT(o->webhook_no)) : MEROS_OK;
}

enum meros_code store_webhook_rest(struct store_conn *c, int64_t webhook_no, double seconds, struct meros_err *err)
{
    return sql_exec(c, &REST, NULL, err, P_INT(webhook_no), P_NUM(seconds));
}

enum meros_code store_webhook_switch_off(struct store_conn *c, int64_t webhook_no, struct str reason, char out_name[WEBHOOK_NAME_CAP],
                                         struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &SWITCH_OFF, &r, err, P_INT(webhook_no), P_TEXT(reason));
    if (rc != MEROS_OK) return rc;
    if (!str_copy(out_name, WEBHOOK_NAME_CAP, r.n == 1 ? rows_text(&r, 0, 0) : STR(""))) out_name[0] = '?', out_name[1] = '\0';
    rows_done(&r);
    return MEROS_OK;
}
