#include "config_priv.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "meros/base/crypto.h"
#include "meros/base/str.h"

static const char *const log_levels[] = {"debug", "info", "warn", "error", NULL};
static const char *const log_formats[] = {"text", "json", NULL};

#define AT(field) offsetof(struct config, field)
#define MIB 1048576.0
#define SECONDS 1000.0
#define RELOAD SETTING_RELOAD
#define SECRET SETTING_SECRET

/* Groups stand together, in the order in which somebody new would want to read them. */
const struct setting settings[] = {
    {"bind", SETTING_STR, "127.0.0.1", 1, 255, NULL, 0, AT(bind), "Address",
     "Address to listen on; 0.0.0.0 or :: for all of them."},
    {"port", SETTING_INT, "8080", 0, 65535, NULL, 0, AT(port), "Address",
     "TCP port to listen on; 0 takes a free one and logs it."},
    {"tls_cert", SETTING_STR, "", 0, 4096, NULL, 0, AT(tls_cert), "Address",
     "PEM file with the certificate chain; with tls_key, the service speaks HTTPS (TLS 1.2 and 1.3)."},
    {"tls_key", SETTING_STR, "", 0, 4096, NULL, 0, AT(tls_key), "Address", "PEM file with the certificate's private key."},
    {"cors_origins", SETTING_STR, "", 0, 8192, NULL, RELOAD, AT(cors_origins), "Address",
     "Origins, separated by spaces, whose pages may call the API from a browser; * is any; none turns CORS off."},

    {"data_dir", SETTING_STR, "./var", 1, 4096, NULL, 0, AT(data_dir), "Data",
     "Folder of everything on disk: the embedded PostgreSQL and the secret key."},
    {"database_url", SETTING_STR, "", 0, 4096, NULL, SECRET, AT(database_url), "Data",
     "PostgreSQL 15 or newer to use, as postgresql://USER:PASSWORD@HOST/NAME; without it a private one runs in data_dir."},
    {"pool_size", SETTING_INT, "16", 2, 1000, NULL, 0, AT(pool_size), "Data", "Database connections of the pool."},
    {"acquire_timeout", SETTING_DURATION, "2s", 1, 60 * SECONDS, NULL, 0, AT(acquire_timeout), "Data",
     "How long a request waits for a database connection before it is answered 503."},
    {"statement_timeout", SETTING_DURATION, "30s", 100, 3600 * SECONDS, NULL, 0, AT(statement_timeout), "Data",
     "How long one SQL statement of a request may run before it is answered 504."},
    {"activity_half_life_days", SETTING_NUM, "30", 0.01, 3650, NULL, 0, AT(activity_half_life_days), "Data",
     "Days after which an event counts half in decayed engagement; fixed once a database holds data."},

    {"bootstrap_key", SETTING_STR, "", 0, 200, NULL, SECRET, AT(bootstrap_key), "Secrets",
     "If set, an admin key with this value exists after start."},
    {"pii_key", SETTING_STR, "", 0, 200, NULL, SECRET, AT(pii_key), "Secrets",
     "32 bytes, as 64 hex digits or base64, that seal e-mail addresses, names, telephone numbers and the secrets of webhooks in the database; "
     "without it a key is made on first start and kept in data_dir/secret.key."},

    {"log_level", SETTING_ENUM, "info", 0, 0, log_levels, RELOAD, AT(log_level), "Logs and metrics",
     "The least important lines that are logged."},
    {"log_format", SETTING_ENUM, "text", 0, 0, log_formats, RELOAD, AT(log_format), "Logs and metrics",
     "text writes key=value pairs, json an object a line; to standard error."},
    {"access_log", SETTING_BOOL, "true", 0, 0, NULL, 0, AT(access_log), "Logs and metrics", "Whether each request is logged."},
    {"metrics_public", SETTING_BOOL, "false", 0, 0, NULL, RELOAD, AT(metrics_public), "Logs and metrics",
     "Whether /metrics answers without a key."},

    {"http_threads", SETTING_INT, "0", 0, 256, NULL, 0, AT(http_threads), "Limits",
     "Threads that handle connections and never block; 0 is twice the CPUs, at least 4."},
    {"io_threads", SETTING_INT, "16", 1, 512, NULL, 0, AT(io_threads), "Limits",
     "Threads on which requests wait for the database."},
    {"max_connections", SETTING_INT, "0", 0, 100000, NULL, 0, AT(max_connections), "Limits",
     "Client connections at a time; 0 is what the limit on open files bears, at most 4096."},
    {"queue_max", SETTING_INT, "1024", 1, 1000000, NULL, 0, AT(queue_max), "Limits",
     "Requests that may wait for an I/O thread before further ones are answered 503."},
    {"body_max", SETTING_SIZE, "1M", 1024, 1024 * MIB, NULL, 0, AT(body_max), "Limits",
     "Largest body of a request that is held in memory; imports are streamed and may be of any length."},
    {"ingest_queue_items", SETTING_INT, "100000", 1, 10000000, NULL, 0, AT(ingest_queue_items), "Limits",
     "Events and other items that may wait to be landed before further ones are answered 429."},
    {"ingest_queue_bytes", SETTING_SIZE, "128M", 4096, 65536 * MIB, NULL, 0, AT(ingest_queue_bytes), "Limits",
     "Memory that events and other items may take while they wait to be landed, before further ones are answered 429."},
    {"header_timeout", SETTING_DURATION, "10s", 100, 600 * SECONDS, NULL, 0, AT(header_timeout), "Limits",
     "How long a request's headers may take to arrive."},
    {"request_timeout", SETTING_DURATION, "60s", 1 * SECONDS, 3600 * SECONDS, NULL, 0, AT(request_timeout), "Limits",
     "How long a whole request that is not streamed may take to arrive."},
    {"body_idle_timeout", SETTING_DURATION, "30s", 1 * SECONDS, 3600 * SECONDS, NULL, 0, AT(body_idle_timeout), "Limits",
     "How long a body may pause, or a client may take nothing of an answer, before the connection is cut."},
    {"idle_timeout", SETTING_DURATION, "75s", 1 * SECONDS, 3600 * SECONDS, NULL, 0, AT(idle_timeout), "Limits",
     "How long a connection is kept open between requests."},
    {"drain_timeout", SETTING_DURATION, "5s", 0, 600 * SECONDS, NULL, 0, AT(drain_timeout), "Limits",
     "How long requests in flight may take to finish once the service is told to stop."},

    {"recommend_memory_mb", SETTING_INT, "256", 8, 1048576, NULL, 0, AT(recommend_memory_mb), "Recommendations",
     "Megabytes for what customers had to do with products, so that recommendations ask no database."},

    {"webhook_allow_private", SETTING_BOOL, "false", 0, 0, NULL, 0, AT(webhook_allow_private), "Webhooks",
     "Whether webhooks may be sent to private addresses: loopback, the local network, a cloud's metadata."},
    {"webhook_timeout", SETTING_DURATION, "15s", 100, 60 * SECONDS, NULL, 0, AT(webhook_timeout), "Webhooks",
     "How long a receiver of webhooks may take to answer."},
    {"webhook_give_up_hours", SETTING_NUM, "24", 0.0001, 8760, NULL, 0, AT(webhook_give_up_hours), "Webhooks",
     "Hours without a success after which a webhook is switched off."},
    {"webhook_ca_file", SETTING_STR, "", 0, 4096, NULL, 0, AT(webhook_ca_file), "Webhooks",
     "PEM file with the authorities that sign the certificates of receivers; without it, those of the system."},

    {"job_workers", SETTING_INT, "1", 0, 64, NULL, 0, AT(job_workers), "Training",
     "Jobs that run at a time in this process; 0 leaves them to other replicas."},
    {"job_retention_days", SETTING_INT, "30", 1, 3650, NULL, 0, AT(job_retention_days), "Training",
     "Days for which jobs that have ended can still be looked at."},
    {"rejudge_hours", SETTING_INT, "24", 0, 8760, NULL, 0, AT(rejudge_hours), "Training",
     "How often everybody is judged anew by the active models, for those whom time alone moves. 0: only by a refresh job."},
    {"training_threads", SETTING_INT, "0", 0, 256, NULL, 0, AT(training_threads), "Training",
     "CPU threads of one training; 0 is one a CPU."},
    {"training_memory", SETTING_SIZE, "0", 0, 1048576 * MIB, NULL, 0, AT(training_memory), "Training",
     "Memory that one training may use before it is refused; 0 is half of the machine's."},
    {"training_nice", SETTING_INT, "10", 0, 19, NULL, 0, AT(training_nice), "Training",
     "How far training stands back for requests on the CPU; 19 is furthest."},

    {"kafka_brokers", SETTING_STR, "", 0, 4096, NULL, 0, AT(kafka_brokers), "Kafka",
     "Brokers to begin with, as host:port,host:port; none turns Kafka off."},
    {"kafka_topics", SETTING_STR, "", 0, 8192, NULL, 0, AT(kafka_topics), "Kafka",
     "Topics to read events from, separated by blanks or commas."},
    {"kafka_group", SETTING_STR, "meros", 1, 249, NULL, 0, AT(kafka_group), "Kafka",
     "Consumer group; replicas of one group share the partitions, and how far it came is stored under its name."},
    {"kafka_offset_reset", SETTING_ENUM, "earliest", 0, 0, kafka_resets, 0, AT(kafka_offset_reset), "Kafka",
     "Where a partition begins that was never read, or whose place is not on the topic any more."},
    {"kafka_dead_letter_suffix", SETTING_STR, ".dlq", 1, 100, NULL, 0, AT(kafka_dead_letter_suffix), "Kafka",
     "What cannot be read from a topic is produced to the topic of that name with this behind it."},
    {"kafka_changes_topic", SETTING_STR, "", 0, 249, NULL, 0, AT(kafka_changes_topic), "Kafka",
     "Topic to which segment.entered and segment.left are produced, keyed by customer_id; none turns that off."},
    {"kafka_security_protocol", SETTING_ENUM, "plaintext", 0, 0, kafka_protocols, 0, AT(kafka_security_protocol), "Kafka",
     "How brokers are spoken to."},
    {"kafka_sasl_mechanism", SETTING_ENUM, "none", 0, 0, kafka_mechanisms, 0, AT(kafka_sasl_mechanism), "Kafka",
     "How the user name and password are presented; with the sasl protocols."},
    {"kafka_username", SETTING_STR, "", 0, 1000, NULL, 0, AT(kafka_username), "Kafka", "User name for the sasl protocols."},
    {"kafka_password", SETTING_STR, "", 0, 4000, NULL, SECRET, AT(kafka_password), "Kafka", "Password for the sasl protocols."},
    {"kafka_ca_file", SETTING_STR, "", 0, 4096, NULL, 0, AT(kafka_ca_file), "Kafka",
     "PEM file with the authorities that signed the brokers' certificates; none takes the system's."},
};
const size_t n_settings = sizeof settings / sizeof settings[0];
_Static_assert(sizeof settings / sizeof settings[0] <= SETTINGS_MAX, "SETTINGS_MAX is too small");

