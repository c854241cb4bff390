select customer_no, day, purchases, returns, net from customer_days where false;
