/* `meros demo`: makes up the shop and sends it through the public endpoints, then trains, as anybody would. */
#include "client_priv.h"
#include "demo_priv.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include "meros/base/clock.h"

/* Whom every made-up shop has. */
#define DEMO_CUSTOMER "c00001"

static const struct {
    const char *name, *file, *content_type;
} datasets[DEMO_DATASET_COUNT] = {
    [DEMO_PRODUCTS] = {"products", "products.csv", "text/csv"},
    [DEMO_CUSTOMERS] = {"customers", "customers.csv", "text/csv"},
    [DEMO_ORDERS] = {"orders", "orders.csv", "text/csv"},
    [DEMO_EVENTS] = {"events", "events.ndjson", "application/x-ndjson"},
};

/* The rows of one dataset as a source of bytes. */
struct row_source {
    const struct demo_shop *shop;
    enum demo_dataset dataset;
    size_t at, given; /* next row; bytes of `text` already given */
    struct buf text;
};

static double rows_given(void *arg)
{
    return (double)((const struct row_source *)arg)->at;
}

static ptrdiff_t give_rows(void *arg, char *to, size_t cap, struct meros_err *err)
{
    struct row_source *s = arg;
    if (s->given == s->text.len) {
        buf_clear(&s->text);
        s->given = 0;
        while (s->text.len < cap && demo_shop_write(s->shop, s->dataset, &s->at, &s->text)) {}
        if (s->text.failed) {
            err_set(err, MEROS_OUT_OF_MEMORY, "there is no memory for the made-up rows");
            return -1;
        }
    }
    size_t n = s->text.len - s->given < cap ? s->text.len - s->given : cap;
    if (n > 0) memcpy(to, s->text.data + s->given, n);
    s->given += n;
    return (ptrdiff_t)n;
}

static void source_begin(struct row_source *s, const struct demo_shop *shop, enum demo_dataset dataset)
{
    *s = (struct row_source){.shop = shop, .dataset = dataset};
    buf_init(&s->text, 64 * 1024 * 1024);
}

/* --- into files */

static enum meros_code write_files(const struct demo_shop *shop, const char *folder, struct meros_err *err)
{
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return err_set(err, MEROS_INVALID, "cannot make the folder \"%.300s\": %s", folder, strerror(errno));
    for (int d = 0; d < DEMO_DATASET_COUNT; d++) {
        char path[4200], block[65536];
        struct row_source source;
        ptrdiff_t n;
        bool ok = true;
        snprintf(path, sizeof path, "%.4000s/%s", folder, datasets[d].file);
        FILE *f = fopen(path, "we");
        if (f == NULL) return err_set(err, MEROS_INVALID, "cannot write \"%.300s\": %s", path, strerror(errno));
        source_begin(&source, shop, (enum demo_dataset)d);
        while (ok && (n = give_rows(&source, block, sizeof block, err)) > 0) ok = fwrite(block, 1, (size_t)n, f) == (size_t)n;
        buf_done(&source.text);
        if (fclose(f) != 0 || !ok) return err_set(err, MEROS_INVALID, "cannot write \"%.300s\": %s", path, strerror(errno));
        printf("%s: %zu rows\n", path, demo_shop_rows(shop, (enum demo_dataset)d));
    }
    return MEROS_OK;
}

/* --- into the service */

static enum meros_code load(struct client *client, const struct demo_shop *shop, enum demo_dataset d, struct meros_err *err)
{
    char path[64], label[64];
    struct row_source source;
    struct progress progress;
    struct json *answer = NULL;
    snprintf(path, sizeof path, "/v1/imports/%s", datasets[d].name);
    snprintf(label, sizeof label, "loading %s", datasets[d].name);
    progress_begin(&progress, label, (double)demo_shop_rows(shop, d), false);
    source_begin(&source, shop, d);
    struct client_upload upload = {datasets[d].content_type, NULL, give_rows, &source, &progress, rows_given};
    enum meros_code rc = client_upload(client, path, &upload, &answer, err);
    progress_end(&progress);
    buf_done(&source.text);
    if (rc == MEROS_OK) {
        int64_t rejected = json_int(json_get(answer, "rejected"));
        printf("%-10s %7lld rows in %.1f s\n", datasets[d].name, (long long)json_int(json_get(answer, "received")),
               json_num(json_get(answer, "seconds")));
        if (rejected != 0)
            rc = err_set(err, MEROS_INTERNAL, "the service rejected %lld of the made-up %s", (long long)rejected, datasets[d].name);
    }
    json_free(answer);
    return rc;
}

