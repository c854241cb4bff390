-- Replicas keep products, and what customers had to do with them, in memory, and hear by NOTIFY what others changed.

-- Which process noted the change; it knows already. '-': nothing changed, they are only to be judged anew.
alter table changed_customers add column origin text default current_setting('meros.origin', true);

-- What changed lately is looked for by its time.
create index products_changed on products (changed_at);

-- Once a statement. Products that are only mentioned (by the batches of the ingest path, which must not wait for each other in
-- NOTIFY's lock, and by imports of orders) are found by looking now and then.
create function meros_products_inserted() returns trigger language plpgsql as $$
begin
    if exists (select from made where name is not null or category is not null or price is not null or description is not null
               or not available or attributes <> '{}') then
        perform pg_notify('meros_products', '');
    end if;
    return null;
end $$;
create trigger products_inserted after insert on products referencing new table as made
    for each statement execute function meros_products_inserted();

create function meros_products_updated() returns trigger language plpgsql as $$
begin
    if exists (select from made) then
        perform pg_notify('meros_products', '');
    end if;
    return null;
end $$;
create trigger products_updated after update on products referencing new table as made
    for each statement execute function meros_products_updated();
