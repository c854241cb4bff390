select change_no, customer_nos, changed_at from changed_customers where false;
select change_no, customer_no, segmentation_no, segment_id, entered, at, model_no from segment_changes where false;
select 1 / (select count(*) from pg_indexes where indexname = 'segment_changes_segmentation')::int;
