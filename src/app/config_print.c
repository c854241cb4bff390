/* The table of settings as people read it: in the terminal, in --help and in README.md. */
#include "config_priv.h"

#include <ctype.h>
#include <string.h>

void config_print(const struct config *c, struct buf *out)
{
    size_t name_width = 0, value_width = 0;
    const char *shown[SETTINGS_MAX];
    for (size_t i = 0; i < n_settings; i++) {
        bool set = c->text[i][0] != '\0';
        shown[i] = !set ? "-" : settings[i].flags & SETTING_SECRET ? "********" : c->text[i];
        if (strlen(settings[i].name) > name_width) name_width = strlen(settings[i].name);
        if (strlen(shown[i]) > value_width && strlen(shown[i]) <= 40) value_width = strlen(shown[i]);
    }
    buf_printf(out, "# configuration file: %s\n", c->file != NULL ? c->file : "none");
    for (size_t i = 0; i < n_settings; i++)
        buf_printf(out, "%-*s  %-*s  %s\n", (int)name_width, settings[i].name, (int)value_width, shown[i], c->origin[i]);
}

static void upper(struct buf *out, const char *name)
{
    for (; *name != '\0'; name++) buf_char(out, (char)toupper((unsigned char)*name));
}

void config_markdown(struct buf *out)
{
    const char *group = "";
    for (size_t i = 0; i < n_settings; i++) {
        const struct setting *s = &settings[i];
        if (strcmp(group, s->group) != 0) {
            buf_printf(out, "%s| %s | default | |\n| --- | --- | --- |\n", i == 0 ? "" : "\n", s->group);
            group = s->group;
        }
        buf_str(out, "| `MEROS_");
        upper(out, s->name);
        buf_printf(out, "` | %s%s%s | %s", s->dflt[0] ? "`" : "", s->dflt[0] ? s->dflt : "none", s->dflt[0] ? "`" : "", s->help);
        for (size_t w = 0; s->kind == SETTING_ENUM && s->words[w] != NULL; w++)
            buf_printf(out, "%s`%s`", w == 0 ? " One of " : ", ", s->words[w]);
        buf_printf(out, "%s%s |\n", s->kind == SETTING_ENUM ? "." : "", s->flags & SETTING_RELOAD ? " *Reloads.*" : "");
    }
}

/* Text in lines of at most `width`, each after `indent` blanks, the first one where the cursor is. */
static void wrapped(struct buf *out, const char *text, int indent, size_t width)
{
    size_t column = 0;
    while (*text != '\0') {
        size_t n = strcspn(text, " ");
        if (column > 0 && column + 1 + n > width) {
            buf_printf(out, "\n%*s", indent, "");
            column = 0;
        } else if (column > 0) {
            buf_char(out, ' ');
            column++;
        }
        buf_append(out, text, n);
        column += n;
        text += n + strspn(text + n, " ");
    }
    buf_char(out, '\n');
}

void config_help(struct buf *out)
{
    const char *group = "";
    for (size_t i = 0; i < n_settings; i++) {
        const struct setting *s = &settings[i];
        char flag[64], help[512];
        size_t n = (size_t)snprintf(flag, sizeof flag, "--%s", s->name);
        for (size_t k = 0; k < n; k++)
            if (flag[k] == '_') flag[k] = '-';
        if (strcmp(group, s->group) != 0) buf_printf(out, "\n%s:\n", s->group);
        group = s->group;
        snprintf(help, sizeof help, "%s%s%s%s", s->help, s->dflt[0] ? " [" : "", s->dflt, s->dflt[0] ? "]" : "");
        buf_printf(out, "  %-26s ", flag);
        wrapped(out, help, 29, 80);
    }
}
