/* How the customers of the made-up shop live: day by day, for a year. */
#include "demo_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "meros/base/clock.h"
#include "meros/ml/rng.h"

enum { DAYS = 365, NO_PRODUCT = 0xFFFF };

enum habit { HABIT_ALWAYS, HABIT_ONCE, HABIT_LEFT, HABIT_NEW, HABIT_GIFTS };
struct archetype {
    double share;    /* of all customers */
    enum habit habit;
    double orders;   /* a year, while active */
    double basket;   /* lines an order */
    double spend;    /* pull towards dear products: weight is price^spend */
    double returned; /* share of lines sent back */
    double browse;   /* visits without an order, a year */
    double opens;    /* share of the monthly letters opened */
};
static const struct archetype archetypes[] = {
    {0.17, HABIT_ALWAYS, 19, 2.2, 0.0, 0.03, 9, 0.55},  /* regulars */
    {0.05, HABIT_ALWAYS, 15, 3.4, 0.9, 0.04, 8, 0.45},  /* big spenders */
    {0.25, HABIT_ALWAYS, 4.5, 1.6, 0.0, 0.05, 4, 0.30},  /* now and then */
    {0.08, HABIT_ALWAYS, 11, 2.6, -0.4, 0.32, 11, 0.50}, /* bargain hunters, who send much back */
    {0.20, HABIT_ONCE, 1, 1.4, 0.0, 0.06, 3, 0.12},      /* came once */
    {0.14, HABIT_LEFT, 11, 2.0, 0.0, 0.08, 7, 0.35},    /* left during the year */
    {0.06, HABIT_NEW, 9, 1.7, 0.0, 0.04, 8, 0.50},      /* arrived in the last two months */
    {0.05, HABIT_GIFTS, 3, 3.0, 0.3, 0.05, 3, 0.20},     /* come for presents */
};
enum { ARCHETYPES = sizeof archetypes / sizeof archetypes[0] };

enum event_type { VIEWED, ADDED, CHECKOUT, SEARCHED, OPENED, CLICKED, REVIEWED };
static const char *const event_names[] = {"product_viewed", "product_added", "checkout_started", "searched",
                                          "email_opened",   "email_clicked", "review_submitted"};

struct person {
    int64_t created_at;
    uint8_t first_name, last_name, country, channel, newsletter;
    uint16_t birth_year;
};
struct line {
    uint16_t product;
    int16_t quantity;
    float price;
};
struct order {
    int64_t at;
    uint32_t customer, first_line, n_lines;
    uint32_t number; /* in order of time; of a return: of what is returned */
    bool is_return;
    uint32_t of;     /* of a return: index of the order */
};
struct event {
    int64_t at;
    uint32_t customer;
    uint16_t product;
    uint8_t type, stars;
};

struct demo_shop {
    struct person *people;
    size_t n_people;
    struct order *orders;
    size_t n_orders, cap_orders;
    struct line *lines;
    size_t n_lines, cap_lines;
    uint32_t *order_of_line; /* made last, for writing a row a line */
    double pull[ARCHETYPES][PRODUCTS]; /* how much a product attracts such customers, within its category */
    struct event *events;
    size_t n_events, cap_events;
    bool failed; /* out of memory */
};

/* One customer while their year is made up. */
struct life {
    struct demo_shop *shop;
    struct ml_rng r;
    uint32_t customer;
    const struct archetype *kind;
    double categories[CATEGORIES]; /* how much they like each */
    double pace;                   /* their own orders against the archetype's */
    int first_day, last_day;       /* active from..to, days of the year */
    int64_t year_begin;
};

static const char *const first_names[] = {"Anna", "Ben",   "Clara", "David", "Emma",  "Felix", "Greta", "Hugo",  "Ida",   "Jonas",
                                          "Klara", "Luca", "Marie", "Noah",  "Olivia", "Paul", "Rosa",  "Sam",   "Tessa", "Viktor"};
