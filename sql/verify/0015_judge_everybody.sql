select bulk, customers, customer_nos from changed_customers where false;
