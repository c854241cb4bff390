/* What segment_history.c and segment_stream.c share. */
#ifndef MEROS_API_SEGMENTS_H
#define MEROS_API_SEGMENTS_H

#include "api_priv.h"

enum meros_code api_segment_stream(struct http_request *req, struct meros_err *err);

#endif
