/* Orders that follow from events: what is read of an order's events and how its lines are written. The rules by which
 * events become lines are in service/order_events.h. */
#ifndef MEROS_STORE_ORDER_EVENTS_H
#define MEROS_STORE_ORDER_EVENTS_H

#include <stdint.h>
#include "meros/base/str.h"

/* An order that events of a customer speak of. */
struct told_order {
    int64_t customer_no;
    struct str order_id;
};

#endif
