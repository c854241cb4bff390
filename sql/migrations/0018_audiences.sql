-- Audiences: which customers are meant, said by a rule. The rule is in its canonical form (service/audience_rule.h), checked when it
-- came; json, not jsonb, so that its members stay in their order. Nobody's membership is stored: it is evaluated when it is asked for.
create table audiences (
    name        text collate "C" primary key,
    description text,
    rule        json not null,
    created_at  timestamptz not null default now(),
    changed_at  timestamptz not null default now()
);

create function meros_notify_audiences() returns trigger language plpgsql as $$
begin
    perform pg_notify('meros_audiences', '');
    return null;
end $$;
create trigger audiences_notify after insert or update or delete on audiences
    for each statement execute function meros_notify_audiences();
