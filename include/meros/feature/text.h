/* What is said of products, as terms: the documents of ml/tfidf.h.
 *
 *   words   runs of letters and digits, of two characters or more, lower case ("Men's 2-Ply MUG" is men, ply, mug: a lone
 *           character tells nothing, as scikit-learn has it). Chinese and Japanese, which put no spaces, are taken by pairs of
 *           characters. Everything is UTF-8; case is folded for the scripts that have it (Latin, Greek, Cyrillic, Armenian)
 *           without a locale. No stop-words and no stems: how rare a term is weighs it, in every language.
 *   path    a category "home/kitchen/mugs": one term for it and one for each that it is in: home, home/kitchen
 *   pair    an attribute and its value, lower case: one term "colour=dark blue"
 *
 * Terms of the three never meet. Each use adds `weight` (above 0) to the document's count of the term. What a name is worth
 * over a description is the caller's to say by weights. Bytes that are no UTF-8 separate words.
 *
 * Memory: 16 bytes a use, 24 to 48 a different term; past `budget` (0: no limit) it fails, which text_corpus_counts says.
 * One thread at a time. */
#ifndef MEROS_FEATURE_TEXT_H
#define MEROS_FEATURE_TEXT_H

#include <stddef.h>
#include "meros/base/err.h"
#include "meros/base/str.h"
#include "meros/ml/interactions.h"

enum { TEXT_WORD_MAX = 100, TEXT_TERM_MAX = 400 }; /* bytes; longer words are passed over, longer terms cut */

struct text_corpus;
struct text_corpus *text_corpus_new(size_t budget); /* NULL: out of memory */
void text_corpus_free(struct text_corpus *c);       /* NULL is fine */

void text_corpus_document(struct text_corpus *c); /* what follows is of the next document; call it before anything */
void text_corpus_words(struct text_corpus *c, struct str text, float weight);
void text_corpus_path(struct text_corpus *c, struct str path, float weight);
void text_corpus_pair(struct text_corpus *c, struct str name, struct str value, float weight);

/* The counts of all documents, (documents, terms), terms numbered as they were met. *out is written on success only.
 * MEROS_OUT_OF_MEMORY. */
enum meros_code text_corpus_counts(const struct text_corpus *c, struct interactions *out, struct meros_err *err) MEROS_MUSTCHECK;

/* One character in lower case, as text_corpus_words folds it. */
uint32_t text_lower(uint32_t c);

#endif
