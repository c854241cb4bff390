/* What a rule makes of one customer. */
#include <criterion/criterion.h>
#include <math.h>
#include "meros/domain/audience.h"

static const double two[] = {2};
static const struct str ab[] = {STR("ab")};

static struct audience_leaf number_leaf(enum audience_op op)
{
    return (struct audience_leaf){.field = AUDIENCE_ATTRIBUTE, .op = op, .type = AUDIENCE_NUMBER, .n = 1, .nums = two};
}

static struct audience_value text_value(const char *s)
{
    return (struct audience_value){.type = AUDIENCE_TEXT, .text = str_of(s)};
}

Test(audience, who_has_no_value_meets_only_the_opposites)
{
    const struct audience_value none = {.type = AUDIENCE_NOTHING};
    for (int op = 0; op < AUDIENCE_OP_COUNT; op++) {
        if (!(audience_ops[op].types & AUDIENCE_NUMBER) || audience_ops[op].takes == AUDIENCE_TAKES_TRUTH || op == AUDIENCE_BETWEEN) continue;
        const struct audience_leaf l = number_leaf((enum audience_op)op);
        cr_expect_eq(audience_leaf_holds(&l, &none, 0), op == AUDIENCE_NE || op == AUDIENCE_NOT_IN, "%s", audience_op_words[op]);
    }
    struct audience_leaf exists = {.field = AUDIENCE_ATTRIBUTE, .op = AUDIENCE_EXISTS, .type = AUDIENCE_OTHER, .truth = false};
    cr_expect(audience_leaf_holds(&exists, &none, 0));
    exists.truth = true;
    cr_expect_not(audience_leaf_holds(&exists, &none, 0));
}

Test(audience, text_that_is_a_plain_number_counts_as_one)
{
    static const char *const is[] = {"2", "2.0", "002", "2.000000000000000000000000000000000000000"}, *const no[] = {"2e0", " 2", "2.", "", "+2", "0x2", "2,0"};
    const struct audience_leaf l = number_leaf(AUDIENCE_EQ);
    for (size_t i = 0; i < sizeof is / sizeof is[0]; i++) {
        const struct audience_value v = text_value(is[i]);
        cr_expect(audience_leaf_holds(&l, &v, 0), "%s", is[i]);
    }
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) {
        const struct audience_value v = text_value(no[i]);
        cr_expect_not(audience_leaf_holds(&l, &v, 0), "%s", no[i]);
    }
}

Test(audience, text_is_compared_as_it_is_written_and_lists_by_element)
{
    struct audience_leaf l = {.field = AUDIENCE_ATTRIBUTE, .op = AUDIENCE_CONTAINS, .type = AUDIENCE_TEXT, .n = 1, .texts = ab};
    struct audience_value v = text_value("xabx");
    cr_expect(audience_leaf_holds(&l, &v, 0));
    v = text_value("xABx");
    cr_expect_not(audience_leaf_holds(&l, &v, 0));
    const struct str list[] = {STR("abc"), STR("ab")};
    v = (struct audience_value){.type = AUDIENCE_LIST, .list = list, .n = 1};
    cr_expect_not(audience_leaf_holds(&l, &v, 0), "of an array an element, not a part of one");
    v.n = 2;
    cr_expect(audience_leaf_holds(&l, &v, 0));
    l.op = AUDIENCE_STARTS_WITH;
    v = text_value("a");
    cr_expect_not(audience_leaf_holds(&l, &v, 0));
    v = text_value("abc");
    cr_expect(audience_leaf_holds(&l, &v, 0));
}

Test(audience, within_days_reaches_a_day_ahead_and_no_further)
{
    const struct audience_leaf l = {.field = AUDIENCE_ATTRIBUTE, .op = AUDIENCE_WITHIN_DAYS, .type = AUDIENCE_TIME, .days = 7};
    static const struct { int64_t ago; bool in; } at[] = {{7 * TIME_DAY, true}, {7 * TIME_DAY + 1, false}, {0, true}, {-TIME_DAY, true}, {-TIME_DAY - 1, false}};
    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
        const struct audience_value v = {.type = AUDIENCE_TIME, .time = 1000 * TIME_DAY - at[i].ago};
        cr_expect_eq(audience_leaf_holds(&l, &v, 1000 * TIME_DAY), at[i].in, "%zu", i);
    }
}

Test(audience, an_event_counts_also_when_there_was_none)
{
    struct audience_leaf l = {.field = AUDIENCE_EVENT, .key = STR("x"), .days = NAN, .product_id = STR_NONE, .category = STR_NONE, .n_counts = 1,
                              .counts = {{AUDIENCE_EQ, 0}}};
    struct audience_value v = {.type = AUDIENCE_NUMBER, .num = 0};
    cr_expect(audience_leaf_holds(&l, &v, 0));
    l.counts[0].op = AUDIENCE_GE;
    cr_expect(audience_leaf_holds(&l, &v, 0));
    l.counts[0].n = 1;
    cr_expect_not(audience_leaf_holds(&l, &v, 0));
    cr_expect_not(audience_counted_in_stats(&l), "of a type of the shop's own the statistics know only all together");
    l.key = STR("product_viewed");
    cr_expect(audience_counted_in_stats(&l));
    l.days = 3;
    cr_expect_not(audience_counted_in_stats(&l));
}

/* {"all": [0, {"any": [1, 2]}, {"not": 3}]} */
static const struct audience_node nodes[] = {{AUDIENCE_ALL, 7, 0}, {AUDIENCE_LEAF, 1, 0}, {AUDIENCE_ANY_OF, 3, 0}, {AUDIENCE_LEAF, 1, 1},
                                             {AUDIENCE_LEAF, 1, 2}, {AUDIENCE_NOT, 2, 0}, {AUDIENCE_LEAF, 1, 3}};
static const struct audience_rule rule = {nodes, NULL, 7, 4};

Test(audience, the_conditions_that_decided_are_told)
{
    static const struct { bool leaves[4], in, decisive[4]; } cases[] = {
        {{1, 0, 1, 0}, true, {1, 0, 1, 1}},
        {{1, 1, 1, 0}, true, {1, 1, 1, 1}},
        {{0, 0, 1, 0}, false, {1, 0, 0, 0}},
        {{0, 0, 0, 1}, false, {1, 1, 1, 1}},
        {{1, 0, 0, 0}, false, {0, 1, 1, 0}},
        {{1, 1, 0, 1}, false, {0, 0, 0, 1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool decisive[4];
        cr_expect_eq(audience_holds(&rule, cases[i].leaves), cases[i].in, "%zu", i);
        audience_decisive(&rule, cases[i].leaves, decisive);
        for (int k = 0; k < 4; k++) cr_expect_eq(decisive[k], cases[i].decisive[k], "case %zu, condition %d", i, k);
    }
}

Test(audience, fields_are_found_by_name)
{
    enum audience_field f;
    struct str key;
    cr_assert(audience_field_find(STR("stats.recency_days"), &f, &key));
    cr_expect(f == AUDIENCE_RECENCY_DAYS && !str_present(key));
    cr_assert(audience_field_find(STR("attributes.a.b"), &f, &key));
    cr_expect(f == AUDIENCE_ATTRIBUTE && str_is(key, "a.b"));
    cr_expect_not(audience_field_find(STR("attributes."), &f, &key));
    cr_expect_not(audience_field_find(STR("stats.recency_days "), &f, &key));
    cr_expect_not(audience_field_find(STR(""), &f, &key));
}
