#include "meros/store/outbox.h"

#include "store_priv.h"

/* The condition on webhooks alone is looked at first, once: without anybody who wants to know, segment_changes is not read. */
static const struct sql CHANGES = {
    "outbox_segment_changes",
    "insert into webhook_outbox (webhook_no, type, change_no) "
    "select w.webhook_no, k.type, h.change_no from segment_changes h "
    "cross join lateral (select case when h.entered then 'segment.entered' else 'segment.left' end) k(type) "
    "join webhooks w on w.enabled and k.type = any(w.events) and (w.segment_id is null or w.segment_id = h.segment_id) "
    "and (w.segmentation is null or w.segmentation = (select name from segmentations s where s.segmentation_no = h.segmentation_no)) "
    "where h.news and h.change_no between $1 and $2 "
    "and exists (select 1 from webhooks where enabled and events && array['segment.entered', 'segment.left']) "
    "order by h.change_no",
    SQL_NOTHING};
static const struct sql TEST = {
    "outbox_test",
    "with made as (insert into webhook_outbox (webhook_no, type) values ($1, 'webhook.test') returning message_id), "
    "told as (update webhooks set rest_until = null where webhook_no = $1 returning pg_notify('" STORE_WEBHOOKS_CHANNEL "', '')) "
    "select 'msg_' || replace(message_id::text, '-', '') from made, told",
    SQL_ROW};

/* Each look-up is a subquery that cannot be flattened, so that it is one look-up a message whatever the planner believes of
 * the sizes. */
#define CLAIM_TEXT(which)                                                                                    \
    "with taken as (update webhook_outbox o set claimed = true, attempts = o.attempts + 1, due_at = now() + make_interval(secs => $3) " \
    "from (select d.webhook_no, d.delivery_no from unnest($1::bigint[], $2::bigint[]) as w(webhook_no, wanted) " \
    "cross join lateral (select x.webhook_no, x.delivery_no from webhook_outbox x where x.webhook_no = w.webhook_no and x.due_at <= now() " \
    "" which " limit w.wanted for update skip locked) d) due " \
    "where o.webhook_no = due.webhook_no and o.delivery_no = due.delivery_no " \
    "returning o.webhook_no, o.delivery_no, o.message_id, o.type, o.change_no, o.subject, o.attempts, o.created_at) " \
    "select t.delivery_no, t.webhook_no, 'msg_' || replace(t.message_id::text, '-', ''), t.type, t.created_at, t.attempts, " \
    "c.change_no, c.customer_no, c.customer_id, c.segmentation, c.segment_id, c.label, c.entered, c.at, c.model_id, c.version, " \
    "m.model_id, m.version, m.kind, m.name, m.algorithm, m.activated_at, j.job_id, j.kind, j.state, j.error, j.created_at, j.started_at, j.finished_at " \
    "from taken t " \
    "left join lateral (select h.change_no, h.customer_no, x.customer_id, s.name as segmentation, h.segment_id, " \
    "coalesce(n.label, h.segment_id) as label, h.entered, h.at, n.model_id, n.version " \
    "from segment_changes h join customers x on x.customer_no = h.customer_no " \
    "join segmentations s on s.segmentation_no = h.segmentation_no " \
    "left join change_names n on n.model_no = h.model_no and n.segment_id = h.segment_id " \
    "where h.change_no = t.change_no limit 1) c on true " \
    "left join lateral (select v.model_id, v.version, v.kind, v.name, v.algorithm, v.activated_at from models v " \
    "where t.type = 'model.activated' and v.model_id = t.subject limit 1) m on true " \
    "left join lateral (select y.job_id, y.kind, y.state, y.error::text as error, y.created_at, y.started_at, y.finished_at from jobs y " \
    "where t.type = 'job.finished' and y.job_id = t.subject limit 1) j on true " \
    "order by t.delivery_no"
static const struct sql CLAIM = {"outbox_claim", CLAIM_TEXT("order by x.due_at, x.delivery_no"), SQL_ROWS};
static const struct sql CLAIM_NEWEST = {"outbox_claim_newest", CLAIM_TEXT("order by x.delivery_no desc"), SQL_ROWS};

#define CLAIMED_                                                                                             \
    "from unnest($1::bigint[], $2::bigint[], $3::bigint[]) as x(webhook_no, delivery_no, attempts) "        \
    "where o.webhook_no = x.webhook_no and o.delivery_no = x.delivery_no and o.attempts = x.attempts and o.claimed"
static const struct sql DONE = {
    "outbox_done",
    "delete from webhook_outbox o using unnest($1::bigint[], $2::bigint[], $3::bigint[]) as x(webhook_no, delivery_no, attempts) "
    "where o.webhook_no = x.webhook_no and o.delivery_no = x.delivery_no and o.attempts = x.attempts and o.claimed",
    SQL_NOTHING};