/* --- names */

static bool same_name(const char *a, const char *b)
{
    for (; *a != '\0' && *b != '\0'; a++, b++)
        if ((*a == '-' ? '_' : *a) != (*b == '-' ? '_' : *b)) return false;
    return *a == *b;
}

const struct setting *setting_find(const char *name)
{
    for (size_t i = 0; i < n_settings; i++)
        if (same_name(name, settings[i].name)) return &settings[i];
    return NULL;
}

enum { WORD_MAX = 40 };

/* Edit distance where two neighbours that changed places count as one edit, as most slips of the fingers do. */
static unsigned distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    unsigned d[WORD_MAX + 1][WORD_MAX + 1];
    if (n > WORD_MAX || m > WORD_MAX) return WORD_MAX;
    for (size_t i = 0; i <= n; i++) d[i][0] = (unsigned)i;
    for (size_t j = 0; j <= m; j++) d[0][j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++)
        for (size_t j = 1; j <= m; j++) {
            char x = a[i - 1] == '-' ? '_' : a[i - 1], y = b[j - 1] == '-' ? '_' : b[j - 1];
            unsigned best = d[i - 1][j - 1] + (x != y);
            if (d[i - 1][j] + 1 < best) best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best) best = d[i][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < best)
                best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    return d[n][m];
}

