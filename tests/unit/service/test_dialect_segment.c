#include "dialect_support.h"
#include "meros/service/dialect_segment.h"
#include "wire_bodies.h"

static enum meros_code decode(enum segment_call call, const char *text)
{
    struct segment_body body;
    dialect_fresh();
    enum meros_code rc = segment_open(str_of(text), &body, &failure);
    return rc != MEROS_OK ? rc : segment_decode(&decoded, call, &body, &failure);
}

#define tells(call, body, want)                                  \
    do {                                                         \
        cr_assert_eq(decode(call, body), MEROS_OK, "%s", failure.detail); \
        cr_assert_str_eq(story(), want);                         \
    } while (0)

static const char *write_key(const char *text)
{
    static char key[100];
    struct segment_body body;
    cr_assert_eq(segment_open(str_of(text), &body, &failure), MEROS_OK);
    cr_assert(str_copy(key, sizeof key, body.write_key));
    return key;
}

/* --- what the SDKs send */

Test(segment, analytics_node_sends_a_batch_of_every_kind)
{
    cr_assert_str_eq(write_key(wire_segment_node), "WRITE_KEY_1");
    tells(SEGMENT_BATCH, wire_segment_node,
          "traits u-1 email=a@x.io created=2025-01-01T00:00:00Z attributes={\"plan\":\"pro\"}\n"
          "event u-1 type=order_completed id=fixed-id-1 at=2025-05-01T12:03:36.719Z value=25.5 "
          "properties={\"order_id\":\"o-1\",\"products\":[{\"product_id\":\"p1\",\"price\":12.75,\"quantity\":2}],\"revenue\":25.5,\"currency\":\"EUR\"}\n"
          "event anon-1 is=anonymous type=page_viewed id=node-next-1795294613274-986e45b9-02ed-4569-9cf6-947016cc809c "
          "at=2026-11-21T21:00:29.993Z properties={\"url\":\"https://x.io/\",\"name\":\"Home\"}\n"
          "event u-1 type=screen_viewed id=node-next-1795294613274-45b902ed-f569-4cf6-9470-16cc809cb187 at=2026-11-21T21:00:29.993Z "
          "properties={\"name\":\"Main\"}\n"
          "traits u-1 attributes={\"group\":{\"id\":\"g-1\",\"name\":\"ACME\"}}\n"
          "alias u-1 previous=anon-1\n");
    cr_assert_eq(decoded.messages, 6);
}

Test(segment, rudder_node_says_when_in_words_of_its_own)
{
    tells(SEGMENT_BATCH, wire_rudder_first, "traits u-1 email=a@x.io\n");
    tells(SEGMENT_BATCH, wire_rudder_rest,
          "event u-1 type=order_completed id=2390b73b-5e28-4f84-ba81-9b6bf0724828 at=2025-05-01T12:03:35.672Z value=25.5 "
          "properties={\"order_id\":\"2390b73b-5e28-4f84-ba81-9b6bf0724828\",\"revenue\":25.5,\"currency\":\"EUR\"}\n"
          "event anon-1 is=anonymous type=page_viewed id=642dd222-16f6-4894-a31f-c9829a586ed8 at=2026-11-21T21:00:29.956Z properties={\"name\":\"Home\"}\n"
          "traits u-1 attributes={\"group\":{\"id\":\"g-1\"}}\n"
          "alias u-1 previous=anon-1\n");
}

#define PAGE "\"context\":{\"locale\":\"en-US\",\"page\":{\"path\":\"/\",\"referrer\":\"\",\"search\":\"\",\"title\":\"\",\"url\":\"http://127.0.0.1:18100/\"},\"timezone\":\"UTC\"}"

