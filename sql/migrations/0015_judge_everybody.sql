-- Whose statistics changed is noted since 0007; of a database that was in use before that, nobody knows who changed after the
-- last training, and memberships say what was then. So everybody is due once, when nothing else waits: whoever is where they
-- were is left as they are.
insert into changed_customers (bulk, customers, customer_nos)
select true, count(*), array_agg(customer_no)
from (select customer_no, (row_number() over (order by customer_no) - 1) / 2000 as part from customers) c
where exists (select from models where active and kind = 'segments') and not exists (select from changed_customers where bulk)
group by part order by part;
