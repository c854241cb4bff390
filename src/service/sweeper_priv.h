/* The inside of the sweeper (service/sweeper.h): sweeper.c takes notes and writes what followed from them, sweeper_judge.c says what follows. */
#ifndef MEROS_SERVICE_SWEEPER_PRIV_H
#define MEROS_SERVICE_SWEEPER_PRIV_H

#include <pthread.h>
#include "meros/base/arena.h"
#include "meros/model/snapshot.h"
#include "meros/service/sweeper.h"
#include "meros/store/clv_list.h"
#include "meros/store/segment_changes.h"
#include "meros/store/store.h"

/* A segmentation and the model that is active in it. */
struct target {
    int64_t segmentation_no;
    const struct snapshot_model *model;
};

struct sweeper {
    struct service *svc;
    pthread_t thread;
    bool started;
    /* The thread's own; conn is changed under the lock. */
    struct store_conn *conn; /* NULL: none now */
    struct arena arena;      /* of one sweep */
    const struct snapshot *models;
    int64_t clv_active; /* the active model of lifetime value, as the database has it; 0: none */
    struct target *targets; /* TARGETS_MAX */
    size_t n_targets;
    uint64_t differing; /* active models that the snapshot lacks although it was read again; 0: none */
    int singles; /* batches of single changes in a row */
    int bulks; /* slices in a row */
    int64_t rejudge_due_ns, again_due_ns;
    bool said; /* that the last sweep failed */
    /* Shared. */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stop, poked; /* under lock */
};

struct moves {
    struct membership_move *rows;
    size_t n, cap;
    int64_t *nos; /* of whom, each once, ascending */
    size_t n_nos;
};

/* What customers are worth: of each (NaN: nothing bought, or nobody can say), and what is to be written down. */
struct worths {
    double *of; /* (n) as people */
    struct clv_row *rows;
    size_t n_rows;
    int64_t *without; /* who have bought nothing, or are gone */
    size_t n_without;
};

/* All that is given lives in the arena of the sweep. Nobody moves and nothing is said of worths where no model is active. */
enum meros_code sweeper_judge(struct sweeper *s, const int64_t *nos, size_t n, struct moves *out, struct worths *worths,
                              struct meros_err *err) MEROS_MUSTCHECK;

#endif
