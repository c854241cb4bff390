#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "meros/base/clock.h"
#include "meros/store/outbox.h"
#include "pg.h"

/* A shop with two customers, a segmentation of a model and two segments, and two changes of it. */
static struct pg *shop(void)
{
    struct pg *db = pg_fresh();
    pg_run(db, "insert into customer_ids values ('ann', 1), ('bob', 2);"
               "insert into customers (customer_no, customer_id) values (1, 'ann'), (2, 'bob');"
               "insert into segmentations (name) values ('behaviour'), ('value');"
               "insert into models (model_id, kind, name, version, algorithm, params, features, metrics, seed, evaluated_at, trained_at, "
               "rows, row_hash, build, artifact, checksum) "
               "values ('mdl_1', 'segments', 'behaviour', 3, 'kmeans', '{}', '[]', '{}', 1, now(), now(), 2, '', '', '', '');"
               "insert into segments (model_no, position, segment_id, label, description, size, share, profile) "
               "values (1, 0, 's1', 'Loyal', '', 1, 0.5, '{}'), (1, 1, 's2', 'New', '', 1, 0.5, '{}');"
               "insert into change_names values (1, 's1', 1, 'Loyal', 'mdl_1', 3), (1, 's2', 1, 'New', 'mdl_1', 3);"
               "insert into segment_changes (customer_no, segmentation_no, segment_id, entered, news, at, model_no) values "
               "(1, 1, 's1', false, true, '2026-01-02T03:04:05Z', 1), (1, 1, 's2', true, true, '2026-01-02T03:04:05Z', 1)");
    return db;
}

static void webhook(struct pg *db, const char *name, const char *events, const char *rest)
{
    char sql[500];
    snprintf(sql, sizeof sql, "insert into webhooks (name, url, secret, events, segmentation, segment_id, enabled) values ('%s', 'https://x/', '', '%s', %s)",
             name, events, rest);
    pg_run(db, sql);
}

static int64_t note(struct store_conn *c, int64_t first, int64_t last)
{
    struct meros_err err = MEROS_ERR_INIT;
    int64_t n = -1;
    cr_assert_eq(store_outbox_segment_changes(c, first, last, &n, &err), MEROS_OK, "%s", err.detail);
    return n;
}

struct seen {
    size_t n;
    char text[20][400];
    int64_t webhooks[20], deliveries[20], attempts[20];
};

static void see(void *arg, const struct outbox_message *m)
{
    struct seen *s = arg;
    s->webhooks[s->n] = m->webhook_no;
    s->deliveries[s->n] = m->delivery_no;
    s->attempts[s->n] = m->attempts;
#define S(x) (int)(x).n, (x).n == 0 ? "" : (x).p
    snprintf(s->text[s->n++], sizeof s->text[0], "%.*s %.*s %.*s %.*s %.*s %.*s %lld|%.*s %lld %.*s %.*s %.*s|%.*s %.*s %.*s%s", S(m->type),
             S(m->change.customer_id), S(m->change.segmentation), S(m->change.segment_id), S(m->change.label), S(m->change.model_id),
             (long long)m->change.model_version, S(m->model_id), (long long)m->model_version, S(m->model_kind), S(m->model_name),
             S(m->model_algorithm), S(m->job_id), S(m->job_kind), S(m->job_state), m->about == OUTBOX_GONE ? "gone" : "");
}

static struct seen claim(struct store_conn *c, int64_t webhook_no, int64_t most)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct seen s = {0};
    cr_assert_eq(store_outbox_claim(c, &webhook_no, &most, 1, false, 60, see, &s, &err), MEROS_OK, "%s", err.detail);
    return s;
}

static struct outbox_claimed all(const struct seen *s)
{
    return (struct outbox_claimed){s->webhooks, s->deliveries, s->attempts, s->n};
}

