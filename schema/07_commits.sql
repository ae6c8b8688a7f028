-- Commits

-- Against livelock: commits that change no roster come rarely, and none while another device has asked for a pause.
create or replace function coterie.check_pace(
  p_me uuid, p_group uuid, p_empty boolean, p_group_gap interval, p_device_gap interval)
returns void language plpgsql set search_path = '' as $$
declare
  v_now timestamptz := clock_timestamp();
  v_wait interval := '0';
begin
  select greatest(
      case when g.paused_by <> p_me then g.paused_until - v_now end,
      case when p_empty then g.last_empty_commit_at + p_group_gap - v_now end,
      case when p_empty then m.last_empty_commit_at + p_device_gap - v_now end)
    into v_wait
  from coterie.groups g join coterie.group_members m on m.group_id = g.group_id
  where g.group_id = p_group and m.device_id = p_me;
  if v_wait > '0' then
    perform coterie.fail(429, 'too_soon', json_build_object('retry_after', round(extract(epoch from v_wait), 3)));
  end if;
  if p_empty then
    update coterie.groups set last_empty_commit_at = v_now where group_id = p_group;
    update coterie.group_members set last_empty_commit_at = v_now where group_id = p_group and device_id = p_me;
  end if;
end $$;

-- Marks joins as completed by the commit p_seq and counts a use of their invites. The caller holds the group.
create or replace function coterie.complete_joins(
  p_me uuid, p_group uuid, p_seq bigint, p_joins uuid[], p_tags bytea[], p_welcomed uuid[], p_invites bytea[])
returns void language plpgsql set search_path = '' as $$
declare
  v_now timestamptz := clock_timestamp();
  v_id uuid;
  v_join coterie.joins;
  v_used bytea[] := '{}';
begin
  perform from coterie.invites i -- invites first, as hold_invite's callers do, and always in one order
  where i.invite_id in (select j.invite_id from coterie.joins j where j.join_id = any (p_joins) and j.group_id = p_group)
  order by i.invite_id for update;
  for v_id in select unnest(p_joins) order by 1 loop
    select * into v_join from coterie.joins where join_id = v_id and group_id = p_group for update;
    if not found or v_join.status not in ('waiting', 'approval', 'claimed') then
      perform coterie.fail(409, 'already_completed', json_build_object('join_id', v_id));
    elsif v_join.status = 'approval' then
      perform coterie.fail(409, 'not_open', json_build_object('join_id', v_id));
    elsif not v_join.device_id = any (p_welcomed) then
      perform coterie.fail(422, 'wrong_roster');
    end if;
    update coterie.joins set status = 'welcomed', completed_by = p_me, welcome_seq = p_seq,
        welcome_tag = p_tags[array_position(p_joins, v_id)]
    where join_id = v_id;
    if v_join.invite_id is not null then
      update coterie.invites set uses = uses + 1
      where invite_id = v_join.invite_id and ended_at is null and expires_at > v_now and uses < max_uses;
      if not found then perform coterie.fail(409, 'invites_ended', json_build_object('join_id', v_id)); end if;
      v_used := v_used || v_join.invite_id;
    end if;
  end loop;
  if not (v_used <@ p_invites and p_invites <@ v_used) then perform coterie.fail(422, 'wrong_roster'); end if;
  update coterie.joins set status = 'expired' -- nobody else comes in through an invite that is used up
  where status in ('waiting', 'approval', 'claimed') and invite_id in (
    select invite_id from coterie.invites where invite_id = any (v_used) and uses >= max_uses);
end $$;

-- Makes the roster what the commit p_seq says. A device with a Welcome begins after it; one that is listed without
-- never left in MLS, and gets back what it missed.
create or replace function coterie.change_roster(
  p_group uuid, p_seq bigint, p_added uuid[], p_removed uuid[], p_welcomed uuid[])
returns void language plpgsql set search_path = '' as $$
declare
  v_count integer;
begin
  -- A Welcome for somebody who is a member would move their window behind this commit: they would never see it.
  if exists (select from coterie.group_members
    where group_id = p_group and device_id = any (p_welcomed) and until_seq is null
      and not device_id = any (p_removed)) then
    perform coterie.fail(422, 'wrong_roster');
  end if;
  update coterie.group_members
  set until_seq = coalesce(until_seq, p_seq), left_at = coalesce(left_at, now())
  where group_id = p_group and device_id = any (p_removed);
  get diagnostics v_count = row_count;
  if v_count <> cardinality(p_removed) then perform coterie.fail(422, 'wrong_roster'); end if;
  update coterie.group_members set until_seq = null, left_at = null
  where group_id = p_group and device_id = any (p_added) and not device_id = any (p_welcomed);
  get diagnostics v_count = row_count;
  if v_count + cardinality(p_welcomed) <> cardinality(p_added) then perform coterie.fail(422, 'wrong_roster'); end if;
  insert into coterie.group_members (group_id, device_id, from_seq) -- a device that is none: wrong_roster
  select p_group, device, p_seq + 1 from unnest(p_welcomed) device
  on conflict (group_id, device_id) do update set from_seq = excluded.from_seq, until_seq = null, left_at = null,
    joined_at = null, acked_seq = 0, counter = 0, counter_epoch = 0;
