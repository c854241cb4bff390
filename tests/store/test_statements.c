#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "meros/base/clock.h"
#include "meros/base/log.h"
#include "pg.h"
#include "store_priv.h"

static struct pg *db;
static struct store_conn *c;
static struct meros_err err;

static void open_db(void)
{
    log_configure(LOG_ERROR + 1, LOG_KEY_VALUE); /* failures are the point here */
    db = pg_empty();
    c = pg_conn(db);
}

static void close_db(void)
{
    pg_done(db);
}

TestSuite(statements, .init = open_db, .fini = close_db);

static const struct sql SCALARS = {
    "scalars", "select $1::bigint, $2::text, $3::float8, $4::boolean, $5::timestamptz, $6::bytea, $7::jsonb",
    SQL_ROW};
static const struct sql ARRAYS = {
    "arrays",
    "select a, b, d, e from unnest($1::bigint[], $2::text[], $3::float8[], $4::timestamptz[])"
    " with ordinality as t(a, b, d, e, n) order by n",
    SQL_ROWS};
static const struct sql ECHO_TEXT = {"echo_text", "select $1::text, octet_length($1::text)", SQL_ROW};

Test(statements, values_come_back_as_they_went_in)
{
    unsigned char bytes[256];
    for (int i = 0; i < 256; i++) bytes[i] = (unsigned char)i;
    static const int64_t ints[] = {0, 1, -1, INT64_MAX, INT64_MIN};
    static const double nums[] = {0.1, -0.0, 1e308, 5e-324, INFINITY};
    static const int64_t times[] = {0, 1, -1, INT64_C(1700000000123456), INT64_C(-62135596800000000)};
    for (int i = 0; i < 5; i++) {
        struct rows r;
        cr_assert_eq(sql_exec(c, &SCALARS, &r, &err, P_INT(ints[i]), P_TEXT(STR("ä€😀")), P_NUM(nums[i]),
                              P_BOOL(i % 2), P_TIME(times[i]), P_BYTES(bytes, sizeof bytes),
                              P_CSTR("{\"a\": 1}")),
                     MEROS_OK, "%s", err.detail);
        cr_assert_eq(r.n, 1);
        cr_assert_eq(rows_int(&r, 0, 0), ints[i]);
        cr_assert(str_is(rows_text(&r, 0, 1), "ä€😀"));
        double back = rows_num(&r, 0, 2);
        cr_assert_eq(memcmp(&back, &nums[i], 8), 0);
        cr_assert_eq(rows_bool(&r, 0, 3), i % 2);
        cr_assert_eq(rows_time(&r, 0, 4), times[i]);
        cr_assert(str_eq(rows_bytes(&r, 0, 5), (struct str){(char *)bytes, sizeof bytes}));
        cr_assert(str_is(rows_text(&r, 0, 6), "{\"a\": 1}"));
        rows_done(&r);
        rows_done(&r);
    }
}

Test(statements, null_goes_both_ways_in_every_type)
{
    struct rows r;
    cr_assert_eq(sql_exec(c, &SCALARS, &r, &err, P_NULL, P_TEXT(STR_NONE), P_NUM(NAN), P_NULL,
                          P_TIME(TIME_NONE), P_BYTES(NULL, 0), P_TEXT(STR_NONE)),
                 MEROS_OK, "%s", err.detail);
    for (int i = 0; i < 7; i++) cr_assert(rows_null(&r, 0, i), "column %d", i);
    cr_assert_eq(rows_int(&r, 0, 0), 0);
    cr_assert_not(str_present(rows_text(&r, 0, 1)));
    cr_assert(isnan(rows_num(&r, 0, 2)));
    cr_assert_not(rows_bool(&r, 0, 3));
    cr_assert_eq(rows_time(&r, 0, 4), TIME_NONE);
    cr_assert_not(str_present(rows_bytes(&r, 0, 5)));
    rows_done(&r);
    cr_assert_eq(sql_exec(c, &ECHO_TEXT, &r, &err, P_TEXT(STR(""))), MEROS_OK);
    cr_assert_not(rows_null(&r, 0, 0), "the empty text is not null");
    cr_assert_eq(rows_text(&r, 0, 0).n, 0);
    rows_done(&r);
}

