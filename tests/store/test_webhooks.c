#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "meros/base/clock.h"
#include "meros/store/outbox.h"
#include "meros/store/webhooks.h"
#include "pg.h"

static void make(struct store_conn *c, const char *name)
{
    struct meros_err err = MEROS_ERR_INIT;
    const struct webhook_row w = {.name = str_of(name), .url = STR("https://x/"), .events = {STR("job.finished"), STR("segment.left")},
                                  .n_events = 2, .enabled = true, .secret = STR("sealed")};
    cr_assert_eq(store_webhook_insert(c, &w, &err), MEROS_OK, "%s", err.detail);
}

static struct webhook_state result(struct store_conn *c, struct webhook_outcome o)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct webhook_state state;
    if (o.webhook_no == 0) o.webhook_no = 1;
    if (o.last_failed) o.error = STR("It answered 500.");
    cr_assert_eq(store_webhook_result(c, &o, &state, &err), MEROS_OK, "%s", err.detail);
    return state;
}

Test(webhooks, failures_of_different_messages_add_up_and_of_one_message_do_not)
{
    struct pg *db = pg_fresh();
    struct store_conn *c = pg_conn(db);
    make(c, "a");
    cr_assert_eq(result(c, (struct webhook_outcome){.last_failed = true, .failed_after = 1}).failures, 1);
    for (int i = 0; i < 5; i++)
        cr_assert_eq(result(c, (struct webhook_outcome){.last_failed = true, .failed_again = 1}).failures, 1, "the same message again");
    cr_assert_eq(result(c, (struct webhook_outcome){.last_failed = true, .failed_after = 1, .failed_again = 1}).failures, 2);
    cr_assert_eq(result(c, (struct webhook_outcome){.last_failed = true, .failed_after = 1}).failures, 3);
    cr_assert_eq(result(c, (struct webhook_outcome){.last_failed = true, .failed_again = 2}).failures, 5, "once it rests, each probe counts");
    struct webhook_state s = result(c, (struct webhook_outcome){.delivered = 1});
    cr_assert_eq(s.failures, 0);
    cr_assert(s.recovered);
    cr_assert_eq(pg_int(db, "select delivered from webhooks where failing_since is null and rest_until is null and last_error is not null"), 1);
    pg_done(db);
}

Test(webhooks, fail_since_the_first_failure_after_the_last_success)
{
    struct pg *db = pg_fresh();
    struct store_conn *c = pg_conn(db);
    make(c, "a");
    result(c, (struct webhook_outcome){.last_failed = true, .failed_after = 1});
    pg_run(db, "update webhooks set failing_since = failing_since - interval '2 hours'");
    struct webhook_state s = result(c, (struct webhook_outcome){.last_failed = true, .failed_after = 1});
    cr_assert(s.failing_seconds >= 7200 && s.failing_seconds < 7300);
    s = result(c, (struct webhook_outcome){.delivered = 2, .last_failed = true, .failed_after = 1});
    cr_assert_lt(s.failing_seconds, 60, "there was a success between");
    cr_assert_eq(s.failures, 1);
    s = result(c, (struct webhook_outcome){.dropped = 1, .last_failed = true, .failed_again = 1});
    cr_assert_eq(pg_int(db, "select dropped from webhooks"), 1);
    s = result(c, (struct webhook_outcome){.webhook_no = 99, .delivered = 1});
    cr_assert(s.failures == 0 && !s.recovered, "of one that was deleted nothing is to be told");
    pg_done(db);
}

Test(webhooks, recovering_brings_what_waits_back_at_once)
{
    struct pg *db = pg_fresh();
    struct store_conn *c = pg_conn(db);
    make(c, "a");
    make(c, "b");
    pg_run(db, "insert into webhook_outbox (webhook_no, type, due_at, claimed) values (1, 'x', now() + interval '1 hour', false), "
               "(1, 'y', now() + interval '1 minute', true), (2, 'x', now() + interval '1 hour', false)");
    result(c, (struct webhook_outcome){.last_failed = true, .failed_after = 1});
    result(c, (struct webhook_outcome){.delivered = 1});
    cr_assert_eq(pg_int(db, "select count(*) from webhook_outbox where due_at <= now()"), 0, "it did not rest");
    result(c, (struct webhook_outcome){.last_failed = true, .failed_after = 3});
    result(c, (struct webhook_outcome){.delivered = 1});
    char *rows = pg_table(db, "select webhook_no, type from webhook_outbox where due_at <= now()");
    cr_assert_str_eq(rows, "1|x\n");
    free(rows);
    pg_done(db);
}

