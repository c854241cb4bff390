/* An error as the world sees it: the members of application/problem+json (RFC 9457). One writer, so that an answer of the
 * server and the error of a job are the same thing. */
#ifndef MEROS_CODEC_PROBLEM_H
#define MEROS_CODEC_PROBLEM_H

#include "meros/base/err.h"
#include "meros/codec/json.h"

#define PROBLEM_TYPE_PREFIX "/problems/"

/* One object: type, title, status, detail, instance (left out where NULL) and, for faults of fields, errors. */
void problem_write(struct jsonw *w, const struct meros_err *err, const char *instance);

#endif
