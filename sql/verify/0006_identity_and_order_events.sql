select anonymous from customer_ids where false;
select from_events from order_lines where false;
select 1 / (select count(*) from pg_indexes where indexname = 'events_orders')::int;
