/* Under ThreadSanitizer: keys looked up by many threads while others load, learn, forget and take note of use. A key that
 * is always loaded must always be found; one that never is, never. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include "meros/base/clock.h"
#include "meros/base/thread.h"
#include "meros/service/key_cache.h"

enum { READERS = 3, KEYS = 40, ROUNDS = 600 };

static struct key_cache *cache;
static struct key_entry entries[KEYS];
static _Atomic bool over;
static _Atomic int faults, used;

static void *read_keys(void *arg)
{
    (void)arg;
    unsigned char stranger[SHA256_BYTES] = {1};
    for (unsigned i = 0; !over; i++) {
        char id[KEY_ID_CAP];
        unsigned scopes = 0;
        const struct key_entry *e = &entries[i % (KEYS / 2)]; /* the first half is in every load */
        if (key_cache_find(cache, e->hash, clock_mono_ns(), id, &scopes) != KEY_KNOWN || scopes != e->scopes || strcmp(id, e->id) != 0)
            faults++;
        if (key_cache_find(cache, stranger, clock_mono_ns(), id, &scopes) == KEY_KNOWN)
            faults++;
    }
    return NULL;
}

static void note(void *arg, const char *id)
{
    (void)arg;
    (void)id;
    used++;
}

static void *change_keys(void *arg)
{
    (void)arg;
    struct meros_err err = MEROS_ERR_INIT;
    unsigned char stranger[SHA256_BYTES] = {1};
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t load = 0;
        if (key_cache_load(cache, entries, i % 2 == 0 ? KEYS : KEYS / 2, &err) != MEROS_OK)
            faults++;
        if (key_cache_may_ask(cache, clock_mono_ns(), &load))
            key_cache_learn(cache, entries[KEYS - 1].hash, &entries[KEYS - 1], load, clock_mono_ns());
        key_cache_learn(cache, stranger, NULL, load, clock_mono_ns());
        key_cache_forget(cache, str_of(entries[KEYS - 2].id));
        if (i % 16 == 0)
            key_cache_take_used(cache, note, NULL);
    }
    over = true;
    return NULL;
}

int main(void)
{
    struct meros_err err = MEROS_ERR_INIT;
    pthread_t threads[READERS + 1];
    if (crypto_start(&err) != MEROS_OK || key_cache_new(&cache, &err) != MEROS_OK)
        return 1;
    for (int i = 0; i < KEYS; i++) {
        snprintf(entries[i].id, sizeof entries[i].id, "key_%d", i);
        crypto_sha256(entries[i].id, strlen(entries[i].id), entries[i].hash);
        entries[i].scopes = (unsigned)i + 1;
    }
    if (key_cache_load(cache, entries, KEYS, &err) != MEROS_OK)
        return 1;
    for (int i = 0; i <= READERS; i++) {
        if (thread_start(&threads[i], "keys", 0, i < READERS ? read_keys : change_keys, NULL, &err) != MEROS_OK)
            return 1;
    }
    for (int i = 0; i <= READERS; i++)
        pthread_join(threads[i], NULL);
    char id[KEY_ID_CAP];
    unsigned scopes;
    key_cache_forget(cache, str_of(entries[0].id));
    if (key_cache_find(cache, entries[0].hash, clock_mono_ns(), id, &scopes) == KEY_KNOWN)
        faults++;
    key_cache_free(cache);
    if (faults > 0 || used == 0)
        fprintf(stderr, "%d faults, %d uses noted\n", faults, used);
    return faults > 0 || used == 0;
}
