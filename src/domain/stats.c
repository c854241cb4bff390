#include "meros/domain/stats.h"

#include <math.h>

static const char *const names[] = {
#define X(id, name) name,
    EVENT_KINDS(X)
#undef X
};

const char *event_kind_name(enum event_kind kind)
{
    return names[kind];
}

enum event_kind event_kind_of(struct str type)
{
    for (int k = 0; k < EVENT_OTHER; k++)
        if (str_is(type, names[k])) return (enum event_kind)k;
    return EVENT_OTHER;
}

static double decay(int64_t from, int64_t to, double half_life_days)
{
    return exp2(-((double)(to - from) / (double)TIME_DAY) / half_life_days);
}

double event_stats_at(const struct event_stats *e, int64_t at, double half_life_days)
{
    if (e->count == 0) return 0;
    return at <= e->decayed_at ? e->decayed : e->decayed * decay(e->decayed_at, at, half_life_days);
}

void event_stats_add(struct event_stats *e, int64_t t, double half_life_days)
{
    if (e->count == 0) {
        *e = (struct event_stats){.count = 1, .decayed = 1, .decayed_at = t};
        return;
    }
    e->count++;
    if (t > e->decayed_at) {
        e->decayed = e->decayed * decay(e->decayed_at, t, half_life_days) + 1;
        e->decayed_at = t;
    } else {
        e->decayed += decay(t, e->decayed_at, half_life_days);
    }
}
