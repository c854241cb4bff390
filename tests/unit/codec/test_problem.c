#include <criterion/criterion.h>
#include "meros/codec/problem.h"

static void expect(const struct meros_err *err, const char *instance, const char *text)
{
    struct buf b;
    struct jsonw w;
    buf_init(&b, 10000);
    jsonw_init(&w, &b);
    problem_write(&w, err, instance);
    cr_assert_str_eq(b.data, text);
    buf_done(&b);
}

Test(problem, tells_what_where_and_to_whom)
{
    struct meros_err err = MEROS_ERR_INIT;
    err_set(&err, MEROS_NOT_FOUND, "There is no job with this id.");
    expect(&err, "r1",
           "{\"type\":\"/problems/not-found\",\"title\":\"There is no such thing here\",\"status\":404,"
           "\"detail\":\"There is no job with this id.\",\"instance\":\"r1\"}");
}

Test(problem, names_every_wrong_field)
{
    struct meros_err err = MEROS_ERR_INIT;
    err_set(&err, MEROS_INVALID, "Two are wrong.");
    err_field(&err, "/a", "is \"odd\"");
    err_field(&err, "?limit", "is too large");
    expect(&err, NULL,
           "{\"type\":\"/problems/invalid-request\",\"title\":\"The request is not valid\",\"status\":400,\"detail\":\"Two are wrong.\","
           "\"errors\":[{\"pointer\":\"/a\",\"detail\":\"is \\\"odd\\\"\"},{\"pointer\":\"?limit\",\"detail\":\"is too large\"}]}");
}

Test(problem, without_words_says_its_title)
{
    struct meros_err err = {.code = MEROS_UNAVAILABLE};
    expect(&err, NULL,
           "{\"type\":\"/problems/unavailable\",\"title\":\"The service cannot answer right now\",\"status\":503,"
           "\"detail\":\"The service cannot answer right now\"}");
}