static const struct sql FAILED = {
    "outbox_failed",
    "update webhook_outbox o set claimed = false, due_at = now() + make_interval(secs => x.delay), last_error = x.error "
    "from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::float8[], $5::text[]) as x(webhook_no, delivery_no, attempts, delay, error) "
    "where o.webhook_no = x.webhook_no and o.delivery_no = x.delivery_no and o.attempts = x.attempts and o.claimed",
    SQL_NOTHING};
static const struct sql GIVE_BACK = {
    "outbox_give_back", "update webhook_outbox o set claimed = false, attempts = o.attempts - 1, due_at = least(o.due_at, now()) " CLAIMED_,
    SQL_NOTHING};
static const struct sql SESSION = {"outbox_session", "select set_config('synchronous_commit', 'off', false)", SQL_ROW};
static const struct sql ORPHAN = {
    "outbox_orphan", "update webhook_outbox set claimed = false, due_at = now() where claimed and due_at > now()", SQL_NOTHING};
static const struct sql TIDY_FOREIGN = {
    "outbox_tidy_foreign",
    "delete from webhook_outbox o where not exists (select 1 from webhooks w where w.webhook_no = o.webhook_no "
    "and (w.enabled or w.disabled_at > now() - make_interval(days => $1::bigint::integer)))",
    SQL_NOTHING};
static const struct sql TIDY_LONG = {
    "outbox_tidy_long",
    "with long as (select webhook_no from webhook_outbox group by webhook_no having count(*) > $1), "
    "gone as (delete from webhook_outbox o using long l where o.webhook_no = l.webhook_no and o.delivery_no <= "
    "(select delivery_no from webhook_outbox b where b.webhook_no = l.webhook_no order by delivery_no desc offset $1 limit 1) "
    "returning o.webhook_no), counted as (select webhook_no, count(*) as n from gone group by webhook_no) "
    "update webhooks w set dropped = w.dropped + c.n from counted c where w.webhook_no = c.webhook_no returning c.n",
    SQL_ROWS};
static const struct sql DEPTH = {
    "outbox_depth",
    "select count(*), coalesce(extract(epoch from now() - min(created_at)), 0)::float8 from (select created_at from webhook_outbox limit $1) x",
    SQL_ROW};
static const struct sql LIST = {
    "outbox_list",
    "select delivery_no, 'msg_' || replace(message_id::text, '-', ''), type, last_error, attempts, created_at, due_at "
    "from webhook_outbox where webhook_no = $1 and delivery_no > $2 order by delivery_no limit $3",
    SQL_ROWS};

enum meros_code store_outbox_segment_changes(struct store_conn *c, int64_t first_no, int64_t last_no, int64_t *out_n,
                                             struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &CHANGES, &r, err, P_INT(first_no), P_INT(last_no));
    if (rc != MEROS_OK) return rc;
    if (out_n != NULL) *out_n = r.affected;
    rows_done(&r);
    return MEROS_OK;
}

enum meros_code store_outbox_test(struct store_conn *c, int64_t webhook_no, char out_id[40], struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &TEST, &r, err, P_INT(webhook_no));
    if (rc != MEROS_OK) return rc;
    bool fits = str_copy(out_id, 40, rows_text(&r, 0, 0));
    rows_done(&r);
    return fits ? MEROS_OK : err_set(err, MEROS_INTERNAL, "The id of a message is too long.");
}

static void give(const struct rows *r, size_t i, outbox_message_fn fn, void *arg)
{
    struct outbox_message m = {
        .delivery_no = rows_int(r, i, 0),
        .webhook_no = rows_int(r, i, 1),
        .id = rows_text(r, i, 2),
        .type = rows_text(r, i, 3),
        .created_at = rows_time(r, i, 4),
        .attempts = rows_int(r, i, 5),
        .change = {.change_no = rows_int(r, i, 6),
                   .customer_no = rows_int(r, i, 7),
                   .customer_id = rows_text(r, i, 8),
                   .segmentation = rows_text(r, i, 9),
                   .segment_id = rows_text(r, i, 10),
                   .label = rows_text(r, i, 11),
                   .entered = rows_bool(r, i, 12),
                   .at = rows_time(r, i, 13),
                   .model_id = rows_text(r, i, 14),
                   .model_version = rows_int(r, i, 15)},
        .model_id = rows_text(r, i, 16),
        .model_version = rows_int(r, i, 17),
        .model_kind = rows_text(r, i, 18),
        .model_name = rows_text(r, i, 19),
        .model_algorithm = rows_text(r, i, 20),
        .activated_at = rows_time(r, i, 21),
        .job_id = rows_text(r, i, 22),
        .job_kind = rows_text(r, i, 23),
        .job_state = rows_text(r, i, 24),
        .job_error = rows_text(r, i, 25),
        .job_created_at = rows_time(r, i, 26),
        .job_started_at = rows_time(r, i, 27),
        .job_finished_at = rows_time(r, i, 28),
    };
    if (m.change.change_no != 0) m.about = OUTBOX_CHANGE;
    else if (str_present(m.job_id)) m.about = OUTBOX_JOB;
    else if (str_present(m.model_id)) m.about = OUTBOX_MODEL;
    else m.about = str_is(m.type, "webhook.test") ? OUTBOX_TEST : OUTBOX_GONE;
    fn(arg, &m);
}

