#include "yaml_tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

static void scalar(struct jsonw *w, const yaml_node_t *node)
{
    struct str s = {(const char *)node->data.scalar.value, node->data.scalar.length};
    int64_t i;
    double d;
    if (node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE) jsonw_str(w, s);
    else if (s.n == 0 || str_is(s, "null") || str_is(s, "~")) jsonw_null(w);
    else if (str_is(s, "true")) jsonw_bool(w, true);
    else if (str_is(s, "false")) jsonw_bool(w, false);
    else if (str_to_int64(s, &i)) jsonw_int(w, i);
    else if (str_to_double(s, &d)) jsonw_raw(w, s);
    else jsonw_str(w, s);
}

static bool write_node(struct jsonw *w, yaml_document_t *doc, int id, int depth)
{
    yaml_node_t *node = yaml_document_get_node(doc, id);
    if (node == NULL || depth > JSON_DEPTH_MAX) return false; /* an alias within itself has no end */
    switch (node->type) {
    case YAML_SCALAR_NODE: scalar(w, node); return true;
    case YAML_SEQUENCE_NODE:
        jsonw_begin_array(w);
        for (yaml_node_item_t *i = node->data.sequence.items.start; i < node->data.sequence.items.top; i++)
            if (!write_node(w, doc, *i, depth + 1)) return false;
        jsonw_end_array(w);
        return true;
    case YAML_MAPPING_NODE:
        jsonw_begin_object(w);
        for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top; p++) {
            yaml_node_t *key = yaml_document_get_node(doc, p->key);
            if (key == NULL || key->type != YAML_SCALAR_NODE) return false;
            jsonw_key_str(w, (struct str){(const char *)key->data.scalar.value, key->data.scalar.length});
            if (!write_node(w, doc, p->value, depth + 1)) return false;
        }
        jsonw_end_object(w);
        return true;
    default: return false;
    }
}

struct json *yaml_load_text(const char *text, size_t n, char *why, size_t cap)
{
    yaml_parser_t parser;
    yaml_document_t doc;
    struct json *root = NULL;
    struct meros_err err = MEROS_ERR_INIT;
    struct buf out;
    struct jsonw w;
    buf_init(&out, 64 << 20);
    jsonw_init(&w, &out);
    if (!yaml_parser_initialize(&parser)) {
        snprintf(why, cap, "no memory for a YAML parser");
        return NULL;
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, n);
    if (!yaml_parser_load(&parser, &doc)) {
        snprintf(why, cap, "line %zu, column %zu: %s", parser.problem_mark.line + 1, parser.problem_mark.column + 1,
                 parser.problem != NULL ? parser.problem : "not YAML");
    } else {
        if (yaml_document_get_root_node(&doc) == NULL) snprintf(why, cap, "the document is empty");
        else if (!write_node(&w, &doc, 1, 1)) snprintf(why, cap, "a key is no scalar, or the document is nested too deep");
        else if (json_parse(out.data, out.len, &root, &err) != MEROS_OK) snprintf(why, cap, "%s", err.detail);
        yaml_document_delete(&doc);
    }
    yaml_parser_delete(&parser);
    buf_done(&out);
    return root;
}

struct json *yaml_load(const char *path, char *why, size_t cap)
{
    struct buf text;
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        snprintf(why, cap, "cannot open %s", path);
        return NULL;
    }
    buf_init(&text, 16 << 20);
    for (size_t n = 1; n > 0;) {
        char *to = buf_reserve(&text, 65536);
        n = to == NULL ? 0 : fread(to, 1, 65536, f);
        text.len += n;
    }
    fclose(f);
    struct json *root = text.failed ? NULL : yaml_load_text(text.data, text.len, why, cap);
    buf_done(&text);
    return root;
}
