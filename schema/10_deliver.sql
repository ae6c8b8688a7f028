-- deliver

-- What a device needs to know when its socket opens: its groups, the joins that it may complete, its own joins.
create or replace function coterie.deliver_open_v1(p_claims jsonb) returns json
language plpgsql set search_path = '' as $$
declare
  v_me uuid;
begin
  perform set_config('coterie.claims', p_claims::text, true), set_config('role', 'coterie_member', true);
  v_me := coterie.enter_device();
  return json_build_object(
    'device_id', v_me,
    'stock', coterie.key_package_stock(v_me),
    'invited', exists (select from coterie.invitations(array[v_me], null)),
    'groups', (
      select coalesce(json_agg(json_build_object(
        'group_id', m.group_id, 'from_seq', m.from_seq, 'until_seq', m.until_seq)), '[]')
      from coterie.group_members m
      where m.device_id = v_me and (m.joined_at is not null or m.until_seq is not null)), -- out before it was in: that too
    'pending', coterie.pending(),
    'joins', (
      select coalesce(json_agg(coterie.poll_json(j) order by j.created_at), '[]')
      from coterie.joins j where j.device_id = v_me and j.status = 'welcomed'));
end $$;

-- Which of the sockets (parallel arrays: device, session) are still open to their devices.
create or replace function coterie.live_sockets(p_devices uuid[], p_sessions text[])
returns table (device_id uuid, session_id text, alive boolean) language sql stable set search_path = '' as $$
  select s.device_id, s.session_id,
    d.revoked_at is null and b.device_id is not null and not exists (
      select from coterie.auth_sessions a where a.session_id = s.session_id and a.ended_at is not null)
  from unnest(p_devices, p_sessions) s (device_id, session_id)
  join coterie.devices d on d.device_id = s.device_id
  left join coterie.device_sessions b on b.session_id = s.session_id and b.device_id = s.device_id
$$;

-- New messages of a group, and which of the sockets may have them: one statement, so one snapshot.
create or replace function coterie.fan_out_v1(p_group uuid, p_after bigint, p_devices uuid[], p_sessions text[])
returns table (last_seq bigint, members json, seqs bigint[], envelopes text[])
language plpgsql set search_path = '' as $$
begin
  perform set_config('role', 'coterie_system', true);
  return query
    select
      (select s.last_seq from coterie.group_seq s where s.group_id = p_group),
      (select coalesce(json_agg(json_build_array(
          l.device_id, l.session_id, l.alive, m.from_seq, m.until_seq)), '[]')
       from coterie.live_sockets(p_devices, p_sessions) l
       left join coterie.group_members m
         on m.group_id = p_group and m.device_id = l.device_id and m.joined_at is not null),
      coalesce(array_agg(p.seq order by p.seq), '{}'),
      coalesce(array_agg(coterie.envelope(p)::text order by p.seq), '{}')
    from coterie.page(p_group, p_after, 9007199254740991, 500) p;
end $$;

-- After a change of a group's roster, joins or Welcomes: what the sockets of these devices should hear of it. p_told:
-- what they heard before, as `news` named it, is not read again.
create or replace function coterie.changes_v1(
  p_group uuid, p_devices uuid[], p_sessions text[], p_told text[] default '{}')
returns json language plpgsql set search_path = '' as $$
begin
  perform set_config('role', 'coterie_system', true);
  return (
    with live as (select * from coterie.live_sockets(p_devices, p_sessions)),
    mine as (
      select l.device_id, l.session_id, l.alive, m.from_seq, m.until_seq, m.joined_at
      from live l join coterie.group_members m on m.group_id = p_group and m.device_id = l.device_id),
    waiting as (
      select j, j.join_id || ' ' || coterie.join_status(j) as news from coterie.joins j
      where j.group_id = p_group and j.status in ('waiting', 'approval', 'claimed')
        and coterie.join_status(j) <> 'expired' and exists (select from mine where alive and until_seq is null)),
    over as (
      select l.device_id, l.session_id, j, j.join_id || ' ' || coterie.join_status(j) as news
      from live l join coterie.joins j on j.device_id = l.device_id
      where l.alive and j.group_id = p_group and j.status in ('welcomed', 'refused', 'expired'))
    select json_build_object(
      'members', (select coalesce(json_agg(json_build_array(
        device_id, session_id, alive, from_seq, until_seq, joined_at is not null)), '[]') from mine),
      'pending', (
        select coalesce(json_agg(coterie.join_json(w.j) order by (w.j).created_at, (w.j).join_id), '[]')
        from waiting w where not w.news = any (p_told)),
      'joins', (
        select coalesce(json_agg(json_build_array(o.device_id, o.session_id, coterie.poll_json(o.j))
          order by (o.j).created_at), '[]')
        from over o where not o.news = any (p_told)),
      'news', (select coalesce(json_agg(distinct n.news), '[]')
        from (select news from waiting union all select news from over) n),
      'invited', (
        select coalesce(json_agg(json_build_array(l.device_id, l.session_id)), '[]') from live l
        where l.alive and l.device_id in (select i.device_id from coterie.invitations(p_devices, p_group) i))));
end $$;
