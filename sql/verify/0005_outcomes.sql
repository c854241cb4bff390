select customer_no, outcome_key, campaign, variant, type, occurred_at, value, outcome_id from outcomes where false;
