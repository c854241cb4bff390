-- What campaigns brought about. The identity of an outcome is its outcome_id, or its content where it has none.
create table outcomes (
    customer_no bigint not null,
    outcome_key uuid not null,
    campaign    text collate "C" not null,
    variant     text collate "C",
    type        smallint not null, -- enum outcome_type of domain/rows.h
    occurred_at timestamptz not null,
    value       numeric,
    outcome_id  text collate "C",
    primary key (customer_no, outcome_key)
);
create index outcomes_campaign on outcomes (campaign, customer_no);

-- Counts how often customers went away: erased, or joined to another. Whoever remembers numbers of customers looks here
-- first (src/store/ingest.c). A sequence, so that counting waits for nobody.
create sequence customers_gone as bigint;
create function meros_count_gone() returns trigger language plpgsql as $$
begin
    perform nextval('customers_gone');
    return null;
end $$;
create trigger customers_gone after delete on customers for each statement execute function meros_count_gone();
