/* What the shop decides about its shelves: rules, and one experiment at a time. That answers follow is tested with them. */
#include <stdio.h>
#include <string.h>
#include "client.h"

#define RULES "/v1/recommendations/rules"
#define EXPERIMENT "/v1/recommendations/experiment"

Test(reco_rules, are_made_shown_listed_replaced_and_deleted)
{
    struct reply *made = put(RULES "/rr-block", "{\"kind\":\"block\",\"products\":[\"rr-b\",\"rr-a\",\"rr-b\"]}");
    expect(made, 201);
    cr_assert_eq(count_at(made, "/products"), 2, "each once");
    cr_assert_str_eq(text_at(made, "/products/0"), "rr-a");
    cr_assert(bool_at(made, "/active") && null_at(made, "/starts_at") && null_at(made, "/ends_at"));
    cr_assert_null(at(made, "/share"));
    struct reply *again = put(RULES "/rr-block", "{\"kind\":\"promote\",\"category\":\"rr garden/tools\",\"attribute\":{\"name\":\"brand\",\"value\":\"Acme\"},"
                                                 "\"share\":0.25,\"starts_at\":\"2020-01-01T00:00:00Z\",\"ends_at\":\"2021-01-01T00:00:00Z\"}");
    expect(again, 200);
    cr_assert_null(at(again, "/products"), "replaced, not merged");
    cr_assert_eq(num_at(again, "/share"), 0.25);
    cr_assert_str_eq(text_at(again, "/attribute/value"), "Acme");
    cr_assert_not(bool_at(again, "/active"), "it ended in 2021");
    expect(put(RULES "/rr-pin", "{\"kind\":\"pin\",\"products\":[\"rr-p\"],\"place\":3,\"within\":\"rr garden\",\"starts_at\":null}"), 201);
    struct reply *seen = get(RULES "/rr-pin");
    expect(seen, 200);
    cr_assert_eq(int_at(seen, "/place"), 3);
    cr_assert_str_eq(text_at(seen, "/within"), "rr garden");
    struct reply *page = get(RULES "?limit=1");
    expect(page, 200);
    bool found = false;
    for (int i = 0; i < 60 && !found; i++) {
        found = strcmp(text_at(page, "/data/0/name"), "rr-pin") == 0;
        cr_assert(found || !null_at(page, "/next"));
        if (!found) page = get(text(RULES "?limit=1&cursor=%s", text_at(page, "/next")));
    }
    expect(delete_(RULES "/rr-block"), 204);
    expect(delete_(RULES "/rr-pin"), 204);
    expect(get(RULES "/rr-block"), 404);
    expect(delete_(RULES "/rr-block"), 404);
}

