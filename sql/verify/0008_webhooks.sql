-- Fails unless migration 0008 took effect.
select webhook_no, name, url, events, segmentation, segment_id, secret, old_secret, old_until, enabled, disabled_reason, disabled_at,
       created_at, changed_at, failures, failing_since, rest_until, last_success_at, last_failure_at, last_error, delivered, dropped
from webhooks where false;
select delivery_no, webhook_no, message_id, type, change_no, subject, attempts, claimed, due_at, created_at, last_error
from webhook_outbox where false;
do $$ begin
    if (select count(*) from pg_trigger where tgname in ('jobs_finished', 'models_activated')) <> 2 then
        raise exception 'a trigger is missing';
    end if;
end $$;
