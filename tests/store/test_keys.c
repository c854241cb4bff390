#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "meros/base/clock.h"
#include "meros/service/keys.h"
#include "meros/service/listener.h"
#include "pg.h"

static void on(struct pg *db, struct service *svc, const char *bootstrap)
{
    struct meros_err err = MEROS_ERR_INIT;
    *svc = (struct service){.store = db->pool};
    cr_assert_eq(crypto_start(&err), MEROS_OK);
    cr_assert_eq(listener_new(svc, &err), MEROS_OK);
    cr_assert_eq(keys_start(svc, bootstrap, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(listener_start(svc, &err), MEROS_OK);
}

static void off(struct service *svc)
{
    listener_stop(svc);
    keys_free(svc);
    listener_free(svc);
}

static enum meros_code check(struct service *svc, const char *key, bool may_block, bool *would_block, unsigned *scopes)
{
    struct meros_err err = MEROS_ERR_INIT;
    char id[KEY_ID_CAP];
    return keys_check(svc, str_of(key), may_block, would_block, id, scopes, &err);
}

static bool refused_soon(struct service *svc, const char *key)
{
    bool block;
    unsigned scopes;
    for (int i = 0; i < 2000; i++) {
        if (check(svc, key, true, &block, &scopes) == MEROS_UNAUTHENTICATED)
            return true;
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    return false;
}

Test(keys, a_key_is_shown_once_and_kept_as_a_digest)
{
    struct pg *db = pg_fresh();
    struct service svc;
    struct meros_err err = MEROS_ERR_INIT;
    char id[KEY_ID_CAP], text[KEY_TEXT_CAP], sql[200];
    unsigned scopes = 0;
    bool block = true;
    on(db, &svc, NULL);
    cr_assert_eq(keys_create(&svc, STR("shop"), KEY_INGEST | KEY_READ, id, text, &err), MEROS_OK);
    cr_assert_eq(strncmp(text, "mk_", 3), 0);
    cr_assert_eq(strlen(text), 3 + 43);
    snprintf(sql, sizeof sql, "select count(*) from api_keys k where k::text like '%%%s%%'", text + 3);
    cr_assert_eq(pg_int(db, sql), 0);
    cr_assert_eq(check(&svc, text, true, &block, &scopes), MEROS_OK);
    cr_assert_eq(scopes, KEY_INGEST | KEY_READ);
    cr_assert_eq(check(&svc, text, false, &block, &scopes), MEROS_OK, "known by now: no database needed");
    text[5] ^= 1;
    cr_assert_eq(check(&svc, text, false, &block, &scopes), MEROS_UNAVAILABLE);
    cr_assert(block, "an unknown key must be asked for");
    cr_assert_eq(check(&svc, text, true, &block, &scopes), MEROS_UNAUTHENTICATED);
    cr_assert_eq(check(&svc, text, false, &block, &scopes), MEROS_UNAUTHENTICATED, "remembered for a moment");
    off(&svc);
    pg_done(db);
}

Test(keys, a_revoked_key_stops_working_here_at_once_and_elsewhere_within_moments)
{
    struct pg *db = pg_fresh();
    struct service here, there;
    struct meros_err err = MEROS_ERR_INIT;
    char id[KEY_ID_CAP], text[KEY_TEXT_CAP];
    unsigned scopes;
    bool block;
    on(db, &here, NULL);
    on(db, &there, NULL);
    cr_assert_eq(keys_create(&here, STR("shop"), KEY_READ, id, text, &err), MEROS_OK);
    cr_assert_eq(check(&here, text, true, &block, &scopes), MEROS_OK);
    cr_assert_eq(check(&there, text, true, &block, &scopes), MEROS_OK);
    cr_assert_eq(keys_revoke(&here, str_of(id), &err), MEROS_OK);
    cr_assert_eq(check(&here, text, true, &block, &scopes), MEROS_UNAUTHENTICATED);
    cr_assert(refused_soon(&there, text));
    cr_assert_eq(keys_revoke(&here, str_of(id), &err), MEROS_OK, "revoking twice is fine");
    cr_assert_eq(keys_revoke(&here, STR("key_none"), &err), MEROS_NOT_FOUND);
    off(&here);
    off(&there);
    pg_done(db);
}

Test(keys, known_keys_go_on_working_while_the_database_is_away)
{
    struct pg *db = pg_fresh();
    struct service svc;
    struct meros_err err = MEROS_ERR_INIT;
    unsigned scopes;
    bool block;
    on(db, &svc, "a-bootstrap-key-of-some-length");
    struct store_config gone = {.url = "host=/nowhere-at-all dbname=none", .acquire_timeout_ms = 200};
    struct store_pool *dead = NULL, *live = svc.store;
    listener_stop(&svc);
    if (store_open(&gone, &dead, &err) == MEROS_OK) {
        svc.store = dead;
        cr_assert_eq(check(&svc, "a-bootstrap-key-of-some-length", true, &block, &scopes), MEROS_OK);
        cr_assert_eq(check(&svc, "another-key-that-nobody-knows", true, &block, &scopes), MEROS_UNAVAILABLE);
        svc.store = live;
        store_close(dead);
    }
    keys_free(&svc);
    listener_free(&svc);
    pg_done(db);
}

Test(keys, the_bootstrap_key_exists_after_every_start_and_once)
{
    struct pg *db = pg_fresh();
    struct service svc;
    struct meros_err err = MEROS_ERR_INIT;
    unsigned scopes = 0;
    bool block;
    for (int i = 0; i < 2; i++) {
        on(db, &svc, "a-bootstrap-key-of-some-length");
        cr_assert_eq(check(&svc, "a-bootstrap-key-of-some-length", false, &block, &scopes), MEROS_OK);
        cr_assert_eq(scopes, KEY_ADMIN);
        off(&svc);
        pg_run(db, "update api_keys set revoked_at = now()");
    }
    cr_assert_eq(pg_int(db, "select count(*) from api_keys"), 1);
    svc = (struct service){.store = db->pool};
    cr_assert_eq(listener_new(&svc, &err), MEROS_OK);
    cr_assert_eq(keys_start(&svc, "a blank in it", &err), MEROS_INVALID);
    listener_free(&svc);
    pg_done(db);
}

Test(keys, use_is_noted)
{
    struct pg *db = pg_fresh();
    struct service svc;
    unsigned scopes;
    bool block;
    on(db, &svc, "a-bootstrap-key-of-some-length");
    cr_assert_eq(pg_int(db, "select count(*) from api_keys where last_used_at is not null"), 0);
    cr_assert_eq(check(&svc, "a-bootstrap-key-of-some-length", false, &block, &scopes), MEROS_OK);
    off(&svc); /* writes what was not written yet */
    cr_assert_eq(pg_int(db, "select count(*) from api_keys where last_used_at > now() - interval '1 minute'"), 1);
    pg_done(db);
}

Test(keys, scopes_are_read_from_words)
{
    struct meros_err err = MEROS_ERR_INIT;
    unsigned scopes = 0;
    cr_assert_eq(key_scopes_parse(STR("read, train"), &scopes, &err), MEROS_OK);
    cr_assert_eq(scopes, KEY_READ | KEY_TRAIN);
    cr_assert_eq(key_scopes_parse(STR("read,"), &scopes, &err), MEROS_INVALID);
    cr_assert_eq(key_scopes_parse(STR("root"), &scopes, &err), MEROS_INVALID);
    cr_assert_not_null(strstr(err.detail, "\"root\""));
}
