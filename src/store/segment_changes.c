#include "meros/store/segment_changes.h"

#include <stdlib.h>
#include "changes_priv.h"
#include "meros/base/clock.h"
#include "meros/store/outbox.h"

static const struct sql LOCK = {"changes_lock",
    "select set_config('lock_timeout', '0', true), pg_advisory_xact_lock(" CHANGES_LOCKS ", 1)", SQL_ROW};
static const struct sql LOOK_FROM = {"changes_look_from", "savepoint looking", SQL_NOTHING};
static const struct sql LOOK = {"changes_look", "select pg_try_advisory_xact_lock_shared(" CHANGES_LOCKS ", 1)", SQL_ROW};
static const struct sql LOOKED = {"changes_looked", "rollback to savepoint looking", SQL_NOTHING};
static const struct sql TELL = {"changes_tell", "select pg_notify('" STORE_CHANGES_CHANNEL "', '')", SQL_ROW};

/* --- writing */

#define MOVES                                                                                                \
    "unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::timestamptz[], $5::text[], $6::text[]) with ordinality " \
    "as m (customer_no, segmentation_no, model_no, at, was, becomes, place) "
static const struct sql MOVES_LEAVE = {"moves_leave",
    "delete from memberships o using " MOVES "where m.becomes is null and o.customer_no = m.customer_no "
    "and o.segmentation_no = m.segmentation_no", SQL_NOTHING};
static const struct sql MOVES_ENTER = {"moves_enter",
    "insert into memberships (customer_no, segmentation_no, segment_id, since) "
    "select customer_no, segmentation_no, becomes, at from " MOVES "where becomes is not null order by customer_no, segmentation_no "
    "on conflict (customer_no, segmentation_no) do update set segment_id = excluded.segment_id, since = excluded.since", SQL_NOTHING};
static const struct sql MOVES_RECORD = {"moves_record",
    "with noted as (insert into segment_changes (customer_no, segmentation_no, segment_id, entered, news, at, model_no) "
    "select m.customer_no, m.segmentation_no, side.segment_id, side.entered, true, m.at, m.model_no "
    "from " MOVES "cross join lateral (values (was, false), (becomes, true)) as side (segment_id, entered) "
    "where side.segment_id is not null order by m.place, side.entered returning change_no) "
    "select min(change_no), max(change_no) from noted", SQL_ROW};
/* What the model calls its own segments goes before what the one before it called those that it no longer has. */
static const struct sql NAMES = {"changes_names",
    "insert into change_names (model_no, segment_id, segmentation_no, label, model_id, version) "
    "select distinct on (s.segment_id) m.model_no, s.segment_id, g.segmentation_no, s.label, m.model_id, m.version "
    "from models m join segmentations g on g.name = m.name join (select segment_id, label, model_no, true as own from segments where model_no = $1 "
    "  union all select n.segment_id, n.label, $1, false from models given join models b on b.kind = given.kind and b.name = given.name "
    "              and b.active and b.model_no <> $1 join change_names n on n.model_no = b.model_no where given.model_no = $1) s "
    "on s.model_no = m.model_no where m.model_no = $1 order by s.segment_id, s.own desc "
    "on conflict (model_no, segment_id) do update set label = excluded.label", SQL_NOTHING};

enum meros_code store_changes_lock(struct store_conn *c, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec0(c, &LOCK, &r, err);
    if (rc == MEROS_OK) rows_done(&r);
    return rc;
}

enum meros_code store_changes_look(struct store_conn *c, bool *out_alone, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec0(c, &LOOK_FROM, NULL, err);
    if (rc == MEROS_OK) rc = sql_exec0(c, &LOOK, &r, err);
    if (rc != MEROS_OK) return rc;
    *out_alone = rows_bool(&r, 0, 0);
    rows_done(&r);
    return rc;
}

enum meros_code store_changes_looked(struct store_conn *c, struct meros_err *err)
{
    return sql_exec0(c, &LOOKED, NULL, err);
}

