/* The catalogue in memory is the table of products, whoever changes it. */
#include "import_support.h"
#include <math.h>
#include <time.h>
#include "meros/base/clock.h"
#include "meros/service/catalog.h"
#include "meros/service/listener.h"
#include "meros/service/products.h"

enum { LIMIT_MS = 60000, IDS = 40 };

static void nap(int ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000}, NULL);
}

static void on(struct shop *s)
{
    shop_open(s);
    cr_assert_eq(listener_new(&s->svc, &s->err), MEROS_OK);
    cr_assert_eq(catalog_start(&s->svc, &s->err), MEROS_OK, "%s", s->err.detail);
    cr_assert_eq(listener_start(&s->svc, &s->err), MEROS_OK);
}

static void off(struct shop *s)
{
    listener_stop(&s->svc);
    catalog_stop(&s->svc);
    catalog_free(&s->svc);
    listener_free(&s->svc);
    shop_close(s);
}

static enum meros_code ignore(void *arg, const struct product_record *r, struct meros_err *err)
{
    (void)arg, (void)r, (void)err;
    return MEROS_OK;
}

static void put(struct shop *s, const char *id, const char *category, bool available)
{
    struct product_record p = {.product_id = str_of(id), .name = STR("n"), .category = category == NULL ? STR_NONE : str_of(category),
                               .available = available, .attributes = STR("{}")};
    bool created;
    cr_assert_eq(service_put_product(&s->svc, &p, &created, ignore, NULL, &s->err), MEROS_OK, "%s", s->err.detail);
}

static bool has(const struct catalog_product *p, const char *name, const char *value)
{
    const struct catalog_attribute a = catalog_attribute_of(str_of(name), str_of(value));
    return catalog_has_attribute(p, &a);
}

/* Everything that can be asked of it agrees with everything else, and with the table if `table`. */
static bool agrees(struct shop *s, bool table)
{
    size_t n_order, eligible = 0, right = 0;
    const struct catalog *c = catalog_read_begin(&s->svc);
    const uint32_t *order = catalog_by_sold(c, &n_order);
    const uint64_t *mask = catalog_eligible_mask(c);
    for (uint32_t k = 0; k < catalog_size(c); k++) {
        const struct catalog_product *p = catalog_at(c, k);
        cr_assert(catalog_find(c, p->product_id) == k && catalog_find_no(c, p->product_no) == k);
        cr_assert_eq(catalog_eligible(p), (mask[k / 64] >> k % 64 & 1) != 0);
        eligible += catalog_eligible(p);
    }
    cr_assert_eq(n_order, eligible);
    for (size_t k = 0; k < n_order; k++) {
        const struct catalog_product *p = catalog_at(c, order[k]), *before = k > 0 ? catalog_at(c, order[k - 1]) : NULL;
        cr_assert(catalog_eligible(p));
        cr_assert(before == NULL || before->sold > p->sold || (before->sold == p->sold && before->product_no > p->product_no));
    }
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_str(&b, "select count(*) from products where false");
    for (uint32_t k = 0; k < catalog_size(c); k++) {
        const struct catalog_product *p = catalog_at(c, k);
        buf_printf(&b, " or (product_id = '%.*s' and product_no = %lld and coalesce(category, '-') = '%.*s' and available = %s and deleted = %s)",
                   (int)p->product_id.n, p->product_id.p, (long long)p->product_no, str_present(p->category) ? (int)p->category.n : 1,
                   str_present(p->category) ? p->category.p : "-", p->available ? "true" : "false", p->deleted ? "true" : "false");
    }
    buf_char(&b, '\0');
    right = catalog_size(c);
    catalog_read_end(&s->svc);
    const bool same = !table || ((long long)right == pg_int(s->db, "select count(*) from products") && (long long)right == pg_int(s->db, b.data));
    buf_done(&b);
    return same;
}

Test(catalog_memory, follows_every_single_change_at_once, .timeout = 300)
{
    struct shop s;
    uint64_t state = 11;
    on(&s);
    for (int step = 0; step < 300; step++) {
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        const unsigned r = (unsigned)(state >> 33);
        char id[16];
        snprintf(id, sizeof id, "p%u", r % IDS);
        const uint64_t before = catalog_version(&s.svc);
        if (r / IDS % 4 == 0) {
            if (service_delete_product(&s.svc, str_of(id), &s.err) != MEROS_OK) continue;
            cr_assert_gt(catalog_version(&s.svc), before);
        } else {
            put(&s, id, r / 1000 % 3 == 0 ? NULL : r / 1000 % 3 == 1 ? "garden/tools" : "gardening", r / 10000 % 3 > 0);
        }
        if (step % 10 == 0) cr_assert(agrees(&s, true), "step %d", step);
    }
    cr_assert(agrees(&s, true));
    off(&s);
}

