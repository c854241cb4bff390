#include "meros/service/dialect_posthog.h"

#include <stdio.h>
#include <string.h>
#include "meros/codec/json_cut.h"
#include "meros/service/dialect_ecommerce.h"

enum meros_code posthog_open(struct str body, struct posthog_body *out, struct meros_err *err)
{
    struct json_cut c;
    struct str name, value;
    enum meros_code rc = json_check(body.p, body.n, err);
    if (rc != MEROS_OK) return rc;
    if (!json_cut_is(body, '{')) return err_field(err, "", "must be an object");
    *out = (struct posthog_body){.whole = body};
    json_cut_begin(&c, body);
    while (json_cut_next(&c, &name, &value)) {
        if (str_is(name, "api_key")) out->api_key = json_cut_plain(value);
        else if (str_is(name, "token") && !str_present(out->api_key)) out->api_key = json_cut_plain(value);
        else if (str_is(name, "batch")) out->batch = value;
        else if (str_is(name, "sent_at")) out->sent_at = json_cut_plain(value);
    }
    return MEROS_OK;
}

struct reading {
    struct message m;
    const struct json *v, *properties;
    struct str bytes, name, known, anonymous;
    int64_t sent;
};

/* What is about the library, or has a place of its own, or is nobody's business. */
static bool left_out(struct str name)
{
    static const char *const names[] = {"$set", "$set_once", "$unset", "$lib", "$lib_version", "$is_server", "$geoip_disable", "$ip",
                                        "$raw_user_agent", "$device_id", "$anon_distinct_id", "$process_person_profile", "$session_id",
                                        "$window_id", "$insert_id", "$sent_at", "$time", "distinct_id", "token", NULL};
    for (const char *const *p = names; *p != NULL; p++)
        if (str_is(name, *p)) return true;
    return false;
}

static void traits(struct reading *r)
{
    const struct json *const of[] = {json_get(r->properties, "$set_once"), json_get(r->properties, "$set")};
    struct ingest_item *item = message_item(&r->m, INGEST_TRAITS);
    if (item == NULL) return;
    message_who(item, r->known, r->anonymous);
    (void)message_traits(&r->m, of, 2, &item->traits, "/properties/$set");
}

static void alias(struct reading *r)
{
    struct str id = message_id(&r->m, json_get(r->properties, "distinct_id"), "/properties/distinct_id");
    struct str previous = message_id(&r->m, json_get(r->properties, "alias"), "/properties/alias");
    if (!str_present(id)) id = r->known;
    if (!str_present(id) || !str_present(previous))
        message_reject(&r->m, "missing_alias", "/properties/alias", "An alias needs distinct_id and alias.");
    struct ingest_item *item = message_item(&r->m, str_eq(id, previous) ? INGEST_TRAITS : INGEST_ALIAS);
    if (item == NULL) return;
    message_who(item, id, STR_NONE);
    if (item->kind == INGEST_ALIAS) item->previous_id = previous;
}

static int64_t moment(struct reading *r)
{
    int64_t said = message_time(&r->m, json_get(r->v, "timestamp"), "/timestamp");
    return r->m.failed ? TIME_NONE : message_moment(&r->m, said, r->sent, "/timestamp");
}

static void event(struct reading *r, struct str name)
{
    struct ingest_item *item = message_item(&r->m, INGEST_EVENT);
    struct message_text text;
    if (item == NULL) return;
    message_who(item, r->known, r->anonymous);
    struct event_row *e = &item->event;
    e->occurred_at = moment(r);
    bool timed = json_kind(json_get(r->v, "timestamp")) != JSON_KIND_NULL;
    e->event_id = str_present(r->m.id) ? r->m.id : timed ? message_fingerprint(&r->m, r->bytes) : STR_NONE;
    shop_event(&r->m, name, r->properties, e, "/properties");
    e->type = message_keep(&r->m, e->type);
    struct jsonw *w = message_text_begin(&text);
    jsonw_begin_object(w);
    shop_properties(w, e, r->properties, left_out);
    jsonw_end_object(w);
    e->properties = message_text_end(&r->m, &text, "/properties");
    if (str_is(e->properties, "{}")) e->properties = STR_NONE;
    shop_order(&r->m, e, "/properties");
}

