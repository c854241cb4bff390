/* Whether a rule speaks of a product. */
#include <stdlib.h>
#include "reco_rules_priv.h"

bool reco_rule_matches(const struct reco_rule *r, const struct catalog_product *p)
{
    if (r->n_products > 0 && bsearch(&p->product_id, r->product_ids, r->n_products, sizeof *r->product_ids, reco_rule_by_id) == NULL) return false;
    if (str_present(r->category) && !catalog_in_category(p, r->category)) return false;
    return !str_present(r->attribute) || catalog_has_attribute(p, &r->wanted);
}
