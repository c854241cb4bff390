#include "dialect_support.h"
#include "meros/service/dialect_posthog.h"
#include "wire_bodies.h"

static enum meros_code decode(const char *text)
{
    struct posthog_body body;
    dialect_fresh();
    enum meros_code rc = posthog_open(str_of(text), &body, &failure);
    return rc != MEROS_OK ? rc : posthog_decode(&decoded, &body, &failure);
}

#define tells(body, want)                                        \
    do {                                                         \
        cr_assert_eq(decode(body), MEROS_OK, "%s", failure.detail); \
        cr_assert_str_eq(story(), want);                         \
    } while (0)
#define ONE(members) "{\"api_key\":\"k\",\"batch\":[{\"distinct_id\":\"u\",\"uuid\":\"m\"," members "}]}"

Test(posthog, node_sends_events_traits_aliases_and_groups)
{
    tells(wire_posthog,
          "event u-1 type=purchase id=3fa85f64-5717-4562-b3fc-2c963f66afa6 at=2025-05-01T12:03:34.111Z value=25.5 properties={\"revenue\":25.5,\"currency\":\"EUR\"}\n"
          "traits u-1 email=a@x.io\n"
          "alias u-1 previous=anon-1\n"
          "rejected 3 unsupported /batch/3/event\n");
}

Test(posthog, the_key_is_in_the_body_as_api_key_or_token)
{
    struct posthog_body body;
    cr_assert_eq(posthog_open(str_of(wire_posthog), &body, &failure), MEROS_OK);
    cr_assert(str_is(body.api_key, "phc_KEY_3"));
    cr_assert_eq(posthog_open(str_of(wire_posthog_flags), &body, &failure), MEROS_OK);
    cr_assert(str_is(body.api_key, "phc_KEY_3"));
    cr_assert_eq(decode("nonsense"), MEROS_INVALID);
    cr_assert_eq(decode("{\"batch\":7}"), MEROS_INVALID);
}

Test(posthog, an_event_may_tell_of_the_person_too)
{
    tells(ONE("\"event\":\"Product Viewed\",\"properties\":{\"product_id\":\"p\",\"$current_url\":\"https://x/\",\"$lib\":\"l\",\"$set\":{\"plan\":\"b\"},\"$set_once\":{\"plan\":\"a\",\"first\":1}}"),
          "traits u attributes={\"first\":1,\"plan\":\"b\"}\n"
          "event u type=product_viewed id=m at=2026-11-21T21:00:30Z product=p properties={\"product_id\":\"p\",\"$current_url\":\"https://x/\"}\n");
    tells(ONE("\"event\":\"$pageview\",\"properties\":{}"), "event u type=page_viewed id=m at=2026-11-21T21:00:30Z\n");
}

Test(posthog, a_person_without_a_profile_is_a_visitor_until_identified)
{
    tells(ONE("\"event\":\"x\",\"properties\":{\"$process_person_profile\":false}"), "event u is=anonymous type=x id=m at=2026-11-21T21:00:30Z\n");
    tells(ONE("\"event\":\"x\",\"properties\":{\"$device_id\":\"u\"}"), "event u is=anonymous type=x id=m at=2026-11-21T21:00:30Z\n");
    tells(ONE("\"event\":\"$identify\",\"properties\":{\"$anon_distinct_id\":\"a\"}"), "traits u anonymous=a\n");
}

Test(posthog, what_is_wrong_spoils_only_its_own_event)
{
    tells("{\"batch\":[{\"event\":\"x\"},{\"distinct_id\":\"u\"},{\"event\":\"x\",\"distinct_id\":\"u\",\"uuid\":\"m\",\"properties\":3},4,{\"event\":\"ok\",\"distinct_id\":\"u\",\"uuid\":\"n\"}]}",
          "event u type=ok id=n at=2026-11-21T21:00:30Z\n"
          "rejected 0 missing_distinct_id /batch/0/distinct_id\nrejected 1 missing_event /batch/1/event\nrejected 2 invalid_properties /batch/2/properties\n"
          "rejected 3 invalid_message /batch/3\n");
    tells("{\"event\":\"x\",\"distinct_id\":\"u\",\"uuid\":\"m\",\"timestamp\":\"2026-11-21T20:00:00Z\"}", "event u type=x id=m at=2026-11-21T20:00:00Z\n");
}
