/* Bodies as real SDKs sent them, to the byte but for blanks: what the decoders of dialects are tested with. */
#ifndef WIRE_BODIES_H
#define WIRE_BODIES_H

/* @segment/analytics-node 3.1.0, POST /v1/batch */
static const char wire_segment_node[] __attribute__((unused)) =
    "{\"batch\":[{\"timestamp\":\"2026-11-21T20:56:53.272Z\",\"integrations\":{},\"type\":\"identify\",\"userId\":\"u-1\","
    "\"traits\":{\"email\":\"a@x.io\",\"plan\":\"pro\",\"createdAt\":\"2025-01-01T00:00:00.000Z\"},\"context\":{\"library\""
    ":{\"name\":\"@segment/analytics-node\",\"version\":\"3.1.0\"}},\"messageId\":\"node-next-1795294613272-48ab4098-6e45-4"
    "902-adf5-69dcf6947016\",\"_metadata\":{\"nodeVersion\":\"v20.20.2\",\"jsRuntime\":\"node\"}},{\"timestamp\":\"2025-05-"
    "01T12:00:00.000Z\",\"integrations\":{},\"event\":\"Order Completed\",\"type\":\"track\",\"properties\":{\"order_id\":"
    "\"o-1\",\"revenue\":25.5,\"currency\":\"EUR\",\"products\":[{\"product_id\":\"p1\",\"price\":12.75,\"quantity\":2}]},"
    "\"context\":{\"library\":{\"name\":\"@segment/analytics-node\",\"version\":\"3.1.0\"}},\"userId\":\"u-1\",\"messageId"
    "\":\"fixed-id-1\",\"_metadata\":{\"nodeVersion\":\"v20.20.2\",\"jsRuntime\":\"node\"}},{\"timestamp\":\"2026-11-21T20:"
    "56:53.274Z\",\"integrations\":{},\"type\":\"page\",\"properties\":{\"url\":\"https://x.io/\"},\"name\":\"Home\",\"cont"
    "ext\":{\"library\":{\"name\":\"@segment/analytics-node\",\"version\":\"3.1.0\"}},\"anonymousId\":\"anon-1\",\"messageI"
    "d\":\"node-next-1795294613274-986e45b9-02ed-4569-9cf6-947016cc809c\",\"_metadata\":{\"nodeVersion\":\"v20.20.2\",\"jsR"
    "untime\":\"node\"}},{\"timestamp\":\"2026-11-21T20:56:53.274Z\",\"integrations\":{},\"type\":\"screen\",\"properties\""
    ":{},\"name\":\"Main\",\"context\":{\"library\":{\"name\":\"@segment/analytics-node\",\"version\":\"3.1.0\"}},\"userId"
    "\":\"u-1\",\"messageId\":\"node-next-1795294613274-45b902ed-f569-4cf6-9470-16cc809cb187\",\"_metadata\":{\"nodeVersion"
    "\":\"v20.20.2\",\"jsRuntime\":\"node\"}},{\"timestamp\":\"2026-11-21T20:56:53.274Z\",\"integrations\":{},\"type\":\"gr"
    "oup\",\"traits\":{\"name\":\"ACME\"},\"groupId\":\"g-1\",\"context\":{\"library\":{\"name\":\"@segment/analytics-node"
    "\",\"version\":\"3.1.0\"}},\"userId\":\"u-1\",\"messageId\":\"node-next-1795294613274-02edf569-dcf6-4470-96cc-809cb187"
    "6ae2\",\"_metadata\":{\"nodeVersion\":\"v20.20.2\",\"jsRuntime\":\"node\"}},{\"timestamp\":\"2026-11-21T20:56:53.274Z"
    "\",\"integrations\":{},\"userId\":\"u-1\",\"type\":\"alias\",\"previousId\":\"anon-1\",\"context\":{\"library\":{\"nam"
    "e\":\"@segment/analytics-node\",\"version\":\"3.1.0\"}},\"messageId\":\"node-next-1795294613274-f569dcf6-9470-46cc-809"
    "c-b1876ae285aa\",\"_metadata\":{\"nodeVersion\":\"v20.20.2\",\"jsRuntime\":\"node\"}}],\"writeKey\":\"WRITE_KEY_1\",\""
    "sentAt\":\"2026-11-21T20:56:53.281Z\"}";

