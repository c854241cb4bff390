/* Outcomes of campaigns into their table. The identity of an outcome is its outcome_id, or its content where it has none,
 * within its campaign and customer; the first one stays. */
#include "imports_priv.h"
#include "meros/base/buf.h"

static const struct sql MAKE_STAGE = {"outcomes_make_stage",
    "create temp table if not exists outcome_stage (seq bigint, customer_no bigint, outcome_key uuid, campaign text, variant text, "
    "type integer, occurred_at timestamptz, value numeric, outcome_id text) on commit delete rows", SQL_NOTHING};
static const struct sql EMPTY = {"outcomes_empty", "truncate outcome_stage", SQL_NOTHING};
static const struct sql COPY_STAGE = {"outcomes_copy_stage",
    "copy outcome_stage (seq, customer_no, outcome_key, campaign, variant, type, occurred_at, value, outcome_id) "
    "from stdin (format binary)", SQL_NOTHING};
static const struct sql INSERT = {"outcomes_insert",
    "insert into outcomes (customer_no, outcome_key, campaign, variant, type, occurred_at, value, outcome_id) "
    "select distinct on (customer_no, outcome_key) customer_no, outcome_key, campaign, variant, type, coalesce(occurred_at, $1), value, "
    "  outcome_id from outcome_stage order by customer_no, outcome_key, seq on conflict do nothing", SQL_NOTHING};

/* An outcome moves nobody, but whoever it made has yet to be judged. */
static const struct sql NOTE = {"outcomes_note",
    "insert into import_changed select distinct customer_no from outcome_stage o "
    "where not exists (select from memberships m where m.customer_no = o.customer_no)", SQL_NOTHING};

enum meros_code import_outcomes_prepare(struct store_import *i, struct meros_err *err)
{
    return sql_exec0(i->c, &MAKE_STAGE, NULL, err);
}

static enum meros_code no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for a batch of outcomes.");
}

static enum meros_code stage(struct store_import *i, const struct outcome_row *rows, size_t n, struct meros_err *err)
{
    struct copy_in k;
    struct buf content;
    enum meros_code rc = copy_in_begin(&k, i->c, &COPY_STAGE, err);
    int64_t written;
    if (rc != MEROS_OK) return rc;
    buf_init(&content, 4096);
    for (size_t at = 0; at < n; at++) {
        const struct outcome_row *r = &rows[at];
        struct crypto_hash128 key = outcome_key(r, &content);
        rc = content.failed ? no_memory(err) : copy_in_row(&k, 9, err);
        if (rc != MEROS_OK) break;
        copy_in_int8(&k, i->sequence + (int64_t)at);
        copy_in_int8(&k, *idmap_get(&i->customers, r->customer_id));
        copy_in_bytes(&k, key.bytes, sizeof key.bytes);
        copy_in_text(&k, r->campaign);
        copy_in_text(&k, r->variant);
        copy_in_int4(&k, (int32_t)r->type);
        copy_in_time(&k, r->occurred_at);
        if (r->value.present) copy_in_numeric(&k, r->value.unscaled, r->value.scale);
        else copy_in_null(&k);
        copy_in_text(&k, r->outcome_id);
    }
    buf_done(&content);
    if (rc != MEROS_OK) {
        copy_in_abort(&k);
        return rc;
    }
    return copy_in_end(&k, &written, err);
}

static enum meros_code outcomes_batch(struct store_import *i, const struct outcome_row *rows, size_t n, int64_t now, struct meros_err *err)
{
    struct rows r;
    struct str *ids = arena_array(&i->batch, n, sizeof *ids);
    if (ids == NULL) return no_memory(err);
    for (size_t k = 0; k < n; k++) ids[k] = rows[k].customer_id;
    TRY(import_resolve(i, &i->customers, ids, n, err));
    if (i->batches++ > 0) TRY(sql_exec0(i->c, &EMPTY, NULL, err));
    TRY(stage(i, rows, n, err));
    TRY(sql_exec(i->c, &INSERT, &r, err, P_TIME(now)));
    i->counts.inserted += r.affected;
    i->counts.duplicates += (int64_t)n - r.affected;
    rows_done(&r);
    return sql_exec0(i->c, &NOTE, NULL, err);
}

enum meros_code import_outcomes(struct store_import *i, const struct outcome_row *rows, size_t n, int64_t now, struct meros_err *err)
{
    enum meros_code rc = n == 0 ? MEROS_OK : outcomes_batch(i, rows, n, now, err);
    i->sequence += (int64_t)n;
    arena_done(&i->batch);
    return rc;
}
