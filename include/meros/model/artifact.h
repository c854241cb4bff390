/* A segment_model as bytes, as models.artifact keeps it and GET /v1/models/{id}/export gives it.
 *
 * Format, version 1; little-endian, no padding; str is a u16 length and bytes; double is its IEEE bits:
 *
 *   magic      8 bytes  "MEROSSEG"
 *   version    u32      1
 *   length     u64      of the whole artifact, checksum included
 *   method     u8       0 kmeans, 1 rfm
 *   name       str
 *   seed       u64
 *   as_of, trained_at, data_from, data_to   i64 each, microseconds since 1970 UTC; minimum: none
 *   half_life  double   days
 *   rows       u64
 *   row_hash   32 bytes SHA-256 over the training rows
 *   build      str      versions of what trained it
 *   segments   u16 count, then id str, label str each
 *   kmeans:    scaling u8; attributes u16 count, then name str, numeric u8, levels u8 count, level str each;
 *              columns u16 count, then kind u8, source (feature name str | attribute index u16), level u8, transform u8,
 *              missing u8, fill, center, scale, weight (double each); centres: segments * columns doubles, row-major
 *   rfm:       cuts: recency, frequency, monetary, 4 doubles each
 *   checksum   32 bytes SHA-256 of all bytes before
 *
 * Decoding checks everything (checksum, sizes, ranges, that numbers are finite, that names are known and unique) and
 * gives a model that is safe to serve, or nothing and UNPROCESSABLE. It allocates no more than a small multiple of the
 * input. Features are named rather than numbered, so an artifact outlives a reordering of the catalogue. */
#ifndef MEROS_MODEL_ARTIFACT_H
#define MEROS_MODEL_ARTIFACT_H

#include "meros/base/buf.h"
#include "meros/model/segment_model.h"

enum { ARTIFACT_VERSION = 1, ARTIFACT_MAX = 16 << 20 };

/* OUT_OF_MEMORY past ARTIFACT_MAX. out is begun by the caller; the bytes are appended. */
enum meros_code artifact_encode(const struct segment_model *m, struct buf *out, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code artifact_decode(const void *p, size_t n, struct segment_model **out, struct meros_err *err) MEROS_MUSTCHECK;

#endif
