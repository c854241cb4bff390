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
    log_configure(LOG_ERROR + 1, LOG_KEY_VALUE);
    db = pg_empty();
    c = pg_conn(db);
    pg_run(db, "create table rows_in (n bigint, t text, f float8, b boolean, at timestamptz, raw bytea, j "
               "jsonb, i int4,"
               " amount numeric, id uuid)");
    cr_assert_eq(store_begin(c, &err), MEROS_OK);
}

static void close_db(void)
{
    pg_done(db);
}

TestSuite(copy, .init = open_db, .fini = close_db);

static const struct sql IN = {"copy_rows_in", "copy rows_in from stdin (format binary)", SQL_NOTHING};
static const struct sql NUMBERS_IN = {"copy_numbers_in",
                                      "copy rows_in (n, amount) from stdin (format binary)", SQL_NOTHING};

static void full_row(struct copy_in *k, int64_t n)
{
    cr_assert_eq(copy_in_row(k, 10, &err), MEROS_OK, "%s", err.detail);
    copy_in_int8(k, n);
    copy_in_text(k, STR("it's \\ \"ä\" {NULL},\t\n"));
    copy_in_float8(k, 0.1);
    copy_in_bool(k, true);
    copy_in_time(k, INT64_C(1700000000123456));
    copy_in_bytes(k, "\0\1\377", 3);
    copy_in_jsonb(k, STR("{\"a\": [1, null]}"));
    copy_in_int4(k, -5);
    copy_in_numeric(k, -12345, 2);
    copy_in_bytes(k, "\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20", 16);
}

