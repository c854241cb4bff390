#include "dialect_support.h"
#include "meros/service/dialect_ga4.h"

static void decode(const char *text, bool pedantic)
{
    dialect_fresh();
    cr_assert_eq(ga4_decode(&decoded, str_of(text), pedantic, &failure), MEROS_OK, "%s", failure.detail);
}

#define tells(body, want)                \
    do {                                 \
        decode(body, false);             \
        cr_assert_str_eq(story(), want); \
    } while (0)
#define ONE(event) "{\"client_id\":\"c\",\"user_id\":\"u\",\"timestamp_micros\":\"1795291200000000\",\"events\":[" event "]}"
#define WHO "event u anonymous=c type="
#define AT " at=2026-11-21T20:00:00Z"

Test(ga4, a_purchase_is_an_order_and_a_refund_takes_it_back)
{
    tells(ONE("{\"name\":\"purchase\",\"params\":{\"transaction_id\":\"T1\",\"value\":30.03,\"currency\":\"EUR\",\"tax\":4.9,\"items\":["
              "{\"item_id\":\"p1\",\"item_name\":\"Tea\",\"price\":10.01,\"quantity\":3,\"item_category\":\"Food\",\"item_category2\":\"Tea\",\"item_brand\":\"B\",\"index\":0}]}}"),
          WHO "order_completed" AT " value=30.03 properties={\"order_id\":\"T1\",\"products\":[{\"product_id\":\"p1\",\"category\":\"Food/Tea\",\"name\":\"Tea\","
              "\"price\":10.01,\"quantity\":3,\"brand\":\"B\",\"position\":0}],\"revenue\":30.03,\"value\":30.03,\"currency\":\"EUR\",\"tax\":4.9}\n");
    tells(ONE("{\"name\":\"refund\",\"params\":{\"transaction_id\":\"T1\",\"items\":[{\"item_id\":\"p1\",\"quantity\":1}]}}"),
          WHO "order_refunded" AT " properties={\"order_id\":\"T1\",\"products\":[{\"product_id\":\"p1\",\"quantity\":1}]}\n");
    tells(ONE("{\"name\":\"refund\",\"params\":{\"transaction_id\":\"T1\"}}"), WHO "order_refunded" AT " properties={\"order_id\":\"T1\"}\n");
    tells(ONE("{\"name\":\"purchase\",\"params\":{\"value\":1}}"), "rejected 0 missing_order_id /events/0/params\n");
}

Test(ga4, several_items_that_were_viewed_are_several_events)
{
    tells(ONE("{\"name\":\"add_to_cart\",\"params\":{\"currency\":\"EUR\",\"items\":[{\"item_id\":\"p1\",\"price\":2,\"quantity\":2},{\"item_id\":\"p2\",\"item_name\":\"T\"}]}}"),
          WHO "product_added" AT " product=p1 value=4 quantity=2 properties={\"product_id\":\"p1\",\"price\":2,\"quantity\":2,\"currency\":\"EUR\"}\n"
          WHO "product_added" AT " product=p2 properties={\"product_id\":\"p2\",\"name\":\"T\",\"currency\":\"EUR\"}\n");
    tells(ONE("{\"name\":\"view_item\",\"params\":{}}"), WHO "product_viewed" AT "\n");
}

Test(ga4, items_that_are_none_are_refused_where_they_would_be_read)
{
    tells(ONE("{\"name\":\"purchase\",\"params\":{\"transaction_id\":\"T1\",\"items\":\"p1\"}}"), "rejected 0 VALUE_INVALID /events/0/params/items\n");
    tells(ONE("{\"name\":\"view_item\",\"params\":{\"items\":[{\"item_id\":\"p1\"},\"p2\"]}}"), "rejected 0 VALUE_INVALID /events/0/params/items/1\n");
    tells(ONE("{\"name\":\"refund\",\"params\":{\"transaction_id\":\"T1\",\"items\":{\"item_id\":\"p1\"}}}"), "rejected 0 VALUE_INVALID /events/0/params/items\n");
    tells(ONE("{\"name\":\"my_own\",\"params\":{\"items\":3}}"), WHO "my_own" AT "\n");
    decode(ONE("{\"name\":\"view_item\",\"params\":{\"items\":[{\"price\":1}]}}"), true);
    cr_assert_str_eq(story(), "rejected 0 VALUE_REQUIRED /events/0/params/items/0\n");
}

