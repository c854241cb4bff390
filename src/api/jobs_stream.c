/* GET /v1/jobs/{id}/stream: server-sent events until the job ends. No thread of its own: the watcher of service/jobs.h
 * calls back for every change.
 *
 * A browser's EventSource connects again when a stream ends. The last event has the id "done", which it sends back as
 * Last-Event-ID; 204 then tells it to stop. */
#include "api_jobs.h"

#include <stdlib.h>
#include "meros/base/clock.h"

static const int64_t SILENCE_NS = 15000000000;

struct follower {
    struct http_stream *stream;
    int64_t sent_ns;
    int64_t n; /* of events */
};

static bool send(struct follower *f, const struct buf *b)
{
    f->sent_ns = clock_mono_ns();
    return !b->failed && http_stream_send(f->stream, b->data, b->len, false);
}

static bool send_job(struct follower *f, const struct job *job, bool ended)
{
    struct buf b;
    struct jsonw w;
    buf_init(&b, 2 << 20);
    if (ended)
        buf_str(&b, "id: done\nevent: done\ndata: ");
    else
        buf_printf(&b, "id: %lld\nevent: progress\ndata: ", (long long)++f->n);
    jsonw_init(&w, &b);
    job_write(&w, job); /* on one line: texts in JSON hold no line breaks */
    buf_str(&b, "\n\n");
    bool ok = send(f, &b);
    buf_done(&b);
    return ok;
}

static bool send_comment(struct follower *f)
{
    struct buf b;
    buf_init(&b, 64);
    buf_str(&b, ": still here\n\n");
    bool ok = send(f, &b);
    buf_done(&b);
    return ok;
}

static bool follow(void *arg, const struct job *job, bool ended)
{
    struct follower *f = arg;
    bool go_on = true;
    if (job != NULL)
        go_on = send_job(f, job, ended);
    else if (!ended && clock_mono_ns() - f->sent_ns >= SILENCE_NS)
        go_on = send_comment(f);
    if (ended) {
        http_stream_end(f->stream);
        free(f);
        return false;
    }
    return go_on && http_stream_alive(f->stream);
}

static void seen(void *arg, const struct job *job)
{
    (void)arg;
    (void)job;
}

enum meros_code api_job_stream(struct http_request *req, struct meros_err *err)
{
    struct service *svc = api_service(req);
    struct str id = http_path_param(req, "id");
    enum meros_code rc = jobs_get(svc, id, seen, NULL, err);
    if (rc != MEROS_OK)
        return rc;
    if (str_is(http_header(req, "Last-Event-ID"), "done")) {
        http_reply_empty(req, 204);
        return MEROS_OK;
    }
    struct follower *f = calloc(1, sizeof *f);
    if (f == NULL)
        return err_set(err, MEROS_OUT_OF_MEMORY, "No memory to follow a job.");
    http_reply_header(req, "Cache-Control", "no-cache");
    http_reply_header(req, "X-Accel-Buffering", "no"); /* nginx would hold events back */
    f->stream = http_reply_stream(req, "text/event-stream");
    f->sent_ns = clock_mono_ns();
    http_stream_send(f->stream, "retry: 2000\n\n", 13, false);
    rc = jobs_watch(svc, id, follow, f, err);
    if (rc != MEROS_OK) { /* stopping: the answer has begun, so it can only end */
        http_stream_end(f->stream);
        free(f);
    }
    return MEROS_OK;
}
