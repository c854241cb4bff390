#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "config_priv.h"

static char *no_environment[] = {NULL};

static enum meros_code load(struct config *c, const char *file, const struct config_flag *flags, size_t n, char **environment,
                            struct meros_err *err)
{
    return config_load(c, file, flags, n, environment, NULL, err);
}

/* A file with this text; the caller unlinks it. */
static void write_file(char path[64], const char *text)
{
    strcpy(path, "/tmp/meros-test-config-XXXXXX");
    int fd = mkstemp(path);
    cr_assert(fd >= 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void expect_refused(const char *file_text, const struct config_flag *flag, char **environment, const char *said)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct config c;
    char path[64] = "";
    if (file_text != NULL) write_file(path, file_text);
    enum meros_code rc = load(&c, file_text != NULL ? path : NULL, flag, flag != NULL, environment != NULL ? environment : no_environment, &err);
    if (file_text != NULL) unlink(path);
    cr_assert_eq(rc, MEROS_INVALID, "expected a refusal that says \"%s\"", said);
    cr_assert_not_null(strstr(err.detail, said), "said \"%s\", not \"%s\"", err.detail, said);
}

Test(config, every_default_is_allowed)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct config c;
    cr_assert_eq(load(&c, NULL, NULL, 0, no_environment, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(c.port, 8080);
    cr_assert_str_eq(c.bind, "127.0.0.1");
    cr_assert_str_eq(c.data_dir, "./var");
    cr_assert_eq(c.body_max, 1048576);
    cr_assert_eq(c.statement_timeout, 30000);
    for (size_t i = 0; i < n_settings; i++) cr_assert_str_eq(c.origin[i], "default");
    config_done(&c);
}

Test(config, flags_win_over_environment_over_file_over_default)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct config c;
    char path[64];
    char *environment[] = {"MEROS_PORT=2", "MEROS_POOL_SIZE=20", NULL};
    const struct config_flag flag = {"port", "3"};
    write_file(path, "# a comment\nport = 1\npool_size=10\n\nlog_level = \"debug\"\r\n");
    cr_assert_eq(load(&c, path, &flag, 1, environment, &err), MEROS_OK, "%s", err.detail);
    unlink(path);
    cr_assert_eq(c.port, 3);
    cr_assert_eq(c.pool_size, 20);
    cr_assert_eq(c.log_level, LOG_DEBUG);
    cr_assert_eq(c.job_workers, 1);
    cr_assert_str_eq(c.origin[setting_find("port") - settings], "flag --port");
    cr_assert_str_eq(c.origin[setting_find("pool_size") - settings], "environment MEROS_POOL_SIZE");
    cr_assert_not_null(strstr(c.origin[setting_find("log_level") - settings], " line 5"));
    config_done(&c);
}

Test(config, the_file_may_be_named_by_the_environment)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct config c;
    char path[64], variable[128];
    write_file(path, "port = 4242\n");
    snprintf(variable, sizeof variable, "MEROS_CONFIG=%s", path);
    char *environment[] = {variable, NULL};
    cr_assert_eq(load(&c, NULL, NULL, 0, environment, &err), MEROS_OK, "%s", err.detail);
    unlink(path);
    cr_assert_eq(c.port, 4242);
    cr_assert_str_eq(c.file, path);
    config_done(&c);
}

Test(config, a_wrong_value_names_the_setting_its_source_and_what_is_allowed)
{
    char *environment[] = {"MEROS_PORT=eighty", NULL};
    expect_refused(NULL, NULL, environment, "port (environment MEROS_PORT) is \"eighty\"; it takes a whole number from 0 to 65535");
    expect_refused("\nport = 65536\n", NULL, NULL, " line 2) is \"65536\"");
    expect_refused(NULL, &(struct config_flag){"log_level", "loud"}, NULL, "one of debug, info, warn, error");
    expect_refused(NULL, &(struct config_flag){"metrics_public", "maybe"}, NULL, "true or false");
    expect_refused(NULL, &(struct config_flag){"statement_timeout", "10 parsecs"}, NULL, "a time such as");
    expect_refused(NULL, &(struct config_flag){"activity_half_life_days", "nan"}, NULL, "a number from");
    expect_refused(NULL, &(struct config_flag){"body_max", "99999T"}, NULL, "a size such as");
    expect_refused(NULL, &(struct config_flag){"bind", ""}, NULL, "bind (flag --bind)");
}

Test(config, an_unknown_name_in_the_file_is_refused_with_a_suggestion)
{
    expect_refused("prot = 1\n", NULL, NULL, "did you mean port?");
    expect_refused("something_else = 1\n", NULL, NULL, "there is no setting \"something_else\"");
    expect_refused("port\n", NULL, NULL, "expected name = value");
}