/* @rudderstack/rudder-sdk-node 3.0.13, POST /v1/batch: the first message goes alone */
static const char wire_rudder_first[] __attribute__((unused)) =
    "{\"batch\":[{\"userId\":\"u-1\",\"traits\":{\"email\":\"a@x.io\"},\"context\":{\"traits\":{\"email\":\"a@x.io\"},\"lib"
    "rary\":{\"name\":\"analytics-node\",\"version\":\"3.0.13\"}},\"type\":\"identify\",\"channel\":\"server\",\"_metadata"
    "\":{\"nodeVersion\":\"20.20.2\"},\"originalTimestamp\":\"2026-11-21T20:56:54.278Z\",\"messageId\":\"3a98ed99-3b2b-4ec7"
    "-ba4a-cc914b0279e6\",\"sentAt\":\"2026-11-21T20:56:54.279Z\"}],\"timestamp\":\"2026-11-21T20:56:54.279Z\",\"sentAt\":"
    "\"2026-11-21T20:56:54.279Z\"}";

/* the others */
static const char wire_rudder_rest[] __attribute__((unused)) =
    "{\"batch\":[{\"userId\":\"u-1\",\"event\":\"Order Completed\",\"properties\":{\"revenue\":25.5,\"currency\":\"EUR\"},"
    "\"timestamp\":\"2025-05-01T12:00:00.000Z\",\"type\":\"track\",\"context\":{\"library\":{\"name\":\"analytics-node\",\""
    "version\":\"3.0.13\"}},\"channel\":\"server\",\"_metadata\":{\"nodeVersion\":\"20.20.2\"},\"originalTimestamp\":\"2026"
    "-11-21T20:56:54.283Z\",\"messageId\":\"2390b73b-5e28-4f84-ba81-9b6bf0724828\",\"sentAt\":\"2026-11-21T20:56:54.328Z\"}"
    ",{\"anonymousId\":\"anon-1\",\"name\":\"Home\",\"type\":\"page\",\"context\":{\"library\":{\"name\":\"analytics-node\""
    ",\"version\":\"3.0.13\"}},\"channel\":\"server\",\"_metadata\":{\"nodeVersion\":\"20.20.2\"},\"originalTimestamp\":\"2"
    "026-11-21T20:56:54.284Z\",\"messageId\":\"642dd222-16f6-4894-a31f-c9829a586ed8\",\"sentAt\":\"2026-11-21T20:56:54.328Z"
    "\"},{\"userId\":\"u-1\",\"groupId\":\"g-1\",\"type\":\"group\",\"context\":{\"library\":{\"name\":\"analytics-node\","
    "\"version\":\"3.0.13\"}},\"channel\":\"server\",\"_metadata\":{\"nodeVersion\":\"20.20.2\"},\"originalTimestamp\":\"20"
    "26-11-21T20:56:54.284Z\",\"messageId\":\"182e426b-4ff3-40e5-8b91-efa7ca788001\",\"sentAt\":\"2026-11-21T20:56:54.328Z"
    "\"},{\"userId\":\"u-1\",\"previousId\":\"anon-1\",\"type\":\"alias\",\"context\":{\"library\":{\"name\":\"analytics-no"
    "de\",\"version\":\"3.0.13\"}},\"channel\":\"server\",\"_metadata\":{\"nodeVersion\":\"20.20.2\"},\"originalTimestamp\""
    ":\"2026-11-21T20:56:54.285Z\",\"messageId\":\"2424aac4-1583-4fd5-ba6f-ca321901d93e\",\"sentAt\":\"2026-11-21T20:56:54."
    "328Z\"}],\"timestamp\":\"2026-11-21T20:56:54.328Z\",\"sentAt\":\"2026-11-21T20:56:54.328Z\"}";

