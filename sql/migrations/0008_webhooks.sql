-- Who is told what, and what is still to be told. Secrets and payloads are sealed.
create table webhooks (
    webhook_no      bigint generated always as identity primary key,
    name            text collate "C" not null unique,
    url             text not null,
    secret          bytea not null,
    events          text[] not null,
    enabled         boolean not null default true,
    disabled_reason text,
    failing_since   timestamptz,
    last_success_at timestamptz,
    last_error      text,
    created_at      timestamptz not null default now(),
    changed_at      timestamptz not null default now()
);
create table webhook_outbox (
    delivery_no bigint generated always as identity primary key,
    webhook_no  bigint not null,
    message_id  text not null,
    type        text not null,
    payload     bytea not null,
    customer_no bigint,           -- of whom it tells, for erasure
    attempts    integer not null default 0,
    next_at     timestamptz not null default now(),
    lease_until timestamptz,
    created_at  timestamptz not null default now()
);
create index webhook_outbox_due on webhook_outbox (webhook_no, next_at);
create index webhook_outbox_customer on webhook_outbox (customer_no) where customer_no is not null;
