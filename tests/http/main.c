/* Runs the HTTP tests: starts the one service that they share, shows its log where a test fails, and at the end asks
 * whether every operation of openapi/openapi.yaml was visited. A run of some tests only (--filter) does not ask that. */
#include <criterion/criterion.h>
#include <criterion/hooks.h>
#include <criterion/options.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "client.h"
#include "service.h"

static struct instance template, shared;
static long log_at_test;

ReportHook(PRE_TEST)(struct criterion_test *test)
{
    struct stat st;
    (void)test;
    if (stat(shared.log, &st) == 0) log_at_test = (long)st.st_size;
}

ReportHook(POST_TEST)(struct criterion_test_stats *stats)
{
    if (stats->test_status == CR_STATUS_FAILED) instance_show_log(&shared, log_at_test, 6000);
}

struct visits {
    char *seen;
    size_t total, missing;
};

static void look_for(void *arg, const struct operation *op)
{
    struct visits *v = arg;
    const char *line = text("\n%s\n", op->id);
    v->total++;
    if (strstr(v->seen, line) != NULL) return;
    if (v->missing++ == 0) fprintf(stderr, "Operations of openapi/openapi.yaml that no test visited:\n");
    fprintf(stderr, "  %s (%s %s)\n", op->id, op->method, op->path);
}

static bool all_visited(const char *path)
{
    struct visits v = {0};
    struct stat st;
    FILE *f = fopen(path, "re");
    if (f == NULL || fstat(fileno(f), &st) != 0) return false;
    v.seen = calloc(1, (size_t)st.st_size + 2);
    if (v.seen == NULL) return false;
    v.seen[0] = '\n';
    v.seen[1 + fread(v.seen + 1, 1, (size_t)st.st_size, f)] = '\0';
    fclose(f);
    openapi_each(client_contract(), look_for, &v);
    free(v.seen);
    printf("http: %zu of %zu documented operations visited\n", v.total - v.missing, v.total);
    return v.missing == 0;
}

int main(int argc, char **argv)
{
    char visits[260];
    double began = seconds_now();
    int rc = 0;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    struct criterion_test_set *tests = criterion_initialize();
    if (criterion_options.timeout == 0) criterion_options.timeout = 400; /* of one test: nothing hangs for ever */
    if (criterion_handle_args(argc, argv, true)) {
        instances_begin();
        instance_make_template(&template);
        instance_start(&shared, (const char *const[]){"MEROS_WEBHOOK_ALLOW_PRIVATE=true", NULL}); /* receivers of tests are on the loopback */
        instance_share(&shared);
        snprintf(visits, sizeof visits, "%s/visits", shared.folder);
        client_visits_file(visits);
        rc = criterion_run_all_tests(tests) ? 0 : 1;
        if (criterion_options.pattern == NULL && !all_visited(visits)) rc = 1;
        instance_done(&shared);
        instance_done(&template);
        instances_end();
        printf("http: %.0f s\n", seconds_now() - began);
    }
    criterion_finalize(tests);
    curl_global_cleanup();
    return rc;
}
