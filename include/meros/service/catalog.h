/* The catalogue in memory: what a recommendation needs to know of a product without asking the database.
 *
 * A product has a slot (0, 1, …), which stays as long as the process runs. Products that this process changes are right in the
 * catalogue before the change is answered (catalog_changed); those that others change (imports, replicas) within a second or so,
 * by channel "meros_products". Reading is under catalog_read_begin/_end, which wait for nobody but a writer of single products;
 * what is read is not to be kept past catalog_read_end, and catalog_read_begin not to be called again before it. catalog_version() rises with every change.
 *
 * Eligible: in the catalogue, not deleted and available. */
#ifndef MEROS_SERVICE_CATALOG_H
#define MEROS_SERVICE_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/err.h"
#include "meros/base/str.h"
#include "meros/codec/json.h"
#include "meros/service/service.h"

#define CATALOG_NONE UINT32_MAX

struct catalog_product {
    int64_t product_no;
    struct str product_id, name; /* name: STR_NONE if none */
    struct str category;         /* path with '/', STR_NONE if none */
    const uint64_t *attributes;  /* n_attributes: what catalog_attributes_read makes of them */
    size_t n_attributes;
    uint64_t attribute_bits;     /* bit a % 64 of each of them: most filters need look no further */
    double price;                /* NaN: none */
    bool available, deleted;
    double sold;                 /* customers who bought it, as last counted (every few minutes); order of popularity without a model */
};

/* Fills svc->catalog, reads all products (the database must be up), starts one thread. After listener_new, before listener_start. */
enum meros_code catalog_start(struct service *svc, struct meros_err *err) MEROS_MUSTCHECK;
void catalog_stop(struct service *svc);
void catalog_free(struct service *svc);

/* After a commit in this process that changed this product: reads it anew at once. Whatever fails is made good by the thread. */
void catalog_changed(struct service *svc, struct str product_id);
void catalog_changed_many(struct service *svc); /* an import: looks for all that changed, at once, before it returns */
void catalog_mentioned(struct service *svc);    /* there may be products that were only mentioned: the thread looks for them, shortly */

struct catalog;
const struct catalog *catalog_read_begin(struct service *svc);
void catalog_read_end(struct service *svc);
uint64_t catalog_version(struct service *svc); /* cheap, without a lock */

size_t catalog_size(const struct catalog *c); /* slots */
const struct catalog_product *catalog_at(const struct catalog *c, uint32_t slot);
uint32_t catalog_find(const struct catalog *c, struct str product_id); /* CATALOG_NONE */
uint32_t catalog_find_no(const struct catalog *c, int64_t product_no);
static inline bool catalog_eligible(const struct catalog_product *p) { return p->available && !p->deleted; }
/* Bit slot % 64 of word slot / 64; catalog_size bits. */
const uint64_t *catalog_eligible_mask(const struct catalog *c);
/* Slots by popularity without a model: most sold first, then the newest; eligible ones only. */
const uint32_t *catalog_by_sold(const struct catalog *c, size_t *out_n);
/* Whether the product is in the category or below it: "garden" has "garden/tools" but not "gardening". */
bool catalog_in_category(const struct catalog_product *p, struct str category);

/* Attributes are held as numbers, one for each value (of an array each of its values): 64 bits of a cryptographic hash of name and
 * value, so that comparing takes no look at any text, and a product no more memory for many different values. */
struct catalog_attribute {
    uint64_t text, number; /* number: as text, unless the value is one */
};
/* What a filter or a rule asks for: that attribute `name` is this text, number or boolean (in words), or an array that holds it. Made
 * once, then held against many products. */
struct catalog_attribute catalog_attribute_of(struct str name, struct str value);
bool catalog_has_attribute(const struct catalog_product *p, const struct catalog_attribute *a);
/* The values of a JSON object as jsonb writes it; out: as many as it returns, NULL to ask how many. */
size_t catalog_attributes_read(struct str json, uint64_t *out);

#endif
