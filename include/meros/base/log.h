/* Structured log lines on standard error: key=value (default) or JSON, one line an event, written with one write(2).
 *
 *   log_info("job.finished", KV("job", id), KV_I("ms", ms), KV_F("inertia", x));
 *   -> 2026-01-01T00:00:00.000Z level=info event=job.finished job=j_1 ms=12 inertia=3.5
 *
 * Libraries return errors; edges log them, once. No secrets and no personal data, ever: no keys, no bodies, no names,
 * no attributes, no client ids of customers. Thread-safe. Values are escaped, so a line stays a line. */
#ifndef MEROS_BASE_LOG_H
#define MEROS_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_KEY_VALUE, LOG_JSON };

struct log_kv {
    const char *key;
    enum { KV_STR, KV_INT, KV_NUM, KV_BOOL } kind;
    const char *s;
    int64_t i;
    double f;
};
#define KV(k, v)   ((struct log_kv){.key = (k), .kind = KV_STR, .s = (v)})
#define KV_I(k, v) ((struct log_kv){.key = (k), .kind = KV_INT, .i = (int64_t)(v)})
#define KV_F(k, v) ((struct log_kv){.key = (k), .kind = KV_NUM, .f = (v)})
#define KV_B(k, v) ((struct log_kv){.key = (k), .kind = KV_BOOL, .i = (v)})

/* May be called again at any time (SIGHUP). Default: info, key=value. */
void log_configure(enum log_level level, enum log_format format);
bool log_enabled(enum log_level level);
void log_write(enum log_level level, const char *event, size_t n, const struct log_kv *kv);

#define log_kv_(level, event, ...)                                                                           \
    do {                                                                                                     \
        if (log_enabled(level)) {                                                                            \
            const struct log_kv kv_[] = {__VA_ARGS__};                                                       \
            log_write(level, event, sizeof kv_ / sizeof kv_[0], kv_);                                        \
        }                                                                                                    \
    } while (0)
#define log_debug(event, ...) log_kv_(LOG_DEBUG, event, __VA_ARGS__)
#define log_info(event, ...)  log_kv_(LOG_INFO, event, __VA_ARGS__)
#define log_warn(event, ...)  log_kv_(LOG_WARN, event, __VA_ARGS__)
#define log_error(event, ...) log_kv_(LOG_ERROR, event, __VA_ARGS__)

#endif
