/* What jobs.c and jobs_stream.c share. */
#ifndef MEROS_API_JOBS_H
#define MEROS_API_JOBS_H

#include "api_priv.h"
#include "meros/service/jobs.h"

enum meros_code api_job_stream(struct http_request *req, struct meros_err *err);

#endif
