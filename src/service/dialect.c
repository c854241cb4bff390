#include "meros/service/dialect.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "meros/base/crypto.h"
#include "meros/domain/rows.h"

void dialect_init(struct dialect *d, struct arena *arena, int64_t now)
{
    *d = (struct dialect){.arena = arena, .now = now};
}

enum meros_code dialect_end(const struct dialect *d, struct meros_err *err)
{
    return d->no_memory ? err_set(err, MEROS_OUT_OF_MEMORY, "No memory for what the body holds.") : MEROS_OK;
}

/* Room for one more of a growing array in the arena: twice as much each time, so what is left behind is bounded. */
static void *grow(struct dialect *d, void *old, size_t n, size_t *cap, size_t size)
{
    if (n < *cap) return old;
    size_t more = *cap == 0 ? 16 : *cap * 2;
    void *p = arena_alloc(d->arena, more * size);
    if (p == NULL) {
        d->no_memory = true;
        return NULL;
    }
    if (n > 0) memcpy(p, old, n * size);
    *cap = more;
    return p;
}

void message_begin(struct message *m, struct dialect *d, size_t index, const char *pointer)
{
    *m = (struct message){.d = d, .index = index, .items_from = d->n, .pointer = pointer};
}

void message_reject(struct message *m, const char *code, const char *place, const char *format, ...)
{
    struct dialect *d = m->d;
    if (m->failed) return;
    m->failed = true;
    d->n = m->items_from;
    if (d->rejected++ >= DIALECT_REJECTS_MAX) return;
    struct dialect_reject *rejects = grow(d, d->rejects, d->n_rejects, &d->rejects_cap, sizeof *rejects);
    if (rejects == NULL) return;
    d->rejects = rejects;
    struct dialect_reject *r = &rejects[d->n_rejects++];
    *r = (struct dialect_reject){.index = m->index, .code = code, .type = m->type, .message_id = m->id};
    snprintf(r->place, sizeof r->place, "%s%s", m->pointer, place);
    va_list ap;
    va_start(ap, format);
    vsnprintf(r->message, sizeof r->message, format, ap);
    va_end(ap);
}

struct ingest_item *message_item(struct message *m, enum ingest_kind kind)
{
    struct dialect *d = m->d;
    if (m->failed) return NULL;
    if (d->n == DIALECT_ITEMS_MAX) {
        message_reject(m, "too_many", "", "A request holds at most %d messages.", DIALECT_ITEMS_MAX);
        return NULL;
    }
    size_t cap = d->cap;
    struct ingest_item *items = grow(d, d->items, d->n, &cap, sizeof *items);
    uint32_t *message = items == NULL ? NULL : grow(d, d->message, d->n, &d->cap, sizeof *message);
    if (message == NULL) {
        message_reject(m, "no_memory", "", "There was no memory for it.");
        return NULL;
    }
    d->items = items;
    d->message = message;
    struct ingest_item *item = &items[d->n];
    memset(item, 0, sizeof *item);
    message[d->n++] = (uint32_t)m->index;
    item->kind = kind;
    if (kind == INGEST_EVENT) item->event.occurred_at = TIME_NONE;
    if (kind == INGEST_TRAITS) item->traits.created_at = TIME_NONE;
    return item;
}

struct str message_keep(struct message *m, struct str s)
{
    if (!str_present(s)) return STR_NONE;
    char *p = arena_strndup(m->d->arena, s.p, s.n);
    if (p == NULL) {
        m->d->no_memory = true;
        message_reject(m, "no_memory", "", "There was no memory for it.");
        return STR_NONE;
    }
    return (struct str){p, s.n};
}

struct str message_id(struct message *m, const struct json *v, const char *place)
{
    char digits[24];
    struct str s = json_str(v);
    if (json_is_int(v)) s = (struct str){digits, (size_t)snprintf(digits, sizeof digits, "%lld", (long long)json_int(v))};
    if (json_kind(v) == JSON_KIND_NULL || (str_present(s) && s.n == 0)) return STR_NONE;
    if (!str_present(s)) message_reject(m, "invalid_id", place, "An id must be a string.");
    else if (!id_valid(s)) message_reject(m, "invalid_id", place, "An id has 1 to %d bytes of UTF-8 without control characters.", ID_MAX);
    return m->failed ? STR_NONE : message_keep(m, s);
}

