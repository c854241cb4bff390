-- API keys. The key itself is never stored: its SHA-256 is, and a short public id that lists and logs may show.
create table api_keys (
    key_no bigint generated always as identity primary key,
    key_id text not null unique,
    name text not null,
    hash bytea not null unique check (octet_length(hash) = 32),
    scopes integer not null check (scopes > 0),
    created_at timestamptz not null default now(),
    last_used_at timestamptz,
    revoked_at timestamptz
);

-- The queue of long work. lease_token counts the starts of a job and fences its writes: whoever holds an older token has
-- lost the job. params, result and error are json, not jsonb, so that they are given back as they were written.
create table jobs (
    job_no bigint generated always as identity primary key,
    job_id text not null unique,
    kind text not null,
    params json not null,
    state text not null default 'queued' check (state in ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    progress double precision not null default 0 check (progress >= 0 and progress <= 1),
    stage text not null default '',
    eta_seconds double precision,
    attempts integer not null default 0,
    max_attempts integer not null default 3,
    lease_token bigint not null default 0,
    lease_until timestamptz,
    worker text,
    run_after timestamptz not null default now(),
    cancel_requested boolean not null default false,
    created_by text not null default '',
    once text unique,
    created_at timestamptz not null default now(),
    started_at timestamptz,
    finished_at timestamptz,
    result json,
    error json
);
-- The queue proper is small however long the history grows. Nothing that a heartbeat changes is indexed, so heartbeats
-- stay on their page (HOT).
create index jobs_open on jobs (job_no) where state in ('queued', 'running');
create index jobs_kind on jobs (kind, job_no);
create index jobs_finished on jobs (finished_at) where finished_at is not null;

-- The first answer to each Idempotency-Key. ref is a digest of (API key, route, Idempotency-Key); answer is sealed.
create table idempotency (
    ref text primary key,
    token bigint generated always as identity unique,
    locked_until timestamptz,
    fingerprint bytea,
    status integer,
    answer bytea,
    created_at timestamptz not null default now()
);
create index idempotency_created on idempotency (created_at);

-- Whoever changes a key or a job's state, every replica hears of it.
create function meros_notify_keys() returns trigger language plpgsql as $$
begin
    perform pg_notify('meros_keys', new.key_id);
    return null;
end $$;
create trigger api_keys_notify after insert or update of scopes, revoked_at, hash on api_keys
    for each row execute function meros_notify_keys();

create function meros_notify_jobs() returns trigger language plpgsql as $$
begin
    perform pg_notify('meros_jobs', new.job_id);
    return null;
end $$;
create trigger jobs_notify_new after insert on jobs
    for each row execute function meros_notify_jobs();
create trigger jobs_notify_change after update of state, cancel_requested on jobs
    for each row when (old.state is distinct from new.state or old.cancel_requested is distinct from new.cancel_requested)
    execute function meros_notify_jobs();