static void note(void *arg, const struct webhook_row *w)
{
    char *out = arg;
    sprintf(out + strlen(out), "%.*s %.*s/%.*s old=%d on=%d rest=%d fail=%d;", (int)w->name.n, w->name.p, (int)w->events[0].n, w->events[0].p,
            w->n_events > 1 ? (int)w->events[1].n : 0, w->n_events > 1 ? w->events[1].p : "", str_present(w->old_secret), w->enabled,
            w->resting_seconds > 0, (int)w->failures);
}

Test(webhooks, an_update_begins_anew_and_keeps_the_secret_unless_it_is_given_one)
{
    struct pg *db = pg_fresh();
    struct store_conn *c = pg_conn(db);
    struct meros_err err = MEROS_ERR_INIT;
    char seen[300] = "", name[WEBHOOK_NAME_CAP];
    struct webhook_row w = {.name = STR("a"), .url = STR("https://y/"), .events = {STR("model.activated")}, .n_events = 1, .enabled = true};
    make(c, "a");
    result(c, (struct webhook_outcome){.last_failed = true, .failed_after = 4});
    cr_assert_eq(store_webhook_rest(c, 1, 100, &err), MEROS_OK);
    cr_assert_eq(store_webhooks_enabled(c, note, seen, &err), MEROS_OK);
    cr_assert_str_eq(seen, "a job.finished/segment.left old=0 on=1 rest=1 fail=4;");
    cr_assert_eq(store_webhook_switch_off(c, 1, STR("why"), name, &err), MEROS_OK);
    cr_assert_str_eq(name, "a");
    cr_assert_eq(store_webhook_switch_off(c, 1, STR("why"), name, &err), MEROS_OK);
    cr_assert_str_eq(name, "", "it is off already");
    cr_assert_eq(store_webhook_update(c, 1, &w, 0, &err), MEROS_OK);
    cr_assert_eq(pg_int(db, "select count(*) from webhooks where enabled and secret = 'sealed' and failures = 0 and failing_since is null "
                            "and rest_until is null and disabled_reason is null and disabled_at is null"), 1);
    w.secret = STR("other");
    cr_assert_eq(store_webhook_update(c, 1, &w, 3600, &err), MEROS_OK);
    seen[0] = '\0';
    cr_assert_eq(store_webhook_get(c, STR("a"), note, seen, &err), MEROS_OK);
    cr_assert_str_eq(seen, "a model.activated/ old=1 on=1 rest=0 fail=0;");
    pg_run(db, "update webhooks set old_until = now() - interval '1 second'");
    seen[0] = '\0';
    cr_assert_eq(store_webhook_get(c, STR("a"), note, seen, &err), MEROS_OK);
    cr_assert_not_null(strstr(seen, "old=0"), "its day is over");
    w.secret = STR("third");
    cr_assert_eq(store_webhook_update(c, 1, &w, 0, &err), MEROS_OK);
    cr_assert_eq(pg_int(db, "select count(*) from webhooks where secret = 'third' and old_secret is null"), 1);
    pg_done(db);
}

Test(webhooks, there_are_as_many_as_may_be_and_no_more)
{
    struct pg *db = pg_fresh();
    struct store_conn *c = pg_conn(db);
    struct meros_err err = MEROS_ERR_INIT;
    char name[20];
    for (int i = 0; i < WEBHOOKS_MAX; i++) {
        snprintf(name, sizeof name, "w%d", i);
        make(c, name);
    }
    const struct webhook_row w = {.name = STR("one more"), .url = STR("https://x/"), .events = {STR("job.finished")}, .n_events = 1, .secret = STR("s")};
    cr_assert_eq(store_webhook_insert(c, &w, &err), MEROS_CONFLICT);
    cr_assert_not_null(strstr(err.detail, "delete one first"));
    pg_done(db);
}
