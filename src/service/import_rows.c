/* From a body to the spool: records, columns, cells, rows. */
#include <stdio.h>
#include "imports_priv.h"
#include "meros/service/order_events.h"
#include "reco_click_priv.h"
#include "seal_priv.h"

enum { PROGRESS_EVERY = 1 << 15 };

static enum meros_code no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for a row of an import.");
}

/* --- columns */

/* Names of columns are the client's: in a sentence they are shown up to 60 bytes, in whole characters. */
static struct str brief(struct str name)
{
    if (name.n <= 60) return name;
    for (name.n = 60; name.n > 0 && ((unsigned char)name.p[name.n] & 0xC0) == 0x80;) name.n--;
    return name;
}
#define SHOWN(name) (int)brief(name).n, brief(name).p

enum meros_code import_parse_map(struct importing *x, struct meros_err *err)
{
    struct str text = x->options->map;
    if (!str_present(text)) return MEROS_OK;
    x->map = arena_array(&x->memory, MAP_MAX, sizeof *x->map);
    char *to = arena_alloc(&x->memory, text.n + 1), *from = to;
    if (x->map == NULL || to == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for an import.");
    char *colon = NULL;
    for (size_t k = 0; k <= text.n; k++) {
        bool end = k == text.n;
        if (!end && text.p[k] == '\\' && k + 1 < text.n) {
            *to++ = text.p[++k];
        } else if (!end && text.p[k] != ',') {
            if (text.p[k] == ':') colon = to;
            *to++ = text.p[k];
        } else {
            if (colon == NULL || colon == from || colon + 1 == to || x->n_map == MAP_MAX)
                return err_set(err, MEROS_INVALID, "map must read like InvoiceNo:order_id,StockCode:product_id.");
            struct renaming *r = &x->map[x->n_map++];
            r->from = str_trim((struct str){from, (size_t)(colon - from)});
            r->to = str_trim((struct str){colon + 1, (size_t)(to - colon) - 1});
            from = to;
            colon = NULL;
        }
    }
    const struct dataset_info *d = &datasets[x->options->dataset];
    for (size_t k = 0; k < x->n_map; k++) {
        if (dataset_field(x->options->dataset, x->map[k].to) < 0 && (d->extras == NULL || !id_valid(x->map[k].to)))
            return err_set(err, MEROS_INVALID, "map: %s have no field '%.*s'.", d->name, SHOWN(x->map[k].to));
        for (size_t j = 0; j < k; j++)
            if (str_eq(x->map[j].from, x->map[k].from))
                return err_set(err, MEROS_INVALID, "map names the column '%.*s' twice.", SHOWN(x->map[k].from));
    }
    return MEROS_OK;
}

static struct target target_of(struct importing *x, struct str name)
{
    const struct dataset_info *d = &datasets[x->options->dataset];
    struct str called = name;
    for (size_t k = 0; k < x->n_map; k++) {
        if (!str_eq(x->map[k].from, name)) continue;
        called = x->map[k].to;
        x->map[k].used = true;
    }
    int field = dataset_field(x->options->dataset, called);
    if (field >= 0) return (struct target){field, name, STR_NONE};
    return (struct target){called.n == 0 || d->extras == NULL ? TO_NOTHING : TO_EXTRAS, name, called};
}

/* The header's columns, as far as they fit into a sentence. */
static const char *list_columns(struct importing *x)
{
    struct buf b;
    buf_init(&b, 300);
    for (size_t k = 0; k < x->n_columns && b.len < 200; k++)
        buf_printf(&b, "%s%.*s", k > 0 ? ", " : "", SHOWN(x->columns[k].name));
    const char *text = arena_strdup(&x->memory, b.data != NULL ? b.data : "");
    buf_done(&b);
    return text != NULL ? text : "";
}

static enum meros_code check_columns(struct importing *x, struct meros_err *err)
{
    const struct dataset_info *d = &datasets[x->options->dataset];
    for (size_t k = 0; k < x->n_columns; k++) {
        const struct target *a = &x->columns[k];
        if (a->to == TO_EXTRAS && !id_valid(a->extra))
            return err_set(err, MEROS_INVALID, "Column %zu: a name has at most 200 bytes and no control characters.", k + 1);
        for (size_t j = 0; j < k; j++) {
            const struct target *b = &x->columns[j];
            if (a->name.n > 0 && str_eq(a->name, b->name))
                return err_set(err, MEROS_INVALID, "The column '%.*s' is there twice.", SHOWN(a->name));
            if ((a->to >= 0 && a->to == b->to) || (a->to == TO_EXTRAS && b->to == TO_EXTRAS && str_eq(a->extra, b->extra)))
                return err_set(err, MEROS_INVALID, "The columns '%.*s' and '%.*s' both mean %.*s.", SHOWN(b->name), SHOWN(a->name),
                               SHOWN(a->to >= 0 ? str_of(d->fields[a->to].name) : a->extra));
        }
    }
    for (size_t k = 0; k < x->n_map; k++)
        if (!x->map[k].used)
            return err_set(err, MEROS_INVALID, "map: the file has no column '%.*s'; its columns are %s.", SHOWN(x->map[k].from),
                           list_columns(x));
    struct buf missing;
    buf_init(&missing, 200);
    for (int f = 0; f < d->n_fields; f++)
        if (d->fields[f].required && x->field_column[f] < 0) buf_printf(&missing, "%s%s", missing.len > 0 ? ", " : "", d->fields[f].name);
    enum meros_code rc = MEROS_OK;
    bool one = x->n_columns == 1 && x->options->delimiter.p == NULL;
    const struct str only = x->n_columns > 0 ? x->columns[0].name : STR_NONE;
    if (missing.len > 0 && one && (memchr(only.p, ';', only.n) != NULL || memchr(only.p, '\t', only.n) != NULL))
        rc = err_set(err, MEROS_INVALID, "The file has no column for %s; its only column is %s. Is ?delimiter=%s meant?", missing.data,
                     list_columns(x), memchr(only.p, ';', only.n) != NULL ? ";" : "tab");
    else if (missing.len > 0)
        rc = err_set(err, MEROS_INVALID, "The file has no column for %s; its columns are %s. Name them with ?map=column:%s.",
                     missing.data, list_columns(x), d->fields[x->options->dataset == DATASET_EVENTS ? 1 : 0].name);
    buf_done(&missing);
    return rc;
}

static enum meros_code read_header(struct importing *x, const struct csv_record *r, struct meros_err *err)
{
    if (r->fault != NULL) return err_set(err, MEROS_INVALID, "Line %lld, the header: %s", (long long)r->line, r->fault);
    x->columns = arena_array(&x->memory, r->n, sizeof *x->columns);
    if (x->columns == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for an import.");
    for (int f = 0; f < ROW_FIELDS_MAX; f++) x->field_column[f] = -1;
    for (size_t k = 0; k < r->n; k++) {
        struct str name = str_trim(r->fields[k]);
        if (memchr(name.p, '\r', name.n) != NULL && memchr(name.p, '\n', name.n) == NULL)
            return err_set(err, MEROS_INVALID, "The header holds a carriage return: the file's lines end in CR alone. Save it with "
                                               "line ends of LF or CRLF.");
        char *p = arena_strndup(&x->memory, name.p, name.n);
        if (p == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for an import.");
        x->columns[k] = target_of(x, (struct str){p, name.n});
        if (x->columns[k].to >= 0) x->field_column[x->columns[k].to] = (int)k;
        x->n_columns++;
    }
    return check_columns(x, err);
}

/* --- extras */

/* A number as JSON writes it, of at most 15 digits and without leading zeros: what else looks like one (a postcode
 * 04534, a card number) is a name. */
static bool plain_number(struct str s)
{
    size_t k = s.n > 0 && s.p[0] == '-', digits = 0, from = k;
    for (; k < s.n && s.p[k] >= '0' && s.p[k] <= '9'; k++) digits++;
    if (digits == 0 || (digits > 1 && s.p[from] == '0')) return false;
    if (k < s.n && s.p[k] == '.') {
        size_t point = ++k;
        for (; k < s.n && s.p[k] >= '0' && s.p[k] <= '9'; k++) digits++;
        if (k == point) return false;
    }
    return k == s.n && digits <= 15;
}

static void put_extra(struct jsonw *w, struct str name, const struct cell *c)
{
    jsonw_key_str(w, name);
    if (c->kind == CELL_STRING) jsonw_str(w, c->text);
    else if (c->kind != CELL_TEXT || plain_number(c->text)) jsonw_raw(w, c->text);
    else if (str_ieq(c->text, STR("true"))) jsonw_bool(w, true);
    else if (str_ieq(c->text, STR("false"))) jsonw_bool(w, false);
    else jsonw_str(w, c->text);
}

/* An object given whole (properties, attributes) joins the extras: its members go in without their braces. */
static void put_members(struct importing *x, struct str object)
{
    struct str inner = {object.p + 1, object.n - 2};
    while (inner.n > 0 && (unsigned char)inner.p[0] <= ' ') inner.p++, inner.n--;
    if (inner.n > 0) buf_append(&x->inner, inner.p, inner.n);
}

/* --- rows */
struct row_report {
    int64_t line;
    struct str column; /* STR_NONE: the row as a whole */
    const char *detail;
};

static enum meros_code reject(struct importing *x, const struct row_report *report)
{
    struct import_result *r = x->result;
    r->rejected++;
    if (r->n_errors == IMPORT_ERRORS_MAX) return MEROS_OK;
    struct import_error *e = &r->errors[r->n_errors++];
    size_t n = report->column.n < sizeof e->column - 1 ? report->column.n : sizeof e->column - 1;
    while (n > 0 && n < report->column.n && ((unsigned char)report->column.p[n] & 0xC0) == 0x80) n--; /* whole characters */
    e->line = report->line;
    if (n > 0) memcpy(e->column, report->column.p, n);
    e->column[n] = '\0';
    snprintf(e->detail, sizeof e->detail, "%s", report->detail);
    return MEROS_OK;
}

static enum meros_code keep_customer(struct importing *x, const struct customer_row *c, struct meros_err *err)
{
    struct sealed_customer_row s = {.customer_id = c->customer_id, .attributes = c->attributes, .created_at = c->created_at};
    arena_done(&x->row_memory);
    if (!seal_text(x->service, &x->row_memory, c->email, &s.email) || !seal_text(x->service, &x->row_memory, c->name, &s.name) ||
        !seal_text(x->service, &x->row_memory, c->phone, &s.phone))
        return no_memory(err);
    return import_keep(x, &s, err);
}

/* The extras as one JSON object in x->extras; STR_NONE if there are none. False: too long. */
static bool finish_extras(struct importing *x, struct jsonw *w, struct str *out)
{
    *out = STR_NONE;
    if (x->inner.len > 0 && !x->inner.failed) {
        if (x->extras.len > 1) buf_char(&x->extras, ',');
        buf_append(&x->extras, x->inner.data, x->inner.len);
    }
    jsonw_end_object(w);
    if (x->extras.failed || x->inner.failed || x->extras.len > EXTRAS_MAX) return false;
    if (x->extras.len > 2) *out = (struct str){x->extras.data, x->extras.len};
    return true;
}

/* cells by field; extras are written. names: how the file calls each field. */
static enum meros_code take_row(struct importing *x, int64_t line, const struct cell *cells, struct jsonw *w,
                                const struct str *names, struct meros_err *err)
{
    struct row_fault fault = {.field = -1};
    struct order_fault order;
    struct str extras;
    char product[ID_MAX + 1];
    union {
        struct customer_row customer;
        struct product_row product;
        struct order_row order;
        struct event_row event;
        struct outcome_row outcome;
    } row;
    const struct dataset_info *d = &datasets[x->options->dataset];
    bool ok = false;
    if (!finish_extras(x, w, &extras)) {
        snprintf(fault.detail, sizeof fault.detail, "The %s are longer than 64 KiB.", d->extras != NULL ? d->extras : "columns");
        if (x->extras.failed && x->extras.limit > EXTRAS_MAX * 4) return no_memory(err);
        return reject(x, &(struct row_report){line, STR_NONE, fault.detail});
    }
    switch (x->options->dataset) {
    case DATASET_CUSTOMERS:
        if (!(ok = customer_decode(cells, &x->rules, &row.customer, &fault))) break;
        row.customer.attributes = extras;
        return keep_customer(x, &row.customer, err);
    case DATASET_PRODUCTS:
        if (!(ok = product_decode(cells, &x->rules, &row.product, &fault))) break;
        row.product.attributes = extras;
        row.product.line = line;
        return import_keep(x, &row, err);
    case DATASET_ORDERS:
        ok = order_decode(cells, &x->rules, &row.order, &fault);
        row.order.line = line;
        if (ok) return import_keep(x, &row, err);
        if (str_present(row.order.order_id)) { /* keeps its place among its order's lines */
            struct order_row place = {.line = line, .order_id = row.order.order_id, .ordered_at = TIME_NONE, .rejected = true};
            enum meros_code rc = import_keep(x, &place, err);
            if (rc != MEROS_OK) return rc;
        }
        break;
    case DATASET_EVENTS:
        if (!(ok = event_decode(cells, &x->rules, &row.event, &fault))) break;
        row.event.properties = extras;
        row.event.line = line;
        if (reco_click_wanting(&row.event)) row.event.product_id = reco_click_product(x->service, &row.event, product);
        if (!order_properties_check(row.event.type, extras, &order)) {
            snprintf(fault.detail, sizeof fault.detail, "%s: %s", order.pointer, order.detail);
            return reject(x, &(struct row_report){line, STR("properties"), fault.detail});
        }
        return import_keep(x, &row, err);
    case DATASET_OUTCOMES:
        if (!(ok = outcome_decode(cells, &x->rules, &row.outcome, &fault))) break;
        row.outcome.line = line;
        return import_keep(x, &row, err);
    default: break;
    }
    struct str column = fault.field < 0 ? STR_NONE : str_present(names[fault.field]) ? names[fault.field] : str_of(d->fields[fault.field].name);
    return reject(x, &(struct row_report){line, column, fault.detail});
}

static void start_row(struct importing *x, struct jsonw *w)
{
    buf_clear(&x->extras);
    buf_clear(&x->inner);
    jsonw_init(w, &x->extras);
    jsonw_begin_object(w);
}

/* An object that stands in a cell: JSON itself, or in CSV a text of it. */
static bool object_cell(struct cell *c)
{
    if (c->kind == CELL_JSON) return c->text.n > 0 && c->text.p[0] == '{';
    if (c->kind != CELL_TEXT) return false;
    struct json *tree = NULL;
    bool object = json_parse(c->text.p, c->text.n, &tree, NULL) == MEROS_OK && json_kind(tree) == JSON_KIND_OBJECT;
    json_free(tree);
    return object;
}

static enum meros_code csv_row(struct importing *x, const struct csv_record *r, const struct str *names, struct meros_err *err)
{
    struct cell cells[ROW_FIELDS_MAX] = {0};
    struct row_report report = {.line = r->line};
    char detail[120];
    struct jsonw w;
    if (r->fault != NULL) {
        report.column = r->fault_field < x->n_columns ? x->columns[r->fault_field].name : STR_NONE;
        report.detail = r->fault;
        return reject(x, &report);
    }
    if (r->n != x->n_columns) {
        snprintf(detail, sizeof detail, "The line has %zu fields, the header %zu.", r->n, x->n_columns);
        report.detail = detail;
        return reject(x, &report);
    }
    start_row(x, &w);
    for (size_t k = 0; k < r->n; k++) {
        const struct target *t = &x->columns[k];
        if (t->to == TO_NOTHING) continue;
        struct cell c = {CELL_TEXT, str_trim(r->fields[k])};
        if (c.text.n == 0) continue;
        if (t->to == TO_EXTRAS && str_is(t->extra, datasets[x->options->dataset].extras) && object_cell(&c)) {
            put_members(x, c.text); /* a column "attributes" of JSON means what it means in NDJSON */
        } else if (t->to == TO_EXTRAS) {
            put_extra(&w, t->extra, &c);
        } else if (x->options->dataset == DATASET_EVENTS && t->to == EVENT_FIELD_PROPERTIES) {
            if (!object_cell(&c)) return reject(x, &(struct row_report){r->line, t->name, "It must be a JSON object."});
            put_members(x, c.text);
        } else {
            cells[t->to] = c;
        }
    }
    return take_row(x, r->line, cells, &w, names, err);
}

static enum cell_kind cell_of(enum json_kind kind)
{
    switch (kind) {
    case JSON_KIND_STRING: return CELL_STRING;
    case JSON_KIND_NUMBER: return CELL_NUMBER;
    case JSON_KIND_BOOL: return CELL_BOOL;
    case JSON_KIND_NULL: return CELL_NULL;
    default: return CELL_JSON;
    }
}

static enum meros_code ndjson_row(struct importing *x, const struct ndjson_record *r, struct meros_err *err)
{
    const struct dataset_info *d = &datasets[x->options->dataset];
    struct cell cells[ROW_FIELDS_MAX] = {0};
    struct str names[ROW_FIELDS_MAX] = {0};
    char detail[200];
    struct jsonw w;
    if (r->fault != NULL) {
        snprintf(detail, sizeof detail, "%s (byte %zu of the line)", r->fault, r->fault_column);
        return reject(x, &(struct row_report){r->line, r->fault_member, detail});
    }
    start_row(x, &w);
    for (size_t k = 0; k < r->n; k++) {
        const struct ndjson_member *m = &r->members[k];
        struct target t = target_of(x, m->name);
        struct cell c = {cell_of(m->kind), m->text};
        if (t.to == TO_NOTHING || c.kind == CELL_NULL) continue;
        bool whole = (x->options->dataset == DATASET_EVENTS && t.to == EVENT_FIELD_PROPERTIES) ||
                     (t.to == TO_EXTRAS && d->extras != NULL && c.kind == CELL_JSON && str_is(t.extra, d->extras));
        if (whole) {
            if (!object_cell(&c)) return reject(x, &(struct row_report){r->line, m->name, "It must be a JSON object."});
            if (x->inner.len > 0) buf_char(&x->inner, ',');
            put_members(x, c.text);
        } else if (t.to == TO_EXTRAS) {
            if (!id_valid(t.extra))
                return reject(x, &(struct row_report){r->line, STR_NONE, "A name has 1 to 200 bytes and no control characters."});
            put_extra(&w, t.extra, &c);
        } else if (cells[t.to].kind != CELL_ABSENT) {
            return reject(x, &(struct row_report){r->line, m->name, "Two members of the object mean the same field."});
        } else {
            cells[t.to] = c;
            names[t.to] = m->name;
        }
    }
    return take_row(x, r->line, cells, &w, names, err);
}

static void tell(struct importing *x)
{
    if (x->progress != NULL && x->result->received % PROGRESS_EVERY == 0)
        x->progress(x->progress_arg, &(struct import_progress){x->result->received, x->result->rejected, 0});
}

static enum meros_code read_csv(struct importing *x, codec_read_fn read, void *arg, struct meros_err *err)
{
    struct str d = x->options->delimiter;
    struct csv_options options = {.latin1 = x->options->latin1};
    if (str_is(d, "tab") || str_is(d, "\\t")) options.delimiter = '\t';
    else if (d.n == 1) options.delimiter = d.p[0];
    else if (str_present(d)) return err_set(err, MEROS_INVALID, "delimiter must be one character, or the word tab.");
    struct csv_reader *r;
    struct csv_record record;
    struct str names[ROW_FIELDS_MAX] = {0};
    bool more;
    enum meros_code rc = csv_open(&options, read, arg, &r, err);
    if (rc != MEROS_OK) return rc;
    rc = csv_next(r, &record, &more, err);
    if (rc == MEROS_OK && !more) rc = err_set(err, MEROS_INVALID, "The body is empty; CSV begins with a header line.");
    if (rc == MEROS_OK) rc = read_header(x, &record, err);
    for (int f = 0; rc == MEROS_OK && f < ROW_FIELDS_MAX; f++)
        if (x->field_column[f] >= 0) names[f] = x->columns[x->field_column[f]].name;
    while (rc == MEROS_OK && (rc = csv_next(r, &record, &more, err)) == MEROS_OK && more) {
        x->result->received++;
        rc = csv_row(x, &record, names, err);
        tell(x);
    }
    csv_close(r);
    return rc;
}

static enum meros_code read_ndjson(struct importing *x, codec_read_fn read, void *arg, struct meros_err *err)
{
    struct ndjson_reader *r;
    struct ndjson_record record;
    bool more;
    if (x->options->latin1) return err_set(err, MEROS_INVALID, "NDJSON is UTF-8; charset=latin1 is for CSV.");
    if (str_present(x->options->delimiter)) return err_set(err, MEROS_INVALID, "NDJSON has no delimiter.");
    enum meros_code rc = ndjson_open(read, arg, &r, err);
    if (rc != MEROS_OK) return rc;
    while ((rc = ndjson_next(r, &record, &more, err)) == MEROS_OK && more) {
        x->result->received++;
        if ((rc = ndjson_row(x, &record, err)) != MEROS_OK) break;
        tell(x);
    }
    ndjson_close(r);
    return rc;
}

enum meros_code import_read(struct importing *x, codec_read_fn read, void *read_arg, struct meros_err *err)
{
    return x->options->format == IMPORT_CSV ? read_csv(x, read, read_arg, err) : read_ndjson(x, read, read_arg, err);
}
