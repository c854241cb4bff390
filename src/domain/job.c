#include "meros/domain/job.h"

#include <math.h>
#include <stddef.h>

const char *const job_state_words[JOB_STATE_COUNT + 1] = {"queued", "running", "succeeded", "failed", "cancelled", NULL};

const char *job_state_name(enum job_state s)
{
    return job_state_words[s];
}

bool job_state_of(struct str name, enum job_state *out)
{
    for (int i = 0; i < JOB_STATE_COUNT; i++) {
        if (str_is(name, job_state_words[i])) {
            *out = (enum job_state)i;
            return true;
        }
    }
    return false;
}

double job_eta(double progress, double elapsed_seconds)
{
    if (!(progress >= 0.01) || !(elapsed_seconds >= 0.5))
        return NAN;
    return progress >= 1 ? 0 : elapsed_seconds * (1 - progress) / progress;
}

int job_backoff_seconds(int attempts)
{
    return attempts < 1 ? 1 : attempts > 6 ? 60 : 1 << (attempts - 1);
}