const char *nearest_word(const char *word, const char *const *words, size_t n)
{
    const char *best = NULL;
    size_t length = strlen(word);
    unsigned best_distance = length <= 3 ? 2 : length <= 6 ? 3 : 4; /* must be nearer than this */
    for (size_t i = 0; i < n; i++) {
        unsigned d = distance(word, words[i]);
        if (d < best_distance) best_distance = d, best = words[i];
    }
    return best;
}

const char *setting_nearest(const char *name)
{
    const char *names[SETTINGS_MAX];
    for (size_t i = 0; i < n_settings; i++) names[i] = settings[i].name;
    return nearest_word(name, names, n_settings);
}

/* --- values */

/* A number with a unit: factor of the unit, or 0 if there is no such unit. */
struct unit {
    const char *name;
    double factor;
};
static const struct unit size_units[] = {{"", 1},         {"B", 1},           {"K", 1024},      {"KiB", 1024},
                                         {"M", MIB},      {"MiB", MIB},       {"G", 1024 * MIB}, {"GiB", 1024 * MIB},
                                         {"T", MIB * MIB}, {"TiB", MIB * MIB}, {NULL, 0}};
static const struct unit duration_units[] = {{"ms", 1},          {"", SECONDS},         {"s", SECONDS},
                                             {"m", 60 * SECONDS}, {"h", 3600 * SECONDS}, {"d", 86400 * SECONDS},
                                             {NULL, 0}};

