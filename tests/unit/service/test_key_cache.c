#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include "meros/service/key_cache.h"

static const int64_t SECOND = 1000000000, NOW = 1000 * SECOND;

static struct key_cache *cache(void)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct key_cache *k = NULL;
    cr_assert_eq(crypto_start(&err), MEROS_OK);
    cr_assert_eq(key_cache_new(&k, &err), MEROS_OK);
    return k;
}

static struct key_entry entry(int i)
{
    struct key_entry e = {.scopes = (unsigned)i + 1};
    snprintf(e.id, sizeof e.id, "key_%d", i);
    crypto_sha256(e.id, strlen(e.id), e.hash);
    return e;
}

static enum key_found find(struct key_cache *k, const struct key_entry *e, int64_t now)
{
    char id[KEY_ID_CAP] = "";
    unsigned scopes = 0;
    enum key_found found = key_cache_find(k, e->hash, now, id, &scopes);
    if (found == KEY_KNOWN) {
        cr_assert_str_eq(id, e->id);
        cr_assert_eq(scopes, e->scopes);
    }
    return found;
}

Test(key_cache, loading_replaces_what_was_known)
{
    struct key_cache *k = cache();
    struct meros_err err = MEROS_ERR_INIT;
    enum { N = 300 };
    static struct key_entry all[N];
    for (int i = 0; i < N; i++)
        all[i] = entry(i);
    cr_assert_eq(find(k, &all[0], NOW), KEY_ASK);
    cr_assert_eq(key_cache_load(k, all, N, &err), MEROS_OK);
    for (int i = 0; i < N; i++)
        cr_assert_eq(find(k, &all[i], NOW), KEY_KNOWN, "key %d", i);
    cr_assert_eq(key_cache_load(k, all, N / 2, &err), MEROS_OK);
    cr_assert_eq(find(k, &all[N / 2 - 1], NOW), KEY_KNOWN);
    cr_assert_eq(find(k, &all[N / 2], NOW), KEY_ASK);
    key_cache_free(k);
}

Test(key_cache, what_the_database_does_not_know_is_unknown_for_a_second_or_until_keys_change)
{
    struct key_cache *k = cache();
    struct meros_err err = MEROS_ERR_INIT;
    struct key_entry e = entry(1);
    uint64_t load;
    cr_assert(key_cache_may_ask(k, NOW, &load));
    key_cache_learn(k, e.hash, NULL, load, NOW);
    cr_assert_eq(find(k, &e, NOW + SECOND / 2), KEY_UNKNOWN);
    cr_assert_eq(find(k, &e, NOW + 2 * SECOND), KEY_ASK);
    key_cache_learn(k, e.hash, NULL, load, NOW);
    cr_assert_eq(key_cache_load(k, NULL, 0, &err), MEROS_OK);
    cr_assert_eq(find(k, &e, NOW), KEY_ASK, "it may have been made meanwhile");
    key_cache_free(k);
}

Test(key_cache, an_answer_older_than_the_last_load_does_not_bring_a_revoked_key_back)
{
    struct key_cache *k = cache();
    struct meros_err err = MEROS_ERR_INIT;
    struct key_entry e = entry(1);
    uint64_t load;
    cr_assert(key_cache_may_ask(k, NOW, &load));
    cr_assert_eq(key_cache_load(k, NULL, 0, &err), MEROS_OK);
    key_cache_learn(k, e.hash, &e, load, NOW);
    cr_assert_eq(find(k, &e, NOW), KEY_ASK);
    cr_assert(key_cache_may_ask(k, NOW, &load));
    key_cache_forget(k, str_of(e.id));
    key_cache_learn(k, e.hash, &e, load, NOW);
    cr_assert_eq(find(k, &e, NOW), KEY_ASK, "revoked here while the question was under way");
    cr_assert(key_cache_may_ask(k, NOW, &load));
    key_cache_learn(k, e.hash, &e, load, NOW);
    cr_assert_eq(find(k, &e, NOW), KEY_KNOWN);
    key_cache_forget(k, str_of(e.id));
    cr_assert_neq(find(k, &e, NOW), KEY_KNOWN);
    key_cache_free(k);
}

Test(key_cache, many_keys_learnt_one_by_one_are_all_found)
{
    struct key_cache *k = cache();
    uint64_t load = 0;
    cr_assert(key_cache_may_ask(k, NOW, &load));
    for (int i = 0; i < 500; i++) {
        struct key_entry e = entry(i);
        key_cache_learn(k, e.hash, &e, load, NOW);
    }
    for (int i = 0; i < 500; i++) {
        struct key_entry e = entry(i);
        cr_assert_eq(find(k, &e, NOW), KEY_KNOWN);
    }
    key_cache_free(k);
}

Test(key_cache, strangers_may_ask_the_database_so_often_and_no_more)
{
    struct key_cache *k = cache();
    uint64_t load;
    int asked = 0;
    for (int i = 0; i < 1000; i++)
        asked += key_cache_may_ask(k, NOW, &load);
    cr_assert_eq(asked, 100);
    for (int i = 0; i < 1000; i++)
        asked += key_cache_may_ask(k, NOW + SECOND, &load);
    cr_assert_eq(asked, 150);
    key_cache_free(k);
}

static void count(void *arg, const char *id)
{
    (void)id;
    (*(int *)arg)++;
}

Test(key_cache, use_is_told_once_and_survives_a_load)
{
    struct key_cache *k = cache();
    struct meros_err err = MEROS_ERR_INIT;
    struct key_entry all[2] = {entry(0), entry(1)};
    int used = 0;
    cr_assert_eq(key_cache_load(k, all, 2, &err), MEROS_OK);
    find(k, &all[1], NOW);
    find(k, &all[1], NOW);
    cr_assert_eq(key_cache_load(k, all, 2, &err), MEROS_OK);
    key_cache_take_used(k, count, &used);
    cr_assert_eq(used, 1);
    key_cache_take_used(k, count, &used);
    cr_assert_eq(used, 1);
    key_cache_free(k);
}