/* Waits for a job, showing how far it is. */
static enum meros_code follow(struct client *client, const char *id, const char *label, struct meros_err *err)
{
    char path[256];
    struct progress progress;
    enum meros_code rc = MEROS_OK;
    bool ended = false;
    snprintf(path, sizeof path, "/v1/jobs/%s", id);
    progress_begin(&progress, label, 1, false);
    while (rc == MEROS_OK && !ended) {
        struct json *job = NULL;
        rc = client_call(client, "GET", path, NULL, &job, err);
        if (rc != MEROS_OK) break;
        struct str state = json_str(json_get(job, "state")), stage = json_str(json_get(job, "stage"));
        char text[64];
        str_copy(text, sizeof text, stage.n < sizeof text ? stage : STR_NONE);
        ended = !str_is(state, "queued") && !str_is(state, "running");
        if (!ended) {
            progress_show(&progress, json_num(json_get(job, "progress")), text);
            nanosleep(&(struct timespec){0, 100000000}, NULL);
        } else if (!str_is(state, "succeeded")) {
            struct str detail = json_str(json_get(json_get(job, "error"), "detail"));
            rc = err_set(err, MEROS_INTERNAL, "%s %.*s%s%.*s", label, (int)state.n, state.p, detail.n ? ": " : "", (int)detail.n,
                         detail.n ? detail.p : "");
        }
        json_free(job);
    }
    progress_end(&progress);
    return rc;
}

static enum meros_code train(struct client *client, const char *kind, const char *name, const char *params, struct meros_err *err)
{
    char body[512], id[128], label[64];
    struct json *job = NULL;
    int64_t begin = clock_mono_ns();
    snprintf(body, sizeof body, "{\"kind\":\"%s\",\"params\":%s}", kind, params);
    snprintf(label, sizeof label, "training %s", name);
    enum meros_code rc = client_call(client, "POST", "/v1/jobs", body, &job, err);
    if (rc == MEROS_OK && !str_copy(id, sizeof id, json_str(json_get(job, "id"))))
        rc = err_set(err, MEROS_INTERNAL, "the service answered no job");
    json_free(job);
    if (rc == MEROS_OK) rc = follow(client, id, label, err);
    if (rc == MEROS_OK) printf("%-10s trained in %.1f s\n", name, (double)(clock_mono_ns() - begin) / 1e9);
    return rc;
}

static enum meros_code print_segments(struct client *client, const char *name, struct meros_err *err)
{
    char path[128];
    struct json *s = NULL;
    snprintf(path, sizeof path, "/v1/segmentations/%s", name);
    enum meros_code rc = client_call(client, "GET", path, NULL, &s, err);
    const struct json *segments = json_get(s, "segments");
    if (rc == MEROS_OK) printf("\nThe segments of \"%s\":\n", name);
    for (size_t i = 0; i < json_count(segments); i++) {
        const struct json *g = json_at(segments, i);
        struct str label = json_str(json_get(g, "label"));
        printf("  %5lld customers, %3.0f %% of revenue: %.*s\n", (long long)json_int(json_get(g, "size")),
               100 * json_num(json_get(g, "revenue_share")), (int)label.n, label.n ? label.p : "");
    }
    json_free(s);
    return rc;
}

static enum meros_code print_values(struct client *client, struct meros_err *err)
{
    struct json *s = NULL;
    enum meros_code rc = client_call(client, "GET", "/v1/clv/summary", NULL, &s, err);
    const struct json *top = json_get(json_get(s, "concentration"), "top");
    if (rc == MEROS_OK && !isnan(json_num(json_get(s, "mean")))) /* none where nobody has bought twice */
        printf("\nIn a year a customer will be worth %.0f on average; the best fifth brings %.0f %% of it.\n", json_num(json_get(s, "mean")),
               100 * json_num(json_get(json_at(top, 3), "value")));
    json_free(s);
    return rc;
}