enum meros_code changes_announce(struct store_conn *c, const struct rows *noted, struct meros_err *err)
{
    struct rows r;
    if (rows_null(noted, 0, 0)) return MEROS_OK;
    /* Whoever noted these holds the lock: all news between the first and the last is theirs. */
    enum meros_code rc = store_outbox_segment_changes(c, rows_int(noted, 0, 0), rows_int(noted, 0, 1), NULL, err);
    if (rc == MEROS_OK) rc = sql_exec0(c, &TELL, &r, err);
    if (rc == MEROS_OK) rows_done(&r);
    return rc;
}

enum meros_code store_changes_names(struct store_conn *c, int64_t model_no, struct meros_err *err)
{
    return sql_exec(c, &NAMES, NULL, err, P_INT(model_no));
}

enum meros_code store_moves_write(struct store_conn *c, const struct membership_move *moves, size_t n, struct meros_err *err)
{
    enum { NUMBERS = 4, TEXTS = 2 };
    if (n == 0) return MEROS_OK;
    int64_t *numbers = malloc(NUMBERS * n * sizeof *numbers);
    struct str *texts = malloc(TEXTS * n * sizeof *texts);
    enum meros_code rc = numbers == NULL || texts == NULL ? err_set(err, MEROS_OUT_OF_MEMORY, "No memory for moves between segments.") : MEROS_OK;
    struct rows noted = {0};
    bool leave = false;
    for (size_t i = 0; i < n && rc == MEROS_OK; i++) {
        numbers[i] = moves[i].customer_no;
        numbers[n + i] = moves[i].segmentation_no;
        numbers[2 * n + i] = moves[i].model_no;
        numbers[3 * n + i] = moves[i].at;
        texts[i] = moves[i].left;
        texts[n + i] = moves[i].entered;
        leave |= !str_present(moves[i].entered);
    }
    if (rc == MEROS_OK) {
        const struct sql_param params[] = {P_INTS(numbers, n),          P_INTS(numbers + n, n), P_INTS(numbers + 2 * n, n),
                                           P_TIMES(numbers + 3 * n, n), P_TEXTS(texts, n),      P_TEXTS(texts + n, n)};
        rc = pending_settle_people(c, numbers, n, err);
        if (rc == MEROS_OK && leave) rc = sql_run(c, &MOVES_LEAVE, NULL, err, params, 6);
        if (rc == MEROS_OK) rc = sql_run(c, &MOVES_ENTER, NULL, err, params, 6);
        if (rc == MEROS_OK) rc = sql_run(c, &MOVES_RECORD, &noted, err, params, 6);
        if (rc == MEROS_OK) rc = changes_announce(c, &noted, err);
        rows_done(&noted);
    }
    free(numbers);
    free(texts);
    return rc;
}

/* --- two customers become one */

#define JOINS "unnest($1::bigint[], $2::bigint[], $3::bigint[]) as j (loser_no, survivor_no, kept_no)"
/* Where both are, the survivor's membership holds. Where both have a record, the merged one ends with what holds: as left
 * now what the other one was in, and as entered, when it was entered, what the person is in. So the record says of any later
 * moment what the memberships say of now, and of the past where the survivor was. Nobody entered anything just then, so that
 * is no news. */
static const struct sql JOIN_LEAVE = {"changes_join_leave",
    "with seen as materialized ("
    "  select j.*, m.customer_no = j.survivor_no as own, m.segmentation_no, m.segment_id, m.since, o.model_no "
    "  from " JOINS " join memberships m on m.customer_no in (j.survivor_no, j.loser_no) "
    "  left join segmentations s on s.segmentation_no = m.segmentation_no "
    "  left join models o on o.kind = 'segments' and o.name = s.name and o.active), "
    "lost as materialized ("
    "  select l.*, k.segment_id as holds, k.since as held_since from seen l join seen k "
    "  on k.loser_no = l.loser_no and k.segmentation_no = l.segmentation_no and k.own where not l.own), "
    "gone as (delete from memberships m using lost l where m.customer_no = l.loser_no and m.segmentation_no = l.segmentation_no), "
    "closing as ("
    "  select kept_no, segmentation_no, segment_id, false as entered, greatest($4, since, held_since) as at, model_no "
    "  from lost where segment_id <> holds "
    "  union all "
    "  select kept_no, segmentation_no, segment_id, true, since, model_no from seen s "
    "  where not exists (select from lost l where l.loser_no = s.loser_no and l.segmentation_no = s.segmentation_no and not s.own) "
    "  and exists (select from segment_changes h where h.customer_no = s.loser_no and h.segmentation_no = s.segmentation_no) "
    "  and exists (select from segment_changes h where h.customer_no = s.survivor_no and h.segmentation_no = s.segmentation_no)), "
    "noted as ("
    "  insert into segment_changes (customer_no, segmentation_no, segment_id, entered, news, at, model_no) "
    "  select kept_no, segmentation_no, segment_id, entered, not entered, at, model_no from closing where model_no is not null "
    "  order by kept_no, segmentation_no, entered returning change_no, news) "
    "select min(change_no), max(change_no) from noted where news", SQL_ROW};
