/* CSV from a stranger, in pieces whose size the first byte chooses: whatever comes, records are UTF-8 without NUL, lines
 * go up, the end is reached, and the size of the pieces changes nothing. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "meros/codec/csv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct source {
    const uint8_t *p;
    size_t n, piece;
};

static enum meros_code give(void *arg, char *to, size_t cap, size_t *out_n, struct meros_err *err)
{
    struct source *s = arg;
    size_t n = s->n < s->piece ? s->n : s->piece;
    (void)err;
    if (n > cap) n = cap;
    if (n > 0) memcpy(to, s->p, n);
    s->p += n;
    s->n -= n;
    *out_n = n;
    return MEROS_OK;
}

static void check(bool holds)
{
    if (!holds) abort();
}

/* Reads all; a sum over what was given. */
static uint64_t read_all(const uint8_t *data, size_t size, size_t piece, const struct csv_options *options)
{
    struct source s = {data, size, piece};
    struct meros_err err = MEROS_ERR_INIT;
    struct csv_reader *r;
    struct csv_record rec;
    uint64_t sum = 0;
    int64_t line = 0;
    bool more;
    if (csv_open(options, give, &s, &r, &err) != MEROS_OK) return 0;
    while (csv_next(r, &rec, &more, &err) == MEROS_OK && more) {
        check(rec.line > line);
        line = rec.line;
        sum = sum * 31 + (uint64_t)line + (rec.fault != NULL);
        check(rec.fault != NULL || (rec.n > 0 && rec.n <= CSV_COLUMNS_MAX));
        for (size_t k = 0; rec.fault == NULL && k < rec.n; k++) {
            check(utf8_valid(rec.fields[k].p, rec.fields[k].n) && memchr(rec.fields[k].p, 0, rec.fields[k].n) == NULL);
            for (size_t i = 0; i < rec.fields[k].n; i++) sum = sum * 31 + (uint8_t)rec.fields[k].p[i];
            sum = sum * 31 + 1;
        }
    }
    csv_close(r);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    struct csv_options options = {.delimiter = ",;\t|"[data[1] & 3], .latin1 = data[1] & 4};
    uint64_t whole = read_all(data + 2, size - 2, SIZE_MAX, &options);
    check(read_all(data + 2, size - 2, 1 + (data[0] & 63u), &options) == whole);
    return 0;
}