Test(catalog_memory, follows_imports_and_others, .timeout = 300)
{
    struct shop s;
    struct buf b;
    on(&s);
    buf_init(&b, 1 << 20);
    buf_str(&b, "product_id,name,category,price,color\n");
    for (int k = 0; k < 3000; k++) buf_printf(&b, "i%d,Name %d,cat/%d,%d,red\n", k, k, k % 7, k);
    buf_char(&b, '\0');
    shop_import(&s, (struct import_options){.dataset = DATASET_PRODUCTS}, b.data);
    const struct catalog *c = catalog_read_begin(&s.svc);
    cr_assert_eq(catalog_size(c), 3000);
    const struct catalog_product *p = catalog_at(c, catalog_find(c, STR("i2999")));
    cr_assert(p->price == 2999 && str_is(p->category, "cat/3") && has(p, "color", "red"));
    catalog_read_end(&s.svc);
    cr_assert(agrees(&s, false));
    const int64_t from = clock_mono_ns();
    pg_run(s.db, "insert into products (product_no, product_id, name) values (900001, 'others', 'x');"
                 "update products set available = false where product_id = 'i5'; delete from customer_products;"
                 "insert into customer_products values (1, 900001, 1)");
    bool there = false, unavailable = false;
    while (clock_mono_ns() - from < LIMIT_MS * INT64_C(1000000) && !(there && unavailable)) {
        c = catalog_read_begin(&s.svc);
        there = catalog_find(c, STR("others")) != CATALOG_NONE;
        unavailable = !catalog_at(c, catalog_find(c, STR("i5")))->available;
        catalog_read_end(&s.svc);
        nap(10);
    }
    cr_assert(there && unavailable);
    cr_log_info("after %.0f ms", (double)(clock_mono_ns() - from) / 1e6);
    cr_assert(agrees(&s, false));
    buf_done(&b);
    off(&s);
}

Test(catalog_memory, what_sold_most_is_first_and_what_is_newest_goes_before_what_nobody_bought, .timeout = 300)
{
    struct shop s;
    size_t n;
    shop_open(&s);
    pg_run(s.db, "insert into products (product_no, product_id) select nextval('product_nos'), 'p' || k from generate_series(1, 5) k;"
                 "insert into customer_products select c, 3, 1 from generate_series(1, 9) c union all select c, 1, 1 from generate_series(1, 4) c");
    cr_assert_eq(catalog_start(&s.svc, &s.err), MEROS_OK, "%s", s.err.detail);
    bool right = false;
    for (int ms = 0; ms < LIMIT_MS && !right; ms += 10) {
        const struct catalog *c = catalog_read_begin(&s.svc);
        const uint32_t *order = catalog_by_sold(c, &n);
        right = n == 5 && catalog_at(c, order[0])->product_no == 3 && catalog_at(c, order[1])->product_no == 1 &&
                catalog_at(c, order[2])->product_no == 5 && catalog_at(c, order[4])->product_no == 2 && catalog_at(c, order[0])->sold == 9;
        catalog_read_end(&s.svc);
        nap(10);
    }
    cr_assert(right);
    put(&s, "new", NULL, true);
    const struct catalog *c = catalog_read_begin(&s.svc);
    cr_assert(str_is(catalog_at(c, catalog_by_sold(c, &n)[2])->product_id, "new"));
    catalog_read_end(&s.svc);
    catalog_stop(&s.svc);
    catalog_free(&s.svc);
    shop_close(&s);
}

Test(catalog_memory, knows_categories_and_attributes_by_their_meaning)
{
    struct shop s;
    char *text;
    shop_open(&s);
    text = pg_text(s.db, "select '{\"color\": \"dark \\\"red\\\"\\n\", \"size\": [1, \"XL\", {\"color\": \"no\"}], \"new\": true, \"ü\\u0001\": \"ß\", "
                         "\"weight\": 2.50, \"nested\": {\"color\": \"no\", \"a\": [\"]\", \"}\"]}, \"none\": null, \"code\": \"007\", \"last\": \"yes\"}'::jsonb::text");
    uint64_t values[16];
    struct catalog_product p = {.category = STR("garden/tools"), .attributes = values, .attribute_bits = UINT64_MAX};
    cr_assert_eq(catalog_attributes_read(str_of(text), NULL), 8, "two of size, one of the six others that say something");
    p.n_attributes = catalog_attributes_read(str_of(text), values);
    cr_expect(catalog_in_category(&p, STR("garden")) && catalog_in_category(&p, STR("garden/tools")));
    cr_expect(!catalog_in_category(&p, STR("gard")) && !catalog_in_category(&p, STR("garden/tools/small")) && !catalog_in_category(&p, STR("tools")));
    cr_expect(has(&p, "color", "dark \"red\"\n") && !has(&p, "color", "no"));
    cr_expect(has(&p, "size", "1") && has(&p, "size", "XL") && !has(&p, "size", "no"));
    cr_expect(has(&p, "new", "true") && !has(&p, "new", "false"));
    cr_expect(has(&p, "ü\1", "ß") && has(&p, "weight", "2.5"));
    cr_expect(!has(&p, "nested", "no") && !has(&p, "none", "null"));
    cr_expect(has(&p, "last", "yes") && !has(&p, "gone", "yes"));
    cr_expect(has(&p, "weight", "2.500") && has(&p, "weight", "25e-1") && !has(&p, "weight", "2.51"), "numbers are equal by value");
    cr_expect(has(&p, "code", "007") && !has(&p, "code", "7"), "texts are not");
    cr_expect_eq(catalog_attributes_read(STR("{}"), NULL), 0);
    free(text);
    shop_close(&s);
}
