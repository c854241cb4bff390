/* Names to numbers. A batch's names are looked up at once; where one is new or two turn out to be one person, the people
 * are put together in memory, item by item, and what follows (ids to make, visitors to name, customers to join) is then
 * written set-wise. */
#include "meros/store/identity.h"

#include <stdlib.h>
#include <string.h>
#include "identity_priv.h"
#include "imports_priv.h"
#include "meros/store/changed.h"

_Static_assert(CHANGED_ROW_MAX == 2000, "a note of changed customers is cut into rows of so many");

static const struct sql LOOK_UP = {"identity_look_up",
    "select i.customer_id, i.customer_no, (select c.anonymous from customers c where c.customer_no = i.customer_no) "
    "from customer_ids i where i.customer_id = any($1) order by i.customer_no", SQL_ROWS};
static const struct sql NUMBERS = {"identity_numbers", "select nextval('customer_nos') from generate_series(1, $1)", SQL_ROWS};
/* Ids come sorted, so that batches that make the same ones wait for each other and do not deadlock. Whoever is new is to be
 * judged, whatever they did. */
static const struct sql MAKE = {"identity_make",
    "with made as (insert into customers (customer_no, customer_id, anonymous) "
    "  select no, id, visitor <> 0 from unnest($3::bigint[], $4::text[], $5::bigint[]) as given (no, id, visitor)), "
    "noted as (insert into changed_customers (customers, customer_nos) "
    "  select count(*), array_agg(no) from unnest($3::bigint[]) with ordinality as given (no, place) group by (place - 1) / 2000) "
    "insert into customer_ids (customer_id, customer_no) select id, no from unnest($1::text[], $2::bigint[]) as given (id, no) "
    "on conflict do nothing returning customer_id", SQL_ROWS};
static const struct sql UNMAKE = {"identity_unmake", "delete from customers where customer_no = any($1)", SQL_NOTHING};
/* A visitor is named once: whoever comes second finds that it is none any more. Sorted, for the same reason. */
static const struct sql NAME = {"identity_name",
    "with given as materialized ("
    "  select g.no, g.id, g.visitor, g.was from unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[]) as g (no, id, visitor, was) "
    "  order by g.no), "
    "locked as materialized ("
    "  select g.* from given g cross join lateral "
    "    (select from customers k where k.customer_no = g.no and k.anonymous = (g.was <> 0) for no key update) k) "
    "update customers c set customer_id = l.id, anonymous = l.visitor <> 0, changed_at = now() "
    "from locked l where c.customer_no = l.no", SQL_NOTHING};

struct person { /* of whom the batch speaks: a customer that there is, or one to be made */
    size_t parent;   /* itself, or who it was joined into */
    int64_t no;      /* 0: to be made */
    struct str name; /* that answers will use; STR_NONE: as it is */
    bool visitor;
    bool was_visitor; /* the row of that number, as it is stored */
    bool stored;      /* there was a row of this person before the batch */
    bool made;        /* `no` is new */
    size_t n_names;   /* of a root: ids that are new */
};
struct name {
    struct str id;
    size_t person;
    bool stored;
    bool said_known; /* as a known id */
};
struct crowd {
    struct store_conn *c;
    struct arena *memory;
    struct name *names;
    struct person *people;
    struct idmap by_id; /* to the index in names */
    size_t n_names, n_people;
    bool news; /* something must be written */
};

static enum meros_code no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for the names of a batch.");
}

static enum meros_code overtaken(struct meros_err *err)
{
    return err_set(err, MEROS_UNAVAILABLE, "Another writer made or named the same customer at this moment; try again.");
}

static size_t root_of(const struct crowd *w, size_t p)
{
    while (w->people[p].parent != p) p = w->people[p].parent;
    return p;
}

static enum meros_code add_name(struct crowd *w, struct str id, bool known, struct meros_err *err)
{
    bool added;
    int64_t *at = idmap_put(&w->by_id, id, (int64_t)w->n_names, &added);
    if (at == NULL) return no_memory(err);
    if (added) w->names[w->n_names++] = (struct name){.id = id, .person = SIZE_MAX};
    w->names[*at].said_known |= known;
    return MEROS_OK;
}

