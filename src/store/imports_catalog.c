/* Customers and products: a row changes what it gives and leaves the rest. A batch is staged and merged by one update;
 * where the same id stands in a batch several times, by one update a round, the n-th row of each id in the n-th round.
 * Rows of one id that contradict each other but end in what is stored already are duplicates, all of them: a file sent
 * again changes nothing. */
#include "imports_priv.h"

static const struct sql MAKE_CUSTOMER_STAGE = {"customers_make_stage",
    "create temp table if not exists customer_stage (round bigint, customer_no bigint, fresh boolean, created_at timestamptz, "
    "email bytea, email_hash bytea, name bytea, name_hash bytea, phone bytea, phone_hash bytea, attributes jsonb) "
    "on commit delete rows", SQL_NOTHING};
static const struct sql EMPTY_CUSTOMER_STAGE = {"customers_empty_stage", "truncate customer_stage", SQL_NOTHING};
static const struct sql COPY_CUSTOMERS = {"customers_copy_stage",
    "copy customer_stage (round, customer_no, fresh, created_at, email, email_hash, name, name_hash, phone, phone_hash, "
    "attributes) from stdin (format binary)", SQL_NOTHING};
static const struct sql MERGE_CUSTOMERS = {"customers_merge",
    "with changed as ("
    "  update customers c set created_at = coalesce(s.created_at, c.created_at), "
    "    attributes = c.attributes || coalesce(s.attributes, '{}'), "
    "    email = coalesce(s.email, c.email), email_hash = coalesce(s.email_hash, c.email_hash), "
    "    name = coalesce(s.name, c.name), name_hash = coalesce(s.name_hash, c.name_hash), "
    "    phone = coalesce(s.phone, c.phone), phone_hash = coalesce(s.phone_hash, c.phone_hash), changed_at = now() "
    "  from customer_stage s where s.round = $1 and c.customer_no = s.customer_no and ("
    "    s.created_at is distinct from c.created_at and s.created_at is not null "
    "    or s.email_hash is distinct from c.email_hash and s.email_hash is not null "
    "    or s.name_hash is distinct from c.name_hash and s.name_hash is not null "
    "    or s.phone_hash is distinct from c.phone_hash and s.phone_hash is not null "
    "    or c.attributes || s.attributes <> c.attributes) "
    "  returning s.fresh, c.customer_no), "
    "gathered as (" /* also who came into being with nothing but an id */
    "  insert into import_changed select customer_no from changed "
    "  union all select customer_no from customer_stage where round = $1 and fresh) "
    "select (select count(*) from customer_stage where round = $1), "
    "       (select count(*) from customer_stage where round = $1 and fresh), "
    "       (select count(*) from changed where not fresh)", SQL_ROW};
/* What the rows of one id end in: of each field the last that was given. */
#define LAST(field) "(array_agg(s." field " order by s.round desc) filter (where s." field " is not null))[1] as " field
#define HELD(field) "coalesce(l." field " = c." field ", l." field " is null)"
#define SETTLED(table, number, fields)                                                                 \
    "with repeated as (select " number " from " table " where round = 2), "                                  \
    "l as (select s." number ", bool_or(s.fresh) as fresh, " fields " from " table " s "                     \
    "      where s." number " in (select " number " from repeated) group by s." number "), "                 \
    "a as (select s." number ", jsonb_object_agg(e.key, e.value order by s.round) as attributes "            \
    "      from " table " s cross join lateral jsonb_each(s.attributes) e "                                  \
    "      where s." number " in (select " number " from repeated) group by s." number ") "                  \
    "delete from " table " s using l left join a on a." number " = l." number " "
static const struct sql SETTLE_CUSTOMERS = {"customers_settle",
    SETTLED("customer_stage", "customer_no",
            LAST("created_at") ", " LAST("email_hash") ", " LAST("name_hash") ", " LAST("phone_hash"))
    ", customers c where s.customer_no = l.customer_no and c.customer_no = l.customer_no and not l.fresh and "
    HELD("created_at") " and " HELD("email_hash") " and " HELD("name_hash") " and " HELD("phone_hash")
    " and (a.attributes is null or c.attributes || a.attributes = c.attributes)", SQL_NOTHING};

static const struct sql MAKE_PRODUCT_STAGE = {"products_make_stage",
    "create temp table if not exists product_stage (round bigint, product_no bigint, fresh boolean, name text, category text, "
    "price numeric, description text, available boolean, attributes jsonb) on commit delete rows", SQL_NOTHING};
