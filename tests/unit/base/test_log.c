#include "meros/base/log.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "meros/base/str.h"

/* What a block writes to standard error. */
static FILE *capture;
static int saved;
static void capture_begin(void)
{
    capture = tmpfile();
    saved = dup(STDERR_FILENO);
    dup2(fileno(capture), STDERR_FILENO);
}
static const char *capture_end(void)
{
    static char text[256 * 1024];
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(capture);
    size_t n = fread(text, 1, sizeof text - 1, capture);
    text[n] = '\0';
    fclose(capture);
    return text;
}
/* Behind the time, which is checked for its form. */
static const char *line(void)
{
    const char *text = capture_end();
    cr_assert_eq(text[strlen(text) - 1], '\n');
    return strchr(text, ' ') + 1;
}

Test(log, a_line_is_time_level_event_and_pairs)
{
    capture_begin();
    log_info("job.finished", KV("job", "j_1"), KV_I("ms", -12), KV_F("inertia", 3.5), KV_B("ok", true));
    const char *text = capture_end();
    int y, used = 0;
    cr_assert(sscanf(text, "%4d-%*2d-%*2dT%*2d:%*2d:%*f%nZ ", &y, &used) == 1 && used > 0 && y > 2020, "%s", text);
    cr_assert_str_eq(strchr(text, ' '), " level=info event=job.finished job=j_1 ms=-12 inertia=3.5 ok=true\n");
}

Test(log, values_that_are_not_plain_words_are_quoted)
{
    capture_begin();
    log_error("e", KV("blank", "a b"), KV("quote", "say \"x\""), KV("equal", "a=b"), KV("back", "a\\b"), KV("empty", ""), KV("none", NULL));
    cr_assert_str_eq(line(), "level=error event=e blank=\"a b\" quote=\"say \\\"x\\\"\" equal=\"a=b\" back=\"a\\\\b\" empty=\"\" none=-\n");
}

Test(log, a_value_cannot_start_a_new_line)
{
    for (int json = 0; json < 2; json++) {
        log_configure(LOG_INFO, json ? LOG_JSON : LOG_KEY_VALUE);
        capture_begin();
        log_info("e", KV("v", "a\nlevel=error event=forged\r\x1b[31m"));
        const char *text = capture_end();
        cr_assert_eq(strchr(text, '\n'), text + strlen(text) - 1, "%s", text);
        cr_assert_null(strchr(text, '\r'));
        cr_assert_null(strchr(text, '\x1b'));
    }
}

Test(log, json_lines_are_objects)
{
    log_configure(LOG_INFO, LOG_JSON);
    capture_begin();
    log_warn("x.y", KV("s", "a \"b\" \\ \n \x01"), KV_I("i", INT64_MIN), KV_F("f", 0.25), KV_F("nan", NAN), KV_B("b", false), KV("none", NULL));
    const char *text = capture_end();
    const char *tail = strstr(text, "\",\"level\"");
    cr_assert_eq(strncmp(text, "{\"time\":\"20", 11), 0);
    cr_assert_str_eq(tail, "\",\"level\":\"warn\",\"event\":\"x.y\",\"s\":\"a \\\"b\\\" \\\\ \\n \\u0001\",\"i\":-9223372036854775808,"
                           "\"f\":0.25,\"nan\":null,\"b\":false,\"none\":null}\n");
}

Test(log, levels_below_the_configured_one_write_nothing)
{
    log_configure(LOG_WARN, LOG_KEY_VALUE);
    capture_begin();
    log_debug("a", KV("k", "v"));
    log_info("b", KV("k", "v"));
    log_warn("c", KV("k", "v"));
    log_error("d", KV("k", "v"));
    const char *text = capture_end();
    cr_assert(!strstr(text, "event=a") && !strstr(text, "event=b") && strstr(text, "event=c") && strstr(text, "event=d"));
    cr_assert(!log_enabled(LOG_INFO) && log_enabled(LOG_ERROR));
    log_configure(LOG_DEBUG, LOG_KEY_VALUE);
    cr_assert(log_enabled(LOG_DEBUG));
}

Test(log, an_endless_value_is_cut_and_the_line_still_written)
{
    char *big = malloc(300000);
    memset(big, 'x', 299999);
    big[299999] = '\0';
    for (int json = 0; json < 2; json++) {
        log_configure(LOG_INFO, json ? LOG_JSON : LOG_KEY_VALUE);
        capture_begin();
        log_info("big", KV("v", big), KV_I("after", 1));
        const char *text = capture_end();
        cr_assert(strstr(text, json ? "\"after\":1}" : "after=1"), "the pairs behind a long value are there");
        cr_assert_lt(strlen(text), 10000);
    }
    free(big);
}

Test(log, bytes_that_are_not_utf8_do_not_reach_the_log)
{
    for (int json = 0; json < 2; json++) {
        log_configure(LOG_INFO, json ? LOG_JSON : LOG_KEY_VALUE);
        capture_begin();
        log_info("e", KV("v", "a\xFF\xC3(\xE2\x82\xAC\xC2\x85z"));
        const char *text = capture_end();
        cr_assert(utf8_valid(text, strlen(text)), "%s", text);
        cr_assert_not_null(strstr(text, "\xE2\x82\xAC"), "what is valid stays as it is");
        cr_assert_null(strstr(text, "\xC2\x85"), "C1 controls (NEL is a line end to some) do not");
    }
}
