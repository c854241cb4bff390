#include "meros/store/rejections.h"

#include <stdlib.h>
#include "store_priv.h"

static const struct sql ADD = {
    "rejections_add",
    "insert into rejections (source, reason, place, type, message_id, request_id, received_at) "
    "select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[])",
    SQL_NOTHING};
#define COLUMNS "rejection_no, source, reason, place, type, message_id, request_id, received_at"
static const struct sql LIST = {
    "rejections_list", "select " COLUMNS " from rejections where rejection_no < $1 order by rejection_no desc limit $2", SQL_ROWS};
static const struct sql LIST_SOURCE = {
    "rejections_list_source",
    "select " COLUMNS " from rejections where source = $3 and rejection_no < $1 order by rejection_no desc limit $2", SQL_ROWS};
static const struct sql PRUNE = {
    "rejections_prune",
    "delete from rejections where received_at < now() - interval '7 days' or rejection_no <= "
    "(select rejection_no from rejections order by rejection_no desc offset $1 limit 1)",
    SQL_NOTHING};

enum meros_code store_rejections_add(struct store_conn *c, const struct rejection_record *list, size_t n, struct meros_err *err)
{
    enum { TEXTS = 6 };
    struct str *texts = calloc(n * TEXTS, sizeof *texts);
    int64_t *times = calloc(n, sizeof *times);
    enum meros_code rc = MEROS_OK;
    if (n == 0) goto out;
    if (texts == NULL || times == NULL) {
        rc = err_set(err, MEROS_OUT_OF_MEMORY, "No memory for the rejections.");
        goto out;
    }
    for (size_t k = 0; k < n; k++) {
        const struct rejection_record *r = &list[k];
        const struct str row[TEXTS] = {r->source, r->reason, r->place, r->type, r->message_id, r->request_id};
        for (size_t t = 0; t < TEXTS; t++) texts[t * n + k] = row[t];
        times[k] = r->received_at;
    }
    rc = sql_exec(c, &ADD, NULL, err, P_TEXTS(texts, n), P_TEXTS(texts + n, n), P_TEXTS(texts + 2 * n, n), P_TEXTS(texts + 3 * n, n),
                  P_TEXTS(texts + 4 * n, n), P_TEXTS(texts + 5 * n, n), P_TIMES(times, n));
out:
    free(texts);
    free(times);
    return rc;
}

enum meros_code store_rejections_list(struct store_conn *c, struct str source, int64_t before, int64_t limit, store_rejection_fn fn,
                                      void *arg, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = str_present(source) ? sql_exec(c, &LIST_SOURCE, &r, err, P_INT(before), P_INT(limit), P_TEXT(source))
                                             : sql_exec(c, &LIST, &r, err, P_INT(before), P_INT(limit));
    if (rc != MEROS_OK) return rc;
    for (size_t i = 0; i < r.n; i++) {
        struct rejection_record x = {
            .rejection_no = rows_int(&r, i, 0),
            .source = rows_text(&r, i, 1),
            .reason = rows_text(&r, i, 2),
            .place = rows_text(&r, i, 3),
            .type = rows_text(&r, i, 4),
            .message_id = rows_text(&r, i, 5),
            .request_id = rows_text(&r, i, 6),
            .received_at = rows_time(&r, i, 7),
        };
        fn(arg, &x);
    }
    rows_done(&r);
    return MEROS_OK;
}

enum meros_code store_rejections_prune(struct store_conn *c, struct meros_err *err)
{
    return sql_exec(c, &PRUNE, NULL, err, P_INT(STORE_REJECTIONS_MAX));
}
