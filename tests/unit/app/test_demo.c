#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "demo_priv.h"
#include "meros/base/clock.h"

static const int64_t TODAY = INT64_C(1767225600) * TIME_SECOND; /* 2026-01-01 */

static struct demo_shop *shop_of(uint64_t seed, size_t customers)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct demo_shop *s = NULL;
    cr_assert_eq(demo_shop_new(seed, customers, TODAY, &s, &err), MEROS_OK, "%s", err.detail);
    return s;
}

static char *whole(const struct demo_shop *s, enum demo_dataset dataset)
{
    struct buf b;
    size_t at = 0, n;
    buf_init(&b, 256 << 20);
    while (demo_shop_write(s, dataset, &at, &b)) {}
    cr_assert_eq(at, demo_shop_rows(s, dataset));
    char *text = buf_take(&b, &n);
    cr_assert_not_null(text);
    return text;
}

Test(demo, the_same_seed_gives_the_same_shop_and_another_seed_another)
{
    struct demo_shop *a = shop_of(1, 200), *b = shop_of(1, 200), *c = shop_of(2, 200);
    for (int d = 0; d < DEMO_DATASET_COUNT; d++) {
        char *x = whole(a, (enum demo_dataset)d), *y = whole(b, (enum demo_dataset)d), *z = whole(c, (enum demo_dataset)d);
        cr_assert_str_eq(x, y);
        if (d != DEMO_PRODUCTS) cr_assert_str_neq(x, z);
        free(x), free(y), free(z);
    }
    demo_shop_free(a), demo_shop_free(b), demo_shop_free(c);
}

Test(demo, has_the_size_of_a_plausible_shop)
{
    struct demo_shop *s = shop_of(1, 3000);
    size_t lines = demo_shop_rows(s, DEMO_ORDERS), events = demo_shop_rows(s, DEMO_EVENTS);
    cr_log_info("%zu lines, %zu events", lines, events);
    cr_assert_eq(demo_shop_rows(s, DEMO_PRODUCTS), 300);
    cr_assert_eq(demo_shop_rows(s, DEMO_CUSTOMERS), 3000);
    cr_assert(lines > 30000 && lines < 70000, "%zu order lines", lines);
    cr_assert(events > 100000 && events < 250000, "%zu events", events);
    demo_shop_free(s);
}

/* Field `column` of a CSV line without quotes. */
static struct str field(const char *line, int column)
{
    while (column-- > 0) line = strchr(line, ',') + 1;
    return (struct str){line, strcspn(line, ",\n")};
}

/* The next line of a text, cut off it; NULL at the end. (strtok and strstr under the sanitizer measure the whole rest of
 * a text on every call.) */
static char *next_line(char **text)
{
    char *line = *text, *end = strchr(line, '\n');
    if (end == NULL) return NULL;
    *end = '\0';
    *text = end + 1;
    return line;
}

Test(demo, nothing_lies_in_the_future_nor_before_the_year_and_returns_follow_their_order)
{
    struct demo_shop *s = shop_of(3, 300);
    char *text = whole(s, DEMO_ORDERS), *rest = text, *line;
    size_t returns = 0, wrong = 0, events = 0;
    next_line(&rest);
    while ((line = next_line(&rest)) != NULL) {
        int64_t at, quantity;
        struct str id = field(line, 0);
        bool is_return = id.n > 2 && memcmp(id.p + id.n - 2, "-R", 2) == 0;
        wrong += !time_parse(field(line, 2), &at) || at >= TODAY || at < TODAY - 366 * TIME_DAY;
        wrong += !str_to_int64(field(line, 4), &quantity) || quantity == 0 || (quantity < 0) != is_return;
        returns += quantity < 0;
    }
    cr_assert_gt(returns, 0);
    cr_assert_eq(wrong, 0, "%zu order lines", wrong);
    free(text);
    text = rest = whole(s, DEMO_EVENTS);
    for (; (line = next_line(&rest)) != NULL; events++) {
        int64_t t;
        const char *p = strstr(line, "\"occurred_at\":\"");
        wrong += p == NULL;
        if (p == NULL) continue;
        p += strlen("\"occurred_at\":\"");
        wrong += !time_parse((struct str){p, strcspn(p, "\"")}, &t) || t >= TODAY || t < TODAY - 367 * TIME_DAY;
    }
    cr_assert_eq(events, demo_shop_rows(s, DEMO_EVENTS));
    cr_assert_eq(wrong, 0, "%zu events", wrong);
    free(text);
    demo_shop_free(s);
}

Test(demo, december_sells_more_than_august)
{
    struct demo_shop *s = shop_of(1, 1000);
    char *text = whole(s, DEMO_ORDERS), *rest = text, *line;
    size_t december = 0, august = 0;
    while ((line = next_line(&rest)) != NULL) {
        december += strstr(line, ",2025-12-") != NULL;
        august += strstr(line, ",2025-08-") != NULL;
    }
    cr_assert_gt(december, august * 5 / 4, "%zu in December, %zu in August", december, august);
    free(text);
    demo_shop_free(s);
}

Test(demo, products_have_names_of_their_own_and_prices_that_make_sense)
{
    char *names[PRODUCTS];
    for (size_t i = 0; i < PRODUCTS; i++) {
        struct buf b;
        size_t n;
        double price = demo_product_price(i);
        buf_init(&b, 4096);
        demo_product_name(i, &b);
        names[i] = buf_take(&b, &n);
        cr_assert(price >= 1 && price < 1000 && fabs(price - floor(price) - 0.95) < 1e-9);
    }
    for (size_t i = 0; i < PRODUCTS; i++)
        for (size_t k = i + 1; k < PRODUCTS; k++)
            cr_assert(i / PRODUCTS_PER_CATEGORY != k / PRODUCTS_PER_CATEGORY || strcmp(names[i], names[k]) != 0, "%s twice", names[i]);
    for (size_t i = 0; i < PRODUCTS; i++) free(names[i]);
}
