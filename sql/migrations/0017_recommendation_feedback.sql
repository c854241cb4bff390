-- What the shop decides about its shelves beside the model. The definition is as a client gave it, checked when it came.
create table recommendation_rules (
    name       text collate "C" primary key,
    definition jsonb not null,
    created_at timestamptz not null default now(),
    changed_at timestamptz not null default now()
);

-- Two strategies against each other, one experiment at a time. Ids of recommendations hold the number, so that what was shown
-- long ago is still told apart from an experiment of the same name.
create table recommendation_experiments (
    experiment_no   bigint generated always as identity primary key,
    name            text collate "C" not null,
    first_arm       text not null,
    second_arm      text not null,
    share_of_second float8 not null,
    interleave      boolean not null,
    started_at      timestamptz not null default now(),
    ended_at        timestamptz
);
create unique index recommendation_experiments_running on recommendation_experiments ((true)) where ended_at is null;

create function meros_notify_reco_rules() returns trigger language plpgsql as $$
begin
    perform pg_notify('meros_reco_rules', '');
    return null;
end $$;
create trigger recommendation_rules_notify after insert or update or delete on recommendation_rules
    for each statement execute function meros_notify_reco_rules();
create trigger recommendation_experiments_notify after insert or update or delete on recommendation_experiments
    for each statement execute function meros_notify_reco_rules();

-- What was shown and clicked (kinds 10 and 11: domain/stats.h), by time; other events are not in it.
create index events_recommendations on events (occurred_at) where kind in (10, 11);