Test(statements, a_parameter_first_null_may_later_have_any_kind)
{
    static const struct sql TYPED = {
        "typed", "select $1::int4, $2::int2, $3::numeric::float8, $4::uuid::text, $5::bool, $6::date::text",
        SQL_ROW};
    struct rows r;
    cr_assert_eq(sql_exec(c, &TYPED, &r, &err, P_NULL, P_NULL, P_NULL, P_NULL, P_NULL, P_NULL), MEROS_OK);
    rows_done(&r);
    cr_assert_eq(sql_exec(c, &TYPED, &r, &err, P_INT(-7), P_INT(8), P_NUM(0.5),
                          P_BYTES("\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20", 16), P_BOOL(true),
                          P_TIME(INT64_C(86400000000))),
                 MEROS_OK, "%s", err.detail);
    cr_assert_eq(rows_int(&r, 0, 0), -7);
    cr_assert_eq(rows_int(&r, 0, 1), 8);
    cr_assert_eq(rows_num(&r, 0, 2), 0.5);
    cr_assert(str_is(rows_text(&r, 0, 3), "01020304-0506-0708-090a-0b0c0d0e0f10"));
    cr_assert(rows_bool(&r, 0, 4));
    cr_assert(str_is(rows_text(&r, 0, 5), "1970-01-02"));
    rows_done(&r);
}

/* Random text of what is dangerous somewhere: quotes, backslashes, braces, NULL, commas, blanks, wide
 * characters. */
static struct str hostile(unsigned *seed, char *out)
{
    static const char *const pieces[] = {
        "'",  "\"", "\\", "{",          "}", ",", "NULL", "null",         " ",    "\t",   "\n", "\r", "$1",
        "--", ";",  "/*", "drop table", "é", "€", "😀",    "\xEF\xBB\xBF", "\x7F", "\x01", "%s", "a"};
    size_t n = 0;
    for (int i = rand_r(seed) % 8; i > 0; i--) {
        const char *p = pieces[(size_t)rand_r(seed) % (sizeof pieces / sizeof pieces[0])];
        memcpy(out + n, p, strlen(p));
        n += strlen(p);
    }
    return (struct str){out, n};
}

Test(statements, thousands_of_hostile_texts_survive_as_parameters_and_in_arrays)
{
    enum { N = 2000 };
    static char space[N][128];
    static struct str texts[N];
    static int64_t ints[N], times[N];
    static double nums[N];
    unsigned seed = 1;
    struct rows r;
    for (int i = 0; i < N; i++) {
        texts[i] = i % 10 == 9 ? STR_NONE : hostile(&seed, space[i]);
        ints[i] = (int64_t)((uint64_t)rand_r(&seed) << 33) ^ rand_r(&seed) ^ -(i % 2);
        times[i] = i % 10 == 8 ? TIME_NONE : (int64_t)rand_r(&seed) * 1000001;
        nums[i] = i % 10 == 7 ? NAN : (double)rand_r(&seed) / 3;
    }
    cr_assert_eq(sql_exec(c, &ARRAYS, &r, &err, P_INTS(ints, N), P_TEXTS(texts, N), P_NUMS(nums, N),
                          P_TIMES(times, N)),
                 MEROS_OK, "%s", err.detail);
    cr_assert_eq(r.n, N);
    for (int i = 0; i < N; i++) {
        cr_assert_eq(rows_int(&r, i, 0), ints[i]);
        cr_assert_eq(rows_null(&r, i, 1), !str_present(texts[i]));
        cr_assert(str_eq(rows_text(&r, i, 1), texts[i]));
        double v = rows_num(&r, i, 2);
        cr_assert(isnan(nums[i]) ? isnan(v) : v == nums[i]);
        cr_assert_eq(rows_time(&r, i, 3), times[i]);
    }
    rows_done(&r);
    for (int i = 0; i < N; i++) {
        if (!str_present(texts[i])) continue;
        cr_assert_eq(sql_exec(c, &ECHO_TEXT, &r, &err, P_TEXT(texts[i])), MEROS_OK);
        cr_assert(str_eq(rows_text(&r, 0, 0), texts[i]));
        cr_assert_eq(rows_int(&r, 0, 1), texts[i].n);
        rows_done(&r);
    }
}

Test(statements, empty_arrays_are_arrays)
{
    struct rows r;
    cr_assert_eq(
        sql_exec(c, &ARRAYS, &r, &err, P_INTS(NULL, 0), P_TEXTS(NULL, 0), P_NUMS(NULL, 0), P_TIMES(NULL, 0)),
        MEROS_OK);
    cr_assert_eq(r.n, 0);
    rows_done(&r);
}

