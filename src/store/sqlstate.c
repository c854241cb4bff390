/* What a SQLSTATE means to a client: one table, the longest matching prefix wins. */
#include "plumbing.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *prefix;
    struct sqlstate means;
} table[] = {
    {"08", {MEROS_UNAVAILABLE, true, "The connection to the database was lost; try again."}},
    {"22", {MEROS_UNPROCESSABLE, false, "The database cannot hold one of the values."}},
    {"23", {MEROS_UNPROCESSABLE, false, "The values break a rule of the stored data."}},
    {"23505", {MEROS_CONFLICT, false, "Something with this identity exists already."}},
    {"23P01", {MEROS_CONFLICT, false, "This overlaps with something that exists already."}},
    {"25006", {MEROS_UNAVAILABLE, true, "The database takes no changes right now; try again."}},
    {"25P03", {MEROS_TIMEOUT, true, "A transaction was left idle for too long."}},
    {"25P04", {MEROS_TIMEOUT, true, "A transaction took too long."}},
    {"28", {MEROS_UNAVAILABLE, true, "The database does not let the service in."}},
    {"3D", {MEROS_UNAVAILABLE, true, "The service's database does not exist."}},
    {"40001", {MEROS_UNAVAILABLE, false, "Others changed the same data at the same time; try again."}},
    {"40P01", {MEROS_UNAVAILABLE, false, "Others changed the same data at the same time; try again."}},
    {"53", {MEROS_UNAVAILABLE, true, "The database is short of resources; try again later."}},
    {"54", {MEROS_UNPROCESSABLE, false, "A value is larger than the database can hold."}},
    {"55P03", {MEROS_UNAVAILABLE, false, "Others hold the same data; try again."}},
    {"57014", {MEROS_TIMEOUT, false, "The database took too long over this."}},
    {"57P", {MEROS_UNAVAILABLE, true, "The database is stopping or starting; try again."}},
    {"58", {MEROS_UNAVAILABLE, true, "The database met a fault of its machine; try again later."}},
};

struct sqlstate sqlstate_look(const char *state)
{
    struct sqlstate best = {MEROS_INTERNAL, false, "The database refused a statement of the service."};
    size_t length = 0;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        size_t n = strlen(table[i].prefix);
        if (n > length && strncmp(state, table[i].prefix, n) == 0) best = table[i].means, length = n;
    }
    return best;
}

/* Messages of class 22 quote the value they dislike ('invalid input syntax for type numeric: "…"'); those of
 * other classes name tables, columns and constraints only, the values being in DETAIL, which is never asked
 * for. */
void sqlstate_primary(const char *state, const char *message, char *out, size_t cap)
{
    bool values = strncmp(state, "22", 2) == 0, quoted = false;
    size_t n = 0;
    for (const char *p = message; *p && *p != '\n' && n + 5 < cap; p++) {
        if (values && !quoted && *p == ':') break;
        if (values && *p == '"') {
            if (quoted) n += (size_t)snprintf(out + n, cap - n, "...");
            quoted = !quoted;
        } else if (quoted) {
            continue;
        }
        out[n++] = *p;
    }
    out[n] = '\0';
}
