#include "meros/store/kafka.h"

#include <stdlib.h>
#include "store_priv.h"

/* In the order of their keys, as everything that is written by batches: replicas then wait for one another instead of
 * deadlocking. */
#define UPSERT(set)                                                                                          \
    "insert into kafka_offsets (consumer_group, topic, partition, next_offset) "                             \
    "select $1, t, p::integer, o from unnest($2::text[], $3::bigint[], $4::bigint[]) as x (t, p, o) "        \
    "order by t collate \"C\", p "                                                                           \
    "on conflict (consumer_group, topic, partition) do update set next_offset = " set
static const struct sql FORWARD = {
    "kafka_offsets_forward", UPSERT("greatest(kafka_offsets.next_offset, excluded.next_offset)"), SQL_NOTHING};
static const struct sql RESET = {"kafka_offsets_reset", UPSERT("excluded.next_offset"), SQL_NOTHING};
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
    int64_t *partitions, *next;
};

static enum meros_code columns_of(struct columns *k, const struct ingest_offset *offsets, size_t n, struct meros_err *err)
{
    char *block = calloc(n == 0 ? 1 : n, sizeof(struct str) + 2 * sizeof(int64_t));
    if (block == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for the offsets of Kafka.");
    k->topics = (struct str *)(void *)block;
    k->partitions = (int64_t *)(void *)(k->topics + n);
    k->next = k->partitions + n;
    for (size_t i = 0; i < n; i++) {
        k->topics[i] = offsets[i].topic;
        k->partitions[i] = offsets[i].partition;
        k->next[i] = offsets[i].next;
    }
    return MEROS_OK;
}

static enum meros_code upsert(struct store_conn *c, const struct sql *s, const char *group, const struct ingest_offset *offsets,
                              size_t n, struct meros_err *err)
{
    struct columns k;
    if (n == 0) return MEROS_OK;
    enum meros_code rc = columns_of(&k, offsets, n, err);
    if (rc != MEROS_OK) return rc;
    rc = sql_exec(c, s, NULL, err, P_CSTR(group), P_TEXTS(k.topics, n), P_INTS(k.partitions, n), P_INTS(k.next, n));
    free(k.topics);
    return rc;
}

enum meros_code store_kafka_offsets_write(struct store_conn *c, const char *group, const struct ingest_offset *offsets, size_t n,
                                          struct meros_err *err)
{
    return upsert(c, &FORWARD, group, offsets, n, err);
}

enum meros_code store_kafka_offsets_reset(struct store_conn *c, const char *group, const struct ingest_offset *offsets, size_t n,
                                          struct meros_err *err)
{
    return upsert(c, &RESET, group, offsets, n, err);
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
