/* The meaning of rules is in domain/audience.h, and src/domain/audience.c says the same in C.
 *
 * Texts, numbers and times of a rule are elements of three arrays: a rule may have thousands of values, and the statement stays short.
 * $1 the moment, $2 texts, $3 numbers, $4 times, $5 the half-life. The planner has their values and folds the elements into constants. */
#include "audience_sql_priv.h"

#include <math.h>

/* Days between two moments exactly as C has them: microseconds, which a double holds, by those of a day. */
#define DAYS(from, to) "(greatest(extract(epoch from " to " - " from "), 0) * 1000000)::float8 / 86400000000"
#define DAYS_SINCE(t) "case when " t " is not null then " DAYS(t, "$1") " end"
#define KNOWN_SINCE                                                                                          \
    "(case when c.created_at is null then least(s.first_any_at, e.first_at, s.first_order_at) "              \
    "else least(c.created_at, s.first_order_at) end)"

/* What must be joined for a field. */
enum { JOIN_STATS = 1, JOIN_EVENTS = 2, JOIN_CLV = 4 };
static const struct {
    const char *text;
    unsigned joins;
} fields[AUDIENCE_FIELD_COUNT] = {
    [AUDIENCE_ORDERS] = {"coalesce(s.orders, 0)::float8", JOIN_STATS},
    [AUDIENCE_RETURNS] = {"coalesce(s.returns, 0)::float8", JOIN_STATS},
    [AUDIENCE_PRODUCTS] = {"coalesce(s.products, 0)::float8", JOIN_STATS},
    [AUDIENCE_UNITS] = {"coalesce(s.units, 0)::float8", JOIN_STATS},
    [AUDIENCE_REVENUE] = {"coalesce(s.revenue, 0)::float8", JOIN_STATS},
    [AUDIENCE_GROSS_REVENUE] = {"coalesce(s.gross_revenue, 0)::float8", JOIN_STATS},
    [AUDIENCE_RETURNED_AMOUNT] = {"coalesce(s.returned_amount, 0)::float8", JOIN_STATS},
    [AUDIENCE_AVERAGE_ORDER_VALUE] = {"case when s.orders > 0 then s.revenue::float8 / s.orders end", JOIN_STATS},
    [AUDIENCE_RECENCY_DAYS] = {DAYS_SINCE("s.last_order_at"), JOIN_STATS},
    [AUDIENCE_TENURE_DAYS] = {DAYS_SINCE(KNOWN_SINCE), JOIN_STATS | JOIN_EVENTS},
    [AUDIENCE_INTERPURCHASE_DAYS] = {"case when s.orders > 1 then " DAYS("s.first_order_at", "s.last_order_at") " / (s.orders - 1) end", JOIN_STATS},
    [AUDIENCE_RETURN_RATE] = {"case when s.gross_revenue::float8 > 0 then least(1, s.returned_amount::float8 / s.gross_revenue::float8) end", JOIN_STATS},
    [AUDIENCE_ENGAGEMENT] = {"coalesce(e.engagement, 0)", JOIN_EVENTS},
    [AUDIENCE_FIRST_ORDER_AT] = {"s.first_order_at", JOIN_STATS},
    [AUDIENCE_LAST_ORDER_AT] = {"s.last_order_at", JOIN_STATS},
    [AUDIENCE_LAST_SEEN_AT] = {"greatest(s.last_any_at, e.last_at)", JOIN_STATS | JOIN_EVENTS},
    [AUDIENCE_CLV_VALUE] = {"v.worth", JOIN_CLV},
    [AUDIENCE_CLV_P_ALIVE] = {"v.p_alive", JOIN_CLV},
    [AUDIENCE_CLV_EXPECTED_ORDERS] = {"v.expected_orders", JOIN_CLV},
    [AUDIENCE_CLV_EXPECTED_ORDER_VALUE] = {"v.expected_order_value", JOIN_CLV},
    [AUDIENCE_CONSENT_PROFILING] = {"case c.consent ->> 'profiling' when 'true' then true when 'false' then false end", 0},
    [AUDIENCE_CONSENT_MARKETING] = {"case c.consent ->> 'marketing' when 'true' then true when 'false' then false end", 0},
    [AUDIENCE_CONSENT_SALE] = {"case c.consent ->> 'sale' when 'true' then true when 'false' then false end", 0},
    /* attributes and segments have a name: see below */
};
/* Kind 10, recommendation_shown, is nothing that the customer did. */
#define ACTIVITY                                                                                             \
    "max(k.decayed_at) as last_at, min(k.first_at) as first_at, "                                            \
    "sum(k.decayed * power(2::float8, -least(greatest(date_part('epoch', $1 - k.decayed_at), 0) / 86400 / $5, 1000))) " \
    "filter (where k.kind <> 10) as engagement from customer_event_stats k "
