-- Groups

create or replace function coterie.group_create_v1(
  p_claims jsonb, p_group uuid, p_group_info bytea, p_message_id uuid, p_fault text)
returns json language plpgsql set search_path = '' as $$
declare
  v_me uuid;
  v_old coterie.groups;
  v_answer json := json_build_object('group_id', p_group, 'epoch', 0, 'seq', 0);
begin
  perform set_config('coterie.claims', p_claims::text, true), set_config('role', 'coterie_member', true);
  v_me := coterie.enter_device();
  perform pg_advisory_xact_lock(hashtextextended(p_group::text, 2)); -- two retries at once make one group
  select * into v_old from coterie.groups where group_id = p_group;
  if found then
    if (v_old.created_by, v_old.created_message_id, v_old.created_hash)
       is distinct from (v_me, p_message_id, sha256(p_group_info)) then
      perform coterie.fail(409, 'group_exists');
    end if;
    return v_answer;
  end if;
  if p_fault is not null then perform coterie.fail(422, p_fault); end if;
  insert into coterie.groups (group_id, created_by, created_message_id, created_hash, group_info)
  values (p_group, v_me, p_message_id, sha256(p_group_info), p_group_info); -- a group of others: group_exists
  insert into coterie.group_seq (group_id) values (p_group);
  insert into coterie.group_members (group_id, device_id, from_seq, joined_at) values (p_group, v_me, 1, now());
  perform coterie.announce(p_group, 0);
  return v_answer;
end $$;

create or replace function coterie.roster(p_group uuid) returns json
language sql stable set search_path = '' as $$
  select coalesce(json_agg(json_build_object(
      'device_id', d.device_id, 'user_id', d.user_id, 'name', d.name, 'kind', d.kind) order by m.created_at, d.device_id), '[]')
  from coterie.group_members m join coterie.devices d on d.device_id = m.device_id
  where m.group_id = p_group and m.until_seq is null
$$;

create or replace function coterie.groups_list_v1(p_claims jsonb) returns json
language plpgsql set search_path = '' as $$
declare
  v_me uuid;
begin
  perform set_config('coterie.claims', p_claims::text, true), set_config('role', 'coterie_member', true);
  v_me := coterie.enter_device();
  return (
    select json_build_object('groups', coalesce(json_agg(json_build_object(
        'group_id', m.group_id, 'epoch', case when m.until_seq is null then s.epoch end,
        'last_seq', coalesce(m.until_seq, s.last_seq),
        'from_seq', m.from_seq, 'until_seq', m.until_seq, 'acked_seq', m.acked_seq,
        'counter', case when m.counter_epoch = s.epoch then m.counter else 0 end,
        'joined', m.joined_at is not null,
        'roster', case when m.until_seq is null then coterie.roster(m.group_id) else '[]'::json end
      ) order by m.created_at, m.group_id), '[]'))
    from coterie.group_members m join coterie.group_seq s on s.group_id = m.group_id
    where m.device_id = v_me);
end $$;

create or replace function coterie.group_info_get_v1(p_claims jsonb, p_group uuid) returns json
language plpgsql set search_path = '' as $$
declare
  v_answer json;
begin
  perform set_config('coterie.claims', p_claims::text, true), set_config('role', 'coterie_member', true);
  perform coterie.enter_device();
  select json_build_object('epoch', s.epoch, 'group_info', encode(g.group_info, 'hex')) into v_answer
  from coterie.groups g join coterie.group_seq s on s.group_id = g.group_id where g.group_id = p_group;
  if not found then perform coterie.fail(403, 'not_a_member'); end if;
  return v_answer;
end $$;

create or replace function coterie.group_join_v1(p_claims jsonb, p_group uuid) returns json
language plpgsql set search_path = '' as $$
declare
  v_me uuid;
  v_from bigint;
begin
  perform set_config('coterie.claims', p_claims::text, true), set_config('role', 'coterie_member', true);
  v_me := coterie.enter_device();
  update coterie.group_members set joined_at = coalesce(joined_at, clock_timestamp())
  where group_id = p_group and device_id = v_me and until_seq is null returning from_seq into v_from;
  if not found then perform coterie.fail(403, 'not_a_member'); end if;
  delete from coterie.welcomes where group_id = p_group and device_id = v_me;
  update coterie.joins set status = case status when 'welcomed' then 'joined' else 'cancelled' end
  where group_id = p_group and device_id = v_me and status in ('waiting', 'approval', 'claimed', 'welcomed');
  perform coterie.announce(p_group, 0);
  return json_build_object('group_id', p_group, 'from_seq', v_from);
end $$;

create or replace function coterie.group_leave_v1(p_claims jsonb, p_group uuid) returns json
language plpgsql set search_path = '' as $$
declare
  v_me uuid;
  v_last bigint;
  v_until bigint;
begin
  perform set_config('coterie.claims', p_claims::text, true), set_config('role', 'coterie_member', true);
  v_me := coterie.enter_device();
  select last_seq into v_last from coterie.group_seq where group_id = p_group for update;
  select until_seq into v_until from coterie.group_members where group_id = p_group and device_id = v_me;
  if not found then perform coterie.fail(403, 'not_a_member'); end if;
  if v_until is null then
    v_until := v_last;
    delete from coterie.welcomes where group_id = p_group and device_id = v_me;
    update coterie.group_members set until_seq = v_until, left_at = now() where group_id = p_group and device_id = v_me;
    perform coterie.announce(p_group, 0);
  end if;
  return json_build_object('group_id', p_group, 'until_seq', v_until);
end $$;