static const struct sql EMPTY_PRODUCT_STAGE = {"products_empty_stage", "truncate product_stage", SQL_NOTHING};
static const struct sql COPY_PRODUCTS = {"products_copy_stage",
    "copy product_stage (round, product_no, fresh, name, category, price, description, available, attributes) "
    "from stdin (format binary)", SQL_NOTHING};
static const struct sql MERGE_PRODUCTS = {"products_merge",
    "with changed as ("
    "  update products p set name = coalesce(s.name, p.name), category = coalesce(s.category, p.category), "
    "    price = coalesce(s.price, p.price), description = coalesce(s.description, p.description), "
    "    available = coalesce(s.available, p.available), attributes = p.attributes || coalesce(s.attributes, '{}'), "
    "    deleted = false, changed_at = now() "
    "  from product_stage s where s.round = $1 and p.product_no = s.product_no and (p.deleted "
    "    or s.name is distinct from p.name and s.name is not null "
    "    or s.category is distinct from p.category and s.category is not null "
    "    or s.price is distinct from p.price and s.price is not null "
    "    or s.description is distinct from p.description and s.description is not null "
    "    or s.available is distinct from p.available and s.available is not null "
    "    or p.attributes || s.attributes <> p.attributes) "
    "  returning s.fresh) "
    "select (select count(*) from product_stage where round = $1), "
    "       (select count(*) from product_stage where round = $1 and fresh), "
    "       (select count(*) from changed where not fresh)", SQL_ROW};
static const struct sql SETTLE_PRODUCTS = {"products_settle",
    SETTLED("product_stage", "product_no",
            LAST("name") ", " LAST("category") ", " LAST("price") ", " LAST("description") ", " LAST("available"))
    ", products c where s.product_no = l.product_no and c.product_no = l.product_no and not l.fresh and not c.deleted and "
    HELD("name") " and " HELD("category") " and " HELD("price") " and " HELD("description") " and " HELD("available")
    " and (a.attributes is null or c.attributes || a.attributes = c.attributes)", SQL_NOTHING};

enum meros_code import_customers_prepare(struct store_import *i, struct meros_err *err)
{
    i->mark_made = true;
    return sql_exec0(i->c, &MAKE_CUSTOMER_STAGE, NULL, err);
}

enum meros_code import_products_prepare(struct store_import *i, struct meros_err *err)
{
    i->mark_made = true;
    return sql_exec0(i->c, &MAKE_PRODUCT_STAGE, NULL, err);
}

static enum meros_code no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for a batch of rows.");
}

/* What a staged row begins with: its round, its number, whether this row made it. */
struct place {
    int64_t round, no;
    bool fresh;
};

static enum meros_code place_rows(struct store_import *i, struct idmap *map, const struct str *ids, size_t n,
                                  struct place *places, int64_t *rounds, struct meros_err *err)
{
    struct idmap times;
    enum meros_code rc = MEROS_OK;
    bool added;
    *rounds = 0;
    TRY(import_resolve(i, map, ids, n, err));
    idmap_init(&times, true);
    for (size_t k = 0; k < n && rc == MEROS_OK; k++) {
        int64_t *no = idmap_get(map, ids[k]), *time = idmap_put(&times, ids[k], 0, &added);
        if (time == NULL) {
            rc = no_memory(err);
            break;
        }
        places[k] = (struct place){.round = ++*time, .no = *no < 0 ? -*no : *no, .fresh = *no < 0};
        *no = places[k].no;
        if (places[k].round > *rounds) *rounds = places[k].round;
    }
    idmap_done(&times);
    return rc;
}

static enum meros_code merge(struct store_import *i, const struct sql *settle, const struct sql *s, int64_t rounds, struct meros_err *err)
{
    if (rounds > 1) {
        struct rows r;
        TRY(sql_exec0(i->c, settle, &r, err));
        i->counts.duplicates += r.affected;
        rows_done(&r);
    }
    for (int64_t round = 1; round <= rounds; round++) {
        struct rows r;
        TRY(sql_exec(i->c, s, &r, err, P_INT(round)));
        int64_t rows = rows_int(&r, 0, 0), fresh = rows_int(&r, 0, 1), changed = rows_int(&r, 0, 2);
        i->counts.inserted += fresh;
        i->counts.updated += changed;
        i->counts.duplicates += rows - fresh - changed;
        rows_done(&r);
    }
    return MEROS_OK;
}

