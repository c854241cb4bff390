#include "meros/store/segments.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "changes_priv.h"
#include "meros/base/clock.h"

enum { FIRST_SLICE = 20000, FIRST_REST_MAX_NS = 100000000 };

static const struct sql LOCK = {
    "segmentation_lock",
    "insert into segmentations (name) values ($1) on conflict (name) do update set name = excluded.name "
    "returning segmentation_no, next_segment",
    SQL_ROW};
static const struct sql SET_NEXT = {
    "segmentation_set_next", "update segmentations set next_segment = $2 where segmentation_no = $1", SQL_NOTHING};

static const struct sql SEGMENTATIONS_ACTIVE = {
    "segmentations_active",
    "select s.segmentation_no, s.name, m.model_no from segmentations s "
    "join models m on m.kind = 'segments' and m.name = s.name and m.active order by s.segmentation_no",
    SQL_ROWS};
static const struct sql COUNT_CUSTOMERS = {"segments_count_customers", "select count(*) from customers", SQL_ROW};

static const struct sql CUSTOMER_NOS = {
    "segments_customer_nos", "select customer_no from customers where customer_no > $1 order by customer_no limit $2", SQL_ROWS};

static const struct sql SEGMENTS_DELETE = {"segments_delete", "delete from segments where model_no = $1", SQL_NOTHING};
static const struct sql SEGMENT_INSERT = {
    "segment_insert",
    "insert into segments (model_no, position, segment_id, label, description, size, share, revenue_share, profile) "
    "values ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::json)",
    SQL_NOTHING};
static const struct sql SEGMENTS_READ = {
    "segments_read",
    "select position, segment_id, label, description, size, share, revenue_share, profile::text from segments "
    "where model_no = $1 order by position",
    SQL_ROWS};
static const struct sql EVALUATED = {
    "segments_evaluated", "update models set evaluated_at = $2 where model_no = $1", SQL_NOTHING};

#define SEGMENTATION "(select segmentation_no from segmentations where name = $1)"
/* What is pending (pending.c) holds in place of memberships: less those who have left, and those who have come. */
static const struct sql SIZES = {
    "segment_sizes",
    "select segment_id, sum(n)::bigint from ("
    "  select segment_id, count(*) as n from memberships where segmentation_no = " SEGMENTATION " group by segment_id "
    "  union all select m.segment_id, -count(*) from pending_moves p join memberships m using (customer_no, segmentation_no) "
    "  where p.segmentation_no = " SEGMENTATION " group by m.segment_id "
    "  union all select segment_id, count(*) from pending_moves where segmentation_no = " SEGMENTATION " and segment_id is not null "
    "  group by segment_id) u group by segment_id having sum(n) > 0",
    SQL_ROWS};

/* COPY takes no parameters; the segmentation is passed as a setting of the transaction. */
static const struct sql SET_SEGMENTATION = {
    "memberships_set_segmentation", "select set_config('meros.segmentation', $1::bigint::text, true)", SQL_ROW};
static const struct sql MEMBERSHIPS_OUT = {
    "memberships_out",
    "copy (select customer_no, segment_id from memberships "
    "where segmentation_no = current_setting('meros.segmentation')::bigint order by customer_no) to stdout (format binary)",
    SQL_ROWS};

static const struct sql NEW_TABLE = {
    "memberships_new_table",
    "create temporary table new_memberships (customer_no bigint not null, segment_id text collate \"C\" not null) on commit drop",
    SQL_NOTHING};
static const struct sql NEW_IN = {
    "memberships_new_in", "copy new_memberships (customer_no, segment_id) from stdin (format binary)", SQL_NOTHING};
/* The planner may believe that a segmentation has next to no members (a first training wrote them a moment ago), and would
 * then read all of the new ones for each of the old. With the index each is one look-up, whatever it believes. */
static const struct sql NEW_INDEX = {
    "memberships_new_index", "alter table new_memberships add primary key (customer_no)", SQL_NOTHING};
static const struct sql NEW_DROP = {"memberships_new_drop", "drop table new_memberships", SQL_NOTHING};
static const struct sql FIRST = {
    "memberships_first",
    "select not exists (select from memberships where segmentation_no = $1) "
    "and not exists (select from segment_changes where segmentation_no = $1)",
    SQL_ROW};

