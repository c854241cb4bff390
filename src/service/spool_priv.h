/* Rows on their way from a body to the database: written once, then read from the beginning as often as need be.
 *
 * An import must not hold locks while a client sends slowly, nor land anything before its last row was seen; so its
 * decoded rows wait here. The first SPOOL_MEMORY bytes stay in memory, what exceeds them goes to a file without a name,
 * which vanishes with the process. One thread at a time. */
#ifndef MEROS_SERVICE_SPOOL_PRIV_H
#define MEROS_SERVICE_SPOOL_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/err.h"

enum { SPOOL_MEMORY = 1 << 20 };

struct spool {
    const char *dir; /* NULL: the system's folder for temporary files */
    char *block;
    size_t len, at;  /* bytes in the block; reading: how many were taken */
    int fd;          /* -1: everything is in the block */
    int64_t written, read;
    bool reading;
};

enum meros_code spool_open(struct spool *s, const char *dir, struct meros_err *err) MEROS_MUSTCHECK;
void spool_close(struct spool *s);
enum meros_code spool_put(struct spool *s, const void *p, size_t n, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code spool_rewind(struct spool *s, struct meros_err *err) MEROS_MUSTCHECK; /* ends the writing */
/* Exactly n bytes, or *got false at the end. */
enum meros_code spool_get(struct spool *s, void *p, size_t n, bool *got, struct meros_err *err) MEROS_MUSTCHECK;

#endif
