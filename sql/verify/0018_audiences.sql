select name, description, rule, created_at, changed_at from audiences where false;
select 1 / (count(*) = 1)::int from pg_trigger where tgname = 'audiences_notify';
