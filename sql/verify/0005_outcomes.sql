select customer_no, outcome_key, campaign, variant, type, occurred_at, value, outcome_id from outcomes where false;
select last_value from customers_gone;
select 1 / count(*) from pg_trigger where tgname = 'customers_gone' and not tgisinternal;
