/* Attributes, consent and other objects of the client's own making: JSON checked and written out for the database. */
#include "api_priv.h"
#include "meros/domain/rows.h"

struct str api_object_text(struct json_obj *o, const char *name, const struct json *object, bool keep_nulls, struct arena *arena)
{
    const void *at = NULL;
    const struct json *value;
    struct str key, text = STR_NONE;
    struct jsonw w;
    struct buf b;
    if (object == NULL) return STR_NONE;
    buf_init(&b, EXTRAS_MAX);
    jsonw_init(&w, &b);
    jsonw_begin_object(&w);
    while (json_next(object, &at, &key, &value)) {
        if (!id_valid(key)) {
            json_obj_fault(o, name, "has a name that is empty, longer than 200 bytes, or holds control characters");
            break;
        }
        if (json_kind(value) == JSON_KIND_NULL && !keep_nulls) continue;
        jsonw_key_str(&w, key);
        jsonw_value(&w, value);
    }
    jsonw_end_object(&w);
    if (b.failed) {
        json_obj_fault(o, name, "is longer than 64 KiB");
    } else {
        char *p = arena_strndup(arena, b.data, b.len);
        if (p == NULL) json_obj_fault(o, name, "does not fit into memory");
        text = (struct str){p, p == NULL ? 0 : b.len};
    }
    buf_done(&b);
    return text;
}
