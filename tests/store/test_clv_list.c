/* What everybody is worth, as it is written down: replaced, changed, listed, passed through. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>

#include "meros/store/clv_list.h"
#include "pg.h"

static struct meros_err err;
#define OK(call) cr_assert_eq((call), MEROS_OK, "%s", err.detail)

static struct pg *shop(int customers)
{
    char sql[1000];
    struct pg *db = pg_fresh();
    snprintf(sql, sizeof sql,
             "insert into customers (customer_no, customer_id) select i, 'c' || i from generate_series(1, %d) i;"
             "insert into models (model_id, kind, name, version, algorithm, params, features, metrics, seed, evaluated_at, trained_at, "
             "  rows, row_hash, build, artifact, checksum, active) "
             "select 'm' || i, 'clv', 'clv', i, 'bgnbd', '{}', '[]', '{}', 0, now(), now(), 1, '', '', '', '', i = 1 from generate_series(1, 2) i;"
             "insert into segmentations (name) values ('s');"
             "insert into memberships select i, 1, case i %% 2 when 0 then 'even' else 'odd' end, now() from generate_series(1, %d) i", customers, customers);
    pg_run(db, sql);
    return db;
}

static struct clv_row row_of(int64_t no, double worth, int64_t at)
{
    return (struct clv_row){no, worth, worth / 100, worth / 10, 10, no == 3, at};
}

static void replace(struct store_conn *c, int64_t model_no, int customers, double factor)
{
    struct clv_replacing *k = NULL;
    OK(store_begin(c, &err));
    OK(store_clv_replace_lock(c, &err));
    OK(store_clv_replace_begin(c, model_no, &k, &err));
    for (int i = 1; i <= customers; i++) {
        const struct clv_row row = row_of(i, factor * (i / 2), 1000);
        OK(store_clv_replace_row(k, &row, &err));
    }
    OK(store_clv_replace_end(k, &err));
    OK(store_commit(c, &err));
}

struct seen {
    struct clv_place last;
    char ids[400];
    size_t n;
};

static void see(void *arg, struct str customer_id, const struct clv_row *row)
{
    struct seen *s = arg;
    const size_t at = strlen(s->ids);
    snprintf(s->ids + at, sizeof s->ids - at, "%.*s ", (int)customer_id.n, customer_id.p);
    s->last = (struct clv_place){true, row->worth, row->customer_no};
    s->n++;
}

#define ALL {.min_worth = -INFINITY, .max_worth = INFINITY, .max_p_alive = 1}

static void is_table(struct pg *db, const char *sql, const char *want)
{
    char *got = pg_table(db, sql);
    cr_assert_str_eq(got, want);
    free(got);
}

Test(clv_list, pages_go_through_equal_values_and_both_ways)
{
    struct pg *db = shop(9);
    struct store_conn *c = pg_conn(db);
    replace(c, 1, 9, 1); /* 0 1 1 2 2 3 3 4 4 */
    struct clv_filter f = ALL;
    struct seen s = {0};
    while (s.n < 9) OK(store_clv_page(c, &f, &s.last, 2, see, &s, &err));
    cr_assert_str_eq(s.ids, "c9 c8 c7 c6 c5 c4 c3 c2 c1 ");
    OK(store_clv_page(c, &f, &s.last, 2, see, &s, &err));
    cr_assert_eq(s.n, 9, "nobody after the last");
    f.ascending = true;
    s = (struct seen){0};
    while (s.n < 9) OK(store_clv_page(c, &f, &s.last, 4, see, &s, &err));
    cr_assert_str_eq(s.ids, "c1 c2 c3 c4 c5 c6 c7 c8 c9 ");
    pg_done(db);
}

Test(clv_list, filters_bound_and_select)
{
    struct pg *db = shop(9);
    struct store_conn *c = pg_conn(db);
    replace(c, 1, 9, 1);
    struct clv_filter f = ALL;
    struct seen s = {0};
    f.min_worth = 1;
    f.max_worth = 3;
    OK(store_clv_page(c, &f, &s.last, 100, see, &s, &err));
    cr_assert_str_eq(s.ids, "c7 c6 c5 c4 c3 c2 ");
    s = (struct seen){0};
    f.segmentation = STR("s");
    f.segment_id = STR("even");
    OK(store_clv_page(c, &f, &s.last, 2, see, &s, &err));
    OK(store_clv_page(c, &f, &s.last, 2, see, &s, &err));
    cr_assert_str_eq(s.ids, "c6 c4 c2 ");
    f = (struct clv_filter)ALL;
    f.min_p_alive = .04;
    s = (struct seen){0};
    OK(store_clv_page(c, &f, &s.last, 100, see, &s, &err));
    cr_assert_str_eq(s.ids, "c9 c8 ");
    pg_done(db);
}