static const struct sql JOIN_MOVE = {"changes_join_move",
    "update memberships m set customer_no = j.kept_no from " JOINS
    " where m.customer_no = j.survivor_no + j.loser_no - j.kept_no", SQL_NOTHING};
static const struct sql JOIN_RECORD = {"changes_join_record",
    "update segment_changes h set customer_no = j.kept_no from " JOINS
    " where h.customer_no = j.survivor_no + j.loser_no - j.kept_no", SQL_NOTHING};

enum meros_code store_changes_join(struct store_conn *c, const int64_t *loser, const int64_t *survivor, const int64_t *kept, size_t n,
                                   int64_t at, struct meros_err *err)
{
    const struct sql_param params[] = {P_INTS(loser, n), P_INTS(survivor, n), P_INTS(kept, n), P_TIME(at)};
    struct rows r;
    enum meros_code rc = store_changes_lock(c, err);
    if (rc == MEROS_OK) rc = pending_settle_people(c, loser, n, err);
    if (rc == MEROS_OK) rc = pending_settle_people(c, survivor, n, err);
    if (rc == MEROS_OK) rc = sql_run(c, &JOIN_LEAVE, &r, err, params, 4);
    if (rc != MEROS_OK) return rc;
    rc = sql_run(c, &JOIN_MOVE, NULL, err, params, 3);
    if (rc == MEROS_OK) rc = sql_run(c, &JOIN_RECORD, NULL, err, params, 3);
    if (rc == MEROS_OK) rc = changes_announce(c, &r, err);
    rows_done(&r);
    return rc;
}

/* --- reading */

#define COLUMNS                                                                                              \
    "h.change_no, h.customer_no, c.customer_id, s.name, h.segment_id, coalesce(n.label, h.segment_id), h.entered, h.at, " \
    "n.model_id, n.version "
#define JOINED                                                                                               \
    "join customers c on c.customer_no = h.customer_no "                                                     \
    "join segmentations s on s.segmentation_no = h.segmentation_no "                                         \
    "left join change_names n on n.model_no = h.model_no and n.segment_id = h.segment_id "
#define SEGMENTATION "(select segmentation_no from segmentations where name = $1)"

static const struct sql AFTER = {"changes_after",
    "select " COLUMNS "from (select * from segment_changes where news and change_no > $1 order by change_no limit $2) h " JOINED
    "order by h.change_no", SQL_ROWS};
static const struct sql LAST = {"changes_last",
    "select coalesce((select change_no from segment_changes where news order by change_no desc limit 1), 0)", SQL_ROW};
static const struct sql NUMBER = {"changes_customer_number", "select customer_no from customer_ids where customer_id = $1", SQL_ROW_OR_NONE};
static const struct sql OF_CUSTOMER = {"changes_of_customer",
    "select " COLUMNS "from (select * from segment_changes where customer_no = $1 and ($2::bigint = 0 or change_no < $2) "
    "order by change_no desc limit $3) h " JOINED "order by h.change_no desc", SQL_ROWS};
