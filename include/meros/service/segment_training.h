/* train.segments: from customers to an active segmentation, as the body of a job.
 *
 * Stages: extracting, preparing, clustering, describing, storing. Everything others can see is written in one
 * transaction together with the job's end; until then nothing has happened. The rows are in the order of customer_no and
 * all randomness comes from params.seed, so the same data and parameters give the same bits on any number of threads.
 *
 * Who is divided: kmeans divides all customers known at the moment; rfm and value score those who have bought and put the
 * others into a group of their own. value makes tiers of what the active model of lifetime value says that customers will be
 * worth; its ids are tier_1 (the best), tier_2, … and mean the same after every retraining. With fewer than 3 customers, or where no feature differs between any two, k "auto" makes
 * one segment of all; a k that was asked for is refused. Nobody at all is an error. */
#ifndef MEROS_SERVICE_SEGMENT_TRAINING_H
#define MEROS_SERVICE_SEGMENT_TRAINING_H

#include "meros/codec/json.h"
#include "meros/feature/prep.h"
#include "meros/model/segment_model.h"
#include "meros/service/jobs.h"

enum { TRAIN_FEATURES_MAX = 100 };

struct segment_params {
    struct str name;
    enum segment_method method;
    int k; /* 0: auto */
    struct str features[TRAIN_FEATURES_MAX]; /* none: all */
    size_t n_features;
    enum prep_scaling scaling;
    int64_t seed;
    int64_t as_of; /* TIME_NONE: now */
};
/* INVALID (shape) or UNPROCESSABLE (sense), with pointers from "/params" on. Views point into the tree. */
enum meros_code segment_params_read(const struct json *params, int64_t now, struct segment_params *out,
                                    struct meros_err *err) MEROS_MUSTCHECK;
void segment_params_write(const struct segment_params *p, struct jsonw *w);

extern const struct job_kind training_segments_kind;

#endif
