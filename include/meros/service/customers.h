/* Customers one at a time: put, patch, erase, and what they did. Personal texts are sealed on the way in and opened on
 * the way out. Views in records live during the call of fn; returning anything but OK from it stops. */
#ifndef MEROS_SERVICE_CUSTOMERS_H
#define MEROS_SERVICE_CUSTOMERS_H

#include "meros/base/err.h"
#include "meros/domain/records.h"
#include "meros/service/service.h"

typedef enum meros_code (*customer_show_fn)(void *arg, const struct customer_record *r, struct meros_err *err);
typedef enum meros_code (*order_show_fn)(void *arg, const struct order_record *r, struct meros_err *err);
typedef enum meros_code (*event_show_fn)(void *arg, const struct event_record *r, struct meros_err *err);

/* Changes the customer and shows what it is now. *created: it was not there before (PUT only; PATCH says NOT_FOUND). */
enum meros_code service_change_customer(struct service *s, struct str customer_id, const struct customer_change *change,
                                        bool *created, customer_show_fn show, void *arg, struct meros_err *err) MEROS_MUSTCHECK;
/* Consent alone, as store/customers.h says; it counts for whatever is answered afterwards. */
enum meros_code service_change_consent(struct service *s, struct str customer_id, struct str patch, customer_show_fn show, void *arg,
                                       struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code service_get_consent(struct service *s, struct str customer_id, customer_show_fn show, void *arg, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code service_erase_customer(struct service *s, struct str customer_id, struct erasure *out, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code service_list_customers(struct service *s, int64_t after, int64_t limit, customer_show_fn show, void *arg,
                                       struct meros_err *err) MEROS_MUSTCHECK;
/* Newest first; before TIME_NONE: from the newest. */
enum meros_code service_customer_orders(struct service *s, struct str customer_id, int64_t before, int64_t before_no, int64_t limit,
                                        order_show_fn show, void *arg, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code service_customer_events(struct service *s, struct str customer_id, int64_t before, struct str before_key,
                                        int64_t limit, event_show_fn show, void *arg, struct meros_err *err) MEROS_MUSTCHECK;

#endif
