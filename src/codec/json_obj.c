#include "meros/codec/json.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

static const char *const kind_names[] = {"null", "true or false", "a number", "a string", "an array", "an object"};

/* RFC 6901: "~" and "/" in a name are written "~0" and "~1". */
static void member_pointer(const struct json_obj *o, struct str name, char out[ERR_POINTER_MAX])
{
    size_t n = (size_t)snprintf(out, ERR_POINTER_MAX, "%s/", o->pointer);
    for (size_t i = 0; i < name.n && n + 3 < ERR_POINTER_MAX; i++) {
        char c = name.p[i];
        if (c == '~' || c == '/') {
            out[n++] = '~';
            out[n++] = c == '~' ? '0' : '1';
        } else {
            out[n++] = c;
        }
    }
    /* A name cut inside a UTF-8 sequence loses that sequence's beginning too. */
    while (n > 0 && !utf8_valid(out, n)) n--;
    out[n] = '\0';
}

static void fault(struct json_obj *o, struct str name, const char *format, va_list ap)
{
    char detail[ERR_FIELD_DETAIL_MAX], pointer[ERR_POINTER_MAX];
    vsnprintf(detail, sizeof detail, format, ap);
    member_pointer(o, name, pointer);
    err_field(o->err, pointer, "%s", detail);
    o->failed = true;
}

void json_obj_fault(struct json_obj *o, const char *name, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    fault(o, str_of(name), format, ap);
    va_end(ap);
}

void json_obj_begin(struct json_obj *o, const struct json *v, const char *pointer, struct meros_err *err)
{
    *o = (struct json_obj){.err = err};
    snprintf(o->pointer, sizeof o->pointer, "%s", pointer);
    if (json_kind(v) == JSON_KIND_OBJECT) {
        o->object = v;
        return;
    }
    err_field(err, pointer, "must be an object, not %s", kind_names[json_kind(v)]);
    o->failed = true;
}

/* The member, or NULL where it is absent, null or of another kind; faults are noted. */
static const struct json *take(struct json_obj *o, const char *name, int flags, int kind)
{
    if (o->n_seen < JSON_OBJ_FIELDS_MAX) o->seen[o->n_seen++] = name;
    if (o->object == NULL) return NULL;
    const struct json *v = json_get(o->object, name);
    if (v == NULL) {
        if (flags & JSON_REQUIRED) json_obj_fault(o, name, "is required");
        return NULL;
    }
    if (json_kind(v) == JSON_KIND_NULL && (flags & JSON_NULLABLE)) return NULL;
    if (kind >= 0 && (int)json_kind(v) != kind) {
        json_obj_fault(o, name, "must be %s, not %s", kind_names[kind], kind_names[json_kind(v)]);
        return NULL;
    }
    return v;
}

struct str json_obj_str(struct json_obj *o, const char *name, int flags, size_t max_bytes)
{
    const struct json *v = take(o, name, flags, JSON_KIND_STRING);
    if (v == NULL) return STR_NONE;
    struct str s = json_str(v);
    if (s.n > max_bytes) {
        json_obj_fault(o, name, "must be at most %zu bytes long", max_bytes);
        return STR_NONE;
    }
    return s;
}

struct str json_obj_id(struct json_obj *o, const char *name, int flags)
{
    const struct json *v = take(o, name, flags, JSON_KIND_STRING);
    if (v == NULL) return STR_NONE;
    struct str s = json_str(v);
    if (!id_valid(s)) {
        json_obj_fault(o, name, "must be 1 to %d bytes long, without control characters", ID_MAX);
        return STR_NONE;
    }
    return s;
}

int json_obj_enum(struct json_obj *o, const char *name, int flags, const char *const *words, int dflt)
{
    const struct json *v = take(o, name, flags, JSON_KIND_STRING);
    if (v == NULL) return dflt;
    char known[ERR_FIELD_DETAIL_MAX] = "";
    size_t n = 0;
    for (int i = 0; words[i] != NULL; i++) {
        if (str_is(json_str(v), words[i])) return i;
        if (n < sizeof known) n += (size_t)snprintf(known + n, sizeof known - n, "%s%s", i ? ", " : "", words[i]);
    }
    json_obj_fault(o, name, "must be one of: %s", known);
    return dflt;
}

int64_t json_obj_int(struct json_obj *o, const char *name, int flags, int64_t min, int64_t max, int64_t dflt)
{
    const struct json *v = take(o, name, flags, JSON_KIND_NUMBER);
    if (v == NULL) return dflt;
    if (!json_is_int(v) || json_int(v) < min || json_int(v) > max) {
        json_obj_fault(o, name, "must be a whole number from %lld to %lld", (long long)min, (long long)max);
        return dflt;
    }
    return json_int(v);
}

double json_obj_num(struct json_obj *o, const char *name, int flags, double min, double max, double dflt)
{
    const struct json *v = take(o, name, flags, JSON_KIND_NUMBER);
    if (v == NULL) return dflt;
    if (!(json_num(v) >= min && json_num(v) <= max)) {
        json_obj_fault(o, name, "must be a number from %.15g to %.15g", min, max);
        return dflt;
    }
    return json_num(v);
}

bool json_obj_bool(struct json_obj *o, const char *name, int flags, bool dflt)
{
    const struct json *v = take(o, name, flags, JSON_KIND_BOOL);
    return v == NULL ? dflt : json_bool(v);
}

int64_t json_obj_time(struct json_obj *o, const char *name, int flags, int64_t dflt)
{
    const struct json *v = take(o, name, flags, JSON_KIND_STRING);
    if (v == NULL) return dflt;
    int64_t t;
    if (!time_parse(json_str(v), &t)) {
        json_obj_fault(o, name, "must be a time such as 2011-12-09T12:50:00Z");
        return dflt;
    }
    return t;
}

const struct json *json_obj_object(struct json_obj *o, const char *name, int flags)
{
    return take(o, name, flags, JSON_KIND_OBJECT);
}

const struct json *json_obj_array(struct json_obj *o, const char *name, int flags, size_t max_items)
{
    const struct json *v = take(o, name, flags, JSON_KIND_ARRAY);
    if (v == NULL) return NULL;
    if (json_count(v) > max_items) {
        json_obj_fault(o, name, "must have at most %zu items", max_items);
        return NULL;
    }
    return v;
}

const struct json *json_obj_any(struct json_obj *o, const char *name, int flags)
{
    return take(o, name, flags, -1);
}

static void unknown(struct json_obj *o, struct str name, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    fault(o, name, format, ap);
    va_end(ap);
}

enum meros_code json_obj_end(struct json_obj *o)
{
    const void *at = NULL;
    struct str name;
    const struct json *value;
    while (json_next(o->object, &at, &name, &value)) {
        bool known = false;
        for (size_t i = 0; i < o->n_seen && !known; i++) known = str_is(name, o->seen[i]);
        if (!known) unknown(o, name, "is not a field that is known here");
    }
    return o->failed ? MEROS_INVALID : MEROS_OK;
}
