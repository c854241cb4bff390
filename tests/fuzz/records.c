/* Bodies of one object or many: never a crash, never a view outside of the memory, and the same verdict as codec/json.h
 * but for what records.h names: names that stand twice within a nested object, and integers beyond 64 bits. */
#include <stdint.h>
#include <stdlib.h>
#include "meros/codec/json.h"
#include "meros/codec/records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The members of one record against the tree's object. */
static void compare(const struct json_record *record, const struct json *tree)
{
    if (record->object != (json_kind(tree) == JSON_KIND_OBJECT)) abort();
    if (!record->object) return;
    if (record->n != json_count(tree)) abort();
    for (size_t k = 0; k < record->n; k++) {
        const struct ndjson_member *m = &record->members[k];
        char name[300];
        if (!str_copy(name, sizeof name, m->name) || strlen(name) != m->name.n) continue;
        const struct json *value = json_get(tree, name);
        if (value == NULL || json_kind(value) != m->kind) abort();
        if (m->kind == JSON_KIND_STRING && !str_eq(m->text, json_str(value))) abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json_records r;
    struct json_record record;
    struct json *tree = NULL;
    bool more = true;
    size_t n = 0;
    const char *text = (const char *)data;
    const bool whole = json_parse(text, size, &tree, NULL) == MEROS_OK;
    const bool array = json_kind(tree) == JSON_KIND_ARRAY;
    enum meros_code rc = json_records_begin(&r, text, size, NULL);
    volatile unsigned sum = 0;
    while (rc == MEROS_OK && (rc = json_records_next(&r, &record, &more, NULL)) == MEROS_OK && more) {
        for (size_t k = 0; k < record.n; k++) {
            for (size_t i = 0; i < record.members[k].name.n; i++) sum += (unsigned char)record.members[k].name.p[i];
            for (size_t i = 0; i < record.members[k].text.n; i++) sum += (unsigned char)record.members[k].text.p[i];
        }
        if (whole) {
            const struct json *one = array ? json_at(tree, n) : tree;
            if (array && n >= json_count(tree)) abort();
            /* what has too many members is refused here, so it never comes this far */
            compare(&record, one);
        }
        n++;
    }
    if (whole && rc == MEROS_OK && n != (array ? json_count(tree) : 1)) abort();
    if (whole && rc != MEROS_OK) { /* stricter only in the number of members */
        size_t most = json_count(tree);
        for (size_t i = 0; array && i < json_count(tree); i++) most = json_count(json_at(tree, i)) > most ? json_count(json_at(tree, i)) : most;
        if (most <= RECORD_MEMBERS_MAX) abort();
    }
    json_records_done(&r);
    json_free(tree);
    return 0;
}
