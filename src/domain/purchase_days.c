#include "meros/domain/purchase_days.h"

#include "meros/base/clock.h"

int32_t day_of_time(int64_t t)
{
    const int64_t day = t / TIME_DAY - (t % TIME_DAY < 0);
    return (int32_t)day;
}

/* The value of the purchase that is open, taken into the sums when it is known that nothing more belongs to it. */
struct fold {
    struct purchase_history h;
    double value, sum;
    bool open;
};

static void close_purchase(struct fold *f)
{
    if (!f->open) return;
    if (f->value > 0) {
        f->h.all_valued++;
        f->h.all_value += f->value;
    }
    if (f->h.last == f->h.first) return;
    if (f->value > 0) {
        f->h.valued++;
        f->sum += f->value;
    } else {
        f->h.excluded++;
    }
}

struct purchase_history purchase_history_of(const struct purchase_day *days, size_t n, int32_t end)
{
    struct fold f = {.h = {.end = end}};
    for (size_t k = 0; k < n && days[k].day <= end; k++) {
        if (days[k].purchases > 0) {
            close_purchase(&f);
            if (!f.open) f.h.first = days[k].day;
            else f.h.x++;
            f.h.last = days[k].day;
            f.open = true;
            f.value = 0;
        }
        if (f.open) f.value += days[k].net;
    }
    close_purchase(&f);
    f.h.any = f.open;
    if (!f.open) return f.h;
    f.h.t_x = f.h.last - f.h.first;
    f.h.t = end - f.h.first;
    f.h.mean_value = f.h.valued > 0 ? f.sum / f.h.valued : 0;
    return f.h;
}

int32_t purchase_days_between(const struct purchase_day *days, size_t n, int32_t after, int32_t until)
{
    int32_t count = 0;
    for (size_t k = 0; k < n && days[k].day <= until; k++) count += days[k].purchases > 0 && days[k].day > after;
    return count;
}

int32_t purchase_days_last(const struct purchase_day *days, size_t n, int32_t none)
{
    return n == 0 ? none : days[n - 1].day;
}