static bool with_unit(const char *text, const struct unit *units, double *out)
{
    size_t n = strspn(text, "0123456789.");
    double v;
    if (!str_to_double((struct str){text, n}, &v)) return false;
    for (; units->name != NULL; units++)
        if (str_ieq(str_of(text + n), str_of(units->name))) {
            *out = v * units->factor;
            return true;
        }
    return false;
}

static void allowed(const struct setting *s, char *out, size_t cap)
{
    switch (s->kind) {
    case SETTING_STR:
        snprintf(out, cap, "text of %s %g bytes, without control characters", s->min > 0 ? "1 to" : "up to", s->max);
        break;
    case SETTING_INT: snprintf(out, cap, "a whole number from %.0f to %.0f", s->min, s->max); break;
    case SETTING_NUM: snprintf(out, cap, "a number from %g to %g", s->min, s->max); break;
    case SETTING_BOOL: snprintf(out, cap, "true or false"); break;
    case SETTING_SIZE: snprintf(out, cap, "a size such as 512K, 64M or 2G, from %.0f to %.0f bytes", s->min, s->max); break;
    case SETTING_DURATION:
        snprintf(out, cap, "a time such as 500ms, 30s, 5m or 24h, from %gs to %gs", s->min / SECONDS, s->max / SECONDS);
        break;
    case SETTING_ENUM: {
        size_t n = (size_t)snprintf(out, cap, "one of");
        for (size_t i = 0; s->words[i] != NULL && n < cap; i++)
            n += (size_t)snprintf(out + n, cap - n, "%s %s", i == 0 ? "" : ",", s->words[i]);
        break;
    }
    }
}

static bool within(const struct setting *s, double v)
{
    return v >= s->min && v <= s->max;
}

