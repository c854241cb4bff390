/* The published figures of MovieLens 100K, mcrec_split (Dacrema et al., TOIS 2021, Table 46), through the API alone: events in, a
 * training, and what GET …/recommendations answers each of 942 customers. */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "client.h"

enum { FILMS = 1682, USERS = 942, K = 10 };

static FILE *split(const char *name)
{
    const char *folder = getenv("MEROS_TEST_DATA");
    return folder == NULL ? NULL : fopen(text("%s/movielens_100k/mcrec_split/%s", folder, name), "r");
}

/* An event a pair, all of one moment: the split has no order. */
static void import_pairs(FILE *f)
{
    struct buf b;
    int user, film, stars;
    buf_init(&b, 16 << 20);
    buf_str(&b, "customer_id,type,occurred_at,product_id\n");
    while (fscanf(f, "%d %d %d", &user, &film, &stars) == 3) buf_printf(&b, "u%d,film_rated,2024-01-01,f%d\n", user, film);
    buf_char(&b, '\0');
    struct reply *r = call(&(struct call){.method = "POST", .path = "/v1/imports/events", .type = "text/csv", .body = b.data, .timeout = 300});
    expect(r, 200);
    cr_assert_eq(int_at(r, "/inserted"), 80000);
    buf_done(&b);
}

struct figures {
    double precision, recall, ndcg;
};

/* One user's line of the test split ("user film film …") against the answer. */
static struct figures judge(char *line, const char *query, bool first)
{
    bool relevant[FILMS + 1] = {false};
    size_t n = 0, hits = 0;
    char *place = NULL;
    struct figures out = {0};
    double ideal = 0;
    const char *user = strtok_r(line, " \n", &place);
    for (const char *word; (word = strtok_r(NULL, " \n", &place)) != NULL; n++) {
        relevant[atoi(word)] = true;
        ideal += 1 / log2((double)n + 2);
    }
    /* Thousands of answers alike: the first is held against the contract. */
    struct reply *r = call(&(struct call){.method = "GET", .unchecked = !first,
                                          .path = text("/v1/customers/u%s/recommendations?limit=10&exclude_seen=true%s", user, query)});
    expect(r, 200);
    cr_assert_eq(count_at(r, "/items"), K, "%s", r->body);
    for (int k = 0; k < K; k++) {
        if (!relevant[atoi(text_at(r, text("/items/%d/product_id", k)) + 1)]) continue;
        hits++;
        out.ndcg += 1 / log2(k + 2);
    }
    out.precision = (double)hits / K;
    out.recall = (double)hits / (double)n;
    out.ndcg /= ideal;
    return out;
}

static struct figures judge_all(const char *query)
{
    FILE *f = split("ml-100k.test.rating");
    struct figures sum = {0};
    size_t users = 0, cap = 0;
    char *line = NULL;
    cr_assert_not_null(f);
    for (; getline(&line, &cap, f) > 0; users++) {
        const struct figures one = judge(line, query, users == 0);
        sum.precision += one.precision;
        sum.recall += one.recall;
        sum.ndcg += one.ndcg;
    }
    free(line);
    fclose(f);
    cr_assert_eq(users, USERS);
    return (struct figures){sum.precision / USERS, sum.recall / USERS, sum.ndcg / USERS};
}

static void expect_digits(struct figures got, const char *want)
{
    const char *digits = text("%.4f %.4f %.4f", got.precision, got.recall, got.ndcg);
    cr_expect_str_eq(digits, want, "%s, published is %s", digits, want);
}

Test(recommend_movielens, ease_and_popular_are_the_published_ones, .timeout = 900)
{
    static struct instance s;
    FILE *train = split("ml-100k.train.rating");
    if (train == NULL) cr_skip_test("MEROS_TEST_DATA does not lead to movielens_100k/mcrec_split");
    instance_start(&s, NULL);
    client_use(&s);
    import_pairs(train);
    fclose(train);
    run_job("{\"kind\":\"train.recommendations\",\"params\":{\"algorithm\":\"ease\",\"regularization\":458,\"evaluate\":false}}");
    expect_digits(judge_all(""), "0.3739 0.2430 0.2905");

    /* Many films are equally popular, and the last digit hangs on which of them come first: the published .1907 .1180 .1361 is what
     * numpy's argpartition leaves, another order for each user (tests/unit/ml/test_movielens.c has it to the digit). Between the
     * worst order of equals and the best there is no more than this. */
    const struct figures popular = judge_all("&strategy=popular");
    cr_expect(popular.precision > .18955 && popular.precision < .19125, "%.4f, published .1907", popular.precision);
    cr_expect(popular.recall > .11725 && popular.recall < .11845, "%.4f, published .1180", popular.recall);
    cr_expect(popular.ndcg > .13555 && popular.ndcg < .13645, "%.4f, published .1361", popular.ndcg);

    /* Settings that the search finds on what it holds out of the training split. */
    run_job("{\"kind\":\"train.recommendations\",\"params\":{\"algorithm\":\"item_knn\"}}");
    struct figures got = judge_all("");
    cr_expect_geq(got.ndcg, .2571, "ItemKNN %.4f", got.ndcg);
    run_job("{\"kind\":\"train.recommendations\",\"params\":{\"algorithm\":\"als\"}}");
    got = judge_all("");
    cr_expect_geq(got.ndcg, .2759, "ALS %.4f", got.ndcg);
    client_use(NULL);
    instance_done(&s);
}
