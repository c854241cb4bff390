/* What was shown and clicked of recommendations, and what was bought after clicks (service/reco_performance.h). */
#ifndef MEROS_STORE_RECO_FEEDBACK_H
#define MEROS_STORE_RECO_FEEDBACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/arena.h"
#include "meros/base/err.h"
#include "meros/base/str.h"
#include "meros/store/store.h"

/* One recommendation_shown or recommendation_clicked; views live during the call. */
struct feedback_event {
    bool click;
    int64_t customer_no, at;
    int64_t product_no;          /* 0: none */
    int slot;                    /* properties.slot or properties.position, 1 .. 999; 0: none */
    struct str recommendation_id; /* STR_NONE: none */
    bool listed;                 /* properties.products is there: then these, in their order, 0 for unknown ones */
    const int64_t *products;
    size_t n_products;
};
typedef enum meros_code (*feedback_event_fn)(void *arg, const struct feedback_event *e, struct meros_err *err);
/* Of [from, to), in no order, in constant memory. Inside the caller's transaction. */
enum meros_code store_feedback_events(struct store_conn *c, int64_t from, int64_t to, feedback_event_fn fn, void *arg,
                                      struct meros_err *err) MEROS_MUSTCHECK;

/* The lines of orders of pairs of customer and product, from `since[i]` on: of a pair by time, what was bought before what came
 * back at the same moment. */
struct feedback_line {
    size_t pair; /* index into the arguments, ascending */
    int64_t ordered_at;
    bool returned;
    double amount; /* below 0 for a return */
};
typedef void (*feedback_line_fn)(void *arg, const struct feedback_line *l);
enum meros_code store_feedback_lines(struct store_conn *c, const int64_t *customer_nos, const int64_t *product_nos, const int64_t *since,
                                     size_t n, feedback_line_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;

/* The public ids of models; out[i] STR_NONE where it was deleted. In the arena. */
enum meros_code store_feedback_models(struct store_conn *c, const int64_t *model_nos, size_t n, struct arena *arena, struct str *out,
                                      struct meros_err *err) MEROS_MUSTCHECK;

#endif