static const char *const last_names[] = {"Adler", "Berger", "Claes",  "Dubois", "Evans",  "Fischer", "Garcia", "Hansen", "Ivanov", "Jansen",
                                         "Keller", "Lopez", "Martin", "Novak",  "Olsen",  "Peeters", "Rossi",  "Smith",  "Tanaka", "Weber"};
static const char *const countries[] = {"DE", "FR", "GB", "NL", "AT", "US"};
static const double country_weights[] = {0.36, 0.17, 0.16, 0.13, 0.10, 0.08};
static const char *const channels[] = {"web", "app", "store", "marketplace"};
static const double channel_weights[] = {0.48, 0.27, 0.15, 0.10};

/* Room for one more; NULL, once and for all, when there is no memory. */
static void *grow(struct demo_shop *s, void *array, size_t n, size_t *cap, size_t size)
{
    if (n < *cap) return array;
    size_t more = *cap < 1024 ? 1024 : *cap * 2;
    void *bigger = realloc(array, more * size);
    if (bigger == NULL) s->failed = true;
    else *cap = more;
    return bigger;
}

static void add_event(struct life *l, int64_t at, enum event_type type, size_t product, int stars)
{
    struct demo_shop *s = l->shop;
    struct event *bigger = grow(s, s->events, s->n_events, &s->cap_events, sizeof *s->events);
    if (bigger == NULL || at >= l->year_begin + DAYS * TIME_DAY) return;
    s->events = bigger;
    s->events[s->n_events++] = (struct event){at, l->customer, (uint16_t)product, (uint8_t)type, (uint8_t)stars};
}

static void add_line(struct life *l, size_t product, int quantity, double price)
{
    struct demo_shop *s = l->shop;
    struct line *bigger = grow(s, s->lines, s->n_lines, &s->cap_lines, sizeof *s->lines);
    if (bigger == NULL) return;
    s->lines = bigger;
    s->lines[s->n_lines++] = (struct line){(uint16_t)product, (int16_t)quantity, (float)price};
    s->orders[s->n_orders - 1].n_lines++;
}

static bool add_order(struct life *l, int64_t at, bool is_return, uint32_t of)
{
    struct demo_shop *s = l->shop;
    struct order *bigger = grow(s, s->orders, s->n_orders, &s->cap_orders, sizeof *s->orders);
    if (bigger == NULL) return false;
    s->orders = bigger;
    s->orders[s->n_orders++] = (struct order){at, l->customer, (uint32_t)s->n_lines, 0, 0, is_return, of};
    return true;
}

/* --- choices */

static unsigned poisson(struct ml_rng *r, double mean)
{
    double limit = exp(-mean), p = 1;
    unsigned n = 0;
    while ((p *= ml_rng_uniform(r)) > limit) n++;
    return n;
}

static unsigned month_of(int64_t at)
{
    int64_t y;
    unsigned m, d;
    civil_from_days(at / TIME_DAY, &y, &m, &d);
    return m - 1;
}

/* A second of the day: few at night, most in the evening. */
static int64_t time_of_day(struct ml_rng *r)
{
    static const double hours[24] = {3, 1, 1, 1, 1, 2, 4, 7, 9, 10, 11, 11, 12, 11, 10, 10, 11, 13, 15, 18, 19, 16, 11, 6};
    return (int64_t)(ml_rng_choice(r, hours, 24) * 3600 + ml_rng_below(r, 3600)) * TIME_SECOND;
}

static void weigh_products(struct demo_shop *s)
{
    for (size_t i = 0; i < PRODUCTS; i++) {
        /* a few sell well, most a little: rank^-0.8, and what is good sells better */
        double rank = (double)((i * 7 + i / PRODUCTS_PER_CATEGORY * 4) % PRODUCTS_PER_CATEGORY) + 1;
        double weight = pow(rank, -0.8) * demo_product_quality(i), price = demo_product_price(i);
        for (size_t a = 0; a < ARCHETYPES; a++) s->pull[a][i] = weight * pow(price, archetypes[a].spend);
    }
}