/* The distinct names of the items. */
static enum meros_code gather(struct crowd *w, const struct identity_item *items, size_t n, struct meros_err *err)
{
    w->names = arena_array(w->memory, 2 * n, sizeof *w->names);
    w->people = arena_array(w->memory, 2 * n, sizeof *w->people);
    if (w->names == NULL || w->people == NULL) return no_memory(err);
    for (size_t k = 0; k < n; k++) {
        TRY(add_name(w, items[k].id, !items[k].anonymous, err));
        if (str_present(items[k].other)) TRY(add_name(w, items[k].other, false, err));
    }
    return MEROS_OK;
}

/* What is stored of the names, ordered by customer: each customer once in `people`. */
static enum meros_code look_up(struct crowd *w, struct meros_err *err)
{
    struct str *ids = arena_array(w->memory, w->n_names, sizeof *ids);
    struct rows r;
    if (ids == NULL) return no_memory(err);
    for (size_t k = 0; k < w->n_names; k++) ids[k] = w->names[k].id;
    TRY(sql_exec(w->c, &LOOK_UP, &r, err, P_TEXTS(ids, w->n_names)));
    for (size_t k = 0; k < r.n; k++) {
        struct name *name = &w->names[*idmap_get(&w->by_id, rows_text(&r, k, 0))];
        int64_t no = rows_int(&r, k, 1);
        bool visitor = rows_bool(&r, k, 2);
        if (w->n_people == 0 || w->people[w->n_people - 1].no != no) {
            w->people[w->n_people] = (struct person){.parent = w->n_people, .no = no, .visitor = visitor, .was_visitor = visitor, .stored = true};
            w->n_people++;
        }
        name->person = w->n_people - 1;
        name->stored = true;
        w->news |= visitor && name->said_known;
    }
    w->news |= r.n < w->n_names;
    rows_done(&r);
    for (size_t k = 0; k < w->n_names; k++) {
        if (w->names[k].stored) continue;
        w->names[k].person = w->n_people;
        w->people[w->n_people] = (struct person){.parent = w->n_people, .name = w->names[k].id, .visitor = true};
        w->n_people++;
    }
    return MEROS_OK;
}

static size_t person_of(struct crowd *w, struct str id)
{
    return root_of(w, w->names[*idmap_get(&w->by_id, id)].person);
}

/* Who has no number yet takes that of the other, history and all: then nothing needs to move. */
static void put_together(struct crowd *w, size_t from, size_t into)
{
    struct person *f = &w->people[from], *p = &w->people[into];
    f->parent = into;
    if (p->no == 0 && f->no != 0) {
        p->no = f->no;
        p->was_visitor = f->was_visitor;
    }
    w->news = true;
}

/* What one item says, by the rules of the header. */
static void hear(struct crowd *w, const struct identity_item *item)
{
    size_t p = person_of(w, item->id), q;
    if (!item->anonymous && w->people[p].visitor) {
        w->people[p].visitor = false;
        w->people[p].name = item->id;
    }
    if (!str_present(item->other) || (q = person_of(w, item->other)) == p) return;
    if (item->alias) {
        bool backwards = w->people[p].visitor && !w->people[q].visitor;
        put_together(w, backwards ? p : q, backwards ? q : p);
    } else if (!item->anonymous && w->people[q].visitor) {
        put_together(w, q, p);
    }
}

/* --- writing */
struct writing { /* arrays of parameters */
    struct str *ids, *made_names, *names;
    int64_t *nos, *made_nos, *made_visitor, *named_nos, *named_visitor, *named_was, *from, *into;
    size_t *roots; /* of joins: the survivor among the people */
    size_t n_ids, n_made, n_named, n_joins;
};

static bool make_room(struct crowd *w, struct writing *x)
{
    struct str **const texts[] = {&x->ids, &x->made_names, &x->names};
    int64_t **const ints[] = {&x->nos, &x->made_nos, &x->made_visitor, &x->named_nos, &x->named_visitor, &x->named_was, &x->from, &x->into};
    for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++)
        if ((*texts[k] = arena_array(w->memory, w->n_people + 1, sizeof **texts[k])) == NULL) return false;
    for (size_t k = 0; k < sizeof ints / sizeof ints[0]; k++)
        if ((*ints[k] = arena_array(w->memory, w->n_people + 1, sizeof **ints[k])) == NULL) return false;
    return (x->roots = arena_array(w->memory, w->n_people + 1, sizeof *x->roots)) != NULL;
}

