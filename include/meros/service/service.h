/* What every use case works with: built once by app/app.c, handed to HTTP handlers as http_ctx() and to jobs.
 *
 * Use cases live in service/<thing>.h (imports.h, customers.h, jobs.h, segments.h, keys.h, …), one file each, in domain
 * words; they take `struct service *` first. Fields are set before the first thread starts and do not change after,
 * except through the objects they point to, which lock for themselves; `settings` values marked reloadable are atomics. */
#ifndef MEROS_SERVICE_SERVICE_H
#define MEROS_SERVICE_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/crypto.h"

struct store_pool;
struct cluster;
struct key_cache;     /* service/keys.c */
struct job_runner;    /* service/jobs.c */
struct listener;      /* service/listener.c: NOTIFY and the health of the database */
struct idempotency;   /* service/idempotency.c */
struct sweeper;       /* service/sweeper.c: from changed customers to changed segments */
struct rejections;    /* service/rejections.c: what was not taken */
struct ingest;        /* service/ingest.c: the group commit of what comes in item by item */
struct webhook_sender; /* service/webhooks.h */
struct kafka_in;      /* service/kafka_in.c: events from Kafka */
struct kafka_out;     /* service/kafka_out.c: segment changes to Kafka */
struct clv_lists;     /* service/clv_lists.h: summaries that are kept */
struct segment_stream; /* service/segment_stream.h: who follows changes of segments */
struct catalog_holder; /* service/catalog.h */
struct shelves;       /* service/shelf.h */
struct recommending;  /* service/recommend.h */
struct reco_rules_holder; /* service/reco_rules.h */
struct audiences_holder; /* service/audiences.h */
struct model_serving; /* service/serving.c: the published snapshot of active models and the live customer reader */

/* Strings are never NULL; "" is none. Checked together by app/config.c. */
struct kafka_settings {
    const char *brokers;            /* host:port, … ; "": no Kafka */
    const char *topics;             /* read; separated by blanks or commas; "": none */
    const char *group;
    const char *offset_reset;       /* "earliest" or "latest" */
    const char *dead_letter_suffix; /* what poisons TOPIC goes to TOPIC + this */
    const char *changes_topic;      /* to which segment changes are produced; "": none */
    const char *security_protocol, *sasl_mechanism, *username, *password, *ca_file;
};

struct service_settings {
    double activity_half_life_days;  /* of decayed engagement; part of the stored statistics, so fixed for a database */
    unsigned char pii_key[SEAL_KEY_BYTES]; /* seals email, name, phone */
    const char *spool_dir;           /* where the rows of large imports wait, in files without names; NULL: TMPDIR or /tmp */
    size_t import_slice_rows;        /* of an import, merged at a time; 0: as many as take a moment (service/imports.c) */
    size_t training_memory_bytes;    /* budget of one job */
    int training_threads;
    int job_workers;                 /* jobs run at once by this process; 0: it only queues */
    int job_nice;                    /* how much lower their priority is, 0 to 19 */
    int rejudge_hours;               /* everybody is judged anew this often, for what time alone changes; 0: never */
    int job_retention_days;          /* ended jobs are kept this long */
    size_t ingest_queue_items;       /* events and other items that may wait to be landed */
    size_t ingest_queue_bytes;
    size_t recommend_memory_bytes;   /* for what customers had to do with products, kept in memory */
    bool webhook_allow_private;      /* receivers of webhooks may have private addresses */
    double webhook_give_up_hours;    /* without a success, after which a webhook is switched off */
    int webhook_timeout_ms;
    const char *webhook_ca_file;     /* PEM; NULL or "": the system's authorities */
    _Atomic bool metrics_public;     /* /metrics without a key; reloadable */
    struct kafka_settings kafka;
};

struct service {
    struct store_pool *store;
    struct cluster *cluster; /* NULL when an outside database is used */
    struct service_settings settings;
    struct key_cache *keys;
    struct job_runner *jobs;
    struct listener *listener;
    struct idempotency *idempotency;
    struct rejections *rejections;
    struct model_serving *serving;
    struct clv_lists *clv_lists;
    struct catalog_holder *catalog;
    struct shelves *shelves;
    struct recommending *recommending;
    struct reco_rules_holder *reco_rules;
    struct audiences_holder *audiences;
    struct sweeper *sweeper;
    struct ingest *ingest;
    struct webhook_sender *webhooks;
    struct kafka_in *kafka_in;   /* NULL: no topics are read */
    struct kafka_out *kafka_out; /* NULL: nothing is produced */
    struct segment_stream *segment_stream;
    _Atomic bool up;       /* all of the above is there: the schema is current, keys are known, jobs run */
    _Atomic bool draining;
};

#endif
