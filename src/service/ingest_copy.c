/* A request as the ingest path keeps it: struct pending and all that its items point to, in one block. */
#include "ingest_priv.h"
#include "reco_click_priv.h"

#include <stdlib.h>
#include <string.h>

/* The strings of an item that are to be copied; returns how many. */
enum { STRINGS_MAX = 12 };
static size_t strings_of(struct ingest_item *x, struct str *out[STRINGS_MAX])
{
    size_t n = 0;
    out[n++] = &x->customer_id;
    out[n++] = &x->anonymous_id;
    switch (x->kind) {
    case INGEST_EVENT:
        out[n++] = &x->event.event_id, out[n++] = &x->event.type, out[n++] = &x->event.product_id, out[n++] = &x->event.properties;
        break;
    case INGEST_TRAITS:
        out[n++] = &x->traits.email, out[n++] = &x->traits.name, out[n++] = &x->traits.phone;
        out[n++] = &x->traits.attributes, out[n++] = &x->traits.consent;
        break;
    case INGEST_ALIAS: out[n++] = &x->previous_id; break;
    case INGEST_OUTCOME: out[n++] = &x->outcome.campaign, out[n++] = &x->outcome.variant, out[n++] = &x->outcome.outcome_id; break;
    }
    return n;
}

static void move(struct str *s, char **at)
{
    if (!str_present(*s)) return;
    memcpy(*at, s->p, s->n);
    *s = (struct str){*at, s->n};
    *at += s->n + 1;
    (*at)[-1] = '\0'; /* so that an empty text has an address of its own */
}

static size_t bytes_of(const struct ingest_request *r)
{
    struct str *strings[STRINGS_MAX];
    size_t bytes = 0;
    for (size_t i = 0; i < r->n; i++) {
        struct ingest_item x = r->items[i];
        const size_t n = strings_of(&x, strings);
        for (size_t k = 0; k < n; k++) bytes += str_present(*strings[k]) ? strings[k]->n + 1 : 0;
        if (x.kind == INGEST_EVENT && reco_click_wanting(&x.event)) bytes += ID_MAX + 1;
    }
    for (size_t i = 0; i < r->n_offsets; i++) bytes += r->offsets[i].topic.n + 1;
    if (r->n_offsets > 0) bytes += strlen(r->offsets_group) + 1;
    return bytes;
}

static bool key_items(struct pending *p)
{
    struct buf scratch;
    bool ok = true;
    buf_init(&scratch, KEY_SCRATCH_MAX);
    for (size_t i = 0; i < p->n && ok; i++) {
        if (p->items[i].kind == INGEST_EVENT) p->keys[i] = event_key(&p->items[i].event, &scratch);
        else if (p->items[i].kind == INGEST_OUTCOME) p->keys[i] = outcome_key(&p->items[i].outcome, &scratch);
        ok = !scratch.failed;
    }
    buf_done(&scratch);
    return ok;
}

/* FNV-1a: all that matters is that it spreads. */
static unsigned side_of(struct str id)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < id.n; i++) h = (h ^ (unsigned char)id.p[i]) * 16777619u;
    return h ^ h >> 16;
}

/* What a click is about, where it leaves that to the id of the recommendation. */
static void complete_click(struct service *svc, struct event_row *e, char **at)
{
    if (!reco_click_wanting(e)) return;
    e->product_id = reco_click_product(svc, e, *at);
    *at += ID_MAX + 1;
}

struct pending *pending_copy(struct service *svc, struct ingest_request *r)
{
    const size_t head = sizeof(struct pending), items = r->n * sizeof(struct ingest_item), keys = r->n * sizeof(struct crypto_hash128),
                 results = r->n * sizeof(struct ingest_result), offsets = r->n_offsets * sizeof(struct ingest_offset);
    const size_t bytes = head + items + results + offsets + keys + bytes_of(r);
    char *block = malloc(bytes);
    if (block == NULL) return NULL;
    struct pending *p = (struct pending *)(void *)block;
    *p = (struct pending){.request = r, .bytes = bytes, .source = r->source, .n = r->n, .n_offsets = r->n_offsets};
    if (r->n == 1) p->side = side_of(r->items[0].customer_id);
    p->items = (struct ingest_item *)(void *)(block + head);
    p->results = (struct ingest_result *)(void *)(block + head + items);
    p->offsets = (struct ingest_offset *)(void *)(block + head + items + results);
    p->keys = (struct crypto_hash128 *)(void *)(block + head + items + results + offsets);
    char *at = block + head + items + results + offsets + keys;
    if (r->n > 0) memcpy(p->items, r->items, items);
    for (size_t i = 0; i < r->n; i++) {
        struct str *strings[STRINGS_MAX];
        const size_t n = strings_of(&p->items[i], strings);
        for (size_t k = 0; k < n; k++) move(strings[k], &at);
        if (p->items[i].kind == INGEST_EVENT) {
            p->items[i].event.customer_id = p->items[i].customer_id;
            complete_click(svc, &p->items[i].event, &at);
        }
        if (p->items[i].kind == INGEST_OUTCOME) p->items[i].outcome.customer_id = p->items[i].customer_id;
    }
    for (size_t i = 0; i < r->n_offsets; i++) {
        p->offsets[i] = r->offsets[i];
        move(&p->offsets[i].topic, &at);
    }
    if (r->n_offsets > 0) {
        struct str group = str_of(r->offsets_group);
        move(&group, &at);
        p->offsets_group = group.p;
    }
    if (key_items(p)) return p;
    free(p);
    return NULL;
}
