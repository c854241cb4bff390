#include "meros/service/dialect_segment.h"

#include <stdio.h>
#include <string.h>
#include "meros/codec/json_cut.h"
#include "meros/service/dialect_ecommerce.h"

static const char *const call_words[] = {"identify", "track", "page", "screen", "group", "alias", NULL};

/* What all messages of a body share. */
struct shared {
    const struct json *context;
    int64_t sent;
    bool history; /* was not sent by a clock: times are as they are */
};

/* One message and what was read of it. */
struct reading {
    struct message m;
    const struct json *v;
    const struct shared *shared;
    struct str bytes; /* as it was written */
    struct str user, anonymous;
};

enum meros_code segment_open(struct str body, struct segment_body *out, struct meros_err *err)
{
    struct json_cut c;
    struct str name, value;
    enum meros_code rc = json_check(body.p, body.n, err);
    if (rc != MEROS_OK) return rc;
    if (!json_cut_is(body, '{')) return err_field(err, "", "must be an object");
    *out = (struct segment_body){.whole = body};
    json_cut_begin(&c, body);
    while (json_cut_next(&c, &name, &value)) {
        if (str_is(name, "writeKey")) out->write_key = json_cut_plain(value);
        else if (str_is(name, "batch")) out->batch = value;
        else if (str_is(name, "context")) out->context = value;
        else if (str_is(name, "sentAt")) out->sent_at = json_cut_plain(value);
    }
    return MEROS_OK;
}

/* Of the message's own context, else of the batch's. */
static const struct json *context_of(const struct reading *r, const char *name)
{
    const struct json *v = json_get(json_get(r->v, "context"), name);
    return v != NULL ? v : json_get(r->shared->context, name);
}

/* --- consent */

static bool word_in(struct str s, const char *const *words)
{
    for (; *words != NULL; words++)
        if (str_ieq(s, str_of(*words))) return true;
    return false;
}

static void consent(struct reading *r, struct customer_change *out)
{
    static const char *const purposes[] = {"marketing", "profiling", "sale"};
    static const char *const words[3][7] = {
        {"advertising", "marketing", "targeting", NULL},
        {"analytics", "performance", "personalization", "personalisation", "profiling", NULL},
        {"sale", "data sharing", "dataSharing", "data_sharing", "saleOfData", NULL}};
    const struct json *preferences = json_get(context_of(r, "consent"), "categoryPreferences"), *v;
    int given[3] = {-1, -1, -1};
    const void *at = NULL;
    struct str name;
    struct message_text text;
    while (json_next(preferences, &at, &name, &v))
        for (int k = 0; k < 3; k++)
            if (json_kind(v) == JSON_KIND_BOOL && word_in(name, words[k])) /* of several that mean it, a refusal counts */
                given[k] = given[k] == 0 ? 0 : json_bool(v);
    if (given[0] < 0 && given[1] < 0 && given[2] < 0) return;
    struct jsonw *w = message_text_begin(&text);
    jsonw_begin_object(w);
    for (int k = 0; k < 3; k++)
        if (given[k] >= 0) jsonw_kbool(w, purposes[k], given[k] == 1);
    jsonw_end_object(w);
    out->consent = message_text_end(&r->m, &text, "/context/consent");
    out->given |= CHANGE_CONSENT;
}

/* --- each kind of message */

static int64_t moment(struct reading *r)
{
    const struct json *said = json_get(r->v, "timestamp"), *sent = json_get(r->v, "sentAt");
    if (json_kind(said) == JSON_KIND_NULL) said = json_get(r->v, "originalTimestamp");
    int64_t t = message_time(&r->m, said, "/timestamp"), s = TIME_NONE;
    if (r->m.failed) return TIME_NONE;
    if (!r->shared->history && !time_parse(json_str(sent), &s)) s = r->shared->sent; /* a time of sending that is none corrects nothing */
    return message_moment(&r->m, t, s, "/timestamp");
}

/* A message without an id that was sent again is the same one, if it says when; one without either is a new one. */
static void identity(struct reading *r, struct event_row *e)
{
    bool timed = json_kind(json_get(r->v, "timestamp")) != JSON_KIND_NULL || json_kind(json_get(r->v, "originalTimestamp")) != JSON_KIND_NULL;
    e->event_id = str_present(r->m.id) ? r->m.id : timed ? message_fingerprint(&r->m, r->bytes) : STR_NONE;
}

static void write_context(struct reading *r, struct jsonw *w)
{
    static const char *const kept[] = {"app", "campaign", "groupId", "locale", "os", "page", "referrer", "timezone"};
    bool any = false;
    for (size_t k = 0; k < sizeof kept / sizeof kept[0]; k++) {
        const struct json *v = context_of(r, kept[k]);
        if (json_kind(v) == JSON_KIND_NULL || (json_kind(v) == JSON_KIND_OBJECT && json_count(v) == 0)) continue;
        if (!any) {
            jsonw_key(w, "context");
            jsonw_begin_object(w);
        }
        any = true;
        jsonw_key(w, kept[k]);
        jsonw_value(w, v);
    }
    if (any) jsonw_end_object(w);
}