/* Of a person nobody has identified, the id is the device's. */
static void who(struct reading *r)
{
    const struct json *id = json_get(r->v, "distinct_id"), *profile = json_get(r->properties, "$process_person_profile");
    if (json_kind(id) == JSON_KIND_NULL) id = json_get(r->properties, "distinct_id");
    r->known = message_id(&r->m, id, "/distinct_id");
    r->anonymous = message_id(&r->m, json_get(r->properties, "$anon_distinct_id"), "/properties/$anon_distinct_id");
    bool nobody = (json_kind(profile) == JSON_KIND_BOOL && !json_bool(profile)) ||
                  (str_present(r->known) && str_eq(r->known, json_str(json_get(r->properties, "$device_id"))));
    if (!nobody || str_is(r->name, "$identify")) return;
    r->anonymous = r->known;
    r->known = STR_NONE;
}

static void message(struct reading *r)
{
    struct message *m = &r->m;
    if (json_kind(r->v) != JSON_KIND_OBJECT) {
        message_reject(m, "invalid_message", "", "An event must be an object.");
        return;
    }
    r->name = json_str(json_get(r->v, "event"));
    r->properties = json_get(r->v, "properties");
    if (r->name.n == 0) message_reject(m, "missing_event", "/event", "An event has a name.");
    else if (!id_valid(r->name)) message_reject(m, "invalid_event", "/event", "The name of an event has at most %d bytes, without control characters.", ID_MAX);
    else m->type = message_keep(m, r->name);
    m->id = message_id(m, json_get(r->v, "uuid"), "/uuid");
    if (json_kind(r->properties) != JSON_KIND_NULL && json_kind(r->properties) != JSON_KIND_OBJECT)
        message_reject(m, "invalid_properties", "/properties", "Properties must be an object.");
    if (str_is(r->name, "$groupidentify")) message_reject(m, "unsupported", "/event", "Groups are not kept; customers are.");
    if (m->failed) return;
    who(r);
    if (!str_present(r->known) && !str_present(r->anonymous)) message_reject(m, "missing_distinct_id", "/distinct_id", "The event has no distinct_id.");
    if (m->failed) return;
    bool sets = json_get(r->properties, "$set") != NULL || json_get(r->properties, "$set_once") != NULL;
    if (str_is(r->name, "$create_alias")) {
        alias(r);
    } else if (str_is(r->name, "$identify") || str_is(r->name, "$set")) {
        traits(r);
    } else {
        if (sets) traits(r);
        event(r, str_is(r->name, "$pageview") ? STR("page_viewed") : str_is(r->name, "$screen") ? STR("screen_viewed") : r->name);
    }
}

static void decode_one(struct dialect *d, int64_t sent, struct str bytes, size_t index, const char *pointer)
{
    struct reading r = {.bytes = bytes, .sent = sent};
    struct meros_err err = MEROS_ERR_INIT;
    struct json *tree = NULL;
    message_begin(&r.m, d, index, pointer);
    if (d->messages >= DIALECT_ITEMS_MAX) {
        message_reject(&r.m, "too_many", "", "A batch holds at most %d events.", DIALECT_ITEMS_MAX);
    } else if (bytes.n > DIALECT_MESSAGE_MAX) {
        message_reject(&r.m, "too_large", "", "An event has at most %d bytes.", DIALECT_MESSAGE_MAX);
    } else if (json_parse(bytes.p, bytes.n, &tree, &err) != MEROS_OK) {
        message_reject(&r.m, "invalid_json", "", "%.150s", err.detail);
    } else {
        r.v = tree;
        message(&r);
    }
    json_free(tree);
    d->messages++;
}

enum meros_code posthog_decode(struct dialect *d, const struct posthog_body *body, struct meros_err *err)
{
    struct json_cut c;
    struct str name, bytes;
    char pointer[40];
    int64_t sent = TIME_NONE;
    if (!time_parse(body->sent_at, &sent)) sent = TIME_NONE;
    if (!str_present(body->batch)) {
        decode_one(d, sent, body->whole, 0, "");
        return dialect_end(d, err);
    }
    if (!json_cut_is(body->batch, '[')) return err_field(err, "/batch", "must be an array of events");
    json_cut_begin(&c, body->batch);
    while (json_cut_next(&c, &name, &bytes)) {
        snprintf(pointer, sizeof pointer, "/batch/%zu", d->messages);
        decode_one(d, sent, bytes, d->messages, pointer);
    }
    return dialect_end(d, err);
}
