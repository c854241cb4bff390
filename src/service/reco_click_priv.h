/* Which product a click on a recommendation is about where the event names only the answer and the place. */
#ifndef MEROS_SERVICE_RECO_CLICK_PRIV_H
#define MEROS_SERVICE_RECO_CLICK_PRIV_H

#include "meros/domain/rows.h"
#include "meros/service/service.h"

/* Cheap: whether it is worth asking. */
static inline bool reco_click_wanting(const struct event_row *e)
{
    return e->kind == EVENT_RECOMMENDATION_CLICKED && !str_present(e->product_id) && str_present(e->properties);
}
/* The id of the product, copied to `to`; STR_NONE: it cannot be told. Any thread. */
struct str reco_click_product(struct service *svc, const struct event_row *e, char to[ID_MAX + 1]);

#endif
