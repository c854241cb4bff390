/* Counters, gauges and histograms in the form Prometheus scrapes.
 *
 * A metric family is declared once, statically or by counters_family(); its series (one a set of label values) are made
 * on first use and live as long as the process. Label values must come from small closed sets (route names, status
 * codes), never from clients. Adding is lock-free after a series exists; all functions are thread-safe. */
#ifndef MEROS_BASE_COUNTERS_H
#define MEROS_BASE_COUNTERS_H

#include <stddef.h>
#include <stdint.h>
#include "meros/base/buf.h"

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };
enum { METRIC_LABELS_MAX = 4 };

struct metric_family {
    const char *name; /* "meros_http_requests_total" */
    const char *help;
    enum metric_kind kind;
    const char *labels[METRIC_LABELS_MAX]; /* label names, NULL after the last */
    const double *bounds;                  /* histograms: upper bounds, ascending; +Inf is implied */
    size_t n_bounds;
    /* private */
    struct metric_series *_Atomic series;
    struct metric_family *next;
    _Atomic int registered;
};

/* Default bounds for durations in seconds: .0005 to 60. */
extern const double metric_seconds[];
extern const size_t n_metric_seconds;

/* The series with these label values (as many as the family has labels), made if need be. Keep the pointer where the
 * path is hot. NULL only when out of memory; the functions below then do nothing. */
struct metric_series *metric(struct metric_family *family, const char *const *values);
void metric_add(struct metric_series *s, double v);     /* counter, gauge */
void metric_set(struct metric_series *s, double v);     /* gauge */
void metric_observe(struct metric_series *s, double v); /* histogram */
double metric_value(struct metric_series *s);           /* counter, gauge; of a histogram its count */

/* Called before each rendering: sets gauges that are read rather than counted. */
void metric_collector(void (*fn)(void *arg), void *arg);
void metric_render(struct buf *out); /* text format 0.0.4, families in order of first use */

#endif
