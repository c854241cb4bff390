/* The catalogue's texts as training reads them: name, category, description and attributes of products that are in the catalogue. */
#ifndef MEROS_RECO_CONTENT_PRIV_H
#define MEROS_RECO_CONTENT_PRIV_H

#include "reco_training_priv.h"

struct reco_texts {
    size_t n, cap;
    int64_t *product_no; /* n, ascending: products with a text */
    size_t *start;       /* n + 1: where each one's text begins in `text`; four fields, each ended by a NUL */
    char *text;
    size_t text_n, text_cap;
};
enum meros_code reco_texts_read(struct reco_texts *x, struct training *t, struct reco_data *d, struct meros_err *err) MEROS_MUSTCHECK;
/* d->content and d->texts, once items have numbers. */
enum meros_code reco_texts_fit(const struct reco_texts *x, struct training *t, struct reco_data *d, struct meros_err *err) MEROS_MUSTCHECK;
void reco_texts_done(struct reco_texts *x);

#endif
