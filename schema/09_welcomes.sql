-- Welcomes without a join: somebody who knew the device added it (docs/adr/0012-invitations.md)

-- Those that these devices have neither accepted nor declined (both drop the Welcome), each into its present membership;
-- in one group, or in all.
create or replace function coterie.invitations(p_devices uuid[], p_group uuid) returns setof coterie.welcomes
language sql stable set search_path = '' as $$
  select w.* from coterie.welcomes w
  join coterie.group_members m on m.group_id = w.group_id and m.device_id = w.device_id
  where w.device_id = any (p_devices) and (p_group is null or w.group_id = p_group)
    and m.until_seq is null and m.from_seq = w.seq + 1 and w.sender_device is not null
    and not exists (select from coterie.joins j where j.group_id = w.group_id and j.device_id = w.device_id
      and j.welcome_seq = w.seq and j.status = 'welcomed')
$$;

-- The first 1,000; their Welcomes as long as these are 8 MiB together, the first in any case.
create or replace function coterie.welcomes_list_v1(p_claims jsonb, p_group uuid) returns json
language plpgsql set search_path = '' as $$
declare
  v_me uuid;
begin
  perform set_config('coterie.claims', p_claims::text, true), set_config('role', 'coterie_member', true);
  v_me := coterie.enter_device();
  return (
    select json_build_object('welcomes', coalesce(json_agg(json_build_object('group_id', x.group_id, 'seq', x.seq,
        'welcome', case when x.before is null or x.before + length(x.welcome) <= 8388608 then encode(x.welcome, 'hex') end,
        'from_seq', x.seq + 1, 'sender_device', x.sender_device, 'sender_user', x.sender_user,
        'created_at', coterie.rfc3339(x.created_at)) order by x.created_at, x.group_id), '[]'))
    from (
      select i.*, sum(length(i.welcome)) over (
          order by i.created_at, i.group_id rows between unbounded preceding and 1 preceding) as before
      from coterie.invitations(array[v_me], p_group) i order by i.created_at, i.group_id limit 1000) x);
end $$;