static size_t choose_product(struct life *l, unsigned month)
{
    double weights[CATEGORIES];
    for (size_t c = 0; c < CATEGORIES; c++)
        weights[c] = l->categories[c] * demo_season_weights[demo_categories[c].season][month];
    size_t first = ml_rng_choice(&l->r, weights, CATEGORIES) * PRODUCTS_PER_CATEGORY;
    return first + ml_rng_choice(&l->r, &l->shop->pull[l->kind - archetypes][first], PRODUCTS_PER_CATEGORY);
}

static int choose_quantity(struct life *l, size_t product)
{
    double price = demo_product_price(product);
    return 1 + (int)poisson(&l->r, price < 10 ? 1.2 : price < 30 ? 0.4 : 0.05);
}

/* --- a life */

static void review(struct life *l, int64_t at, size_t product)
{
    double liked = demo_product_quality(product) + 0.2 * ml_rng_normal(&l->r);
    int stars = liked > 0.75 ? 5 : liked > 0.55 ? 4 : liked > 0.4 ? 3 : liked > 0.25 ? 2 : 1;
    add_event(l, at, REVIEWED, product, stars);
}

/* Looking around before buying, or instead of it: ends at `at`. */
static void visit(struct life *l, int64_t at, unsigned month)
{
    unsigned views = 1 + poisson(&l->r, 0.8);
    int64_t t = at - (int64_t)(60 + ml_rng_below(&l->r, 1500)) * TIME_SECOND;
    for (unsigned i = 0; i < views; i++) {
        size_t product = choose_product(l, month);
        if (i == 0 && ml_rng_uniform(&l->r) < 0.3) add_event(l, t - 20 * TIME_SECOND, SEARCHED, product, 0);
        add_event(l, t, VIEWED, product, 0);
        if (ml_rng_uniform(&l->r) < 0.12) add_event(l, t + 30 * TIME_SECOND, ADDED, product, 0);
        t += (int64_t)(20 + ml_rng_below(&l->r, 120)) * TIME_SECOND;
    }
}

static void send_back(struct life *l, uint32_t order)
{
    struct demo_shop *s = l->shop;
    const struct order o = s->orders[order];
    int64_t at = o.at / TIME_DAY * TIME_DAY + (int64_t)(4 + ml_rng_below(&l->r, 14)) * TIME_DAY + time_of_day(&l->r);
    bool begun = false;
    if (at >= l->year_begin + DAYS * TIME_DAY) return;
    for (uint32_t i = 0; i < o.n_lines; i++) {
        if (ml_rng_uniform(&l->r) >= l->kind->returned) continue;
        if (!begun && !add_order(l, at, true, order)) return;
        begun = true;
        const struct line k = s->lines[o.first_line + i];
        add_line(l, k.product, -k.quantity, k.price);
    }
}

static void buy(struct life *l, int64_t at, unsigned month)
{
    uint32_t order = (uint32_t)l->shop->n_orders;
    unsigned n = 1 + poisson(&l->r, l->kind->basket - 1);
    /* two weeks of sale in January and in July */
    int64_t y;
    unsigned m, day;
    civil_from_days(at / TIME_DAY, &y, &m, &day);
    double price_factor = (m == 1 || m == 7) && day >= 8 && day <= 21 ? 0.8 : 1;
    size_t bought[32] = {0};
    if (!add_order(l, at, false, 0)) return;
    if (ml_rng_uniform(&l->r) < 0.5) visit(l, at - 5 * 60 * TIME_SECOND, month);
    for (unsigned i = 0, k = 0; i < n && k < 32; i++) {
        size_t product = choose_product(l, month);
        bool again = false;
        for (unsigned j = 0; j < k; j++) again = again || bought[j] == product;
        if (again) continue;
        bought[k++] = product;
        add_line(l, product, choose_quantity(l, product), round(demo_product_price(product) * price_factor * 100) / 100);
        if (ml_rng_uniform(&l->r) < 0.6) add_event(l, at - (int64_t)(280 - i * 8) * TIME_SECOND, VIEWED, product, 0);
        add_event(l, at - (int64_t)(276 - i * 8) * TIME_SECOND, ADDED, product, 0);
        if (ml_rng_uniform(&l->r) < 0.07) review(l, at + (int64_t)(4 + ml_rng_below(&l->r, 10)) * TIME_DAY, product);
    }
    add_event(l, at - 25 * TIME_SECOND, CHECKOUT, NO_PRODUCT, 0);
    send_back(l, order);
}

