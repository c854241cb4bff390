/* What reads alike: documents as bags of terms, and the nearest of each by cosine (Salton & Buckley, IP&M 1988).
 *
 * counts is (documents, terms): how often a document has a term, > 0, not always a whole number (a word of a title may count
 * for three; feature/text.h makes such matrices). With n documents, df_t of them with term t, as scikit-learn's TfidfVectorizer
 * (smooth_idf, sublinear_tf, norm "l2") has it:
 *
 *   v_dt = (1 + ln tf) (ln((1 + n) / (1 + df_t)) + 1),  then |v_d| = 1       (tf itself below 1)
 *   s_de = v_d . v_e
 *
 * Terms of fewer than min_df documents or of more than a share max_df of them are left out, norms included: what everything
 * has in common tells nothing apart, and costs the most, as a term of df documents takes df^2 steps. So a document of which more than
 * `most` documents are to be looked at, one a term, is held against those that share its rarest terms, as many as that allows; the best
 * four times k of them by these terms then get their whole cosine (pairs_priv.h). All that is listed has its right score; what is
 * missed shares but common terms. Of 25,000 made-up products with words of 1,200 families, with a `most` of 2048, the ten nearest of
 * each are the same but for 2 in 100,000; where words are drawn at random, so that nothing is near anything, of 100,000 with the default 4 in 100 differ.
 *
 * The table (neighbours.h) has each document's k nearest with s > 0. Rows are accumulated densely by a thread over the
 * documents of the terms of the document; the bits do not depend on the number of threads. */
#ifndef MEROS_ML_TFIDF_H
#define MEROS_ML_TFIDF_H

#include "meros/ml/interactions.h"
#include "meros/ml/neighbours.h"
#include "meros/ml/parallel.h"

struct tfidf_params {
    int k;         /* 1 .. 10000 */
    int min_df;    /* >= 1 */
    double max_df; /* above 0, at most 1 */
    bool sublinear; /* false: tf itself */
    size_t most;   /* 0: any number */
};
#define TFIDF_PARAMS_DEFAULT                                                                                  \
    {                                                                                                        \
        .k = 50, .min_df = 1, .max_df = 0.5, .sublinear = true, .most = 16384                                               \
    }

/* *out is written on success only. A document without terms (that are left) has no neighbours and is nobody's.
 * MEROS_UNPROCESSABLE for bad parameters or a count that is not above 0 and finite; MEROS_OUT_OF_MEMORY, also past the run's
 * budget; MEROS_CANCELLED. run may be NULL. */
enum meros_code tfidf_fit(const struct interactions *counts, const struct tfidf_params *params, const struct ml_run *run,
                          struct neighbours *out, struct meros_err *err) MEROS_MUSTCHECK;

/* The vectors alone: (documents, terms), rows of length 1, or 0 where nothing is left. */
enum meros_code tfidf_vectors(const struct interactions *counts, const struct tfidf_params *params, size_t budget,
                              struct interactions *out, struct meros_err *err) MEROS_MUSTCHECK;

#endif