Test(segment, a_browser_sends_one_message_a_call_and_names_both_ids)
{
    cr_assert_str_eq(write_key(wire_next_identify), "WRITE_KEY_7");
    tells(SEGMENT_IDENTIFY, wire_next_identify, "traits u-1 anonymous=77f25c3a-e94f-4854-a5f5-18f51031f919 email=a@x.io\n");
    tells(SEGMENT_PAGE, wire_next_page,
          "event u-1 anonymous=77f25c3a-e94f-4854-a5f5-18f51031f919 type=page_viewed id=ajs-next-1795294817717-5c3ae94f-5854-45f5-98f5-1031f9198464 "
          "at=2026-11-21T21:00:29.99Z properties={\"path\":\"/\",\"referrer\":\"\",\"search\":\"\",\"title\":\"\",\"url\":\"http://127.0.0.1:18100/\","
          "\"name\":\"Home\"," PAGE "}\n");
    tells(SEGMENT_TRACK, wire_next_track,
          "event u-1 anonymous=77f25c3a-e94f-4854-a5f5-18f51031f919 type=order_completed id=ajs-next-1795294817737-e94f5854-a5f5-48f5-9031-f91984649e2e "
          "at=2026-11-21T21:00:29.99Z value=25.5 properties={\"order_id\":\"ajs-next-1795294817737-e94f5854-a5f5-48f5-9031-f91984649e2e\","
          "\"revenue\":25.5,\"currency\":\"EUR\"," PAGE "}\n");
}

Test(segment, a_browser_that_batches_is_read_the_same)
{
    cr_assert_eq(decode(SEGMENT_BATCH, wire_next_batch), MEROS_OK);
    cr_assert_eq(decoded.n, 3);
    cr_assert_eq(decoded.n_rejects, 0);
    cr_assert_not_null(strstr(story(), "traits u-1 anonymous=2f319428-0b9e-470c-b561-59f3ea94b909 email=a@x.io"));
    cr_assert_not_null(strstr(said, "type=page_viewed"));
    cr_assert_not_null(strstr(said, "type=order_completed"));
}

/* --- who */

Test(segment, who_is_the_user_else_the_visitor_else_nobody)
{
    tells(SEGMENT_IDENTIFY, "{\"userId\":\"u\",\"anonymousId\":\"a\"}", "traits u anonymous=a\n");
    tells(SEGMENT_IDENTIFY, "{\"userId\":\"\",\"anonymousId\":\"a\"}", "traits a is=anonymous\n");
    tells(SEGMENT_IDENTIFY, "{\"userId\":null,\"anonymousId\":\"a\"}", "traits a is=anonymous\n");
    tells(SEGMENT_IDENTIFY, "{\"userId\":\"u\",\"anonymousId\":\"u\"}", "traits u\n");
    tells(SEGMENT_IDENTIFY, "{\"userId\":42}", "traits 42\n");
    tells(SEGMENT_IDENTIFY, "{\"traits\":{}}", "rejected 0 no_user_anon_id \n");
    tells(SEGMENT_IDENTIFY, "{\"userId\":{}}", "rejected 0 invalid_id /userId\n");
    tells(SEGMENT_IDENTIFY, "{\"userId\":\"a\\u0001\"}", "rejected 0 invalid_id /userId\n");
}

Test(segment, alias_joins_and_says_what_it_lacks)
{
    tells(SEGMENT_ALIAS, "{\"userId\":\"u\",\"previousId\":\"a\"}", "alias u previous=a\n");
    tells(SEGMENT_ALIAS, "{\"userId\":\"u\",\"anonymousId\":\"a\"}", "alias u previous=a\n");
    tells(SEGMENT_ALIAS, "{\"userId\":\"u\",\"previousId\":\"u\"}", "traits u\n");
    tells(SEGMENT_ALIAS, "{\"userId\":\"u\"}", "rejected 0 missing_previous_id /previousId\n");
    tells(SEGMENT_ALIAS, "{\"anonymousId\":\"a\",\"previousId\":\"b\"}", "rejected 0 missing_user_id /userId\n");
}

/* --- traits */

Test(segment, traits_find_their_fields_in_camel_and_snake_case)
{
    tells(SEGMENT_IDENTIFY, "{\"userId\":\"u\",\"traits\":{\"firstName\":\"Ada\",\"lastName\":\"Byron\",\"phone\":4912345,\"createdAt\":1262304000}}",
          "traits u name=Ada Byron phone=4912345 created=2010-01-01T00:00:00Z\n");
    tells(SEGMENT_IDENTIFY, "{\"userId\":\"u\",\"traits\":{\"first_name\":\"Ada\",\"created_at\":\"2010-01-01\"}}",
          "traits u name=Ada created=2010-01-01T00:00:00Z\n");
    tells(SEGMENT_IDENTIFY, "{\"userId\":\"u\",\"traits\":{\"name\":\"A. B.\",\"firstName\":\"Ada\",\"createdAt\":1262304000000}}",
          "traits u name=A. B. created=2010-01-01T00:00:00Z\n");
}

