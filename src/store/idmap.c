#include "idmap_priv.h"

#include <stdlib.h>
#include <string.h>
#include "meros/base/crypto.h"

enum { KEYS_MAX = 128 << 20 };

void idmap_init(struct idmap *m, bool borrow)
{
    *m = (struct idmap){.borrow = borrow};
    arena_init(&m->keys, KEYS_MAX);
}

void idmap_done(struct idmap *m)
{
    free(m->entries);
    m->entries = NULL;
    m->n = m->cap = 0;
    arena_done(&m->keys);
}

void idmap_clear(struct idmap *m)
{
    if (m->n > 0) memset(m->entries, 0, m->cap * sizeof *m->entries);
    m->n = 0;
    arena_done(&m->keys);
}

/* Multiply and fold, eight bytes at a time (the mixing step of wyhash). */
static uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 v = (unsigned __int128)a * b;
    return (uint64_t)v ^ (uint64_t)(v >> 64);
}

static uint32_t hash(const struct idmap *m, struct str key)
{
    uint64_t h = m->seed ^ 0x9E3779B97F4A7C15ull, w;
    size_t left = key.n;
    const char *p = key.p;
    for (; left >= 8; left -= 8, p += 8) {
        memcpy(&w, p, 8);
        h = mix(h ^ w, 0xD6E8FEB86659FD93ull ^ m->seed);
    }
    w = 0;
    memcpy(&w, p, left);
    h = mix(h ^ w, 0xA0761D6478BD642Full) + key.n;
    h = mix(h, 0xE7037ED1A0B428DBull ^ m->seed);
    return (uint32_t)(h ^ h >> 32);
}

static struct idmap_entry *find(const struct idmap *m, struct str key, uint32_t h)
{
    for (size_t i = h & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        struct idmap_entry *e = &m->entries[i];
        if (e->p == NULL || (e->hash == h && e->n == key.n && memcmp(e->p, key.p, key.n) == 0)) return e;
    }
}

int64_t *idmap_get(struct idmap *m, struct str key)
{
    if (m->cap == 0) return NULL;
    struct idmap_entry *e = find(m, key, hash(m, key));
    return e->p == NULL ? NULL : &e->value;
}

static bool grow(struct idmap *m)
{
    size_t cap = m->cap == 0 ? 1024 : m->cap * 2;
    struct idmap_entry *old = m->entries, *entries = calloc(cap, sizeof *entries);
    if (entries == NULL) return false;
    if (m->cap == 0) crypto_random(&m->seed, sizeof m->seed); /* a system call, which a map that stays empty does without */
    for (size_t i = 0; i < m->cap; i++) {
        if (old[i].p == NULL) continue;
        size_t j = old[i].hash & (cap - 1);
        while (entries[j].p != NULL) j = (j + 1) & (cap - 1);
        entries[j] = old[i];
    }
    free(old);
    m->entries = entries;
    m->cap = cap;
    return true;
}

int64_t *idmap_put(struct idmap *m, struct str key, int64_t value, bool *added)
{
    *added = false;
    if (m->n * 2 >= m->cap && !grow(m)) return NULL;
    uint32_t h = hash(m, key);
    struct idmap_entry *e = find(m, key, h);
    if (e->p != NULL) return &e->value;
    const char *p = m->borrow ? key.p : arena_strndup(&m->keys, key.p, key.n);
    if (p == NULL) return NULL;
    *e = (struct idmap_entry){p, (uint32_t)key.n, h, value};
    m->n++;
    *added = true;
    return &e->value;
}
