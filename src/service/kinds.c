/* What can be queued: a kind of job joins by being listed here. */
#include "meros/service/jobs.h"

const struct job_kind *const job_kinds[] = {
    NULL,
};
