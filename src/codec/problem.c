#include "meros/codec/problem.h"

#include <stdio.h>

void problem_write(struct jsonw *w, const struct meros_err *err, const char *instance)
{
    char type[80];
    snprintf(type, sizeof type, PROBLEM_TYPE_PREFIX "%s", meros_code_slug(err->code));
    jsonw_begin_object(w);
    jsonw_kcstr(w, "type", type);
    jsonw_kcstr(w, "title", meros_code_title(err->code));
    jsonw_kint(w, "status", meros_code_status(err->code));
    jsonw_kcstr(w, "detail", err->detail[0] != '\0' ? err->detail : meros_code_title(err->code));
    if (instance != NULL)
        jsonw_kcstr(w, "instance", instance);
    if (err->n_fields > 0) {
        jsonw_key(w, "errors");
        jsonw_begin_array(w);
        for (size_t i = 0; i < err->n_fields; i++) {
            jsonw_begin_object(w);
            jsonw_kcstr(w, "pointer", err->fields[i].pointer);
            jsonw_kcstr(w, "detail", err->fields[i].detail);
            jsonw_end_object(w);
        }
        jsonw_end_array(w);
    }
    jsonw_end_object(w);
}