static const struct {
    unsigned join;
    const char *text, *everybody; /* everybody: where all customers are looked at, at once and not one after another; NULL: the same */
} joins[] = {
    {JOIN_STATS, " left join customer_stats s on s.customer_no = c.customer_no", NULL},
    {JOIN_CLV, " left join customer_clv v on v.customer_no = c.customer_no", NULL},
    {JOIN_EVENTS, " left join lateral (select " ACTIVITY "where k.customer_no = c.customer_no) e on true",
     " left join (select k.customer_no, " ACTIVITY "group by k.customer_no) e on e.customer_no = c.customer_no"},
};
_Static_assert(EVENT_RECOMMENDATION_SHOWN == 10, "the kind in joins");

/* --- attributes. %zu is the place of the name in $2. Guards stand in CASE, whose order of evaluation holds: nothing that a customer's
 * attributes say makes the statement fail. */
#define ATTRIBUTE "(c.attributes -> ($2::text[])[%1$zu])"
#define ATTRIBUTE_TEXT "(c.attributes ->> ($2::text[])[%1$zu])"
#define AS_TEXT "case when jsonb_typeof(" ATTRIBUTE ") = 'string' then " ATTRIBUTE_TEXT " end"
#define AS_NUMBER                                                                                            \
    "case jsonb_typeof(" ATTRIBUTE ") when 'number' then "                                                   \
    "case when " ATTRIBUTE "::numeric = 0 then 0 when abs(" ATTRIBUTE "::numeric) < 1e300 and abs(" ATTRIBUTE "::numeric) > 1e-300 " \
    "then " ATTRIBUTE "::numeric::float8 end "                                                               \
    "when 'string' then case when " ATTRIBUTE_TEXT " ~ '^-?[0-9]{1,15}([.][0-9]{1,40})?$' then " ATTRIBUTE_TEXT "::float8 end end"
#define AS_BOOL                                                                                              \
    "case when jsonb_typeof(" ATTRIBUTE ") in ('boolean', 'string') "                                        \
    "then case " ATTRIBUTE_TEXT " when 'true' then true when 'false' then false end end"
/* West of Greenwich the last year ends in the year 10000. */
#define TIME_SHAPE                                                                                           \
    "'^(?!9999.{15}.*-)[1-9][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"                                               \
    "([ T]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,6})?(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])?)?)?$'"
#define AS_TIME                                                                                              \
    "case when jsonb_typeof(" ATTRIBUTE ") = 'string' and " ATTRIBUTE_TEXT " ~ " TIME_SHAPE " then "          \
    "case when substr(" ATTRIBUTE_TEXT ", 9, 2)::int <= date_part('day', make_date(substr(" ATTRIBUTE_TEXT ", 1, 4)::int, " \
    "substr(" ATTRIBUTE_TEXT ", 6, 2)::int, 1) + interval '1 month - 1 day') then "                          \
    "(" ATTRIBUTE_TEXT " || case when length(" ATTRIBUTE_TEXT ") = 10 then ' 00:00Z' "                       \
    "when " ATTRIBUTE_TEXT " ~ '(Z|[+-][0-9]{2}:[0-9]{2})$' then '' else 'Z' end)::timestamptz end end"
#define ATTRIBUTE_EXISTS "coalesce(jsonb_typeof(" ATTRIBUTE "), 'null') <> 'null'"
#define ATTRIBUTE_CONTAINS                                                                                   \
    "case jsonb_typeof(" ATTRIBUTE ") when 'string' then strpos(" ATTRIBUTE_TEXT ", ($2::text[])[%2$zu]) > 0 " \
    "when 'array' then " ATTRIBUTE " ? ($2::text[])[%2$zu] end"
#define SEGMENTATION "(select g.segmentation_no from segmentations g where g.name = ($2::text[])[%1$zu])"
/* What is pending (pending.c), none included, holds in place of the membership. */
#define SEGMENT                                                                                              \
    "(select s.segment_id from ("                                                                            \
    "select p.segment_id, 1 as place from pending_moves p where p.customer_no = c.customer_no and p.segmentation_no = " SEGMENTATION \
    " union all select m.segment_id, 2 from memberships m where m.customer_no = c.customer_no and m.segmentation_no = " SEGMENTATION \
    ") s order by s.place limit 1)"

static size_t put_text(struct audience_sql *x, struct str s)
{
    x->texts[x->n_texts++] = s;
    return x->n_texts;
}

/* --- a leaf about a field */

