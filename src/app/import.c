/* `meros import`: a file, streamed to a running service as it is. */
#include "client_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { PEEK = 4096 };

struct input {
    FILE *file;
    const char *name;
    double size;      /* 0: unknown */
    char peek[PEEK];  /* read ahead to see what it is */
    size_t peeked, given;
};

static enum meros_code input_open(struct input *f, const char *name, struct meros_err *err)
{
    struct stat st;
    memset(f, 0, sizeof *f);
    f->name = name;
    f->file = strcmp(name, "-") == 0 ? stdin : fopen(name, "re");
    if (f->file == NULL) return err_set(err, MEROS_INVALID, "cannot read \"%.300s\": %s", name, strerror(errno));
    if (fstat(fileno(f->file), &st) == 0 && S_ISREG(st.st_mode)) f->size = (double)st.st_size;
    if (fstat(fileno(f->file), &st) == 0 && S_ISDIR(st.st_mode)) {
        fclose(f->file);
        return err_set(err, MEROS_INVALID, "\"%.300s\" is a folder", name);
    }
    f->peeked = fread(f->peek, 1, PEEK, f->file);
    return MEROS_OK;
}

static void input_close(struct input *f)
{
    if (f->file != stdin) fclose(f->file);
}

static ptrdiff_t input_read(void *arg, char *to, size_t cap, struct meros_err *err)
{
    struct input *f = arg;
    if (f->given < f->peeked) {
        size_t n = f->peeked - f->given < cap ? f->peeked - f->given : cap;
        memcpy(to, f->peek + f->given, n);
        f->given += n;
        return (ptrdiff_t)n;
    }
    size_t n = fread(to, 1, cap, f->file);
    if (n == 0 && ferror(f->file)) {
        err_set(err, MEROS_INVALID, "cannot read \"%.300s\": %s", f->name, strerror(errno));
        return -1;
    }
    return (ptrdiff_t)n;
}

static bool gzipped(const struct input *f)
{
    return f->peeked >= 2 && (unsigned char)f->peek[0] == 0x1F && (unsigned char)f->peek[1] == 0x8B;
}

/* NDJSON by --format, by the file's name, or by its first character. NULL: --format is neither. */
static const char *content_type(const struct invocation *in, const struct input *f)
{
    const char *format = invocation_option(in, "format");
    if (format != NULL && strcmp(format, "ndjson") != 0 && strcmp(format, "csv") != 0) return NULL;
    bool json = format != NULL ? strcmp(format, "ndjson") == 0 : strcasestr(f->name, "json") != NULL;
    if (format == NULL && !gzipped(f)) {
        size_t blank = strspn(f->peek, " \t\r\n");
        json = json || (blank < f->peeked && f->peek[blank] == '{');
    }
    return json ? "application/x-ndjson" : "text/csv";
}

static int64_t count_of(const struct json *answer, const char *name)
{
    return json_int(json_get(answer, name));
}

static void print_summary(const struct json *answer, const char *dataset)
{
    const struct json *errors = json_get(answer, "errors");
    printf("%s: %lld rows received, %lld inserted, %lld updated, %lld duplicates, %lld rejected, in %.2f s\n", dataset,
           (long long)count_of(answer, "received"), (long long)count_of(answer, "inserted"), (long long)count_of(answer, "updated"),
           (long long)count_of(answer, "duplicates"), (long long)count_of(answer, "rejected"), json_num(json_get(answer, "seconds")));
    for (size_t i = 0; i < json_count(errors) && i < 10; i++) {
        const struct json *e = json_at(errors, i);
        struct str column = json_str(json_get(e, "column")), detail = json_str(json_get(e, "detail"));
        fprintf(stderr, "  line %lld%s%.*s: %.*s\n", (long long)count_of(e, "line"), column.n ? ", column " : "", (int)column.n,
                column.n ? column.p : "", (int)detail.n, detail.n ? detail.p : "");
    }
    int64_t more = count_of(answer, "rejected") - (json_count(errors) < 10 ? (int64_t)json_count(errors) : 10);
    if (more > 0) fprintf(stderr, "  and %lld more\n", (long long)more);
}

int command_import(const struct invocation *in, struct config *config)
{
    static const struct {
        const char *option, *parameter;
    } passed_on[] = {{"map", "map"},           {"date-format", "date_format"}, {"delimiter", "delimiter"},
                     {"charset", "charset"},   {"on-error", "on_error"}};
    struct meros_err err = MEROS_ERR_INIT;
    struct client *client = NULL;
    struct json *answer = NULL;
    struct progress progress;
    struct input input;
    struct buf path;
    const char *dataset = in->args[0];
    enum meros_code rc = input_open(&input, in->args[1], &err);
    if (rc != MEROS_OK) {
        complain_err(&err);
        return EXIT_FAILED;
    }
    buf_init(&path, 4096);
    buf_str(&path, "/v1/imports/");
    for (const char *p = dataset; *p != '\0'; p++) /* what is no dataset the service will say; it must only not be a path */
        buf_char(&path, strchr("/?#% ", *p) != NULL ? '_' : *p);
    for (size_t i = 0; i < sizeof passed_on / sizeof passed_on[0]; i++) {
        const char *value = invocation_option(in, passed_on[i].option);
        if (value != NULL) client_query(&path, passed_on[i].parameter, value);
    }
    if (invocation_option(in, "day-first") != NULL) client_query(&path, "day_first", "true");

    struct client_upload upload = {content_type(in, &input), gzipped(&input) ? "gzip" : NULL, input_read, &input, &progress, NULL};
    if (upload.content_type == NULL) {
        complain("--format is csv or ndjson");
        rc = MEROS_INVALID;
        goto out;
    }
    if (path.failed) rc = err_set(&err, MEROS_INVALID, "--map and the other options together are too long");
    if (rc == MEROS_OK) rc = client_open(in, config, &client, &err);
    if (rc == MEROS_OK) {
        const char *slash = strrchr(input.name, '/');
        progress_begin(&progress, slash != NULL ? slash + 1 : input.name, input.size, true);
        rc = client_upload(client, path.data, &upload, &answer, &err);
        progress_end(&progress);
    }
    if (rc == MEROS_OK) print_summary(answer, dataset);
    else complain_err(&err);
out:;
    bool strict = invocation_option(in, "strict") != NULL && count_of(answer, "rejected") > 0;
    json_free(answer);
    client_close(client);
    buf_done(&path);
    input_close(&input);
    return rc != MEROS_OK || strict ? EXIT_FAILED : EXIT_OK;
}
