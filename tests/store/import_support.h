/* Imports in tests: a service over a test's database, and a body given as text. */
#ifndef MEROS_TESTS_IMPORT_SUPPORT_H
#define MEROS_TESTS_IMPORT_SUPPORT_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "meros/base/buf.h"
#include "meros/base/crypto.h"
#include "meros/codec/json.h"
#include "meros/service/imports.h"
#include "meros/store/stats.h"
#include "pg.h"

struct shop {
    struct pg *db;
    struct service svc;
    struct import_result result;
    struct meros_err err;
};

struct body {
    const char *p;
    size_t n;
};

static enum meros_code body_read(void *arg, char *to, size_t cap, size_t *out_n, struct meros_err *err)
{
    struct body *b = arg;
    size_t n = b->n < cap ? b->n : cap;
    (void)err;
    if (n > 1009) n = 1009; /* pieces that end anywhere */
    memcpy(to, b->p, n);
    b->p += n;
    b->n -= n;
    *out_n = n;
    return MEROS_OK;
}

static __attribute__((unused)) void shop_open(struct shop *s)
{
    memset(s, 0, sizeof *s);
    cr_assert_eq(crypto_start(&s->err), MEROS_OK);
    json_start();
    s->db = pg_fresh();
    s->svc.store = s->db->pool;
    s->svc.settings.activity_half_life_days = 30;
    memset(s->svc.settings.pii_key, 7, sizeof s->svc.settings.pii_key);
    struct store_conn *c = pg_conn(s->db);
    cr_assert_eq(store_stats_set_half_life(c, 30, &s->err), MEROS_OK, "%s", s->err.detail);
}

static __attribute__((unused)) void shop_close(struct shop *s)
{
    pg_done(s->db);
}

static __attribute__((unused)) enum meros_code shop_try(struct shop *s, struct import_options options, const char *text)
{
    struct body b = {text, strlen(text)};
    err_clear(&s->err);
    return service_import(&s->svc, &options, body_read, &b, NULL, NULL, &s->result, &s->err);
}

static __attribute__((unused)) void shop_import(struct shop *s, struct import_options options, const char *text)
{
    cr_assert_eq(shop_try(s, options, text), MEROS_OK, "%s (%s)", s->err.detail, s->err.sqlstate);
    cr_assert_eq(s->result.received,
                 s->result.inserted + s->result.updated + s->result.duplicates + s->result.rejected, "rows add up");
}

static __attribute__((unused)) void shop_orders(struct shop *s, const char *text)
{
    shop_import(s, (struct import_options){.dataset = DATASET_ORDERS}, text);
}

#define EXPECT_COUNTS(s, i, u, d, r)                                                                         \
    cr_expect((s)->result.inserted == (i) && (s)->result.updated == (u) && (s)->result.duplicates == (d) &&  \
                  (s)->result.rejected == (r),                                                               \
              "%lld inserted, %lld updated, %lld duplicates, %lld rejected", (long long)(s)->result.inserted, \
              (long long)(s)->result.updated, (long long)(s)->result.duplicates, (long long)(s)->result.rejected)

#define EXPECT_TABLE(s, sql, want)                                                                           \
    do {                                                                                                     \
        char *got_ = pg_table((s)->db, sql);                                                                 \
        cr_expect_str_eq(got_, want, "got:\n%s", got_);                                                      \
        free(got_);                                                                                          \
    } while (0)

#endif
