/* The yardstick of the ingest benchmark: the same HTTP server library with the flags that the service uses, and behind it
 * a pool of 16 database connections; each request is one INSERT that commits before the answer.
 *     build/events_peer PORT DATABASE_URL waiting|suspended      (runs until its standard input ends)
 * waiting: 16 threads of the server, each with a connection to the database, on which it waits: how a pool is mostly used.
 * suspended: 4 threads of the server hand each request to 16 others and go on: the best that a pool can do. */
#include <jansson.h>
#include <libpq-fe.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONNECTIONS = 16 };

struct request {
    struct MHD_Connection *connection;
    struct request *next;
    char *body;
    size_t n;
    int done, status;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t filled = PTHREAD_COND_INITIALIZER;
static struct request *head, **tail = &head;
static const char *url;
static int waiting;

static const char insert[] =
    "insert into events (customer_no, event_key, kind, type, occurred_at, product_no, value, properties, event_id) "
    "values ($1, md5($2)::uuid, 0, $3, $4, $5, $6, $7, $2) on conflict do nothing";

static int land(PGconn *db, const char *body, size_t n)
{
    char value[32];
    json_error_t error;
    json_t *event = json_loadb(body, n, 0, &error);
    if (event == NULL) return 400;
    char *properties = json_dumps(json_object_get(event, "properties"), JSON_COMPACT);
    const char *customer = json_string_value(json_object_get(event, "customer_id")), *product = json_string_value(json_object_get(event, "product_id"));
    snprintf(value, sizeof value, "%.2f", json_number_value(json_object_get(event, "value")));
    const char *values[] = {customer + 1, json_string_value(json_object_get(event, "event_id")), json_string_value(json_object_get(event, "type")),
                            json_string_value(json_object_get(event, "occurred_at")), product + 1, value, properties};
    PGresult *r = PQexecPrepared(db, "land", 7, values, NULL, NULL, 0);
    const int status = PQresultStatus(r) == PGRES_COMMAND_OK ? 200 : 503;
    if (status != 200) fputs(PQerrorMessage(db), stderr);
    PQclear(r);
    free(properties);
    json_decref(event);
    return status;
}

static PGconn *connect_database(void)
{
    PGconn *db = PQconnectdb(url);
    PGresult *r = PQprepare(db, "land", insert, 7, NULL);
    if (PQresultStatus(r) != PGRES_COMMAND_OK) {
        fputs(PQerrorMessage(db), stderr);
        exit(1);
    }
    PQclear(r);
    return db;
}

static void *work(void *arg)
{
    PGconn *db = connect_database();
    (void)arg;
    for (;;) {
        pthread_mutex_lock(&lock);
        while (head == NULL) pthread_cond_wait(&filled, &lock);
        struct request *q = head;
        head = q->next;
        if (head == NULL) tail = &head;
        pthread_mutex_unlock(&lock);
        q->status = land(db, q->body, q->n);
        q->done = 1;
        MHD_resume_connection(q->connection);
    }
    return NULL;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *path, const char *method, const char *version,
                                  const char *data, size_t *data_n, void **state)
{
    static const char answer[] = "{\"accepted\":1}";
    struct request *q = *state;
    (void)cls, (void)path, (void)method, (void)version;
    if (q == NULL) {
        *state = calloc(1, sizeof *q);
        return *state != NULL ? MHD_YES : MHD_NO;
    }
    if (*data_n > 0) {
        q->body = realloc(q->body, q->n + *data_n);
        if (q->body == NULL) return MHD_NO;
        memcpy(q->body + q->n, data, *data_n);
        q->n += *data_n;
        *data_n = 0;
        return MHD_YES;
    }
    if (waiting) {
        static _Thread_local PGconn *db; /* of this thread of the server */
        if (db == NULL) db = connect_database();
        q->status = land(db, q->body, q->n);
    } else if (!q->done) {
        q->connection = c;
        MHD_suspend_connection(c);
        pthread_mutex_lock(&lock);
        q->next = NULL;
        *tail = q;
        tail = &q->next;
        pthread_cond_signal(&filled);
        pthread_mutex_unlock(&lock);
        return MHD_YES;
    }
    struct MHD_Response *r = MHD_create_response_from_buffer(sizeof answer - 1, (void *)(size_t)answer, MHD_RESPMEM_PERSISTENT);
    enum MHD_Result rc = MHD_queue_response(c, (unsigned)q->status, r);
    MHD_destroy_response(r);
    return rc;
}

static void on_end(void *cls, struct MHD_Connection *c, void **state, enum MHD_RequestTerminationCode why)
{
    struct request *q = *state;
    (void)cls, (void)c, (void)why;
    if (q != NULL) free(q->body);
    free(q);
    *state = NULL;
}

int main(int argc, char **argv)
{
    if (argc != 4) return 2;
    url = argv[2];
    waiting = strcmp(argv[3], "waiting") == 0;
    pthread_t threads[CONNECTIONS];
    for (int i = 0; i < CONNECTIONS && !waiting; i++) pthread_create(&threads[i], NULL, work, NULL);
    struct MHD_Daemon *d = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC, (uint16_t)atoi(argv[1]),
                                            NULL, NULL, on_request, NULL, MHD_OPTION_THREAD_POOL_SIZE, waiting ? (unsigned)CONNECTIONS : 4u, MHD_OPTION_NOTIFY_COMPLETED,
                                            on_end, NULL, MHD_OPTION_END);
    if (d == NULL) return 1;
    puts("ready");
    fflush(stdout);
    char byte;
    while (read(0, &byte, 1) > 0) {}
    _exit(0);
}
