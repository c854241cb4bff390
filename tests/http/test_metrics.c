/* What Prometheus scrapes: its format to the letter, and every answer counted. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "client.h"

/* The value of a series, written with its labels; NaN if it is not there. */
static double series(const char *page, const char *name)
{
    const char *line = text("\n%s ", name), *at = strstr(page, line);
    return at == NULL ? NAN : strtod(at + strlen(line), NULL);
}

static bool name_char(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == ':';
}

/* One sample line: name{label="value",…} number. */
static bool sample(const char *p, const char *family)
{
    size_t n = strlen(family);
    if (strncmp(p, family, n) != 0) return false;
    p += n;
    if (strncmp(p, "_bucket", 7) == 0) p += 7;
    else if (strncmp(p, "_sum", 4) == 0) p += 4;
    else if (strncmp(p, "_count", 6) == 0) p += 6;
    if (*p == '{') {
        do {
            p++;
            if (!isalpha((unsigned char)*p) && *p != '_') return false;
            while (name_char(*p)) p++;
            if (*p++ != '=' || *p++ != '"') return false;
            for (; *p != '"'; p++)
                if (*p == '\0' || *p == '\n' || (*p == '\\' && strchr("\\n\"", *++p) == NULL)) return false;
            p++;
        } while (*p == ',');
        if (*p++ != '}') return false;
    }
    if (*p++ != ' ') return false;
    char *end;
    strtod(p, &end);
    return end > p && *end == '\0';
}

Test(metrics, every_line_is_of_the_text_format)
{
    struct reply *r = get("/metrics");
    expect(r, 200);
    cr_assert_eq(strncmp(r->type, "text/plain; version=0.0.4", 25), 0);
    cr_assert_eq(r->body[r->n - 1], '\n');
    char *copy = strdup(r->body), *save = NULL, family[200] = "", helped[200] = "";
    cr_assert(keep(copy));
    int families = 0;
    for (char *line = strtok_r(copy, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
        char name[200], kind[32];
        if (sscanf(line, "# HELP %199s %*s", name) == 1) {
            cr_assert_null(strstr(r->body, text("# HELP %s ", name)) == NULL ? "" : strstr(strstr(r->body, text("# HELP %s ", name)) + 1, text("# HELP %s ", name)), "%s twice", name);
            snprintf(helped, sizeof helped, "%s", name);
        } else if (sscanf(line, "# TYPE %199s %31s", name, kind) == 2) {
            cr_assert_str_eq(name, helped, "HELP stands before TYPE");
            cr_assert(!strcmp(kind, "counter") || !strcmp(kind, "gauge") || !strcmp(kind, "histogram"), "%s", line);
            snprintf(family, sizeof family, "%s", name);
            families++;
        } else {
            cr_assert(sample(line, family), "%s", line);
        }
    }
    cr_assert_gt(families, 10);
}

Test(metrics, every_status_is_counted_by_route)
{
    struct instance s;
    instance_start(&s, NULL);
    client_use(&s);
    expect(get("/healthz"), 200);
    expect(get("/healthz"), 200);
    expect(post("/v1/jobs", "{"), 400);
    expect(call(&(struct call){.method = "GET", .path = "/v1/jobs", .key = ""}), 401);
    expect(get("/v1/jobs/nope"), 404);
    expect(get("/nowhere"), 404);
    expect(put("/healthz", "{}"), 405);
    expect(call(&(struct call){.method = "POST", .path = "/v1/jobs", .body = "x", .type = "text/plain"}), 415);
    expect(call(&(struct call){.method = "GET", .path = "/v1/keys", .key = key_with("read")}), 403);
    expect(head("/healthz"), 200);
    static const struct {
        const char *name;
        double n;
    } want[] = {{"meros_http_requests_total{route=\"getHealth\",method=\"GET\",status=\"200\"}", 2},
                {"meros_http_requests_total{route=\"getHealth\",method=\"HEAD\",status=\"200\"}", 1},
                {"meros_http_requests_total{route=\"createJob\",method=\"POST\",status=\"400\"}", 1},
                {"meros_http_requests_total{route=\"createJob\",method=\"POST\",status=\"415\"}", 1},
                {"meros_http_requests_total{route=\"listJobs\",method=\"GET\",status=\"401\"}", 1},
                {"meros_http_requests_total{route=\"listKeys\",method=\"GET\",status=\"403\"}", 1},
                {"meros_http_requests_total{route=\"getJob\",method=\"GET\",status=\"404\"}", 1},
                {"meros_http_requests_total{route=\"unmatched\",method=\"GET\",status=\"404\"}", 1},
                {"meros_http_requests_total{route=\"unmatched\",method=\"PUT\",status=\"405\"}", 1},
                {"meros_http_request_seconds_count{route=\"getHealth\"}", 3}};
    struct reply *r = get("/metrics");
    for (double until = seconds_now() + 30; seconds_now() < until; r = get("/metrics")) { /* each is counted after its answer has gone */
        size_t there = 0;
        for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) there += series(r->body, want[i].name) == want[i].n;
        if (there == sizeof want / sizeof want[0]) break;
    }
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
        cr_assert_eq(series(r->body, want[i].name), want[i].n, "%s is %g", want[i].name, series(r->body, want[i].name));
    cr_assert_eq(series(r->body, "meros_db_up"), 1);
    cr_assert_gt(series(r->body, "process_resident_memory_bytes"), 1e6);
    cr_assert_gt(series(r->body, "process_open_fds"), 5);
    cr_assert_gt(series(r->body, "process_start_time_seconds"), 1.7e9);
    instance_done(&s);
}

Test(metrics, need_a_key_unless_configured_open)
{
    expect(call(&(struct call){.method = "GET", .path = "/metrics", .key = ""}), 401);
    expect(call(&(struct call){.method = "GET", .path = "/metrics", .key = key_with("recommend")}), 403);
    expect(call(&(struct call){.method = "GET", .path = "/metrics", .key = key_with("read")}), 200);
}
