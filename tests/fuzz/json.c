/* JSON from a stranger: parse, read as an object field by field, write the tree and read what was written. */
#include <stdint.h>
#include <stdlib.h>
#include "meros/codec/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) abort();
}

/* The fields of several endpoints at once, so that any document meets every reader. */
static void read_fields(const struct json *root)
{
    static const char *const words[] = {"kmeans", "rfm", NULL};
    struct meros_err err = MEROS_ERR_INIT;
    struct json_obj o;
    json_obj_begin(&o, root, "/body", &err);
    struct str kind = json_obj_str(&o, "kind", JSON_REQUIRED, 20), id = json_obj_id(&o, "customer_id", JSON_NULLABLE);
    check(!str_present(kind) || kind.n <= 20);
    check(!str_present(id) || id_valid(id));
    int method = json_obj_enum(&o, "method", 0, words, 0);
    check(method == 0 || method == 1);
    int64_t k = json_obj_int(&o, "k", 0, 2, 100, 8);
    check(k >= 2 && k <= 100);
    double n = json_obj_num(&o, "n", 0, -1, 1, 0);
    check(n >= -1 && n <= 1);
    json_obj_bool(&o, "b", 0, false);
    json_obj_time(&o, "as_of", 0, TIME_NONE);
    json_obj_array(&o, "features", JSON_NULLABLE, 3);
    const struct json *params = json_obj_object(&o, "params", 0);
    check(params == NULL || json_kind(params) == JSON_KIND_OBJECT);
    json_obj_any(&o, "any", 0);
    check((json_obj_end(&o) == MEROS_OK) == (err.code == MEROS_OK) && err.n_fields <= ERR_FIELDS_MAX);
    check(utf8_valid(err.detail, strlen(err.detail)));
    for (size_t i = 0; i < err.n_fields; i++)
        check(utf8_valid(err.fields[i].pointer, strlen(err.fields[i].pointer)) &&
              utf8_valid(err.fields[i].detail, strlen(err.fields[i].detail)));
}

static void write_tree(const struct json *v, struct buf *out)
{
    struct jsonw w;
    buf_init(out, 16 << 20);
    jsonw_init(&w, out);
    jsonw_value(&w, v);
    check(!out->failed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct json *root = NULL, *again = NULL;
    json_start();
    if (json_parse((const char *)data, size, &root, &err) != MEROS_OK) {
        check(root == NULL && (err.code == MEROS_INVALID || err.code == MEROS_OUT_OF_MEMORY) && err.detail[0] != '\0');
        return 0;
    }
    read_fields(root);
    struct buf first, second;
    write_tree(root, &first);
    check(utf8_valid(first.data, first.len));
    check(json_parse(first.data, first.len, &again, &err) == MEROS_OK);
    write_tree(again, &second);
    check(str_eq((struct str){first.data, first.len}, (struct str){second.data, second.len}));
    buf_done(&first);
    buf_done(&second);
    json_free(root);
    json_free(again);
    return 0;
}
