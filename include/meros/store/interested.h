/* Who may want a product: everybody's pairs with the products that speak for it, added up in the database. */
#ifndef MEROS_STORE_INTERESTED_H
#define MEROS_STORE_INTERESTED_H

#include <stddef.h>
#include <stdint.h>
#include "meros/base/arena.h"
#include "meros/base/err.h"
#include "meros/base/str.h"
#include "meros/domain/interaction.h"
#include "meros/store/store.h"

enum { INTERESTED_VOICES_MAX = 500 };

struct interested_ask {
    const struct interaction_weights *weights;
    int64_t at;                /* as of which they decay */
    const int64_t *product_nos; /* n different products, and what each says, a unit of weight of it */
    const double *voices;
    size_t n;
    double most;               /* weights above count as it; those not above 0 not at all */
    int64_t product_no;        /* leave out who bought this one (and kept it) since bought_since; 0: nobody */
    int64_t bought_since;      /* TIME_NONE: ever */
    size_t limit;
};
struct interested {
    struct str customer_id; /* the canonical one, in the arena */
    double voice;           /* the sum */
};
/* The customers with the highest sums, above 0; who refused profiling and visitors without a name are left out. Reads all events and
 * lines of these products. */
enum meros_code store_interested(struct store_conn *c, const struct interested_ask *ask, struct arena *arena, struct interested **out,
                                 size_t *out_n, struct meros_err *err) MEROS_MUSTCHECK;

#endif
