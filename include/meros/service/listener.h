/* One thread that holds one database connection and listens: NOTIFY on any channel reaches whoever subscribed, and the
 * state of the database (reachable, schema current) is looked at every second, so that asking for it never blocks.
 *
 * After a connection was lost and found again every subscriber is called with "" (something may have been missed: look
 * once). Callbacks run on the listener's thread one after another; they may use the store, but not for long. */
#ifndef MEROS_SERVICE_LISTENER_H
#define MEROS_SERVICE_LISTENER_H

#include <stdbool.h>
#include "meros/base/err.h"
#include "meros/service/service.h"

enum { LISTENER_SUBSCRIBERS_MAX = 32 };

enum meros_code listener_new(struct service *svc, struct meros_err *err) MEROS_MUSTCHECK; /* fills svc->listener */
/* Before listener_start. channel must be a literal, [a-z_]+. */
enum meros_code listener_subscribe(struct service *svc, const char *channel, void (*fn)(void *arg, const char *payload),
                                   void *arg, struct meros_err *err) MEROS_MUSTCHECK;
/* fn is called by the listener's thread about every `seconds`, whether or not the database answers. */
enum meros_code listener_every(struct service *svc, int seconds, void (*fn)(void *arg), void *arg, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code listener_start(struct service *svc, struct meros_err *err) MEROS_MUSTCHECK;
void listener_stop(struct service *svc); /* joins; callable when never started */
void listener_free(struct service *svc);

struct health {
    bool database;       /* it answered within the last three seconds, and no connection has failed since */
    bool schema_current; /* as far as last seen */
    int schema_version;
};
void health_now(struct service *svc, struct health *out); /* never blocks */

#endif
