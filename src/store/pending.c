/* Moves of many at once: the judgement of a whole segmentation. Written at once they would keep the changes lock for as long
 * as memberships and the record take, half a minute for a million, and joins, erasures and with them all events wait for
 * that lock. So what is found is put into pending_moves, without the lock; under it only what changed meanwhile is put right
 * and the model made the active one. From that commit on pending_moves holds in place of memberships, for whoever reads
 * them; and the sweeper takes it into memberships and the record, PENDING_SLICE of them under the lock at a time. Whoever
 * else writes memberships of somebody takes theirs first. */
#include "changes_priv.h"

#include <stdlib.h>
#include "meros/store/segments.h"

/* --- taking them. Each step goes from the rows taken by key: tables of a million rows are not read for some thousands. */

#define APPLY(taken)                                                                                         \
    "with taken as materialized (delete from pending_moves where ctid = any (array(" taken ")) "             \
    "  returning customer_no, segmentation_no, model_no, segment_id, at), "                                  \
    "moves as materialized (select t.customer_no, t.segmentation_no, t.model_no, m.place, m.segment_id as was, t.segment_id as becomes, " \
    "    greatest(t.at, m.since) as at " /* nobody leaves before they came */                                \
    "  from taken t left join lateral (select o.ctid as place, o.segment_id, o.since from memberships o "      \
    "    where o.customer_no = t.customer_no and o.segmentation_no = t.segmentation_no offset 0) m on true " \
    "  where m.segment_id is distinct from t.segment_id "                                                    \
    "  and exists (select from customers c where c.customer_no = t.customer_no offset 0)), "                 \
    "gone as (delete from memberships where ctid = any (array(select place from moves where becomes is null))), " \
    "entered as (insert into memberships as m (customer_no, segmentation_no, segment_id, since) "            \
    "  select customer_no, segmentation_no, becomes, at from moves where becomes is not null order by customer_no, segmentation_no " \
    "  on conflict (customer_no, segmentation_no) do update set segment_id = excluded.segment_id, since = excluded.since), " \
    "noted as (insert into segment_changes (customer_no, segmentation_no, segment_id, entered, news, at, model_no) " \
    "  select v.customer_no, v.segmentation_no, side.segment_id, side.entered, true, v.at, v.model_no "      \
    "  from moves v cross join lateral (values (v.was, false), (v.becomes, true)) as side (segment_id, entered) " \
    "  where side.segment_id is not null order by v.customer_no, v.segmentation_no, side.entered returning change_no) " \
    "select min(change_no), max(change_no), (select count(*) from taken) from noted"
static const struct sql APPLY_SOME = {"pending_apply_some",
    APPLY("select ctid from pending_moves order by customer_no, segmentation_no limit $1"), SQL_ROW};
static const struct sql APPLY_SEGMENTATION = {"pending_apply_segmentation",
    APPLY("select ctid from pending_moves where segmentation_no = $1 limit $2"), SQL_ROW};
static const struct sql APPLY_PEOPLE = {"pending_apply_people",
    APPLY("select ctid from pending_moves where customer_no = any ($1)"), SQL_ROW};
static const struct sql ANY = {"pending_any", "select exists (select from pending_moves where segmentation_no = $1)", SQL_ROW};
static const struct sql NUMBER = {"pending_segmentation", "select segmentation_no from segmentations where name = $1", SQL_ROW_OR_NONE};

static enum meros_code announce(struct store_conn *c, struct rows *r, int64_t *out_n, struct meros_err *err)
{
    const enum meros_code rc = changes_announce(c, r, err);
    *out_n = rows_int(r, 0, 2);
    rows_done(r);
    return rc;
}

enum meros_code pending_settle_people(struct store_conn *c, const int64_t *customer_nos, size_t n, struct meros_err *err)
{
    struct rows r;
    int64_t taken;
    enum meros_code rc = sql_exec(c, &APPLY_PEOPLE, &r, err, P_INTS(customer_nos, n));
    return rc != MEROS_OK ? rc : announce(c, &r, &taken, err);
}

