/* The command line: which command, its arguments and options, the settings given as flags; help for each. */
#include "meros/app/app.h"
#include "app_priv.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "meros/base/str.h"

#define HTTP_OPTIONS                                                                                                   \
    {"url", "URL", "the running service; default http://127.0.0.1:PORT"}, {                                           \
        "key", "KEY",                                                                                                  \
            "API key; default MEROS_KEY, then bootstrap_key, then what data_dir/admin.key holds"                       \
    }

const struct command commands[] = {
    {"serve", "", "run the service",
     "Starts the embedded PostgreSQL unless database_url is given, brings the schema up to date, answers requests until\n"
     "SIGTERM or SIGINT. SIGHUP reads the settings again.",
     0, true, {{NULL, NULL, NULL}}, command_serve},
    {"migrate", "", "bring the database schema up to date and exit",
     "meros serve does the same at start; this is for those who want it as a step of its own.",
     0, true, {{NULL, NULL, NULL}}, command_migrate},
    {"key create", "", "make an API key and print it, alone, on standard output",
     "The key is shown this once; the database keeps a digest of it.",
     0, true,
     {{"scopes", "LIST", "comma-separated: ingest, read, recommend, train, privacy, admin"},
      {"name", "NAME", "what the key is for, for the list of keys"},
      {NULL, NULL, NULL}},
     command_key_create},
    {"key list", "", "list API keys", NULL, 0, true, {{NULL, NULL, NULL}}, command_key_list},
    {"key revoke", "ID", "make an API key useless, for ever", "ID is the first column of `meros key list`.", 1, true,
     {{NULL, NULL, NULL}}, command_key_revoke},
    {"import", "DATASET FILE", "send a file to a running service",
     "DATASET is customers, products, orders, events or outcomes. FILE is CSV or NDJSON, also gzipped; - is standard\n"
     "input. The service answers once all rows are committed; the summary goes to standard output.",
     2, true,
     {{"map", "FROM:TO,…", "rename columns, e.g. InvoiceNo:order_id,StockCode:product_id"},
      {"format", "csv|ndjson", "default: by the file's name, csv unless it has json in it"},
      {"date-format", "PATTERN", "strptime pattern of times, e.g. %d/%m/%Y"},
      {"day-first", NULL, "read 1/12/2010 as the first of December"},
      {"delimiter", "CHAR", "of CSV fields; default a comma"},
      {"charset", "utf-8|latin1", "of the file"},
      {"on-error", "skip|abort", "skip lands the good rows and reports the bad ones (default); abort lands nothing then"},
      {"strict", NULL, "exit 1 when any row was rejected"},
      HTTP_OPTIONS,
      {NULL, NULL, NULL}},
     command_import},
    {"demo", "", "make up a plausible shop, load it into a running service and train on it",
     "The same seed on the same day gives the same shop.",
     0, true,
     {{"customers", "N", "how many customers; default 3000"},
      {"seed", "N", "of the made-up shop; default 1"},
      {"write", "FOLDER", "write the files there instead of loading them"},
      {"if-empty", NULL, "do nothing when the service holds customers already"},
      HTTP_OPTIONS,
      {NULL, NULL, NULL}},
     command_demo},
    {"config", "", "show the settings in effect and where each came from",
     "Secrets are masked.", 0, true,
     {{"markdown", NULL, "print the reference of all settings instead"}, {NULL, NULL, NULL}}, command_config},
    {"version", "", "print the version", NULL, 0, false, {{NULL, NULL, NULL}}, command_version},
};
const size_t n_commands = sizeof commands / sizeof commands[0];

void complain(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    fputs("meros: ", stderr);
    vfprintf(stderr, format, ap);
    fputc('\n', stderr);
    va_end(ap);
}

void complain_err(const struct meros_err *err)
{
    complain("%s", err->detail);
    for (size_t i = 0; i < err->n_fields; i++) complain("  %s: %s", err->fields[i].pointer, err->fields[i].detail);
}

const char *invocation_option(const struct invocation *in, const char *name)
{
    for (int i = 0; in->command->options[i].name != NULL; i++)
        if (strcmp(in->command->options[i].name, name) == 0) return in->values[i];
    return NULL;
}

/* --- help */

static void print_buf(struct buf *b, FILE *to)
{
    if (b->len > 0) fwrite(b->data, 1, b->len, to);
    buf_done(b);
}

