/* How activity is kept: SQL that imports and the ingest path share. */
#ifndef MEROS_STORE_EVENT_SQL_PRIV_H
#define MEROS_STORE_EVENT_SQL_PRIV_H

/* What is added to a row that is there: two sums of decayed activity add up at the later of their moments. */
#define JOIN_ACTIVITY(days)                                                                                  \
    "on conflict (customer_no, kind) do update set count = s.count + excluded.count, "                       \
    "  decayed = s.decayed * power(2::float8, -least(greatest(date_part('epoch', excluded.decayed_at - s.decayed_at), 0) / 86400 / " days "::float8, 1000)) " \
    "    + excluded.decayed * power(2::float8, -least(greatest(date_part('epoch', s.decayed_at - excluded.decayed_at), 0) / 86400 / " days "::float8, 1000)), " \
    "  decayed_at = greatest(s.decayed_at, excluded.decayed_at), first_at = least(s.first_at, excluded.first_at)"

/* Adds what new events bring to customer_event_stats. source: what stands behind FROM, rows with customer_no, kind and
 * occurred_at; days: the parameter that holds the half-life. Rows are taken in the order of their keys, so that two writers never wait for each other in a circle. */
#define ADD_ACTIVITY(source, days)                                                                           \
    "insert into customer_event_stats as s (customer_no, kind, count, decayed, decayed_at, first_at) "       \
    "select customer_no, kind, count(*), "                                                                   \
    "  sum(power(2::float8, -least(date_part('epoch', newest - occurred_at) / 86400 / " days "::float8, 1000))), " \
    "  newest, min(occurred_at) "                                                                            \
    "from (select customer_no, kind, occurred_at, max(occurred_at) over (partition by customer_no, kind) as newest " \
    "      from " source ") m "                                                                              \
    "group by customer_no, kind, newest order by customer_no, kind " JOIN_ACTIVITY(days)

#endif
