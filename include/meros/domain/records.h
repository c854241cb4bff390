/* Customers, products, orders and events as they are kept and shown. Strings are views whose life the giver states. */
#ifndef MEROS_DOMAIN_RECORDS_H
#define MEROS_DOMAIN_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/clock.h"
#include "meros/base/str.h"
#include "meros/domain/decimal.h"

struct customer_record {
    int64_t customer_no;
    struct str customer_id;
    int64_t created_at;              /* as the client said; TIME_NONE: unknown */
    struct str attributes, consent;  /* JSON objects as text */
    struct str email, name, phone;   /* personal; STR_NONE: none */
};

/* A change of a customer. PUT replaces all (what is not given is cleared); PATCH changes what is given. */
enum { CHANGE_CREATED_AT = 1, CHANGE_EMAIL = 2, CHANGE_NAME = 4, CHANGE_PHONE = 8, CHANGE_ATTRIBUTES = 16, CHANGE_CONSENT = 32 };
struct customer_change {
    bool replace;
    unsigned given; /* PATCH: which fields below are meant, also those to be cleared */
    int64_t created_at;
    struct str email, name, phone;
    struct str attributes; /* PATCH: members join the old ones, null removes one */
    struct str consent;    /* likewise */
};

struct product_record {
    int64_t product_no;
    struct str product_id, name, category, description;
    struct decimal price; /* of a change */
    double price_shown;   /* of an answer; NaN: none */
    bool available;
    struct str attributes;
};

struct order_line_record {
    struct str product_id, line_id;
    int64_t ordered_at;
    double quantity, unit_price, amount; /* NaN: none */
};
struct order_record {
    int64_t order_no;
    struct str order_id;
    int64_t ordered_at;
    bool purchase;
    double units, revenue;
    const struct order_line_record *lines;
    size_t n_lines;
};

struct event_record {
    struct str event_id, type, product_id, properties, key; /* key: hexadecimal, the event's place among those of its moment */
    int64_t occurred_at;
    double value, quantity; /* NaN: none */
};

/* An item that was not taken. STR_NONE: not known, but for source, reason and place. */
struct rejection_record {
    int64_t rejection_no, received_at;
    struct str source, reason, place, type, message_id, request_id;
};

/* What an erasure removed. */
struct erasure {
    int64_t customer_no;
    int64_t events, orders, order_lines, memberships, names;
};

#endif
