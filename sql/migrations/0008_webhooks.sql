-- Who is told of what. Secrets are sealed.
create table webhooks (
    webhook_no      bigint generated always as identity primary key,
    name            text collate "C" not null unique,
    url             text not null,
    events          text[] not null,
    segmentation    text collate "C",   -- of whose segments it is told; null: of all
    segment_id      text collate "C",
    secret          bytea not null,
    old_secret      bytea,              -- signs beside the new one until
    old_until       timestamptz,
    enabled         boolean not null default true,
    disabled_reason text,               -- null: an admin did it
    disabled_at     timestamptz,
    created_at      timestamptz not null default now(),
    changed_at      timestamptz not null default now(),
    -- How it goes. Deliveries rest until rest_until when several in a row have failed.
    failures        bigint not null default 0,
    failing_since   timestamptz,
    rest_until      timestamptz,
    last_success_at timestamptz,
    last_failure_at timestamptz,
    last_error      text,
    delivered       bigint not null default 0,
    dropped         bigint not null default 0
);

-- What is still to be told, one row a message and webhook, written in the transaction that makes the news. It says what
-- the message is about; the message itself is made when it is sent, so no personal data lie here, and news of somebody who
-- was erased meanwhile, or that no longer are, go nowhere.
create table webhook_outbox (
    delivery_no bigint generated always as identity,
    webhook_no  bigint not null,
    message_id  uuid not null default gen_random_uuid(),
    type        text not null,
    change_no   bigint,                 -- of segment_changes
    subject     text collate "C",       -- id of a job or a model
    attempts    bigint not null default 0,
    claimed     boolean not null default false, -- by a process that is sending it, until due_at
    due_at      timestamptz not null default now(),
    created_at  timestamptz not null default now(),
    last_error  text,
    primary key (webhook_no, delivery_no)
);
create index webhook_outbox_due on webhook_outbox (webhook_no, due_at, delivery_no);

-- However a job ends and a model comes to be active, who wants to know is told.
create function meros_webhook_tell(type_ text, subject_ text) returns void language plpgsql as $$
begin
    insert into webhook_outbox (webhook_no, type, subject)
    select webhook_no, type_, subject_ from webhooks where enabled and type_ = any(events);
    if found then
        perform pg_notify('meros_webhooks', '');
    end if;
end $$;
create function meros_job_finished() returns trigger language plpgsql as $$
begin
    perform meros_webhook_tell('job.finished', new.job_id);
    return null;
end $$;
create trigger jobs_finished after update of state on jobs for each row
    when (old.state in ('queued', 'running') and new.state in ('succeeded', 'failed', 'cancelled'))
    execute function meros_job_finished();
create function meros_model_activated() returns trigger language plpgsql as $$
begin
    perform meros_webhook_tell('model.activated', new.model_id);
    return null;
end $$;
create trigger models_activated after update of active on models for each row
    when (new.active and not old.active) execute function meros_model_activated();
