/* A made-up shop, plausible enough to try everything on: a catalogue with categories and texts, customers with tastes
 * and habits (regulars, big spenders, bargain hunters who send much back, buyers of one Christmas, those who left), a
 * year of orders with seasons, and what they did on the site before.
 *
 * The same seed, number of customers and day give the same shop. Nothing in it is later than the beginning of `today`.
 * Read-only once made. */
#ifndef MEROS_DEMO_PRIV_H
#define MEROS_DEMO_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/buf.h"
#include "meros/base/err.h"

struct demo_shop;
enum demo_dataset { DEMO_PRODUCTS, DEMO_CUSTOMERS, DEMO_ORDERS, DEMO_EVENTS, DEMO_DATASET_COUNT };
enum { DEMO_CUSTOMERS_MAX = 1000000 };

/* today: a moment; the shop ends with the day before it. customers: 1 to DEMO_CUSTOMERS_MAX. */
enum meros_code demo_shop_new(uint64_t seed, size_t customers, int64_t today, struct demo_shop **out, struct meros_err *err) MEROS_MUSTCHECK;
void demo_shop_free(struct demo_shop *s);
size_t demo_shop_rows(const struct demo_shop *s, enum demo_dataset dataset);
/* Appends the row *at (CSV with a header before row 0; NDJSON for events) and moves *at on; false after the last. */
bool demo_shop_write(const struct demo_shop *s, enum demo_dataset dataset, size_t *at, struct buf *out);

/* --- the catalogue (demo_catalogue.c) */
enum { TASTES = 7, CATEGORIES = 20, PRODUCTS_PER_CATEGORY = 15, PRODUCTS = CATEGORIES * PRODUCTS_PER_CATEGORY };
enum demo_season { SEASON_NONE, SEASON_SPRING, SEASON_SUMMER, SEASON_WINTER, SEASON_GIFTS, SEASON_COUNT };
struct demo_category {
    const char *path;
    int taste;
    enum demo_season season;
    double price;                /* typical */
    const char *adjectives[3], *nouns[5];
    const char *use, *material;  /* for descriptions: "for use. material." */
};
extern const struct demo_category demo_categories[CATEGORIES];
extern const double demo_season_weights[SEASON_COUNT][12]; /* January first; 1 is an ordinary month */
double demo_product_price(size_t product);   /* depends on nothing else */
double demo_product_quality(size_t product); /* 0..1: how well it is liked */
void demo_product_name(size_t product, struct buf *out);
void demo_product_description(size_t product, struct buf *out);
const char *demo_search_text(size_t product); /* what somebody who wants it may type */

#endif
