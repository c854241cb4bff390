-- Fails unless migration 0002 took effect.
do $$
declare
    what text;
begin
    foreach what in array array['api_keys', 'jobs', 'idempotency', 'jobs_open', 'jobs_kind', 'jobs_finished', 'idempotency_created'] loop
        if to_regclass(what) is null then
            raise exception '% is missing', what;
        end if;
    end loop;
    if (select count(*) from pg_trigger where tgname in ('api_keys_notify', 'jobs_notify_new', 'jobs_notify_change')) <> 3 then
        raise exception 'a trigger of keys or jobs is missing';
    end if;
    begin
        insert into jobs (job_id, kind, params, state) values ('job_verify', 'verify', '{}', 'sleeping');
        raise exception 'a job may have a state that does not exist';
    exception when check_violation then
        null;
    end;
    begin
        insert into api_keys (key_id, name, hash, scopes) values ('key_verify', 'verify', 'short', 1);
        raise exception 'a key may have a hash of the wrong length';
    exception when check_violation then
        null;
    end;
end $$;
