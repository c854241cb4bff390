#include "kafka_priv.h"

#include <stdio.h>
#include <string.h>
#include "meros/base/clock.h"
#include "meros/base/log.h"
#include "meros/codec/json.h"

#define SAY_EVERY_NS INT64_C(10000000000)

/* Whether a line may be written now; *out_unsaid is how many were not since the last one. */
static bool may_say(struct kafka_client *k, int64_t *out_unsaid)
{
    int64_t now = clock_mono_ns(), last = k->said_ns;
    if (last != 0 && now - last < SAY_EVERY_NS) {
        k->unsaid++;
        return false;
    }
    if (!atomic_compare_exchange_strong(&k->said_ns, &last, now)) return false; /* somebody else is saying something */
    *out_unsaid = atomic_exchange(&k->unsaid, 0);
    return true;
}

void kafka_client_is(struct kafka_client *k, bool up, const char *detail)
{
    bool was = atomic_exchange(&k->up, up), known = atomic_exchange(&k->known, true);
    if (known && was == up) return;
    if (!up) log_warn("kafka.away", KV("client", k->name), KV("detail", detail));
    else log_info("kafka.connected", KV("client", k->name));
}

void kafka_client_failed(struct kafka_client *k, rd_kafka_resp_err_t code, const char *detail)
{
    int64_t unsaid;
    k->errors++;
    k->last_error_at = clock_now();
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) kafka_client_is(k, false, detail);
    else if (may_say(k, &unsaid))
        log_warn("kafka.failed", KV("client", k->name), KV("error", rd_kafka_err2name(code)), KV("detail", detail), KV_I("unsaid", unsaid));
}

void kafka_client_health(struct kafka_client *k, struct kafka_health *out)
{
    *out = (struct kafka_health){.up = k->up, .errors = k->errors, .last_error_at = k->last_error_at};
}

/* --- callbacks */

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    (void)rk;
    kafka_client_failed(opaque, (rd_kafka_resp_err_t)code, reason);
}

/* From any of librdkafka's threads. Levels are syslog's: 4 is a warning. */
static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    struct kafka_client *k = rk == NULL ? NULL : rd_kafka_opaque(rk);
    int64_t unsaid = 0;
    if (level > 4) log_debug("kafka.says", KV("client", k == NULL ? "" : k->name), KV("facility", facility), KV("detail", text));
    else if (k == NULL || may_say(k, &unsaid))
        log_warn("kafka.says", KV("client", k == NULL ? "" : k->name), KV("facility", facility), KV("detail", text), KV_I("unsaid", unsaid));
}

/* librdkafka tells when every broker is down, but not when one is back: its statistics do. */
static int on_stats(rd_kafka_t *rk, char *text, size_t n, void *opaque)
{
    struct meros_err err;
    struct json *root;
    const void *at = NULL;
    struct str name;
    const struct json *broker;
    bool up = false;
    (void)rk;
    if (json_parse(text, n, &root, &err) != MEROS_OK) return 0;
    while (json_next(json_get(root, "brokers"), &at, &name, &broker))
        up |= str_is(json_str(json_get(broker, "state")), "UP");
    json_free(root);
    if (up) kafka_client_is(opaque, true, "");
    return 0; /* librdkafka frees the text */
}

/* --- opening */

static enum meros_code set(rd_kafka_conf_t *conf, const char *name, const char *value, struct meros_err *err)
{
    char why[256];
    if (rd_kafka_conf_set(conf, name, value, why, sizeof why) == RD_KAFKA_CONF_OK) return MEROS_OK;
    return err_set(err, MEROS_INVALID, "Kafka's %s cannot be used: %s", name, strstr(name, "password") ? "its value is refused" : why);
}

static enum meros_code set_given(rd_kafka_conf_t *conf, const char *name, const char *value, struct meros_err *err)
{
    return value == NULL || value[0] == '\0' ? MEROS_OK : set(conf, name, value, err);
}

enum meros_code kafka_client_open(struct kafka_client *k, rd_kafka_type_t type, rd_kafka_conf_t *conf,
                                  const struct kafka_access *access, const struct kafka_option *options, size_t n,
                                  rd_kafka_t **out, struct meros_err *err)
{
    static const struct kafka_option common[] = {
        {"client.id", "meros"},
        {"statistics.interval.ms", "3000"},
        {"reconnect.backoff.max.ms", "5000"},
        {"log.connection.close", "false"}, /* brokers close idle connections; nothing is wrong then */
        {"socket.keepalive.enable", "true"},
    };
    const struct kafka_option given[] = {
        {"bootstrap.servers", access->brokers},
        {"security.protocol", access->security_protocol},
        {"sasl.mechanism", access->sasl_mechanism},
        {"sasl.username", access->username},
        {"sasl.password", access->password},
        {"ssl.ca.location", access->ca_file},
    };
    enum meros_code rc = MEROS_OK;
    char why[512] = "";
    k->last_error_at = TIME_NONE;
    for (size_t i = 0; rc == MEROS_OK && i < sizeof common / sizeof common[0]; i++) rc = set(conf, common[i].name, common[i].value, err);
    for (size_t i = 0; rc == MEROS_OK && i < n; i++) rc = set(conf, options[i].name, options[i].value, err);
    for (size_t i = 0; rc == MEROS_OK && i < sizeof given / sizeof given[0]; i++) rc = set_given(conf, given[i].name, given[i].value, err);
    if (rc == MEROS_OK) {
        rd_kafka_conf_set_opaque(conf, k);
        rd_kafka_conf_set_error_cb(conf, on_error);
        rd_kafka_conf_set_log_cb(conf, on_log);
        rd_kafka_conf_set_stats_cb(conf, on_stats);
        rd_kafka_t *rk = rd_kafka_new(type, conf, why, sizeof why);
        if (rk != NULL) {
            *out = rk;
            return MEROS_OK; /* conf is rk's now */
        }
        rc = err_set(err, MEROS_INVALID, "Kafka's settings cannot be used: %s", why);
    }
    rd_kafka_conf_destroy(conf);
    return rc;
}
