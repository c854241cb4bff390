/* A rule of an audience as a stranger sends it. What is understood has a form that is its own when it is read again, finds each of its
 * conditions, and judges any customer without asking for more than it said: here one whose every value is a text out of the input. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "meros/service/audience_rule.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) abort();
}

static void judge(const struct audience_rule *r, struct str text)
{
    bool leaves[AUDIENCE_LEAVES_MAX], decisive[AUDIENCE_LEAVES_MAX], any = false;
    char at[ERR_POINTER_MAX];
    const struct audience_value v = {.type = AUDIENCE_TEXT, .text = text};
    for (size_t i = 0; i < r->n_leaves; i++) {
        leaves[i] = audience_leaf_holds(&r->leaves[i], &v, INT64_C(1700000000000000));
        check(audience_leaf_pointer(r, i, at, sizeof at));
    }
    const bool in = audience_holds(r, leaves);
    audience_decisive(r, leaves, decisive);
    for (size_t i = 0; i < r->n_leaves; i++) any |= decisive[i];
    /* What did not decide may be otherwise, and nothing changes. */
    for (size_t i = 0; i < r->n_leaves; i++)
        if (!decisive[i]) leaves[i] = !leaves[i];
    check(!any || audience_holds(r, leaves) == in);
}

/* The rule of the text; false: there is none. */
static bool read_rule(const char *p, size_t n, struct arena *arena, struct audience_rule *out)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct json *v = NULL;
    if (json_parse(p, n, &v, &err) != MEROS_OK) return false;
    const enum meros_code rc = audience_rule_decode(v, "/rule", arena, out, &err);
    json_free(v);
    check(rc == MEROS_OK || (rc == MEROS_INVALID && err.n_fields > 0) || rc == MEROS_OUT_OF_MEMORY);
    return rc == MEROS_OK;
}

static void write_rule(const struct audience_rule *r, struct buf *b)
{
    struct jsonw w;
    buf_init(b, 16 << 20);
    jsonw_init(&w, b);
    audience_rule_write(&w, r);
    check(!b->failed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct audience_rule r, again;
    struct buf first, second;
    json_start();
    char *exact = malloc(size + 1); /* the sanitizer sees its end */
    check(exact != NULL);
    if (size > 0) memcpy(exact, data, size);
    arena_init(&arena, 16 << 20);
    if (read_rule(exact, size, &arena, &r)) {
        write_rule(&r, &first);
        check(read_rule(first.data, first.len, &arena, &again));
        write_rule(&again, &second);
        check(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
        judge(&r, (struct str){exact, size});
        for (size_t i = 0; i < size && i < 40; i++) judge(&r, (struct str){exact + i, size - i < 12 ? size - i : 12});
        buf_done(&first);
        buf_done(&second);
    }
    arena_done(&arena);
    free(exact);
    return 0;
}