int64_t message_time(struct message *m, const struct json *v, const char *place)
{
    int64_t t = TIME_NONE;
    if (json_kind(v) == JSON_KIND_NULL || (json_kind(v) == JSON_KIND_STRING && json_str(v).n == 0)) return TIME_NONE;
    if (!time_parse(json_str(v), &t))
        message_reject(m, "invalid_timestamp", place, "A time is written as 2011-12-09T12:50:00.000Z.");
    return t;
}

int64_t message_moment(struct message *m, int64_t said, int64_t sent, const char *place)
{
    int64_t now = m->d->now;
    if (said == TIME_NONE) return now;
    /* Times are of years 1 to 9999, so no difference of two can overflow. */
    int64_t ours = sent == TIME_NONE ? said : now - (sent - said);
    if (moment_plausible(ours, now)) return ours;
    if (moment_plausible(said, now)) return said;
    message_reject(m, "invalid_timestamp", place, "It lies before 1900 or more than a day in the future.");
    return TIME_NONE;
}

struct jsonw *message_text_begin(struct message_text *t)
{
    buf_init(&t->buf, EXTRAS_MAX);
    jsonw_init(&t->w, &t->buf);
    return &t->w;
}

struct str message_text_end(struct message *m, struct message_text *t, const char *place)
{
    struct str s = STR_NONE;
    if (t->buf.failed) message_reject(m, "too_large", place, "It is longer than %d bytes.", EXTRAS_MAX);
    else s = message_keep(m, (struct str){t->buf.data, t->buf.len});
    buf_done(&t->buf);
    return s;
}

void message_who(struct ingest_item *item, struct str known, struct str anonymous)
{
    item->anonymous = !str_present(known);
    item->customer_id = item->anonymous ? anonymous : known;
    item->anonymous_id = item->anonymous || str_eq(known, anonymous) ? STR_NONE : anonymous;
}

struct decimal dialect_number(const struct json *v, int64_t limit)
{
    char digits[32];
    struct decimal n = {0};
    struct str s = json_str(v);
    if (json_kind(v) == JSON_KIND_NUMBER)
        s = (struct str){digits, json_is_int(v) ? (size_t)snprintf(digits, sizeof digits, "%lld", (long long)json_int(v))
                                                : json_number_text(json_num(v), digits)};
    return str_present(s) && decimal_parse(str_trim(s), limit, &n) ? n : (struct decimal){0};
}

struct str message_fingerprint(struct message *m, struct str bytes)
{
    char text[48] = "content-";
    struct crypto_hash128 h = crypto_hash128(bytes.p, bytes.n);
    hex_encode(h.bytes, sizeof h.bytes, text + 8);
    return message_keep(m, str_of(text));
}

/* --- traits */

struct traits {
    struct message *m;
    const struct json *const *of;
    size_t n;
    const char *place;
};

/* The latest that names it under either name; NULL: none does. */
static const struct json *trait(const struct traits *t, const char *name, const char *other)
{
    for (size_t k = t->n; k-- > 0;) {
        const struct json *v = json_get(t->of[k], name);
        if (v == NULL && other != NULL) v = json_get(t->of[k], other);
        if (v != NULL) return v;
    }
    return NULL;
}

static void bad_trait(const struct traits *t, const char *name, const char *what)
{
    char place[80];
    snprintf(place, sizeof place, "%s/%s", t->place, name);
    message_reject(t->m, "invalid_traits", place, "%s", what);
}

/* A text of the person's own; null and "" clear it. */
static void person_text(const struct traits *t, const char *name, size_t max, unsigned bit, struct customer_change *out, struct str *to)
{
    char digits[24];
    const struct json *v = trait(t, name, NULL);
    if (v == NULL) return;
    struct str s = json_str(v);
    if (json_is_int(v)) s = (struct str){digits, (size_t)snprintf(digits, sizeof digits, "%lld", (long long)json_int(v))};
    if (json_kind(v) != JSON_KIND_NULL && !str_present(s)) bad_trait(t, name, "It must be text.");
    else if (s.n > max) bad_trait(t, name, "It is too long.");
    out->given |= bit;
    *to = s.n == 0 || t->m->failed ? STR_NONE : message_keep(t->m, s);
}

