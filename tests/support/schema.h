/* JSON Schema, the part of draft 2020-12 that openapi/openapi.yaml uses. Private to openapi.c and its tests. */
#ifndef TESTS_SCHEMA_H
#define TESTS_SCHEMA_H

#include "openapi.h"

/* Where the reader stands, and what is wrong there. */
struct fault {
    char *why;
    size_t cap;
};
bool fault_at(struct fault *f, const char *pointer, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* snprintf for texts that only inform: what does not fit is cut, and that is fine. */
void print_to(char *out, size_t cap, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* False if the schema says something that schema_check() does not understand. */
bool schema_known(const struct openapi *api, const struct json *schema, const char *pointer, struct fault *f);
bool schema_check(const struct openapi *api, const struct json *schema, const struct json *value, bool closed, const char *pointer,
                  struct fault *f);

#endif