Test(outbox, notes_a_row_for_every_webhook_that_wants_the_change)
{
    struct pg *db = shop();
    struct store_conn *c = pg_conn(db);
    cr_assert_eq(note(c, 1, 2), 0, "nobody listens");
    webhook(db, "both", "{segment.entered,segment.left}", "null, null, true");
    webhook(db, "entered", "{segment.entered,job.finished}", "null, null, true");
    webhook(db, "off", "{segment.entered,segment.left}", "null, null, false");
    webhook(db, "jobs", "{job.finished}", "null, null, true");
    webhook(db, "value", "{segment.entered,segment.left}", "'value', null, true");
    webhook(db, "s1", "{segment.entered,segment.left}", "'behaviour', 's1', true");
    cr_assert_eq(note(c, 1, 2), 4);
    char *rows = pg_table(db, "select name, type, change_no from webhook_outbox join webhooks using (webhook_no) order by 1, 3");
    cr_assert_str_eq(rows, "both|segment.left|1\nboth|segment.entered|2\nentered|segment.entered|2\ns1|segment.left|1\n");
    free(rows);
    cr_assert_eq(note(c, 2, 2), 2);
    cr_assert_eq(note(c, 3, 9), 0);
    pg_done(db);
}

Test(outbox, gives_what_a_message_is_about)
{
    struct pg *db = shop();
    struct store_conn *c = pg_conn(db);
    webhook(db, "all", "{segment.entered,segment.left,job.finished,model.activated}", "null, null, true");
    note(c, 1, 2);
    pg_run(db, "insert into jobs (job_id, kind, params, state) values ('job_1', 'refresh', '{}', 'running'), ('job_2', 'refresh', '{}', 'queued');"
               "update jobs set state = 'succeeded', finished_at = now() where job_id = 'job_1';"
               "update jobs set progress = 0.5; update jobs set state = 'cancelled' where job_id = 'job_2';"
               "update models set active = true, activated_at = now(); update models set active = true");
    struct seen s = claim(c, 1, 20);
    cr_assert_eq(s.n, 5);
    cr_assert_str_eq(s.text[0], "segment.left ann behaviour s1 Loyal mdl_1 3| 0   |  ");
    cr_assert_str_eq(s.text[1], "segment.entered ann behaviour s2 New mdl_1 3| 0   |  ");
    cr_assert_str_eq(s.text[2], "job.finished      0| 0   |job_1 refresh succeeded");
    cr_assert_str_eq(s.text[3], "job.finished      0| 0   |job_2 refresh cancelled");
    cr_assert_str_eq(s.text[4], "model.activated      0|mdl_1 3 segments behaviour kmeans|  ");
    pg_done(db);
}

Test(outbox, says_when_what_a_message_was_about_is_gone)
{
    struct pg *db = shop();
    struct store_conn *c = pg_conn(db);
    webhook(db, "all", "{segment.entered,segment.left,job.finished}", "null, null, true");
    note(c, 1, 2);
    pg_run(db, "insert into jobs (job_id, kind, params, state) values ('job_1', 'refresh', '{}', 'running');"
               "update jobs set state = 'failed'; delete from jobs; delete from segment_changes where change_no = 1; delete from customers");
    struct seen s = claim(c, 1, 20);
    cr_assert_eq(s.n, 3);
    for (size_t i = 0; i < 3; i++) cr_assert_not_null(strstr(s.text[i], "gone"), "%s", s.text[i]);
    pg_done(db);
}

Test(outbox, a_claim_is_nobody_elses_until_it_is_over)
{
    struct pg *db = shop();
    struct store_conn *c = pg_conn(db), *other = pg_conn(db);
    struct meros_err err = MEROS_ERR_INIT;
    int64_t n;
    webhook(db, "all", "{segment.entered,segment.left}", "null, null, true");
    note(c, 1, 2);
    struct seen first = claim(c, 1, 1), second = claim(other, 1, 5);
    cr_assert_eq(first.n, 1);
    cr_assert_eq(second.n, 1);
    cr_assert_neq(first.deliveries[0], second.deliveries[0]);
    cr_assert_eq(claim(c, 1, 5).n, 0);
    /* The lease of the first runs out: somebody else sends it, and the first has nothing to say any more. */
    pg_run(db, "update webhook_outbox set due_at = now() where attempts = 1 and delivery_no = 1");
    struct seen again = claim(other, 1, 5);
    cr_assert_eq(again.n, 1);
    cr_assert_eq(again.attempts[0], 2);
    cr_assert_eq(store_outbox_done(c, all(&first), &err), MEROS_OK);
    cr_assert_eq(pg_int(db, "select count(*) from webhook_outbox"), 2);
    cr_assert_eq(store_outbox_done(other, all(&again), &err), MEROS_OK);
    cr_assert_eq(pg_int(db, "select count(*) from webhook_outbox"), 1);
    /* Of a process that is known to be dead, all are due at once. */
    cr_assert_eq(store_outbox_orphan(c, &n, &err), MEROS_OK);
    cr_assert_eq(n, 1);
    cr_assert_eq(claim(c, 1, 5).n, 1);
    pg_done(db);
}