Test(copy, every_kind_of_field_arrives_as_it_was)
{
    struct copy_in k;
    int64_t rows = 0;
    cr_assert_eq(copy_in_begin(&k, c, &IN, &err), MEROS_OK);
    full_row(&k, 1);
    cr_assert_eq(copy_in_row(&k, 10, &err), MEROS_OK);
    copy_in_int8(&k, 2);
    copy_in_text(&k, STR_NONE), copy_in_float8(&k, NAN), copy_in_null(&k), copy_in_time(&k, TIME_NONE),
        copy_in_null(&k);
    copy_in_jsonb(&k, STR_NONE), copy_in_null(&k), copy_in_null(&k), copy_in_null(&k);
    cr_assert_eq(copy_in_end(&k, &rows, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(rows, 2);
    cr_assert_eq(store_commit(c, &err), MEROS_OK);
    char *got = pg_text(
        db,
        "select count(*) from rows_in where n = 1 and t = E'it''s \\\\ \"ä\" {NULL},\\t\\n' and f = 0.1 and b"
        " and at = '2023-11-14 22:13:20.123456Z' and raw = '\\x0001ff' and j = '{\"a\": [1, null]}'"
        " and i = -5 and amount = -123.45 and amount::text = '-123.45'"
        " and id = '01020304-0506-0708-090a-0b0c0d0e0f10'");
    cr_assert_str_eq(got, "1");
    free(got);
    cr_assert_eq(
        pg_int(db, "select num_nonnulls(t, f, b, at, raw, j, i, amount, id) from rows_in where n = 2"), 0);
}

/* The server's own reading of the text is the judge of our binary form. */
Test(copy, thousands_of_numerics_equal_the_servers_own_reading)
{
    enum { N = 4000 };
    struct copy_in k;
    unsigned seed = 7;
    static char text[N][40];
    cr_assert_eq(copy_in_begin(&k, c, &NUMBERS_IN, &err), MEROS_OK);
    for (int i = 0; i < N; i++) {
        int64_t v = (int64_t)((uint64_t)rand_r(&seed) << 42 ^ (uint64_t)rand_r(&seed) << 21 ^
                              (uint64_t)rand_r(&seed));
        v >>= rand_r(&seed) % 64; /* all magnitudes */
        if (i % 7 == 0) v -= v % 10000;
        if (i == 1) v = INT64_MIN;
        if (i == 2) v = INT64_MAX;
        int scale = rand_r(&seed) % 13;
        uint64_t abs = v < 0 ? 0 - (uint64_t)v : (uint64_t)v, pow = 1;
        for (int s = 0; s < scale; s++) pow *= 10;
        if (scale == 0) sprintf(text[i], "%s%llu", v < 0 ? "-" : "", (unsigned long long)abs);
        else
            sprintf(text[i], "%s%llu.%0*llu", v < 0 ? "-" : "", (unsigned long long)(abs / pow), scale,
                    (unsigned long long)(abs % pow));
        cr_assert_eq(copy_in_row(&k, 2, &err), MEROS_OK);
        copy_in_int8(&k, i);
        copy_in_numeric(&k, v, scale);
    }
    cr_assert_eq(copy_in_end(&k, NULL, &err), MEROS_OK);
    static const struct sql CHECK = {
        "check_numerics",
        "select count(*) from unnest($1::text[]) with ordinality as u(t, n) join rows_in r on r.n = u.n - 1"
        " where r.amount::text = u.t::numeric::text and r.amount = u.t::numeric",
        SQL_ROW};
    static struct str texts[N];
    for (int i = 0; i < N; i++) texts[i] = str_of(text[i]);
    struct rows r;
    cr_assert_eq(sql_exec(c, &CHECK, &r, &err, P_TEXTS(texts, N)), MEROS_OK, "%s", err.detail);
    cr_assert_eq(rows_int(&r, 0, 0), N);
    rows_done(&r);
}

Test(copy, many_blocks_and_fields_larger_than_a_block_pass)
{
    struct copy_in k;
    int64_t rows = 0;
    enum { BIG = 3 * 1024 * 1024 };
    char *big = malloc(BIG);
    memset(big, 'x', BIG);
    cr_assert_eq(copy_in_begin(&k, c, &IN, &err), MEROS_OK);
    for (int i = 0; i < 5000; i++) full_row(&k, i);
    cr_assert_eq(copy_in_row(&k, 10, &err), MEROS_OK);
    copy_in_int8(&k, -1);
    copy_in_text(&k, (struct str){big, BIG});
    for (int i = 0; i < 8; i++) copy_in_null(&k);
    for (int i = 0; i < 100; i++) full_row(&k, 10000 + i);
    cr_assert_eq(copy_in_end(&k, &rows, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(rows, 5101);
    cr_assert_eq(store_commit(c, &err), MEROS_OK);
    cr_assert_eq(pg_int(db, "select length(t) from rows_in where n = -1"), BIG);
    free(big);
}

Test(copy, abandoning_leaves_nothing_and_the_connection_goes_on)
{
    struct copy_in k;
    cr_assert_eq(copy_in_begin(&k, c, &IN, &err), MEROS_OK);
    for (int i = 0; i < 3000; i++) full_row(&k, i);
    copy_in_abort(&k);
    copy_in_abort(&k);
    store_rollback(c);
    cr_assert_not(store_broken(c));
    cr_assert_eq(pg_int(db, "select count(*) from rows_in"), 0);
    cr_assert_eq(store_begin(c, &err), MEROS_OK);
    cr_assert_eq(copy_in_begin(&k, c, &IN, &err), MEROS_OK);
    full_row(&k, 1);
    cr_assert_eq(copy_in_end(&k, NULL, &err), MEROS_OK);
    cr_assert_eq(store_commit(c, &err), MEROS_OK);
    cr_assert_eq(pg_int(db, "select count(*) from rows_in"), 1);
}

Test(copy, a_value_the_server_refuses_fails_the_whole_and_only_the_copy)
{
    struct copy_in k;
    cr_assert_eq(copy_in_begin(&k, c, &IN, &err), MEROS_OK);
    full_row(&k, 1);
    cr_assert_eq(copy_in_row(&k, 10, &err), MEROS_OK);
    copy_in_int8(&k, 2);
    copy_in_text(&k, (struct str){"secret\0", 7});
    for (int i = 0; i < 8; i++) copy_in_null(&k);
    cr_assert_eq(copy_in_end(&k, NULL, &err), MEROS_UNPROCESSABLE);
    cr_assert_null(strstr(err.detail, "secret"));
    store_rollback(c);
    cr_assert_not(store_broken(c));
    cr_assert_eq(pg_int(db, "select count(*) from rows_in"), 0);
}

Test(copy, a_server_error_in_the_middle_of_a_long_copy_is_reported_not_hung)
{
    struct copy_in k;
    enum meros_code rc = MEROS_OK;
    pg_run(db, "alter table rows_in add check (n <> 100)");
    cr_assert_eq(copy_in_begin(&k, c, &IN, &err), MEROS_OK);
    for (int i = 0; i < 100000 && rc == MEROS_OK; i++) {
        rc = copy_in_row(&k, 10, &err);
        if (rc != MEROS_OK) break;
        copy_in_int8(&k, i);
        for (int f = 0; f < 9; f++) copy_in_null(&k);
    }
    if (rc == MEROS_OK) rc = copy_in_end(&k, NULL, &err);
    else copy_in_abort(&k);
    cr_assert_eq(rc, MEROS_UNPROCESSABLE, "%s", err.detail);
    store_rollback(c);
    cr_assert_not(store_broken(c));
}

Test(copy, a_connection_that_dies_in_the_middle_leaves_nothing_and_is_replaced)
{
    struct copy_in k;
    enum meros_code rc = MEROS_OK;
    cr_assert_eq(copy_in_begin(&k, c, &IN, &err), MEROS_OK);
    for (int i = 0; i < 2000; i++) full_row(&k, i);
    pg_run(db, "select pg_terminate_backend(pid) from pg_stat_activity where query like 'copy rows_in%' and datname = current_database() and "
               "pid <> pg_backend_pid()");
    for (int i = 0; i < 200000 && rc == MEROS_OK; i++) {
        rc = copy_in_row(&k, 10, &err);
        if (rc != MEROS_OK) break;
        copy_in_int8(&k, i);
        for (int f = 0; f < 9; f++) copy_in_null(&k);
    }
    if (rc == MEROS_OK) rc = copy_in_end(&k, NULL, &err);
    else copy_in_abort(&k);
    cr_assert_eq(rc, MEROS_UNAVAILABLE, "%s", err.detail);
    cr_assert(store_broken(c));
    store_release(db->pool, c);
    db->n_conns = 0;
    c = pg_conn(db);
    cr_assert_not(store_broken(c));
    cr_assert_eq(pg_int(db, "select count(*) from rows_in"), 0);
}

static void *cancel_soon(void *conn)
{
    struct timespec t = {.tv_nsec = 30000000};
    nanosleep(&t, NULL);
    store_cancel(conn);
    return NULL;
}

Test(copy, a_cancelled_copy_ends_soon)
{
    struct copy_in k;
    pthread_t t;
    enum meros_code rc = MEROS_OK;
    cr_assert_eq(copy_in_begin(&k, c, &IN, &err), MEROS_OK);
    pthread_create(&t, NULL, cancel_soon, c);
    int64_t start = clock_mono_ns();
    while (rc == MEROS_OK && clock_mono_ns() - start < INT64_C(60000000000)) {
        rc = copy_in_row(&k, 10, &err);
        if (rc != MEROS_OK) break;
        copy_in_int8(&k, 1);
        for (int f = 0; f < 9; f++) copy_in_null(&k);
    }
    copy_in_abort(&k);
    pthread_join(t, NULL);
    cr_assert_eq(rc, MEROS_CANCELLED, "%s", err.detail);
    store_rollback(c);
    cr_assert_eq(pg_int(db, "select count(*) from rows_in"), 0);
}

/* --- out */
static const struct sql OUT = {
    "copy_out_series",
    "copy (select n::int8, n::int4, n::int2, n::float8 / 3, case when n % 2 = 0 then 'even' end,"
    " timestamptz 'epoch' + n * interval '1 s', null::float8 from generate_series(1, 20000) n)"
    " to stdout (format binary)",
    SQL_NOTHING};

struct total {
    int64_t rows, sum;
    int stop_after;
};

static enum meros_code add_row(void *arg, const struct copy_field *f, int n, struct meros_err *e)
{
    struct total *t = arg;
    t->rows++;
    cr_assert_eq(n, 7);
    int64_t v = copy_int(&f[0]);
    cr_assert_eq(v, t->rows);
    cr_assert_eq(copy_int(&f[1]), v);
    cr_assert_eq(copy_int(&f[2]), v);
    cr_assert_eq(copy_num(&f[3]), (double)v / 3);
    cr_assert(v % 2 == 0 ? str_is(copy_text(&f[4]), "even") : !str_present(copy_text(&f[4])));
    cr_assert_eq(copy_time(&f[5]), v * TIME_SECOND);
    cr_assert(isnan(copy_num(&f[6])));
    t->sum += v;
    if (t->rows == t->stop_after) return err_set(e, MEROS_OUT_OF_MEMORY, "the budget is used up");
    return MEROS_OK;
}

Test(copy, rows_come_out_typed_and_in_order)
{
    struct total t = {0};
    cr_assert_eq(copy_out(c, &OUT, add_row, &t, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(t.rows, 20000);
    cr_assert_eq(t.sum, INT64_C(200010000));
}

Test(copy, a_reader_may_stop_early_and_the_connection_goes_on)
{
    struct total t = {.stop_after = 10};
    cr_assert_eq(copy_out(c, &OUT, add_row, &t, &err), MEROS_OUT_OF_MEMORY);
    cr_assert_str_eq(err.detail, "the budget is used up");
    cr_assert_eq(t.rows, 10);
    store_rollback(c);
    t = (struct total){0};
    cr_assert_eq(copy_out(c, &OUT, add_row, &t, &err), MEROS_OK);
    cr_assert_not(store_broken(c));
}

static enum meros_code kill_sender(void *arg, const struct copy_field *f, int n, struct meros_err *e)
{
    (void)f, (void)n, (void)e;
    if ((*(int *)arg)++ == 0)
        pg_run(db, "select pg_terminate_backend(pid) from pg_stat_activity where query like 'copy (select%' and datname = current_database() "
                   "and pid <> pg_backend_pid()");
    return MEROS_OK;
}

Test(copy, a_sender_that_dies_is_an_error_never_a_short_result)
{
    static const struct sql LONG = {
        "copy_out_long",
        "copy (select n, repeat('x', 1000) from generate_series(1, 2000000) n) to stdout"
        " (format binary)",
        SQL_NOTHING};
    int rows = 0;
    cr_assert_eq(copy_out(c, &LONG, kill_sender, &rows, &err), MEROS_UNAVAILABLE);
    cr_assert_lt(rows, 2000000);
    cr_assert(store_broken(c));
}

Test(copy, an_error_half_way_out_is_an_error)
{
    static const struct sql BAD = {
        "copy_out_bad",
        "copy (select 1 / (5000 - n) from generate_series(1, 10000) n) to stdout (format binary)",
        SQL_NOTHING};
    int rows = 1;
    cr_assert_eq(copy_out(c, &BAD, kill_sender, &rows, &err), MEROS_UNPROCESSABLE);
    cr_assert_str_eq(err.sqlstate, "22012");
    store_rollback(c);
    cr_assert_not(store_broken(c));
}