Test(statements, text_arrays_cast_to_other_types)
{
    static const struct sql CAST = {
        "cast",
        "select (sum(n))::text, count(j), max(j->>'k') from unnest($1::numeric[], $2::jsonb[]) t(n, j)",
        SQL_ROW};
    struct str numbers[] = {STR("1.10"), STR("2.20"), STR_NONE},
               json[] = {STR("{\"k\": \"a\\\"b\"}"), STR("[]"), STR_NONE};
    struct rows r;
    cr_assert_eq(sql_exec(c, &CAST, &r, &err, P_TEXTS(numbers, 3), P_TEXTS(json, 3)), MEROS_OK, "%s",
                 err.detail);
    cr_assert(str_is(rows_text(&r, 0, 0), "3.30"));
    cr_assert_eq(rows_int(&r, 0, 1), 2);
    cr_assert(str_is(rows_text(&r, 0, 2), "a\"b"));
    rows_done(&r);
}

Test(statements, a_nul_in_a_text_is_refused_and_never_cut)
{
    struct rows r;
    cr_assert_eq(sql_exec(c, &ECHO_TEXT, &r, &err, P_TEXT(((struct str){"a\0b", 3}))), MEROS_UNPROCESSABLE);
    cr_assert_eq(r.n, 0);
    struct str nul = {"a\0b", 3};
    int64_t one = 1;
    double d = 1;
    cr_assert_eq(
        sql_exec(c, &ARRAYS, &r, &err, P_INTS(&one, 1), P_TEXTS(&nul, 1), P_NUMS(&d, 1), P_TIMES(&one, 1)),
        MEROS_UNPROCESSABLE);
    struct str broken = {"\xC3(", 2};
    cr_assert_eq(sql_exec(c, &ECHO_TEXT, &r, &err, P_TEXT(broken)), MEROS_UNPROCESSABLE);
    cr_assert_not(store_broken(c));
}

Test(statements, what_is_expected_is_enforced)
{
    static const struct sql NONE = {"none", "select 1 where false", SQL_ROW};
    static const struct sql TWO = {"two", "select generate_series(1, 2)", SQL_ROW_OR_NONE};
    static const struct sql MAYBE = {"maybe", "select 1 where false", SQL_ROW_OR_NONE};
    static const struct sql MANY = {"many", "select generate_series(1, 1000)::int8", SQL_ROWS};
    struct rows r;
    cr_assert_eq(sql_exec0(c, &NONE, &r, &err), MEROS_INTERNAL);
    cr_assert_eq(sql_exec0(c, &TWO, &r, &err), MEROS_INTERNAL);
    cr_assert_eq(r.n, 0);
    cr_assert_eq(sql_exec0(c, &MAYBE, &r, &err), MEROS_OK);
    rows_done(&r);
    cr_assert_eq(sql_exec0(c, &MANY, &r, &err), MEROS_OK);
    cr_assert_eq(r.n, 1000);
    cr_assert_eq(rows_int(&r, 999, 0), 1000);
    rows_done(&r);
}

static const struct sql INSERT = {"insert_thing", "insert into thing (id, amount) values ($1, $2::numeric)",
                                  SQL_NOTHING};

Test(statements, failures_become_codes_without_values)
{
    pg_run(db, "create table thing (id text primary key, amount numeric(5,2) check (amount < 100), ref text "
               "references thing)");
    struct rows r;
    cr_assert_eq(sql_exec(c, &INSERT, &r, &err, P_CSTR("secret-id"), P_CSTR("1")), MEROS_OK);
    cr_assert_eq(r.affected, 1);
    rows_done(&r);
    cr_assert_eq(sql_exec(c, &INSERT, NULL, &err, P_CSTR("secret-id"), P_CSTR("1")), MEROS_CONFLICT);
    cr_assert_str_eq(err.sqlstate, "23505");
    cr_assert_null(strstr(err.detail, "secret"), "%s", err.detail);
    cr_assert_not_null(strstr(err.detail, "thing_pkey"), "%s", err.detail);
    cr_assert_eq(sql_exec(c, &INSERT, NULL, &err, P_CSTR("b"), P_CSTR("100")), MEROS_UNPROCESSABLE);
    cr_assert_eq(sql_exec(c, &INSERT, NULL, &err, P_TEXT(STR_NONE), P_CSTR("1")), MEROS_UNPROCESSABLE);
    cr_assert_str_eq(err.sqlstate, "23502");
    cr_assert_eq(sql_exec(c, &INSERT, NULL, &err, P_CSTR("c"), P_CSTR("secret-number")), MEROS_UNPROCESSABLE);
    cr_assert_null(strstr(err.detail, "secret"), "%s", err.detail);
    static const struct sql WRONG = {"wrong", "select nothing from nowhere", SQL_ROWS};
    cr_assert_eq(sql_exec0(c, &WRONG, &r, &err), MEROS_INTERNAL);
    cr_assert_not(store_broken(c));
}

