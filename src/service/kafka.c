#include "kafka_priv.h"

#include "meros/base/clock.h"
#include "meros/base/log.h"

static struct metric_family up = {.name = "meros_kafka_up",
                                  .help = "1 if a broker is connected.",
                                  .kind = METRIC_GAUGE,
                                  .labels = {"client"}};
static struct metric_family errors = {
    .name = "meros_kafka_errors_total", .help = "Errors that Kafka's client met.", .kind = METRIC_COUNTER, .labels = {"client"}};
static struct metric_family last_error = {.name = "meros_kafka_last_error_timestamp_seconds",
                                          .help = "When Kafka's client last met an error, in Unix time; 0: never.",
                                          .kind = METRIC_GAUGE,
                                          .labels = {"client"}};

struct kafka_access kafka_access_of(const struct kafka_settings *s)
{
    return (struct kafka_access){.brokers = s->brokers,
                                 .security_protocol = s->security_protocol,
                                 .sasl_mechanism = s->sasl_mechanism,
                                 .username = s->username,
                                 .password = s->password,
                                 .ca_file = s->ca_file};
}

void kafka_show_health(const char *client, const struct kafka_health *h)
{
    const char *const label[] = {client};
    metric_set(metric(&up, label), h->up);
    metric_set(metric(&errors, label), (double)h->errors);
    metric_set(metric(&last_error, label), h->last_error_at == TIME_NONE ? 0 : (double)h->last_error_at / 1e6);
}

void kafka_complain(struct kafka_complaint *k, const char *event, const struct meros_err *err)
{
    int64_t now = clock_mono_ns();
    if (k->open && now - k->said_ns < INT64_C(10000000000)) return;
    k->open = true;
    k->said_ns = now;
    log_warn(event, KV("detail", err->detail));
}

void kafka_relieved(struct kafka_complaint *k, const char *event)
{
    if (k->open) log_info(event);
    k->open = false;
}