/* The first evaluation: nobody else writes to a segmentation that no model is active in, and what it writes is no news. */
static const struct sql FIRST_ENTER = {
    "memberships_first_enter", "copy memberships (customer_no, segmentation_no, segment_id, since) from stdin (format binary)", SQL_NOTHING};
static const struct sql FIRST_RECORD = {
    "memberships_first_record",
    "copy segment_changes (customer_no, segmentation_no, segment_id, entered, news, at, model_no) from stdin (format binary)", SQL_NOTHING};
/* A customer who was erased after the data were read must not come back. */
static const struct sql FIRST_DROP_ERASED = {
    "memberships_drop_erased",
    "with gone as (delete from memberships m where m.segmentation_no = $1 "
    "              and not exists (select from customers c where c.customer_no = m.customer_no) returning customer_no) "
    "delete from segment_changes h using gone where h.customer_no = gone.customer_no and h.segmentation_no = $1",
    SQL_NOTHING};
static const struct sql FIRST_DROP = {
    "memberships_drop",
    "with gone as (delete from memberships where customer_no = any ($2) and segmentation_no = $1 returning customer_no) "
    "delete from segment_changes h using gone where h.customer_no = gone.customer_no and h.segmentation_no = $1",
    SQL_NOTHING};

#define NOT_PENDING                                                                                          \
    "not exists (select from pending_moves p where p.customer_no = m.customer_no and p.segmentation_no = m.segmentation_no offset 0)"
/* The segmentation is looked up first and is then a constant, so that a page is a walk along memberships_segment; joined to
 * it, every page read the whole segment. */
static const struct sql MEMBERS_PAGE = {
    "members_page",
    "(select m.customer_no, c.customer_id, m.since from memberships m join customers c on c.customer_no = m.customer_no "
    " where m.segmentation_no = " SEGMENTATION " and m.segment_id = $2 and m.customer_no > $3 and c.customer_no > $3 and " NOT_PENDING
    " order by m.customer_no limit $4) "
    "union all (select p.customer_no, c.customer_id, p.at from pending_moves p join customers c on c.customer_no = p.customer_no "
    " where p.segmentation_no = " SEGMENTATION " and p.segment_id = $2 and p.customer_no > $3 order by p.customer_no limit $4) "
    "order by 1 limit $4",
    SQL_ROWS};
static const struct sql MEMBERSHIPS_OF = {
    "memberships_of",
    "select m.customer_no, s.name, m.segment_id, m.since from ("
    "  select m.customer_no, m.segmentation_no, m.segment_id, m.since from memberships m where m.customer_no = any($1) and " NOT_PENDING
    "  union all select customer_no, segmentation_no, segment_id, at from pending_moves where customer_no = any($1) and segment_id is not null) m "
    "join segmentations s on s.segmentation_no = m.segmentation_no",
    SQL_ROWS};

enum meros_code store_segmentation_lock(struct store_conn *c, struct str name, int64_t *out_no, int64_t *out_next_segment,
                                        struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &LOCK, &r, err, P_TEXT(name));
    if (rc != MEROS_OK) return rc;
    *out_no = rows_int(&r, 0, 0);
    *out_next_segment = rows_int(&r, 0, 1);
    rows_done(&r);
    return pending_settle_all(c, *out_no, err);
}

enum meros_code store_segmentation_set_next(struct store_conn *c, int64_t no, int64_t next_segment, struct meros_err *err)
{
    return sql_exec(c, &SET_NEXT, NULL, err, P_INT(no), P_INT(next_segment));
}

enum meros_code store_segmentations_active(struct store_conn *c, active_fn fn, void *arg, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec0(c, &SEGMENTATIONS_ACTIVE, &r, err);
    if (rc != MEROS_OK) return rc;
    for (size_t i = 0; i < r.n && rc == MEROS_OK; i++) rc = fn(arg, rows_int(&r, i, 0), rows_text(&r, i, 1), rows_int(&r, i, 2), err);
    rows_done(&r);
    return rc;
}

