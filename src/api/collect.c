/* POST /v1/collect: events in and recommendations out in one round trip. The events go the way of POST /v1/events; when they are on
 * disk the customer's shelf is asked for, which has them, and whoever has it makes the answer. Nothing waits on the way, but where an Idempotency-Key wants the answer on return.
 *
 * A storefront always gets a shelf: events that are wrong are named beside it, and where events cannot be kept right now the
 * problem that says so (503 or 429, with Retry-After) holds recommendations as well. A page waits for it, so all of it together has the
 * patience of recommendations alone (SHELF_PATIENCE_MS), and a database that did not take the events is not asked for a shelf besides. */
#include <pthread.h>
#include <stdio.h>
#include "meros/base/clock.h"
#include "meros/codec/json_cut.h"
#include "meros/codec/problem.h"
#include "meros/service/shelf.h"
#include "posting_priv.h"
#include "recommend_priv.h"

enum { ANSWER_MAX = 4 << 20 };
_Static_assert((int)SHELF_PATIENCE_MS >= (int)INGEST_PATIENCE_LEAST_MS, "the ingest path is as patient as a shelf");

struct collecting {
    struct posting posting;
    struct shelf_ask ask;
    struct recommend_query q;
    struct str customer_id; /* in the arena; STR_NONE: nobody's name */
    struct recommend_recent *recent;
    size_t n_recent;
    int64_t since_ns;       /* when it came, by clock_mono_ns */
    struct json *wanted;    /* holds texts of the query */
    enum meros_code rc;     /* of the events */
    struct meros_err err;
};

/* --- answering */

static void write_shelf(struct collecting *x, const struct shelf *s, struct buf *out)
{
    struct posting *p = &x->posting;
    struct meros_err err = MEROS_ERR_INIT;
    struct buf shelf;
    buf_init(&shelf, ANSWER_MAX);
    if (recommend_json(api_service(p->req), &x->q, x->customer_id, s, x->recent, x->n_recent, http_arena(p->req), &shelf, &err) == MEROS_OK &&
        !shelf.failed)
        buf_append(out, shelf.data, shelf.len);
    else buf_str(out, "null"); /* no memory for it; the events are kept all the same */
    buf_done(&shelf);
}

static void write_landed(struct collecting *x, struct jsonw *w, struct meros_err *err)
{
    size_t n[3] = {0};
    if (x->posting.n > 0) x->rc = posting_settle(&x->posting, n, err);
    posting_note_faults(&x->posting);
    jsonw_begin_object(w);
    posting_write(&x->posting, n, w);
}

/* A problem as any other, but with one more member. */
static void write_problem(const struct collecting *x, struct jsonw *w)
{
    problem_write(w, &x->err, http_request_id(x->posting.req));
    w->out->len--; /* its closing brace; one follows */
    w->comma = true;
}

static void reply_problem(struct collecting *x, const struct buf *json)
{
    char seconds[16];
    snprintf(seconds, sizeof seconds, "%d", x->err.retry_after > 0 ? x->err.retry_after : 1);
    if (x->rc == MEROS_UNAVAILABLE || x->rc == MEROS_RATE_LIMITED) http_reply_header(x->posting.req, "Retry-After", seconds);
    http_reply_bytes(x->posting.req, meros_code_status(x->rc), "application/problem+json", (struct str){json->data, json->len});
}

static enum meros_code reply(struct collecting *x, const struct shelf *s, struct meros_err *err)
{
    struct buf out;
    struct jsonw w;
    enum meros_code rc = MEROS_OK;
    const bool kept = x->rc == MEROS_OK;
    buf_init(&out, 2 * ANSWER_MAX);
    jsonw_init(&w, &out);
    if (kept) write_landed(x, &w, err);
    else write_problem(x, &w);
    jsonw_key(&w, "recommendations");
    write_shelf(x, s, &out);
    buf_char(&out, '}');
    json_free(x->wanted);
    if (kept && x->rc != MEROS_OK) rc = x->rc; /* no memory to say which were rejected */
    else if (out.failed) rc = err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for the answer.");
    if (rc == MEROS_OK && kept) {
        http_reply_json(x->posting.req, 200, &out);
        return MEROS_OK;
    }
    if (rc == MEROS_OK) reply_problem(x, &out);
    buf_done(&out);
    return rc;
}

/* --- the shelf, after the events */

