#include "meros/base/counters.h"

#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <string.h>

static const char *rendered(void)
{
    static struct buf out;
    buf_done(&out); /* of the call before */
    buf_init(&out, 1 << 20);
    metric_render(&out);
    cr_assert_not(out.failed);
    return out.data == NULL ? "" : out.data;
}

Test(counters, a_counter_renders_with_help_type_and_labels)
{
    static struct metric_family f = {.name = "m_requests_total", .help = "Requests.", .kind = METRIC_COUNTER, .labels = {"route", "status"}};
    metric_add(metric(&f, (const char *const[]){"getJob", "200"}), 2);
    metric_add(metric(&f, (const char *const[]){"getJob", "200"}), 1);
    cr_assert_str_eq(rendered(), "# HELP m_requests_total Requests.\n# TYPE m_requests_total counter\n"
                                 "m_requests_total{route=\"getJob\",status=\"200\"} 3\n");
}

Test(counters, the_same_labels_are_the_same_series)
{
    static struct metric_family f = {.name = "m", .help = "h", .kind = METRIC_GAUGE, .labels = {"a"}};
    struct metric_series *x = metric(&f, (const char *const[]){"x"}), *y = metric(&f, (const char *const[]){"y"});
    char copy[] = "x";
    cr_assert_neq(x, y);
    cr_assert_eq(x, metric(&f, (const char *const[]){copy}));
    metric_set(x, 5);
    metric_add(x, -2);
    cr_assert_eq(metric_value(x), 3);
    cr_assert_eq(metric_value(y), 0);
}

Test(counters, label_values_and_help_are_escaped)
{
    static struct metric_family f = {.name = "m", .help = "back\\slash\nnew line", .kind = METRIC_COUNTER, .labels = {"a"}};
    metric_add(metric(&f, (const char *const[]){"q\"b\\n\n"}), 1);
    cr_assert_str_eq(rendered(), "# HELP m back\\\\slash\\nnew line\n# TYPE m counter\nm{a=\"q\\\"b\\\\n\\n\"} 1\n");
}

Test(counters, histogram_buckets_are_cumulative_and_bounds_inclusive)
{
    static const double bounds[] = {-1, 0.5, 2};
    static struct metric_family f = {.name = "h", .help = "h", .kind = METRIC_HISTOGRAM, .labels = {"r"}, .bounds = bounds, .n_bounds = 3};
    struct metric_series *s = metric(&f, (const char *const[]){"x"});
    static const double seen[] = {-2, 0.5, 0.25, 1, 100};
    for (size_t i = 0; i < 5; i++) metric_observe(s, seen[i]);
    cr_assert_eq(metric_value(s), 5);
    cr_assert_str_eq(rendered(), "# HELP h h\n# TYPE h histogram\nh_bucket{r=\"x\",le=\"-1\"} 1\nh_bucket{r=\"x\",le=\"0.5\"} 3\n"
                                 "h_bucket{r=\"x\",le=\"2\"} 4\nh_bucket{r=\"x\",le=\"+Inf\"} 5\nh_sum{r=\"x\"} 99.75\nh_count{r=\"x\"} 5\n");
}

Test(counters, without_labels_there_are_no_braces)
{
    static const double bounds[] = {1};
    static struct metric_family g = {.name = "g", .help = "g", .kind = METRIC_GAUGE};
    static struct metric_family h = {.name = "h", .help = "h", .kind = METRIC_HISTOGRAM, .bounds = bounds, .n_bounds = 1};
    metric_set(metric(&g, NULL), 1.5);
    metric_observe(metric(&h, NULL), 1);
    cr_assert_str_eq(rendered(), "# HELP g g\n# TYPE g gauge\ng 1.5\n# HELP h h\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\n"
                                 "h_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n");
}

Test(counters, numbers_that_are_not_finite_are_spelled_as_prometheus_reads_them)
{
    static struct metric_family f = {.name = "g", .help = "g", .kind = METRIC_GAUGE, .labels = {"a"}};
    metric_set(metric(&f, (const char *const[]){"1"}), NAN);
    metric_set(metric(&f, (const char *const[]){"2"}), INFINITY);
    metric_set(metric(&f, (const char *const[]){"3"}), -INFINITY);
    const char *text = rendered();
    cr_assert(strstr(text, "{a=\"1\"} NaN\n") && strstr(text, "{a=\"2\"} +Inf\n") && strstr(text, "{a=\"3\"} -Inf\n"), "%s", text);
}

Test(counters, a_metric_that_could_not_be_made_is_ignored)
{
    metric_add(NULL, 1);
    metric_set(NULL, 1);
    metric_observe(NULL, 1);
    cr_assert_eq(metric_value(NULL), 0);
}

static struct metric_family collected = {.name = "c", .help = "c", .kind = METRIC_GAUGE};
static void collect(void *arg)
{
    metric_set(metric(&collected, NULL), ++*(int *)arg);
}
Test(counters, collectors_run_before_each_rendering)
{
    static int calls;
    metric_collector(collect, &calls);
    cr_assert(strstr(rendered(), "c 1\n") != NULL);
    cr_assert(strstr(rendered(), "c 2\n") != NULL);
}

static struct metric_family hot = {.name = "hot", .help = "h", .kind = METRIC_COUNTER, .labels = {"n"}};
static struct metric_family hot_h = {.name = "hot_h", .help = "h", .kind = METRIC_HISTOGRAM, .bounds = metric_seconds, .n_bounds = 16};
static void *hammer(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20000; i++) {
        char name[2] = {(char)('a' + i % 16), '\0'};
        metric_add(metric(&hot, (const char *const[]){name}), 1);
        metric_observe(metric(&hot_h, NULL), 0.25);
    }
    return NULL;
}
Test(counters, no_count_is_lost_between_threads)
{
    pthread_t t[4];
    for (int i = 0; i < 4; i++) pthread_create(&t[i], NULL, hammer, NULL);
    for (int i = 0; i < 20; i++) rendered();
    for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
    double total = 0;
    for (int i = 0; i < 16; i++) total += metric_value(metric(&hot, (const char *const[]){(char[]){(char)('a' + i), '\0'}}));
    cr_assert_eq(total, 80000);
    cr_assert_eq(metric_value(metric(&hot_h, NULL)), 80000);
    cr_assert(strstr(rendered(), "hot_h_sum 20000\n") != NULL);
}