static enum meros_code settle_segmentation(struct store_conn *c, int64_t no, int64_t limit, int64_t *out_n, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &APPLY_SEGMENTATION, &r, err, P_INT(no), P_INT(limit));
    return rc != MEROS_OK ? rc : announce(c, &r, out_n, err);
}

static enum meros_code any_of(struct store_conn *c, int64_t no, bool *out, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &ANY, &r, err, P_INT(no));
    if (rc != MEROS_OK) return rc;
    *out = rows_bool(&r, 0, 0);
    rows_done(&r);
    return MEROS_OK;
}

enum meros_code pending_settle_all(struct store_conn *c, int64_t segmentation_no, struct meros_err *err)
{
    bool any = false;
    int64_t n;
    enum meros_code rc = any_of(c, segmentation_no, &any, err);
    if (rc != MEROS_OK || !any) return rc;
    rc = store_changes_lock(c, err);
    return rc != MEROS_OK ? rc : settle_segmentation(c, segmentation_no, INT64_MAX, &n, err);
}

static enum meros_code number_of(struct store_conn *c, struct str segmentation, int64_t *out, struct meros_err *err)
{
    struct rows r;
    *out = 0;
    enum meros_code rc = sql_exec(c, &NUMBER, &r, err, P_TEXT(segmentation));
    if (rc != MEROS_OK) return rc;
    if (r.n == 1) *out = rows_int(&r, 0, 0);
    rows_done(&r);
    return MEROS_OK;
}

/* One slice, in a transaction of its own. */
static enum meros_code settle_slice(struct store_conn *c, const struct sql *s, const struct sql_param *params, size_t n_params,
                                    int64_t *out_n, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = store_begin(c, err);
    if (rc == MEROS_OK) rc = store_changes_lock(c, err);
    if (rc == MEROS_OK) rc = sql_run(c, s, &r, err, params, n_params);
    if (rc == MEROS_OK) rc = announce(c, &r, out_n, err);
    if (rc == MEROS_OK) rc = store_commit(c, err);
    if (rc != MEROS_OK) store_rollback(c);
    return rc;
}

enum meros_code store_pending_settle_some(struct store_conn *c, int64_t *out_n, struct meros_err *err)
{
    const struct sql_param limit = P_INT(PENDING_SLICE);
    return settle_slice(c, &APPLY_SOME, &limit, 1, out_n, err);
}

enum meros_code store_pending_settle(struct store_conn *c, struct str segmentation, struct meros_err *err)
{
    int64_t no;
    bool any;
    enum meros_code rc = number_of(c, segmentation, &no, err);
    const struct sql_param params[] = {P_INT(no), P_INT(PENDING_SLICE)};
    while (rc == MEROS_OK && (rc = any_of(c, no, &any, err)) == MEROS_OK && any) {
        int64_t n;
        rc = settle_slice(c, &APPLY_SEGMENTATION, params, 2, &n, err);
    }
    return rc;
}

enum meros_code pending_any(struct store_conn *c, struct str segmentation, bool *out, struct meros_err *err)
{
    int64_t no;
    enum meros_code rc = number_of(c, segmentation, &no, err);
    return rc == MEROS_OK ? any_of(c, no, out, err) : rc;
}

/* --- finding them */

/* Writers of the record follow one another, so whoever moves after this moment has a higher number. */
static const struct sql RECORD_END = {"pending_record_end",
    "select coalesce(max(change_no), 0) from segment_changes where segmentation_no = $1", SQL_ROW};
static const struct sql FIND = {"pending_find",
    "insert into pending_moves (customer_no, segmentation_no, model_no, segment_id, at) "
    "select customer_no, $1, $2, n.segment_id, greatest($3, m.since) from new_memberships n "
    "full join (select customer_no, segment_id, since from memberships where segmentation_no = $1) m using (customer_no) "
    "where m.segment_id is distinct from n.segment_id", SQL_NOTHING};
/* Erased, or become one with another, since the customers were read. */
static const struct sql DROP_GONE = {"pending_drop_gone",
    "delete from pending_moves p where p.segmentation_no = $1 and not exists (select from customers c where c.customer_no = p.customer_no)", SQL_NOTHING};