Test(config, a_missing_file_is_refused)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct config c;
    cr_assert_eq(load(&c, "/nowhere/meros.conf", NULL, 0, no_environment, &err), MEROS_INVALID);
    cr_assert_not_null(strstr(err.detail, "/nowhere/meros.conf"));
}

Test(config, sizes_and_times_take_units)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct config c;
    const struct config_flag flags[] = {{"body_max", "2MiB"}, {"training_memory", "1.5g"}, {"idle_timeout", "2m"},
                                        {"acquire_timeout", "250ms"}, {"header_timeout", "7"}};
    cr_assert_eq(load(&c, NULL, flags, 5, no_environment, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(c.body_max, 2 * 1048576);
    cr_assert_eq(c.training_memory, 1610612736);
    cr_assert_eq(c.idle_timeout, 120000);
    cr_assert_eq(c.acquire_timeout, 250);
    cr_assert_eq(c.header_timeout, 7000);
    config_done(&c);
}

Test(config, half_of_tls_is_refused)
{
    expect_refused(NULL, &(struct config_flag){"tls_cert", "/a.pem"}, NULL, "tls_cert is set without tls_key");
}

Test(config, a_secret_may_come_from_a_file_and_never_shows)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct config c;
    struct buf out;
    char path[64], value[128];
    write_file(path, "postgresql://u:hidden@h/d\n");
    snprintf(value, sizeof value, "file:%s", path);
    const struct config_flag flags[] = {{"database_url", value}, {"bootstrap_key", "also-hidden-key-1"}};
    cr_assert_eq(load(&c, NULL, flags, 2, no_environment, &err), MEROS_OK, "%s", err.detail);
    unlink(path);
    cr_assert_str_eq(c.database_url, "postgresql://u:hidden@h/d");
    buf_init(&out, 1 << 20);
    config_print(&c, &out);
    cr_assert_null(strstr(out.data, "hidden"));
    cr_assert_not_null(strstr(out.data, "********"));
    buf_done(&out);
    config_done(&c);
}

Test(config, a_refused_secret_is_not_repeated)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct config c;
    const struct config_flag flag = {"pii_key", "not-a-key-but-secret"};
    cr_assert_eq(load(&c, NULL, &flag, 1, no_environment, &err), MEROS_INVALID);
    cr_assert_not_null(strstr(err.detail, "pii_key"));
    cr_assert_null(strstr(err.detail, "not-a-key"));
}

Test(config, the_pii_key_is_hex_or_base64_of_32_bytes)
{
    unsigned char hex[32], base64[32];
    cr_assert(config_key_bytes("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", hex));
    cr_assert(config_key_bytes("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", base64));
    cr_assert_eq(memcmp(hex, base64, 32), 0);
    cr_assert(config_key_bytes("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", base64));
    cr_assert_not(config_key_bytes("0001", hex));
    cr_assert_not(config_key_bytes("", hex));
}

Test(config, a_nearly_right_variable_is_pointed_out_and_a_foreign_one_is_not)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct config c;
    struct buf warnings;
    char *environment[] = {"MEROS_PROT=1", "MEROS_TEST_DATA=/x", "MEROS_KEY=k", "PATH=/bin", NULL};
    buf_init(&warnings, 65536);
    cr_assert_eq(config_load(&c, NULL, NULL, 0, environment, &warnings, &err), MEROS_OK);
    cr_assert_str_eq(warnings.data, "MEROS_PROT is not a setting; did you mean MEROS_PORT?\n");
    buf_done(&warnings);
    config_done(&c);
}

Test(config, changed_settings_are_listed_one_by_one)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct config a, b;
    const struct config_flag flags[] = {{"port", "1"}, {"log_level", "warn"}};
    size_t at = 0;
    cr_assert_eq(load(&a, NULL, NULL, 0, no_environment, &err), MEROS_OK);
    cr_assert_eq(load(&b, NULL, flags, 2, no_environment, &err), MEROS_OK);
    cr_assert_str_eq(config_changed(&a, &b, &at)->name, "port");
    cr_assert_str_eq(config_changed(&a, &b, &at)->name, "log_level");
    cr_assert_null(config_changed(&a, &b, &at));
    config_done(&a);
    config_done(&b);
}

/* Its folder is the project's: that is where tests/run.sh starts the suites. */
Test(config, the_reference_in_README_is_current)
{
    struct buf expected;
    size_t n;
    char *text = NULL;
    FILE *f = fopen("README.md", "r");
    cr_assert_not_null(f, "README.md is read from the project's folder");
    text = calloc(1, 1 << 20);
    n = fread(text, 1, (1 << 20) - 1, f);
    fclose(f);
    cr_assert_gt(n, 0);
    buf_init(&expected, 1 << 20);
    config_markdown(&expected);
    cr_assert_not_null(strstr(text, expected.data), "README.md does not hold what `meros config --markdown` prints; put it there");
    buf_done(&expected);
    free(text);
}