static void put_place(struct copy_in *k, const struct place *p)
{
    copy_in_int8(k, p->round);
    copy_in_int8(k, p->no);
    copy_in_bool(k, p->fresh);
}

static void put_bytes(struct copy_in *k, struct str s)
{
    if (str_present(s)) copy_in_bytes(k, s.p, s.n);
    else copy_in_null(k);
}

static void put_sealed(struct copy_in *k, const struct sealed *s)
{
    put_bytes(k, s->sealed);
    put_bytes(k, s->hash);
}

static void put_json(struct copy_in *k, struct str json)
{
    if (str_present(json)) copy_in_jsonb(k, json);
    else copy_in_null(k);
}

static enum meros_code customers_batch(struct store_import *i, const struct sealed_customer_row *rows, size_t n, struct meros_err *err)
{
    struct place *places = arena_array(&i->batch, n, sizeof *places);
    struct str *ids = arena_array(&i->batch, n, sizeof *ids);
    struct copy_in k;
    int64_t rounds, written;
    if (places == NULL || ids == NULL) return no_memory(err);
    for (size_t r = 0; r < n; r++) ids[r] = rows[r].customer_id;
    TRY(place_rows(i, &i->customers, ids, n, places, &rounds, err));
    if (i->batches++ > 0) TRY(sql_exec0(i->c, &EMPTY_CUSTOMER_STAGE, NULL, err));
    TRY(copy_in_begin(&k, i->c, &COPY_CUSTOMERS, err));
    for (size_t r = 0; r < n; r++) {
        enum meros_code rc = copy_in_row(&k, 11, err);
        if (rc != MEROS_OK) {
            copy_in_abort(&k);
            return rc;
        }
        put_place(&k, &places[r]);
        copy_in_time(&k, rows[r].created_at);
        put_sealed(&k, &rows[r].email);
        put_sealed(&k, &rows[r].name);
        put_sealed(&k, &rows[r].phone);
        put_json(&k, rows[r].attributes);
    }
    TRY(copy_in_end(&k, &written, err));
    return merge(i, &SETTLE_CUSTOMERS, &MERGE_CUSTOMERS, rounds, err);
}

enum meros_code import_customers(struct store_import *i, const struct sealed_customer_row *rows, size_t n, struct meros_err *err)
{
    enum meros_code rc = n == 0 ? MEROS_OK : customers_batch(i, rows, n, err);
    arena_done(&i->batch);
    return rc;
}

static enum meros_code products_batch(struct store_import *i, const struct product_row *rows, size_t n, struct meros_err *err)
{
    struct place *places = arena_array(&i->batch, n, sizeof *places);
    struct str *ids = arena_array(&i->batch, n, sizeof *ids);
    struct copy_in k;
    int64_t rounds, written;
    if (places == NULL || ids == NULL) return no_memory(err);
    for (size_t r = 0; r < n; r++) ids[r] = rows[r].product_id;
    TRY(place_rows(i, &i->products, ids, n, places, &rounds, err));
    if (i->batches++ > 0) TRY(sql_exec0(i->c, &EMPTY_PRODUCT_STAGE, NULL, err));
    TRY(copy_in_begin(&k, i->c, &COPY_PRODUCTS, err));
    for (size_t r = 0; r < n; r++) {
        enum meros_code rc = copy_in_row(&k, 9, err);
        if (rc != MEROS_OK) {
            copy_in_abort(&k);
            return rc;
        }
        put_place(&k, &places[r]);
        copy_in_text(&k, rows[r].name);
        copy_in_text(&k, rows[r].category);
        if (rows[r].price.present) copy_in_numeric(&k, rows[r].price.unscaled, rows[r].price.scale);
        else copy_in_null(&k);
        copy_in_text(&k, rows[r].description);
        if (rows[r].available >= 0) copy_in_bool(&k, rows[r].available != 0);
        else copy_in_null(&k);
        put_json(&k, rows[r].attributes);
    }
    TRY(copy_in_end(&k, &written, err));
    return merge(i, &SETTLE_PRODUCTS, &MERGE_PRODUCTS, rounds, err);
}

enum meros_code import_products(struct store_import *i, const struct product_row *rows, size_t n, struct meros_err *err)
{
    enum meros_code rc = n == 0 ? MEROS_OK : products_batch(i, rows, n, err);
    arena_done(&i->batch);
    return rc;
}
