select change_no, bulk, customers, customer_nos, changed_at from changed_customers where false;
select customer_no from judged_meanwhile where false;
select change_no, customer_no, segmentation_no, segment_id, entered, news, at, model_no from segment_changes where false;
select model_no, segment_id, segmentation_no, label, model_id, version from change_names where false;
select 1 / (select count(*) from pg_indexes where indexname = 'segment_changes_news')::int;
