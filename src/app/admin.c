/* The commands that work on the database without going through HTTP: migrate and key. They use the service's embedded
 * PostgreSQL while one runs on the same data_dir, and start it for themselves otherwise. */
#include "app_priv.h"

#include <stdio.h>
#include <string.h>
#include "meros/base/clock.h"
#include "meros/base/log.h"
#include "meros/service/keys.h"
#include "meros/store/store.h"

/* Opens the database with the schema current, or complains. */
static bool open_migrated(struct backend *b, const struct config *config, int *out_applied, int *out_version)
{
    struct meros_err err = MEROS_ERR_INIT;
    /* A command speaks to a person; of the log only what went wrong is of interest. */
    log_configure(config->log_level > LOG_WARN ? (enum log_level)config->log_level : LOG_WARN, (enum log_format)config->log_format);
    if (backend_libraries(&err) != MEROS_OK || backend_open(b, config, true, &err) != MEROS_OK) {
        complain_err(&err);
        return false;
    }
    if (store_migrate(b->svc.store, out_applied, out_version, &err) != MEROS_OK) {
        complain_err(&err);
        backend_close(b);
        return false;
    }
    return true;
}

int command_migrate(const struct invocation *in, struct config *config)
{
    struct backend b;
    int applied = 0, version = 0;
    (void)in;
    if (!open_migrated(&b, config, &applied, &version)) return EXIT_FAILED;
    backend_close(&b);
    printf("schema version %d, %d migration%s applied\n", version, applied, applied == 1 ? "" : "s");
    return EXIT_OK;
}

int command_key_create(const struct invocation *in, struct config *config)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct backend b;
    char id[KEY_ID_CAP], text[KEY_TEXT_CAP];
    const char *words = invocation_option(in, "scopes"), *name = invocation_option(in, "name");
    unsigned scopes;
    int applied, version;
    if (words == NULL || name == NULL) {
        complain("a key needs --scopes and --name, as in `meros key create --scopes ingest,read --name webshop`");
        return EXIT_USAGE;
    }
    if (key_scopes_parse(str_of(words), &scopes, &err) != MEROS_OK) {
        complain_err(&err);
        return EXIT_USAGE;
    }
    if (!open_migrated(&b, config, &applied, &version)) return EXIT_FAILED;
    enum meros_code rc = keys_create(&b.svc, str_of(name), scopes, id, text, &err);
    backend_close(&b);
    if (rc != MEROS_OK) {
        complain_err(&err);
        return EXIT_FAILED;
    }
    fprintf(stderr, "key %s, shown only this once:\n", id);
    puts(text);
    crypto_wipe(text, sizeof text);
    return EXIT_OK;
}

struct listing {
    int64_t last;
    size_t n;
};

static void print_key(void *arg, const struct key_info *key)
{
    struct listing *l = arg;
    char made[TIME_TEXT], used[TIME_TEXT] = "never", scopes[128] = "";
    size_t n = 0;
    time_format(key->created_at / TIME_SECOND * TIME_SECOND, made);
    if (key->last_used_at != TIME_NONE) time_format(key->last_used_at / TIME_SECOND * TIME_SECOND, used);
    for (int i = 0; key_scope_words[i] != NULL; i++)
        if (key->scopes & 1u << i) n += (size_t)snprintf(scopes + n, sizeof scopes - n, "%s%s", n ? "," : "", key_scope_words[i]);
    if (l->n++ == 0) printf("%-22s  %-8s  %-20s  %-20s  %-30s  %s\n", "id", "state", "created", "last used", "scopes", "name");
    printf("%-22.*s  %-8s  %-20s  %-20s  %-30s  %.*s\n", (int)key->id.n, key->id.p, key->revoked_at == TIME_NONE ? "active" : "revoked",
           made, used, scopes, (int)key->name.n, key->name.p);
    l->last = key->key_no;
}

int command_key_list(const struct invocation *in, struct config *config)
{
    enum { PAGE = 500 };
    struct meros_err err = MEROS_ERR_INIT;
    struct backend b;
    struct listing l = {0, 0};
    int applied, version;
    enum meros_code rc;
    size_t before;
    (void)in;
    if (!open_migrated(&b, config, &applied, &version)) return EXIT_FAILED;
    do {
        before = l.n;
        rc = keys_list(&b.svc, l.last, PAGE, print_key, &l, &err);
    } while (rc == MEROS_OK && l.n - before == PAGE);
    backend_close(&b);
    if (rc != MEROS_OK) complain_err(&err);
    else if (l.n == 0) fprintf(stderr, "there are no keys; `meros key create --scopes admin --name me` makes one\n");
    return rc == MEROS_OK ? EXIT_OK : EXIT_FAILED;
}

int command_key_revoke(const struct invocation *in, struct config *config)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct backend b;
    int applied, version;
    if (!open_migrated(&b, config, &applied, &version)) return EXIT_FAILED;
    enum meros_code rc = keys_revoke(&b.svc, str_of(in->args[0]), &err);
    backend_close(&b);
    if (rc != MEROS_OK) {
        complain_err(&err);
        return EXIT_FAILED;
    }
    fprintf(stderr, "key %s is revoked\n", in->args[0]);
    return EXIT_OK;
}
