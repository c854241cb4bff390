/* What can be queued: a kind of job joins by being listed here. */
#include "meros/service/clv.h"
#include "meros/service/jobs.h"
#include "meros/service/recommend_training.h"
#include "meros/service/scoring.h"
#include "meros/service/segment_training.h"

const struct job_kind *const job_kinds[] = {
    &training_segments_kind,
    &training_clv_kind,
    &training_recommendations_kind,
    &scoring_refresh_kind,
    NULL,
};