static void general_help(FILE *to)
{
    fputs("Meros turns what a business knows about its customers into segments and predictions, over HTTP.\n\n"
          "usage: meros COMMAND [--flags]\n\n",
          to);
    for (size_t i = 0; i < n_commands; i++) {
        char call[64];
        snprintf(call, sizeof call, "%s %s", commands[i].name, commands[i].arguments);
        fprintf(to, "  %-22s %s\n", call, commands[i].summary);
    }
    fputs("\nmeros COMMAND --help tells more about one. Settings come from flags, from MEROS_* variables, or from a file\n"
          "named by --config or MEROS_CONFIG, in this order; `meros config` shows them.\n"
          "To begin: `meros serve`, then `meros demo` beside it.\n",
          to);
}

static void command_help(const struct command *c, FILE *to)
{
    struct buf b;
    buf_init(&b, 64 * 1024);
    buf_printf(&b, "meros %s: %s\n\nusage: meros %s%s%s [--flags]\n", c->name, c->summary, c->name,
               c->arguments[0] ? " " : "", c->arguments);
    if (c->details != NULL) buf_printf(&b, "\n%s\n", c->details);
    if (c->options[0].name != NULL) buf_str(&b, "\nOptions:\n");
    for (int i = 0; c->options[i].name != NULL; i++) {
        char flag[64];
        const char *value = c->options[i].value_name;
        snprintf(flag, sizeof flag, "--%s%s%s", c->options[i].name, value ? " " : "", value ? value : "");
        buf_printf(&b, "  %-26s %s\n", flag, c->options[i].help);
    }
    if (c->takes_settings) {
        if (strcmp(c->name, "serve") == 0) {
            buf_str(&b, "\nSettings, each also as MEROS_NAME in the environment or \"name = value\" in the file of --config FILE:\n");
            config_help(&b);
        } else {
            buf_str(&b, "\nIt also takes --config FILE and the settings of `meros serve --help`, such as --data-dir and --port.\n");
        }
    }
    print_buf(&b, to);
}

/* --- parsing */

/* The command that argv[1…] names, and how many words its name has; NULL after complaining. */
static const struct command *find_command(int argc, char **argv, int *words)
{
    const char *names[sizeof commands / sizeof commands[0]];
    char two[128];
    for (size_t i = 0; i < n_commands; i++) names[i] = commands[i].name;
    snprintf(two, sizeof two, "%s %s", argv[1], argc > 2 ? argv[2] : "");
    for (size_t i = 0; i < n_commands; i++) {
        if (strcmp(argv[1], names[i]) == 0 || strcmp(two, names[i]) == 0) {
            *words = strchr(names[i], ' ') != NULL ? 2 : 1;
            return &commands[i];
        }
    }
    if (strcmp(argv[1], "key") == 0) {
        complain("key takes create, list or revoke, as in `meros key create --scopes admin --name me`");
        return NULL;
    }
    const char *near = nearest_word(argv[1], names, n_commands);
    if (near == NULL) near = nearest_word(two, names, n_commands);
    if (near != NULL) complain("there is no command \"%s\"; did you mean `meros %s`?", argv[1], near);
    else complain("there is no command \"%s\"; `meros --help` lists them", argv[1]);
    return NULL;
}

static void complain_unknown_flag(const struct command *c, const char *name)
{
    const char *names[SETTINGS_MAX + COMMAND_OPTIONS_MAX + 2] = {"help", "config"};
    size_t n = 2;
    for (int i = 0; c->options[i].name != NULL; i++) names[n++] = c->options[i].name;
    for (size_t i = 0; c->takes_settings && i < n_settings; i++) names[n++] = settings[i].name;
    const char *near = nearest_word(name, names, n);
    if (near == NULL) {
        complain("there is no flag --%s here; `meros %s --help` lists them", name, c->name);
        return;
    }
    char flag[64];
    snprintf(flag, sizeof flag, "%s", near);
    for (char *p = flag; *p != '\0'; p++)
        if (*p == '_') *p = '-';
    complain("there is no flag --%s here; did you mean --%s?", name, flag);
}

