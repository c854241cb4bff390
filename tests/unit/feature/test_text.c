#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "meros/feature/text.h"

/* How many terms two texts share, and how many the first has: what is compared are whole terms. */
static void of_two(struct str a, struct str b, size_t *out_shared, size_t *out_first)
{
    struct text_corpus *c = text_corpus_new(0);
    struct interactions x;
    text_corpus_document(c);
    text_corpus_words(c, a, 1);
    text_corpus_document(c);
    text_corpus_words(c, b, 1);
    cr_assert_eq(text_corpus_counts(c, &x, NULL), MEROS_OK);
    cr_assert_eq(x.rows, 2);
    *out_first = x.start[1];
    *out_shared = 0;
    for (size_t e = 0; e < x.start[1]; e++) *out_shared += interactions_at(&x, 1, x.col[e]) > 0;
    interactions_done(&x);
    text_corpus_free(c);
}

Test(text, words_are_runs_of_letters_and_digits_in_lower_case)
{
    static const struct {
        const char *a, *b;
        size_t shared, first;
    } cases[] = {
        {"Men's 2-Ply MUG, 350ml", "men ply mug 350ml", 4, 4},
        {"KÖLN Straße ÀÉÎ", "köln straße àéî", 3, 3},
        {"STRAẞE", "straße", 1, 1},
        {"ΚΑΦΈΣ ΚΌΣΜΟΣ", "καφές κόσμος", 2, 2},
        {"ЧАЙНИК Ёлка", "чайник ёлка", 2, 2},
        {"ŽLUŤOUČKÝ KŮŇ ŁÓDŹ İzmir", "žluťoučký kůň łódź izmir", 4, 4},
        {"Tiếng VIỆT", "tiếng việt", 2, 2},
        {"ＴＥＡ", "ｔｅａ", 1, 1},
        {"a b c", "a b c", 0, 0},
        {"tea\xff" "cup \xc3", "tea cup", 2, 2},
        {"cup☕️mug—“pot”…5€ ×", "cup mug pot", 3, 3},
        {"陶瓷茶杯", "陶瓷杯", 1, 3},
        {"tea茶杯mug", "茶杯 tea mug", 3, 3},
        {"", "", 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t shared, first;
        of_two(str_of(cases[i].a), str_of(cases[i].b), &shared, &first);
        cr_expect_eq(first, cases[i].first, "\"%s\" has %zu terms", cases[i].a, first);
        cr_expect_eq(shared, cases[i].shared, "\"%s\" and \"%s\" share %zu", cases[i].a, cases[i].b, shared);
    }
}

Test(text, lower_case_is_its_own_lower_case_and_stays_a_character)
{
    for (uint32_t c = 0; c < 0x11000; c++) {
        const uint32_t l = text_lower(c);
        cr_assert_eq(text_lower(l), l, "U+%04X", c);
        cr_assert(l > 0 || c == 0);
    }
}

Test(text, words_of_any_length_leave_no_trace_past_the_limit)
{
    char word[TEXT_WORD_MAX * 3 + 1];
    memset(word, 'x', sizeof word);
    for (size_t n = 1; n < sizeof word; n++) {
        size_t shared, first;
        of_two((struct str){word, n}, (struct str){word, n}, &shared, &first);
        cr_assert_eq(first, n >= 2 && n <= TEXT_WORD_MAX, "%zu", n);
    }
    struct text_corpus *c = text_corpus_new(0);
    struct interactions x;
    char *path = malloc(5000);
    for (size_t i = 0; i < 5000; i++) path[i] = i % 3 == 2 ? '/' : "\xc3\x84"[i % 3];
    text_corpus_document(c);
    text_corpus_path(c, (struct str){path, 5000}, 1);
    text_corpus_pair(c, (struct str){path, 5000}, (struct str){path, 5000}, 1);
    cr_assert_eq(text_corpus_counts(c, &x, NULL), MEROS_OK);
    interactions_done(&x);
    text_corpus_free(c);
    free(path);
}

Test(text, a_category_is_in_those_above_it_and_kinds_of_terms_never_meet)
{
    struct text_corpus *c = text_corpus_new(0);
    struct interactions x;
    const char *paths[] = {"Home/Kitchen/Mugs", "home/ kitchen /Pots", "homeware", "/home//kitchen/"};
    for (size_t i = 0; i < 4; i++) {
        text_corpus_document(c);
        text_corpus_path(c, str_of(paths[i]), 2);
    }
    text_corpus_document(c);
    text_corpus_words(c, STR("home"), 1);
    text_corpus_pair(c, STR(""), STR("home"), 1);
    text_corpus_pair(c, STR("Colour"), STR("Dark Blue "), 1);
    text_corpus_document(c);
    text_corpus_pair(c, STR("colour"), STR("dark blue"), 0.5f);
    text_corpus_pair(c, STR("colour"), STR("dark blue"), 0.25f);
    text_corpus_pair(c, STR("colour"), STR(""), 1);
    cr_assert_eq(text_corpus_counts(c, &x, NULL), MEROS_OK);
    const size_t lengths[] = {3, 3, 1, 2, 3, 1};
    cr_assert_eq(x.rows, 6);
    for (size_t d = 0; d < 6; d++) cr_expect_eq(interactions_of(&x, d), lengths[d], "document %zu", d);
    cr_expect(interactions_at(&x, 1, 0) == 2 && interactions_at(&x, 1, 1) == 2 && interactions_at(&x, 1, 2) == 0);
    cr_expect(interactions_at(&x, 3, 0) == 2 && interactions_at(&x, 3, 1) == 2);
    cr_expect_eq(interactions_at(&x, 5, x.col[x.start[5]]), 0.75f);
    cr_expect_eq(interactions_at(&x, 4, x.col[x.start[5]]), 1);
    interactions_done(&x);
    text_corpus_free(c);
}

Test(text, many_terms_are_all_kept_and_too_many_are_refused)
{
    char word[20];
    for (int pass = 0; pass < 2; pass++) {
        struct text_corpus *c = text_corpus_new(pass == 0 ? 0 : 100000);
        struct interactions x;
        for (int d = 0; d < 100; d++) {
            text_corpus_document(c);
            for (int i = 0; i < 100; i++) {
                snprintf(word, sizeof word, "word%d", (d * 50 + i) % 5000);
                text_corpus_words(c, str_of(word), 1);
            }
        }
        struct meros_err err = MEROS_ERR_INIT;
        const enum meros_code code = text_corpus_counts(c, &x, &err);
        text_corpus_free(c);
        cr_assert_eq(code, pass == 0 ? MEROS_OK : MEROS_OUT_OF_MEMORY);
        if (pass == 1) continue;
        cr_assert_eq(x.cols, 5000);
        cr_assert_eq(x.n, 10000);
        interactions_done(&x);
    }
    text_corpus_free(NULL);
}