Test(reco_rules, are_refused_with_pointers_when_asked_for_wrongly)
{
    static const struct { const char *body, *pointer; } wrong[] = {
        {"{}", "/kind"},
        {"{\"kind\":\"hide\",\"products\":[\"a\"]}", "/kind"},
        {"{\"kind\":\"block\"}", "/products"},
        {"{\"kind\":\"block\",\"products\":[]}", "/products"},
        {"{\"kind\":\"block\",\"products\":[\"a\",7]}", "/products/1"},
        {"{\"kind\":\"block\",\"products\":[\"\"]}", "/products/0"},
        {"{\"kind\":\"block\",\"category\":\"\"}", "/category"},
        {"{\"kind\":\"block\",\"category\":\"x\",\"share\":0.5}", "/share"},
        {"{\"kind\":\"block\",\"category\":\"x\",\"place\":1}", "/place"},
        {"{\"kind\":\"block\",\"category\":\"x\",\"within\":\"y\"}", "/within"},
        {"{\"kind\":\"block\",\"attribute\":{\"name\":\"brand\"}}", "/attribute/value"},
        {"{\"kind\":\"block\",\"attribute\":{\"name\":\"\",\"value\":\"x\"}}", "/attribute/name"},
        {"{\"kind\":\"block\",\"attribute\":{\"name\":\"brand\",\"value\":3}}", "/attribute/value"},
        {"{\"kind\":\"block\",\"attribute\":{\"name\":\"brand\",\"value\":\"x\",\"op\":\"=\"}}", "/attribute/op"},
        {"{\"kind\":\"promote\",\"category\":\"x\"}", "/share"},
        {"{\"kind\":\"promote\",\"category\":\"x\",\"share\":0}", "/share"},
        {"{\"kind\":\"promote\",\"category\":\"x\",\"share\":1.5}", "/share"},
        {"{\"kind\":\"promote\",\"share\":0.5}", "/products"},
        {"{\"kind\":\"pin\",\"products\":[\"a\"]}", "/place"},
        {"{\"kind\":\"pin\",\"products\":[\"a\"],\"place\":0}", "/place"},
        {"{\"kind\":\"pin\",\"products\":[\"a\",\"b\"],\"place\":1}", "/products"},
        {"{\"kind\":\"pin\",\"category\":\"x\",\"place\":1}", "/products"},
        {"{\"kind\":\"pin\",\"products\":[\"a\"],\"category\":\"x\",\"place\":1}", "/category"},
        {"{\"kind\":\"block\",\"category\":\"x\",\"starts_at\":\"soon\"}", "/starts_at"},
        {"{\"kind\":\"block\",\"category\":\"x\",\"starts_at\":\"2027-01-02\",\"ends_at\":\"2027-01-02\"}", "/ends_at"},
        {"{\"kind\":\"block\",\"category\":\"x\",\"colour\":1}", "/colour"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) expect_fault(put(RULES "/rr-wrong", wrong[i].body), 400, wrong[i].pointer);
    expect(get(RULES "/rr-wrong"), 404);
}

Test(reco_rules, an_experiment_goes_on_unchanged_and_is_another_once_anything_is_changed)
{
    struct instance s; /* of its own: while there is an experiment, "auto" answers otherwise */
    instance_start(&s, NULL);
    client_use(&s);
    expect(get(EXPERIMENT), 404);
    expect(delete_(EXPERIMENT), 404);
    struct reply *first = put(EXPERIMENT, "{\"name\":\"rr spring\",\"arms\":[\"popular\",\"trending\"]}");
    expect(first, 201);
    cr_assert_str_eq(text_at(first, "/mode"), "split");
    cr_assert_eq(num_at(first, "/share_of_second"), 0.5);
    struct reply *same = put(EXPERIMENT, "{\"name\":\"rr spring\",\"arms\":[\"popular\",\"trending\"],\"mode\":\"split\",\"share_of_second\":0.5}");
    expect(same, 200);
    cr_assert_eq(int_at(same, "/number"), int_at(first, "/number"));
    struct reply *other = put(EXPERIMENT, "{\"name\":\"rr spring\",\"arms\":[\"popular\",\"trending\"],\"mode\":\"interleave\"}");
    expect(other, 201);
    cr_assert_gt(int_at(other, "/number"), int_at(first, "/number"));
    cr_assert_null(at(other, "/share_of_second"));
    struct reply *seen = get(EXPERIMENT);
    expect(seen, 200);
    cr_assert_eq(int_at(seen, "/number"), int_at(other, "/number"));
    expect(delete_(EXPERIMENT), 204);
    expect(get(EXPERIMENT), 404);
    client_use(NULL);
    instance_done(&s);
}

Test(reco_rules, an_experiment_that_makes_no_sense_is_refused)
{
    expect_fault(put(EXPERIMENT, "{\"arms\":[\"als\",\"ease\"]}"), 400, "/name");
    expect_fault(put(EXPERIMENT, "{\"name\":\"x\"}"), 400, "/arms");
    expect_fault(put(EXPERIMENT, "{\"name\":\"x\",\"arms\":[\"als\"]}"), 400, "/arms");
    expect_fault(put(EXPERIMENT, "{\"name\":\"x\",\"arms\":[\"als\",\"best\"]}"), 400, "/arms/1");
    expect_fault(put(EXPERIMENT, "{\"name\":\"x\",\"arms\":[\"newest\",\"als\"]}"), 400, "/arms/0");
    expect_fault(put(EXPERIMENT, "{\"name\":\"x\",\"arms\":[\"als\",\"als\"]}"), 400, "/arms/1");
    expect_fault(put(EXPERIMENT, "{\"name\":\"x\",\"arms\":[\"als\",\"ease\"],\"share_of_second\":2}"), 400, "/share_of_second");
    expect_fault(put(EXPERIMENT, "{\"name\":\"x\",\"arms\":[\"als\",\"ease\"],\"mode\":\"interleave\",\"share_of_second\":0.5}"), 400, "/share_of_second");
}

Test(reco_rules, are_changed_by_admin_and_train_and_seen_by_read)
{
    const char *train = key_with("train"), *reader = key_with("read"), *shop = key_with("recommend");
    const char *body = "{\"kind\":\"block\",\"category\":\"rr scopes\"}";
    expect(call(&(struct call){.method = "PUT", .path = RULES "/rr-scopes", .key = reader, .body = body}), 403);
    expect(call(&(struct call){.method = "PUT", .path = RULES "/rr-scopes", .key = shop, .body = body}), 403);
    expect(call(&(struct call){.method = "PUT", .path = RULES "/rr-scopes", .key = train, .body = body}), 201);
    expect(call(&(struct call){.method = "GET", .path = RULES "/rr-scopes", .key = reader}), 200);
    expect(call(&(struct call){.method = "GET", .path = RULES, .key = shop}), 403);
    expect(call(&(struct call){.method = "DELETE", .path = RULES "/rr-scopes", .key = train}), 204);
}
