/* Moves of many at once are written a slice at a time: whoever reads meanwhile sees where they all are, others who write come
 * in between, and in the end tables and record are what one transaction would have made of them. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "meros/base/arena.h"
#include "meros/store/customers.h"
#include "meros/store/segment_changes.h"
#include "meros/store/segments.h"
#include "pg.h"
#include "store_priv.h"

enum { PEOPLE = 2 * PENDING_SLICE + 500 };
#define DAY (INT64_C(86400) * 1000000)

static struct pg *db;
static struct store_conn *c;
static struct meros_err err;
static int64_t x; /* the segmentation */
static int64_t nos[PEOPLE];
static const struct str ids[] = {STR("s0"), STR("s1"), STR("s2")};
#define OK(call) cr_assert_eq(call, MEROS_OK, "%s (%s)", err.detail, err.sqlstate)

/* Everybody is judged: customer no. k is in s(k + turn) % 2. */
static enum meros_code judge(struct store_conn *conn, int64_t at, int turn, struct memberships_written *written, struct meros_err *e)
{
    static int32_t labels[PEOPLE];
    for (int k = 0; k < PEOPLE; k++) labels[k] = (k + 1 + turn) % 2;
    return store_memberships_write(conn, x, turn + 1, at, nos, labels, PEOPLE, ids, written, e);
}

static void judge_all(int64_t at, int turn)
{
    struct memberships_written written;
    OK(store_begin(c, &err));
    OK(judge(c, at, turn, &written, &err));
    OK(store_commit(c, &err));
    cr_assert_eq(written.changed, PEOPLE);
}

static void begin(void)
{
    char sql[600];
    db = pg_fresh();
    c = pg_conn(db);
    snprintf(sql, sizeof sql,
             "insert into segmentations (name) values ('x'); insert into customers (customer_no, customer_id) select i, 'c' || i from generate_series(1, %d) i;"
             "insert into customer_ids (customer_id, customer_no) select customer_id, customer_no from customers;"
             "insert into models (model_id, kind, name, version, algorithm, params, features, metrics, seed, evaluated_at, trained_at, rows, row_hash, build, artifact, checksum, active)"
             "values ('m', 'segments', 'x', 1, 'kmeans', '{}', '[]', '{}', 1, now(), now(), 1, '', '', '', '', true)", PEOPLE);
    pg_run(db, sql);
    x = pg_int(db, "select segmentation_no from segmentations where name = 'x'");
    for (int k = 0; k < PEOPLE; k++) nos[k] = k + 1;
    judge_all(10 * DAY, 0);
    cr_assert_eq(pg_int(db, "select count(*) from pending_moves"), 0, "the first judgement is no move");
    judge_all(20 * DAY, 1);
    cr_assert_eq(pg_int(db, "select count(*) from pending_moves"), PEOPLE);
}

static void end(void)
{
    pg_done(db);
}

TestSuite(pending, .init = begin, .fini = end, .timeout = 300);

/* --- what readers see */

struct seen {
    int n, wrong;
    int64_t last;
    int parity; /* of the numbers of those who belong there */
    int64_t since;
};

static void see_member(void *arg, const struct member_row *m)
{
    struct seen *s = arg;
    s->wrong += m->customer_no <= s->last || m->customer_no % 2 != s->parity || m->since != s->since;
    s->last = m->customer_no;
    s->n++;
}

static void see_size(void *arg, struct str segment_id, int64_t size)
{
    int64_t *sizes = arg;
    sizes[segment_id.p[1] - '0'] += size;
}

static void see_membership(void *arg, int64_t customer_no, struct str segmentation, struct str segment_id, int64_t since)
{
    struct seen *s = arg;
    (void)segmentation;
    s->wrong += segment_id.p[1] - '0' != (customer_no + 1) % 2 || since != 20 * DAY;
    s->n++;
}

static void see_transition(void *arg, struct str from, struct str from_label, struct str to, struct str to_label, int64_t customers)
{
    (void)from_label, (void)to_label;
    if (!str_eq(from, to)) *(int64_t *)arg += customers;
}

static void page_through(int segment, int64_t at, int parity, int64_t since)
{
    struct seen s = {.parity = parity, .since = since};
    for (int before = -1; before != s.n;) {
        before = s.n;
        if (at == TIME_NONE) OK(store_members_page(c, STR("x"), ids[segment], s.last, 1000, see_member, &s, &err));
        else OK(store_members_page_at(c, STR("x"), ids[segment], at, s.last, 1000, see_member, &s, &err));
    }
    cr_assert_eq(s.n, PEOPLE / 2, "segment s%d has %d members", segment, s.n);
    cr_assert_eq(s.wrong, 0);
}

