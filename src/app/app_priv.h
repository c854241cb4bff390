/* What the files of src/app share: the table of commands, the reading of the command line, signals, the service object. */
#ifndef MEROS_APP_PRIV_H
#define MEROS_APP_PRIV_H

#include "config_priv.h"
#include "meros/base/crypto.h"
#include "meros/base/err.h"
#include "meros/service/service.h"

/* Exit codes of every command. */
enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* --- the command line (cli.c) */
struct command_option {
    const char *name;       /* without "--" */
    const char *value_name; /* NULL: a switch */
    const char *help;
};
enum { COMMAND_OPTIONS_MAX = 12, COMMAND_ARGS_MAX = 2 };
struct invocation;
struct command {
    const char *name;      /* "serve", "key create" */
    const char *arguments; /* as in usage: "DATASET FILE" */
    const char *summary;   /* one line */
    const char *details;   /* more for --help; may be NULL */
    int n_args;            /* exactly as many */
    bool takes_settings;   /* flags of the settings are allowed and the configuration is read */
    struct command_option options[COMMAND_OPTIONS_MAX]; /* ended by name NULL */
    int (*run)(const struct invocation *in, struct config *config);
};
struct invocation {
    const struct command *command;
    const char *args[COMMAND_ARGS_MAX];
    const char *values[COMMAND_OPTIONS_MAX]; /* of command->options; a switch that was given is "" */
    struct config_flag flags[SETTINGS_MAX];
    size_t n_flags;
    const char *config_file;
};
const char *invocation_option(const struct invocation *in, const char *name); /* NULL if not given */

extern const struct command commands[];
extern const size_t n_commands;

/* A message for the person at the terminal: "meros: …" on standard error. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
void complain_err(const struct meros_err *err);

/* --- the commands */
int command_serve(const struct invocation *in, struct config *config);
int command_migrate(const struct invocation *in, struct config *config);
int command_key_create(const struct invocation *in, struct config *config);
int command_key_list(const struct invocation *in, struct config *config);
int command_key_revoke(const struct invocation *in, struct config *config);
int command_import(const struct invocation *in, struct config *config);
int command_demo(const struct invocation *in, struct config *config);
int command_config(const struct invocation *in, struct config *config);
int command_version(const struct invocation *in, struct config *config);

/* --- data_dir (datadir.c) */
enum meros_code datadir_make(const char *folder, struct meros_err *err) MEROS_MUSTCHECK;
/* The first line of a file in it; NOT_FOUND when there is no such file. */
enum meros_code datadir_read_line(const char *folder, const char *name, char *out, size_t cap, struct meros_err *err) MEROS_MUSTCHECK;
/* The key in secret.key, made when there is none (*out_made). */
enum meros_code datadir_secret_key(const char *folder, unsigned char out[SEAL_KEY_BYTES], bool *out_made,
                                   struct meros_err *err) MEROS_MUSTCHECK;

/* --- the database and what stands on it (backend.c), for serve and for the commands that work without HTTP */
struct backend {
    struct service svc;
};
/* Libraries that want a word before the first thread. */
enum meros_code backend_libraries(struct meros_err *err) MEROS_MUSTCHECK;
/* Settings, secret key, the embedded PostgreSQL where no database_url is given, the pool. attach: share the cluster of a
 * service that runs on the same data_dir; otherwise that is CONFLICT. */
enum meros_code backend_open(struct backend *b, const struct config *config, bool attach, struct meros_err *err) MEROS_MUSTCHECK;
void backend_close(struct backend *b); /* pool, cluster; after all that stands on them is freed */

/* --- signals (signals.c): all are blocked in every thread; the main thread waits for them here */
enum signal_event { SIGNAL_NOTHING, SIGNAL_STOP, SIGNAL_RELOAD };
void signals_block(void); /* before the first thread starts */
enum signal_event signals_wait(int timeout_ms);
/* From now on a further SIGTERM or SIGINT ends the process at once, and so does passing the deadline. */
void signals_insist(int deadline_s);

#endif