enum meros_code store_customers_count(struct store_conn *c, int64_t *out, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec0(c, &COUNT_CUSTOMERS, &r, err);
    if (rc != MEROS_OK) return rc;
    *out = rows_int(&r, 0, 0);
    rows_done(&r);
    return MEROS_OK;
}

enum meros_code store_customer_nos(struct store_conn *c, int64_t after, int64_t *out, size_t cap, size_t *out_n, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &CUSTOMER_NOS, &r, err, P_INT(after), P_INT((int64_t)cap));
    if (rc != MEROS_OK) return rc;
    for (size_t i = 0; i < r.n; i++) out[i] = rows_int(&r, i, 0);
    *out_n = r.n;
    rows_done(&r);
    return MEROS_OK;
}

enum meros_code store_segments_write(struct store_conn *c, int64_t model_no, const struct segment_row *rows, size_t n,
                                     struct meros_err *err)
{
    enum meros_code rc = sql_exec(c, &SEGMENTS_DELETE, NULL, err, P_INT(model_no));
    for (size_t i = 0; i < n && rc == MEROS_OK; i++) {
        const struct segment_row *s = &rows[i];
        rc = sql_exec(c, &SEGMENT_INSERT, NULL, err, P_INT(model_no), P_INT(s->position), P_TEXT(s->id), P_TEXT(s->label),
                      P_TEXT(s->description), P_INT(s->size), P_NUM(s->share),
                      isnan(s->revenue_share) ? P_NULL : P_NUM(s->revenue_share), P_TEXT(s->profile));
    }
    return rc;
}

enum meros_code store_segments_read(struct store_conn *c, int64_t model_no, segment_row_fn fn, void *arg, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &SEGMENTS_READ, &r, err, P_INT(model_no));
    if (rc != MEROS_OK) return rc;
    for (size_t i = 0; i < r.n && rc == MEROS_OK; i++) {
        const struct segment_row s = {
            .position = rows_int(&r, i, 0),
            .id = rows_text(&r, i, 1),
            .label = rows_text(&r, i, 2),
            .description = rows_text(&r, i, 3),
            .size = rows_int(&r, i, 4),
            .share = rows_num(&r, i, 5),
            .revenue_share = rows_num(&r, i, 6),
            .profile = rows_text(&r, i, 7),
        };
        rc = fn(arg, &s, err);
    }
    rows_done(&r);
    return rc;
}

enum meros_code store_segments_evaluated(struct store_conn *c, int64_t model_no, int64_t at, struct meros_err *err)
{
    return sql_exec(c, &EVALUATED, NULL, err, P_INT(model_no), P_TIME(at));
}

enum meros_code store_segment_sizes(struct store_conn *c, struct str segmentation, segment_size_fn fn, void *arg, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &SIZES, &r, err, P_TEXT(segmentation));
    if (rc != MEROS_OK) return rc;
    for (size_t i = 0; i < r.n; i++) fn(arg, rows_text(&r, i, 0), rows_int(&r, i, 1));
    rows_done(&r);
    return MEROS_OK;
}

struct reading {
    membership_fn fn;
    void *arg;
};

static enum meros_code read_membership(void *arg, const struct copy_field *fields, int n, struct meros_err *err)
{
    const struct reading *r = arg;
    (void)n;
    return r->fn(r->arg, copy_int(&fields[0]), copy_text(&fields[1]), err);
}

enum meros_code store_memberships_read(struct store_conn *c, int64_t segmentation_no, membership_fn fn, void *arg,
                                       struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &SET_SEGMENTATION, &r, err, P_INT(segmentation_no));
    if (rc != MEROS_OK) return rc;
    rows_done(&r);
    struct reading reading = {fn, arg};
    return copy_out(c, &MEMBERSHIPS_OUT, read_membership, &reading, err);
}

/* Who is where as of a moment: label i is of customer i. */
struct evaluation {
    int64_t segmentation_no, model_no, at;
    const int64_t *customer_nos;
    const int32_t *labels;
    size_t n;
    const struct str *segment_ids;
};

