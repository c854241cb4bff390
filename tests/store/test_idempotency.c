#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>
#include "meros/service/idempotency.h"
#include "meros/service/listener.h"
#include "meros/store/idempotency.h"
#include "pg.h"

static struct service *service_on(struct pg *db, struct service *svc)
{
    struct meros_err err = MEROS_ERR_INIT;
    *svc = (struct service){.store = db->pool};
    memset(svc->settings.pii_key, 7, sizeof svc->settings.pii_key);
    cr_assert_eq(crypto_start(&err), MEROS_OK);
    cr_assert_eq(listener_new(svc, &err), MEROS_OK);
    cr_assert_eq(idempotency_start(svc, &err), MEROS_OK);
    return svc;
}

static void service_off(struct service *svc, struct pg *db)
{
    idempotency_free(svc);
    listener_free(svc);
    pg_done(db);
}

static const unsigned char PRINT[32] = "a fingerprint of thirty-two byt";

static enum meros_code begin(struct service *svc, const char *key, struct idempotent *it)
{
    struct meros_err err = MEROS_ERR_INIT;
    return idempotency_begin(svc, "key_1", "createJob", str_of(key), it, &err);
}

Test(idempotency, the_first_answer_is_given_again)
{
    struct pg *db = pg_fresh();
    struct service s, *svc = service_on(db, &s);
    struct meros_err err = MEROS_ERR_INIT;
    struct idempotent it;
    cr_assert_eq(begin(svc, "k", &it), MEROS_OK);
    cr_assert_not(it.replay);
    cr_assert_eq(idempotency_finish(svc, &it, PRINT, 202, STR("application/json"), STR("/v1/jobs/1"), STR("{\"secret\":1}"), &err), MEROS_OK);
    idempotency_done(&it);
    cr_assert_eq(begin(svc, "k", &it), MEROS_OK);
    cr_assert(it.replay);
    cr_assert_eq(it.status, 202);
    cr_assert_str_eq(it.content_type, "application/json");
    cr_assert_str_eq(it.location, "/v1/jobs/1");
    cr_assert_str_eq(it.body.data, "{\"secret\":1}");
    cr_assert_eq(memcmp(it.fingerprint, PRINT, 32), 0);
    idempotency_done(&it);
    cr_assert_eq(pg_int(db, "select count(*) from idempotency where answer like '%secret%'"), 0, "kept sealed");
    service_off(svc, db);
}

Test(idempotency, a_second_request_meanwhile_is_a_conflict_until_the_first_gives_up)
{
    struct pg *db = pg_fresh();
    struct service s, *svc = service_on(db, &s);
    struct idempotent first, second;
    cr_assert_eq(begin(svc, "k", &first), MEROS_OK);
    struct meros_err err = MEROS_ERR_INIT;
    cr_assert_eq(idempotency_begin(svc, "key_1", "createJob", STR("k"), &second, &err), MEROS_CONFLICT);
    cr_assert_gt(err.retry_after, 0);
    idempotency_done(&second);
    idempotency_drop(svc, &first);
    idempotency_done(&first);
    cr_assert_eq(begin(svc, "k", &second), MEROS_OK);
    cr_assert_not(second.replay);
    idempotency_drop(svc, &second);
    idempotency_done(&second);
    service_off(svc, db);
}

Test(idempotency, keys_of_other_principals_and_routes_are_other_keys)
{
    struct pg *db = pg_fresh();
    struct service s, *svc = service_on(db, &s);
    struct meros_err err = MEROS_ERR_INIT;
    struct idempotent a, b, c;
    cr_assert_eq(idempotency_begin(svc, "key_1", "createJob", STR("k"), &a, &err), MEROS_OK);
    cr_assert_eq(idempotency_begin(svc, "key_2", "createJob", STR("k"), &b, &err), MEROS_OK);
    cr_assert_eq(idempotency_begin(svc, "key_1", "createKey", STR("k"), &c, &err), MEROS_OK);
    idempotency_drop(svc, &a);
    idempotency_drop(svc, &b);
    idempotency_drop(svc, &c);
    idempotency_done(&a);
    idempotency_done(&b);
    idempotency_done(&c);
    service_off(svc, db);
}