/* One flag "--name", "--name=value" or "--name value". *i moves past what was read. False after complaining. */
static bool parse_flag(struct invocation *in, int argc, char **argv, int *i, bool *help)
{
    const struct command *c = in->command;
    char name[64];
    const char *text = argv[*i] + 2, *equals = strchr(text, '='), *value = equals != NULL ? equals + 1 : NULL;
    if (!str_copy(name, sizeof name, (struct str){text, equals != NULL ? (size_t)(equals - text) : strlen(text)})) {
        complain("there is no flag %.80s…", argv[*i]);
        return false;
    }
    if (strcmp(name, "help") == 0) {
        *help = true;
        return true;
    }
    int option = 0;
    while (c->options[option].name != NULL && strcmp(c->options[option].name, name) != 0) option++;
    const struct setting *s = c->takes_settings ? setting_find(name) : NULL;
    bool own = c->options[option].name != NULL, file = c->takes_settings && strcmp(name, "config") == 0;
    if (!own && s == NULL && !file) {
        complain_unknown_flag(c, name);
        return false;
    }
    bool is_switch = own ? c->options[option].value_name == NULL : s != NULL && s->kind == SETTING_BOOL;
    if (value == NULL && is_switch) value = own ? "" : "true";
    if (own && is_switch && value[0] != '\0') {
        complain("--%s takes no value", name);
        return false;
    }
    if (value == NULL && *i + 1 < argc) value = argv[++*i];
    if (value == NULL) {
        complain("--%s needs a value", name);
        return false;
    }
    if (own) {
        in->values[option] = value;
    } else if (file) {
        in->config_file = value;
    } else {
        size_t k = 0;
        while (k < in->n_flags && setting_find(in->flags[k].name) != s) k++;
        in->flags[k] = (struct config_flag){s->name, value}; /* the last of several wins */
        if (k == in->n_flags) in->n_flags++;
    }
    return true;
}

/* EXIT_OK: go on; *help says that help was asked for. */
static int parse(struct invocation *in, int words, int argc, char **argv, bool *help)
{
    int n_args = 0;
    bool flags = true;
    for (int i = 1 + words; i < argc; i++) {
        if (flags && strcmp(argv[i], "--") == 0) {
            flags = false;
        } else if (flags && strcmp(argv[i], "-h") == 0) {
            *help = true;
        } else if (flags && strncmp(argv[i], "--", 2) == 0) {
            if (!parse_flag(in, argc, argv, &i, help)) return EXIT_USAGE;
        } else if (flags && argv[i][0] == '-' && argv[i][1] != '\0') {
            complain("there is no flag %s here; flags begin with two hyphens", argv[i]);
            return EXIT_USAGE;
        } else if (n_args < in->command->n_args) {
            in->args[n_args++] = argv[i];
        } else {
            complain("\"%s\" is one argument too many for `meros %s`", argv[i], in->command->name);
            return EXIT_USAGE;
        }
    }
    if (!*help && n_args < in->command->n_args) {
        complain("usage: meros %s %s", in->command->name, in->command->arguments);
        return EXIT_USAGE;
    }
    return EXIT_OK;
}

extern char **environ;

int app_main(int argc, char **argv)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct invocation in = {0};
    struct config config;
    struct buf warnings;
    int words = 1;
    bool help = false;
    if (argc < 2) {
        general_help(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || (strcmp(argv[1], "help") == 0 && argc == 2)) {
        general_help(stdout);
        return EXIT_OK;
    }
    if (strcmp(argv[1], "help") == 0) argv++, argc--, help = true;
    if (strcmp(argv[1], "key") == 0 && (argc == 2 ? help : argc == 3 && (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0))) {
        general_help(stdout); /* it lists the three of them */
        return EXIT_OK;
    }
    if (strcmp(argv[1], "--version") == 0) argv[1] += 2;
    in.command = find_command(argc, argv, &words);
    if (in.command == NULL) return EXIT_USAGE;
    int rc = parse(&in, words, argc, argv, &help);
    if (rc != EXIT_OK) return rc;
    if (help) {
        command_help(in.command, stdout);
        return EXIT_OK;
    }
    if (!in.command->takes_settings) return in.command->run(&in, NULL);

    buf_init(&warnings, 64 * 1024);
    if (config_load(&config, in.config_file, in.flags, in.n_flags, environ, &warnings, &err) != MEROS_OK) {
        complain_err(&err);
        buf_done(&warnings);
        return EXIT_USAGE;
    }
    print_buf(&warnings, stderr);
    rc = in.command->run(&in, &config);
    config_done(&config);
    return rc;
}

int command_config(const struct invocation *in, struct config *config)
{
    struct buf b;
    buf_init(&b, 256 * 1024);
    if (invocation_option(in, "markdown") != NULL) config_markdown(&b);
    else config_print(config, &b);
    print_buf(&b, stdout);
    return EXIT_OK;
}

int command_version(const struct invocation *in, struct config *config)
{
    (void)in, (void)config;
    puts("meros " MEROS_VERSION);
    return EXIT_OK;
}
