#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "meros/ml/matrix.h"

enum { HEADER_MAX = 65536 };

/* The value after 'key': in numpy's dictionary, or NULL. */
static const char *value_of(const char *header, const char *key)
{
    char quoted[32];
    snprintf(quoted, sizeof quoted, "'%s':", key);
    const char *p = strstr(header, quoted);
    if (p == NULL) return NULL;
    p += strlen(quoted);
    return p + strspn(p, " ");
}

static enum meros_code parse_shape(const char *p, struct npy *out, struct meros_err *err)
{
    size_t dims[2] = {1, 1}, n = 0;
    if (p == NULL || *p++ != '(') return err_set(err, MEROS_INVALID, "the header has no shape");
    while (*p != ')' && *p != '\0') {
        char *end;
        unsigned long long v = strtoull(p, &end, 10);
        if (end == p) return err_set(err, MEROS_INVALID, "the shape is not readable");
        if (n == 2) return err_set(err, MEROS_INVALID, "it has more than two dimensions");
        dims[n++] = (size_t)v;
        p = end + strspn(end, ", L");
    }
    if (n == 0) return err_set(err, MEROS_INVALID, "it is a single number, not an array");
    out->rows = dims[0];
    out->cols = dims[1];
    return MEROS_OK;
}

static bool convert(const unsigned char *p, char kind, int bytes, double *out)
{
#define AS(k, b, type)                                                                                       \
    if (kind == (k) && bytes == (b)) {                                                                       \
        type v;                                                                                              \
        memcpy(&v, p, sizeof v);                                                                             \
        *out = (double)v;                                                                                    \
        return true;                                                                                         \
    }
    AS('f', 4, float)
    AS('f', 8, double)
    AS('i', 1, int8_t)
    AS('i', 2, int16_t)
    AS('i', 4, int32_t)
    AS('i', 8, int64_t)
    AS('u', 1, uint8_t)
    AS('u', 2, uint16_t)
    AS('u', 4, uint32_t)
    AS('u', 8, uint64_t)
    AS('b', 1, uint8_t)
#undef AS
    return false;
}

static enum meros_code read_header(FILE *f, char *header, struct meros_err *err)
{
    unsigned char magic[8], len[4] = {0};
    if (fread(magic, 1, 8, f) != 8 || memcmp(magic, "\x93NUMPY", 6) != 0) {
        return err_set(err, MEROS_INVALID, "it is not a .npy file");
    }
    if (magic[6] != 1 && magic[6] != 2) {
        return err_set(err, MEROS_INVALID, "it is .npy format %d.%d; 1.0 and 2.0 are read", magic[6],
                       magic[7]);
    }
    size_t width = magic[6] == 1 ? 2 : 4;
    if (fread(len, 1, width, f) != width) return err_set(err, MEROS_INVALID, "it ends inside its header");
    size_t n = (size_t)len[0] | (size_t)len[1] << 8 | (size_t)len[2] << 16 | (size_t)len[3] << 24;
    if (n >= HEADER_MAX) return err_set(err, MEROS_INVALID, "its header is longer than %d bytes", HEADER_MAX);
    if (fread(header, 1, n, f) != n) return err_set(err, MEROS_INVALID, "it ends inside its header");
    header[n] = '\0';
    return MEROS_OK;
}