Test(idempotency, what_a_dead_process_reserved_is_free_again_and_its_late_answer_is_not_kept)
{
    struct pg *db = pg_fresh();
    struct service s, *svc = service_on(db, &s);
    struct meros_err err = MEROS_ERR_INIT;
    struct idempotent dead, alive, again;
    cr_assert_eq(begin(svc, "k", &dead), MEROS_OK);
    pg_run(db, "update idempotency set locked_until = now() - interval '1 second'");
    cr_assert_eq(begin(svc, "k", &alive), MEROS_OK);
    cr_assert_eq(idempotency_finish(svc, &dead, PRINT, 200, STR("t"), STR_NONE, STR("late"), &err), MEROS_OK);
    cr_assert_eq(idempotency_finish(svc, &alive, PRINT, 200, STR("t"), STR_NONE, STR("right"), &err), MEROS_OK);
    cr_assert_eq(begin(svc, "k", &again), MEROS_OK);
    cr_assert_str_eq(again.body.data, "right");
    idempotency_done(&dead);
    idempotency_done(&alive);
    idempotency_done(&again);
    service_off(svc, db);
}

Test(idempotency, an_answer_is_forgotten_after_a_day)
{
    struct pg *db = pg_fresh();
    struct service s, *svc = service_on(db, &s);
    struct meros_err err = MEROS_ERR_INIT;
    struct idempotent it;
    cr_assert_eq(begin(svc, "k", &it), MEROS_OK);
    cr_assert_eq(idempotency_finish(svc, &it, PRINT, 200, STR("t"), STR_NONE, STR_NONE, &err), MEROS_OK);
    idempotency_done(&it);
    pg_run(db, "update idempotency set created_at = now() - interval '25 hours'");
    cr_assert_eq(begin(svc, "k", &it), MEROS_OK);
    cr_assert_not(it.replay);
    idempotency_drop(svc, &it);
    idempotency_done(&it);
    pg_run(db, "insert into idempotency (ref, answer, created_at) values ('old', '', now() - interval '2 days')");
    cr_assert_eq(store_idempotency_sweep(pg_conn(db), &err), MEROS_OK);
    cr_assert_eq(pg_int(db, "select count(*) from idempotency"), 0);
    service_off(svc, db);
}

static struct service *shared;
static _Atomic int winners, losers;

static void *race(void *arg)
{
    (void)arg;
    struct idempotent it;
    enum meros_code rc = begin(shared, "k", &it);
    if (rc == MEROS_OK && !it.replay)
        winners++;
    else if (rc == MEROS_CONFLICT)
        losers++;
    idempotency_done(&it);
    return NULL;
}

Test(idempotency, of_many_at_once_one_wins)
{
    enum { N = 8 };
    struct pg *db = pg_fresh();
    struct service s;
    pthread_t threads[N];
    shared = service_on(db, &s);
    for (int i = 0; i < N; i++)
        pthread_create(&threads[i], NULL, race, NULL);
    for (int i = 0; i < N; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(winners, 1);
    cr_assert_eq(losers, N - 1);
    service_off(shared, db);
}

Test(idempotency, keys_are_visible_ascii_of_at_most_255)
{
    char longest[257];
    memset(longest, 'k', sizeof longest);
    cr_assert(idempotency_key_valid((struct str){longest, 255}));
    cr_assert_not(idempotency_key_valid((struct str){longest, 256}));
    cr_assert_not(idempotency_key_valid(STR("")));
    cr_assert_not(idempotency_key_valid(STR("a b")));
    cr_assert_not(idempotency_key_valid(STR("\xc3\xa9")));
}
