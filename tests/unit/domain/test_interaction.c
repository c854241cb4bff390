#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "meros/domain/interaction.h"

Test(interaction, default_weights_stand_in_the_order_of_their_types)
{
    const struct interaction_weights *w = &interaction_weights_default;
    for (size_t i = 1; i < w->n; i++) cr_expect_lt(strcmp(w->type[i - 1], w->type[i]), 0, "%s, %s", w->type[i - 1], w->type[i]);
    cr_expect_eq(w->type[w->n][0], 0);
    for (size_t i = 0; i < w->n; i++) cr_expect_neq(w->type[i][0], 0);
}

Test(interaction, a_weight_finds_its_place_or_replaces_what_was_there)
{
    struct interaction_weights w = interaction_weights_default;
    const size_t before = w.n;
    cr_assert(interaction_weights_put(&w, STR("product_viewed"), 2));
    cr_expect_eq(w.n, before);
    cr_expect(!interaction_weights_equal(&w, &interaction_weights_default));
    cr_assert(interaction_weights_put(&w, STR("product_viewed"), 1));
    cr_expect(interaction_weights_equal(&w, &interaction_weights_default));
    cr_assert(interaction_weights_put(&w, STR("a"), -3));
    cr_assert(interaction_weights_put(&w, STR("product"), 4)); /* the beginning of others comes before them */
    cr_assert(interaction_weights_put(&w, STR("zoomed"), 5));
    cr_expect_eq(w.n, before + 3);
    for (size_t i = 1; i < w.n; i++) cr_expect_lt(strcmp(w.type[i - 1], w.type[i]), 0);
    cr_expect_str_eq(w.type[0], "a");
    cr_expect_eq(w.weight[0], -3);
    cr_expect_str_eq(w.type[w.n - 1], "zoomed");
}

Test(interaction, there_is_an_end_to_types_and_to_their_names)
{
    struct interaction_weights w = interaction_weights_default;
    char name[INTERACTION_TYPE_MAX + 1];
    memset(name, 'x', sizeof name);
    cr_expect(!interaction_weights_put(&w, (struct str){name, sizeof name}, 1));
    cr_expect(interaction_weights_put(&w, (struct str){name, sizeof name - 1}, 1));
    cr_expect(!interaction_weights_put(&w, STR(""), 1));
    cr_expect(!interaction_weights_put(&w, (struct str){"a\0b", 3}, 1));
    while (w.n < INTERACTION_TYPES_MAX) {
        snprintf(name, sizeof name, "t%zu", w.n);
        cr_assert(interaction_weights_put(&w, str_of(name), 1));
    }
    cr_expect(!interaction_weights_put(&w, STR("one_more"), 1));
    cr_expect(interaction_weights_put(&w, STR("product_viewed"), 7));
}

Test(interaction, weights_differ_by_any_number)
{
    for (int which = 0; which < 4; which++) {
        struct interaction_weights w = interaction_weights_default;
        double *const numbers[] = {&w.purchase, &w.returned, &w.other, &w.half_life_days};
        *numbers[which] += 1;
        cr_expect(!interaction_weights_equal(&w, &interaction_weights_default), "%d", which);
    }
}