/* The letter of the first Tuesday of a month. */
static void read_letter(struct life *l, int64_t day_begin, unsigned month)
{
    if (ml_rng_uniform(&l->r) >= l->kind->opens) return;
    int64_t at = day_begin + time_of_day(&l->r);
    add_event(l, at, OPENED, NO_PRODUCT, 0);
    if (ml_rng_uniform(&l->r) < 0.3) {
        add_event(l, at + 40 * TIME_SECOND, CLICKED, NO_PRODUCT, 0);
        visit(l, at + 400 * TIME_SECOND, month);
    }
}

static void choose_nature(struct life *l, struct person *p)
{
    double shares[ARCHETYPES];
    for (size_t i = 0; i < ARCHETYPES; i++) shares[i] = archetypes[i].share;
    l->kind = &archetypes[ml_rng_choice(&l->r, shares, ARCHETYPES)];
    l->pace = exp(0.35 * ml_rng_normal(&l->r) - 0.06);
    size_t main_taste = ml_rng_below(&l->r, TASTES), second = ml_rng_below(&l->r, TASTES);
    for (size_t c = 0; c < CATEGORIES; c++) {
        int taste = demo_categories[c].taste;
        l->categories[c] = ((size_t)taste == main_taste ? 1.0 : (size_t)taste == second ? 0.35 : 0.05) * (0.5 + ml_rng_uniform(&l->r));
        if (l->kind->habit == HABIT_GIFTS && demo_categories[c].season == SEASON_GIFTS) l->categories[c] += 0.5;
    }
    l->first_day = 0;
    l->last_day = DAYS;
    int before = (int)ml_rng_below(&l->r, 700) - 250; /* days between signing up and the year's beginning; below 0: later */
    if (l->kind->habit == HABIT_NEW) before = -(DAYS - 5 - (int)ml_rng_below(&l->r, 55));
    if (l->kind->habit == HABIT_ONCE) before = -(int)ml_rng_below(&l->r, DAYS - 2);
    if (l->kind->habit == HABIT_LEFT) l->last_day = 60 + (int)ml_rng_below(&l->r, 190), before = (int)ml_rng_below(&l->r, 500);
    if (before < 0) l->first_day = -before;
    p->created_at = l->year_begin - (int64_t)before * TIME_DAY + (int64_t)(1 + ml_rng_below(&l->r, 7200)) * TIME_SECOND;
    p->first_name = (uint8_t)ml_rng_below(&l->r, 20);
    p->last_name = (uint8_t)ml_rng_below(&l->r, 20);
    p->country = (uint8_t)ml_rng_choice(&l->r, country_weights, 6);
    p->channel = (uint8_t)ml_rng_choice(&l->r, channel_weights, 4);
    p->newsletter = ml_rng_uniform(&l->r) < l->kind->opens + 0.25;
    /* who has children's things in the basket is a little younger than who has garden furniture */
    p->birth_year = (uint16_t)(main_taste == 4 ? 1984 + 5 * ml_rng_normal(&l->r) : main_taste == 2 ? 1968 + 9 * ml_rng_normal(&l->r)
                                                                                                   : 1979 + 11 * ml_rng_normal(&l->r));
}

