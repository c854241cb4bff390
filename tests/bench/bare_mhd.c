/* The yardstick of the HTTP benchmarks: libmicrohttpd with the flags that the service uses, answering a constant.
 *     build/bare_mhd PORT BYTES      (runs until its standard input ends; prints "ready" when it listens) */
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *text;
static size_t size;

static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *url, const char *method,
                                  const char *version, const char *data, size_t *data_n, void **state)
{
    static int seen;
    (void)cls, (void)url, (void)method, (void)version, (void)data;
    if (*state == NULL) { /* an answer in the first call would close the connection */
        *state = &seen;
        return MHD_YES;
    }
    if (*data_n > 0) {
        *data_n = 0;
        return MHD_YES;
    }
    struct MHD_Response *r = MHD_create_response_from_buffer(size, text, MHD_RESPMEM_PERSISTENT);
    if (r == NULL) return MHD_NO;
    MHD_add_response_header(r, "Content-Type", "application/json");
    enum MHD_Result rc = MHD_queue_response(c, 200, r);
    MHD_destroy_response(r);
    return rc;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: bare_mhd PORT BYTES\n");
        return 2;
    }
    size = strtoul(argv[2], NULL, 10);
    text = malloc(size + 1);
    if (text == NULL) return 1;
    memset(text, 'x', size);
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    struct MHD_Daemon *d = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC | MHD_USE_ERROR_LOG,
        (uint16_t)strtoul(argv[1], NULL, 10), NULL, NULL, on_request, NULL, MHD_OPTION_THREAD_POOL_SIZE,
        (unsigned)(2 * cpus > 4 ? 2 * cpus : 4), MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)32768, MHD_OPTION_END);
    if (d == NULL) return 1;
    printf("ready\n");
    fflush(stdout);
    char drop[64];
    while (read(STDIN_FILENO, drop, sizeof drop) > 0) {}
    MHD_stop_daemon(d);
    free(text);
    return 0;
}