/* Sets the field from text; false if the text is not allowed. Strings are set by the caller, who owns them. */
static bool set_field(struct config *c, const struct setting *s, const char *text)
{
    void *field = (char *)c + s->offset;
    double v;
    int64_t i;
    switch (s->kind) {
    case SETTING_STR:
        for (const char *p = text; *p != '\0'; p++)
            if (iscntrl((unsigned char)*p)) return false;
        *(char **)field = c->text[s - settings];
        return within(s, (double)strlen(text));
    case SETTING_INT:
        if (!str_to_int64(str_of(text), &i) || !within(s, (double)i)) return false;
        *(int64_t *)field = i;
        return true;
    case SETTING_NUM:
        if (!str_to_double(str_of(text), &v) || !within(s, v)) return false;
        *(double *)field = v;
        return true;
    case SETTING_BOOL: {
        bool yes = !strcmp(text, "true") || !strcmp(text, "1") || !strcmp(text, "yes") || !strcmp(text, "on");
        if (!yes && strcmp(text, "false") && strcmp(text, "0") && strcmp(text, "no") && strcmp(text, "off")) return false;
        *(bool *)field = yes;
        return true;
    }
    case SETTING_ENUM:
        for (i = 0; s->words[i] != NULL; i++)
            if (strcmp(text, s->words[i]) == 0) {
                *(int64_t *)field = i;
                return true;
            }
        return false;
    case SETTING_SIZE:
    case SETTING_DURATION:
        if (!with_unit(text, s->kind == SETTING_SIZE ? size_units : duration_units, &v) || !within(s, v)) return false;
        *(int64_t *)field = (int64_t)v;
        return true;
    }
    return false;
}

/* The first line of the file that a secret given as file:PATH stands for; malloc'ed. */
static enum meros_code read_secret(const char *path, const char *name, char **out, struct meros_err *err)
{
    char line[8192];
    FILE *f = fopen(path, "re");
    if (f == NULL) return err_set(err, MEROS_INVALID, "%s: cannot read the file \"%s\": %s", name, path, strerror(errno));
    bool got = fgets(line, sizeof line, f) != NULL;
    fclose(f);
    if (!got) return err_set(err, MEROS_INVALID, "%s: the file \"%s\" is empty", name, path);
    line[strcspn(line, "\r\n")] = '\0';
    *out = strdup(line);
    crypto_wipe(line, sizeof line);
    return *out != NULL ? MEROS_OK : err_set(err, MEROS_OUT_OF_MEMORY, "there is no memory for the settings");
}

static enum meros_code set(struct config *c, const struct setting *s, const char *text, const char *origin,
                           struct meros_err *err)
{
    size_t i = (size_t)(s - settings);
    bool secret = (s->flags & SETTING_SECRET) != 0;
    char *copy = NULL;
    if (secret && strncmp(text, "file:", 5) == 0) {
        enum meros_code rc = read_secret(text + 5, s->name, &copy, err);
        if (rc != MEROS_OK) return rc;
    } else if ((copy = strdup(text)) == NULL) {
        return err_set(err, MEROS_OUT_OF_MEMORY, "there is no memory for the settings");
    }
    free(c->text[i]);
    c->text[i] = copy;
    snprintf(c->origin[i], ORIGIN_MAX, "%s", origin);
    if (!set_field(c, s, copy)) {
        char what[256];
        allowed(s, what, sizeof what);
        return secret ? err_set(err, MEROS_INVALID, "%s (%s) has a value that is not allowed; it takes %s", s->name, origin, what)
                      : err_set(err, MEROS_INVALID, "%s (%s) is \"%.100s\"; it takes %s", s->name, origin, text, what);
    }
    return MEROS_OK;
}

/* --- sources */

static enum meros_code unknown(const char *name, const char *origin, struct meros_err *err)
{
    const char *near = setting_nearest(name);
    return near != NULL ? err_set(err, MEROS_INVALID, "%s: there is no setting \"%.60s\"; did you mean %s?", origin, name, near)
                        : err_set(err, MEROS_INVALID, "%s: there is no setting \"%.60s\"; `meros config` lists them all",
                                  origin, name);
}

