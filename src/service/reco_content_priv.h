/* The catalogue's texts as training reads them: name, category, description and attributes of the products in the catalogue. */
#ifndef MEROS_RECO_CONTENT_PRIV_H
#define MEROS_RECO_CONTENT_PRIV_H

#include "reco_training_priv.h"

struct text_corpus;

struct reco_texts {
    size_t n, cap;
    int64_t *product_no; /* n, ascending: products of which anything is said */
    struct text_corpus *corpus; /* a document each */
};
/* Within what is left of the budget; its memory is the caller's until reco_texts_done. */
enum meros_code reco_texts_read(struct reco_texts *x, struct training *t, const struct reco_data *d, struct meros_err *err) MEROS_MUSTCHECK;
/* d->content and d->texts, once items have numbers. */
enum meros_code reco_texts_fit(struct reco_texts *x, struct training *t, struct reco_data *d, struct meros_err *err) MEROS_MUSTCHECK;
void reco_texts_done(struct reco_texts *x);

#endif
