/* A YAML file as a JSON tree, for reading openapi/openapi.yaml in tests. Plain scalars become numbers, booleans and null
 * as in YAML 1.2's core schema; keys are always strings. Aliases are followed. */
#ifndef TESTS_YAML_TREE_H
#define TESTS_YAML_TREE_H

#include "meros/codec/json.h"

/* NULL with a sentence in `why` when the file cannot be read, is not YAML, or says a key twice. */
struct json *yaml_load(const char *path, char *why, size_t cap);
struct json *yaml_load_text(const char *text, size_t n, char *why, size_t cap);

#endif
