-- Customers, products, orders, events, and what is known about each customer in numbers.
--
-- Clients' ids are text and live in identity tables of their own; everything that is joined or exported to training
-- uses bigint keys. Per-customer tables begin their primary key with customer_no, so they can be distributed by it.
-- There are no foreign keys: imports write many millions of rows, keep the references by construction and hold an
-- advisory lock against erasure (src/store/imports.c).

-- Facts about this database that the program must agree with, such as the half-life of decayed activity.
create table meros_settings (
    name  text primary key,
    value text not null
);

create sequence customer_nos as bigint;
create sequence product_nos as bigint;
create sequence order_nos as bigint cache 64; -- drawn by the thousand in imports; gaps do no harm

-- Every name a customer is known by (several after a merge) -> the customer.
create table customer_ids (
    customer_id text collate "C" primary key,
    customer_no bigint not null
);
create index customer_ids_no on customer_ids (customer_no);

create table customers (
    customer_no bigint primary key,
    customer_id text collate "C" not null,  -- the name answers use
    created_at  timestamptz,                -- as the client says; null: unknown
    attributes  jsonb not null default '{}',
    consent     jsonb not null default '{}',
    email       bytea,                      -- sealed; the hashes are keyed and serve look-up and comparison
    name        bytea,
    phone       bytea,
    email_hash  bytea,
    name_hash   bytea,
    phone_hash  bytea,
    recorded_at timestamptz not null default now(),
    changed_at  timestamptz not null default now()
);
create index customers_email_hash on customers (email_hash) where email_hash is not null;

create table products (
    product_no  bigint primary key,
    product_id  text collate "C" not null unique,
    name        text,
    category    text,             -- a path: 'Home/Kitchen'
    price       numeric,
    description text,
    available   boolean not null default true,
    attributes  jsonb not null default '{}',
    deleted     boolean not null default false, -- out of the catalogue; past orders still refer to it
    recorded_at timestamptz not null default now(),
    changed_at  timestamptz not null default now()
);

-- Which order an id means, and whose it is now.
create table order_ids (
    order_id    text collate "C" primary key,
    order_no    bigint not null,
    customer_no bigint not null
);

-- One row an order: sums of its lines, kept with them.
create table orders (
    customer_no     bigint not null,
    order_no        bigint not null,
    order_id        text collate "C" not null,
    ordered_at      timestamptz not null, -- of the earliest line
    purchase        boolean not null,     -- a line of positive quantity, or a positive total where no line has a quantity
    lines           bigint not null,      -- of positive quantity
    units           numeric not null,     -- sum of positive quantities
    revenue         numeric not null,     -- net: sum of all amounts
    gross_revenue   numeric not null,     -- sum of positive amounts
    returned_amount numeric not null,     -- -(sum of negative amounts)
    primary key (customer_no, order_no)
);

create table order_lines (
    customer_no bigint not null,
    order_no    bigint not null,
    line_key    bigint not null,   -- position among the order's lines in its file; below zero: a hash of line_id
    product_no  bigint,            -- null: an amount for the whole order
    ordered_at  timestamptz not null,
    quantity    numeric,           -- below zero: a return
    unit_price  numeric,
    amount      numeric not null,  -- as given, else quantity * unit_price, else 0
    line_id     text collate "C",
    primary key (customer_no, order_no, line_key)
);

create table events (
    customer_no bigint not null,
    event_key   uuid not null,     -- hash of event_id, or of the content where it has none
    kind        smallint not null, -- enum event_kind of domain/stats.h: an index by which counts are kept
    type        text collate "C" not null,
    occurred_at timestamptz not null,
    product_no  bigint,
    value       numeric,
    quantity    numeric,
    properties  jsonb,
    event_id    text collate "C",
    primary key (customer_no, event_key)
);
create index events_time on events (customer_no, occurred_at);

-- The order side of struct customer_stats, kept in the transaction that changes orders. No row: no order.
create table customer_stats (
    customer_no      bigint primary key,
    orders           bigint not null,
    returns          bigint not null,
    lines            bigint not null,
    products         bigint not null,
    units            numeric not null,
    revenue          numeric not null,
    gross_revenue    numeric not null,
    returned_amount  numeric not null,
    first_order_at   timestamptz,          -- purchases only
    last_order_at    timestamptz,
    first_any_at     timestamptz not null, -- purchases and returns
    last_any_at      timestamptz not null
) with (fillfactor = 80);

-- The event side, a row a kind that occurred.
create table customer_event_stats (
    customer_no bigint not null,
    kind        smallint not null,
    count       bigint not null,
    decayed     float8 not null,     -- sum of 2^-((decayed_at - occurred_at) / half-life)
    decayed_at  timestamptz not null, -- the newest event's time
    first_at    timestamptz not null,
    primary key (customer_no, kind)
) with (fillfactor = 80);