/* One line of the file, without its line end: "name = value", a comment, or nothing. */
static enum meros_code read_line(struct config *c, char *line, const char *origin, struct meros_err *err)
{
    struct str text = str_trim(str_of(line));
    if (text.n == 0 || text.p[0] == '#') return MEROS_OK;
    const char *equals = memchr(text.p, '=', text.n);
    if (equals == NULL) return err_set(err, MEROS_INVALID, "%s: expected name = value", origin);
    struct str name = str_trim((struct str){text.p, (size_t)(equals - text.p)});
    struct str value = str_trim((struct str){equals + 1, (size_t)(text.p + text.n - equals - 1)});
    if (value.n >= 2 && value.p[0] == '"' && value.p[value.n - 1] == '"') value.p++, value.n -= 2;
    line[name.p + name.n - line] = '\0';
    line[value.p + value.n - line] = '\0';
    const struct setting *s = setting_find(name.p);
    return s == NULL ? unknown(name.p, origin, err) : set(c, s, value.p, origin, err);
}

static enum meros_code read_file(struct config *c, const char *path, struct meros_err *err)
{
    enum meros_code rc = MEROS_OK;
    char *line = NULL;
    size_t cap = 0;
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return err_set(err, MEROS_INVALID, "cannot read the configuration file \"%s\": %s", path, strerror(errno));
    for (int n = 1; rc == MEROS_OK && getline(&line, &cap, f) >= 0; n++) {
        char origin[ORIGIN_MAX];
        line[strcspn(line, "\r\n")] = '\0';
        snprintf(origin, sizeof origin, "%.150s line %d", path, n);
        rc = read_line(c, line, origin, err);
    }
    if (rc == MEROS_OK && ferror(f))
        rc = err_set(err, MEROS_INVALID, "cannot read the configuration file \"%s\": %s", path, strerror(errno));
    free(line);
    fclose(f);
    return rc;
}

/* The value of a variable MEROS_<NAME>, or NULL. */
static const char *variable(char *const *environment, const char *name)
{
    size_t n = strlen(name);
    for (; *environment != NULL; environment++) {
        const char *e = *environment;
        if (strncmp(e, "MEROS_", 6) == 0 && str_ieq((struct str){e + 6, strcspn(e + 6, "=")}, (struct str){name, n}) &&
            e[6 + n] == '=')
            return e + 6 + n + 1;
    }
    return NULL;
}

static enum meros_code read_environment(struct config *c, char *const *environment, struct meros_err *err)
{
    enum meros_code rc = MEROS_OK;
    for (size_t i = 0; i < n_settings && rc == MEROS_OK; i++) {
        const char *value = variable(environment, settings[i].name);
        if (value == NULL) continue;
        char origin[ORIGIN_MAX] = "environment MEROS_";
        for (size_t k = 0, n = strlen(origin); settings[i].name[k] != '\0'; k++, n++)
            origin[n] = (char)toupper((unsigned char)settings[i].name[k]), origin[n + 1] = '\0';
        rc = set(c, &settings[i], value, origin, err);
    }
    return rc;
}

/* A variable that is nearly a setting is a slip; others (MEROS_TEST_DATA, …) are somebody else's business. */
static void note_misspelt(char *const *environment, struct buf *warnings)
{
    for (; warnings != NULL && *environment != NULL; environment++) {
        const char *e = *environment;
        char name[WORD_MAX + 1];
        size_t n = strcspn(e, "=");
        if (strncmp(e, "MEROS_", 6) != 0 || n - 6 > WORD_MAX) continue;
        for (size_t i = 6; i <= n; i++) name[i - 6] = i == n ? '\0' : (char)tolower((unsigned char)e[i]);
        if (setting_find(name) != NULL || strcmp(name, "config") == 0 || strcmp(name, "key") == 0) continue;
        const char *near = setting_nearest(name);
        if (near == NULL || distance(name, near) > 2) continue;
        buf_append(warnings, e, n);
        buf_str(warnings, " is not a setting; did you mean MEROS_");
        for (const char *p = near; *p != '\0'; p++) buf_char(warnings, (char)toupper((unsigned char)*p));
        buf_str(warnings, "?\n");
    }
}