static enum meros_code number_people(struct crowd *w, struct writing *x, struct meros_err *err)
{
    struct rows r;
    size_t n = 0, next = 0;
    for (size_t p = 0; p < w->n_people; p++) n += w->people[p].parent == p && w->people[p].no == 0;
    if (n == 0) return MEROS_OK;
    TRY(sql_exec(w->c, &NUMBERS, &r, err, P_INT((int64_t)n)));
    for (size_t p = 0; p < w->n_people; p++) {
        struct person *person = &w->people[p];
        if (person->parent != p || person->no != 0) continue;
        person->no = rows_int(&r, next++, 0);
        person->made = true;
        x->made_nos[x->n_made] = person->no;
        x->made_names[x->n_made] = person->name;
        x->made_visitor[x->n_made++] = person->visitor;
    }
    rows_done(&r);
    return MEROS_OK;
}

static int by_bytes(const void *a, const void *b)
{
    const struct name *x = a, *y = b;
    int c = memcmp(x->id.p, y->id.p, x->id.n < y->id.n ? x->id.n : y->id.n);
    return c != 0 ? c : (x->id.n > y->id.n) - (x->id.n < y->id.n);
}

/* An id that another writer made meanwhile: whoever it now names is taken, unless the batch had more to say of it. */
static enum meros_code adopt(struct crowd *w, struct rows *made, struct meros_err *err)
{
    struct str *missing = arena_array(w->memory, w->n_names, sizeof *missing);
    int64_t *orphans = arena_array(w->memory, w->n_names, sizeof *orphans);
    struct rows r;
    size_t n = 0;
    if (missing == NULL || orphans == NULL) return no_memory(err);
    for (size_t k = 0; k < made->n; k++) w->names[*idmap_get(&w->by_id, rows_text(made, k, 0))].stored = true;
    for (size_t k = 0; k < w->n_names; k++) {
        const struct name *name = &w->names[k];
        if (name->stored) continue;
        const struct person *p = &w->people[root_of(w, name->person)];
        if (!p->made || p->n_names != 1 || p != &w->people[name->person]) return overtaken(err);
        orphans[n] = p->no;
        missing[n++] = name->id;
    }
    TRY(sql_exec(w->c, &UNMAKE, NULL, err, P_INTS(orphans, n)));
    TRY(sql_exec(w->c, &LOOK_UP, &r, err, P_TEXTS(missing, n)));
    bool all = r.n == n;
    for (size_t k = 0; k < r.n; k++) {
        const struct name *name = &w->names[*idmap_get(&w->by_id, rows_text(&r, k, 0))];
        w->people[name->person].no = rows_int(&r, k, 1);
        all &= !(rows_bool(&r, k, 2) && name->said_known); /* it would have to be named */
    }
    rows_done(&r);
    return all ? MEROS_OK : overtaken(err);
}

/* Makes the ids that are new, and the customers behind them. */
static enum meros_code make_ids(struct crowd *w, struct writing *x, struct meros_err *err)
{
    struct rows r;
    struct name *sorted = arena_array(w->memory, w->n_names, sizeof *sorted);
    if (sorted == NULL) return no_memory(err);
    for (size_t k = 0; k < w->n_names; k++) {
        if (w->names[k].stored) continue;
        w->people[root_of(w, w->names[k].person)].n_names++;
        sorted[x->n_ids++] = w->names[k];
    }
    if (x->n_ids == 0) return MEROS_OK;
    qsort(sorted, x->n_ids, sizeof *sorted, by_bytes);
    for (size_t k = 0; k < x->n_ids; k++) {
        x->ids[k] = sorted[k].id;
        x->nos[k] = w->people[root_of(w, sorted[k].person)].no;
    }
    TRY(sql_exec(w->c, &MAKE, &r, err, P_TEXTS(x->ids, x->n_ids), P_INTS(x->nos, x->n_ids), P_INTS(x->made_nos, x->n_made),
                 P_TEXTS(x->made_names, x->n_made), P_INTS(x->made_visitor, x->n_made)));
    enum meros_code rc = r.n == x->n_ids ? MEROS_OK : adopt(w, &r, err);
    rows_done(&r);
    return rc;
}

