select segmentation_no, name, next_segment, created_at from segmentations where false;
select model_no, model_id, kind, name, version, algorithm, params, features, metrics, seed, as_of, evaluated_at, trained_at,
       data_from, data_to, rows, row_hash, build, artifact, checksum, job_id, active, activated_at from models where false;
select model_no, position, segment_id, label, description, size, share, revenue_share, profile from segments where false;
select customer_no, segmentation_no, segment_id, since from memberships where false;
select 1 / (select count(*) from pg_indexes where indexname = 'models_active')::int;
select 1 / (select count(*) from pg_indexes where indexname = 'memberships_segment')::int;
