/* Rules of audiences (domain/audience.h) from JSON and to JSON. Pure; any thread. */
#ifndef MEROS_SERVICE_AUDIENCE_RULE_H
#define MEROS_SERVICE_AUDIENCE_RULE_H

#include "meros/base/arena.h"
#include "meros/base/err.h"
#include "meros/codec/json.h"
#include "meros/domain/audience.h"

/* Reads and checks a rule; it and its texts live in the arena. INVALID with a pointer (below `pointer`, such as "/rule") to each fault:
 * fields and operators that there are not, values of another type, too many parts or too deep a nesting. */
enum meros_code audience_rule_decode(const struct json *v, const char *pointer, struct arena *arena, struct audience_rule *out,
                                     struct meros_err *err) MEROS_MUSTCHECK;

/* The rule in its canonical form: members in one order, times in UTC, what was left out said. Decoded again it is the same rule. */
void audience_rule_write(struct jsonw *w, const struct audience_rule *r);
void audience_leaf_write(struct jsonw *w, const struct audience_leaf *l);
/* Where the leaf stands: "/all/0/not". False: it does not fit. */
bool audience_leaf_pointer(const struct audience_rule *r, size_t leaf, char *out, size_t cap);

#endif
