/* A click that names the answer and the place, as a page that knows nothing else sends it, is about the product that stood there:
 * the event is kept with it, so that it counts as what the customer likes. Done before the event has its identity, from nothing
 * but the event's own content, so the same event sent again is the same one. */
#include "reco_click_priv.h"

#include <string.h>
#include "meros/codec/json.h"
#include "meros/service/catalog.h"
#include "meros/service/recommendation_id.h"

static int64_t slot_of(const struct json *properties)
{
    static const char *const names[] = {"slot", "position"};
    int64_t slot = 0;
    for (int i = 0; i < 2 && slot == 0; i++) {
        const struct json *v = json_get(properties, names[i]);
        if (json_is_int(v)) slot = json_int(v);
        else if (json_kind(v) == JSON_KIND_STRING && !str_to_int64(json_str(v), &slot)) slot = 0;
    }
    return slot;
}

static int64_t product_of(struct service *svc, const struct json *properties)
{
    struct recommendation_parts p;
    const int64_t slot = slot_of(properties);
    const struct str id = json_str(json_get(properties, "recommendation_id"));
    if (slot < 1 || !str_present(id) || !recommendation_id_read(svc, id, &p)) return 0;
    return (uint64_t)slot <= p.n ? p.picks[slot - 1].product_no : 0;
}

struct str reco_click_product(struct service *svc, const struct event_row *e, char to[ID_MAX + 1])
{
    struct json *properties = NULL;
    struct meros_err err = MEROS_ERR_INIT;
    struct str found = STR_NONE;
    if (!reco_click_wanting(e) || svc->catalog == NULL) return STR_NONE;
    if (json_parse(e->properties.p, e->properties.n, &properties, &err) != MEROS_OK) return STR_NONE;
    const int64_t no = product_of(svc, properties);
    json_free(properties);
    if (no == 0) return STR_NONE;
    const struct catalog *c = catalog_read_begin(svc);
    const uint32_t slot = catalog_find_no(c, no);
    if (slot != CATALOG_NONE && str_copy(to, ID_MAX + 1, catalog_at(c, slot)->product_id))
        found = (struct str){to, catalog_at(c, slot)->product_id.n};
    catalog_read_end(svc);
    return found;
}
