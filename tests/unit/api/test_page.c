#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "api_priv.h"

Test(cursor, comes_back_as_it_went)
{
    char text[API_CURSOR_CAP], cursor[API_CURSOR_CAP], longest[ID_MAX];
    memset(longest, 0xc3, sizeof longest);
    for (size_t i = 1; i < sizeof longest; i += 2)
        longest[i] = (char)0xa4;
    struct api_part in[] = {{.i = INT64_MIN}, {.d = -0.1}, {.t = {longest, sizeof longest}}}, out[3];
    size_t n = api_cursor_encode("things", "idt", in, cursor);
    cr_assert_gt(n, 0);
    cr_assert(api_cursor_decode((struct str){cursor, n}, "things", "idt", out, text));
    cr_assert_eq(out[0].i, INT64_MIN);
    cr_assert_eq(out[1].d, -0.1);
    cr_assert(str_eq(out[2].t, in[2].t));
    for (size_t i = 0; i < n; i++)
        cr_assert_not_null(strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", cursor[i]));
}

Test(cursor, of_three_longest_ids_fits)
{
    char cursor[API_CURSOR_CAP], id[ID_MAX], text[API_CURSOR_CAP];
    memset(id, 'x', sizeof id);
    struct api_part in[3] = {{.t = {id, ID_MAX}}, {.t = {id, ID_MAX}}, {.t = {id, ID_MAX}}}, out[3];
    size_t n = api_cursor_encode("l", "ttt", in, cursor);
    cr_assert_gt(n, 0);
    cr_assert(api_cursor_decode((struct str){cursor, n}, "l", "ttt", out, text));
    cr_assert_eq(out[2].t.n, ID_MAX);
}

Test(cursor, of_another_list_or_order_is_refused)
{
    char text[API_CURSOR_CAP], cursor[API_CURSOR_CAP];
    struct api_part in[] = {{.i = 7}, {.i = 8}}, out[3];
    struct str c = {cursor, api_cursor_encode("jobs", "i", in, cursor)};
    cr_assert(api_cursor_decode(c, "jobs", "i", out, text));
    cr_assert_not(api_cursor_decode(c, "keys", "i", out, text));
    cr_assert_not(api_cursor_decode(c, "jobs", "d", out, text));
    cr_assert_not(api_cursor_decode(c, "jobs", "ii", out, text));
    cr_assert_not(api_cursor_decode(c, "job", "si", out, text));
}

Test(cursor, that_is_damaged_is_refused)
{
    char text[API_CURSOR_CAP], cursor[API_CURSOR_CAP];
    struct api_part in[] = {{.t = STR("abc")}, {.i = 8}}, out[3];
    size_t n = api_cursor_encode("l", "ti", in, cursor);
    cr_assert(api_cursor_decode((struct str){cursor, n}, "l", "ti", out, text));
    for (size_t cut = 0; cut < n; cut++)
        cr_assert_not(api_cursor_decode((struct str){cursor, cut}, "l", "ti", out, text), "cut to %zu", cut);
    cursor[n] = 'A';
    cr_assert_not(api_cursor_decode((struct str){cursor, n + 1}, "l", "ti", out, text), "grown");
    cr_assert_not(api_cursor_decode(STR("not/base64+url="), "l", "ti", out, text));
    cr_assert_not(api_cursor_decode(STR_NONE, "l", "ti", out, text));
}

Test(cursor, holds_no_text_that_a_database_refuses_and_no_nan)
{
    char text[API_CURSOR_CAP], cursor[API_CURSOR_CAP];
    struct api_part out[3];
    struct api_part nul[] = {{.t = {"a\0b", 3}}}, broken[] = {{.t = STR("\xff")}}, nan[] = {{.d = NAN}};
    cr_assert_not(api_cursor_decode((struct str){cursor, api_cursor_encode("l", "t", nul, cursor)}, "l", "t", out, text));
    cr_assert_not(api_cursor_decode((struct str){cursor, api_cursor_encode("l", "t", broken, cursor)}, "l", "t", out, text));
    cr_assert_not(api_cursor_decode((struct str){cursor, api_cursor_encode("l", "d", nan, cursor)}, "l", "d", out, text));
}

Test(routes, are_complete_and_each_is_there_once)
{
    const struct http_route *all = api_routes();
    size_t n = 0;
    for (const struct http_route *a = all; a->pattern != NULL; a++, n++) {
        cr_assert_not_null(a->fn, "%s", a->pattern);
        cr_assert_not_null(a->name, "%s", a->pattern);
        cr_assert(a->scopes != 0 || (a->flags & HTTP_PUBLIC) != 0, "%s has neither scopes nor is it public", a->name);
        for (const struct http_route *b = all; b != a; b++) {
            cr_assert_str_neq(a->name, b->name);
            cr_assert(a->method != b->method || strcmp(a->pattern, b->pattern) != 0, "%s twice", a->pattern);
        }
    }
    cr_assert_gt(n, 10);
}

/* --- the contract and the table of routes name the same operations */

struct embedded_file {
    const char *name, *begin, *end;
};
extern const struct embedded_file api_files[];

Test(routes, are_the_operations_of_the_contract)
{
    const struct embedded_file *f = api_files;
    while (f->name != NULL && strcmp(f->name, "openapi.yaml") != 0)
        f++;
    cr_assert_not_null(f->name);
    size_t documented = 0, routes = 0, n = (size_t)(f->end - f->begin);
    for (const char *p = f->begin; (p = memmem(p, (size_t)(f->end - p), "operationId: ", 13)) != NULL; p++)
        documented++;
    for (const struct http_route *r = api_routes(); r->pattern != NULL; r++, routes++) {
        char line[100];
        int len = snprintf(line, sizeof line, "operationId: %s\n", r->name);
        cr_assert_not_null(memmem(f->begin, n, line, (size_t)len), "%s is not in openapi.yaml", r->name);
    }
    cr_assert_eq(documented, routes, "%zu operations are documented, %zu are there", documented, routes);
}