static const struct sql OF_SEGMENTATION = {"changes_of_segmentation",
    "select " COLUMNS "from (select * from segment_changes "
    "where segmentation_no = " SEGMENTATION " and ($2::bigint = 0 or change_no < $2) "
    "and ($4::text is null or segment_id = $4) and ($5::bigint < 0 or entered = ($5 = 1)) "
    "and ($6::timestamptz is null or at >= $6) and ($7::timestamptz is null or at < $7) "
    "order by change_no desc limit $3) h " JOINED "order by h.change_no desc", SQL_ROWS};

/* Somebody was in the segment that they entered last before the moment, unless they left it before the moment. What they
 * entered and left again does not count: two customers who became one have entered twice. */
#define LATER(later, row, moment)                                                                            \
    later ".customer_no = " row ".customer_no and " later ".segmentation_no = " row ".segmentation_no and "  \
    later ".change_no > " row ".change_no and " later ".at <= " moment " "
#define STANDS(moment, each)                                                                                 \
    "e.entered and e.at <= " moment " and not exists (select from segment_changes l where " LATER("l", "e", moment) \
    "and (l.segment_id = e.segment_id or l.entered and not exists "                                          \
    "     (select from segment_changes x where " LATER("x", "l", moment) "and x.segment_id = l.segment_id)) " each ")"
/* What is not written into the record yet (pending.c) is known already. */
#define NOT_PENDING(moment, each)                                                                            \
    "not exists (select from pending_moves p where p.customer_no = e.customer_no and p.segmentation_no = e.segmentation_no " \
    "and p.at <= " moment " " each ")"
#define EVERYBODY(moment)                                                                                    \
    "select e.customer_no, e.segment_id, e.model_no from segment_changes e "                                 \
    "where e.segmentation_no = " SEGMENTATION " and " STANDS(moment, "") " and " NOT_PENDING(moment, "") " " \
    "union all select customer_no, segment_id, model_no from pending_moves "                                 \
    "where segmentation_no = " SEGMENTATION " and segment_id is not null and at <= " moment
/* One look-up a row (a subquery with an offset is not made a join of everybody): a page reads its own customers alone. */
static const struct sql MEMBERS_AT = {"changes_members_at",
    "(select e.customer_no, c.customer_id, e.at from segment_changes e join customers c on c.customer_no = e.customer_no "
    " where e.segmentation_no = " SEGMENTATION " and e.segment_id = $2 and e.customer_no > $4 and " STANDS("$3", "offset 0")
    " and " NOT_PENDING("$3", "offset 0") " order by e.customer_no limit $5) "
    "union all (select p.customer_no, c.customer_id, p.at from pending_moves p join customers c on c.customer_no = p.customer_no "
    " where p.segmentation_no = " SEGMENTATION " and p.segment_id = $2 and p.customer_no > $4 and p.at <= $3 order by p.customer_no limit $5) "
    "order by 1 limit $5", SQL_ROWS};
static const struct sql TRANSITIONS = {"changes_transitions",
    "with was as (" EVERYBODY("$2") "), became as (" EVERYBODY("$3") ") "
    "select t.was, w.label, t.becomes, b.label, t.customers from ("
    "  select was.segment_id as was, became.segment_id as becomes, count(*) as customers, "
    "         max(was.model_no) as was_by, max(became.model_no) as becomes_by "
    "  from was full join became using (customer_no) group by was.segment_id, became.segment_id) t "
    "left join change_names w on w.model_no = t.was_by and w.segment_id = t.was "
    "left join change_names b on b.model_no = t.becomes_by and b.segment_id = t.becomes "
    "order by t.customers desc, t.was, t.becomes", SQL_ROWS};

static const struct sql SEGMENTS_EVER = {"changes_segments_ever",
    "select distinct segment_id from change_names where segmentation_no = " SEGMENTATION " order by segment_id", SQL_ROWS};