Test(config, no_two_settings_share_a_name_or_a_field)
{
    for (size_t i = 0; i < n_settings; i++)
        for (size_t k = i + 1; k < n_settings; k++) {
            cr_assert_str_neq(settings[i].name, settings[k].name);
            cr_assert_neq(settings[i].offset, settings[k].offset, "%s and %s", settings[i].name, settings[k].name);
        }
}

Test(config, slips_of_the_fingers_find_the_right_word_and_strangers_none)
{
    const char *const words[] = {"serve", "migrate", "import", "demo", "config", "version"};
    cr_assert_str_eq(nearest_word("sevre", words, 6), "serve");
    cr_assert_str_eq(nearest_word("improt", words, 6), "import");
    cr_assert_null(nearest_word("xylophone", words, 6));
    cr_assert_null(nearest_word("", words, 6));
}

Test(config, settings_of_kafka_that_make_no_sense_together_are_refused_with_a_sentence)
{
    static const struct {
        const char *environment[8];
        const char *says; /* NULL: fine */
    } cases[] = {
        {{"MEROS_KAFKA_TOPICS=a"}, "without kafka_brokers"},
        {{"MEROS_KAFKA_CHANGES_TOPIC=a"}, "without kafka_brokers"},
        {{"MEROS_KAFKA_BROKERS=x:9092"}, "what for"},
        {{"MEROS_KAFKA_BROKERS=x:9092", "MEROS_KAFKA_TOPICS= , "}, "what for"},
        {{"MEROS_KAFKA_BROKERS=x:9092", "MEROS_KAFKA_TOPICS=a b,c"}, NULL},
        {{"MEROS_KAFKA_BROKERS=x:9092", "MEROS_KAFKA_TOPICS=a ^b.*"}, "\"^b.*\""},
        {{"MEROS_KAFKA_BROKERS=x:9092", "MEROS_KAFKA_TOPICS=a b", "MEROS_KAFKA_CHANGES_TOPIC=b"}, "read again"},
        {{"MEROS_KAFKA_BROKERS=x:9092", "MEROS_KAFKA_CHANGES_TOPIC=a/b"}, "kafka_changes_topic"},
        {{"MEROS_KAFKA_BROKERS=x:9092", "MEROS_KAFKA_TOPICS=a", "MEROS_KAFKA_DEAD_LETTER_SUFFIX=:"}, "kafka_dead_letter_suffix"},
        {{"MEROS_KAFKA_BROKERS=x:9092", "MEROS_KAFKA_TOPICS=a", "MEROS_KAFKA_USERNAME=u"}, "say nothing"},
        {{"MEROS_KAFKA_BROKERS=x:9092", "MEROS_KAFKA_TOPICS=a", "MEROS_KAFKA_CA_FILE=/ca.pem"}, "kafka_ca_file"},
        {{"MEROS_KAFKA_BROKERS=x:9092", "MEROS_KAFKA_TOPICS=a", "MEROS_KAFKA_SECURITY_PROTOCOL=ssl", "MEROS_KAFKA_CA_FILE=/ca.pem"}, NULL},
        {{"MEROS_KAFKA_BROKERS=x:9092", "MEROS_KAFKA_TOPICS=a", "MEROS_KAFKA_SECURITY_PROTOCOL=sasl_ssl", "MEROS_KAFKA_USERNAME=u", "MEROS_KAFKA_PASSWORD=p"}, "needs kafka_sasl_mechanism"},
        {{"MEROS_KAFKA_BROKERS=x:9092", "MEROS_KAFKA_TOPICS=a", "MEROS_KAFKA_SECURITY_PROTOCOL=sasl_ssl", "MEROS_KAFKA_SASL_MECHANISM=PLAIN", "MEROS_KAFKA_USERNAME=u", "MEROS_KAFKA_PASSWORD=hunter2"}, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct config c;
        struct meros_err err = MEROS_ERR_INIT;
        char *environment[8];
        memcpy(environment, cases[i].environment, sizeof environment);
        enum meros_code rc = load(&c, NULL, NULL, 0, environment, &err);
        cr_assert_eq(rc, cases[i].says == NULL ? MEROS_OK : MEROS_INVALID, "case %zu: %s", i, err.detail);
        if (rc == MEROS_OK) config_done(&c);
        else cr_assert_not_null(strstr(err.detail, cases[i].says), "case %zu: %s", i, err.detail);
    }
}
