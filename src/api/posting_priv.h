/* Items of a body on their way to the ingest path and back: what POST /v1/events, POST /v1/campaigns/{name}/outcomes and POST /v1/collect
 * have in common. A bad item is named in the answer and does not keep the others from landing. */
#ifndef MEROS_API_POSTING_PRIV_H
#define MEROS_API_POSTING_PRIV_H

#include "api_priv.h"
#include "meros/codec/records.h"
#include "meros/domain/records.h"

enum { POSTING_ITEMS_MAX = 1000, POSTING_BODY_MAX = 16 << 20 };

struct item_fault {
    size_t item;
    const char *pointer, *detail;
};
/* Zeroed, in the request's arena, with req, dataset, campaign and prefix set. */
struct posting {
    struct api_ingest in; /* first: api_ingest's callbacks get this */
    struct http_request *req;
    enum dataset_kind dataset;
    struct str campaign;  /* from the path; STR_NONE for events */
    const char *prefix;   /* where the items stand in the body: "" or "/events" */
    struct row_rules rules;
    bool array;
    size_t sent; /* items of the body */
    struct ingest_item *items;
    size_t *places; /* which of the body each item was */
    size_t n, cap;
    struct item_fault *faults;
    size_t n_faults, cap_faults;
};

/* All items of `body`, whose views they are until the request was handed over; json_records_done(records) after that in any case. */
enum meros_code posting_read(struct posting *x, struct str body, struct json_records *records, struct meros_err *err) MEROS_MUSTCHECK;
/* Makes x->in.request of the x->n items, at least one. */
enum meros_code posting_prepare(struct posting *x, enum ingest_source source, struct meros_err *err) MEROS_MUSTCHECK;
/* In the answer: counts what landed, notes what was refused for GET /v1/rejections. */
enum meros_code posting_settle(struct posting *x, size_t out_n[3], struct meros_err *err) MEROS_MUSTCHECK;
void posting_note_faults(const struct posting *x);
/* "accepted", "duplicates", "rejected" and "errors" into an open object. */
void posting_write(const struct posting *x, const size_t n[3], struct jsonw *w);

#endif
