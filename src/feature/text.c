#include "meros/feature/text.h"

#include <stdlib.h>

#include "meros/base/crypto.h"

/* A term is known by 128 bits of a cryptographic hash: its text is not needed again. Open addressing, at most half full. */
struct slot {
    struct crypto_hash128 hash;
    uint32_t term; /* its number and 1; 0: free */
};
struct text_corpus {
    struct interaction *uses;
    size_t n, cap;
    struct slot *slots;
    size_t n_slots; /* a power of 2 */
    uint32_t terms;
    size_t documents, budget;
    bool failed;
};

struct text_corpus *text_corpus_new(size_t budget)
{
    struct text_corpus *c = calloc(1, sizeof *c);
    if (c != NULL) c->budget = budget;
    return c;
}

void text_corpus_free(struct text_corpus *c)
{
    if (c == NULL) return;
    free(c->uses);
    free(c->slots);
    free(c);
}

void text_corpus_document(struct text_corpus *c)
{
    c->documents++;
}

/* --- terms */

static bool fits(const struct text_corpus *c, size_t uses, size_t slots)
{
    return c->budget == 0 || uses * sizeof *c->uses + slots * sizeof *c->slots <= c->budget;
}

static struct slot *slot_of(struct slot *slots, size_t n, const struct crypto_hash128 *hash)
{
    uint64_t at;
    memcpy(&at, hash->bytes, sizeof at);
    for (at &= n - 1; slots[at].term != 0 && memcmp(&slots[at].hash, hash, sizeof *hash) != 0; at = (at + 1) & (n - 1)) continue;
    return &slots[at];
}

static bool grow_slots(struct text_corpus *c)
{
    const size_t n = c->n_slots == 0 ? 1024 : 2 * c->n_slots;
    struct slot *slots = fits(c, c->cap, n) ? calloc(n, sizeof *slots) : NULL;
    if (slots == NULL) return false;
    for (size_t i = 0; i < c->n_slots; i++) {
        if (c->slots[i].term != 0) *slot_of(slots, n, &c->slots[i].hash) = c->slots[i];
    }
    free(c->slots);
    c->slots = slots;
    c->n_slots = n;
    return true;
}

static bool grow_uses(struct text_corpus *c)
{
    const size_t cap = c->cap == 0 ? 1024 : c->cap + c->cap / 2;
    struct interaction *uses = fits(c, cap, c->n_slots) ? realloc(c->uses, cap * sizeof *uses) : NULL;
    if (uses == NULL) return false;
    c->uses = uses;
    c->cap = cap;
    return true;
}

static void add(struct text_corpus *c, const char *text, size_t n, float weight)
{
    if (c->failed || c->documents == 0 || n == 0) return;
    if ((2 * (size_t)c->terms >= c->n_slots && !grow_slots(c)) || (c->n == c->cap && !grow_uses(c)) || c->terms == UINT32_MAX - 1) {
        c->failed = true;
        return;
    }
    const struct crypto_hash128 hash = crypto_hash128(text, n);
    struct slot *s = slot_of(c->slots, c->n_slots, &hash);
    if (s->term == 0) *s = (struct slot){hash, ++c->terms};
    c->uses[c->n++] = (struct interaction){(uint32_t)(c->documents - 1), s->term - 1, weight};
}

enum meros_code text_corpus_counts(const struct text_corpus *c, struct interactions *out, struct meros_err *err)
{
    if (c->failed) return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for what is said of %zu products.", c->documents);
    return interactions_build(c->uses, c->n, c->documents, c->terms, c->budget, out, err);
}

/* --- characters */

enum { NO_CHARACTER = 0xFFFD };

/* The next character of a text; what is no UTF-8 is one byte of NO_CHARACTER. */
static uint32_t next_character(const char *p, size_t n, size_t *at)
{
    const unsigned char *s = (const unsigned char *)p + *at;
    const size_t left = n - *at, length = s[0] < 0x80 ? 1 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
    if (left < length || (length > 1 && !utf8_valid((const char *)s, length))) {
        ++*at;
        return NO_CHARACTER;
    }
    *at += length;
    switch (length) {
    case 1: return s[0];
    case 2: return (uint32_t)(s[0] & 0x1F) << 6 | (s[1] & 0x3F);
    case 3: return (uint32_t)(s[0] & 0x0F) << 12 | (uint32_t)(s[1] & 0x3F) << 6 | (s[2] & 0x3F);
    default: return (uint32_t)(s[0] & 0x07) << 18 | (uint32_t)(s[1] & 0x3F) << 12 | (uint32_t)(s[2] & 0x3F) << 6 | (s[3] & 0x3F);
    }
}

