-- An order of which nothing is known but that its value was nought is a purchase; it counted as a return.
with given as (
    update orders o set purchase = true
    where not o.purchase and o.revenue = 0 and o.returned_amount = 0
      and not exists (select from order_lines l
                      where l.customer_no = o.customer_no and l.order_no = o.order_no and l.quantity is not null)
    returning o.customer_no, o.ordered_at),
found as (
    select customer_no, count(*) as n, min(ordered_at) as first_at, max(ordered_at) as last_at from given group by customer_no)
update customer_stats s
set orders = s.orders + f.n, returns = s.returns - f.n, first_order_at = least(s.first_order_at, f.first_at),
    last_order_at = greatest(s.last_order_at, f.last_at)
from found f where s.customer_no = f.customer_no;

-- What each customer bought on which day (UTC) and what it came to, returns subtracted: kept by what each order adds or
-- takes away. An order counts on the day it was made, with all that came back of it.
create table customer_days (
    customer_no bigint not null,
    day         date not null,
    purchases   bigint not null, -- orders in which something was bought
    returns     bigint not null, -- orders in which things only came back
    net         numeric not null,
    primary key (customer_no, day)
);
insert into customer_days (customer_no, day, purchases, returns, net)
select customer_no, (ordered_at at time zone 'UTC')::date, count(*) filter (where purchase), count(*) filter (where not purchase),
       sum(revenue)
from orders group by 1, 2 order by 1, 2;
