/* The program as somebody at a terminal meets it: commands, their output, their exit codes. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "client.h"

static const char *program(void)
{
    const char *path = getenv("MEROS_TEST_BINARY");
    return path != NULL && path[0] != '\0' ? path : "build/asan/meros";
}

/* What a shell command prints (both streams) and its exit code. `meros` in it is the program under test. */
static const char *shell(int *out_code, const char *format, ...) __attribute__((format(printf, 2, 3)));
static const char *shell(int *out_code, const char *format, ...)
{
    char command[4096], *output = calloc(1, 65536);
    size_t n = (size_t)snprintf(command, sizeof command, "meros() { %s \"$@\"; }; ", program());
    va_list ap;
    va_start(ap, format);
    vsnprintf(command + n, sizeof command - n, format, ap);
    va_end(ap);
    FILE *p = popen(command, "r");
    cr_assert_not_null(p);
    cr_assert(keep(output));
    size_t got = fread(output, 1, 65535, p);
    output[got] = '\0';
    int status = pclose(p);
    *out_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return output;
}

static void says(const char *arguments, int code, const char *part)
{
    int got;
    const char *output = shell(&got, "meros %s 2>&1", arguments);
    cr_assert_eq(got, code, "meros %s: exit code %d, not %d: %s", arguments, got, code, output);
    cr_assert_not_null(strstr(output, part), "meros %s said \"%s\", not \"%s\"", arguments, output, part);
}

/* A file in the instance's folder. */
static const char *file_of(const struct instance *s, const char *name, const char *content)
{
    const char *path = text("%s/%s-%d", s->folder, name, (int)getpid());
    FILE *f = fopen(path, "w");
    cr_assert_not_null(f);
    fputs(content, f);
    fclose(f);
    return path;
}

Test(commands, help_and_version_answer_without_anything_running)
{
    says("--help", 0, "usage: meros COMMAND");
    says("serve --help", 0, "--statement-timeout");
    says("key create --help", 0, "--scopes LIST");
    says("key --help", 0, "key revoke");
    says("help import", 0, "--on-error skip|abort");
    says("version", 0, "meros ");
    says("config --markdown", 0, "`MEROS_PORT`");
}

Test(commands, what_is_unknown_or_too_much_is_refused_with_a_suggestion_and_exit_code_2)
{
    says("", 2, "usage: meros COMMAND");
    says("sevre", 2, "did you mean `meros serve`?");
    says("xylophone", 2, "`meros --help` lists them");
    says("key", 2, "key takes create, list or revoke");
    says("serve --prot 1", 2, "did you mean --port?");
    says("serve -p 1", 2, "flags begin with two hyphens");
    says("serve now", 2, "\"now\" is one argument too many");
    says("serve --port", 2, "--port needs a value");
    says("serve --port x", 2, "it takes a whole number from 0 to 65535");
    says("import orders", 2, "usage: meros import DATASET FILE");
    says("import orders f --strict=yes", 2, "--strict takes no value");
    says("key create --name x", 2, "--scopes and --name");
    says("key create --name x --scopes all", 2, "all");
    says("demo --customers 0", 2, "--customers is \"0\"");
    says("version --port 1", 2, "there is no flag --port here");
}

Test(commands, config_shows_where_a_value_came_from)
{
    int code;
    const char *output = shell(&code, "MEROS_PORT=4711 meros config --pool-size 5 --bootstrap-key hidden-from-view 2>&1");
    cr_assert_eq(code, 0);
    cr_assert_not_null(strstr(output, "environment MEROS_PORT"), "%s", output);
    cr_assert_not_null(strstr(output, "flag --pool_size"), "%s", output);
    cr_assert_null(strstr(output, "hidden-from-view"), "%s", output);
}