enum meros_code store_outbox_claim(struct store_conn *c, const int64_t *webhook_nos, const int64_t *wanted, size_t n,
                                   bool newest, double lease_seconds, outbox_message_fn fn, void *arg, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, newest ? &CLAIM_NEWEST : &CLAIM, &r, err, P_INTS(webhook_nos, n), P_INTS(wanted, n), P_NUM(lease_seconds));
    if (rc != MEROS_OK) return rc;
    for (size_t i = 0; i < r.n; i++) give(&r, i, fn, arg);
    rows_done(&r);
    return MEROS_OK;
}

enum meros_code store_outbox_done(struct store_conn *c, struct outbox_claimed x, struct meros_err *err)
{
    return sql_exec(c, &DONE, NULL, err, P_INTS(x.webhook_nos, x.n), P_INTS(x.delivery_nos, x.n), P_INTS(x.attempts, x.n));
}

enum meros_code store_outbox_failed(struct store_conn *c, struct outbox_claimed x, const double *delays, const struct str *errors,
                                    struct meros_err *err)
{
    return sql_exec(c, &FAILED, NULL, err, P_INTS(x.webhook_nos, x.n), P_INTS(x.delivery_nos, x.n), P_INTS(x.attempts, x.n),
                    P_NUMS(delays, x.n), P_TEXTS(errors, x.n));
}

enum meros_code store_outbox_give_back(struct store_conn *c, struct outbox_claimed x, struct meros_err *err)
{
    return sql_exec(c, &GIVE_BACK, NULL, err, P_INTS(x.webhook_nos, x.n), P_INTS(x.delivery_nos, x.n), P_INTS(x.attempts, x.n));
}

enum meros_code store_outbox_session(struct store_conn *c, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec0(c, &SESSION, &r, err);
    if (rc == MEROS_OK) rows_done(&r);
    return rc;
}

enum meros_code store_outbox_orphan(struct store_conn *c, int64_t *out_n, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec0(c, &ORPHAN, &r, err);
    if (rc != MEROS_OK) return rc;
    *out_n = r.affected;
    rows_done(&r);
    return MEROS_OK;
}

enum meros_code store_outbox_tidy(struct store_conn *c, int64_t most, int days, int64_t *out_dropped, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &TIDY_FOREIGN, NULL, err, P_INT(days));
    if (rc == MEROS_OK) rc = sql_exec(c, &TIDY_LONG, &r, err, P_INT(most));
    if (rc != MEROS_OK) return rc;
    *out_dropped = 0;
    for (size_t i = 0; i < r.n; i++) *out_dropped += rows_int(&r, i, 0);
    rows_done(&r);
    return MEROS_OK;
}

enum meros_code store_outbox_depth(struct store_conn *c, int64_t most, int64_t *out_n, double *out_oldest_seconds,
                                   struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &DEPTH, &r, err, P_INT(most));
    if (rc != MEROS_OK) return rc;
    *out_n = rows_int(&r, 0, 0);
    *out_oldest_seconds = rows_num(&r, 0, 1);
    rows_done(&r);
    return MEROS_OK;
}

enum meros_code store_outbox_list(struct store_conn *c, int64_t webhook_no, int64_t after, int64_t limit, outbox_waiting_fn fn,
                                  void *arg, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &LIST, &r, err, P_INT(webhook_no), P_INT(after), P_INT(limit));
    if (rc != MEROS_OK) return rc;
    for (size_t i = 0; i < r.n; i++) {
        const struct outbox_waiting w = {.delivery_no = rows_int(&r, i, 0),
                                         .id = rows_text(&r, i, 1),
                                         .type = rows_text(&r, i, 2),
                                         .last_error = rows_text(&r, i, 3),
                                         .attempts = rows_int(&r, i, 4),
                                         .created_at = rows_time(&r, i, 5),
                                         .due_at = rows_time(&r, i, 6)};
        fn(arg, &w);
    }
    rows_done(&r);
    return MEROS_OK;
}