static void put_expression(struct audience_sql *x, const struct audience_leaf *l, size_t key)
{
    if (l->field == AUDIENCE_SEGMENT) buf_printf(&x->where, SEGMENT, key);
    else if (l->field != AUDIENCE_ATTRIBUTE) buf_str(&x->where, fields[l->field].text);
    else if (l->type == AUDIENCE_NUMBER) buf_printf(&x->where, AS_NUMBER, key);
    else if (l->type == AUDIENCE_BOOL) buf_printf(&x->where, AS_BOOL, key);
    else if (l->type == AUDIENCE_TIME) buf_printf(&x->where, AS_TIME, key);
    else buf_printf(&x->where, AS_TEXT, key);
}

/* The leaf's values go into their array; the place of the first. */
static size_t put_values(struct audience_sql *x, const struct audience_leaf *l)
{
    for (size_t i = 0; i < l->n; i++) {
        if (l->nums != NULL) x->nums[x->n_nums++] = l->nums[i];
        else if (l->texts != NULL) x->texts[x->n_texts++] = l->texts[i];
        else x->times[x->n_times++] = l->times[i];
    }
    return (l->nums != NULL ? x->n_nums : l->texts != NULL ? x->n_texts : x->n_times) - l->n + 1;
}

static size_t put_window(struct audience_sql *x, const struct audience_leaf *l, int64_t now)
{
    audience_window(l, now, &x->times[x->n_times], &x->times[x->n_times + 1]);
    x->n_times += 2;
    return x->n_times - 1;
}

static const char *array_of(const struct audience_leaf *l)
{
    return l->type == AUDIENCE_NUMBER ? "$3::float8[]" : l->type == AUDIENCE_TEXT ? "$2::text[]" : "$4::timestamptz[]";
}

static const char *comparison(enum audience_op op)
{
    switch (op) {
    case AUDIENCE_NE: return "=";
    case AUDIENCE_BEFORE: return "<";
    case AUDIENCE_AFTER: return ">";
    default: return audience_op_words[op];
    }
}

static void put_comparison(struct audience_sql *x, const struct audience_leaf *l, size_t key, int64_t now)
{
    if (l->op == AUDIENCE_CONTAINS && l->field == AUDIENCE_ATTRIBUTE) {
        buf_printf(&x->where, ATTRIBUTE_CONTAINS, key, put_values(x, l));
        return;
    }
    if (l->op == AUDIENCE_CONTAINS) buf_str(&x->where, "strpos(");
    if (l->op == AUDIENCE_STARTS_WITH) buf_str(&x->where, "starts_with(");
    buf_char(&x->where, '(');
    put_expression(x, l, key);
    buf_char(&x->where, ')');
    if (l->type == AUDIENCE_BOOL) {
        buf_str(&x->where, l->truth ? " = true" : " = false");
        return;
    }
    const size_t at = l->op == AUDIENCE_WITHIN_DAYS ? put_window(x, l, now) : put_values(x, l);
    const char *array = array_of(l);
    switch (l->op) {
    case AUDIENCE_IN:
    case AUDIENCE_NOT_IN: buf_printf(&x->where, " = any((%s)[%zu:%zu])", array, at, at + l->n - 1); return;
    case AUDIENCE_BETWEEN:
    case AUDIENCE_WITHIN_DAYS: buf_printf(&x->where, " between (%s)[%zu] and (%s)[%zu]", array, at, array, at + 1); return;
    case AUDIENCE_CONTAINS: buf_printf(&x->where, ", (%s)[%zu]) > 0", array, at); return;
    case AUDIENCE_STARTS_WITH: buf_printf(&x->where, ", (%s)[%zu])", array, at); return;
    default: buf_printf(&x->where, " %s (%s)[%zu]", comparison(l->op), array, at);
    }
}

static void put_field(struct audience_sql *x, const struct audience_leaf *l, int64_t now)
{
    const size_t key = str_present(l->key) ? put_text(x, l->key) : 0;
    if (l->op == AUDIENCE_EXISTS) {
        if (!l->truth) buf_str(&x->where, "not ");
        buf_char(&x->where, '(');
        if (l->field == AUDIENCE_ATTRIBUTE) buf_printf(&x->where, ATTRIBUTE_EXISTS, key);
        else put_expression(x, l, key), buf_str(&x->where, " is not null");
        buf_char(&x->where, ')');
        return;
    }
    if (l->op == AUDIENCE_NE || l->op == AUDIENCE_NOT_IN) buf_str(&x->where, "not ");
    buf_str(&x->where, "coalesce(");
    put_comparison(x, l, key, now);
    buf_str(&x->where, ", false)");
}

/* --- a leaf about events */

static void put_counts(struct audience_sql *x, const struct audience_leaf *l, const char *count)
{
    for (size_t i = 0; i < l->n_counts; i++) {
        x->nums[x->n_nums++] = l->counts[i].n;
        buf_printf(&x->where, "%s%s %s ($3::float8[])[%zu]", i == 0 ? "" : " and ", count, audience_op_words[l->counts[i].op], x->n_nums);
    }
}

