/* GET /v1/stream/segments: changes of segments as server-sent events, for as long as the client stays. No thread of its own:
 * that of service/segment_stream.h calls back. The id of an event is the number of the change, so that a client that was
 * cut off sends it as Last-Event-ID and goes on where it was: nothing is left out and nothing comes twice. */
#include "api_segments.h"

#include <stdlib.h>
#include "meros/base/clock.h"
#include "meros/service/segment_changes.h"
#include "meros/service/segment_stream.h"

static const int64_t SILENCE_NS = 15000000000;
/* So much waits for a client at most, beside what its connection holds; the rest waits in the database. */
enum { WAITING_MAX = 32 << 10 };

struct listening {
    struct http_stream *stream;
    int64_t sent_ns;
};

static bool send(struct listening *l, const struct buf *b)
{
    l->sent_ns = clock_mono_ns();
    return !b->failed && http_stream_send(l->stream, b->data, b->len, false);
}

static bool send_change(struct listening *l, const struct segment_change *x)
{
    struct buf b;
    struct jsonw w;
    buf_init(&b, 64 << 10);
    buf_printf(&b, "id: %lld\nevent: %s\ndata: ", (long long)x->change_no, segment_change_type(x));
    jsonw_init(&w, &b);
    segment_change_write(&w, x); /* on one line: texts in JSON hold no line breaks */
    buf_str(&b, "\n\n");
    const bool ok = send(l, &b);
    buf_done(&b);
    return ok;
}

static bool send_comment(struct listening *l)
{
    struct buf b;
    buf_init(&b, 64);
    buf_str(&b, ": still here\n\n");
    const bool ok = send(l, &b);
    buf_done(&b);
    return ok;
}

static enum segment_heard hear(void *arg, const struct segment_change *x, bool ended)
{
    struct listening *l = arg;
    bool go_on = true;
    if (ended) {
        http_stream_end(l->stream);
        free(l);
        return HEARD_ENOUGH;
    }
    if (!http_stream_alive(l->stream)) return HEARD_ENOUGH;
    if (http_stream_waiting(l->stream) > WAITING_MAX) return HEARD_LATER;
    if (x != NULL) go_on = send_change(l, x);
    else if (clock_mono_ns() - l->sent_ns >= SILENCE_NS) go_on = send_comment(l);
    return go_on ? HEARD : HEARD_ENOUGH;
}

/* < 0: from now on. */
static enum meros_code begin_after(struct http_request *req, int64_t *out, struct meros_err *err)
{
    const struct str last = http_header(req, "Last-Event-ID");
    *out = -1;
    if (!str_present(last) || last.n == 0) return MEROS_OK;
    int64_t no = 0;
    for (size_t i = 0; i < last.n; i++) {
        if (last.p[i] < '0' || last.p[i] > '9' || i == 18)
            return err_set(err, MEROS_INVALID, "Last-Event-ID must be the id of an event of this stream, which is a number.");
        no = no * 10 + (last.p[i] - '0');
    }
    *out = no;
    return MEROS_OK;
}

enum meros_code api_segment_stream(struct http_request *req, struct meros_err *err)
{
    const struct str segmentation = http_query_str(req, "segmentation"), segment = http_query_str(req, "segment");
    int64_t after;
    if (str_present(segment) && !str_present(segmentation))
        return err_field(err, "?segment", "says nothing without its segmentation: ids of segments are those of one");
    enum meros_code rc = begin_after(req, &after, err);
    if (rc != MEROS_OK) return rc;
    struct listening *l = calloc(1, sizeof *l);
    if (l == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "No memory to follow changes.");
    l->sent_ns = clock_mono_ns();
    struct follower *s = NULL;
    rc = segment_stream_prepare(api_service(req), segmentation, segment, after, hear, l, &s, err);
    if (rc != MEROS_OK) {
        free(l);
        return rc;
    }
    http_reply_header(req, "Cache-Control", "no-cache");
    http_reply_header(req, "X-Accel-Buffering", "no"); /* nginx would hold events back */
    l->stream = http_reply_stream(req, "text/event-stream");
    if (l->stream == NULL) {
        segment_stream_abandon(api_service(req), s);
        free(l);
        return err_set(err, MEROS_OUT_OF_MEMORY, "No memory to follow changes.");
    }
    http_stream_send(l->stream, "retry: 2000\n\n", 13, false);
    segment_stream_begin(api_service(req), s);
    return MEROS_OK;
}
