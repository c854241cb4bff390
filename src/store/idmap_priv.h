/* A map from clients' ids to numbers, for one import: open addressing, seeded at random so that nobody can aim for
 * collisions. Keys are copied into the map, or, with `borrow`, are views that the caller keeps alive. */
#ifndef MEROS_STORE_IDMAP_PRIV_H
#define MEROS_STORE_IDMAP_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/arena.h"
#include "meros/base/str.h"

struct idmap_entry {
    const char *p; /* NULL: free */
    uint32_t n, hash;
    int64_t value;
};
struct idmap {
    struct idmap_entry *entries;
    size_t n, cap; /* cap is a power of two, or 0 */
    uint64_t seed;
    bool borrow;
    struct arena keys;
};

void idmap_init(struct idmap *m, bool borrow);
void idmap_done(struct idmap *m);
void idmap_clear(struct idmap *m); /* keeps the table */
int64_t *idmap_get(struct idmap *m, struct str key); /* NULL if absent */
/* The value of key, set to `value` if it was absent (*added). NULL: out of memory. */
int64_t *idmap_put(struct idmap *m, struct str key, int64_t value, bool *added);

#endif
