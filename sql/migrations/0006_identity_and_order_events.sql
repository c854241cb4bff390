-- Ids that nobody has claimed yet: a visitor's. A customer all of whose ids are anonymous joins the one who is named.
alter table customer_ids add column anonymous boolean not null default false;

-- Lines that follow from what events say of an order; they are made anew from all of its events when one more comes.
alter table order_lines add column from_events boolean not null default false;
create index events_orders on events (customer_no, (properties ->> 'order_id'))
    where type in ('order_completed', 'order_updated', 'order_refunded', 'order_cancelled');