static enum meros_code name_people(struct crowd *w, struct writing *x, struct meros_err *err)
{
    struct rows r;
    for (size_t p = 0; p < w->n_people; p++) {
        const struct person *person = &w->people[p];
        if (person->parent != p || person->made || !str_present(person->name)) continue;
        x->named_nos[x->n_named] = person->no;
        x->names[x->n_named] = person->name;
        x->named_visitor[x->n_named] = person->visitor;
        x->named_was[x->n_named++] = person->was_visitor;
    }
    if (x->n_named == 0) return MEROS_OK;
    TRY(sql_exec(w->c, &NAME, &r, err, P_INTS(x->named_nos, x->n_named), P_TEXTS(x->names, x->n_named),
                 P_INTS(x->named_visitor, x->n_named), P_INTS(x->named_was, x->n_named)));
    bool all = (size_t)r.affected == x->n_named;
    rows_done(&r);
    return all ? MEROS_OK : overtaken(err);
}

static void list_joins(const struct crowd *w, struct writing *x)
{
    for (size_t p = 0; p < w->n_people; p++) {
        const struct person *person = &w->people[p];
        const size_t root = root_of(w, p);
        if (!person->stored || person->no == w->people[root].no) continue;
        x->from[x->n_joins] = person->no;
        x->roots[x->n_joins] = root;
        x->into[x->n_joins++] = w->people[root].no;
    }
}

/* Survivors go on under the number whose history was the larger. */
static enum meros_code join_people(struct crowd *w, struct writing *x, struct identity_outcome *out, struct meros_err *err)
{
    if (x->n_joins == 0) return MEROS_OK;
    TRY(identity_move(w->c, x->from, x->into, x->n_joins, IDENTITY_SPARE, w->memory, out, err));
    for (size_t k = 0; k < x->n_joins; k++) w->people[x->roots[k]].no = x->into[k];
    return MEROS_OK;
}

static enum meros_code write(struct crowd *w, bool exclusive, struct identity_outcome *out, struct meros_err *err)
{
    struct writing x = {0};
    if (!make_room(w, &x)) return no_memory(err);
    list_joins(w, &x);
    if (x.n_joins > 0 && !exclusive) {
        out->exclusive = true;
        return MEROS_OK;
    }
    TRY(number_people(w, &x, err));
    TRY(make_ids(w, &x, err));
    TRY(name_people(w, &x, err));
    TRY(join_people(w, &x, out, err));
    out->made = x.n_made;
    out->named = x.n_named;
    return MEROS_OK;
}

static enum meros_code resolve(struct crowd *w, bool exclusive, struct identity_item *items, size_t n,
                               struct identity_outcome *out, struct meros_err *err)
{
    TRY(gather(w, items, n, err));
    TRY(look_up(w, err));
    for (size_t k = 0; k < n; k++)
        if (w->news || str_present(items[k].other)) hear(w, &items[k]);
    if (w->news) TRY(write(w, exclusive, out, err));
    for (size_t k = 0; k < n && !out->exclusive; k++) items[k].customer_no = w->people[person_of(w, items[k].id)].no;
    return MEROS_OK;
}

enum meros_code identity_resolve(struct store_conn *c, bool exclusive, struct identity_item *items, size_t n,
                                 struct arena *memory, struct identity_outcome *out, struct meros_err *err)
{
    struct crowd w = {.c = c, .memory = memory};
    *out = (struct identity_outcome){0};
    if (n == 0) return MEROS_OK;
    idmap_init(&w.by_id, true);
    enum meros_code rc = resolve(&w, exclusive, items, n, out, err);
    idmap_done(&w.by_id);
    return rc;
}

enum meros_code identity_join(struct store_conn *c, int64_t from_no, int64_t into_no, struct arena *memory,
                              struct identity_outcome *out, struct meros_err *err)
{
    *out = (struct identity_outcome){0};
    if (from_no == into_no) return MEROS_OK;
    return identity_move(c, &from_no, &into_no, 1, IDENTITY_SPARE, memory, out, err);
}