Test(statements, two_statements_of_one_name_are_found_out)
{
    static const struct sql A = {"same", "select 1", SQL_ROWS}, B = {"same", "select 2", SQL_ROWS};
    struct rows r;
    cr_assert_eq(sql_exec0(c, &A, &r, &err), MEROS_OK);
    rows_done(&r);
    cr_assert_eq(sql_exec0(c, &B, &r, &err), MEROS_INTERNAL);
    cr_assert_str_eq(err.sqlstate, "42P05");
}

Test(statements, many_statements_stay_prepared)
{
    enum { N = 300 };
    static struct sql many[N];
    static char names[N][16], texts[N][32];
    struct rows r;
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < N; i++) {
            if (round == 0) {
                sprintf(names[i], "many_%d", i);
                sprintf(texts[i], "select %d", i);
                many[i] = (struct sql){names[i], texts[i], SQL_ROW};
            }
            cr_assert_eq(sql_exec0(c, &many[i], &r, &err), MEROS_OK);
            cr_assert_eq(rows_int(&r, 0, 0), i);
            rows_done(&r);
        }
    static const struct sql COUNT = {
        "count_prepared", "select count(*) from pg_prepared_statements where name like 'many%'", SQL_ROW};
    cr_assert_eq(sql_exec0(c, &COUNT, &r, &err), MEROS_OK);
    cr_assert_eq(rows_int(&r, 0, 0), N, "each was prepared once");
    rows_done(&r);
}

Test(statements, a_changed_table_asks_for_another_try_on_another_connection)
{
    static const struct sql ALL = {"all_things", "select * from changing", SQL_ROWS};
    struct rows r;
    pg_run(db, "create table changing (a int)");
    cr_assert_eq(sql_exec0(c, &ALL, &r, &err), MEROS_OK);
    rows_done(&r);
    pg_run(db, "alter table changing add b int");
    cr_assert_eq(sql_exec0(c, &ALL, &r, &err), MEROS_UNAVAILABLE);
    cr_assert(store_broken(c));
    cr_assert_eq(sql_exec0(pg_conn(db), &ALL, &r, &err), MEROS_OK);
    rows_done(&r);
}

Test(statements, the_session_is_as_the_code_expects)
{
    static const struct sql SESSION = {
        "session",
        "select string_agg(current_setting(s), ' ' order by s) from unnest(array['TimeZone',"
        " 'client_encoding', 'client_connection_check_interval', 'jit', 'application_name', 'default_transaction_isolation',"
        " 'idle_in_transaction_session_timeout', 'lock_timeout', 'statement_timeout']) s",
        SQL_ROW};
    struct rows r;
    cr_assert_eq(sql_exec0(c, &SESSION, &r, &err), MEROS_OK);
    struct str s = rows_text(&r, 0, 0);
    cr_assert(str_is(s, "UTC meros 2s UTF8 read committed 1min off 10s 30s"), "%.*s", (int)s.n, s.p);
    rows_done(&r);
}

/* --- transactions and time-outs */
static const struct sql COUNT_THINGS = {"count_things", "select count(*) from thing", SQL_ROW};

static int64_t count_things(struct store_conn *on)
{
    struct rows r;
    cr_assert_eq(sql_exec0(on, &COUNT_THINGS, &r, &err), MEROS_OK, "%s", err.detail);
    int64_t n = rows_int(&r, 0, 0);
    rows_done(&r);
    return n;
}

Test(statements, a_transaction_is_kept_or_undone_as_a_whole)
{
    pg_run(db, "create table thing (id text primary key, amount numeric)");
    cr_assert_eq(store_begin(c, &err), MEROS_OK);
    cr_assert_eq(sql_exec(c, &INSERT, NULL, &err, P_CSTR("a"), P_CSTR("1")), MEROS_OK);
    store_rollback(c);
    cr_assert_eq(count_things(c), 0);
    cr_assert_eq(store_begin(c, &err), MEROS_OK);
    cr_assert_eq(sql_exec(c, &INSERT, NULL, &err, P_CSTR("a"), P_CSTR("1")), MEROS_OK);
    cr_assert_eq(store_commit(c, &err), MEROS_OK);
    cr_assert_eq(count_things(c), 1);
    cr_assert_eq(store_begin(c, &err), MEROS_OK);
    cr_assert_eq(sql_exec(c, &INSERT, NULL, &err, P_CSTR("b"), P_CSTR("1")), MEROS_OK);
    cr_assert_eq(sql_exec(c, &INSERT, NULL, &err, P_CSTR("a"), P_CSTR("1")), MEROS_CONFLICT);
    cr_assert_eq(store_commit(c, &err), MEROS_INTERNAL, "a failed transaction does not commit in silence");
    cr_assert_eq(count_things(c), 1);
}

