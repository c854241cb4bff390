/* Rows on their way from a body to the database: written once in the order of the file; read in the order of their keys,
 * those of one key in the order of the file.
 *
 *   spool_open ; spool_put … ; spool_end ; then  spool_head, spool_next, …  from the first row to the last
 *
 * An import must not hold locks while a client sends slowly, nor land anything before its last row was seen; so its
 * decoded rows wait here. They come out by key (the id of what a row is about), so that whatever a file says of one thing,
 * however far apart, can be merged in one go. Keys are compared as bytes.
 *
 * The first SPOOL_MEMORY bytes stay in memory; what exceeds them goes, sorted piece by piece, to a file without a name,
 * which vanishes with the process, and reading merges the pieces: an external merge sort in one pass, with a buffer a
 * piece. A mark says where reading may have to begin again. One thread at a time. */
#ifndef MEROS_SERVICE_SPOOL_PRIV_H
#define MEROS_SERVICE_SPOOL_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/err.h"
#include "meros/base/str.h"

enum { SPOOL_MEMORY = 4 << 20 }; /* a row and its key must fit into that */

/* A sorted piece. The file's bytes [base, base + len) are in the buffer; its head, the next row to be read, is at `at`. */
struct spool_run {
    int64_t at, end, marked, base;
    char *buf;
    size_t len, cap;
};

struct spool {
    const char *dir; /* NULL: the system's folder for temporary files */
    char *block;     /* rows that came last, not sorted yet */
    size_t len, n;   /* bytes and rows in it */
    int fd;          /* -1: everything is in memory */
    int64_t written;
    struct spool_run *runs;
    size_t n_runs, cap_runs;
    size_t *heap;    /* of runs that are not at their end, the one with the least head first */
    size_t n_heap;
};

enum meros_code spool_open(struct spool *s, const char *dir, struct meros_err *err) MEROS_MUSTCHECK;
void spool_close(struct spool *s); /* also of one that could not be opened */
enum meros_code spool_put(struct spool *s, struct str key, struct str row, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code spool_end(struct spool *s, struct meros_err *err) MEROS_MUSTCHECK; /* of writing; marks the beginning */
/* The next row, as views that live until spool_next or spool_return; false at the end. */
bool spool_head(const struct spool *s, struct str *key, struct str *row);
enum meros_code spool_next(struct spool *s, struct meros_err *err) MEROS_MUSTCHECK;
void spool_mark(struct spool *s);
enum meros_code spool_return(struct spool *s, struct meros_err *err) MEROS_MUSTCHECK; /* to the mark */

#endif