/* page and screen say beside their properties what the page is called */
static void write_title(struct reading *r, struct jsonw *w, const struct json *properties)
{
    static const char *const titles[] = {"name", "category"};
    for (size_t k = 0; k < 2; k++) {
        const struct json *v = json_get(r->v, titles[k]);
        if (json_str(v).n > 0 && json_get(properties, titles[k]) == NULL) jsonw_kstr(w, titles[k], json_str(v));
    }
}

static void event(struct reading *r, struct str name, bool titled)
{
    const struct json *properties = json_get(r->v, "properties");
    struct ingest_item *item = message_item(&r->m, INGEST_EVENT);
    struct message_text text;
    if (item == NULL) return;
    if (json_kind(properties) != JSON_KIND_NULL && json_kind(properties) != JSON_KIND_OBJECT) {
        message_reject(&r->m, "invalid_properties", "/properties", "Properties must be an object.");
        return;
    }
    message_who(item, r->user, r->anonymous);
    struct event_row *e = &item->event;
    e->occurred_at = moment(r);
    identity(r, e);
    shop_event(&r->m, name, properties, e, "/properties");
    e->type = message_keep(&r->m, e->type);
    struct jsonw *w = message_text_begin(&text);
    jsonw_begin_object(w);
    shop_properties(w, e, properties, NULL);
    if (titled) write_title(r, w, properties);
    if (json_get(properties, "context") == NULL) write_context(r, w);
    jsonw_end_object(w);
    e->properties = message_text_end(&r->m, &text, "/properties");
    if (str_is(e->properties, "{}")) e->properties = STR_NONE;
    shop_order(&r->m, e, "/properties");
}

static void identify(struct reading *r)
{
    struct ingest_item *item = message_item(&r->m, INGEST_TRAITS);
    /* RudderStack's put them into the context too, and some there alone */
    const struct json *const traits[] = {json_get(json_get(r->v, "context"), "traits"), json_get(r->v, "traits")};
    if (item == NULL) return;
    message_who(item, r->user, r->anonymous);
    if (message_traits(&r->m, traits, 2, &item->traits, "/traits")) consent(r, &item->traits);
}

static void track(struct reading *r)
{
    struct str name = json_str(json_get(r->v, "event"));
    if (name.n == 0) {
        message_reject(&r->m, "missing_event", "/event", "A track call names its event.");
    } else if (!id_valid(name)) {
        message_reject(&r->m, "invalid_event", "/event", "The name of an event has at most %d bytes, without control characters.", ID_MAX);
    } else {
        r->m.type = message_keep(&r->m, name);
        event(r, name, false);
    }
    if (r->m.failed || !str_ieq(name, STR("Segment Consent Preference Updated"))) return;
    struct ingest_item *item = message_item(&r->m, INGEST_TRAITS);
    if (item == NULL) return;
    message_who(item, r->user, r->anonymous);
    consent(r, &item->traits);
}

static void group(struct reading *r)
{
    const struct json *traits = json_get(r->v, "traits"), *v;
    struct str id = message_id(&r->m, json_get(r->v, "groupId"), "/groupId"), name;
    struct message_text text;
    const void *at = NULL;
    if (!str_present(id)) message_reject(&r->m, "missing_group_id", "/groupId", "A group call names its group.");
    if (json_kind(traits) != JSON_KIND_NULL && json_kind(traits) != JSON_KIND_OBJECT)
        message_reject(&r->m, "invalid_traits", "/traits", "Traits must be an object.");
    struct ingest_item *item = message_item(&r->m, INGEST_TRAITS);
    if (item == NULL) return;
    message_who(item, r->user, r->anonymous);
    struct jsonw *w = message_text_begin(&text);
    jsonw_begin_object(w);
    jsonw_key(w, "group");
    jsonw_begin_object(w);
    jsonw_kstr(w, "id", id);
    while (json_next(traits, &at, &name, &v)) {
        if (str_is(name, "id")) continue;
        jsonw_key_str(w, name);
        jsonw_value(w, v);
    }
    jsonw_end_object(w);
    jsonw_end_object(w);
    item->traits.attributes = message_text_end(&r->m, &text, "/traits");
    item->traits.given = CHANGE_ATTRIBUTES;
}

static void alias(struct reading *r)
{
    struct str previous = message_id(&r->m, json_get(r->v, "previousId"), "/previousId");
    if (!str_present(previous)) previous = r->anonymous;
    if (!str_present(r->user)) message_reject(&r->m, "missing_user_id", "/userId", "An alias names the userId that is meant from now on.");
    else if (!str_present(previous)) message_reject(&r->m, "missing_previous_id", "/previousId", "An alias names the id that was used before.");
    /* Of the same name there is nothing to join, but somebody to know. */
    struct ingest_item *item = message_item(&r->m, str_eq(previous, r->user) ? INGEST_TRAITS : INGEST_ALIAS);
    if (item == NULL) return;
    message_who(item, r->user, STR_NONE);
    if (item->kind == INGEST_ALIAS) item->previous_id = previous;
}

