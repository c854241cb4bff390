#include <criterion/criterion.h>
#include <string.h>
#include "meros/base/clock.h"
#include "meros/service/recommendation_id.h"

static struct service *service(unsigned char key)
{
    static struct service svc[2];
    struct meros_err err = MEROS_ERR_INIT;
    cr_assert_eq(crypto_start(&err), MEROS_OK);
    struct service *s = &svc[key & 1];
    memset(s->settings.pii_key, key, sizeof s->settings.pii_key);
    return s;
}

static struct recommendation_parts parts(size_t n, int64_t first_no)
{
    struct recommendation_parts p = {.at = INT64_C(1795294830) * TIME_SECOND, .strategy = 9, .experiment = 70000, .arm = 2, .model_no = 4711, .n = n};
    for (size_t i = 0; i < n; i++) {
        p.picks[i].product_no = first_no + (int64_t)i;
        p.picks[i].by = (uint8_t)(i % 10);
        p.picks[i].arm = (uint8_t)(i % 3);
    }
    return p;
}

static void expect_same(const struct recommendation_parts *a, const struct recommendation_parts *b, size_t total)
{
    cr_expect_eq(a->at, b->at);
    cr_expect_eq(a->strategy, b->strategy);
    cr_expect_eq(a->experiment, b->experiment);
    cr_expect_eq(a->arm, b->arm);
    cr_expect_eq(a->model_no, b->model_no);
    cr_expect_eq(a->total, total);
    for (size_t i = 0; i < a->n; i++) {
        cr_expect_eq(a->picks[i].product_no, b->picks[i].product_no);
        cr_expect_eq(a->picks[i].by, b->picks[i].by);
        cr_expect_eq(a->picks[i].arm, b->picks[i].arm);
    }
}

Test(recommendation_id, tells_what_was_put_into_it)
{
    static const size_t sizes[] = {0, 1, 10, 30};
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        struct recommendation_parts made = parts(sizes[k], 2000000), told;
        char id[RECOMMENDATION_ID_MAX + 1];
        recommendation_id_make(service(2), &made, id);
        cr_assert(id_valid(str_of(id)), "%s", id);
        cr_assert_eq(strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), strlen(id), "%s", id);
        cr_assert(recommendation_id_read(service(2), str_of(id), &told));
        cr_expect_eq(told.n, sizes[k]);
        expect_same(&told, &made, sizes[k]);
    }
}

Test(recommendation_id, extreme_numbers_survive)
{
    struct recommendation_parts made = parts(3, INT64_MAX - 2), told;
    char id[RECOMMENDATION_ID_MAX + 1];
    made.at = INT64_C(4294967295) * TIME_SECOND;
    made.experiment = UINT32_MAX;
    made.strategy = UINT8_MAX;
    made.model_no = INT64_MAX;
    recommendation_id_make(service(2), &made, id);
    cr_assert(recommendation_id_read(service(2), str_of(id), &told));
    cr_expect_eq(told.n, 3);
    expect_same(&told, &made, 3);
}

Test(recommendation_id, tells_of_every_pick_of_the_longest_answer)
{
    struct recommendation_parts made = parts(RECOMMENDATION_PICKS_MAX, (1 << 28) - RECOMMENDATION_PICKS_MAX), told;
    char id[RECOMMENDATION_ID_MAX + 1];
    made.model_no = INT64_MAX;
    recommendation_id_make(service(2), &made, id);
    cr_expect_leq(strlen(id), RECOMMENDATION_ID_MAX);
    cr_assert(recommendation_id_read(service(2), str_of(id), &told));
    cr_expect_eq(told.n, RECOMMENDATION_PICKS_MAX);
    expect_same(&told, &made, RECOMMENDATION_PICKS_MAX);
}

Test(recommendation_id, tells_of_the_first_of_too_many_picks_and_how_many_there_were)
{
    struct recommendation_parts made, told;
    char id[RECOMMENDATION_ID_MAX + 1];
    made = parts(RECOMMENDATION_PICKS_MAX, INT64_MAX - RECOMMENDATION_PICKS_MAX);
    made.model_no = INT64_MAX;
    recommendation_id_make(service(2), &made, id);
    cr_expect_leq(strlen(id), RECOMMENDATION_ID_MAX);
    cr_assert(recommendation_id_read(service(2), str_of(id), &told));
    cr_expect_geq(told.n, 48);
    expect_same(&told, &made, RECOMMENDATION_PICKS_MAX);
}

Test(recommendation_id, two_answers_alike_have_different_ids)
{
    struct recommendation_parts made = parts(10, 1);
    char a[RECOMMENDATION_ID_MAX + 1], b[RECOMMENDATION_ID_MAX + 1];
    recommendation_id_make(service(2), &made, a);
    recommendation_id_make(service(2), &made, b);
    cr_expect_str_neq(a, b);
}

Test(recommendation_id, any_other_character_anywhere_makes_it_none_of_ours)
{
    struct recommendation_parts made = parts(10, 1), told;
    char id[RECOMMENDATION_ID_MAX + 1];
    recommendation_id_make(service(2), &made, id);
    for (size_t i = 0; id[i] != '\0'; i++) {
        for (int c = 1; c < 256; c++) {
            const char before = id[i];
            if (before == (char)c) continue;
            id[i] = (char)c;
            cr_assert_not(recommendation_id_read(service(2), str_of(id), &told), "character %zu as %d", i, c);
            id[i] = before;
        }
    }
    cr_expect(recommendation_id_read(service(2), str_of(id), &told));
}

Test(recommendation_id, what_is_cut_or_grown_is_none_of_ours)
{
    struct recommendation_parts made = parts(5, 1), told;
    char id[2 * RECOMMENDATION_ID_MAX + 1];
    recommendation_id_make(service(2), &made, id);
    const size_t n = strlen(id);
    for (size_t k = 0; k < n; k++) {
        cr_expect_not(recommendation_id_read(service(2), (struct str){id, k}, &told), "the first %zu", k);
        cr_expect_not(recommendation_id_read(service(2), (struct str){id + n - k, k}, &told), "the last %zu", k);
    }
    for (size_t k = n; k < sizeof id; k++) {
        memset(id + n, 'A', sizeof id - n);
        if (k > n) cr_expect_not(recommendation_id_read(service(2), (struct str){id, k}, &told), "%zu behind it", k - n);
    }
    cr_expect_not(recommendation_id_read(service(2), STR_NONE, &told));
    cr_expect_not(recommendation_id_read(service(2), STR("rec_"), &told));
    cr_expect_not(recommendation_id_read(service(2), STR("Related products"), &told));
}

Test(recommendation_id, another_key_reads_nothing)
{
    struct recommendation_parts made = parts(5, 1), told;
    char id[RECOMMENDATION_ID_MAX + 1];
    recommendation_id_make(service(2), &made, id);
    cr_expect_not(recommendation_id_read(service(3), str_of(id), &told));
}

Test(recommendation_id, making_one_takes_microseconds_at_most)
{
    enum { N = 20000 };
    struct recommendation_parts made = parts(10, 1000);
    char id[RECOMMENDATION_ID_MAX + 1];
    const int64_t start = clock_mono_ns();
    for (int i = 0; i < N; i++) recommendation_id_make(service(2), &made, id);
    const double ns = (double)(clock_mono_ns() - start) / N;
    cr_log_info("%.0f ns an id", ns);
    cr_expect_lt(ns, 100000, "%.0f ns an id", ns); /* under sanitizers, on a busy machine */
}
