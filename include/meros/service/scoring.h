/* Judging everybody with a model and writing down the outcome: what training, activation and the `refresh` job share.
 *
 * Memberships in the database belong to the active model of a segmentation. Training writes those of the moment it was
 * trained for; activating another version, and `refresh`, judge everybody as live scoring would at that moment. */
#ifndef MEROS_SERVICE_SCORING_H
#define MEROS_SERVICE_SCORING_H

#include "meros/feature/dataset.h"
#include "meros/model/describe.h"
#include "meros/model/segment_model.h"
#include "meros/service/jobs.h"
#include "meros/service/service.h"

struct store_conn;

/* Progress of a part of some work: maps 0..1 to from..to. step NULL: nobody asks. */
struct scoring_progress {
    bool (*step)(void *arg, double fraction, const char *stage);
    void *arg;
    double from, to;
    const char *stage; /* literal */
};
bool scoring_step(const struct scoring_progress *p, double fraction);

/* All customers known before as_of (TIME_NONE: all), in the order of customer_no, from one snapshot of the database.
 * `model` says at which moment each is judged (NULL: all at `at`). extra_row_bytes: what the caller will need besides,
 * per customer, for the estimate that is made before anything is read. OUT_OF_MEMORY, CANCELLED. */
enum meros_code scoring_extract(struct service *svc, struct store_conn *c, int64_t as_of, int64_t at,
                                const struct segment_model *model, bool attributes, size_t extra_row_bytes,
                                const struct scoring_progress *progress, struct dataset *out,
                                struct meros_err *err) MEROS_MUSTCHECK;

/* What each row of the dataset is worth by the active model of lifetime value (NaN: nothing bought), for tiers of value: as
 * of `as_of`, TIME_NONE: as live answers say. *out is the caller's to free. UNPROCESSABLE, in words: there is no such model. */
enum meros_code scoring_worths(struct service *svc, const struct dataset *d, int64_t as_of, const struct scoring_progress *progress,
                               double **out, struct meros_err *err) MEROS_MUSTCHECK;

/* labels[i] = the segment of row i. labels has room for d->n. worths: of scoring_worths; NULL with methods that do not look. */
enum meros_code scoring_assign(const struct segment_model *m, const struct dataset *d, const double *worths, int32_t *labels,
                               struct meros_err *err) MEROS_MUSTCHECK;

/* Writes, in the caller's transaction that holds the segmentation, what the segments look like and who is in them. */
enum meros_code scoring_write(struct store_conn *c, int64_t segmentation_no, int64_t model_no, const struct segment_model *m,
                              const struct dataset *d, const int32_t *labels, const struct describe *desc, int64_t at,
                              int64_t *out_changed, struct meros_err *err) MEROS_MUSTCHECK;

/* Makes a stored model the active one of its segmentation and judges everybody with it, in one transaction. */
enum meros_code scoring_activate(struct service *svc, struct str model_id, struct meros_err *err) MEROS_MUSTCHECK;

extern const struct job_kind scoring_refresh_kind; /* "refresh" */

#endif