Test(commands, a_new_key_stands_alone_on_standard_output_and_works_at_once_until_it_is_revoked)
{
    const struct instance *s = instance_shared();
    char out[4096];
    cr_assert_eq(instance_command(s, (const char *const[]){"key", "create", "--scopes", "read,train", "--name", "from a test", NULL}, out,
                                  sizeof out), 0);
    size_t n = strcspn(out, "\n");
    cr_assert(n > 20 && out[n] == '\n' && out[n + 1] == '\0', "not one line: \"%s\"", out);
    out[n] = '\0';
    const char *key = text("%s", out);
    expect(call(&(struct call){.method = "GET", .path = "/v1/jobs", .key = key}), 200);
    expect(call(&(struct call){.method = "GET", .path = "/v1/keys", .key = key}), 403);

    cr_assert_eq(instance_command(s, (const char *const[]){"key", "list", NULL}, out, sizeof out), 0);
    char *line = strstr(out, "from a test");
    cr_assert_not_null(line, "%s", out);
    while (line > out && line[-1] != '\n') line--;
    const char *id = text("%.*s", (int)strcspn(line, " "), line);
    cr_assert_eq(instance_command(s, (const char *const[]){"key", "revoke", id, NULL}, out, sizeof out), 0);
    double until = seconds_now() + 60;
    int status = 0;
    while (seconds_now() < until && status != 401) {
        status = call(&(struct call){.method = "GET", .path = "/v1/jobs", .key = key})->status;
        if (status != 401) pause_ms(20);
    }
    cr_assert_eq(status, 401, "the revoked key still works");
}

Test(commands, import_sends_files_plain_or_gzipped_or_from_standard_input)
{
    const struct instance *s = instance_shared();
    int code;
    const char *file = file_of(s, "orders.csv",
                               "order_id,customer_id,ordered_at,product_id,quantity,unit_price\n"
                               "cmd-1,cmd-c1,2025-03-01,cmd-p1,2,3.50\ncmd-2,cmd-c2,2025-03-02,cmd-p1,1,3.50\ncmd-3,,2025-03-02,cmd-p1,1,3.50\n");
    const char *with = text("--url http://127.0.0.1:%d --key %s", s->port, s->key);
    const char *output = shell(&code, "meros import orders %s %s 2>&1", file, with);
    cr_assert_eq(code, 0, "%s", output);
    cr_assert_not_null(strstr(output, "orders: 3 rows received, 2 inserted, 0 updated, 0 duplicates, 1 rejected"), "%s", output);
    cr_assert_not_null(strstr(output, "line 4"), "%s", output);
    output = shell(&code, "gzip -c %s | meros import orders - %s 2>&1", file, with);
    cr_assert_eq(code, 0, "%s", output);
    cr_assert_not_null(strstr(output, "0 inserted, 0 updated, 2 duplicates, 1 rejected"), "%s", output);
    shell(&code, "meros import orders %s %s --strict 2>&1", file, with);
    cr_assert_eq(code, 1, "rejected rows are a failure with --strict");
    output = shell(&code, "echo '{\"customer_id\":\"cmd-c9\",\"type\":\"searched\"}' | meros import events - %s 2>&1", with);
    cr_assert_not_null(strstr(output, "events: 1 rows received, 1 inserted"), "%s", output);
    output = shell(&code, "sed 's/order_id/Beleg/' %s | meros import orders - --map Beleg:order_id %s 2>&1", file, with);
    cr_assert_not_null(strstr(output, "2 duplicates"), "%s", output);
}

Test(commands, import_passes_on_what_the_service_says_and_fails)
{
    const struct instance *s = instance_shared();
    int code;
    const char *file = file_of(s, "wrong.csv", "a,b\n1,2\n");
    const char *output = shell(&code, "meros import orders %s --url http://127.0.0.1:%d --key %s 2>&1", file, s->port, s->key);
    cr_assert_eq(code, 1);
    cr_assert_not_null(strstr(output, "order_id"), "%s", output);
    output = shell(&code, "meros import orders %s --url http://127.0.0.1:%d --key wrong 2>&1", file, s->port);
    cr_assert_eq(code, 1);
    cr_assert_not_null(strstr(output, "401"), "%s", output);
    output = shell(&code, "meros import orders %s --url http://127.0.0.1:1 --key wrong 2>&1", file);
    cr_assert_eq(code, 1);
    cr_assert_not_null(strstr(output, "no service answers"), "%s", output);
    output = shell(&code, "meros import orders /nowhere.csv --key wrong 2>&1");
    cr_assert_eq(code, 1);
    cr_assert_not_null(strstr(output, "/nowhere.csv"), "%s", output);
}
