#include "meros/base/err.h"

#include <criterion/criterion.h>
#include <string.h>
#include "meros/base/str.h"

Test(err, starts_as_ok_and_empty)
{
    struct meros_err e = MEROS_ERR_INIT;
    cr_assert_eq(e.code, MEROS_OK);
    cr_assert_str_eq(e.detail, "");
    cr_assert_eq(e.n_fields, 0);
}

Test(err, set_fills_code_and_sentence_and_returns_the_code)
{
    struct meros_err e = MEROS_ERR_INIT;
    cr_assert_eq(err_set(&e, MEROS_NOT_FOUND, "no %s %d", "job", 7), MEROS_NOT_FOUND);
    cr_assert_eq(e.code, MEROS_NOT_FOUND);
    cr_assert_str_eq(e.detail, "no job 7");
}

Test(err, set_replaces_all_that_was_there)
{
    struct meros_err e = MEROS_ERR_INIT;
    err_field(&e, "/a", "is wrong");
    strcpy(e.sqlstate, "23505");
    e.retry_after = 9;
    err_set(&e, MEROS_CONFLICT, "second");
    cr_assert_eq(e.n_fields, 0);
    cr_assert_str_eq(e.sqlstate, "");
    cr_assert_eq(e.retry_after, 0);
}

Test(err, set_may_quote_its_own_former_detail)
{
    struct meros_err e = MEROS_ERR_INIT;
    err_set(&e, MEROS_INTERNAL, "inner");
    err_set(&e, MEROS_UNAVAILABLE, "outer: %s", e.detail);
    cr_assert_str_eq(e.detail, "outer: inner");
}

Test(err, nobody_listening_is_fine)
{
    cr_assert_eq(err_set(NULL, MEROS_TIMEOUT, "x"), MEROS_TIMEOUT);
    cr_assert_eq(err_field(NULL, "/a", "x"), MEROS_INVALID);
    err_prefix(NULL, "x");
    err_clear(NULL);
}

Test(err, first_field_makes_it_invalid_and_gives_the_sentence)
{
    struct meros_err e = MEROS_ERR_INIT;
    cr_assert_eq(err_field(&e, "/k", "must be at least %d", 2), MEROS_INVALID);
    cr_assert_eq(err_field(&e, "/name", "is missing"), MEROS_INVALID);
    cr_assert_str_eq(e.detail, "/k: must be at least 2");
    cr_assert_eq(e.n_fields, 2);
    cr_assert_str_eq(e.fields[0].pointer, "/k");
    cr_assert_str_eq(e.fields[1].detail, "is missing");
}

Test(err, field_keeps_a_code_and_sentence_that_were_set_before)
{
    struct meros_err e = MEROS_ERR_INIT;
    err_set(&e, MEROS_UNPROCESSABLE, "it makes no sense");
    cr_assert_eq(err_field(&e, "/params/k", "is more than the customers"), MEROS_UNPROCESSABLE);
    cr_assert_str_eq(e.detail, "it makes no sense");
}

Test(err, fields_past_the_limit_are_dropped)
{
    struct meros_err e = MEROS_ERR_INIT;
    for (int i = 0; i < ERR_FIELDS_MAX + 5; i++) err_field(&e, "/x", "%d", i);
    cr_assert_eq(e.n_fields, ERR_FIELDS_MAX);
    cr_assert_str_eq(e.fields[ERR_FIELDS_MAX - 1].detail, "15");
}

Test(err, prefix_puts_context_before)
{
    struct meros_err e = MEROS_ERR_INIT;
    err_set(&e, MEROS_INVALID, "bad number");
    err_prefix(&e, "line %d: ", 3);
    cr_assert_str_eq(e.detail, "line 3: bad number");
    cr_assert_eq(e.code, MEROS_INVALID);
}

Test(err, long_texts_are_cut_and_terminated)
{
    char text[2000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    struct meros_err e = MEROS_ERR_INIT;
    err_set(&e, MEROS_INVALID, "%s", text);
    cr_assert_eq(strlen(e.detail), ERR_DETAIL_MAX - 1);
    err_prefix(&e, "%s", text);
    cr_assert_eq(strlen(e.detail), ERR_DETAIL_MAX - 1);
    err_clear(&e);
    err_field(&e, text, "%s", text);
    cr_assert_eq(strlen(e.fields[0].pointer), ERR_POINTER_MAX - 1);
    cr_assert_eq(strlen(e.fields[0].detail), ERR_FIELD_DETAIL_MAX - 1);
}

/* What a client sent is quoted in details; a cut through a character must not make the answer invalid UTF-8. */
Test(err, cutting_never_splits_a_character)
{
    char text[2000];
    for (size_t shift = 0; shift < 4; shift++) {
        memset(text, 'x', shift);
        for (size_t i = shift; i + 4 < sizeof text; i += 4) memcpy(text + i, "\xF0\x9F\x98\x80", 5);
        struct meros_err e = MEROS_ERR_INIT;
        err_set(&e, MEROS_INVALID, "%s", text);
        cr_assert(utf8_valid(e.detail, strlen(e.detail)), "detail, shift %zu", shift);
        cr_assert_geq(strlen(e.detail), ERR_DETAIL_MAX - 4);
        err_prefix(&e, "yy");
        cr_assert(utf8_valid(e.detail, strlen(e.detail)), "prefixed, shift %zu", shift);
        err_clear(&e);
        err_field(&e, text, "%s", text);
        cr_assert(utf8_valid(e.fields[0].pointer, strlen(e.fields[0].pointer)), "pointer, shift %zu", shift);
        cr_assert(utf8_valid(e.fields[0].detail, strlen(e.fields[0].detail)), "field, shift %zu", shift);
        cr_assert(utf8_valid(e.detail, strlen(e.detail)), "sentence of the field, shift %zu", shift);
    }
}

Test(err, every_code_has_a_status_a_slug_and_a_title)
{
    for (int c = 0; c < MEROS_CODE_COUNT; c++) {
        int status = meros_code_status((enum meros_code)c);
        const char *slug = meros_code_slug((enum meros_code)c), *title = meros_code_title((enum meros_code)c);
        cr_assert(c == MEROS_OK ? status == 200 : status >= 400 && status < 600, "code %d: %d", c, status);
        cr_assert_eq(strspn(slug, "abcdefghijklmnopqrstuvwxyz-"), strlen(slug));
        cr_assert_gt(strlen(slug), 0);
        cr_assert_gt(strlen(title), 0);
        for (int d = 0; d < c; d++) cr_assert_str_neq(slug, meros_code_slug((enum meros_code)d));
    }
}

Test(err, an_unknown_code_counts_as_internal)
{
    cr_assert_eq(meros_code_status((enum meros_code)999), 500);
    cr_assert_eq(meros_code_status((enum meros_code)-1), 500);
}
