/* One pass over JSON text that checks it as it goes and gives the members of an object as views: what NDJSON (ndjson.c) and
 * bodies of many small objects (records.c) are read with. Functions return false after noting the fault; p is then where
 * it is. */
#ifndef MEROS_CODEC_SCAN_PRIV_H
#define MEROS_CODEC_SCAN_PRIV_H

#include "meros/base/buf.h"
#include "meros/codec/ndjson.h"

struct scan {
    struct ndjson_member *members;
    size_t max_members;
    struct buf *text;              /* decoded strings that hold escapes; reserved in one piece, so that views stay */
    const char *base, *p, *end;
    const char *fault;
};

bool scan_fault(struct scan *s, const char *what); /* the first one counts; false */
void scan_blanks(struct scan *s);
bool scan_text(struct scan *s); /* that all of it is UTF-8 without NUL: to be seen before the rest */
/* At a brace: one object, up to behind its end. faulty: the name of the member that is wrong, if it was read. */
bool scan_object(struct scan *s, size_t *out_n, struct str *out_faulty);
bool scan_value(struct scan *s, enum json_kind *kind); /* any value, checked only */
/* At the first byte behind blanks: one object and nothing else. */
bool scan_line(struct scan *s, size_t *out_n, struct str *out_faulty);

#endif
