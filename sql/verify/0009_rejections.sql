-- Fails unless migration 0009 took effect.
select rejection_no, source, reason, place, type, message_id, request_id, received_at from rejections where false;
do $$
declare
    what text;
begin
    foreach what in array array['rejections_received', 'rejections_source'] loop
        if to_regclass(what) is null then
            raise exception '% is missing', what;
        end if;
    end loop;
end $$;
