select anonymous from customers where false;
select from_events from order_lines where false;
select 1 / (select count(*) from pg_indexes where indexname = 'events_orders')::int;
select 1 / (select count(*) from pg_indexes where indexname = 'customers_anonymous')::int;
