select customer_no, segmentation_no, model_no, segment_id, at from pending_moves where false;
select 1 / (select count(*) from pg_indexes where indexname = 'pending_moves_segment')::int;
