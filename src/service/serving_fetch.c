#include "serving_priv.h"

#include "meros/base/clock.h"
#include "meros/store/segments.h"

/* Which of the customers a row of memberships belongs to. Open addressing; at most half full. */
enum { SLOTS = 2 * SERVING_BATCH };
struct stored {
    struct arena *arena;
    struct {
        int64_t customer_no;
        bool used;
        struct stored_membership *first;
    } slots[SLOTS];
};

static size_t slot_of(const struct stored *m, int64_t customer_no)
{
    size_t at = (size_t)((uint64_t)customer_no * UINT64_C(0x9E3779B97F4A7C15) >> 32) % SLOTS;
    while (m->slots[at].used && m->slots[at].customer_no != customer_no) at = (at + 1) % SLOTS;
    return at;
}

const struct stored_membership *serving_memberships(const struct serving_found *f, int64_t customer_no)
{
    return f->memberships->slots[slot_of(f->memberships, customer_no)].first;
}

static void remember(void *arg, int64_t customer_no, struct str segmentation, struct str segment_id, int64_t since)
{
    struct stored *m = arg;
    const size_t at = slot_of(m, customer_no);
    struct stored_membership *one = arena_alloc(m->arena, sizeof *one);
    char *name = arena_strndup(m->arena, segmentation.p, segmentation.n);
    char *id = arena_strndup(m->arena, segment_id.p, segment_id.n);
    if (!m->slots[at].used || one == NULL || name == NULL || id == NULL) return;
    *one = (struct stored_membership){{name, segmentation.n}, {id, segment_id.n}, since, m->slots[at].first};
    m->slots[at].first = one;
}

bool serving_in_the_past(const struct serving_query *q, size_t i)
{
    return q->ats[i] != TIME_NONE && q->ats[i] <= q->now;
}

/* Who they are, and of the whole ones their statistics. The past is not to know what came after it. */
static enum meros_code fetch_states(struct store_conn *c, struct arena *arena, const struct serving_query *q, struct customer_state *out,
                                    struct meros_err *err)
{
    const size_t others = q->n - q->whole;
    const bool attributes = q->models->clv != NULL && trained_clv_needs_attributes(q->models->clv->model);
    enum meros_code rc = MEROS_OK;
    if (q->whole > 0) rc = store_stats_live(c, q->ids, q->whole, arena, out, err);
    if (rc == MEROS_OK && others > 0) rc = store_stats_who(c, q->ids + q->whole, others, attributes, arena, out + q->whole, err);
    for (size_t i = 0; i < q->whole && rc == MEROS_OK; i++)
        if (serving_in_the_past(q, i) && out[i].known) rc = store_stats_at(c, q->ats[i], q->half_life_days, &out[i], err);
    return rc;
}

/* The days on which they bought. nos: scratch of n. */
static enum meros_code fetch_purchases(struct store_conn *c, struct arena *arena, const struct serving_query *q, int64_t *nos,
                                       struct serving_found *f, struct meros_err *err)
{
    for (size_t i = 0; i < q->n; i++) nos[i] = f->states[i].known ? f->states[i].stats.customer_no : 0; /* nobody's */
    enum meros_code rc = store_days_of(c, nos, q->n, arena, f->purchases, err);
    for (size_t i = 0; i < q->n && rc == MEROS_OK; i++)
        if (serving_in_the_past(q, i) && nos[i] != 0) rc = store_days_at(c, nos[i], day_of_time(q->ats[i]), arena, &f->purchases[i], err);
    return rc;
}

/* Of the whole ones, what segments they are written down in. nos: scratch of n. */
static enum meros_code fetch_memberships(struct store_conn *c, const struct serving_query *q, int64_t *nos, struct serving_found *f,
                                         struct meros_err *err)
{
    size_t known = 0;
    for (size_t i = 0; i < q->whole; i++) {
        const int64_t no = f->states[i].stats.customer_no;
        const size_t at = slot_of(f->memberships, no);
        if (!f->states[i].known || f->memberships->slots[at].used) continue;
        f->memberships->slots[at].used = true;
        f->memberships->slots[at].customer_no = no;
        nos[known++] = no;
    }
    return known == 0 ? MEROS_OK : store_memberships_of(c, nos, known, remember, f->memberships, err);
}

/* What the rules of audiences ask of the whole ones beside the rest. nos: scratch of n. */
static enum meros_code fetch_for_audiences(struct store_conn *c, struct arena *arena, const struct serving_query *q, int64_t *nos,
                                           struct serving_found *f, struct meros_err *err)
{
    const struct audience_set *s = q->audiences;
    enum meros_code rc = MEROS_OK;
    if (s == NULL || q->whole == 0) return MEROS_OK;
    if (s->clv) f->worths = arena_array(arena, q->whole, sizeof *f->worths);
    if (s->n_asks > 0) f->counts = arena_array(arena, q->whole * s->n_asks, sizeof *f->counts);
    if ((s->clv && f->worths == NULL) || (s->n_asks > 0 && f->counts == NULL)) return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory while reading customers.");
    for (size_t i = 0; i < q->whole; i++) nos[i] = f->states[i].known ? f->states[i].stats.customer_no : 0; /* nobody's */
    if (s->clv) rc = store_audience_clv(c, nos, q->whole, f->worths, err);
    if (rc == MEROS_OK && s->n_asks > 0) rc = store_audience_events(c, nos, q->whole, s->asks, s->n_asks, q->now, f->counts, err);
    return rc;
}

struct audience_subject serving_subject(const struct serving_query *q, const struct serving_found *f, size_t i, const struct json *attributes,
                                        const struct json *consent, struct arena *arena)
{
    const struct customer_stats *s = &f->states[i].stats;
    return (struct audience_subject){.stats = s, .attributes = attributes, .consent = consent, .memberships = serving_memberships(f, s->customer_no),
                                     .clv = f->worths == NULL ? NULL : &f->worths[i],
                                     .counts = f->counts == NULL ? NULL : &f->counts[i * q->audiences->n_asks],
                                     .now = q->now, .half_life_days = q->half_life_days, .arena = arena};
}

enum meros_code serving_fetch(struct store_conn *c, struct arena *arena, const struct serving_query *q, struct serving_found *out,
                              struct meros_err *err)
{
    struct serving_found f = {.states = arena_array(arena, q->n, sizeof *f.states),
                              .purchases = arena_zalloc(arena, q->n * sizeof *f.purchases),
                              .memberships = arena_zalloc(arena, sizeof *f.memberships)};
    int64_t *nos = arena_array(arena, q->n, sizeof *nos);
    if (f.states == NULL || f.purchases == NULL || f.memberships == NULL || nos == NULL)
        return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory while reading customers.");
    f.memberships->arena = arena;
    enum meros_code rc = fetch_states(c, arena, q, f.states, err);
    if (rc == MEROS_OK && q->models->clv != NULL) rc = fetch_purchases(c, arena, q, nos, &f, err);
    const bool memberships = q->models->n_models > 0 || (q->audiences != NULL && q->audiences->memberships);
    if (rc == MEROS_OK && memberships) rc = fetch_memberships(c, q, nos, &f, err);
    if (rc == MEROS_OK) rc = fetch_for_audiences(c, arena, q, nos, &f, err);
    if (rc == MEROS_OK) *out = f;
    return rc;
}
