/* What clients write into a request's target: the path and the query, as bytes. The input is a target; whatever it is,
 * paths and values that pass must be what the server promises to handlers. */
#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "../../src/http/http_priv.h"

static const char *const words[] = {"asc", "desc", NULL};
static const struct http_param params[] = {
    {.name = "limit", .kind = HTTP_PARAM_INT, .min = 1, .max = 1000}, {.name = "ratio", .kind = HTTP_PARAM_NUM, .min = -1, .max = 1},
    {.name = "flag", .kind = HTTP_PARAM_BOOL}, {.name = "word", .kind = HTTP_PARAM_STR, .max = 20},
    {.name = "order", .kind = HTTP_PARAM_ENUM, .words = words}, {.name = "at", .kind = HTTP_PARAM_TIME},
    {.name = "who", .kind = HTTP_PARAM_ID}, {0}};
enum { LIMIT, RATIO, FLAG, WORD, ORDER, AT, WHO, N };

static void check_path(struct str path)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct str segments[SEGMENTS_MAX];
    size_t n = 0, bytes = 0;
    char *to = malloc(path.n + 1); /* exactly as much room as is promised to be enough, for the sanitizer to see */
    assert(to != NULL);
    if (path_split(path, to, segments, &n, &err) == MEROS_OK) {
        assert(n >= 1 && n <= SEGMENTS_MAX && path.p[0] == '/');
        for (size_t i = 0; i < n; i++) {
            assert(utf8_valid(segments[i].p, segments[i].n));
            assert(memchr(segments[i].p, '\0', segments[i].n) == NULL || segments[i].n == 0);
            bytes += segments[i].n;
        }
        assert(bytes + n <= path.n);
    } else {
        assert(err.code == MEROS_INVALID || err.code == MEROS_NOT_FOUND);
    }
    free(to);
}

static void check_query(struct str query)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct query_value v[N];
    char *to = malloc(query.n + 1);
    assert(to != NULL);
    if (query_parse(query, params, to, v, &err) == MEROS_OK) {
        assert(!v[LIMIT].given || (v[LIMIT].v.i >= 1 && v[LIMIT].v.i <= 1000));
        assert(!v[RATIO].given || (isfinite(v[RATIO].v.f) && fabs(v[RATIO].v.f) <= 1));
        assert(!v[FLAG].given || v[FLAG].v.i == 0 || v[FLAG].v.i == 1);
        assert(!v[WORD].given || (v[WORD].s.n <= 20 && utf8_valid(v[WORD].s.p, v[WORD].s.n)));
        assert(!v[ORDER].given || str_is(v[ORDER].s, "asc") || str_is(v[ORDER].s, "desc"));
        assert(!v[WHO].given || id_valid(v[WHO].s));
    } else {
        assert(err.code == MEROS_INVALID && err.detail[0] != '\0');
        for (size_t i = 0; i < err.n_fields; i++) assert(utf8_valid(err.fields[i].pointer, strlen(err.fields[i].pointer)));
    }
    free(to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char *exact = malloc(n + 1);
    assert(exact != NULL);
    memcpy(exact, data, n);
    const char *mark = memchr(exact, '?', n);
    struct str path = {exact, mark != NULL ? (size_t)(mark - exact) : n};
    check_path(path);
    if (mark != NULL) check_query((struct str){mark + 1, n - path.n - 1});
    accepts_gzip(path);
    free(exact);
    return 0;
}
