/* Bodies of other systems from a stranger. The first byte chooses the dialect; whatever comes, a message is an item or a
 * rejection and never half of one, and every item is fit for the database. */
#include <stdint.h>
#include <stdlib.h>
#include "meros/base/crypto.h"
#include "meros/domain/rows.h"
#include "meros/service/dialect_ga4.h"
#include "meros/service/dialect_posthog.h"
#include "meros/service/dialect_segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The check of orders lies beside the folding of them, which calls these of the store; no decoder gets there, and
 * libFuzzer's build goes without the store. */
void order_events_read(void);
void order_events_write(void);
__attribute__((weak)) void order_events_read(void) { abort(); }
__attribute__((weak)) void order_events_write(void) { abort(); }

static const int64_t NOW = INT64_C(1795294830000000);

static void check(bool holds)
{
    if (!holds) abort();
}

static void check_json(struct str s)
{
    struct json *tree = NULL;
    struct meros_err err = MEROS_ERR_INIT;
    if (!str_present(s)) return;
    check(s.n <= EXTRAS_MAX);
    check(json_parse(s.p, s.n, &tree, &err) == MEROS_OK && json_kind(tree) == JSON_KIND_OBJECT);
    json_free(tree);
}

static void check_item(const struct ingest_item *i)
{
    check(id_valid(i->customer_id));
    check(!str_present(i->anonymous_id) || (id_valid(i->anonymous_id) && !str_eq(i->anonymous_id, i->customer_id) && !i->anonymous));
    switch (i->kind) {
    case INGEST_EVENT:
        check(id_valid(i->event.type) && i->event.kind == event_kind_of(i->event.type));
        check(moment_plausible(i->event.occurred_at, NOW));
        check(!str_present(i->event.event_id) || id_valid(i->event.event_id));
        check(!str_present(i->event.product_id) || id_valid(i->event.product_id));
        check_json(i->event.properties);
        break;
    case INGEST_TRAITS:
        check(i->traits.created_at == TIME_NONE || moment_plausible(i->traits.created_at, NOW));
        check(i->traits.email.n <= EMAIL_MAX && i->traits.name.n <= PERSON_NAME_MAX && i->traits.phone.n <= PHONE_MAX);
        check_json(i->traits.attributes);
        check_json(i->traits.consent);
        break;
    case INGEST_ALIAS: check(id_valid(i->previous_id) && !str_eq(i->previous_id, i->customer_id)); break;
    case INGEST_OUTCOME: abort();
    }
}

static enum meros_code decode(struct dialect *d, int which, struct str body, struct meros_err *err)
{
    struct segment_body segment;
    struct posthog_body posthog;
    enum meros_code rc;
    if (which == 0) return ga4_decode(d, body, false, err);
    if (which == 1) return ga4_decode(d, body, true, err);
    if (which == 2) return (rc = posthog_open(body, &posthog, err)) != MEROS_OK ? rc : posthog_decode(d, &posthog, err);
    return (rc = segment_open(body, &segment, err)) != MEROS_OK ? rc : segment_decode(d, (enum segment_call)(which - 3), &segment, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool started;
    struct arena arena;
    struct dialect d;
    struct meros_err err = MEROS_ERR_INIT;
    if (!started && crypto_start(&err) != MEROS_OK) abort();
    started = true;
    if (size == 0) return 0;
    arena_init(&arena, 64 << 20);
    dialect_init(&d, &arena, NOW);
    /* 'a' and on: a corpus that can be read */
    if (decode(&d, (data[0] + 110 - 'a') % 11, (struct str){(const char *)data + 1, size - 1}, &err) == MEROS_OK) {
        for (size_t k = 0; k < d.n; k++) {
            check_item(&d.items[k]);
            check(d.message[k] < d.messages && (k == 0 || d.message[k] >= d.message[k - 1]));
            for (size_t r = 0; r < d.n_rejects; r++) check(d.rejects[r].index != d.message[k]);
        }
        check(d.rejected <= d.messages && d.n_rejects == d.rejected);
    }
    arena_done(&arena);
    return 0;
}