static void expect_everybody_moved(void)
{
    int64_t sizes[3] = {0}, moved = 0, members;
    struct seen s = {0};
    struct arena arena;
    const struct str *sample;
    size_t n;
    OK(store_segment_sizes(c, STR("x"), see_size, sizes, &err));
    cr_assert_eq(sizes[0], PEOPLE / 2);
    cr_assert_eq(sizes[1], PEOPLE / 2);
    for (int k = 0; k < 2; k++) {
        page_through(k, TIME_NONE, (k + 1) % 2, 20 * DAY);
        page_through(k, 25 * DAY, (k + 1) % 2, 20 * DAY);
        page_through(k, 15 * DAY, k % 2, 10 * DAY);
    }
    OK(store_memberships_of(c, nos, PEOPLE, see_membership, &s, &err));
    cr_assert_eq(s.n, PEOPLE);
    cr_assert_eq(s.wrong, 0);
    OK(store_transitions(c, STR("x"), 15 * DAY, 25 * DAY, see_transition, &moved, &err));
    cr_assert_eq(moved, PEOPLE);
    arena_init(&arena, 1 << 20);
    OK(store_members_sample(c, STR("x"), ids[1], 10, &arena, &sample, &n, &members, &err));
    cr_assert_eq(members, PEOPLE / 2);
    arena_done(&arena);
}

Test(pending, whoever_reads_sees_where_all_are_before_between_and_after_the_slices)
{
    int64_t n = 0, all = 0;
    expect_everybody_moved();
    for (int slice = 0; all < PEOPLE; slice++, all += n) {
        OK(store_pending_settle_some(c, &n, &err));
        cr_assert(n > 0 && n <= PENDING_SLICE, "%d at once", (int)n);
        expect_everybody_moved();
    }
    OK(store_pending_settle_some(c, &n, &err));
    cr_assert_eq(n, 0);
    cr_assert_eq(pg_int(db, "select count(*) from segment_changes where news"), 2 * PEOPLE);
    cr_assert_eq(pg_int(db, "select count(*) from segment_changes h where news and entered and not exists (select from segment_changes l "
                            "where l.customer_no = h.customer_no and l.change_no < h.change_no and not l.entered and l.at = h.at and l.model_no = 2)"), 0);
    cr_assert_eq(pg_int(db, "select count(*) from memberships m join segment_changes h using (customer_no, segmentation_no, segment_id) where h.news and h.entered and h.at = m.since"), PEOPLE);
}

Test(pending, whoever_moves_alone_moves_from_where_they_are)
{
    const struct membership_move move = {PEOPLE, x, 2, 30 * DAY, STR("s1"), STR("s2")};
    OK(store_begin(c, &err));
    OK(store_changes_lock(c, &err));
    OK(store_moves_write(c, &move, 1, &err));
    OK(store_commit(c, &err));
    OK(store_pending_settle(c, STR("x"), &err));
    char *record = pg_table(db, "select segment_id, entered, extract(epoch from at)::bigint / 86400 from segment_changes where customer_no = (select max(customer_no) from customers) order by change_no");
    cr_assert_str_eq(record, "s0|t|10\ns0|f|20\ns1|t|20\ns1|f|30\ns2|t|30\n");
    free(record);
    cr_assert_eq(pg_int(db, "select count(*) from memberships where segment_id = 's2' and since = timestamptz 'epoch' + interval '30 days'"), 1);
}

Test(pending, two_who_become_one_bring_along_what_is_pending_of_them)
{
    OK(store_begin(c, &err));
    pg_run(db, "delete from customer_ids where customer_no = 2; delete from customers where customer_no = 2");
    OK(store_changes_join(c, (int64_t[]){2}, (int64_t[]){1}, (int64_t[]){1}, 1, 25 * DAY, &err));
    OK(store_commit(c, &err));
    OK(store_pending_settle(c, STR("x"), &err));
    cr_assert_eq(pg_int(db, "select count(*) from memberships where customer_no = 2 or customer_no = 1 and segment_id <> 's0'"), 0);
    cr_assert_eq(pg_int(db, "select count(*) from memberships"), PEOPLE - 1);
    cr_assert_eq(pg_int(db, "select count(*) from segment_changes where customer_no = 2"), 0);
}

Test(pending, whoever_is_erased_is_nowhere_any_more)
{
    struct erasure gone;
    int64_t sizes[3] = {0};
    OK(store_begin(c, &err));
    OK(customers_erase(c, STR("c7"), &gone, &err));
    OK(store_commit(c, &err));
    OK(store_segment_sizes(c, STR("x"), see_size, sizes, &err));
    cr_assert_eq(sizes[0] + sizes[1], PEOPLE - 1);
    OK(store_pending_settle(c, STR("x"), &err));
    cr_assert_eq(pg_int(db, "select (select count(*) from memberships where customer_no = 7) + (select count(*) from segment_changes where customer_no = 7)"), 0);
    cr_assert_eq(pg_int(db, "select count(*) from memberships"), PEOPLE - 1);
}