Test(clv_list, who_is_gone_takes_no_place_on_a_page)
{
    struct pg *db = shop(4);
    struct store_conn *c = pg_conn(db);
    struct clv_filter f = ALL;
    struct seen s = {0};
    replace(c, 1, 4, 1);
    pg_run(db, "delete from customers where customer_no = 4"); /* joined or erased, and not swept yet */
    OK(store_clv_page(c, &f, &s.last, 2, see, &s, &err));
    cr_assert_str_eq(s.ids, "c3 c2 ");
    OK(store_clv_forget(c, 4, &err));
    cr_assert_eq(pg_int(db, "select count(*) from customer_clv where customer_no = 4"), 0);
    pg_done(db);
}

Test(clv_list, a_change_is_written_unless_something_newer_or_another_model_was)
{
    struct pg *db = shop(3);
    struct store_conn *c = pg_conn(db);
    bool active = false;
    replace(c, 1, 3, 1);
    const struct clv_row changed[] = {row_of(1, 7, 2000), row_of(2, 8, 2000), row_of(99, 1, 2000)};
    OK(store_begin(c, &err));
    OK(store_clv_write(c, 1, changed, 3, (int64_t[]){3}, 1, &active, &err));
    OK(store_commit(c, &err));
    cr_assert(active);
    /* the erased one is not written, who bought nothing is gone */
    is_table(db, "select customer_no, worth from customer_clv order by 1", "1|7\n2|8\n");
    const struct clv_row older = row_of(1, 5, 1500);
    OK(store_begin(c, &err));
    OK(store_clv_write(c, 1, &older, 1, NULL, 0, &active, &err));
    OK(store_commit(c, &err));
    cr_assert_eq(pg_num(db, "select worth from customer_clv where customer_no = 1"), 7, "what was computed before is not news");
    OK(store_begin(c, &err));
    OK(store_clv_write(c, 2, &(struct clv_row){.customer_no = 1, .worth = 1, .evaluated_at = 9000}, 1, NULL, 0, &active, &err));
    OK(store_commit(c, &err));
    cr_assert_not(active, "the other model is not active");
    cr_assert_eq(pg_num(db, "select worth from customer_clv where customer_no = 1"), 7);
    pg_run(db, "update models set active = not active");
    replace(c, 2, 3, 10);
    is_table(db, "select customer_no, worth, model_no from customer_clv order by 1", "1|0|2\n2|10|2\n3|10|2\n");
    pg_done(db);
}

Test(clv_list, tiers_of_value_are_judged_anew_when_all_values_are)
{
    struct pg *db = shop(5);
    struct store_conn *c = pg_conn(db);
    replace(c, 1, 5, 1);
    cr_assert_eq(pg_int(db, "select count(*) from changed_customers"), 0, "there are none");
    pg_run(db, "insert into models (model_id, kind, name, version, algorithm, params, features, metrics, seed, evaluated_at, trained_at, "
               "  rows, row_hash, build, artifact, checksum, active) "
               "values ('v', 'segments', 's', 1, 'value', '{}', '[]', '{}', 0, now(), now(), 1, '', '', '', '', true)");
    replace(c, 1, 5, 2);
    cr_assert_eq(pg_int(db, "select sum(customers) from changed_customers where bulk"), 5);
    pg_done(db);
}

struct counted {
    int even, odd, none;
    double sum;
};

static enum meros_code count(void *arg, struct str segment_id, const struct clv_row *row, struct meros_err *e)
{
    struct counted *k = arg;
    (void)e;
    if (!str_present(segment_id)) k->none++;
    else if (str_is(segment_id, "even")) k->even++;
    else k->odd++;
    k->sum += row->worth;
    cr_assert_eq(row->population, row->customer_no == 3);
    return MEROS_OK;
}

Test(clv_list, everybody_is_passed_through_with_their_segment)
{
    struct pg *db = shop(9);
    struct store_conn *c = pg_conn(db);
    struct counted k = {0};
    replace(c, 1, 9, 1);
    pg_run(db, "delete from memberships where customer_no = 9");
    OK(store_begin_snapshot(c, &err));
    OK(store_clv_each(c, STR("s"), count, &k, &err));
    cr_assert(k.even == 4 && k.odd == 4 && k.none == 1 && k.sum == 20, "%d %d %d %g", k.even, k.odd, k.none, k.sum);
    k = (struct counted){0};
    OK(store_clv_each(c, STR_NONE, count, &k, &err));
    cr_assert(k.none == 9 && k.sum == 20);
    store_rollback(c);
    int64_t no = 0;
    OK(store_clv_active(c, STR("clv"), &no, &err));
    cr_assert_eq(no, 1);
    OK(store_clv_active(c, STR("other"), &no, &err));
    cr_assert_eq(no, 0);
    pg_done(db);
}