static void put_events(struct audience_sql *x, const struct audience_leaf *l, int64_t now)
{
    const int kind = event_kind_of(l->key);
    buf_str(&x->where, "(select ");
    if (audience_counted_in_stats(l)) {
        put_counts(x, l, "coalesce(max(k.count), 0)");
        buf_printf(&x->where, " from customer_event_stats k where k.customer_no = c.customer_no and k.kind = %d)", kind);
        return;
    }
    put_counts(x, l, "count(*)");
    buf_printf(&x->where, " from events k where k.customer_no = c.customer_no and k.kind = %d and k.type = ($2::text[])[%zu]", kind, put_text(x, l->key));
    if (!isnan(l->days)) {
        const size_t at = put_window(x, l, now);
        buf_printf(&x->where, " and k.occurred_at between ($4::timestamptz[])[%zu] and ($4::timestamptz[])[%zu]", at, at + 1);
    }
    if (str_present(l->product_id))
        buf_printf(&x->where, " and k.product_no = (select p.product_no from products p where p.product_id = ($2::text[])[%zu])", put_text(x, l->product_id));
    if (str_present(l->category)) {
        const size_t at = put_text(x, l->category);
        buf_printf(&x->where, " and k.product_no in (select p.product_no from products p where p.category = ($2::text[])[%zu] "
                              "or starts_with(p.category, ($2::text[])[%zu] || '/'))", at, at);
    }
    buf_char(&x->where, ')');
}

/* --- the whole */

static void put_node(struct audience_sql *x, const struct audience_question *q, size_t at)
{
    const struct audience_rule *r = q->rule;
    const struct audience_node *n = &r->nodes[at];
    if (n->kind == AUDIENCE_LEAF) {
        const struct audience_leaf *l = &r->leaves[n->leaf];
        if (l->field == AUDIENCE_EVENT) put_events(x, l, q->now);
        else put_field(x, l, q->now);
        return;
    }
    if (n->kind == AUDIENCE_ALL && n->size == 1) {
        buf_str(&x->where, "true");
        return;
    }
    buf_str(&x->where, n->kind == AUDIENCE_NOT ? "(not " : "(");
    for (size_t i = at + 1; i < at + n->size; i += r->nodes[i].size) {
        if (i > at + 1) buf_str(&x->where, n->kind == AUDIENCE_ALL ? " and " : " or ");
        put_node(x, q, i);
    }
    buf_char(&x->where, ')');
}

enum meros_code audience_sql_make(struct audience_sql *x, const struct audience_question *q, bool everybody, struct meros_err *err)
{
    size_t values = 0;
    unsigned needed = 0;
    *x = (struct audience_sql){0};
    buf_init(&x->from, 4 << 10);
    buf_init(&x->where, 1 << 20); /* a hundred leaves of at most some 3 KB */
    arena_init(&x->arena, 64 << 20);
    for (size_t i = 0; i < q->rule->n_leaves; i++) {
        const struct audience_leaf *l = &q->rule->leaves[i];
        values += l->n + AUDIENCE_COUNTS_MAX + 3; /* of each array: values, or counts, a window, and three names */
        if (l->field < AUDIENCE_FIELD_COUNT) needed |= fields[l->field].joins;
    }
    x->texts = arena_array(&x->arena, values + 1, sizeof *x->texts);
    x->nums = arena_array(&x->arena, values + 1, sizeof *x->nums);
    x->times = arena_array(&x->arena, values + 1, sizeof *x->times);
    if (x->texts == NULL || x->nums == NULL || x->times == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for the rule.");
    buf_str(&x->from, " from customers c");
    for (size_t i = 0; i < sizeof joins / sizeof joins[0]; i++)
        if (needed & joins[i].join) buf_str(&x->from, everybody && joins[i].everybody != NULL ? joins[i].everybody : joins[i].text);
    put_node(x, q, 0);
    return x->from.failed || x->where.failed ? err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for the rule.") : MEROS_OK;
}

void audience_sql_params(const struct audience_sql *x, const struct audience_question *q, struct sql_param out[AUDIENCE_PARAMS])
{
    const struct sql_param params[AUDIENCE_PARAMS] = {P_TIME(q->now), P_TEXTS(x->texts, x->n_texts), P_NUMS(x->nums, x->n_nums),
                                                      P_TIMES(x->times, x->n_times), P_NUM(q->half_life_days)};
    memcpy(out, params, sizeof params);
}

void audience_sql_done(struct audience_sql *x)
{
    buf_done(&x->from);
    buf_done(&x->where);
    arena_done(&x->arena);
}
