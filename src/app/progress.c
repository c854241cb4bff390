#include "client_priv.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "meros/base/clock.h"

static void size_text(double n, char out[16])
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB"};
    size_t u = 0;
    while (n >= 1000 && u < 4) n /= 1000, u++;
    snprintf(out, 16, u == 0 ? "%.0f %s" : "%.1f %s", n, units[u]);
}

void progress_begin(struct progress *p, const char *label, double total, bool bytes)
{
    *p = (struct progress){label, total, bytes, isatty(STDERR_FILENO) == 1, clock_mono_ns(), 0};
}

void progress_show(struct progress *p, double done, const char *stage)
{
    enum { WIDTH = 30 };
    int64_t now = clock_mono_ns();
    if (!p->terminal || now - p->drawn_ns < 100000000) return;
    p->drawn_ns = now;
    double seconds = (double)(now - p->started_ns) / 1e9, share = p->total > 0 ? done / p->total : 0;
    if (share > 1) share = 1;
    fprintf(stderr, "\r\033[K%-22.40s ", p->label);
    if (p->total > 0) {
        char bar[WIDTH + 1];
        int full = (int)(share * WIDTH);
        memset(bar, '.', WIDTH);
        memset(bar, '#', (size_t)full);
        bar[WIDTH] = '\0';
        fprintf(stderr, "[%s] %3.0f %% ", bar, share * 100);
    }
    if (p->bytes) {
        char size[16], rate[16];
        size_text(done, size);
        size_text(seconds > 0 ? done / seconds : 0, rate);
        fprintf(stderr, stage == NULL ? " %s  %s/s " : " %s ", size, rate);
    }
    /* after a second the rate has settled enough to promise something */
    if (share > 0 && share < 1 && seconds > 1) fprintf(stderr, " %.0f s left ", seconds / share * (1 - share) + 0.5);
    if (stage != NULL && stage[0] != '\0') fprintf(stderr, " %.40s", stage);
    fflush(stderr);
}

void progress_end(struct progress *p)
{
    if (p->terminal) fputs("\r\033[K", stderr);
}
