#include "meros/domain/ingest.h"

const char *ingest_source_name(enum ingest_source s)
{
    static const char *const names[INGEST_SOURCE_COUNT] = {
#define X(id, name) name,
        INGEST_SOURCES(X)
#undef X
    };
    return names[s];
}