/* @segment/analytics-next 1.84.3 in Chromium, POST /v1/i */
static const char wire_next_identify[] __attribute__((unused)) =
    "{\"timestamp\":\"2026-11-21T21:00:17.697Z\",\"integrations\":{\"Segment.io\":true},\"type\":\"identify\",\"userId\":\""
    "u-1\",\"traits\":{\"email\":\"a@x.io\"},\"context\":{\"page\":{\"path\":\"/\",\"referrer\":\"\",\"search\":\"\",\"titl"
    "e\":\"\",\"url\":\"http://127.0.0.1:18100/\"},\"userAgent\":\"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTM"
    "L, like Gecko) HeadlessChrome/156.0.0.0 Safari/537.36\",\"userAgentData\":{\"brands\":[{\"brand\":\"Not:A-Brand\",\"ve"
    "rsion\":\"8\"},{\"brand\":\"Chromium\",\"version\":\"156\"}],\"mobile\":false,\"platform\":\"Linux\"},\"locale\":\"en-"
    "US\",\"library\":{\"name\":\"analytics.js\",\"version\":\"next-1.84.3\"},\"timezone\":\"UTC\"},\"messageId\":\"ajs-nex"
    "t-1795294817697-bd77f25c-3ae9-4f58-94a5-f518f51031f9\",\"anonymousId\":\"77f25c3a-e94f-4854-a5f5-18f51031f919\",\"writ"
    "eKey\":\"WRITE_KEY_7\",\"sentAt\":\"2026-11-21T21:00:17.707Z\",\"_metadata\":{\"bundled\":[\"Segment.io\"],\"unbundled"
    "\":[],\"bundledIds\":[]}}";

/* POST /v1/p */
static const char wire_next_page[] __attribute__((unused)) =
    "{\"timestamp\":\"2026-11-21T21:00:17.717Z\",\"integrations\":{\"Segment.io\":true},\"type\":\"page\",\"properties\":{"
    "\"path\":\"/\",\"referrer\":\"\",\"search\":\"\",\"title\":\"\",\"url\":\"http://127.0.0.1:18100/\",\"name\":\"Home\"}"
    ",\"name\":\"Home\",\"context\":{\"page\":{\"path\":\"/\",\"referrer\":\"\",\"search\":\"\",\"title\":\"\",\"url\":\"ht"
    "tp://127.0.0.1:18100/\"},\"userAgent\":\"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Headle"
    "ssChrome/156.0.0.0 Safari/537.36\",\"userAgentData\":{\"brands\":[{\"brand\":\"Not:A-Brand\",\"version\":\"8\"},{\"bra"
    "nd\":\"Chromium\",\"version\":\"156\"}],\"mobile\":false,\"platform\":\"Linux\"},\"locale\":\"en-US\",\"library\":{\"n"
    "ame\":\"analytics.js\",\"version\":\"next-1.84.3\"},\"timezone\":\"UTC\"},\"messageId\":\"ajs-next-1795294817717-5c3ae"
    "94f-5854-45f5-98f5-1031f9198464\",\"userId\":\"u-1\",\"anonymousId\":\"77f25c3a-e94f-4854-a5f5-18f51031f919\",\"writeK"
    "ey\":\"WRITE_KEY_7\",\"sentAt\":\"2026-11-21T21:00:17.727Z\",\"_metadata\":{\"bundled\":[\"Segment.io\"],\"unbundled\""
    ":[],\"bundledIds\":[]}}";

/* POST /v1/t */
static const char wire_next_track[] __attribute__((unused)) =
    "{\"timestamp\":\"2026-11-21T21:00:17.737Z\",\"integrations\":{\"Segment.io\":true},\"event\":\"Order Completed\",\"typ"
    "e\":\"track\",\"properties\":{\"revenue\":25.5,\"currency\":\"EUR\"},\"context\":{\"page\":{\"path\":\"/\",\"referrer"
    "\":\"\",\"search\":\"\",\"title\":\"\",\"url\":\"http://127.0.0.1:18100/\"},\"userAgent\":\"Mozilla/5.0 (X11; Linux x8"
    "6_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/156.0.0.0 Safari/537.36\",\"userAgentData\":{\"brands\":[{"
    "\"brand\":\"Not:A-Brand\",\"version\":\"8\"},{\"brand\":\"Chromium\",\"version\":\"156\"}],\"mobile\":false,\"platform"
    "\":\"Linux\"},\"locale\":\"en-US\",\"library\":{\"name\":\"analytics.js\",\"version\":\"next-1.84.3\"},\"timezone\":\""
    "UTC\"},\"messageId\":\"ajs-next-1795294817737-e94f5854-a5f5-48f5-9031-f91984649e2e\",\"userId\":\"u-1\",\"anonymousId"
    "\":\"77f25c3a-e94f-4854-a5f5-18f51031f919\",\"writeKey\":\"WRITE_KEY_7\",\"sentAt\":\"2026-11-21T21:00:17.747Z\",\"_me"
    "tadata\":{\"bundled\":[\"Segment.io\"],\"unbundled\":[],\"bundledIds\":[]}}";