Test(ga4, names_become_ours_and_others_stay)
{
    tells(ONE("{\"name\":\"search\",\"params\":{\"search_term\":\"tea\"}},{\"name\":\"page_view\",\"params\":{\"page_location\":\"https://x/\"}},"
              "{\"name\":\"begin_checkout\"},{\"name\":\"select_item\",\"params\":{\"items\":[{\"item_name\":\"Tea\"}]}},{\"name\":\"tutorial_begin\",\"timestamp_micros\":1795287600000000}"),
          WHO "searched" AT " properties={\"query\":\"tea\",\"search_term\":\"tea\"}\n"
          WHO "page_viewed" AT " properties={\"page_location\":\"https://x/\"}\n"
          WHO "checkout_started" AT "\n"
          WHO "Product Clicked" AT " product=Tea properties={\"product_id\":\"Tea\",\"name\":\"Tea\"}\n"
          WHO "tutorial_begin at=2026-11-21T19:00:00Z\n");
}

Test(ga4, user_properties_and_consent_are_the_persons)
{
    tells("{\"client_id\":\"c\",\"user_properties\":{\"plan\":{\"value\":\"pro\"},\"old\":{\"value\":null}},\"consent\":{\"ad_user_data\":\"DENIED\",\"ad_personalization\":\"GRANTED\"},"
          "\"events\":[{\"name\":\"x\"}]}",
          "event c is=anonymous type=x at=2026-11-21T21:00:30Z\n"
          "traits c is=anonymous attributes={\"plan\":\"pro\",\"old\":null} consent={\"marketing\":true,\"sale\":false}\n");
    tells("{\"app_instance_id\":\"i\",\"events\":[{\"name\":\"x\"}]}", "event i is=anonymous type=x at=2026-11-21T21:00:30Z\n");
}

Test(ga4, what_is_wrong_is_told_in_googles_words)
{
    tells("{\"client_id\":\"c\",\"events\":[{\"name\":\"\"},{\"name\":\"9x\"},{\"name\":\"session_start\"},{\"name\":\"x\",\"params\":[]},3,{\"name\":\"y\",\"timestamp_micros\":\"soon\"},{\"name\":\"ok\"}]}",
          "event c is=anonymous type=ok at=2026-11-21T21:00:30Z\n"
          "rejected 0 VALUE_REQUIRED /events/0/name\nrejected 1 NAME_INVALID /events/1/name\nrejected 2 NAME_RESERVED /events/2/name\n"
          "rejected 3 VALUE_INVALID /events/3/params\nrejected 4 VALUE_INVALID /events/4\nrejected 5 VALUE_INVALID /events/5/timestamp_micros\n");
    tells("{\"events\":[{\"name\":\"x\"}]}", "rejected 0 VALUE_REQUIRED /events/0\n");
    tells("{\"client_id\":\"c\"}", "rejected 0 VALUE_REQUIRED /events\n");
    tells("nonsense", "rejected 0 VALUE_INVALID \n");
    tells("[]", "rejected 0 VALUE_INVALID \n");
    tells("", "rejected 0 VALUE_INVALID \n");
}

Test(ga4, the_26th_event_is_too_many)
{
    char text[4000] = "{\"client_id\":\"c\",\"events\":[{\"name\":\"x\"}";
    for (int k = 0; k < 26; k++) strcat(text, ",{\"name\":\"x\"}");
    decode(strcat(text, "]}"), false);
    cr_assert_eq(decoded.n, 25);
    cr_assert_eq(decoded.rejected, 2);
    cr_assert_str_eq(ga4_validation_code(&decoded.rejects[0]), "EXCEEDED_MAX_ENTITIES");
}

Test(ga4, who_asks_is_also_told_of_googles_own_limits)
{
    static const char old[] = "{\"client_id\":\"c\",\"timestamp_micros\":1795000000000000,\"events\":[{\"name\":\"x\"}]}";
    char path[80];
    decode(old, false);
    cr_assert_eq(decoded.rejected, 0);
    decode(old, true);
    cr_assert_eq(decoded.rejected, 1);
    ga4_field_path(&decoded.rejects[0], path, sizeof path);
    cr_assert_str_eq(path, "events[0].timestamp_micros");
    cr_assert_str_eq(ga4_validation_code(&decoded.rejects[0]), "VALUE_OUT_OF_BOUNDS");
    decode("{\"client_id\":\"c\",\"user_properties\":{\"abcdefghijklmnopqrstuvwxyz\":{\"value\":1}},\"events\":[{\"name\":\"x\",\"params\":{\"not-good\":1}}]}", true);
    cr_assert_eq(decoded.rejected, 2);
}
