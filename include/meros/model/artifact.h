/* A trained model as bytes, as models.artifact keeps it and GET /v1/models/{id}/export gives it.
 *
 * Format, version 1; little-endian, no padding; str is a u16 length and bytes; double is its IEEE bits:
 *
 *   magic      8 bytes  "MEROSSEG": a segmentation; "MEROSCLV": customer lifetime value; "MEROSRCO": recommendations
 *   version    u32      1
 *   length     u64      of the whole artifact, checksum included
 *   content    by kind, below
 *   checksum   32 bytes SHA-256 of all bytes before
 *
 * prep: scaling u8; attributes u16 count, then name str, numeric u8, levels u8 count, level str each; columns u16 count, then
 * kind u8, source (feature name str | attribute index u16), level u8, transform u8, missing u8, fill, center, scale, weight
 * (double each).
 *
 * A segmentation:
 *
 *   method     u8       0 kmeans, 1 rfm, 2 value
 *   name       str
 *   seed       u64
 *   as_of, trained_at, data_from, data_to   i64 each, microseconds since 1970 UTC; minimum: none
 *   half_life  double   days
 *   rows       u64
 *   row_hash   32 bytes SHA-256 over the training rows
 *   build      str      versions of what trained it
 *   segments   u16 count, then id str, label str each
 *   kmeans:    prep; centres: segments * columns doubles, row-major
 *   rfm:       cuts: recency, frequency, monetary, 4 doubles each
 *   value:     tiers: segments - 2 doubles, descending
 *
 * Customer lifetime value (struct trained_clv):
 *
 *   algorithm  u8       0 bgnbd, 1 mbgnbd, 2 paretonbd, 3 sbg
 *   name       str
 *   as_of, trained_at, data_from, data_to   as above; observed_to i32, days since 1970
 *   rows, row_hash, build                   as above
 *   sbg:       alpha, beta, period_days (double each), fit
 *   others:    unit u8; theta u8 count; parameters 4 doubles, standard errors 4; covariates u8 count, then 3 effects each,
 *              their errors, the mean (double each); covariance theta * theta doubles; fit; customers, repeat customers,
 *              repeat purchases (double each); prep;
 *              spend u8; 3 parameters, 3 errors, 9 of the covariance, mean, deviation, buyers, correlation (double each),
 *              warning u8, fit
 *   fit:       log-likelihood, gradient norm, decrement, condition (double each), evaluations u32, iterations u32,
 *              converged u8, at_bound u8
 *
 * Recommendations (struct recommender); float is its IEEE bits:
 *
 *   algorithm  u8       in the order of enum reco_algorithm
 *   name       str
 *   as_of, trained_at, data_from, data_to   as above
 *   rows, customers     u64 each; row_hash, build as above
 *   weights:   u16 count, then event type str, double each, types ascending; purchase, returned, other, half-life (double each)
 *   items      u32      then product_no i64 each, ascending; popular, trending, repeat_days: a float an item each
 *   als:       u16 factors, 0: none; else alpha, lambda, nu, mean mass, loss (double each), iterations u32, the items' factors
 *              (items * factors floats), their Gram matrix's diagonal (factors floats)
 *   ease:      rows
 *   item_knn, content: rows
 *   together:  baskets u64, rows, then u32 baskets of each pair, u32 baskets of each item; without rows nothing
 *   next:      rows, decay double
 *   blend:     u8 count of algorithms, then weight, scale (double each)
 *   rows:      u8, 0: none; else u32 length of each item's row, then all their items (u32), all their values (float)
 *
 * No artifact holds anything about a person: parameters of everybody together, names of attributes and their frequent values.
 *
 * Decoding checks everything (checksum, sizes, ranges, that numbers are finite where they must be, that names are known and
 * unique) and gives a model that is safe to serve, or nothing and UNPROCESSABLE. It allocates no more than a small multiple
 * of the input. Features are named rather than numbered, so an artifact outlives a reordering of the catalogue. */
#ifndef MEROS_MODEL_ARTIFACT_H
#define MEROS_MODEL_ARTIFACT_H

#include "meros/base/buf.h"
#include "meros/model/model.h"

enum { ARTIFACT_VERSION = 1, ARTIFACT_MAX = 512 << 20 }; /* of any kind */
size_t artifact_max(enum model_kind kind);               /* 16 MB; of recommendations, which grow with the catalogue, ARTIFACT_MAX */

/* OUT_OF_MEMORY past artifact_max of its kind. out is begun by the caller; the bytes are appended. */
enum meros_code artifact_encode(const struct model *m, struct buf *out, struct meros_err *err) MEROS_MUSTCHECK;
/* *out is the caller's to free with model_done. */
enum meros_code artifact_decode(const void *p, size_t n, struct model *out, struct meros_err *err) MEROS_MUSTCHECK;

#endif
