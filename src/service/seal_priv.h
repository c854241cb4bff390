/* Personal data as it goes into the database and comes out: sealed, with a keyed hash for look-up and comparison. */
#ifndef MEROS_SERVICE_SEAL_PRIV_H
#define MEROS_SERVICE_SEAL_PRIV_H

#include "meros/base/arena.h"
#include "meros/service/service.h"
#include "meros/store/imports.h"

/* Memory of the arena; absent text stays absent. False when memory is out. */
bool seal_text(const struct service *s, struct arena *arena, struct str text, struct sealed *out);
/* STR_NONE when absent, when it was sealed with another key, or when memory is out (*ok false in the last two). */
struct str unseal_text(const struct service *s, struct arena *arena, struct str sealed, bool *ok);

#endif
