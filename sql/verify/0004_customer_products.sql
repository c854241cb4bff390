select customer_no, product_no, lines from customer_products where false;
