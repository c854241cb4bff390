/* Products that read alike: the catalogue's texts as terms, and the nearest of each product. */
#include "reco_content_priv.h"

#include <stdlib.h>

#include "meros/codec/json.h"
#include "meros/feature/text.h"
#include "meros/ml/tfidf.h"
#include "meros/store/products.h"

/* A word of the name tells what a product is; one of the description may tell anything. */
#define NAME_WEIGHT 3
#define CATEGORY_WEIGHT 2
#define ATTRIBUTE_WEIGHT 1
#define DESCRIPTION_WEIGHT 1

enum { PAGE = 2000 };

struct reading {
    struct reco_texts *x;
    int64_t last; /* product_no */
    size_t seen;
};

static enum meros_code no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory while reading the catalogue.");
}

static void add_value(struct text_corpus *c, struct str name, const struct json *v)
{
    char number[32];
    switch (json_kind(v)) {
    case JSON_KIND_STRING: text_corpus_pair(c, name, json_str(v), ATTRIBUTE_WEIGHT); break;
    case JSON_KIND_NUMBER:
        text_corpus_pair(c, name, (struct str){number, json_number_text(json_num(v), number)}, ATTRIBUTE_WEIGHT);
        break;
    case JSON_KIND_BOOL: text_corpus_pair(c, name, json_bool(v) ? STR("true") : STR("false"), ATTRIBUTE_WEIGHT); break;
    default: break; /* an object says nothing by itself */
    }
}

static enum meros_code add_attributes(struct text_corpus *c, struct str text, struct meros_err *err)
{
    struct json *all = NULL;
    const struct json *v;
    const void *at = NULL;
    struct str name;
    enum meros_code rc = json_parse_stored(text.p, text.n, &all, err);
    while (rc == MEROS_OK && json_next(all, &at, &name, &v)) {
        if (json_kind(v) != JSON_KIND_ARRAY) add_value(c, name, v);
        else
            for (size_t i = 0; i < json_count(v); i++) add_value(c, name, json_at(v, i));
    }
    json_free(all);
    return rc;
}

static enum meros_code add_product(void *arg, const struct product_record *p, struct meros_err *err)
{
    struct reading *r = arg;
    struct reco_texts *x = r->x;
    r->last = p->product_no;
    r->seen++;
    const bool attributes = p->attributes.n > 2; /* not {} */
    if (p->name.n == 0 && p->category.n == 0 && p->description.n == 0 && !attributes) return MEROS_OK;
    if (x->n == x->cap) {
        const size_t cap = x->cap == 0 ? 4096 : 2 * x->cap;
        int64_t *more = realloc(x->product_no, cap * sizeof *more);
        if (more == NULL) return no_memory(err);
        x->product_no = more;
        x->cap = cap;
    }
    x->product_no[x->n++] = p->product_no;
    text_corpus_document(x->corpus);
    if (p->name.n > 0) text_corpus_words(x->corpus, p->name, NAME_WEIGHT);
    if (p->category.n > 0) text_corpus_path(x->corpus, p->category, CATEGORY_WEIGHT);
    if (p->description.n > 0) text_corpus_words(x->corpus, p->description, DESCRIPTION_WEIGHT);
    return attributes ? add_attributes(x->corpus, p->attributes, err) : MEROS_OK;
}

enum meros_code reco_texts_read(struct reco_texts *x, struct training *t, const struct reco_data *d, struct meros_err *err)
{
    struct reading r = {.x = x};
    x->corpus = text_corpus_new(reco_data_left(d));
    if (x->corpus == NULL) return no_memory(err);
    for (;;) {
        const size_t before = r.seen;
        enum meros_code rc = products_list(t->conn, r.last, PAGE, add_product, &r, err);
        if (rc == MEROS_OK) rc = training_step(t, 0.2 + 0.05 * (double)r.seen / (double)(r.seen + 100000), "extracting", err);
        if (rc != MEROS_OK || r.seen == before) return rc;
    }
}

/* The table of documents as one of items: a document's number grows with its item's, so rows stay in their order. */
static enum meros_code of_items(const struct reco_texts *x, const struct reco_data *d, struct neighbours *n, struct meros_err *err)
{
    size_t *start = malloc((d->items + 1) * sizeof *start);
    uint32_t *item = malloc((x->n + 1) * sizeof *item);
    if (start == NULL || item == NULL) {
        free(start);
        free(item);
        return no_memory(err);
    }
    for (size_t i = 0; i < x->n; i++) item[i] = reco_data_item(d, x->product_no[i]);
    for (size_t e = 0; e < n->n; e++) n->item[e] = item[n->item[e]];
    for (size_t i = 0, document = 0; i <= d->items; i++) {
        start[i] = n->start[document];
        if (document < x->n && item[document] == i) document++;
    }
    free(n->start);
    free(item);
    n->start = start;
    n->items = d->items;
    return MEROS_OK;
}

enum meros_code reco_texts_fit(struct reco_texts *x, struct training *t, struct reco_data *d, struct meros_err *err)
{
    const struct tfidf_params params = TFIDF_PARAMS_DEFAULT;
    struct training_part part = {t, 0.25, 0.3, "reading texts"};
    struct ml_run run = training_ml_run(&part, d->bytes);
    struct interactions counts = {0};
    struct neighbours alike = {0};
    d->texts = x->n;
    if (x->n < 2) return MEROS_OK;
    enum meros_code rc = text_corpus_counts(x->corpus, &counts, err);
    text_corpus_free(x->corpus); /* the counts say the same */
    x->corpus = NULL;
    if (rc == MEROS_OK) rc = tfidf_fit(&counts, &params, &run, &alike, err);
    if (rc == MEROS_OK) rc = of_items(x, d, &alike, err);
    if (rc == MEROS_OK) {
        d->content = alike;
        d->bytes += (alike.items + 1) * sizeof *alike.start + alike.n * (sizeof *alike.item + sizeof *alike.score);
    } else {
        neighbours_done(&alike);
    }
    interactions_done(&counts);
    return rc;
}

void reco_texts_done(struct reco_texts *x)
{
    text_corpus_free(x->corpus);
    free(x->product_no);
    *x = (struct reco_texts){0};
}