static void name_of_parts(const struct traits *t, struct customer_change *out)
{
    struct str first = str_trim(json_str(trait(t, "firstName", "first_name")));
    struct str last = str_trim(json_str(trait(t, "lastName", "last_name")));
    char text[PERSON_NAME_MAX + 1];
    if (trait(t, "name", NULL) != NULL || (first.n == 0 && last.n == 0)) return;
    int n = snprintf(text, sizeof text, "%.*s%s%.*s", (int)first.n, first.n > 0 ? first.p : "", first.n > 0 && last.n > 0 ? " " : "",
                     (int)last.n, last.n > 0 ? last.p : "");
    if (n > PERSON_NAME_MAX) {
        bad_trait(t, "lastName", "It is too long.");
        return;
    }
    out->given |= CHANGE_NAME;
    out->name = message_keep(t->m, (struct str){text, (size_t)n});
}

/* False: what it says is no time (it then stays an attribute). */
static bool created_at(const struct traits *t, struct customer_change *out)
{
    const struct json *v = trait(t, "createdAt", "created_at");
    int64_t at = TIME_NONE;
    if (v == NULL) return true;
    if (json_is_int(v)) { /* seconds since 1970, or milliseconds where that cannot be */
        int64_t i = json_int(v);
        if (i > -INT64_C(100000000000) && i < INT64_C(100000000000)) at = i * TIME_SECOND;
        else if (i > 0 && i < INT64_C(100000000000000)) at = i * 1000;
    } else if (json_kind(v) != JSON_KIND_NULL && !time_parse(json_str(v), &at)) {
        return false;
    }
    if (json_kind(v) != JSON_KIND_NULL && !moment_plausible(at, t->m->d->now)) return false;
    out->given |= CHANGE_CREATED_AT;
    out->created_at = at;
    return true;
}

static bool own_field(struct str name, bool created)
{
    static const char *const fields[] = {"email", "name", "phone", "firstName", "first_name", "lastName", "last_name"};
    for (size_t k = 0; k < sizeof fields / sizeof fields[0]; k++)
        if (str_is(name, fields[k])) return true;
    return created && (str_is(name, "createdAt") || str_is(name, "created_at"));
}

static bool later_has(const struct traits *t, size_t k, struct str name)
{
    char text[ID_MAX + 1];
    if (!str_copy(text, sizeof text, name)) return false;
    while (++k < t->n)
        if (json_get(t->of[k], text) != NULL) return true;
    return false;
}

static void attributes(const struct traits *t, bool created, struct customer_change *out)
{
    struct message_text text;
    struct jsonw *w = message_text_begin(&text);
    size_t written = 0;
    jsonw_begin_object(w);
    for (size_t k = 0; k < t->n; k++) {
        const void *at = NULL;
        struct str name;
        const struct json *v;
        while (json_next(t->of[k], &at, &name, &v)) {
            if (own_field(name, created) || later_has(t, k, name)) continue;
            if (!id_valid(name)) {
                message_reject(t->m, "invalid_traits", t->place, "The name of a trait has 1 to %d bytes of UTF-8 without control characters.", ID_MAX);
                break;
            }
            jsonw_key_str(w, name);
            jsonw_value(w, v);
            written++;
        }
    }
    jsonw_end_object(w);
    out->attributes = message_text_end(t->m, &text, t->place);
    if (written == 0) out->attributes = STR_NONE;
    else out->given |= CHANGE_ATTRIBUTES;
}

bool message_traits(struct message *m, const struct json *const *traits, size_t n, struct customer_change *out, const char *place)
{
    struct traits t = {m, traits, n, place};
    for (size_t k = 0; k < n; k++)
        if (json_kind(traits[k]) != JSON_KIND_NULL && json_kind(traits[k]) != JSON_KIND_OBJECT)
            message_reject(m, "invalid_traits", place, "Traits must be an object.");
    if (m->failed) return false;
    person_text(&t, "email", EMAIL_MAX, CHANGE_EMAIL, out, &out->email);
    person_text(&t, "phone", PHONE_MAX, CHANGE_PHONE, out, &out->phone);
    person_text(&t, "name", PERSON_NAME_MAX, CHANGE_NAME, out, &out->name);
    name_of_parts(&t, out);
    attributes(&t, created_at(&t, out), out);
    return !m->failed;
}
