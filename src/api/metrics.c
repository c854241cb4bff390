/* /metrics: what was counted, and what is measured at the moment of asking (process here; pool and jobs by the service). */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include "api_priv.h"
#include "meros/base/counters.h"
#include "meros/service/measure.h"

static struct metric_family cpu = {.name = "process_cpu_seconds_total", .help = "CPU time used.", .kind = METRIC_COUNTER};
static struct metric_family rss = {.name = "process_resident_memory_bytes", .help = "Resident memory.", .kind = METRIC_GAUGE};
static struct metric_family vsize = {.name = "process_virtual_memory_bytes", .help = "Virtual memory.", .kind = METRIC_GAUGE};
static struct metric_family fds = {.name = "process_open_fds", .help = "Open file descriptors.", .kind = METRIC_GAUGE};
static struct metric_family fds_max = {.name = "process_max_fds", .help = "Limit of open file descriptors.", .kind = METRIC_GAUGE};
static struct metric_family threads = {.name = "process_threads", .help = "Threads.", .kind = METRIC_GAUGE};
static struct metric_family started = {
    .name = "process_start_time_seconds", .help = "When the process started, in Unix time.", .kind = METRIC_GAUGE};
static struct metric_family build = {
    .name = "meros_build_info", .help = "The version that runs.", .kind = METRIC_GAUGE, .labels = {"version"}};
static void set(struct metric_family *family, const char *label, double v)
{
    metric_set(metric(family, (const char *const[]){label}), v);
}

/* Fields 14 (utime), 15 (stime), 20 (threads), 22 (start, ticks since boot), 23 (vsize), 24 (rss) of /proc/self/stat; the
 * name, field 2, may hold anything, so counting starts behind its last ')'. */
static void measure_stat(void)
{
    char text[1024];
    FILE *f = fopen("/proc/self/stat", "re");
    size_t n = f == NULL ? 0 : fread(text, 1, sizeof text - 1, f);
    if (f != NULL)
        fclose(f);
    text[n] = '\0';
    const char *p = strrchr(text, ')');
    unsigned long long utime, stime, start, virt;
    long long n_threads, pages;
    if (p == NULL || sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %lld %*d %llu %llu %lld",
                            &utime, &stime, &n_threads, &start, &virt, &pages) != 6)
        return;
    double ticks = (double)sysconf(_SC_CLK_TCK);
    struct timespec boot, real;
    clock_gettime(CLOCK_BOOTTIME, &boot);
    clock_gettime(CLOCK_REALTIME, &real);
    double booted = (double)real.tv_sec - (double)boot.tv_sec + ((double)real.tv_nsec - (double)boot.tv_nsec) * 1e-9;
    set(&cpu, NULL, (double)(utime + stime) / ticks);
    set(&threads, NULL, (double)n_threads);
    set(&started, NULL, booted + (double)start / ticks);
    set(&vsize, NULL, (double)virt);
    set(&rss, NULL, (double)pages * (double)sysconf(_SC_PAGESIZE));
}

static void measure_files(void)
{
    struct rlimit limit;
    DIR *d = opendir("/proc/self/fd");
    if (d != NULL) {
        int n = 0;
        for (struct dirent *e; (e = readdir(d)) != NULL;)
            n += e->d_name[0] != '.';
        closedir(d);
        set(&fds, NULL, n - 1); /* without the one that looked */
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        set(&fds_max, NULL, (double)limit.rlim_cur);
}

/* The route is public so that a scraper without a key is let in where that is configured; elsewhere the key is asked for
 * here. */
static enum meros_code check_key(struct http_request *req, struct service *svc, struct meros_err *err)
{
    const struct http_principal *who = http_principal(req);
    if (svc->settings.metrics_public)
        return MEROS_OK;
    if (who->key_id[0] == '\0') {
        http_reply_header(req, "WWW-Authenticate", "Bearer realm=\"meros\"");
        return err_set(err, MEROS_UNAUTHENTICATED, "Metrics need a key: send Authorization: Bearer KEY, or set metrics_public.");
    }
    if ((who->scopes & (SCOPE_READ | SCOPE_ADMIN)) == 0)
        return err_set(err, MEROS_FORBIDDEN, "This key lacks the scope that this operation needs: read.");
    return MEROS_OK;
}

static enum meros_code metrics(struct http_request *req, struct meros_err *err)
{
    struct service *svc = api_service(req);
    struct buf out;
    enum meros_code rc = check_key(req, svc, err);
    if (rc != MEROS_OK)
        return rc;
    set(&build, MEROS_VERSION, 1);
    measure_stat();
    measure_files();
    service_measure(svc);
    buf_init(&out, 16 << 20);
    metric_render(&out);
    if (out.failed) {
        rc = err_set(err, MEROS_OUT_OF_MEMORY, "No memory for the metrics.");
    } else {
        http_reply_header(req, "Cache-Control", "no-store");
        http_reply_bytes(req, 200, "text/plain; version=0.0.4; charset=utf-8", (struct str){out.data, out.len});
    }
    buf_done(&out);
    return rc;
}

const struct http_route api_metrics_routes[] = {
    {.method = HTTP_GET, .pattern = "/metrics", .name = "getMetrics", .scopes = SCOPE_READ, .flags = HTTP_INLINE | HTTP_PUBLIC, .fn = metrics},
    {0},
};
