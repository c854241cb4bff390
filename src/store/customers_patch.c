/* Changes of many customers at once, as identify calls bring them: most say what is known already, and then no row is
 * written. What is said of one customer several times is applied in its order, the n-th of each in the n-th round. */
#include "meros/store/customers.h"

#include <stdlib.h>
#include "imports_priv.h"
#include "meros/base/crypto.h"

#define JOINED(column)                                                                                       \
    "(c." column " || p." column "::jsonb) - array(select key from jsonb_each(p." column "::jsonb) where value = 'null')"
#define TEXT(column, bit)                                                                                    \
    column " = case when p.given & " bit " <> 0 then decode(p." column ", 'hex') else c." column " end, "    \
    column "_hash = case when p.given & " bit " <> 0 then decode(p." column "_hash, 'hex') else c." column "_hash end, "
#define DIFFERS(column, bit) "or p.given & " bit " <> 0 and c." column "_hash is distinct from decode(p." column "_hash, 'hex') "
static const struct sql PATCH_MANY = {"customers_patch_many",
    "update customers c set created_at = case when p.given & 1 <> 0 then p.created_at else c.created_at end, "
    TEXT("email", "2") TEXT("name", "4") TEXT("phone", "8")
    "  attributes = case when p.given & 16 <> 0 then " JOINED("attributes") " else c.attributes end, "
    "  consent = case when p.given & 32 <> 0 then " JOINED("consent") " else c.consent end, changed_at = now() "
    "from (select * from unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[], "
    "        $8::text[], $9::text[], $10::text[], $11::text[]) "
    "        as g (no, given, created_at, attributes, consent, email, email_hash, name, name_hash, phone, phone_hash) "
    "      order by no) p "
    "where c.customer_no = p.no and (p.given & 1 <> 0 and c.created_at is distinct from p.created_at "
    DIFFERS("email", "2") DIFFERS("name", "4") DIFFERS("phone", "8")
    "  or p.given & 16 <> 0 and c.attributes <> " JOINED("attributes")
    "  or p.given & 32 <> 0 and c.consent <> " JOINED("consent") ") returning c.customer_no", SQL_ROWS};

enum { TEXTS = 8 };
struct columns {
    int64_t *nos, *given, *times;
    struct str *texts[TEXTS]; /* attributes, consent, then sealed and hash of email, name, phone */
    size_t n;
};

static enum meros_code no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for changes of customers.");
}

static bool make_columns(struct columns *x, struct arena *arena, size_t n)
{
    x->nos = arena_array(arena, n, sizeof *x->nos);
    x->given = arena_array(arena, n, sizeof *x->given);
    x->times = arena_array(arena, n, sizeof *x->times);
    bool ok = x->nos != NULL && x->given != NULL && x->times != NULL;
    for (int k = 0; k < TEXTS; k++) ok &= (x->texts[k] = arena_array(arena, n, sizeof *x->texts[k])) != NULL;
    return ok;
}

static struct str hex(struct arena *arena, struct str bytes, bool *ok)
{
    if (!str_present(bytes)) return STR_NONE;
    char *text = arena_alloc(arena, 2 * bytes.n + 1);
    if (text == NULL) *ok = false;
    else hex_encode(bytes.p, bytes.n, text);
    return (struct str){text, text == NULL ? 0 : 2 * bytes.n};
}

static bool add(struct columns *x, struct arena *arena, const struct customer_patch *p)
{
    const struct sealed *const personal[] = {&p->person.email, &p->person.name, &p->person.phone};
    bool ok = true;
    x->nos[x->n] = p->customer_no;
    x->given[x->n] = p->change->given;
    x->times[x->n] = p->change->created_at;
    x->texts[0][x->n] = p->change->attributes;
    x->texts[1][x->n] = p->change->consent;
    for (int k = 0; k < 3; k++) {
        x->texts[2 + 2 * k][x->n] = hex(arena, personal[k]->sealed, &ok);
        x->texts[3 + 2 * k][x->n] = hex(arena, personal[k]->hash, &ok);
    }
    x->n++;
    return ok;
}

static enum meros_code run(struct store_conn *c, const struct columns *x, int64_t *changed, size_t *n_changed, struct meros_err *err)
{
    struct sql_param params[3 + TEXTS] = {P_INTS(x->nos, x->n), P_INTS(x->given, x->n), P_TIMES(x->times, x->n)};
    struct rows r;
    for (int k = 0; k < TEXTS; k++) params[3 + k] = P_TEXTS(x->texts[k], x->n);
    TRY(sql_run(c, &PATCH_MANY, &r, err, params, 3 + TEXTS));
    for (size_t k = 0; k < r.n; k++) changed[(*n_changed)++] = rows_int(&r, k, 0);
    rows_done(&r);
    return MEROS_OK;
}

struct placed {
    int64_t customer_no;
    size_t at;
};

static int by_customer(const void *a, const void *b)
{
    const struct placed *x = a, *y = b;
    if (x->customer_no != y->customer_no) return x->customer_no < y->customer_no ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

enum meros_code customers_patch(struct store_conn *c, const struct customer_patch *patches, size_t n, struct arena *arena,
                                int64_t *changed_nos, size_t *n_changed, struct meros_err *err)
{
    struct placed *order = arena_array(arena, n + 1, sizeof *order);
    struct columns x = {0};
    *n_changed = 0;
    if (n == 0) return MEROS_OK;
    if (order == NULL || !make_columns(&x, arena, n)) return no_memory(err);
    for (size_t k = 0; k < n; k++) order[k] = (struct placed){patches[k].customer_no, k};
    qsort(order, n, sizeof *order, by_customer);
    for (size_t round = 0, left = n; left > 0; round++) {
        size_t place = 0;
        x.n = 0;
        for (size_t k = 0; k < n; k++) {
            place = k > 0 && order[k].customer_no == order[k - 1].customer_no ? place + 1 : 0;
            if (place == round && !add(&x, arena, &patches[order[k].at])) return no_memory(err);
        }
        left -= x.n;
        TRY(run(c, &x, changed_nos, n_changed, err));
    }
    return MEROS_OK;
}