static void read_shelf(struct shelf_ask *ask, enum meros_code rc, const struct shelf *s, bool stale, const struct meros_err *why)
{
    struct collecting *x = ask->arg;
    struct meros_err err = MEROS_ERR_INIT;
    (void)why;
    if (rc != MEROS_OK) x->q.why_not = "database_away";
    x->q.stale = stale;
    rc = reply(x, rc == MEROS_OK ? s : NULL, &err);
    shelf_release(s);
    http_complete(x->posting.req, rc, &err); /* x lives in the request's arena: it is gone after this */
}

static void ask_for_shelf(struct collecting *x)
{
    struct meros_err refused = MEROS_ERR_INIT;
    const struct shelf *s = NULL;
    bool stale = false;
    enum meros_code rc = MEROS_OK;
    x->ask = (struct shelf_ask){.link.since_ns = x->since_ns, .customer_id = x->customer_id, .done = read_shelf, .arg = x};
    if (str_present(x->customer_id) && x->rc != MEROS_UNAVAILABLE) {
        rc = shelf_ask(api_service(x->posting.req), &x->ask, &refused);
        if (rc == MEROS_OK) return;
    } else if (str_present(x->customer_id)) {
        s = shelf_at_hand(api_service(x->posting.req), x->customer_id, &stale);
        rc = s != NULL ? MEROS_OK : MEROS_UNAVAILABLE;
    }
    read_shelf(&x->ask, rc, s, stale, &refused);
}

static void landed(struct ingest_request *r, enum meros_code rc, const struct meros_err *err)
{
    struct collecting *x = r->arg;
    x->rc = rc;
    if (rc != MEROS_OK && err != NULL) x->err = *err;
    ask_for_shelf(x);
}

static enum meros_code go(struct collecting *x)
{
    struct ingest_request *r = &x->posting.in.request;
    http_defer(x->posting.req);
    if (x->posting.n == 0) {
        ask_for_shelf(x);
        return MEROS_OK;
    }
    r->done = landed;
    r->arg = x;
    enum meros_code rc = ingest_submit(api_service(x->posting.req), r, &x->err);
    if (rc != MEROS_OK) landed(r, rc, NULL); /* x->err has it */
    return MEROS_OK;
}

/* --- the same for who has to have the answer on return (src/api/idempotency.c keeps it) */

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t answered;
    bool done, stale;
    const struct shelf *shelf; /* NULL: it could not be had */
};

static void wake(struct shelf_ask *ask, enum meros_code rc, const struct shelf *s, bool stale, const struct meros_err *why)
{
    struct waiter *w = ask->arg;
    (void)why;
    pthread_mutex_lock(&w->lock);
    w->shelf = rc == MEROS_OK ? s : NULL;
    w->stale = stale;
    w->done = true;
    pthread_cond_signal(&w->answered);
    pthread_mutex_unlock(&w->lock);
}

static const struct shelf *wait_for_shelf(struct collecting *x)
{
    struct waiter w = {.lock = PTHREAD_MUTEX_INITIALIZER, .answered = PTHREAD_COND_INITIALIZER};
    struct meros_err refused = MEROS_ERR_INIT;
    if (!str_present(x->customer_id)) return NULL;
    if (x->rc == MEROS_UNAVAILABLE) w.shelf = shelf_at_hand(api_service(x->posting.req), x->customer_id, &w.stale);
    x->ask = (struct shelf_ask){.link.since_ns = x->since_ns, .customer_id = x->customer_id, .done = wake, .arg = &w};
    if (x->rc != MEROS_UNAVAILABLE && shelf_ask(api_service(x->posting.req), &x->ask, &refused) == MEROS_OK) {
        pthread_mutex_lock(&w.lock);
        while (!w.done) pthread_cond_wait(&w.answered, &w.lock);
        pthread_mutex_unlock(&w.lock);
    }
    pthread_mutex_destroy(&w.lock);
    pthread_cond_destroy(&w.answered);
    if (w.shelf == NULL) x->q.why_not = "database_away";
    x->q.stale = w.stale;
    return w.shelf;
}

static enum meros_code go_and_wait(struct collecting *x, struct meros_err *err)
{
    if (x->posting.n > 0) x->rc = ingest_land(api_service(x->posting.req), &x->posting.in.request, &x->err);
    const struct shelf *s = wait_for_shelf(x);
    enum meros_code rc = reply(x, s, err);
    shelf_release(s);
    return rc;
}

