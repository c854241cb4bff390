-- Which products a customer has bought: the number of them is kept by what each order adds or takes away.
create table customer_products (
    customer_no bigint not null,
    product_no  bigint not null,
    lines       bigint not null, -- order lines of positive quantity
    primary key (customer_no, product_no)
);
insert into customer_products (customer_no, product_no, lines)
select customer_no, product_no, count(*) from order_lines where product_no is not null and quantity > 0 group by 1, 2;
