/* The canonical form of any text: never a crash; that of JSON is JSON, stays when it is made again, and is the same when
 * white space is put into it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "meros/codec/json_cut.h"
#include "meros/domain/canonical.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void form(struct str text, struct buf *out)
{
    buf_init(out, text.n * CANONICAL_GROWTH + 64);
    json_canonical(text, out);
    if (out->failed) abort();
}

static void expect_same(const struct buf *a, const struct buf *b)
{
    if (a->len != b->len || (a->len > 0 && memcmp(a->data, b->data, a->len) != 0)) abort();
}

/* Blanks around everything that is not in a string. */
static void spread(const struct buf *text, struct buf *out)
{
    bool quoted = false;
    buf_init(out, 4 * text->len + 64);
    for (size_t k = 0; k < text->len; k++) {
        const char c = text->data[k];
        const bool mark = !quoted && strchr("{}[],:", c) != NULL && c != '\0';
        if (mark) buf_char(out, ' ');
        buf_char(out, c);
        if (mark) buf_char(out, '\n');
        if (quoted && c == '\\' && k + 1 < text->len) buf_char(out, text->data[++k]);
        else if (c == '"') quoted = !quoted;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct str text = {(const char *)data, size};
    struct buf once, twice, wide, narrow;
    form(text, &once);
    if (json_check(text.p, text.n, NULL) == MEROS_OK) {
        if (json_check(once.data, once.len, NULL) != MEROS_OK) abort();
        form((struct str){once.data, once.len}, &twice);
        expect_same(&once, &twice);
        spread(&once, &wide);
        form((struct str){wide.data, wide.len}, &narrow);
        expect_same(&once, &narrow);
        buf_done(&twice);
        buf_done(&wide);
        buf_done(&narrow);
    }
    buf_done(&once);
    return 0;
}
