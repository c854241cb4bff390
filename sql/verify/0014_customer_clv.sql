select customer_no, worth, p_alive, expected_orders, expected_order_value, population, evaluated_at, model_no
from customer_clv where false;