static void live(struct life *l, int64_t created_at)
{
    unsigned once = l->kind->habit == HABIT_ONCE; /* orders still to come, where there is just one */
    for (int day = l->first_day; day < l->last_day && !l->shop->failed; day++) {
        int64_t begin = l->year_begin + day * TIME_DAY, at = begin + time_of_day(&l->r);
        unsigned month = month_of(begin), weekday = (unsigned)((begin / TIME_DAY + 3) % 7); /* 0: Monday */
        double rate = demo_season_weights[SEASON_NONE][month] / DAYS * (weekday >= 5 ? 1.25 : 0.9) * l->pace;
        if (l->kind->habit == HABIT_GIFTS) rate *= month == 10 || month == 11 ? 5 : 0.15;
        if (at < created_at) at = created_at + 600 * TIME_SECOND;
        bool buys = once ? day == l->first_day : l->kind->habit != HABIT_ONCE && ml_rng_uniform(&l->r) < rate * l->kind->orders;
        if (buys) {
            buy(l, at, month);
            once = 0;
        }
        if (ml_rng_uniform(&l->r) < rate * l->kind->browse) visit(l, at + 3600 * TIME_SECOND, month);
        int64_t y;
        unsigned m, d;
        civil_from_days(begin / TIME_DAY, &y, &m, &d);
        if (weekday == 1 && d <= 7) read_letter(l, begin, month);
    }
}

/* --- the whole */

static int by_time(int64_t a, int64_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_events(const void *a, const void *b)
{
    const struct event *x = a, *y = b;
    if (x->at != y->at) return by_time(x->at, y->at);
    if (x->customer != y->customer) return x->customer < y->customer ? -1 : 1;
    return x->type != y->type ? x->type - y->type : x->product - y->product;
}

struct ranked {
    int64_t at;
    uint32_t order;
};

static int compare_ranked(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->at != y->at) return by_time(x->at, y->at);
    return x->order < y->order ? -1 : x->order > y->order;
}

/* Numbers the orders by time and lays out the lines in that order. */
static void arrange(struct demo_shop *s)
{
    struct ranked *ranks = calloc(s->n_orders + 1, sizeof *ranks);
    struct line *sorted = calloc(s->n_lines + 1, sizeof *sorted);
    s->order_of_line = calloc(s->n_lines + 1, sizeof *s->order_of_line);
    if (ranks == NULL || sorted == NULL || s->order_of_line == NULL) {
        s->failed = true;
        goto out;
    }
    for (size_t i = 0; i < s->n_orders; i++) ranks[i] = (struct ranked){s->orders[i].at, (uint32_t)i};
    qsort(ranks, s->n_orders, sizeof *ranks, compare_ranked);
    uint32_t number = 10000, at = 0;
    for (size_t i = 0; i < s->n_orders; i++) {
        struct order *o = &s->orders[ranks[i].order];
        o->number = o->is_return ? s->orders[o->of].number : ++number;
        for (uint32_t k = 0; k < o->n_lines; k++) {
            s->order_of_line[at] = ranks[i].order;
            sorted[at++] = s->lines[o->first_line + k];
        }
    }
    free(s->lines);
    s->lines = sorted;
    sorted = NULL;
    if (s->n_events > 0) qsort(s->events, s->n_events, sizeof *s->events, compare_events);
out:
    free(sorted);
    free(ranks);
}

enum meros_code demo_shop_new(uint64_t seed, size_t customers, int64_t today, struct demo_shop **out, struct meros_err *err)
{
    struct demo_shop *s = calloc(1, sizeof *s);
    if (s == NULL || customers > DEMO_CUSTOMERS_MAX || (s->people = calloc(customers + 1, sizeof *s->people)) == NULL) {
        free(s);
        return err_set(err, MEROS_OUT_OF_MEMORY, "there is no memory for a shop of %zu customers", customers);
    }
    s->n_people = customers;
    weigh_products(s);
    for (size_t i = 0; i < customers; i++) {
        struct life l = {.shop = s, .customer = (uint32_t)i, .year_begin = today / TIME_DAY * TIME_DAY - DAYS * TIME_DAY};
        ml_rng_stream(&l.r, seed, i);
        choose_nature(&l, &s->people[i]);
        live(&l, s->people[i].created_at);
    }
    if (!s->failed) arrange(s);
    if (s->failed) {
        demo_shop_free(s);
        return err_set(err, MEROS_OUT_OF_MEMORY, "there is no memory for a shop of %zu customers", customers);
    }
    *out = s;
    return MEROS_OK;
}

void demo_shop_free(struct demo_shop *s)
{
    if (s == NULL) return;
    free(s->people);
    free(s->orders);
    free(s->lines);
    free(s->order_of_line);
    free(s->events);
    free(s);
}

