-- What everybody was last predicted to be worth, by the active model, over the usual horizon: for lists and summaries. One
-- customer's own answer is computed when it is asked for and does not come from here. Written with the model by training,
-- activation and refresh, and by whoever judges customers that changed. worth: the discounted value, or the expected orders
-- where nothing is known of values.
create table customer_clv (
    customer_no          bigint primary key,
    worth                float8 not null,
    p_alive              float8 not null,
    expected_orders      float8 not null,
    expected_order_value float8,
    population           boolean not null,     -- nothing of the customer's own went into it
    evaluated_at         timestamptz not null,
    model_no             bigint not null
) with (fillfactor = 80);
create index customer_clv_worth on customer_clv (worth, customer_no);