Test(outbox, what_failed_is_due_later_and_what_was_given_back_at_once)
{
    struct pg *db = shop();
    struct store_conn *c = pg_conn(db);
    struct meros_err err = MEROS_ERR_INIT;
    webhook(db, "all", "{segment.entered,segment.left}", "null, null, true");
    note(c, 1, 2);
    struct seen s = claim(c, 1, 1);
    const double delay = 100;
    const struct str why = STR("it answered 500");
    cr_assert_eq(store_outbox_failed(c, all(&s), &delay, &why, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(pg_int(db, "select count(*) from webhook_outbox where due_at between now() + interval '90 s' and now() + interval '110 s' "
                            "and not claimed and attempts = 1 and last_error = 'it answered 500'"), 1);
    s = claim(c, 1, 5);
    cr_assert_eq(s.n, 1);
    cr_assert_eq(store_outbox_give_back(c, all(&s), &err), MEROS_OK);
    s = claim(c, 1, 5);
    cr_assert_eq(s.n, 1);
    cr_assert_eq(s.attempts[0], 1, "that claim did not count");
    pg_done(db);
}

Test(outbox, several_webhooks_are_served_as_much_as_each_has_room)
{
    struct pg *db = shop();
    struct store_conn *c = pg_conn(db);
    struct meros_err err = MEROS_ERR_INIT;
    struct seen s = {0};
    webhook(db, "a", "{segment.entered}", "null, null, true");
    webhook(db, "b", "{segment.entered}", "null, null, true");
    for (int i = 0; i < 6; i++) note(c, 2, 2);
    cr_assert_eq(store_outbox_claim(c, (int64_t[]){1, 2}, (int64_t[]){4, 2}, 2, false, 60, see, &s, &err), MEROS_OK);
    cr_assert_eq(s.n, 6);
    cr_assert_eq(pg_int(db, "select count(*) from webhook_outbox where claimed and webhook_no = 1"), 4);
    cr_assert_eq(pg_int(db, "select max(delivery_no) from webhook_outbox where claimed"), 7, "the oldest of each");
    s.n = 0;
    cr_assert_eq(store_outbox_claim(c, (int64_t[]){2}, (int64_t[]){1}, 1, true, 60, see, &s, &err), MEROS_OK);
    cr_assert_eq(s.deliveries[0], 12, "or its newest");
    pg_done(db);
}

Test(outbox, tidying_drops_what_nobody_will_take)
{
    struct pg *db = shop();
    struct store_conn *c = pg_conn(db);
    struct meros_err err = MEROS_ERR_INIT;
    int64_t dropped = -1, n;
    double age;
    const char *const names[] = {"gone", "off", "just_off", "long", "short"};
    for (int i = 0; i < 5; i++) webhook(db, names[i], "{segment.entered}", "null, null, true");
    for (int i = 0; i < 6; i++) note(c, 2, 2);
    pg_run(db, "delete from webhook_outbox where webhook_no = 5 and delivery_no > 5; delete from webhooks where name = 'gone';"
               "delete from webhook_outbox where webhook_no = 3 and delivery_no > 10;"
               "update webhooks set enabled = false, disabled_at = now() - interval '8 days' where name = 'off';"
               "update webhooks set enabled = false, disabled_at = now() - interval '6 days' where name = 'just_off'");
    cr_assert_eq(store_outbox_depth(c, 7, &n, &age, &err), MEROS_OK);
    cr_assert_eq(n, 7, "counts no further than it is told");
    cr_assert_eq(store_outbox_tidy(c, 4, 7, &dropped, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(dropped, 2);
    char *rows = pg_table(db, "select name, count(*), min(delivery_no), dropped from webhook_outbox join webhooks using (webhook_no) group by 1, 4 order by 1");
    cr_assert_str_eq(rows, "just_off|2|3|0\nlong|4|14|2\nshort|1|5|0\n");
    free(rows);
    cr_assert_eq(pg_int(db, "select count(*) from webhook_outbox"), 7);
    pg_done(db);
}