/* What no single setting can tell. */
static enum meros_code check_together(const struct config *c, struct meros_err *err)
{
    unsigned char key[SEAL_KEY_BYTES];
    if ((c->tls_cert[0] == '\0') != (c->tls_key[0] == '\0'))
        return err_set(err, MEROS_INVALID, "%s is set without %s; HTTPS needs both", c->tls_cert[0] ? "tls_cert" : "tls_key",
                       c->tls_cert[0] ? "tls_key" : "tls_cert");
    for (const char *p = c->bootstrap_key; *p != '\0'; p++)
        if (!isgraph((unsigned char)*p))
            return err_set(err, MEROS_INVALID, "bootstrap_key holds a blank or a character that no HTTP header can carry");
    if (c->pii_key[0] != '\0') {
        bool ok = config_key_bytes(c->pii_key, key);
        crypto_wipe(key, sizeof key);
        if (!ok) return err_set(err, MEROS_INVALID, "pii_key is not 32 bytes as 64 hex digits or base64");
    }
    return config_check_kafka(c, err);
}

enum meros_code config_load(struct config *c, const char *file, const struct config_flag *flags, size_t n_flags,
                            char *const *environment, struct buf *warnings, struct meros_err *err)
{
    enum meros_code rc = MEROS_OK;
    memset(c, 0, sizeof *c);
    for (size_t i = 0; i < n_settings && rc == MEROS_OK; i++) rc = set(c, &settings[i], settings[i].dflt, "default", err);
    if (rc != MEROS_OK) goto out;

    if (file == NULL) file = variable(environment, "config");
    if (file != NULL && file[0] != '\0') {
        if ((rc = read_file(c, file, err)) != MEROS_OK) goto out;
        if ((c->file = strdup(file)) == NULL) {
            rc = err_set(err, MEROS_OUT_OF_MEMORY, "there is no memory for the settings");
            goto out;
        }
    }
    if ((rc = read_environment(c, environment, err)) != MEROS_OK) goto out;
    note_misspelt(environment, warnings);
    for (size_t i = 0; i < n_flags && rc == MEROS_OK; i++) {
        char origin[ORIGIN_MAX];
        const struct setting *s = setting_find(flags[i].name);
        snprintf(origin, sizeof origin, "flag --%.100s", flags[i].name);
        rc = s == NULL ? unknown(flags[i].name, "command line", err) : set(c, s, flags[i].value, origin, err);
    }
    if (rc == MEROS_OK) rc = check_together(c, err);
out:
    if (rc != MEROS_OK) config_done(c);
    return rc;
}

void config_done(struct config *c)
{
    for (size_t i = 0; i < n_settings; i++) {
        if (c->text[i] != NULL && settings[i].flags & SETTING_SECRET) crypto_wipe(c->text[i], strlen(c->text[i]));
        free(c->text[i]);
    }
    free(c->file);
    memset(c, 0, sizeof *c);
}

const struct setting *config_changed(const struct config *a, const struct config *b, size_t *at)
{
    for (size_t i = *at; i < n_settings; i++)
        if (strcmp(a->text[i], b->text[i]) != 0) {
            *at = i + 1;
            return &settings[i];
        }
    *at = n_settings;
    return NULL;
}

bool config_key_bytes(const char *text, unsigned char out[32])
{
    size_t n;
    struct str s = str_of(text);
    if (hex_decode(s, out, 32)) return true;
    return (base64_decode(s, out, 32, &n) || base64_decode_standard(s, out, 32, &n)) && n == 32;
}
