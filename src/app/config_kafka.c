#include "config_priv.h"

#include <ctype.h>
#include <string.h>
#include "meros/base/str.h"
#include "meros/service/service.h"

enum { TOPIC_MAX = 249 }; /* Kafka's own limit */

const char *const kafka_resets[] = {"earliest", "latest", NULL};
const char *const kafka_protocols[] = {"plaintext", "ssl", "sasl_plaintext", "sasl_ssl", NULL};
const char *const kafka_mechanisms[] = {"none", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", NULL};

static bool topic_valid(struct str s)
{
    if (s.n == 0 || s.n > TOPIC_MAX || str_is(s, ".") || str_is(s, "..")) return false;
    for (size_t i = 0; i < s.n; i++)
        if (!isalnum((unsigned char)s.p[i]) && strchr("._-", s.p[i]) == NULL) return false;
    return true;
}

static bool next_topic(const char **at, struct str *out)
{
    *at += strspn(*at, " ,");
    *out = (struct str){*at, strcspn(*at, " ,")};
    *at += out->n;
    return out->n > 0;
}

static enum meros_code check_topics(const struct config *c, struct meros_err *err)
{
    const char *at = c->kafka_topics;
    struct str topic;
    while (next_topic(&at, &topic)) {
        if (!topic_valid(topic))
            return err_set(err, MEROS_INVALID, "kafka_topics holds \"%.*s\"; a topic is 1 to %d letters, digits, dots, hyphens and underscores",
                           (int)(topic.n < 100 ? topic.n : 100), topic.p, TOPIC_MAX);
        if (topic.n + strlen(c->kafka_dead_letter_suffix) > TOPIC_MAX)
            return err_set(err, MEROS_INVALID, "kafka_topics holds a name that is too long with kafka_dead_letter_suffix behind it");
        if (str_is(topic, c->kafka_changes_topic))
            return err_set(err, MEROS_INVALID, "kafka_changes_topic is also in kafka_topics; what Meros produces it would read again");
    }
    if (!topic_valid(str_of(c->kafka_dead_letter_suffix)) && strcmp(c->kafka_dead_letter_suffix, ".") != 0)
        return err_set(err, MEROS_INVALID, "kafka_dead_letter_suffix takes letters, digits, dots, hyphens and underscores");
    if (c->kafka_changes_topic[0] != '\0' && !topic_valid(str_of(c->kafka_changes_topic)))
        return err_set(err, MEROS_INVALID, "kafka_changes_topic takes letters, digits, dots, hyphens and underscores");
    return MEROS_OK;
}

enum meros_code config_check_kafka(const struct config *c, struct meros_err *err)
{
    const char *protocol = kafka_protocols[c->kafka_security_protocol], *at = c->kafka_topics;
    struct str first;
    bool in = next_topic(&at, &first), out = c->kafka_changes_topic[0] != '\0';
    bool sasl = strncmp(protocol, "sasl_", 5) == 0, tls = strstr(protocol, "ssl") != NULL;
    if ((in || out) && c->kafka_brokers[0] == '\0')
        return err_set(err, MEROS_INVALID, "%s is set without kafka_brokers", in ? "kafka_topics" : "kafka_changes_topic");
    if (c->kafka_brokers[0] != '\0' && !in && !out)
        return err_set(err, MEROS_INVALID, "kafka_brokers is set, but neither kafka_topics nor kafka_changes_topic says what for");
    if (sasl && (c->kafka_sasl_mechanism == 0 || c->kafka_username[0] == '\0' || c->kafka_password[0] == '\0'))
        return err_set(err, MEROS_INVALID, "kafka_security_protocol %s needs kafka_sasl_mechanism, kafka_username and kafka_password", protocol);
    if (!sasl && (c->kafka_sasl_mechanism != 0 || c->kafka_username[0] != '\0' || c->kafka_password[0] != '\0'))
        return err_set(err, MEROS_INVALID,
                       "kafka_sasl_mechanism, kafka_username and kafka_password say nothing with kafka_security_protocol %s; "
                       "take sasl_ssl or sasl_plaintext", protocol);
    if (!tls && c->kafka_ca_file[0] != '\0')
        return err_set(err, MEROS_INVALID, "kafka_ca_file says nothing with kafka_security_protocol %s; take ssl or sasl_ssl", protocol);
    return check_topics(c, err);
}

void config_kafka(const struct config *c, struct kafka_settings *out)
{
    *out = (struct kafka_settings){
        .brokers = c->kafka_brokers,
        .topics = c->kafka_topics,
        .group = c->kafka_group,
        .offset_reset = kafka_resets[c->kafka_offset_reset],
        .dead_letter_suffix = c->kafka_dead_letter_suffix,
        .changes_topic = c->kafka_changes_topic,
        .security_protocol = kafka_protocols[c->kafka_security_protocol],
        .sasl_mechanism = c->kafka_sasl_mechanism == 0 ? "" : kafka_mechanisms[c->kafka_sasl_mechanism],
        .username = c->kafka_username,
        .password = c->kafka_password,
        .ca_file = c->kafka_ca_file,
    };
}
