-- A visitor: a customer of whom only anonymous ids are known. Being named, by an event beside an anonymous id or by PUT,
-- makes the visitor that customer, or joins the visitor to the customer who has the name already.
alter table customers add column anonymous boolean not null default false;
create index customers_anonymous on customers (customer_no) where anonymous;

-- Lines that follow from what events say of an order; they are made anew from all of its events when one more comes.
alter table order_lines add column from_events boolean not null default false;
-- No id of an order is longer; what somebody wrote in its place must not make an event too long for the index.
-- Not by customer first: an order's events may come from several customers, of whom one will have it.
create index events_orders on events (left(properties ->> 'order_id', 200))
    where type in ('order_completed', 'order_updated', 'order_refunded', 'order_cancelled');