end $$;

create or replace function coterie.end_invites(p_group uuid) returns void
language plpgsql set search_path = '' as $$
begin
  update coterie.invites set ended_at = now() where group_id = p_group and ended_at is null;
  update coterie.joins set status = 'expired'
  where group_id = p_group and status in ('waiting', 'approval', 'claimed');
end $$;

-- p_added, p_removed, p_welcomed (devices, parallel to p_welcomes) and p_joins (parallel to p_tags) have no repeats, and
-- p_welcomed lies within p_added. p_counter is null for a rejoin.
create or replace function coterie.send_commit_v1(
  p_claims jsonb, p_group uuid, p_epoch bigint, p_message_id uuid, p_counter bigint, p_commit bytea,
  p_group_info bytea, p_added uuid[], p_removed uuid[], p_end_invites boolean, p_welcomed uuid[], p_welcomes bytea[],
  p_joins uuid[], p_tags bytea[], p_invites bytea[], p_fault text, p_group_gap interval, p_device_gap interval)
returns json language plpgsql set search_path = '' as $$
declare
  v_me uuid;
  v_hash bytea := sha256(p_commit);
  v_send record;
  v_now timestamptz;
begin
  perform set_config('coterie.claims', p_claims::text, true), set_config('role', 'coterie_member', true);
  v_me := coterie.enter_device();
  v_send := coterie.begin_send(v_me, p_group, p_message_id, 'commit', v_hash, p_epoch, p_counter, p_fault);
  if (v_send.stored).seq is not null then
    return json_build_object('seq', (v_send.stored).seq, 'epoch', (v_send.stored).epoch + 1,
      'server_time', coterie.rfc3339((v_send.stored).server_time));
  end if;
  if v_me = any (p_removed) then perform coterie.fail(422, 'wrong_roster'); end if;
  perform coterie.check_pace(v_me, p_group, cardinality(p_added) + cardinality(p_removed) = 0, p_group_gap, p_device_gap);
  v_now := clock_timestamp();
  insert into coterie.messages
    (group_id, seq, epoch, kind, message_id, sender_device, body, hash, size, server_time)
  values (p_group, v_send.next_seq, p_epoch, 'commit', p_message_id, v_me, p_commit, v_hash, length(p_commit), v_now);
  update coterie.group_seq set last_seq = v_send.next_seq, epoch = p_epoch + 1 where group_id = p_group;
  update coterie.groups set group_info = p_group_info where group_id = p_group;
  perform coterie.complete_joins(v_me, p_group, v_send.next_seq, p_joins, p_tags, p_welcomed, p_invites);
  perform coterie.change_roster(p_group, v_send.next_seq, p_added, p_removed, p_welcomed);
  insert into coterie.welcomes (group_id, device_id, seq, welcome, sender_device, sender_user)
  select p_group, w.device, v_send.next_seq, w.welcome, v_me, coterie.my_user() from unnest(p_welcomed, p_welcomes) w (device, welcome);
  if p_end_invites then perform coterie.end_invites(p_group); end if;
  if p_counter is null then -- who comes back is in, also where a Welcome of theirs still waits: they are delivered to
    update coterie.group_members set joined_at = coalesce(joined_at, v_now) where group_id = p_group and device_id = v_me;
    delete from coterie.welcomes where group_id = p_group and device_id = v_me;
  end if;
  perform coterie.announce(p_group, v_send.next_seq), coterie.announce(p_group, 0);
  return json_build_object('seq', v_send.next_seq, 'epoch', p_epoch + 1, 'server_time', coterie.rfc3339(v_now));
end $$;

-- For a device whose line was `stale_epoch` again and again: other devices' commits wait a moment.
create or replace function coterie.commit_pause_v1(p_claims jsonb, p_group uuid, p_length interval, p_gap interval)
returns json language plpgsql set search_path = '' as $$
declare
  v_me uuid;
  v_now timestamptz;
  v_wait interval;
begin
  perform set_config('coterie.claims', p_claims::text, true), set_config('role', 'coterie_member', true);
  v_me := coterie.enter_device();
  perform from coterie.group_seq where group_id = p_group for update; -- first, as every sender does: else a deadlock
  perform from coterie.groups where group_id = p_group for no key update;
  if not found then perform coterie.fail(403, 'not_a_member'); end if;
  v_now := clock_timestamp();
  select greatest(m.last_pause_at + p_gap, case when g.paused_by <> v_me then g.paused_until end) - v_now into v_wait
  from coterie.groups g join coterie.group_members m on m.group_id = g.group_id
  where g.group_id = p_group and m.device_id = v_me;
  if v_wait > '0' then
    perform coterie.fail(429, 'too_soon', json_build_object('retry_after', round(extract(epoch from v_wait), 3)));
  end if;
  update coterie.groups set paused_by = v_me, paused_until = v_now + p_length where group_id = p_group;
  update coterie.group_members set last_pause_at = v_now where group_id = p_group and device_id = v_me;
  return json_build_object('group_id', p_group, 'paused_until', coterie.rfc3339(v_now + p_length));
end $$;