Test(pending, another_judgement_before_the_last_one_is_written_down_loses_nothing)
{
    struct memberships_written written;
    int64_t no, next;
    OK(store_begin(c, &err));
    OK(store_segmentation_lock(c, STR("x"), &no, &next, &err));
    OK(judge(c, 30 * DAY, 2, &written, &err));
    OK(store_commit(c, &err));
    OK(store_pending_settle(c, STR("x"), &err));
    cr_assert_eq(pg_int(db, "select count(*) from segment_changes where news"), 4 * PEOPLE);
    cr_assert_eq(pg_int(db, "select count(*) from memberships where since = timestamptz 'epoch' + interval '30 days'"), PEOPLE);
}

/* --- beside others who write */

struct judging {
    pthread_t thread;
    struct meros_err err;
    enum meros_code rc;
};

static void *judge_beside(void *arg)
{
    struct judging *j = arg;
    struct memberships_written written;
    struct store_conn *conn = NULL;
    j->rc = store_connect(db->pool, &conn, &j->err);
    if (j->rc == MEROS_OK) j->rc = store_begin(conn, &j->err);
    if (j->rc == MEROS_OK) j->rc = judge(conn, 30 * DAY, 2, &written, &j->err);
    if (j->rc == MEROS_OK) j->rc = store_commit(conn, &j->err);
    store_disconnect(conn);
    return NULL;
}

static void await_waiting(const char *type)
{
    char sql[200];
    snprintf(sql, sizeof sql, "select count(*) from pg_locks where not granted and locktype = '%s'", type);
    for (int i = 0; i < 6000 && pg_int(db, sql) == 0; i++) nanosleep(&(struct timespec){0, 10000000}, NULL);
    cr_assert_gt(pg_int(db, sql), 0, "nobody waits");
}

Test(pending, while_the_moves_of_many_are_found_others_write)
{
    struct judging j = {.err = MEROS_ERR_INIT};
    struct store_conn *other = pg_conn(db);
    bool alone = false;
    OK(store_pending_settle(c, STR("x"), &err));
    static const struct sql LOCK_TABLE = {"test_lock_pending", "lock table pending_moves in share row exclusive mode", SQL_NOTHING};
    OK(store_begin(other, &err));
    OK(sql_exec0(other, &LOCK_TABLE, NULL, &err));
    cr_assert_eq(pthread_create(&j.thread, NULL, judge_beside, &j), 0);
    await_waiting("relation");
    OK(store_begin(c, &err));
    OK(store_changes_look(c, &alone, &err));
    cr_assert(alone, "the lock is not held while moves are found");
    store_rollback(c);
    store_rollback(other);
    pthread_join(j.thread, NULL);
    cr_assert_eq(j.rc, MEROS_OK, "%s", j.err.detail);
}

Test(pending, whoever_moves_or_goes_while_everybody_is_judged_is_where_the_judgement_says)
{
    struct judging j = {.err = MEROS_ERR_INIT};
    OK(store_pending_settle(c, STR("x"), &err));
    const struct membership_move moves[] = {{1, x, 2, 25 * DAY, STR("s0"), STR("s2")}, {2, x, 2, 25 * DAY, STR("s1"), STR("s0")}};
    OK(store_begin(c, &err));
    OK(store_changes_lock(c, &err));
    cr_assert_eq(pthread_create(&j.thread, NULL, judge_beside, &j), 0);
    await_waiting("advisory");
    OK(store_moves_write(c, moves, 2, &err));
    static const struct sql GO = {"test_go", "with i as (delete from customer_ids where customer_no = 3), m as (delete from memberships where customer_no = 3), "
                                  "noted as (insert into changed_customers (customers, customer_nos) values (1, '{3}')) delete from customers where customer_no = 3", SQL_NOTHING};
    OK(sql_exec0(c, &GO, NULL, &err));
    OK(store_commit(c, &err));
    pthread_join(j.thread, NULL);
    cr_assert_eq(j.rc, MEROS_OK, "%s", j.err.detail);
    cr_assert_eq(pg_int(db, "select count(*) from pending_moves where customer_no = 3"), 0);
    OK(store_pending_settle(c, STR("x"), &err));
    char *where = pg_table(db, "select customer_no, segment_id, extract(epoch from since)::bigint / 86400 from memberships where customer_no <= 4 order by 1");
    cr_assert_str_eq(where, "1|s1|30\n2|s0|25\n4|s0|30\n");
    free(where);
    cr_assert_eq(pg_int(db, "select count(*) from memberships"), PEOPLE - 1);
}
