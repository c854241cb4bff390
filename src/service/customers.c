#include "meros/service/customers.h"

#include "meros/base/log.h"
#include "meros/service/shelf.h"
#include "meros/service/sweeper.h"
#include "meros/store/clv_list.h"
#include "meros/store/customers.h"
#include "seal_priv.h"

enum { PERSON_MEMORY = 32 << 10, ORDERS_MEMORY = 64 << 20 };

struct showing {
    struct service *s;
    customer_show_fn show;
    void *arg;
    int64_t customer_no; /* of the last one shown */
};

/* Opens what is sealed. What another key sealed cannot be shown; it is logged, for it means a wrong pii_key. */
static enum meros_code show_customer(void *arg, const struct customer_record *r, struct meros_err *err)
{
    struct showing *x = arg;
    struct customer_record open = *r;
    struct arena memory;
    bool ok = true;
    x->customer_no = r->customer_no;
    arena_init(&memory, PERSON_MEMORY);
    open.email = unseal_text(x->s, &memory, r->email, &ok);
    open.name = unseal_text(x->s, &memory, r->name, &ok);
    open.phone = unseal_text(x->s, &memory, r->phone, &ok);
    if (!ok) log_warn("customer.sealed", KV_I("customer_no", r->customer_no), KV("advice", "sealed with another pii_key"));
    enum meros_code rc = x->show(x->arg, &open, err);
    arena_done(&memory);
    return rc;
}

/* After a change was committed, or was not. Before anybody is answered: consent counts for the very next recommendation. Gives c back. */
static void changed(const struct showing *x, struct store_conn *c, enum meros_code rc)
{
    if (rc == MEROS_OK) shelf_forget(x->s, &x->customer_no, 1);
    else if (c != NULL && store_broken(c)) shelf_doubt(x->s);
    store_release(x->s->store, c);
    if (rc == MEROS_OK) sweeper_wake(x->s);
}

static enum meros_code change_and_show(struct store_conn *c, struct str customer_id, const struct customer_change *change,
                                       const struct sealed_person *person, bool *created, struct showing *x, struct meros_err *err)
{
    enum meros_code rc = store_begin(c, err);
    if (rc == MEROS_OK) rc = customers_change(c, customer_id, change, person, created, err);
    if (rc == MEROS_OK) rc = customers_get(c, customer_id, show_customer, x, err);
    if (rc == MEROS_OK) return store_commit(c, err);
    store_rollback(c);
    return rc;
}

enum meros_code service_change_customer(struct service *s, struct str customer_id, const struct customer_change *change,
                                        bool *created, customer_show_fn show, void *arg, struct meros_err *err)
{
    struct showing x = {.s = s, .show = show, .arg = arg};
    struct sealed_person person = {0};
    struct store_conn *c = NULL;
    struct arena memory;
    enum meros_code rc = MEROS_OK;
    *created = false;
    arena_init(&memory, PERSON_MEMORY);
    if (!seal_text(s, &memory, change->email, &person.email) || !seal_text(s, &memory, change->name, &person.name) ||
        !seal_text(s, &memory, change->phone, &person.phone))
        rc = err_set(err, MEROS_OUT_OF_MEMORY, "No memory for a customer.");
    if (rc == MEROS_OK) rc = store_acquire(s->store, &c, err);
    if (rc == MEROS_OK) rc = change_and_show(c, customer_id, change, &person, created, &x, err);
    changed(&x, c, rc);
    arena_done(&memory);
    return rc;
}

static enum meros_code consent_and_show(struct store_conn *c, struct str customer_id, struct str patch, struct showing *x, struct meros_err *err)
{
    enum meros_code rc = store_begin(c, err);
    if (rc == MEROS_OK) rc = customers_consent(c, customer_id, patch, err);
    if (rc == MEROS_OK) rc = customers_get(c, customer_id, show_customer, x, err);
    if (rc == MEROS_OK) return store_commit(c, err);
    store_rollback(c);
    return rc;
}

enum meros_code service_change_consent(struct service *s, struct str customer_id, struct str patch, customer_show_fn show, void *arg,
                                       struct meros_err *err)
{
    struct showing x = {.s = s, .show = show, .arg = arg};
    struct store_conn *c;
    enum meros_code rc = store_acquire(s->store, &c, err);
    if (rc != MEROS_OK) return rc;
    rc = consent_and_show(c, customer_id, patch, &x, err);
    changed(&x, c, rc);
    return rc;
}

enum meros_code service_get_consent(struct service *s, struct str customer_id, customer_show_fn show, void *arg, struct meros_err *err)
{
    struct showing x = {.s = s, .show = show, .arg = arg};
    struct store_conn *c;
    enum meros_code rc = store_acquire(s->store, &c, err);
    if (rc != MEROS_OK) return rc;
    rc = customers_get(c, customer_id, show_customer, &x, err);
    store_release(s->store, c);
    return rc;
}

enum meros_code service_erase_customer(struct service *s, struct str customer_id, struct erasure *out, struct meros_err *err)
{
    struct store_conn *c;
    enum meros_code rc = store_acquire(s->store, &c, err);
    if (rc != MEROS_OK) return rc;
    rc = store_begin(c, err);
    if (rc == MEROS_OK) rc = customers_erase(c, customer_id, out, err);
    if (rc == MEROS_OK) rc = store_commit(c, err);
    else store_rollback(c);
    if (rc == MEROS_OK) shelf_erase(s, out->customer_no);
    else if (store_broken(c)) shelf_doubt(s);
    /* Now that nobody waits for us; where everybody's are in writing it is the sweeper's, who waits for that anyway. */
    if (rc == MEROS_OK && store_clv_forget(c, out->customer_no, NULL) != MEROS_OK) sweeper_wake(s);
    store_release(s->store, c);
    return rc;
}

enum meros_code service_list_customers(struct service *s, int64_t after, int64_t limit, customer_show_fn show, void *arg,
                                       struct meros_err *err)
{
    struct showing x = {.s = s, .show = show, .arg = arg};
    struct store_conn *c;
    enum meros_code rc = store_acquire(s->store, &c, err);
    if (rc != MEROS_OK) return rc;
    rc = customers_list(c, after, limit, show_customer, &x, err);
    store_release(s->store, c);
    return rc;
}

enum meros_code service_customer_orders(struct service *s, struct str customer_id, int64_t before, int64_t before_no, int64_t limit,
                                        order_show_fn show, void *arg, struct meros_err *err)
{
    struct store_conn *c;
    struct arena memory;
    enum meros_code rc = store_acquire(s->store, &c, err);
    if (rc != MEROS_OK) return rc;
    arena_init(&memory, ORDERS_MEMORY);
    rc = store_begin_snapshot(c, err); /* orders and their lines of one moment */
    if (rc == MEROS_OK) rc = customers_orders(c, customer_id, before, before_no, limit, &memory, show, arg, err);
    store_rollback(c);
    arena_done(&memory);
    store_release(s->store, c);
    return rc;
}

enum meros_code service_customer_events(struct service *s, struct str customer_id, int64_t before, struct str before_key,
                                        int64_t limit, event_show_fn show, void *arg, struct meros_err *err)
{
    struct store_conn *c;
    enum meros_code rc = store_acquire(s->store, &c, err);
    if (rc != MEROS_OK) return rc;
    rc = customers_events(c, customer_id, before, before_key, limit, show, arg, err);
    store_release(s->store, c);
    return rc;
}
