#include "meros/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "meros/base/str.h"

static const struct {
    int status;
    const char *slug, *title;
} table[] = {
#define X(code, status, slug, title) {status, slug, title},
    MEROS_CODES(X)
#undef X
};

/* Prints into `to`. What does not fit is cut between characters: details quote clients, and answers must be UTF-8. */
static void print(char *to, size_t cap, const char *format, va_list ap)
{
    int n = vsnprintf(to, cap, format, ap);
    if (n < 0) to[0] = '\0';
    else if ((size_t)n >= cap) to[utf8_cut(to, cap - 1)] = '\0';
}

__attribute__((format(printf, 3, 4))) static void printed(char *to, size_t cap, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    print(to, cap, format, ap);
    va_end(ap);
}

enum meros_code err_set(struct meros_err *err, enum meros_code code, const char *format, ...)
{
    if (err == NULL) return code;
    va_list ap;
    char detail[ERR_DETAIL_MAX]; /* the arguments may point into *err */
    va_start(ap, format);
    print(detail, sizeof detail, format, ap);
    va_end(ap);
    err_clear(err);
    err->code = code;
    memcpy(err->detail, detail, sizeof detail);
    return code;
}

enum meros_code err_field(struct meros_err *err, const char *pointer, const char *format, ...)
{
    if (err == NULL) return MEROS_INVALID;
    if (err->code == MEROS_OK) err->code = MEROS_INVALID;
    va_list ap;
    char detail[ERR_FIELD_DETAIL_MAX];
    va_start(ap, format);
    print(detail, sizeof detail, format, ap);
    va_end(ap);
    if (err->n_fields < ERR_FIELDS_MAX) {
        struct meros_err_field *f = &err->fields[err->n_fields++];
        printed(f->pointer, sizeof f->pointer, "%s", pointer);
        memcpy(f->detail, detail, sizeof detail);
        if (err->detail[0] == '\0') printed(err->detail, sizeof err->detail, "%s%s%s", f->pointer, f->pointer[0] == '\0' ? "" : ": ", f->detail);
    }
    return err->code;
}

void err_prefix(struct meros_err *err, const char *format, ...)
{
    if (err == NULL) return;
    char old[ERR_DETAIL_MAX];
    memcpy(old, err->detail, sizeof old);
    va_list ap;
    va_start(ap, format);
    print(err->detail, sizeof err->detail, format, ap);
    va_end(ap);
    size_t n = strlen(err->detail);
    printed(err->detail + n, sizeof err->detail - n, "%s", old);
}

void err_clear(struct meros_err *err)
{
    if (err != NULL) *err = (struct meros_err)MEROS_ERR_INIT;
}

static enum meros_code known(enum meros_code code)
{
    return (unsigned)code < MEROS_CODE_COUNT ? code : MEROS_INTERNAL;
}

int meros_code_status(enum meros_code code)
{
    return table[known(code)].status;
}

const char *meros_code_slug(enum meros_code code)
{
    return table[known(code)].slug;
}

const char *meros_code_title(enum meros_code code)
{
    return table[known(code)].title;
}