/* --- decoding */

static enum meros_code decode_wanted(struct collecting *x, struct str text, struct meros_err *err)
{
    struct json_obj o;
    enum meros_code rc = json_parse(text.p, text.n, &x->wanted, err);
    if (rc != MEROS_OK) {
        err_prefix(err, "recommend: ");
        return rc;
    }
    json_obj_begin(&o, x->wanted, "/recommend", err);
    const struct str named = json_obj_id(&o, "customer_id", JSON_NULLABLE);
    rc = api_recommend_recent(x->posting.req, &o, &x->recent, &x->n_recent, err);
    if (rc == MEROS_OK) rc = api_recommend_members(x->posting.req, &o, &x->q, err);
    if (rc == MEROS_OK) rc = json_obj_end(&o);
    if (str_present(named)) x->customer_id = named;
    return rc;
}

static enum meros_code cut(struct str body, struct str *events, struct str *wanted, struct meros_err *err)
{
    struct json_cut c;
    struct str name, value;
    enum meros_code rc = json_check(body.p, body.n, err);
    if (rc != MEROS_OK) return rc;
    json_cut_begin(&c, body);
    if (!c.object) return err_field(err, "", "must be an object with events and recommend");
    *events = *wanted = STR_NONE;
    while (json_cut_next(&c, &name, &value)) {
        struct str *to = str_is(name, "events") ? events : str_is(name, "recommend") ? wanted : NULL;
        if (to == NULL) return err_field(err, "", "has a member that is not known here; there are events and recommend");
        if (str_present(*to)) return err_field(err, to == events ? "/events" : "/recommend", "stands twice");
        *to = value;
    }
    if (!str_present(*events)) return err_field(err, "/events", "is required");
    return str_present(*wanted) ? MEROS_OK : err_field(err, "/recommend", "is required");
}

/* Whose shelf, where nobody is named: theirs whom the last event is about, recent products or not, so that who refused profiling is asked
 * of in every case. */
static enum meros_code whose(struct collecting *x, struct meros_err *err)
{
    struct str id = x->customer_id;
    if (!str_present(id) && x->posting.n > 0) id = x->posting.items[x->posting.n - 1].customer_id;
    if (!str_present(id)) return MEROS_OK;
    const char *copy = arena_strndup(http_arena(x->posting.req), id.p, id.n);
    if (copy == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for the request.");
    x->customer_id = (struct str){copy, id.n};
    return MEROS_OK;
}

static enum meros_code collect(struct http_request *req, struct meros_err *err)
{
    struct json_records records;
    struct str events, wanted;
    struct collecting *x = arena_zalloc(http_arena(req), sizeof *x);
    if (x == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for the request.");
    x->customer_id = STR_NONE;
    x->posting.req = req;
    x->posting.dataset = DATASET_EVENTS;
    x->posting.campaign = STR_NONE;
    x->posting.prefix = "/events";
    x->since_ns = clock_mono_ns();
    enum meros_code rc = cut(http_body(req), &events, &wanted, err);
    if (rc != MEROS_OK) return rc;
    if ((rc = decode_wanted(x, wanted, err)) == MEROS_OK) {
        rc = posting_read(&x->posting, events, &records, err);
        if (rc == MEROS_OK) rc = whose(x, err);
        if (rc == MEROS_OK && x->posting.n > 0) rc = posting_prepare(&x->posting, INGEST_FROM_EVENTS, err);
        const bool once = http_may_block(req) && str_present(http_header(req, "Idempotency-Key"));
        x->posting.in.request.patience_ms = SHELF_PATIENCE_MS;
        /* x is the answer's from here on: it may be gone when go() returns. */
        if (rc == MEROS_OK) {
            rc = once ? go_and_wait(x, err) : go(x);
            json_records_done(&records);
            return rc;
        }
        json_records_done(&records);
    }
    json_free(x->wanted);
    return rc;
}

const struct http_route api_collect_routes[] = {
    {.method = HTTP_POST, .pattern = "/v1/collect", .name = "collect", .scopes = SCOPE_INGEST | SCOPE_RECOMMEND, .body = HTTP_BODY_BUFFERED,
     .media = API_JSON, .body_max = POSTING_BODY_MAX, .flags = HTTP_INLINE_LIGHT, .fn = collect},
    {0},
};