Test(segment, other_traits_are_attributes_nested_ones_whole_and_null_removes)
{
    tells(SEGMENT_IDENTIFY,
          "{\"userId\":\"u\",\"traits\":{\"address\":{\"city\":\"Ulm\",\"street\":[1,2]},\"plan\":null,\"logins\":3,\"email\":null}}",
          "traits u no-email= attributes={\"address\":{\"city\":\"Ulm\",\"street\":[1,2]},\"plan\":null,\"logins\":3}\n");
    tells(SEGMENT_IDENTIFY, "{\"userId\":\"u\",\"traits\":{\"createdAt\":\"last year\"}}", "traits u attributes={\"createdAt\":\"last year\"}\n");
    tells(SEGMENT_IDENTIFY, "{\"userId\":\"u\",\"traits\":{\"email\":{}}}", "rejected 0 invalid_traits /traits/email\n");
    tells(SEGMENT_IDENTIFY, "{\"userId\":\"u\",\"traits\":[]}", "rejected 0 invalid_traits /traits\n");
    tells(SEGMENT_IDENTIFY, "{\"userId\":\"u\",\"context\":{\"traits\":{\"plan\":\"old\",\"tier\":1}},\"traits\":{\"plan\":\"new\"}}",
          "traits u attributes={\"tier\":1,\"plan\":\"new\"}\n");
}

Test(segment, a_group_is_an_attribute)
{
    tells(SEGMENT_GROUP, "{\"userId\":\"u\",\"groupId\":7,\"traits\":{\"id\":\"x\",\"industry\":\"tea\"}}",
          "traits u attributes={\"group\":{\"id\":\"7\",\"industry\":\"tea\"}}\n");
    tells(SEGMENT_GROUP, "{\"userId\":\"u\"}", "rejected 0 missing_group_id /groupId\n");
}

Test(segment, consent_is_taken_from_the_context_and_a_refusal_wins)
{
    tells(SEGMENT_IDENTIFY,
          "{\"userId\":\"u\",\"context\":{\"consent\":{\"categoryPreferences\":{\"Advertising\":true,\"Targeting\":false,\"Analytics\":true,\"Other\":true}}}}",
          "traits u consent={\"marketing\":false,\"profiling\":true}\n");
    tells(SEGMENT_TRACK,
          "{\"userId\":\"u\",\"messageId\":\"m\",\"event\":\"Segment Consent Preference Updated\",\"context\":{\"consent\":{\"categoryPreferences\":{\"DataSharing\":false}}}}",
          "event u type=Segment Consent Preference Updated id=m at=2026-11-21T21:00:30Z\n"
          "traits u consent={\"sale\":false}\n");
}

/* --- when */

#define AT(members) "{\"userId\":\"u\",\"event\":\"E\",\"messageId\":\"m\"," members "}"

Test(segment, a_wrong_clock_is_corrected_by_what_it_said_when_sending)
{
    tells(SEGMENT_TRACK, AT("\"timestamp\":\"2026-11-21T18:00:00Z\",\"sentAt\":\"2026-11-21T19:00:00Z\""), "event u type=E id=m at=2026-11-21T20:00:30Z\n");
    tells(SEGMENT_TRACK, AT("\"timestamp\":\"1990-01-01T00:00:00Z\",\"sentAt\":\"1990-01-01T00:00:10Z\""), "event u type=E id=m at=2026-11-21T21:00:20Z\n");
}

Test(segment, without_a_time_of_sending_the_timestamp_counts_and_without_any_the_arrival)
{
    tells(SEGMENT_TRACK, AT("\"timestamp\":\"2026-11-20T18:00:00+02:00\""), "event u type=E id=m at=2026-11-20T16:00:00Z\n");
    tells(SEGMENT_TRACK, AT("\"sentAt\":\"2026-11-20T18:00:00Z\""), "event u type=E id=m at=2026-11-21T21:00:30Z\n");
    tells(SEGMENT_TRACK, AT("\"timestamp\":\"2026-11-20T18:00:00Z\",\"sentAt\":\"soon\""), "event u type=E id=m at=2026-11-20T18:00:00Z\n");
}

