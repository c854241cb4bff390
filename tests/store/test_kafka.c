#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include "meros/store/kafka.h"
#include "pg.h"

#define at(topic_, partition_, from_, next_) {.topic = STR(topic_), .partition = (partition_), .from = (from_), .next = (next_)}

static struct meros_err err;

static bool moves(struct store_conn *c, const char *group, const struct ingest_offset *o, size_t n)
{
    bool moved = false;
    cr_assert_eq(store_kafka_offsets_move(c, group, o, n, &moved, &err), MEROS_OK, "%s", err.detail);
    return moved;
}

static void is_stored(struct pg *db, const char *want)
{
    char *got = pg_table(db, "select consumer_group, topic, partition, next_offset from kafka_offsets order by 1, 2, 3");
    cr_assert_str_eq(got, want);
    free(got);
}

Test(kafka, offsets_move_from_where_they_are_expected_and_from_nowhere_else)
{
    struct pg *db = pg_fresh();
    struct store_conn *c = pg_conn(db);
    cr_assert(moves(c, "g", (const struct ingest_offset[]){at("b", 1, -1, 7), at("a", 0, -2, 5)}, 2));
    cr_assert(moves(c, "g", (const struct ingest_offset[]){at("a", 0, 5, 6), at("b", 1, 7, 9), at("b", 0, -1, 1)}, 3));
    cr_assert(moves(c, "h", (const struct ingest_offset[]){at("a", 0, -1, 1)}, 1));
    cr_assert(moves(c, "g", NULL, 0));
    is_stored(db, "g|a|0|6\ng|b|0|1\ng|b|1|9\nh|a|0|1\n");
    cr_assert_not(moves(c, "h", (const struct ingest_offset[]){at("a", 0, -1, 4)}, 1), "it has begun");
    cr_assert_not(moves(c, "h", (const struct ingest_offset[]){at("a", 0, 0, 4)}, 1), "it has read on");
    cr_assert_not(moves(c, "h", (const struct ingest_offset[]){at("a", 1, 3, 4)}, 1), "it has not begun");
    is_stored(db, "g|a|0|6\ng|b|0|1\ng|b|1|9\nh|a|0|1\n");
    cr_assert_not(moves(c, "g", (const struct ingest_offset[]){at("a", 0, 6, 8), at("b", 0, 0, 2)}, 2), "one of them has");
    pg_done(db);
}

Test(kafka, offsets_go_backwards_where_the_topic_was_made_anew)
{
    struct pg *db = pg_fresh();
    struct store_conn *c = pg_conn(db);
    cr_assert(moves(c, "g", (const struct ingest_offset[]){at("a", 0, -1, 50), at("a", 1, -1, 60)}, 2));
    cr_assert(moves(c, "g", (const struct ingest_offset[]){at("a", 0, 50, 0)}, 1));
    is_stored(db, "g|a|0|0\ng|a|1|60\n");
    pg_done(db);
}

Test(kafka, offsets_are_read_in_the_order_asked_for_and_minus_one_says_none)
{
    struct pg *db = pg_fresh();
    struct store_conn *c = pg_conn(db);
    cr_assert(moves(c, "g", (const struct ingest_offset[]){at("a", 0, -1, 5), at("b", 1, -1, INT64_MAX)}, 2));
    struct ingest_offset o[] = {at("b", 1, 0, 0), at("a", 1, 0, 0), at("a", 0, 0, 0), at("it's", 2, 0, 0)};
    cr_assert_eq(store_kafka_offsets_read(c, "g", o, 4, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(o[0].next, INT64_MAX);
    cr_assert_eq(o[1].next, -1);
    cr_assert_eq(o[2].next, 5);
    cr_assert_eq(o[3].next, -1);
    cr_assert_eq(store_kafka_offsets_read(c, "other", o, 4, &err), MEROS_OK);
    cr_assert_eq(o[0].next, -1);
    pg_done(db);
}

Test(kafka, offsets_vanish_with_the_transaction_they_were_written_in)
{
    struct pg *db = pg_fresh();
    struct store_conn *c = pg_conn(db);
    cr_assert_eq(store_begin(c, &err), MEROS_OK);
    cr_assert(moves(c, "g", (const struct ingest_offset[]){at("a", 0, -1, 5)}, 1));
    store_rollback(c);
    is_stored(db, "");
    pg_done(db);
}

struct racing {
    struct pg *db;
    int moved;
};

/* Moves one place on again and again, wherever it is. */
static void *race(void *arg)
{
    struct racing *r = arg;
    struct meros_err failed = MEROS_ERR_INIT;
    struct store_conn *c;
    cr_assert_eq(store_connect(r->db->pool, &c, &failed), MEROS_OK, "%s", failed.detail);
    for (int i = 0; i < 200; i++) {
        struct ingest_offset o = at("a", 0, 0, 0);
        bool moved = false;
        cr_assert_eq(store_kafka_offsets_read(c, "g", &o, 1, &failed), MEROS_OK, "%s", failed.detail);
        o.from = o.next++;
        if (o.from < 0) o.next = 1;
        cr_assert_eq(store_kafka_offsets_move(c, "g", &o, 1, &moved, &failed), MEROS_OK, "%s", failed.detail);
        r->moved += moved;
    }
    store_disconnect(c);
    return NULL;
}

Test(kafka, of_two_readers_who_expect_the_same_place_one_moves_it)
{
    struct pg *db = pg_fresh();
    struct racing r[2] = {{db, 0}, {db, 0}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) cr_assert_eq(pthread_create(&threads[i], NULL, race, &r[i]), 0);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    cr_assert_eq(pg_int(db, "select next_offset from kafka_offsets"), r[0].moved + r[1].moved, "each place was moved to once");
    pg_done(db);
}

Test(kafka, one_connection_at_a_time_leads_a_topic)
{
    struct pg *db = pg_fresh();
    struct store_conn *a, *b;
    bool leads = false;
    cr_assert_eq(store_connect(db->pool, &a, &err), MEROS_OK);
    cr_assert_eq(store_connect(db->pool, &b, &err), MEROS_OK);
    cr_assert_eq(store_kafka_produced_lead(a, "t", &leads, &err), MEROS_OK, "%s", err.detail);
    cr_assert(leads);
    cr_assert_eq(store_kafka_produced_lead(b, "t", &leads, &err), MEROS_OK);
    cr_assert_not(leads);
    cr_assert_eq(store_kafka_produced_lead(b, "u", &leads, &err), MEROS_OK);
    cr_assert(leads);
    store_disconnect(a); /* the server notices a moment later */
    for (leads = false; !leads;) cr_assert_eq(store_kafka_produced_lead(b, "t", &leads, &err), MEROS_OK);
    store_disconnect(b);
    pg_done(db);
}

Test(kafka, the_cursor_of_what_was_produced_only_goes_forward)
{
    struct pg *db = pg_fresh();
    struct store_conn *c = pg_conn(db);
    int64_t no = -1;
    cr_assert_eq(store_kafka_produced_read(c, "t", &no, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(no, 0);
    cr_assert_eq(store_kafka_produced_write(c, "t", 12, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(store_kafka_produced_write(c, "t", 11, &err), MEROS_OK);
    cr_assert_eq(store_kafka_produced_read(c, "t", &no, &err), MEROS_OK);
    cr_assert_eq(no, 12);
    pg_done(db);
}
