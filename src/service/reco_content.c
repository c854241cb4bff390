/* The catalogue's texts. */
#include "reco_content_priv.h"
enum meros_code reco_texts_read(struct reco_texts *x, struct training *t, struct reco_data *d, struct meros_err *err)
{
    (void)x, (void)t, (void)d, (void)err;
    return MEROS_OK;
}
enum meros_code reco_texts_fit(const struct reco_texts *x, struct training *t, struct reco_data *d, struct meros_err *err)
{
    (void)x, (void)t, (void)d, (void)err;
    return MEROS_OK;
}
void reco_texts_done(struct reco_texts *x)
{
    (void)x;
}
