/* Writing and reading the parts that artifacts are made of. Reading: after the first fault every read gives zeros, and
 * `fault` says what was wrong first. */
#ifndef MEROS_MODEL_ARTIFACT_PRIV_H
#define MEROS_MODEL_ARTIFACT_PRIV_H

#include "meros/model/artifact.h"

void artifact_put_u8(struct buf *b, unsigned v);
void artifact_put_le(struct buf *b, uint64_t v, int bytes);
void artifact_put_double(struct buf *b, double v);
void artifact_put_doubles(struct buf *b, const double *v, size_t n);
void artifact_put_str(struct buf *b, const char *s);
void artifact_put_prep(struct buf *b, const struct prep *p);

void artifact_put_u32s(struct buf *b, const uint32_t *v, size_t n);
void artifact_put_floats(struct buf *b, const float *v, size_t n);

struct artifact_reader {
    const unsigned char *p;
    size_t n, at;
    const char *fault;
};
void artifact_fail(struct artifact_reader *r, const char *what);
const unsigned char *artifact_take(struct artifact_reader *r, size_t n); /* NULL after a fault */
uint64_t artifact_get_le(struct artifact_reader *r, int bytes);
unsigned artifact_get_below(struct artifact_reader *r, int bytes, uint64_t limit, const char *what);
double artifact_get_any_double(struct artifact_reader *r); /* NaN and infinity too */
double artifact_get_double(struct artifact_reader *r);     /* finite */
void artifact_get_u32s(struct artifact_reader *r, uint32_t *out, size_t n);
/* Each at least `least` and at most `most`, which NaN is not. */
void artifact_get_floats(struct artifact_reader *r, float *out, size_t n, float least, float most, const char *what);
struct str artifact_get_str(struct artifact_reader *r, size_t max);
char *artifact_get_text(struct artifact_reader *r, size_t max); /* a copy; NULL after a fault */
void artifact_get_name(struct artifact_reader *r, char *out, size_t cap); /* of a model */
void artifact_get_build(struct artifact_reader *r, char *out, size_t cap);
int64_t artifact_get_time(struct artifact_reader *r);
void artifact_get_prep(struct artifact_reader *r, struct prep *p);
/* At least `least` bytes must follow for each of `count` things: no allocation is larger than the input justifies. */
bool artifact_plausible(struct artifact_reader *r, size_t count, size_t least);

/* Content by kind. get: NULL after a fault. */
void artifact_put_segments(struct buf *out, const struct segment_model *m);
struct segment_model *artifact_get_segments(struct artifact_reader *r);
void artifact_put_clv(struct buf *out, const struct trained_clv *m);
struct trained_clv *artifact_get_clv(struct artifact_reader *r);
void artifact_put_reco(struct buf *out, const struct recommender *m);
struct recommender *artifact_get_reco(struct artifact_reader *r);

#endif