size_t demo_shop_rows(const struct demo_shop *s, enum demo_dataset dataset)
{
    const size_t rows[] = {PRODUCTS, s->n_people, s->n_lines, s->n_events};
    return rows[dataset];
}

/* --- rows */

static void write_product(size_t i, struct buf *out)
{
    if (i == 0) buf_str(out, "product_id,name,category,price,description,available\n");
    buf_printf(out, "p%03zu,\"", i + 1);
    demo_product_name(i, out);
    buf_printf(out, "\",%s,%.2f,\"", demo_categories[i / PRODUCTS_PER_CATEGORY].path, demo_product_price(i));
    demo_product_description(i, out);
    buf_printf(out, "\",%s\n", i % 41 == 40 ? "false" : "true");
}

static void write_person(const struct person *p, size_t i, struct buf *out)
{
    char at[TIME_TEXT];
    time_format(p->created_at, at);
    if (i == 0) buf_str(out, "customer_id,created_at,email,name,country,channel,birth_year,newsletter\n");
    buf_printf(out, "c%05zu,%s,customer%zu@example.com,%s %s,%s,%s,%u,%s\n", i + 1, at, i + 1, first_names[p->first_name],
               last_names[p->last_name], countries[p->country], channels[p->channel], p->birth_year, p->newsletter ? "yes" : "no");
}

static void write_line(const struct demo_shop *s, size_t i, struct buf *out)
{
    const struct order *o = &s->orders[s->order_of_line[i]];
    const struct line *l = &s->lines[i];
    char at[TIME_TEXT];
    time_format(o->at, at);
    if (i == 0) buf_str(out, "order_id,customer_id,ordered_at,product_id,quantity,unit_price\n");
    buf_printf(out, "%u%s,c%05u,%s,p%03u,%d,%.2f\n", o->number, o->is_return ? "-R" : "", o->customer + 1, at, l->product + 1u,
               l->quantity, (double)l->price);
}

static const char *review_text(const struct event *e)
{
    static const char *const texts[5][2] = {{"Broke after a week. I want my money back.", "Not at all what the picture shows."},
                                            {"Disappointing for the price.", "Arrived late and feels cheap."},
                                            {"It does what it should, no more.", "Fine, but the colour is different."},
                                            {"Good quality, would buy again.", "Very nice, the parcel came quickly."},
                                            {"I love it! Even better than I had hoped.", "Perfect, and beautifully made."}};
    return texts[e->stars - 1][(e->customer + e->product) % 2];
}

static void write_event(const struct event *e, size_t i, struct buf *out)
{
    char at[TIME_TEXT];
    time_format(e->at, at);
    buf_printf(out, "{\"event_id\":\"e%zu\",\"customer_id\":\"c%05u\",\"type\":\"%s\",\"occurred_at\":\"%s\"", i + 1, e->customer + 1,
               event_names[e->type], at);
    if (e->type == SEARCHED) buf_printf(out, ",\"properties\":{\"query\":\"%s\"}", demo_search_text(e->product));
    else if (e->product != NO_PRODUCT) buf_printf(out, ",\"product_id\":\"p%03u\"", e->product + 1u);
    if (e->type == REVIEWED) buf_printf(out, ",\"value\":%u,\"properties\":{\"text\":\"%s\"}", e->stars, review_text(e));
    buf_str(out, "}\n");
}

bool demo_shop_write(const struct demo_shop *s, enum demo_dataset dataset, size_t *at, struct buf *out)
{
    size_t i = *at;
    if (i >= demo_shop_rows(s, dataset)) return false;
    switch (dataset) {
    case DEMO_PRODUCTS: write_product(i, out); break;
    case DEMO_CUSTOMERS: write_person(&s->people[i], i, out); break;
    case DEMO_ORDERS: write_line(s, i, out); break;
    case DEMO_EVENTS: write_event(&s->events[i], i, out); break;
    case DEMO_DATASET_COUNT: return false;
    }
    *at = i + 1;
    return true;
}
