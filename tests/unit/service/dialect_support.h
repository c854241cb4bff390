/* A decoded body in words, one line an item or rejection, so that a test says what it expects as it would be said. */
#ifndef DIALECT_SUPPORT_H
#define DIALECT_SUPPORT_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include "meros/base/crypto.h"
#include "meros/service/dialect.h"

#define S(s) (int)(s).n, (s).n > 0 ? (s).p : ""

static struct arena dialect_memory;
static struct dialect decoded;
static char said[64 << 10];
static struct meros_err failure;

/* 2026-11-21T21:00:30Z: half a minute after the bodies in wire_bodies.h were made. */
static int64_t received(void)
{
    int64_t t = 0;
    cr_assert(time_parse(STR("2026-11-21T21:00:30Z"), &t));
    return t;
}

static void dialect_fresh(void)
{
    static bool started;
    struct meros_err err = MEROS_ERR_INIT;
    if (!started) {
        cr_assert_eq(crypto_start(&err), MEROS_OK);
        arena_init(&dialect_memory, 64 << 20);
    }
    started = true;
    arena_done(&dialect_memory);
    err_clear(&failure);
    dialect_init(&decoded, &dialect_memory, received());
}

static void say_number(char *out, size_t cap, const char *name, struct decimal n)
{
    char text[DECIMAL_TEXT];
    size_t at = strlen(out);
    if (n.present) decimal_text(n, text), snprintf(out + at, cap - at, " %s=%s", name, text);
}

static void say_text(char *out, size_t cap, const char *name, struct str s)
{
    size_t at = strlen(out);
    if (str_present(s)) snprintf(out + at, cap - at, " %s=%.*s", name, S(s));
}

static void say_item(char *out, size_t cap, const struct ingest_item *i)
{
    char when[TIME_TEXT] = "-";
    static const char *const kinds[] = {"event", "traits", "alias", "outcome"};
    snprintf(out, cap, "%s %.*s", kinds[i->kind], S(i->customer_id));
    if (i->anonymous) say_text(out, cap, "is", STR("anonymous"));
    say_text(out, cap, "anonymous", i->anonymous_id);
    if (i->kind == INGEST_ALIAS) say_text(out, cap, "previous", i->previous_id);
    if (i->kind == INGEST_EVENT) {
        const struct event_row *e = &i->event;
        say_text(out, cap, "type", e->type);
        say_text(out, cap, "id", e->event_id);
        if (e->occurred_at != TIME_NONE) time_format(e->occurred_at, when);
        say_text(out, cap, "at", str_of(when));
        say_text(out, cap, "product", e->product_id);
        say_number(out, cap, "value", e->value);
        say_number(out, cap, "quantity", e->quantity);
        say_text(out, cap, "properties", e->properties);
    }
    if (i->kind == INGEST_TRAITS) {
        const struct customer_change *c = &i->traits;
        static const struct {
            unsigned bit;
            const char *cleared;
        } bits[] = {{CHANGE_EMAIL, "no-email"}, {CHANGE_NAME, "no-name"}, {CHANGE_PHONE, "no-phone"}};
        const struct str values[] = {c->email, c->name, c->phone};
        static const char *const names[] = {"email", "name", "phone"};
        for (int k = 0; k < 3; k++)
            if (c->given & bits[k].bit) say_text(out, cap, str_present(values[k]) ? names[k] : bits[k].cleared, str_present(values[k]) ? values[k] : STR(""));
        if (c->created_at != TIME_NONE) time_format(c->created_at, when);
        if (c->given & CHANGE_CREATED_AT) say_text(out, cap, "created", str_of(when));
        if (c->given & CHANGE_ATTRIBUTES) say_text(out, cap, "attributes", c->attributes);
        if (c->given & CHANGE_CONSENT) say_text(out, cap, "consent", c->consent);
    }
}

/* All of it: items in order, then rejections. */
static const char *story(void)
{
    said[0] = '\0';
    for (size_t k = 0; k < decoded.n; k++) {
        size_t at = strlen(said);
        say_item(said + at, sizeof said - at - 2, &decoded.items[k]);
        strcat(said, "\n");
    }
    for (size_t k = 0; k < decoded.n_rejects; k++) {
        size_t at = strlen(said);
        snprintf(said + at, sizeof said - at, "rejected %zu %s %s\n", decoded.rejects[k].index, decoded.rejects[k].code, decoded.rejects[k].place);
    }
    return said;
}

#endif