Test(segment, a_time_that_cannot_be_is_refused)
{
    tells(SEGMENT_TRACK, AT("\"timestamp\":\"yesterday\""), "rejected 0 invalid_timestamp /timestamp\n");
    tells(SEGMENT_TRACK, AT("\"timestamp\":\"2030-01-01T00:00:00Z\""), "rejected 0 invalid_timestamp /timestamp\n");
    tells(SEGMENT_TRACK, AT("\"timestamp\":1795294613272"), "rejected 0 invalid_timestamp /timestamp\n");
}

Test(segment, history_is_imported_with_its_own_times)
{
    tells(SEGMENT_IMPORT, "{\"sentAt\":\"2026-11-21T19:00:00Z\",\"batch\":[{\"type\":\"track\",\"userId\":\"u\",\"event\":\"E\",\"messageId\":\"m\",\"timestamp\":\"2020-01-01T00:00:00Z\"}]}",
          "event u type=E id=m at=2020-01-01T00:00:00Z\n");
    /* messages from an archive still say when they were sent, back then */
    tells(SEGMENT_IMPORT, "{\"batch\":[{\"type\":\"track\",\"userId\":\"u\",\"event\":\"E\",\"messageId\":\"m\",\"timestamp\":\"2020-01-01T00:00:00Z\",\"sentAt\":\"2020-01-01T00:00:02Z\"}]}",
          "event u type=E id=m at=2020-01-01T00:00:00Z\n");
}

/* --- identity */

Test(segment, a_timed_message_without_an_id_is_known_by_its_bytes)
{
    const char *one = "{\"userId\":\"u\",\"event\":\"E\",\"timestamp\":\"2026-11-20T18:00:00Z\"}";
    char first[2000];
    cr_assert_eq(decode(SEGMENT_TRACK, one), MEROS_OK);
    strcpy(first, story());
    cr_assert_not_null(strstr(first, " id=content-"));
    cr_assert_eq(decode(SEGMENT_TRACK, one), MEROS_OK);
    cr_assert_str_eq(story(), first);
    tells(SEGMENT_TRACK, "{\"userId\":\"u\",\"event\":\"E\"}", "event u type=E at=2026-11-21T21:00:30Z\n");
}

/* --- one bad message takes nobody along */

Test(segment, in_a_batch_each_message_stands_alone)
{
    tells(SEGMENT_BATCH,
          "{\"batch\":[{\"type\":\"identify\",\"userId\":\"a\"},{\"type\":\"nonsense\",\"userId\":\"b\"},{\"userId\":\"c\"},7,"
          "{\"type\":\"track\",\"userId\":\"d\"},{\"type\":\"track\",\"userId\":\"e\",\"event\":\"E\",\"properties\":[1]},{\"type\":\"identify\",\"userId\":\"f\"}]}",
          "traits a\ntraits f\n"
          "rejected 1 unknown_type /batch/1/type\nrejected 2 missing_type /batch/2/type\nrejected 3 invalid_message /batch/3\n"
          "rejected 4 missing_event /batch/4/event\nrejected 5 invalid_properties /batch/5/properties\n");
    cr_assert_eq(decoded.messages, 7);
    cr_assert_eq(decoded.rejected, 5);
}

Test(segment, what_json_allows_and_a_database_does_not_spoils_only_its_own_message)
{
    tells(SEGMENT_BATCH,
          "{\"batch\":[{\"type\":\"identify\",\"userId\":\"a\",\"traits\":{\"t\":\"x\\u0000y\"}},"
          "{\"type\":\"identify\",\"userId\":\"b\",\"traits\":{\"t\":\"cut \\ud83d\"}},"
          "{\"type\":\"identify\",\"userId\":\"c\",\"traits\":{\"t\":1e999}},"
          "{\"type\":\"identify\",\"userId\":\"d\",\"traits\":{\"t\":1,\"t\":2}},"
          "{\"type\":\"identify\",\"userId\":\"e\",\"traits\":{\"t\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}},"
          "{\"type\":\"identify\",\"userId\":\"f\",\"traits\":{\"t\":12345678901234567890123}},"
          "{\"type\":\"identify\",\"userId\":\"g\"}]}",
          "traits g\n"
          "rejected 0 invalid_json /batch/0\nrejected 1 invalid_json /batch/1\nrejected 2 invalid_json /batch/2\n"
          "rejected 3 invalid_json /batch/3\nrejected 4 invalid_json /batch/4\nrejected 5 invalid_json /batch/5\n");
}