static const struct sql MOVED_SINCE = {"pending_moved_since",
    "select distinct customer_no from segment_changes where segmentation_no = $1 and change_no > $2", SQL_ROWS};
static const struct sql FORGET = {"pending_forget",
    "delete from pending_moves where segmentation_no = $1 and customer_no = any ($2)", SQL_NOTHING};
static const struct sql FIND_AGAIN = {"pending_find_again",
    "insert into pending_moves (customer_no, segmentation_no, model_no, segment_id, at) "
    "select u.no, $1, $2, n.segment_id, greatest($3, m.since) from unnest($4::bigint[]) as u (no) "
    "left join new_memberships n on n.customer_no = u.no "
    "left join memberships m on m.customer_no = u.no and m.segmentation_no = $1 where m.segment_id is distinct from n.segment_id", SQL_NOTHING};
static const struct sql HOW_MANY = {"pending_how_many", "select count(*) from pending_moves where segmentation_no = $1", SQL_ROW};

static enum meros_code ask_one(struct store_conn *c, const struct sql *s, int64_t no, int64_t *out, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, s, &r, err, P_INT(no));
    if (rc != MEROS_OK) return rc;
    *out = rows_int(&r, 0, 0);
    rows_done(&r);
    return MEROS_OK;
}

/* Who has moved since `record_end`. */
static enum meros_code moved_since(struct store_conn *c, int64_t no, int64_t record_end, int64_t **out_nos, size_t *out_n, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &MOVED_SINCE, &r, err, P_INT(no), P_INT(record_end));
    if (rc != MEROS_OK) return rc;
    *out_n = r.n;
    *out_nos = calloc(r.n + 1, sizeof **out_nos);
    for (size_t i = 0; *out_nos != NULL && i < r.n; i++) (*out_nos)[i] = rows_int(&r, i, 0);
    rows_done(&r);
    return *out_nos != NULL ? MEROS_OK : err_set(err, MEROS_OUT_OF_MEMORY, "No memory for moves between segments.");
}

/* Under the lock: those who moved since `record_end`, and those who are gone. */
static enum meros_code put_right(struct store_conn *c, int64_t no, int64_t model_no, int64_t at, int64_t record_end, struct meros_err *err)
{
    int64_t *moved = NULL, *gone = NULL;
    size_t n_moved = 0, n_gone = 0;
    enum meros_code rc = moved_since(c, no, record_end, &moved, &n_moved, err);
    if (rc == MEROS_OK && n_moved > 0) rc = sql_exec(c, &FORGET, NULL, err, P_INT(no), P_INTS(moved, n_moved));
    if (rc == MEROS_OK && n_moved > 0) rc = sql_exec(c, &FIND_AGAIN, NULL, err, P_INT(no), P_INT(model_no), P_TIME(at), P_INTS(moved, n_moved));
    if (rc == MEROS_OK) rc = changed_gone(c, &gone, &n_gone, err);
    if (rc == MEROS_OK && n_gone > 0) rc = sql_exec(c, &FORGET, NULL, err, P_INT(no), P_INTS(gone, n_gone));
    free(moved);
    free(gone);
    return rc;
}

enum meros_code pending_write(struct store_conn *c, int64_t no, int64_t model_no, int64_t at, int64_t *out_changed, struct meros_err *err)
{
    int64_t record_end = 0, taken;
    enum meros_code rc = ask_one(c, &RECORD_END, no, &record_end, err);
    if (rc == MEROS_OK) rc = sql_exec(c, &FIND, NULL, err, P_INT(no), P_INT(model_no), P_TIME(at));
    if (rc == MEROS_OK) rc = sql_exec(c, &DROP_GONE, NULL, err, P_INT(no));
    if (rc == MEROS_OK) rc = store_changes_lock(c, err);
    if (rc == MEROS_OK) rc = put_right(c, no, model_no, at, record_end, err);
    if (rc == MEROS_OK) rc = ask_one(c, &HOW_MANY, no, out_changed, err);
    if (rc == MEROS_OK && *out_changed <= PENDING_SLICE) rc = settle_segmentation(c, no, PENDING_SLICE, &taken, err);
    return rc;
}
