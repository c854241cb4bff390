/* Models, segments and members as they are stored and shown. Views point into the result they were read from. */
#ifndef MEROS_DOMAIN_SEGMENT_H
#define MEROS_DOMAIN_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>
#include "meros/base/str.h"

struct model_row {
    int64_t model_no, version;
    struct str id, kind, name, algorithm;
    struct str params, features, metrics; /* JSON texts */
    int64_t seed;
    int64_t as_of, evaluated_at, trained_at, data_from, data_to, activated_at; /* TIME_NONE: none */
    int64_t rows;
    struct str row_hash, checksum; /* bytes */
    struct str build, job_id;
    struct str artifact; /* bytes; only for inserting */
    int64_t artifact_bytes;
    bool active;
};

struct segment_row {
    int64_t position; /* index in the model's artifact */
    struct str id, label, description;
    int64_t size;
    double share, revenue_share; /* revenue_share NaN: nobody has bought */
    struct str profile;          /* JSON text: {"features": …, "distinguishing": …} */
};

/* Somebody entered or left a segment. */
struct segment_change {
    int64_t change_no, customer_no;
    struct str customer_id, segmentation;
    struct str segment_id, label; /* as it was called then */
    bool entered;                 /* false: left */
    int64_t at;                   /* the moment that the customer was judged at */
    struct str model_id;          /* by which; the model itself may have been deleted since */
    int64_t model_version;
};

struct member_row {
    int64_t customer_no, since;
    struct str customer_id;
};

#endif