Test(segment, what_is_no_json_is_refused_as_a_whole)
{
    static const char *const bad[] = {"", "no", "{", "{\"batch\":[{\"type\":\"track\",}]}", "{\"batch\":[1]} 2", "{\"batch\":[tru]}", "{\"a\":\"\\x\"}", "[]"};
    for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) cr_assert_eq(decode(SEGMENT_BATCH, bad[k]), MEROS_INVALID, "%s", bad[k]);
    cr_assert_eq(decode(SEGMENT_BATCH, "{\"batch\":{}}"), MEROS_INVALID);
    cr_assert_eq(decode(SEGMENT_BATCH, "{\"writeKey\":\"k\"}"), MEROS_INVALID);
}

Test(segment, an_empty_batch_is_fine)
{
    tells(SEGMENT_BATCH, " { \"batch\" : [ ] } ", "");
    cr_assert_eq(decoded.messages, 0);
}

Test(segment, a_message_past_its_size_is_left_out)
{
    static char text[40000];
    int n = snprintf(text, sizeof text, "{\"batch\":[{\"type\":\"identify\",\"userId\":\"a\",\"traits\":{\"t\":\"");
    memset(text + n, 'x', 33000);
    snprintf(text + n + 33000, sizeof text - (size_t)n - 33000, "\"}},{\"type\":\"identify\",\"userId\":\"b\"}]}");
    tells(SEGMENT_BATCH, text, "traits b\nrejected 0 too_large /batch/0\n");
}

Test(segment, messages_past_the_2500th_are_rejected_and_counted)
{
    static char text[600000];
    size_t n = (size_t)snprintf(text, sizeof text, "{\"batch\":[");
    for (int k = 0; k < 9000; k++) n += (size_t)snprintf(text + n, sizeof text - n, "%s{\"type\":\"identify\",\"userId\":\"u%d\"}", k > 0 ? "," : "", k);
    snprintf(text + n, sizeof text - n, "]}");
    cr_assert_eq(decode(SEGMENT_BATCH, text), MEROS_OK);
    cr_assert_eq(decoded.n, 2500);
    cr_assert_eq(decoded.messages, 9000);
    cr_assert_eq(decoded.rejected, 6500);
    cr_assert_eq(decoded.n_rejects, DIALECT_REJECTS_MAX);
    cr_assert_str_eq(decoded.rejects[0].code, "too_many");
    cr_assert_str_eq(decoded.rejects[0].place, "/batch/2500");
}

/* --- shops */

#define TRACK(event, properties) "{\"userId\":\"u\",\"messageId\":\"m\",\"event\":\"" event "\",\"properties\":" properties "}"
#define SAYS "event u type="
#define WHEN " id=m at=2026-11-21T21:00:30Z"

Test(segment, events_of_shops_get_our_names_in_either_version)
{
    static const char *const names[][2] = {
        {"Product Viewed", "product_viewed"}, {"Viewed Product", "product_viewed"}, {"product_viewed", "product_viewed"},
        {"Product Added", "product_added"}, {"Added Product", "product_added"}, {"Product Removed", "product_removed"},
        {"Checkout Started", "checkout_started"}, {"Order Completed", "order_completed"}, {"Completed Order", "order_completed"},
        {"Order Updated", "order_updated"}, {"Updated Order", "order_updated"}, {"Order Refunded", "order_refunded"},
        {"Order Cancelled", "order_cancelled"}, {"Order Canceled", "order_cancelled"}, {"Products Searched", "searched"},
        {"Product Reviewed", "review_submitted"}, {"Email Opened", "email_opened"}, {"Email Link Clicked", "email_clicked"},
        {"Clicked Product", "Product Clicked"}, {"Viewed Product Category", "Product List Viewed"}, {"Cart Viewed", "Cart Viewed"},
        {"Something Of Our Own", "Something Of Our Own"}};
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
        char body[200];
        snprintf(body, sizeof body, TRACK("%s", "{\"order_id\":\"o\"}"), names[k][0]);
        cr_assert_eq(decode(SEGMENT_TRACK, body), MEROS_OK);
        cr_assert_eq(decoded.n, 1, "%s: %s", names[k][0], story());
        cr_assert(str_is(decoded.items[0].event.type, names[k][1]), "%s became %.*s", names[k][0], S(decoded.items[0].event.type));
    }
}