/* A customer's shelf, and the request that asked for it. */
static enum meros_code print_recommended(struct client *client, struct meros_err *err)
{
    static const char path[] = "/v1/customers/" DEMO_CUSTOMER "/recommendations?limit=5";
    struct json *s = NULL;
    enum meros_code rc = client_call(client, "GET", path, NULL, &s, err);
    const struct json *items = json_get(s, "items");
    if (rc == MEROS_OK && json_count(items) > 0) printf("\nFor %s now (curl -H \"Authorization: Bearer $KEY\" …%s):\n ", DEMO_CUSTOMER, path);
    for (size_t i = 0; i < json_count(items); i++) {
        const struct str id = json_str(json_get(json_at(items, i), "product_id"));
        printf(" %.*s", (int)id.n, id.n ? id.p : "");
    }
    if (json_count(items) > 0) printf("\n");
    json_free(s);
    return rc;
}

static enum meros_code holds_customers(struct client *client, bool *out, struct meros_err *err)
{
    struct json *page = NULL;
    enum meros_code rc = client_call(client, "GET", "/v1/customers?limit=1", NULL, &page, err);
    if (rc == MEROS_OK) *out = json_count(json_get(page, "data")) > 0;
    json_free(page);
    return rc;
}

static enum meros_code into_service(const struct invocation *in, const struct config *config, uint64_t seed, size_t customers,
                                    struct meros_err *err)
{
    struct client *client = NULL;
    struct demo_shop *shop = NULL;
    bool full = false;
    enum meros_code rc = client_open(in, config, &client, err);
    if (rc == MEROS_OK && invocation_option(in, "if-empty") != NULL) rc = holds_customers(client, &full, err);
    if (rc != MEROS_OK || full) goto out;
    if ((rc = demo_shop_new(seed, customers, clock_now(), &shop, err)) != MEROS_OK) goto out;
    for (int d = 0; d < DEMO_DATASET_COUNT && rc == MEROS_OK; d++) rc = load(client, shop, (enum demo_dataset)d, err);
    if (rc == MEROS_OK) rc = train(client, "train.segments", "behaviour", "{\"name\":\"behaviour\",\"method\":\"kmeans\",\"seed\":1}", err);
    if (rc == MEROS_OK) rc = train(client, "train.segments", "rfm", "{\"name\":\"rfm\",\"method\":\"rfm\"}", err);
    /* A shop of a few customers has nobody who came back to learn from; the rest of it is worth a look all the same. */
    struct meros_err few = MEROS_ERR_INIT;
    const bool valued = rc == MEROS_OK && train(client, "train.clv", "clv", "{}", &few) == MEROS_OK;
    if (rc == MEROS_OK && !valued) printf("%s\n", few.detail);
    /* Not "auto", which compares everything with everything and takes half a minute. */
    struct meros_err fewer = MEROS_ERR_INIT;
    const bool recommends = rc == MEROS_OK && train(client, "train.recommendations", "recommend", "{\"algorithm\":\"ease\"}", &fewer) == MEROS_OK;
    if (rc == MEROS_OK && !recommends) printf("%s\n", fewer.detail);
    if (rc == MEROS_OK) rc = print_segments(client, "behaviour", err);
    if (valued && rc == MEROS_OK) rc = print_values(client, err);
    if (recommends && rc == MEROS_OK) rc = print_recommended(client, err);
out:
    demo_shop_free(shop);
    client_close(client);
    return rc;
}

static bool number_option(const struct invocation *in, const char *name, int64_t min, int64_t max, int64_t *value)
{
    const char *text = invocation_option(in, name);
    if (text == NULL || (str_to_int64(str_of(text), value) && *value >= min && *value <= max)) return true;
    complain("--%s is \"%.40s\"; it takes a whole number from %lld to %lld", name, text, (long long)min, (long long)max);
    return false;
}

int command_demo(const struct invocation *in, struct config *config)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct demo_shop *shop = NULL;
    int64_t customers = 3000, seed = 1;
    const char *folder = invocation_option(in, "write");
    enum meros_code rc;
    if (!number_option(in, "customers", 1, DEMO_CUSTOMERS_MAX, &customers) || !number_option(in, "seed", 0, INT64_MAX, &seed))
        return EXIT_USAGE;
    if (folder != NULL) {
        rc = demo_shop_new((uint64_t)seed, (size_t)customers, clock_now(), &shop, &err);
        if (rc == MEROS_OK) rc = write_files(shop, folder, &err);
        demo_shop_free(shop);
    } else {
        rc = into_service(in, config, (uint64_t)seed, (size_t)customers, &err);
    }
    if (rc != MEROS_OK) complain_err(&err);
    return rc == MEROS_OK ? EXIT_OK : EXIT_FAILED;
}
