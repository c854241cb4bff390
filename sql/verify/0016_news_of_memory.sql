select origin from changed_customers where false;
select 1 / (select count(*) from pg_indexes where indexname = 'products_changed' and schemaname = current_schema())::int;
select 1 / (select count(*) - 1 from pg_trigger where tgname in ('products_inserted', 'products_updated'))::int;