/* the same with batching, POST /v1/b */
static const char wire_next_batch[] __attribute__((unused)) =
    "{\"writeKey\":\"WRITE_KEY_7\",\"batch\":[{\"timestamp\":\"2026-11-21T21:00:19.967Z\",\"integrations\":{\"Segment.io\":"
    "true},\"type\":\"identify\",\"userId\":\"u-1\",\"traits\":{\"email\":\"a@x.io\"},\"context\":{\"page\":{\"path\":\"/\""
    ",\"referrer\":\"\",\"search\":\"\",\"title\":\"\",\"url\":\"http://127.0.0.1:18100/\"},\"userAgent\":\"Mozilla/5.0 (X1"
    "1; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/156.0.0.0 Safari/537.36\",\"userAgentData\":{\""
    "brands\":[{\"brand\":\"Not:A-Brand\",\"version\":\"8\"},{\"brand\":\"Chromium\",\"version\":\"156\"}],\"mobile\":false"
    ",\"platform\":\"Linux\"},\"locale\":\"en-US\",\"library\":{\"name\":\"analytics.js\",\"version\":\"next-1.84.3\"},\"ti"
    "mezone\":\"UTC\"},\"messageId\":\"ajs-next-1795294819967-032f3194-280b-4ea7-8cb5-6159f3ea94b9\",\"anonymousId\":\"2f31"
    "9428-0b9e-470c-b561-59f3ea94b909\",\"writeKey\":\"WRITE_KEY_7\",\"_metadata\":{\"bundled\":[\"Segment.io\"],\"unbundle"
    "d\":[],\"bundledIds\":[]}},{\"timestamp\":\"2026-11-21T21:00:19.977Z\",\"integrations\":{\"Segment.io\":true},\"type\""
    ":\"page\",\"properties\":{\"path\":\"/\",\"referrer\":\"\",\"search\":\"\",\"title\":\"\",\"url\":\"http://127.0.0.1:1"
    "8100/\",\"name\":\"Home\"},\"name\":\"Home\",\"context\":{\"page\":{\"path\":\"/\",\"referrer\":\"\",\"search\":\"\","
    "\"title\":\"\",\"url\":\"http://127.0.0.1:18100/\"},\"userAgent\":\"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"
    " (KHTML, like Gecko) HeadlessChrome/156.0.0.0 Safari/537.36\",\"userAgentData\":{\"brands\":[{\"brand\":\"Not:A-Brand"
    "\",\"version\":\"8\"},{\"brand\":\"Chromium\",\"version\":\"156\"}],\"mobile\":false,\"platform\":\"Linux\"},\"locale"
    "\":\"en-US\",\"library\":{\"name\":\"analytics.js\",\"version\":\"next-1.84.3\"},\"timezone\":\"UTC\"},\"messageId\":"
    "\"ajs-next-1795294819977-94280b9e-a70c-4561-99f3-ea94b9098a52\",\"userId\":\"u-1\",\"anonymousId\":\"2f319428-0b9e-470"
    "c-b561-59f3ea94b909\",\"writeKey\":\"WRITE_KEY_7\",\"_metadata\":{\"bundled\":[\"Segment.io\"],\"unbundled\":[],\"bund"
    "ledIds\":[]}},{\"timestamp\":\"2026-11-21T21:00:19.987Z\",\"integrations\":{\"Segment.io\":true},\"event\":\"Order Com"
    "pleted\",\"type\":\"track\",\"properties\":{\"revenue\":25.5,\"currency\":\"EUR\"},\"context\":{\"page\":{\"path\":\"/"
    "\",\"referrer\":\"\",\"search\":\"\",\"title\":\"\",\"url\":\"http://127.0.0.1:18100/\"},\"userAgent\":\"Mozilla/5.0 ("
    "X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/156.0.0.0 Safari/537.36\",\"userAgentData\":{"
    "\"brands\":[{\"brand\":\"Not:A-Brand\",\"version\":\"8\"},{\"brand\":\"Chromium\",\"version\":\"156\"}],\"mobile\":fal"
    "se,\"platform\":\"Linux\"},\"locale\":\"en-US\",\"library\":{\"name\":\"analytics.js\",\"version\":\"next-1.84.3\"},\""
    "timezone\":\"UTC\"},\"messageId\":\"ajs-next-1795294819987-0b9ea70c-b561-49f3-aa94-b9098a52c163\",\"userId\":\"u-1\","
    "\"anonymousId\":\"2f319428-0b9e-470c-b561-59f3ea94b909\",\"writeKey\":\"WRITE_KEY_7\",\"_metadata\":{\"bundled\":[\"Se"
    "gment.io\"],\"unbundled\":[],\"bundledIds\":[]}}],\"sentAt\":\"2026-11-21T21:00:20.477Z\"}";

