select name, definition, created_at, changed_at from recommendation_rules where false;
select experiment_no, name, first_arm, second_arm, share_of_second, interleave, started_at, ended_at
from recommendation_experiments where false;
select 1 / (count(*) = 2)::int from pg_indexes where indexname in ('recommendation_experiments_running', 'events_recommendations');
select 1 / (count(*) = 2)::int from pg_trigger where tgname in ('recommendation_rules_notify', 'recommendation_experiments_notify');