static enum meros_code read_values(FILE *f, char kind, int bytes, enum npy_as as, struct npy *a,
                                   struct meros_err *err)
{
    size_t count;
    if (__builtin_mul_overflow(a->rows, a->cols, &count))
        return err_set(err, MEROS_INVALID, "its shape is absurd");
    if (as == NPY_F32)
        a->f32 = ml_alloc(count, sizeof *a->f32);
    else
        a->f64 = ml_alloc(count, sizeof *a->f64);
    if (a->f32 == NULL && a->f64 == NULL)
        return err_set(err, MEROS_OUT_OF_MEMORY, "no memory for %zu values", count);
    if (as == NPY_F32 && kind == 'f' && bytes == 4) { /* as it is */
        if (fread(a->f32, 4, count, f) != count)
            return err_set(err, MEROS_INVALID, "it ends before its last value");
        return MEROS_OK;
    }
    unsigned char block[8 * 4096];
    for (size_t i = 0; i < count;) {
        size_t some = count - i < 4096 ? count - i : 4096;
        if (fread(block, (size_t)bytes, some, f) != some)
            return err_set(err, MEROS_INVALID, "it ends before its last value");
        for (size_t j = 0; j < some; j++, i++) {
            double v;
            if (!convert(block + j * (size_t)bytes, kind, bytes, &v)) {
                return err_set(err, MEROS_INVALID,
                               "values of kind '%c%d' are not read; save it as float32 or float64", kind,
                               bytes);
            }
            if (as == NPY_F32)
                a->f32[i] = (float)v;
            else
                a->f64[i] = v;
        }
    }
    return MEROS_OK;
}

enum meros_code npy_load(const char *path, enum npy_as as, struct npy *out, struct meros_err *err)
{
    static char header[HEADER_MAX];
    struct npy a = {0};
    enum meros_code code;
    FILE *f = fopen(path, "rb");
    if (f == NULL) return err_set(err, MEROS_NOT_FOUND, "%s cannot be opened", path);
    code = read_header(f, header, err);
    if (code != MEROS_OK) goto out;
    const char *descr = value_of(header, "descr"), *order = value_of(header, "fortran_order");
    if (descr == NULL || order == NULL) {
        code = err_set(err, MEROS_INVALID, "its header is not readable");
        goto out;
    }
    if (strncmp(order, "False", 5) != 0) {
        code = err_set(err, MEROS_INVALID, "it is in Fortran order; save numpy.ascontiguousarray(x) instead");
        goto out;
    }
    char endian = 0, kind = 0;
    int bytes = 0;
    if (sscanf(descr, "'%c%c%d'", &endian, &kind, &bytes) != 3 || bytes < 1 || bytes > 8 ||
        !(endian == '<' || endian == '|' || endian == '=')) {
        code = err_set(err, MEROS_INVALID, "its values (%.12s) are not read; save it as float32 or float64",
                       descr);
        goto out;
    }
    code = parse_shape(value_of(header, "shape"), &a, err);
    if (code == MEROS_OK) code = read_values(f, kind, bytes, as, &a, err);
    if (code != MEROS_OK) goto out;
    *out = a;
    a = (struct npy){0};
out:
    if (code != MEROS_OK) err_prefix(err, "%s: ", path);
    npy_done(&a);
    fclose(f);
    return code;
}

void npy_done(struct npy *a)
{
    free(a->f32);
    free(a->f64);
    *a = (struct npy){0};
}

enum meros_code npy_save(const char *path, const float *values, size_t rows, size_t cols, size_t stride,
                         struct meros_err *err)
{
    enum { HEADER = 128 }; /* with the ten bytes before it */
    char header[HEADER + 1];
    FILE *f = fopen(path, "wb");
    if (f == NULL) return err_set(err, MEROS_INVALID, "%s cannot be written", path);
    memcpy(header, "\x93NUMPY\x01\x00", 8);
    header[8] = HEADER - 10;
    header[9] = 0;
    int len = snprintf(header + 10, HEADER - 10, "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu), }", rows,
                       cols);
    memset(header + 10 + len, ' ', (size_t)(HEADER - 10 - len));
    header[HEADER - 1] = '\n';
    bool written = fwrite(header, 1, HEADER, f) == HEADER;
    for (size_t i = 0; i < rows && written; i++) written = fwrite(values + i * stride, sizeof *values, cols, f) == cols;
    if (fclose(f) != 0) written = false;
    return written ? MEROS_OK : err_set(err, MEROS_INVALID, "%s cannot be written", path);
}
