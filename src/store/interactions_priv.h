/* SQL of interactions (domain/interaction.h) that training and live answers share: what happened, one row a thing, and what it adds
 * up to for a pair of customer and product. Here and nowhere else is it said what an event or a line of an order weighs.
 *
 *   select x.customer_no, x.product_no, PAIR_COLUMNS(half_life, at) from (
 *       select EVENT_THING(other) from events e left join <weights> w on w.type = e.type where EVENT_COUNTS and …
 *       union all
 *       select LINE_THING(purchase, returned) from order_lines l where LINE_COUNTS and …) x group by 1, 2
 *
 * <weights> is a relation (type text, weight float8), each type once; the arguments of macros are SQL expressions: float8, `at`
 * timestamptz. */
#ifndef MEROS_STORE_INTERACTIONS_PRIV_H
#define MEROS_STORE_INTERACTIONS_PRIV_H

/* A customer c who refused profiling has `false` there; all others may be profiled. */
#define PROFILING_ALLOWED "(c.consent -> 'profiling') is distinct from 'false'::jsonb"

/* What we showed is nothing that the customer did. */
#define EVENT_COUNTS "e.product_no is not null and e.type <> 'recommendation_shown'"
#define LINE_COUNTS "l.product_no is not null"

/* Stars: 5 is the whole weight, 3 none of it, 1 the whole against. */
#define EVENT_WEIGHT(other)                                                                                  \
    "coalesce(w.weight, " other ") * case when e.type <> 'review_submitted' then 1 when e.value is null then 0 " \
    "  else (least(greatest(e.value, 1), 5)::float8 - 3) / 2 end"

/* A line whose quantity nobody told is one thing bought, or where money went back one returned (as IS_PURCHASE of order_changes_priv.h). */
#define LINE_UNITS "coalesce(l.quantity, case when l.amount < 0 then -1 else 1 end)"
#define LINE_WEIGHT(purchase, returned)                                                                      \
    "case when " LINE_UNITS " > 0 then " purchase " when " LINE_UNITS " < 0 then " returned " else 0 end"

/* Rows (customer_no, product_no, at, weight, units, order_no). */
#define EVENT_THING(other)                                                                                   \
    "e.customer_no, e.product_no, e.occurred_at as at, " EVENT_WEIGHT(other) " as weight, null::numeric as units, null::bigint as order_no"
#define LINE_THING(purchase, returned)                                                                       \
    "l.customer_no, l.product_no, l.ordered_at as at, " LINE_WEIGHT(purchase, returned) " as weight, " LINE_UNITS " as units, l.order_no"

/* What is left of a weight; a thing of the future counts whole, and no exponent leaves float8's range. */
#define DECAY(half_life, at)                                                                                 \
    "case when " half_life " > 0 then power(2::float8, -least(greatest(date_part('epoch', " at " - x.at) / 86400 / " half_life ", 0), 1000)) " \
    "  else 1 end"

/* Of the things x of a pair: weight float8, last_at, bought_at (null: never, or all of it came back), purchases bigint. */
#define PAIR_COLUMNS(half_life, at)                                                                          \
    "sum(x.weight * " DECAY(half_life, at) ") as weight, max(x.at) as last_at, "                             \
    "case when sum(x.units) > 0 then max(x.at) filter (where x.units > 0) end as bought_at, "                \
    "count(distinct x.order_no) filter (where x.units > 0) as purchases"

#endif