static enum meros_code copy_new(const struct evaluation *e, struct store_conn *c, struct meros_err *err)
{
    struct copy_in k;
    enum meros_code rc = copy_in_begin(&k, c, &NEW_IN, err);
    if (rc != MEROS_OK) return rc;
    for (size_t i = 0; i < e->n && rc == MEROS_OK; i++) {
        rc = copy_in_row(&k, 2, err);
        if (rc != MEROS_OK) break;
        copy_in_int8(&k, e->customer_nos[i]);
        copy_in_text(&k, e->segment_ids[e->labels[i]]);
    }
    if (rc == MEROS_OK) return copy_in_end(&k, NULL, err);
    copy_in_abort(&k);
    return rc;
}

/* Into memberships, or (record) into the record. */
static enum meros_code copy_first(const struct evaluation *e, struct store_conn *c, bool record, size_t from, size_t to, struct meros_err *err)
{
    struct copy_in k;
    enum meros_code rc = copy_in_begin(&k, c, record ? &FIRST_RECORD : &FIRST_ENTER, err);
    if (rc != MEROS_OK) return rc;
    for (size_t i = from; i < to && rc == MEROS_OK; i++) {
        rc = copy_in_row(&k, record ? 7 : 4, err);
        if (rc != MEROS_OK) break;
        copy_in_int8(&k, e->customer_nos[i]);
        copy_in_int8(&k, e->segmentation_no);
        copy_in_text(&k, e->segment_ids[e->labels[i]]);
        if (record) copy_in_bool(&k, true);
        if (record) copy_in_bool(&k, false);
        copy_in_time(&k, e->at);
        if (record) copy_in_int8(&k, e->model_no);
    }
    if (rc == MEROS_OK) return copy_in_end(&k, NULL, err);
    copy_in_abort(&k);
    return rc;
}

/* Straight into the tables, a slice at a time with a rest behind it: commits of events wait for all of the log that is before them, and
 * for the machine. Nobody waits for what is written here: the changes lock is taken when all is there. */
static enum meros_code copy_slices(const struct evaluation *e, struct store_conn *c, struct meros_err *err)
{
    enum meros_code rc = MEROS_OK;
    for (size_t from = 0; from < e->n && rc == MEROS_OK; from += FIRST_SLICE) {
        const size_t to = e->n - from < FIRST_SLICE ? e->n : from + FIRST_SLICE;
        const int64_t began_ns = clock_mono_ns();
        rc = copy_first(e, c, false, from, to, err);
        if (rc == MEROS_OK) rc = copy_first(e, c, true, from, to, err);
        const int64_t rest_ns = (clock_mono_ns() - began_ns) / 2;
        if (to < e->n) nanosleep(&(struct timespec){.tv_nsec = rest_ns < FIRST_REST_MAX_NS ? rest_ns : FIRST_REST_MAX_NS}, NULL);
    }
    return rc;
}

/* Everybody is looked at once without the lock, and under it only who is gone since. */
static enum meros_code write_first(const struct evaluation *e, struct store_conn *c, int64_t *out_changed, struct meros_err *err)
{
    struct rows erased = {0}, late = {0};
    int64_t *gone = NULL;
    size_t n_gone = 0;
    enum meros_code rc = copy_slices(e, c, err);
    if (rc == MEROS_OK) rc = sql_exec(c, &FIRST_DROP_ERASED, &erased, err, P_INT(e->segmentation_no));
    if (rc == MEROS_OK) rc = store_changes_lock(c, err);
    if (rc == MEROS_OK) rc = changed_gone(c, &gone, &n_gone, err);
    if (rc == MEROS_OK && n_gone > 0) rc = sql_exec(c, &FIRST_DROP, &late, err, P_INT(e->segmentation_no), P_INTS(gone, n_gone));
    *out_changed = (int64_t)e->n - erased.affected - late.affected;
    rows_done(&erased);
    rows_done(&late);
    free(gone);
    return rc;
}

static enum meros_code write_again(const struct evaluation *e, struct store_conn *c, int64_t *out_changed, struct meros_err *err)
{
    enum meros_code rc = sql_exec0(c, &NEW_TABLE, NULL, err);
    if (rc == MEROS_OK) rc = copy_new(e, c, err);
    if (rc == MEROS_OK) rc = sql_exec0(c, &NEW_INDEX, NULL, err);
    if (rc == MEROS_OK) rc = pending_write(c, e->segmentation_no, e->model_no, e->at, out_changed, err);
    /* Dropped here and not only at commit: one transaction may write several segmentations. */
    return rc == MEROS_OK ? sql_exec0(c, &NEW_DROP, NULL, err) : rc;
}