static int call_of(struct reading *r)
{
    struct str type = json_str(json_get(r->v, "type"));
    for (int k = 0; call_words[k] != NULL; k++)
        if (str_is(type, call_words[k])) return k;
    if (type.n == 0) message_reject(&r->m, "missing_type", "/type", "A message of a batch says its type.");
    else message_reject(&r->m, "unknown_type", "/type", "The type must be identify, track, page, screen, group or alias.");
    return -1;
}

static void message(struct reading *r, int call)
{
    struct message *m = &r->m;
    if (json_kind(r->v) != JSON_KIND_OBJECT) {
        message_reject(m, "invalid_message", "", "A message must be an object.");
        return;
    }
    if (call < 0) call = call_of(r);
    if (call >= 0) m->type = str_of(call_words[call]);
    m->id = message_id(m, json_get(r->v, "messageId"), "/messageId");
    r->user = message_id(m, json_get(r->v, "userId"), "/userId");
    r->anonymous = message_id(m, json_get(r->v, "anonymousId"), "/anonymousId");
    if (!str_present(r->user) && !str_present(r->anonymous))
        message_reject(m, "no_user_anon_id", "", "The message has neither userId nor anonymousId.");
    if (m->failed) return;
    switch (call) {
    case SEGMENT_IDENTIFY: identify(r); break;
    case SEGMENT_TRACK: track(r); break;
    case SEGMENT_PAGE: event(r, STR("page_viewed"), true); break;
    case SEGMENT_SCREEN: event(r, STR("screen_viewed"), true); break;
    case SEGMENT_GROUP: group(r); break;
    case SEGMENT_ALIAS: alias(r); break;
    default: break;
    }
}

/* bytes: one message, of checked text. */
static void decode_one(struct dialect *d, const struct shared *shared, struct str bytes, int call, size_t index, const char *pointer)
{
    struct reading r = {.shared = shared, .bytes = bytes};
    struct meros_err err = MEROS_ERR_INIT;
    struct json *tree = NULL;
    message_begin(&r.m, d, index, pointer);
    if (bytes.n > DIALECT_MESSAGE_MAX) {
        message_reject(&r.m, "too_large", "", "A message has at most %d bytes.", DIALECT_MESSAGE_MAX);
    } else if (json_parse(bytes.p, bytes.n, &tree, &err) != MEROS_OK) {
        message_reject(&r.m, "invalid_json", "", "%.150s", err.detail);
    } else {
        r.v = tree;
        message(&r, call);
    }
    json_free(tree);
}

static void decode_batch(struct dialect *d, const struct shared *shared, struct str batch)
{
    struct json_cut c;
    struct str name, bytes;
    char pointer[40];
    json_cut_begin(&c, batch);
    for (; json_cut_next(&c, &name, &bytes); d->messages++) {
        snprintf(pointer, sizeof pointer, "/batch/%zu", d->messages);
        if (d->messages >= DIALECT_ITEMS_MAX) {
            struct message m;
            message_begin(&m, d, d->messages, pointer);
            message_reject(&m, "too_many", "", "A batch holds at most %d messages.", DIALECT_ITEMS_MAX);
            continue;
        }
        decode_one(d, shared, bytes, -1, d->messages, pointer);
    }
}

enum meros_code segment_decode(struct dialect *d, enum segment_call call, const struct segment_body *body, struct meros_err *err)
{
    struct shared shared = {.sent = TIME_NONE, .history = call == SEGMENT_IMPORT};
    struct meros_err ignored = MEROS_ERR_INIT;
    struct json *context = NULL;
    if (call != SEGMENT_BATCH && call != SEGMENT_IMPORT) {
        d->messages = 1;
        decode_one(d, &shared, body->whole, (int)call, 0, "");
        return dialect_end(d, err);
    }
    if (!str_present(body->batch) || !json_cut_is(body->batch, '['))
        return err_field(err, "/batch", "must be an array of messages");
    /* What cannot be read of the common context is left out, as a message's own is not: it is nobody's message. */
    if (str_present(body->context) && json_parse(body->context.p, body->context.n, &context, &ignored) != MEROS_OK) context = NULL;
    shared.context = context;
    if (!time_parse(body->sent_at, &shared.sent)) shared.sent = TIME_NONE;
    decode_batch(d, &shared, body->batch);
    json_free(context);
    return dialect_end(d, err);
}

void segment_decode_message(struct dialect *d, size_t index, struct str message)
{
    const struct shared shared = {.sent = TIME_NONE};
    d->messages++;
    decode_one(d, &shared, message, -1, index, "");
}
