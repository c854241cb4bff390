-- A visitor: a customer of whom only anonymous ids are known. Being named, by an event beside an anonymous id or by PUT,
-- makes the visitor that customer, or joins the visitor to the customer who has the name already.
alter table customers add column anonymous boolean not null default false;
create index customers_anonymous on customers (customer_no) where anonymous;

-- Lines that follow from what events say of an order; they are made anew from all of its events when one more comes.
alter table order_lines add column from_events boolean not null default false;
create index events_orders on events (customer_no, (properties ->> 'order_id'))
    where type in ('order_completed', 'order_updated', 'order_refunded', 'order_cancelled');