static size_t put_character(uint32_t c, char *to)
{
    if (c < 0x80) {
        to[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        to[0] = (char)(0xC0 | c >> 6);
        to[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        to[0] = (char)(0xE0 | c >> 12);
        to[1] = (char)(0x80 | (c >> 6 & 0x3F));
        to[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    to[0] = (char)(0xF0 | c >> 18);
    to[1] = (char)(0x80 | (c >> 12 & 0x3F));
    to[2] = (char)(0x80 | (c >> 6 & 0x3F));
    to[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}

static bool within(uint32_t c, uint32_t from, uint32_t to)
{
    return c >= from && c <= to;
}

/* Unicode's simple lower case mappings of the blocks that shops write in. */
uint32_t text_lower(uint32_t c)
{
    if (within(c, 'A', 'Z')) return c + 32;
    if (c < 0xC0) return c;
    if (within(c, 0xC0, 0xDE)) return c == 0xD7 ? c : c + 32;
    if (c == 0x130) return 'i';
    if (c == 0x178) return 0xFF;
    if (c == 0x17F) return 's';
    if (within(c, 0x139, 0x148) || within(c, 0x179, 0x17E)) return c + (c & 1);
    if (within(c, 0x100, 0x177)) return c == 0x138 ? c : c | 1;
    if (c == 0x386) return 0x3AC;
    if (within(c, 0x388, 0x38A)) return c + 37;
    if (c == 0x38C) return 0x3CC;
    if (within(c, 0x38E, 0x38F)) return c + 63;
    if (within(c, 0x391, 0x3AB)) return c == 0x3A2 ? c : c + 32;
    if (c == 0x3C2) return 0x3C3; /* a sigma that ends a word */
    if (within(c, 0x400, 0x40F)) return c + 80;
    if (within(c, 0x410, 0x42F)) return c + 32;
    if (within(c, 0x460, 0x481) || within(c, 0x48A, 0x4BF) || within(c, 0x4D0, 0x52F)) return c | 1;
    if (within(c, 0x4C1, 0x4CE)) return c + (c & 1);
    if (within(c, 0x531, 0x556)) return c + 48;
    if (c == 0x1E9E) return 0xDF;
    if (within(c, 0x1E00, 0x1E95) || within(c, 0x1EA0, 0x1EFF)) return c | 1;
    if (within(c, 0xFF21, 0xFF3A)) return c + 32;
    return c;
}

/* Written without spaces between words. */
static bool is_dense(uint32_t c)
{
    return within(c, 0x3040, 0x30FF) || within(c, 0x3400, 0x4DBF) || within(c, 0x4E00, 0x9FFF) || within(c, 0xF900, 0xFAFF) ||
           within(c, 0x20000, 0x3FFFF);
}

/* Of a word: letters, marks and digits. Past ASCII, all that is not punctuation, a sign or a picture. */
static bool is_word(uint32_t c)
{
    if (c < 0x80) return within(c, '0', '9') || within(c, 'A', 'Z') || within(c, 'a', 'z');
    if (c < 0xC0) return c == 0xAA || c == 0xB2 || c == 0xB3 || c == 0xB5 || c == 0xB9 || c == 0xBA;
    if (c == 0xD7 || c == 0xF7 || c == NO_CHARACTER) return false;
    return !(within(c, 0x2000, 0x206F) || within(c, 0x20A0, 0x20CF) || within(c, 0x2190, 0x2BFF) || within(c, 0x2E00, 0x2E7F) ||
             within(c, 0x3000, 0x303F) || within(c, 0xE000, 0xF8FF) || within(c, 0xFE00, 0xFE6F) || within(c, 0xFF00, 0xFF0F) ||
             within(c, 0xFF1A, 0xFF20) || within(c, 0xFF3B, 0xFF40) || within(c, 0xFF5B, 0xFF65) || within(c, 0x1F000, 0x1FAFF) ||
             c > 0x3FFFF);
}

/* --- what is said */

struct word {
    char text[TEXT_WORD_MAX + 8];
    size_t bytes, characters;
};

static void end_word(struct text_corpus *c, struct word *w, float weight)
{
    if (w->characters >= 2 && w->bytes <= TEXT_WORD_MAX) add(c, w->text, w->bytes, weight);
    w->bytes = w->characters = 0;
}

void text_corpus_words(struct text_corpus *c, struct str text, float weight)
{
    struct word w = {.bytes = 0};
    uint32_t before = 0; /* the character before, where it is dense */
    for (size_t at = 0; at < text.n;) {
        const uint32_t ch = text_lower(next_character(text.p, text.n, &at));
        if (is_dense(ch)) {
            char pair[8];
            end_word(c, &w, weight);
            if (before != 0) {
                const size_t n = put_character(before, pair);
                add(c, pair, n + put_character(ch, pair + n), weight);
            }
            before = ch;
            continue;
        }
        before = 0;
        if (!is_word(ch)) {
            end_word(c, &w, weight);
            continue;
        }
        w.characters++;
        if (w.bytes <= TEXT_WORD_MAX) w.bytes += put_character(ch, w.text + w.bytes);
    }
    end_word(c, &w, weight);
}

/* A term of another kind than words: it begins with a character that no word has. */
struct term {
    char text[TEXT_TERM_MAX + 8];
    size_t bytes;
};

static void put(struct term *t, struct str s)
{
    for (size_t at = 0; at < s.n && t->bytes <= TEXT_TERM_MAX;) {
        const uint32_t ch = text_lower(next_character(s.p, s.n, &at));
        t->bytes += put_character(ch, t->text + t->bytes);
    }
}

void text_corpus_path(struct text_corpus *c, struct str path, float weight)
{
    struct term t = {.text = "/", .bytes = 1};
    for (size_t at = 0; at < path.n;) {
        const char *slash = memchr(path.p + at, '/', path.n - at);
        const size_t end = slash == NULL ? path.n : (size_t)(slash - path.p);
        const struct str part = str_trim((struct str){path.p + at, end - at});
        at = end + 1;
        if (part.n == 0 || t.bytes > TEXT_TERM_MAX) continue;
        put(&t, part);
        add(c, t.text, t.bytes, weight);
        put(&t, STR("/"));
    }
}

void text_corpus_pair(struct text_corpus *c, struct str name, struct str value, float weight)
{
    struct term t = {.text = "=", .bytes = 1};
    if (value.n == 0) return;
    put(&t, name);
    put(&t, STR("="));
    put(&t, str_trim(value));
    add(c, t.text, t.bytes, weight);
}