Test(statements, a_snapshot_sees_one_moment_and_writes_nothing)
{
    pg_run(db, "create table thing (id text primary key, amount numeric)");
    cr_assert_eq(store_begin_snapshot(c, &err), MEROS_OK);
    cr_assert_eq(count_things(c), 0);
    pg_run(db, "insert into thing values ('a', 1)");
    cr_assert_eq(count_things(c), 0);
    cr_assert_neq(sql_exec(c, &INSERT, NULL, &err, P_CSTR("b"), P_CSTR("1")), MEROS_OK);
    store_rollback(c);
}

static const struct sql SLEEP = {"sleep", "select pg_sleep($1)", SQL_NOTHING};

Test(statements, a_slow_statement_times_out_and_the_connection_lives)
{
    cr_assert_eq(store_set_timeout(c, 1500, &err), MEROS_OK); /* which taking it back must do with, too */
    cr_assert_eq(sql_exec(c, &SLEEP, NULL, &err, P_NUM(60)), MEROS_TIMEOUT);
    cr_assert_str_eq(err.sqlstate, "57014");
    cr_assert_not(store_broken(c));
    cr_assert_eq(store_set_timeout(c, 0, &err), MEROS_OK);
    cr_assert_eq(sql_exec(c, &SLEEP, NULL, &err, P_NUM(0.1)), MEROS_OK);
}

static void *cancel_soon(void *conn)
{
    struct timespec t = {.tv_nsec = 50000000};
    nanosleep(&t, NULL);
    store_cancel(conn);
    return NULL;
}

Test(statements, cancelling_from_another_thread_stops_the_statement)
{
    pthread_t t;
    int64_t start = clock_mono_ns();
    pthread_create(&t, NULL, cancel_soon, c);
    cr_assert_eq(sql_exec(c, &SLEEP, NULL, &err, P_NUM(120)), MEROS_CANCELLED);
    pthread_join(t, NULL);
    cr_assert_lt(clock_mono_ns() - start, INT64_C(60000000000));
    cr_assert_eq(sql_exec(c, &SLEEP, NULL, &err, P_NUM(0)), MEROS_OK);
    store_cancel(c);
    cr_assert_eq(sql_exec(c, &SLEEP, NULL, &err, P_NUM(0)), MEROS_CANCELLED,
                 "with nothing running, the next one");
    cr_assert_eq(sql_exec(c, &SLEEP, NULL, &err, P_NUM(0)), MEROS_OK);
}

/* --- LISTEN */
Test(statements, a_listener_hears_waits_and_is_woken)
{
    struct store_conn *l = NULL;
    char channel[64], payload[STORE_PAYLOAD_MAX];
    cr_assert_eq(store_connect(db->pool, &l, &err), MEROS_OK);
    cr_assert_eq(store_listen(l, "meros_jobs", &err), MEROS_OK);
    int64_t start = clock_mono_ns();
    cr_assert_eq(store_wait(l, 60, channel, payload, &err), MEROS_OK);
    cr_assert_str_empty(payload);
    cr_assert_geq(clock_mono_ns() - start, 55000000);
    pg_run(db, "notify meros_jobs, 'j_1'; notify meros_jobs, 'j_2'; notify other, 'x'");
    cr_assert_eq(store_wait(l, 60000, channel, payload, &err), MEROS_OK);
    cr_assert_str_eq(channel, "meros_jobs");
    cr_assert_str_eq(payload, "j_1");
    cr_assert_eq(store_wait(l, 60000, channel, payload, &err), MEROS_OK);
    cr_assert_str_eq(payload, "j_2");
    store_wake(l);
    start = clock_mono_ns();
    cr_assert_eq(store_wait(l, 60000, channel, payload, &err), MEROS_OK);
    cr_assert_str_empty(payload);
    cr_assert_lt(clock_mono_ns() - start, INT64_C(40000000000));
    pg_run(db, "select pg_terminate_backend(pid) from pg_stat_activity where query like 'listen%' and datname = current_database()");
    cr_assert_eq(store_wait(l, 60000, channel, payload, &err), MEROS_UNAVAILABLE);
    store_disconnect(l);
}