Test(segment, products_have_their_id_value_and_quantity)
{
    tells(SEGMENT_TRACK, TRACK("Product Added", "{\"product_id\":\"p\",\"price\":\"2.50\",\"quantity\":3}"),
          SAYS "product_added" WHEN " product=p value=7.5 quantity=3 properties={\"product_id\":\"p\",\"price\":2.5,\"quantity\":3}\n");
    tells(SEGMENT_TRACK, TRACK("Product Viewed", "{\"sku\":\"s\",\"value\":9}"), SAYS "product_viewed" WHEN " product=s value=9 properties={\"sku\":\"s\",\"value\":9}\n");
    tells(SEGMENT_TRACK, TRACK("Viewed Product", "{\"id\":507,\"price\":18.99}"), SAYS "product_viewed" WHEN " product=507 value=18.99 properties={\"id\":507,\"price\":18.99}\n");
    tells(SEGMENT_TRACK, TRACK("Product Reviewed", "{\"product_id\":\"p\",\"rating\":\"4\",\"review_body\":\"fine\"}"),
          SAYS "review_submitted" WHEN " product=p value=4 properties={\"text\":\"fine\",\"product_id\":\"p\",\"rating\":\"4\",\"review_body\":\"fine\"}\n");
}

Test(segment, an_order_is_written_as_orders_are_read)
{
    /* the example of the specification of both versions, with what the first one calls things */
    tells(SEGMENT_TRACK,
          TRACK("Completed Order", "{\"orderId\":50314,\"total\":\"27.50\",\"revenue\":25.00,\"products\":[{\"id\":\"507\",\"sku\":\"45790-32\",\"price\":\"19\",\"quantity\":1},"
                                   "{\"sku\":\"46493-32\",\"price\":3,\"quantity\":\"2\"}]}"),
          SAYS "order_completed" WHEN " value=25 properties={\"order_id\":\"50314\",\"products\":[{\"product_id\":\"507\",\"id\":\"507\",\"sku\":\"45790-32\",\"price\":19,\"quantity\":1},"
               "{\"product_id\":\"46493-32\",\"sku\":\"46493-32\",\"price\":3,\"quantity\":2}],\"total\":27.5,\"revenue\":25}\n");
    tells(SEGMENT_TRACK, TRACK("Order Completed", "{\"revenue\":1}"), SAYS "order_completed" WHEN " value=1 properties={\"order_id\":\"m\",\"revenue\":1}\n");
    tells(SEGMENT_TRACK, TRACK("Order Refunded", "{\"total\":1}"), "rejected 0 missing_order_id /properties\n");
    tells(SEGMENT_TRACK, "{\"userId\":\"u\",\"event\":\"Order Completed\"}", "rejected 0 missing_order_id /properties\n");
}

Test(segment, what_is_common_to_a_batch_is_each_messages_own)
{
    tells(SEGMENT_BATCH,
          "{\"context\":{\"locale\":\"de\",\"ip\":\"10.0.0.1\",\"campaign\":{\"name\":\"c\"}},\"batch\":[{\"type\":\"track\",\"userId\":\"u\",\"messageId\":\"m\",\"event\":\"E\"},"
          "{\"type\":\"track\",\"userId\":\"u\",\"messageId\":\"n\",\"event\":\"E\",\"context\":{\"locale\":\"fr\",\"userAgent\":\"x\",\"device\":{\"id\":\"d\"}}}]}",
          SAYS "E" WHEN " properties={\"context\":{\"campaign\":{\"name\":\"c\"},\"locale\":\"de\"}}\n"
          SAYS "E id=n at=2026-11-21T21:00:30Z properties={\"context\":{\"campaign\":{\"name\":\"c\"},\"locale\":\"fr\"}}\n");
}
