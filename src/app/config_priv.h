/* The settings of Meros: one table (config.c) that feeds flags, environment, configuration file, `meros config`,
 * `--help` and the reference in README.md.
 *
 * A setting `x_y` is given as the flag --x-y, the environment variable MEROS_X_Y or the line "x_y = value" of the file
 * named by --config or MEROS_CONFIG. Flags win over the environment, that over the file, that over the default. A
 * secret may also be given as file:PATH, which stands for the first line of that file. */
#ifndef MEROS_CONFIG_PRIV_H
#define MEROS_CONFIG_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "meros/base/buf.h"
#include "meros/base/err.h"
#include "meros/base/log.h"

enum setting_kind {
    SETTING_STR,      /* char * */
    SETTING_INT,      /* int64_t */
    SETTING_NUM,      /* double */
    SETTING_BOOL,     /* bool */
    SETTING_ENUM,     /* int64_t, index into words */
    SETTING_SIZE,     /* int64_t bytes; written 1048576, 1M, 1MiB */
    SETTING_DURATION  /* int64_t milliseconds; written 1500ms, 30s, 5m, 24h, 7d; a bare number is seconds */
};
enum { SETTING_RELOAD = 1, SETTING_SECRET = 2 };

struct setting {
    const char *name;
    enum setting_kind kind;
    const char *dflt;         /* as it would be written in the file; "" is none */
    double min, max;          /* INT, NUM, SIZE (bytes), DURATION (ms); STR: length */
    const char *const *words; /* ENUM; NULL-terminated */
    unsigned flags;
    size_t offset;            /* into struct config */
    const char *group;        /* heading in --help and README */
    const char *help;         /* one sentence */
};

enum { SETTINGS_MAX = 64, ORIGIN_MAX = 200 };

struct config {
    char *bind;
    int64_t port;
    char *data_dir;
    char *database_url, *bootstrap_key, *pii_key;
    int64_t log_level, log_format; /* enum log_level, enum log_format */
    bool access_log, metrics_public;
    int64_t http_threads, io_threads, max_connections, queue_max, body_max;
    int64_t ingest_queue_items, ingest_queue_bytes;
    int64_t idle_timeout, header_timeout, body_idle_timeout, request_timeout; /* milliseconds */
    char *cors_origins, *tls_cert, *tls_key;
    int64_t pool_size, acquire_timeout, statement_timeout;
    int64_t job_workers, job_retention_days, rejudge_hours, training_threads, training_memory, training_nice;
    double activity_half_life_days, webhook_give_up_hours;
    int64_t recommend_memory_mb;
    bool webhook_allow_private;
    int64_t webhook_timeout;
    char *webhook_ca_file;
    int64_t drain_timeout;
    char *kafka_brokers, *kafka_topics, *kafka_group, *kafka_dead_letter_suffix, *kafka_changes_topic;
    char *kafka_username, *kafka_password, *kafka_ca_file;
    int64_t kafka_offset_reset, kafka_security_protocol, kafka_sasl_mechanism; /* indices into the words of config_kafka.c */

    char *file;                             /* the configuration file that was read; NULL without one */
    char *text[SETTINGS_MAX];               /* of each setting, the text that was given */
    char origin[SETTINGS_MAX][ORIGIN_MAX];  /* where it came from: "default", "flag --port", … */
};

/* A setting given on the command line. */
struct config_flag {
    const char *name;  /* of the setting */
    const char *value;
};

extern const struct setting settings[];
extern const size_t n_settings;

/* The setting of that name, hyphens counting as underscores; NULL if there is none. */
const struct setting *setting_find(const char *name);
/* The nearest word for "did you mean": NULL if nothing is near. */
const char *nearest_word(const char *word, const char *const *words, size_t n);
const char *setting_nearest(const char *name);

/* Reads all sources. `file` is the value of --config, or NULL. INVALID names the setting, where its value came from and
 * what is allowed. On failure *c is empty. config_done() frees it. `warnings` gets lines about variables that look like
 * misspelt settings; may be NULL. */
enum meros_code config_load(struct config *c, const char *file, const struct config_flag *flags, size_t n_flags,
                            char *const *environment, struct buf *warnings, struct meros_err *err) MEROS_MUSTCHECK;
void config_done(struct config *c);

/* Writes what is in effect and where it came from; secrets masked. */
void config_print(const struct config *c, struct buf *out);
void config_markdown(struct buf *out); /* the reference in README.md */
void config_help(struct buf *out);     /* the list in `meros serve --help` */
/* Names of settings whose values differ, one by one: *at = 0 at first; NULL at the end. */
const struct setting *config_changed(const struct config *a, const struct config *b, size_t *at);
/* config_kafka.c: what the settings of Kafka say together, in words of the client's library. */
enum meros_code config_check_kafka(const struct config *c, struct meros_err *err) MEROS_MUSTCHECK;
struct kafka_settings;
void config_kafka(const struct config *c, struct kafka_settings *out); /* strings of c */
extern const char *const kafka_resets[], *const kafka_protocols[], *const kafka_mechanisms[];
/* The 32 bytes of pii_key: 64 hex digits or base64. */
bool config_key_bytes(const char *text, unsigned char out[32]);

#endif
