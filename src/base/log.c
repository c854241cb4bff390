#include "meros/base/log.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "meros/base/buf.h"
#include "meros/base/clock.h"
#include "meros/base/str.h"

/* Of one value; longer ones are cut, so that a line is always written. */
enum { VALUE_MAX = 4096, LINE_MAX_BYTES = 256 * 1024 };

static _Atomic int current_level = LOG_INFO;
static _Atomic int current_format = LOG_KEY_VALUE;

void log_configure(enum log_level level, enum log_format format)
{
    current_level = (int)level;
    current_format = (int)format;
}

bool log_enabled(enum log_level level)
{
    return (int)level >= current_level;
}

static void quoted(struct buf *b, const char *s)
{
    size_t n = strnlen(s, VALUE_MAX + 1);
    const char *end = s + (n > VALUE_MAX ? utf8_cut(s, VALUE_MAX) : n);
    buf_char(b, '"');
    while (s < end) {
        unsigned char c = (unsigned char)*s;
        size_t length = c < 0x80 ? 1 : c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
        if (length > 1 && ((size_t)(end - s) < length || !utf8_valid(s, length))) {
            buf_str(b, "\\ufffd");
            length = 1;
        } else if (length == 2 && c == 0xC2 && (unsigned char)s[1] < 0xA0) {
            buf_printf(b, "\\u%04x", (unsigned char)s[1]);
        } else if (length > 1) {
            buf_append(b, s, length);
        } else if (c == '"' || c == '\\') {
            buf_printf(b, "\\%c", c);
        } else if (c == '\n') {
            buf_str(b, "\\n");
        } else if (c < 0x20 || c == 0x7F) {
            buf_printf(b, "\\u%04x", c);
        } else {
            buf_char(b, (char)c);
        }
        s += length;
    }
    if (n > VALUE_MAX) buf_str(b, "...");
    buf_char(b, '"');
}

/* A bare word where it can be read as one, else quoted. */
static void word(struct buf *b, const char *s)
{
    bool plain = *s != '\0' && strnlen(s, VALUE_MAX + 1) <= VALUE_MAX;
    for (const char *p = s; plain && *p; p++)
        plain = (unsigned char)*p > 0x20 && (unsigned char)*p < 0x7F && *p != '"' && *p != '=' && *p != '\\';
    if (plain) buf_str(b, s);
    else quoted(b, s);
}

void log_write(enum log_level level, const char *event, size_t n, const struct log_kv *kv)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    if (!log_enabled(level)) return;
    bool json = current_format == LOG_JSON;
    struct buf b;
    buf_init(&b, LINE_MAX_BYTES);
    /* Always three digits after the second: lines stay aligned and sort as text. */
    char at[TIME_TEXT];
    int64_t now = clock_now();
    at[time_format(now - now % TIME_SECOND, at) - 1] = '\0';
    char head[160];
    int head_n = snprintf(head, sizeof head,
                          json ? "{\"time\":\"%s.%03dZ\",\"level\":\"%s\",\"event\":\"%.100s\"" : "%s.%03dZ level=%s event=%.100s", at,
                          (int)(now % TIME_SECOND / 1000), names[level], event);
    buf_append(&b, head, (size_t)head_n);
    for (size_t i = 0; i < n; i++) {
        char number[48];
        if (kv[i].key == NULL) continue;
        buf_str(&b, json ? ",\"" : " ");
        buf_str(&b, kv[i].key);
        buf_str(&b, json ? "\":" : "=");
        switch (kv[i].kind) {
        case KV_STR:
            if (kv[i].s == NULL) buf_str(&b, json ? "null" : "-");
            else if (json) quoted(&b, kv[i].s);
            else word(&b, kv[i].s);
            break;
        case KV_INT:
            snprintf(number, sizeof number, "%lld", (long long)kv[i].i);
            buf_str(&b, number);
            break;
        case KV_NUM:
            if (isfinite(kv[i].f)) snprintf(number, sizeof number, "%.6g", kv[i].f);
            buf_str(&b, isfinite(kv[i].f) ? number : "null");
            break;
        case KV_BOOL: buf_str(&b, kv[i].i ? "true" : "false"); break;
        }
    }
    buf_str(&b, json ? "}\n" : "\n");
    /* A line that cannot be written has nowhere to be reported. */
    if (!b.failed && write(STDERR_FILENO, b.data, b.len) < 0) {}
    buf_done(&b);
}