/* posthog-node 5.70.0, POST /batch/ */
static const char wire_posthog[] __attribute__((unused)) =
    "{\"api_key\":\"phc_KEY_3\",\"batch\":[{\"event\":\"purchase\",\"properties\":{\"revenue\":25.5,\"currency\":\"EUR\",\""
    "$lib\":\"posthog-node\",\"$lib_version\":\"5.70.0\",\"$is_server\":true,\"$geoip_disable\":true},\"timestamp\":\"2025-"
    "05-01T12:00:00.000Z\",\"uuid\":\"3fa85f64-5717-4562-b3fc-2c963f66afa6\",\"distinct_id\":\"u-1\"},{\"event\":\"$identif"
    "y\",\"properties\":{\"$set\":{\"email\":\"a@x.io\"},\"$set_once\":{},\"$lib\":\"posthog-node\",\"$lib_version\":\"5.70"
    ".0\",\"$is_server\":true,\"$geoip_disable\":true},\"timestamp\":\"2026-11-21T20:56:55.887Z\",\"uuid\":\"01a1ffe5-d950-"
    "7302-9808-ef96d3b9ab39\",\"distinct_id\":\"u-1\"},{\"event\":\"$create_alias\",\"properties\":{\"distinct_id\":\"u-1\""
    ",\"alias\":\"anon-1\",\"$lib\":\"posthog-node\",\"$lib_version\":\"5.70.0\",\"$is_server\":true,\"$geoip_disable\":tru"
    "e},\"timestamp\":\"2026-11-21T20:56:55.888Z\",\"uuid\":\"01a1ffe5-d950-7302-9808-ef97d1010fdb\",\"distinct_id\":\"u-1"
    "\"},{\"event\":\"$groupidentify\",\"properties\":{\"$group_type\":\"company\",\"$group_key\":\"g1\",\"$group_set\":{\""
    "n\":1},\"$lib\":\"posthog-node\",\"$lib_version\":\"5.70.0\",\"$is_server\":true,\"$geoip_disable\":true},\"timestamp"
    "\":\"2026-11-21T20:56:55.888Z\",\"uuid\":\"01a1ffe5-d950-7302-9808-ef98ad0bfd9f\",\"distinct_id\":\"$company_g1\"}],\""
    "sent_at\":\"2026-11-21T20:56:55.889Z\"}";

/* POST /flags/?v=2 */
static const char wire_posthog_flags[] __attribute__((unused)) =
    "{\"token\":\"phc_KEY_3\",\"distinct_id\":\"u-1\",\"groups\":{},\"person_properties\":{},\"group_properties\":{},\"geoi"
    "p_disable\":true,\"evaluation_runtime\":\"server\"}";

#endif
