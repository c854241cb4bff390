-- Fails unless 0001 took effect: each statement touches what the migration made.
select name, value from meros_settings limit 0;
select customer_id, customer_no from customer_ids limit 0;
select customer_no, customer_id, created_at, attributes, consent, email, name, phone, email_hash, name_hash, phone_hash,
       recorded_at, changed_at from customers limit 0;
select product_no, product_id, name, category, price, description, available, attributes, deleted, recorded_at, changed_at
  from products limit 0;
select order_id, order_no, customer_no from order_ids limit 0;
select customer_no, order_no, order_id, ordered_at, purchase, lines, units, revenue, gross_revenue, returned_amount
  from orders limit 0;
select customer_no, order_no, line_key, product_no, ordered_at, quantity, unit_price, amount, line_id from order_lines limit 0;
select customer_no, event_key, kind, type, occurred_at, product_no, value, quantity, properties, event_id from events limit 0;
select customer_no, orders, returns, lines, products, units, revenue, gross_revenue, returned_amount, first_order_at,
       last_order_at, first_any_at, last_any_at from customer_stats limit 0;
select customer_no, kind, count, decayed, decayed_at, first_at from customer_event_stats limit 0;
select 1 / (case when to_regclass('customer_nos') is null or to_regclass('product_nos') is null
                   or to_regclass('order_nos') is null or to_regclass('customer_ids_no') is null
                   or to_regclass('customers_email_hash') is null or to_regclass('events_time') is null
            then 0 else 1 end);
