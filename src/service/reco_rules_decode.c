/* From a definition to a rule. */
#include <stdio.h>
#include <stdlib.h>
#include "reco_rules_priv.h"
#include "meros/service/recommend.h" /* RECOMMEND_LIMIT_MAX */

const char *const reco_rule_kind_words[] = {[RECO_BLOCK] = "block", [RECO_PIN] = "pin", [RECO_PROMOTE] = "promote", NULL};

static enum meros_code no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for the rule.");
}

static bool copy(struct arena *arena, struct str *s)
{
    if (!str_present(*s)) return true;
    s->p = arena_strndup(arena, s->p, s->n);
    return s->p != NULL;
}

static enum meros_code decode_products(const struct json *list, struct arena *arena, struct reco_rule *out, struct meros_err *err)
{
    char pointer[32];
    const size_t n = json_count(list);
    struct str *ids = arena_array(arena, n + 1, sizeof *ids);
    if (ids == NULL) return no_memory(err);
    for (size_t i = 0; i < n; i++) {
        ids[i] = json_str(json_at(list, i));
        snprintf(pointer, sizeof pointer, "/products/%zu", i);
        if (!str_present(ids[i]) || !id_valid(ids[i])) return err_field(err, pointer, "must be the id of a product");
        if (!copy(arena, &ids[i])) return no_memory(err);
    }
    qsort(ids, n, sizeof *ids, reco_rule_by_id);
    out->n_products = 0;
    for (size_t i = 0; i < n; i++)
        if (i == 0 || reco_rule_by_id(&ids[i], &ids[i - 1]) != 0) ids[out->n_products++] = ids[i];
    out->product_ids = ids;
    return MEROS_OK;
}

/* An object {"name", "value"}. */
static enum meros_code decode_attribute(const struct json *v, struct reco_rule *out, struct meros_err *err)
{
    struct json_obj o;
    json_obj_begin(&o, v, "/attribute", err);
    out->attribute = json_obj_str(&o, "name", JSON_REQUIRED, RECO_RULE_TEXT_MAX);
    out->value = json_obj_str(&o, "value", JSON_REQUIRED, RECO_RULE_TEXT_MAX);
    if (str_present(out->attribute) && out->attribute.n == 0) json_obj_fault(&o, "name", "must not be empty");
    return json_obj_end(&o);
}

static void forbid(struct json_obj *o, const char *name, const char *what)
{
    if (json_obj_any(o, name, 0) != NULL) json_obj_fault(o, name, "%s", what);
}

static struct str category(struct json_obj *o, const char *name)
{
    const struct str s = json_obj_str(o, name, 0, RECO_RULE_TEXT_MAX);
    if (str_present(s) && s.n == 0) json_obj_fault(o, name, "must not be empty");
    return s;
}

/* What only one kind has; a member of another kind is refused where it stands, for a rule that seems to do something and does not
 * is worse than none. */
static void decode_kind(struct json_obj *o, struct reco_rule *out, const struct json *products, bool attribute)
{
    if (out->kind == RECO_PIN) {
        if (json_count(products) != 1) json_obj_fault(o, "products", "must name exactly one product");
        out->place = (int)json_obj_int(o, "place", JSON_REQUIRED, 1, RECOMMEND_LIMIT_MAX, 1);
        out->within = category(o, "within");
        if (str_present(out->category)) json_obj_fault(o, "category", "a pin names one product; `within` says in which answers");
        if (attribute) json_obj_fault(o, "attribute", "a pin names one product");
        forbid(o, "share", "belongs to promotions");
        return;
    }
    if (json_count(products) == 0 && !str_present(out->category) && !attribute)
        json_obj_fault(o, "products", "one of products, category and attribute is needed");
    if (out->kind == RECO_PROMOTE) {
        out->share = json_obj_num(o, "share", JSON_REQUIRED, 0, 1, 1);
        if (!(out->share > 0)) json_obj_fault(o, "share", "must be above 0");
    } else {
        forbid(o, "share", "belongs to promotions");
    }
    forbid(o, "place", "belongs to pins");
    forbid(o, "within", "belongs to pins");
}

enum meros_code reco_rule_decode(const struct json *definition, struct arena *arena, struct reco_rule *out, struct meros_err *err)
{
    struct json_obj o;
    struct reco_rule r = {.name = out->name, .category = STR_NONE, .attribute = STR_NONE, .value = STR_NONE, .within = STR_NONE};
    json_obj_begin(&o, definition, "", err);
    r.kind = (enum reco_rule_kind)json_obj_enum(&o, "kind", JSON_REQUIRED, reco_rule_kind_words, RECO_BLOCK);
    const struct json *products = json_obj_array(&o, "products", 0, RECO_RULE_PRODUCTS_MAX);
    const struct json *attribute = json_obj_object(&o, "attribute", 0);
    r.category = category(&o, "category");
    r.starts_at = json_obj_time(&o, "starts_at", JSON_NULLABLE, TIME_NONE);
    r.ends_at = json_obj_time(&o, "ends_at", JSON_NULLABLE, TIME_NONE);
    if (r.starts_at != TIME_NONE && r.ends_at != TIME_NONE && r.ends_at <= r.starts_at)
        json_obj_fault(&o, "ends_at", "must lie after starts_at");
    if (!o.failed) decode_kind(&o, &r, products, attribute != NULL);
    enum meros_code rc = json_obj_end(&o);
    if (rc == MEROS_OK && attribute != NULL) rc = decode_attribute(attribute, &r, err);
    if (rc == MEROS_OK && products != NULL) rc = decode_products(products, arena, &r, err);
    if (rc != MEROS_OK) return rc;
    if (!copy(arena, &r.category) || !copy(arena, &r.attribute) || !copy(arena, &r.value) || !copy(arena, &r.within)) return no_memory(err);
    if (str_present(r.attribute)) r.wanted = catalog_attribute_of(r.attribute, r.value);
    *out = r;
    return MEROS_OK;
}
