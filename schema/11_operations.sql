-- Operations: figures for who keeps the service running. Sizes and counts, nothing of anybody.

-- Row counts are estimates of the last (auto)vacuum or analyze; reading them costs nothing.
create or replace function coterie.status_v1() returns json
language plpgsql set search_path = '' as $$
begin
  perform set_config('role', 'coterie_system', true);
  return json_build_object(
    'notify_queue', pg_notification_queue_usage(),
    'tables', (
      select json_object_agg(relname, json_build_object(
        'rows', greatest(reltuples, 0)::bigint, 'bytes', pg_total_relation_size(oid)))
      from pg_catalog.pg_class where relnamespace = 'coterie'::regnamespace and relkind in ('r', 'p')));
end $$;
