/* CDNOW's sample of 2,357 customers from its transactions: calibrated to 1997-09-30, held out to 1998-06-30; purchases of a
 * day merged. Times in days. */
#ifndef CDNOW_H
#define CDNOW_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CDNOW_MAX = 2400, CDNOW_CALIBRATION_DAYS = 272, CDNOW_HOLDOUT_DAYS = 273 };
struct cdnow {
    size_t n;
    double x[CDNOW_MAX], t_x[CDNOW_MAX], t[CDNOW_MAX]; /* of the calibration */
    double mean_value[CDNOW_MAX], value_days[CDNOW_MAX]; /* of repeat purchase days */
    double later_days[CDNOW_MAX], later_value[CDNOW_MAX]; /* purchase days and value of the hold-out */
    double daily[CDNOW_CALIBRATION_DAYS + CDNOW_HOLDOUT_DAYS + 1]; /* repeat purchase days of everybody, from 1997-01-01 */
    double first_value[CDNOW_MAX];
};

static inline const char *cdnow_path(char path[1000], const char *file)
{
    const char *folder = getenv("MEROS_TEST_DATA");
    snprintf(path, 1000, "%s/cdnow/%s", folder != NULL ? folder : "../shared/data", file);
    return path;
}

/* Days since 1997-01-01. */
static inline int cdnow_day(int date)
{
    static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    return (date / 10000 - 1997) * 365 + before[date / 100 % 100 - 1] + date % 100 - 1;
}

/* False when the file is not there. */
static inline bool cdnow_load(struct cdnow *c)
{
    char path[1000];
    FILE *f = fopen(cdnow_path(path, "CDNOW_sample.txt"), "r");
    if (f == NULL) return false;
    int date, cds, first = 0, last_day = -1;
    long master, id, before = -1;
    double dollars;
    memset(c, 0, sizeof *c);
    while (fscanf(f, "%ld %ld %d %d %lf", &master, &id, &date, &cds, &dollars) == 5) {
        const int day = cdnow_day(date);
        if (id != before && c->n == CDNOW_MAX) break;
        const size_t i = id != before ? c->n++ : c->n - 1;
        if (id != before) {
            first = last_day = day;
            c->t[i] = CDNOW_CALIBRATION_DAYS - day;
        }
        const bool fresh = day != last_day;
        if (day > CDNOW_CALIBRATION_DAYS) {
            c->later_days[i] += fresh;
            c->later_value[i] += dollars;
        } else if (day > first) {
            c->x[i] += fresh;
            c->t_x[i] = day - first;
            c->mean_value[i] += dollars;
        } else {
            c->first_value[i] += dollars;
        }
        c->daily[day] += fresh && day > first;
        last_day = day;
        before = id;
    }
    fclose(f);
    for (size_t i = 0; i < c->n; i++) {
        c->value_days[i] = c->x[i];
        if (c->x[i] > 0) c->mean_value[i] /= c->x[i];
    }
    return true;
}

#endif
