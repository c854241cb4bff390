#include "meros/store/kafka.h"

#include <stdlib.h>
#include "store_priv.h"

/* An update that had to wait looks at the row again, so of two that expect the same place one finds it moved. */
static const struct sql MOVE = {
    "kafka_offsets_move",
    "with given as (select t, p::integer as p, f, o from unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[]) as x (t, p, f, o)), "
    "moved as (update kafka_offsets k set next_offset = g.o from given g "
    "  where k.consumer_group = $1 and k.topic = g.t and k.partition = g.p and k.next_offset = g.f returning 1), "
    "begun as (insert into kafka_offsets (consumer_group, topic, partition, next_offset) select $1, t, p, o from given where f < 0 "
    "  order by t collate \"C\", p on conflict do nothing returning 1) "
    "select (select count(*) from moved) + (select count(*) from begun)",
    SQL_ROW};
static const struct sql READ = {
    "kafka_offsets_read",
    "select coalesce(k.next_offset, -1) from unnest($2::text[], $3::bigint[]) with ordinality as x (t, p, i) "
    "left join kafka_offsets k on k.consumer_group = $1 and k.topic = x.t and k.partition = x.p order by x.i",
    SQL_ROWS};
/* The second key is this lock's own number, apart from the topic's. */
static const struct sql LEAD = {
    "kafka_produced_lead", "select pg_try_advisory_lock(hashtextextended($1, 4832071955))", SQL_ROW};
static const struct sql PRODUCED = {
    "kafka_produced_read", "select change_no from kafka_produced where topic = $1", SQL_ROW_OR_NONE};
static const struct sql PRODUCE = {
    "kafka_produced_write",
    "insert into kafka_produced (topic, change_no) values ($1, $2) "
    "on conflict (topic) do update set change_no = greatest(kafka_produced.change_no, excluded.change_no)",
    SQL_NOTHING};

/* The columns of offsets, in one piece of memory. */
struct columns {
    struct str *topics;
    int64_t *partitions, *from, *next;
};

static enum meros_code columns_of(struct columns *k, const struct ingest_offset *offsets, size_t n, struct meros_err *err)
{
    char *block = calloc(n == 0 ? 1 : n, sizeof(struct str) + 3 * sizeof(int64_t));
    if (block == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for the offsets of Kafka.");
    k->topics = (struct str *)(void *)block;
    k->partitions = (int64_t *)(void *)(k->topics + n);
    k->from = k->partitions + n;
    k->next = k->from + n;
    for (size_t i = 0; i < n; i++) {
        k->topics[i] = offsets[i].topic;
        k->partitions[i] = offsets[i].partition;
        k->from[i] = offsets[i].from;
        k->next[i] = offsets[i].next;
    }
    return MEROS_OK;
}

enum meros_code store_kafka_offsets_move(struct store_conn *c, const char *group, const struct ingest_offset *offsets, size_t n,
                                         bool *out_moved, struct meros_err *err)
{
    struct columns k;
    struct rows r;
    *out_moved = true;
    if (n == 0) return MEROS_OK;
    enum meros_code rc = columns_of(&k, offsets, n, err);
    if (rc != MEROS_OK) return rc;
    rc = sql_exec(c, &MOVE, &r, err, P_CSTR(group), P_TEXTS(k.topics, n), P_INTS(k.partitions, n), P_INTS(k.from, n), P_INTS(k.next, n));
    free(k.topics);
    if (rc == MEROS_OK) *out_moved = rows_int(&r, 0, 0) == (int64_t)n;
    rows_done(&r);
    return rc;
}

enum meros_code store_kafka_offsets_read(struct store_conn *c, const char *group, struct ingest_offset *offsets, size_t n,
                                         struct meros_err *err)
{
    struct columns k;
    struct rows r;
    if (n == 0) return MEROS_OK;
    enum meros_code rc = columns_of(&k, offsets, n, err);
    if (rc != MEROS_OK) return rc;
    rc = sql_exec(c, &READ, &r, err, P_CSTR(group), P_TEXTS(k.topics, n), P_INTS(k.partitions, n));
    free(k.topics);
    for (size_t i = 0; rc == MEROS_OK && i < n; i++) offsets[i].next = rows_int(&r, i, 0);
    rows_done(&r);
    return rc;
}

enum meros_code store_kafka_produced_lead(struct store_conn *c, const char *topic, bool *out_leads, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &LEAD, &r, err, P_CSTR(topic));
    if (rc == MEROS_OK) *out_leads = rows_bool(&r, 0, 0);
    rows_done(&r);
    return rc;
}

enum meros_code store_kafka_produced_read(struct store_conn *c, const char *topic, int64_t *out_change_no, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &PRODUCED, &r, err, P_CSTR(topic));
    if (rc == MEROS_OK) *out_change_no = r.n == 1 ? rows_int(&r, 0, 0) : 0;
    rows_done(&r);
    return rc;
}

enum meros_code store_kafka_produced_write(struct store_conn *c, const char *topic, int64_t change_no, struct meros_err *err)
{
    return sql_exec(c, &PRODUCE, NULL, err, P_CSTR(topic), P_INT(change_no));
}