static enum meros_code give(struct rows *r, segment_change_fn fn, void *arg, struct meros_err *err)
{
    enum meros_code rc = MEROS_OK;
    for (size_t i = 0; i < r->n && rc == MEROS_OK; i++) {
        const struct segment_change x = {
            .change_no = rows_int(r, i, 0),
            .customer_no = rows_int(r, i, 1),
            .customer_id = rows_text(r, i, 2),
            .segmentation = rows_text(r, i, 3),
            .segment_id = rows_text(r, i, 4),
            .label = rows_text(r, i, 5),
            .entered = rows_bool(r, i, 6),
            .at = rows_time(r, i, 7),
            .model_id = rows_text(r, i, 8),
            .model_version = rows_int(r, i, 9),
        };
        rc = fn(arg, &x, err);
    }
    rows_done(r);
    return rc;
}

enum meros_code store_changes_after(struct store_conn *c, int64_t after, int64_t limit, segment_change_fn fn, void *arg,
                                    struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &AFTER, &r, err, P_INT(after), P_INT(limit));
    return rc == MEROS_OK ? give(&r, fn, arg, err) : rc;
}

enum meros_code store_changes_last(struct store_conn *c, int64_t *out, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec0(c, &LAST, &r, err);
    if (rc != MEROS_OK) return rc;
    *out = rows_int(&r, 0, 0);
    rows_done(&r);
    return MEROS_OK;
}

enum meros_code store_changes_of_customer(struct store_conn *c, struct str customer_id, int64_t before, int64_t limit,
                                          segment_change_fn fn, void *arg, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &NUMBER, &r, err, P_TEXT(customer_id));
    if (rc != MEROS_OK) return rc;
    const int64_t no = r.n == 1 ? rows_int(&r, 0, 0) : 0;
    rows_done(&r);
    if (no == 0) return err_set(err, MEROS_NOT_FOUND, "There is no customer with this id.");
    rc = sql_exec(c, &OF_CUSTOMER, &r, err, P_INT(no), P_INT(before), P_INT(limit));
    return rc == MEROS_OK ? give(&r, fn, arg, err) : rc;
}

enum meros_code store_changes_of_segmentation(struct store_conn *c, struct str segmentation, const struct change_filter *f,
                                              int64_t before, int64_t limit, segment_change_fn fn, void *arg, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &OF_SEGMENTATION, &r, err, P_TEXT(segmentation), P_INT(before), P_INT(limit), P_TEXT(f->segment_id),
                                  P_INT(f->entered), P_TIME(f->since), P_TIME(f->until));
    return rc == MEROS_OK ? give(&r, fn, arg, err) : rc;
}

enum meros_code store_segments_ever(struct store_conn *c, struct str segmentation, void (*fn)(void *arg, struct str segment_id),
                                    void *arg, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &SEGMENTS_EVER, &r, err, P_TEXT(segmentation));
    if (rc != MEROS_OK) return rc;
    for (size_t i = 0; i < r.n; i++) fn(arg, rows_text(&r, i, 0));
    rows_done(&r);
    return MEROS_OK;
}

enum meros_code store_members_page_at(struct store_conn *c, struct str segmentation, struct str segment_id, int64_t at, int64_t after,
                                      int64_t limit, void (*fn)(void *arg, const struct member_row *m), void *arg, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &MEMBERS_AT, &r, err, P_TEXT(segmentation), P_TEXT(segment_id), P_TIME(at), P_INT(after), P_INT(limit));
    if (rc != MEROS_OK) return rc;
    for (size_t i = 0; i < r.n; i++) {
        const struct member_row m = {
            .customer_no = rows_int(&r, i, 0), .customer_id = rows_text(&r, i, 1), .since = rows_time(&r, i, 2)};
        fn(arg, &m);
    }
    rows_done(&r);
    return MEROS_OK;
}

enum meros_code store_transitions(struct store_conn *c, struct str segmentation, int64_t from, int64_t to, transition_fn fn,
                                  void *arg, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &TRANSITIONS, &r, err, P_TEXT(segmentation), P_TIME(from), P_TIME(to));
    if (rc != MEROS_OK) return rc;
    for (size_t i = 0; i < r.n; i++)
        fn(arg, rows_text(&r, i, 0), rows_text(&r, i, 1), rows_text(&r, i, 2), rows_text(&r, i, 3), rows_int(&r, i, 4));
    rows_done(&r);
    return MEROS_OK;
}