enum meros_code store_memberships_write(struct store_conn *c, int64_t segmentation_no, int64_t model_no, int64_t at,
                                        const int64_t *customer_nos, const int32_t *labels, size_t n,
                                        const struct str *segment_ids, struct memberships_written *out, struct meros_err *err)
{
    const struct evaluation e = {segmentation_no, model_no, at, customer_nos, labels, n, segment_ids};
    struct rows first = {0};
    *out = (struct memberships_written){0};
    enum meros_code rc = store_changes_names(c, model_no, err);
    if (rc == MEROS_OK) rc = sql_exec(c, &FIRST, &first, err, P_INT(segmentation_no));
    if (rc == MEROS_OK) out->first = rows_bool(&first, 0, 0);
    rows_done(&first);
    return rc == MEROS_OK ? (out->first ? write_first : write_again)(&e, c, &out->changed, err) : rc;
}

enum meros_code store_members_page(struct store_conn *c, struct str segmentation, struct str segment_id, int64_t after,
                                   int64_t limit, member_row_fn fn, void *arg, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc =
        sql_exec(c, &MEMBERS_PAGE, &r, err, P_TEXT(segmentation), P_TEXT(segment_id), P_INT(after), P_INT(limit));
    if (rc != MEROS_OK) return rc;
    for (size_t i = 0; i < r.n; i++) {
        const struct member_row m = {
            .customer_no = rows_int(&r, i, 0), .customer_id = rows_text(&r, i, 1), .since = rows_time(&r, i, 2)};
        fn(arg, &m);
    }
    rows_done(&r);
    return MEROS_OK;
}

static const struct sql MEMBERS_SAMPLE = {
    "members_sample",
    "select c.customer_id, count(*) over () from ("
    "  select m.customer_no from memberships m where m.segmentation_no = " SEGMENTATION " and m.segment_id = $2 and not exists ("
    "    select from pending_moves p where p.customer_no = m.customer_no and p.segmentation_no = m.segmentation_no) "
    "  union all select customer_no from pending_moves where segmentation_no = " SEGMENTATION " and segment_id = $2) m "
    "join customers c on c.customer_no = m.customer_no order by hashint8(m.customer_no), m.customer_no limit $3",
    SQL_ROWS};

enum meros_code store_members_sample(struct store_conn *c, struct str segmentation, struct str segment_id, int64_t most, struct arena *arena,
                                     const struct str **out, size_t *out_n, int64_t *out_members, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &MEMBERS_SAMPLE, &r, err, P_TEXT(segmentation), P_TEXT(segment_id), P_INT(most));
    if (rc != MEROS_OK) return rc;
    struct str *ids = arena_array(arena, r.n + 1, sizeof *ids);
    for (size_t i = 0; ids != NULL && i < r.n; i++) {
        const struct str id = rows_text(&r, i, 0);
        ids[i] = (struct str){arena_strndup(arena, id.p, id.n), id.n};
        if (!str_present(ids[i])) ids = NULL;
    }
    *out = ids;
    *out_n = r.n;
    *out_members = r.n > 0 ? rows_int(&r, 0, 1) : 0;
    rows_done(&r);
    return ids != NULL ? MEROS_OK : err_set(err, MEROS_OUT_OF_MEMORY, "No memory for members of a segment.");
}

enum meros_code store_memberships_of(struct store_conn *c, const int64_t *customer_nos, size_t n, membership_of_fn fn, void *arg,
                                     struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &MEMBERSHIPS_OF, &r, err, P_INTS(customer_nos, n));
    if (rc != MEROS_OK) return rc;
    for (size_t i = 0; i < r.n; i++)
        fn(arg, rows_int(&r, i, 0), rows_text(&r, i, 1), rows_text(&r, i, 2), rows_time(&r, i, 3));
    rows_done(&r);
    return MEROS_OK;
}
