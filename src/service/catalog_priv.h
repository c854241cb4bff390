/* For tests of what goes by the catalogue: one of made rows instead of those of a database. */
#ifndef MEROS_SERVICE_CATALOG_PRIV_H
#define MEROS_SERVICE_CATALOG_PRIV_H

#include "meros/service/catalog.h"
#include "meros/store/interactions.h"

/* Fills svc->catalog if it is empty and takes these rows in as if they had just been read. catalog_free at the end. */
enum meros_code catalog_take(struct service *svc, const struct catalog_row *rows, size_t n, struct meros_err *err) MEROS_MUSTCHECK;

#endif
