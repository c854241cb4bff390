#include "app_priv.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "meros/base/log.h"
#include "meros/base/thread.h"
#include "meros/codec/json.h"
#include "meros/ml/blas.h"
#include "meros/store/store.h"

enum meros_code backend_libraries(struct meros_err *err)
{
    json_start();
    ml_start();
    return crypto_start(err);
}

/* Half of the memory there is, for the machine or for the container we are in. */
static size_t half_of_memory(void)
{
    unsigned long long limit = ULLONG_MAX, all;
    FILE *f = fopen("/sys/fs/cgroup/memory.max", "re");
    if (f != NULL) {
        if (fscanf(f, "%llu", &limit) != 1) limit = ULLONG_MAX; /* "max" */
        fclose(f);
    }
    all = (unsigned long long)sysconf(_SC_PHYS_PAGES) * (unsigned long long)sysconf(_SC_PAGE_SIZE);
    return (size_t)((limit < all ? limit : all) / 2);
}

static enum meros_code settings_of(struct service_settings *s, const struct config *config, struct meros_err *err)
{
    s->spool_dir = config->data_dir;
    s->activity_half_life_days = config->activity_half_life_days;
    s->training_memory_bytes = config->training_memory > 0 ? (size_t)config->training_memory : half_of_memory();
    s->training_threads = config->training_threads > 0 ? (int)config->training_threads : thread_cpus();
    s->job_workers = (int)config->job_workers;
    s->job_nice = (int)config->training_nice;
    s->rejudge_hours = (int)config->rejudge_hours;
    s->job_retention_days = (int)config->job_retention_days;
    s->ingest_queue_items = (size_t)config->ingest_queue_items;
    s->ingest_queue_bytes = (size_t)config->ingest_queue_bytes;
    s->recommend_memory_bytes = (size_t)config->recommend_memory_mb << 20;
    s->webhook_allow_private = config->webhook_allow_private;
    s->webhook_give_up_hours = config->webhook_give_up_hours;
    s->webhook_timeout_ms = (int)config->webhook_timeout;
    s->webhook_ca_file = config->webhook_ca_file;
    s->metrics_public = config->metrics_public;
    config_kafka(config, &s->kafka);
    if (config->pii_key[0] != '\0') { /* config_load has seen that it is one */
        return config_key_bytes(config->pii_key, s->pii_key) ? MEROS_OK : err_set(err, MEROS_INVALID, "pii_key is not 32 bytes");
    }
    bool made = false;
    enum meros_code rc = datadir_secret_key(config->data_dir, s->pii_key, &made, err);
    if (rc == MEROS_OK && made && config->database_url[0] != '\0')
        log_warn("secret.made", KV("folder", config->data_dir), KV("file", "secret.key"),
                 KV("advice", "no pii_key is set, so one was made: keep a copy of it apart from the database's backups, and give "
                              "the same one to every replica; without it, e-mail addresses, names, telephone numbers and the "
                              "secrets of webhooks cannot be read again"));
    else if (rc == MEROS_OK && made)
        log_info("secret.made", KV("folder", config->data_dir), KV("file", "secret.key"));
    return rc;
}

enum meros_code backend_open(struct backend *b, const struct config *config, bool attach, struct meros_err *err)
{
    char url[CLUSTER_URL_MAX] = "";
    bool embedded = config->database_url[0] == '\0';
    enum meros_code rc;
    memset(b, 0, sizeof *b);
    if ((rc = datadir_make(config->data_dir, err)) != MEROS_OK) goto out;
    if (embedded)
        rc = (attach ? cluster_attach : cluster_start)(config->data_dir, &b->svc.cluster, url, sizeof url, err);
    if (rc != MEROS_OK) goto out;
    if ((rc = settings_of(&b->svc.settings, config, err)) != MEROS_OK) goto out;
    struct store_config store = {
        .url = embedded ? url : config->database_url,
        .max_connections = (int)config->pool_size,
        .acquire_timeout_ms = (int)config->acquire_timeout,
        .statement_timeout_ms = (int)config->statement_timeout,
    };
    rc = store_open(&store, &b->svc.store, err);
out:
    if (rc != MEROS_OK) backend_close(b);
    return rc;
}

void backend_close(struct backend *b)
{
    store_close(b->svc.store);
    cluster_stop(b->svc.cluster);
    crypto_wipe(b->svc.settings.pii_key, sizeof b->svc.settings.pii_key);
    memset(b, 0, sizeof *b);
}
