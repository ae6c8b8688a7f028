-- Grants and row-level security

do $rls$
declare
  v_table text;
  v_policy record;
begin
  for v_policy in select tablename, policyname from pg_catalog.pg_policies where schemaname = 'coterie' loop
    execute format('drop policy %I on coterie.%I', v_policy.policyname, v_policy.tablename);
  end loop;
  for v_table in select tablename from pg_catalog.pg_tables where schemaname = 'coterie' loop
    execute format('alter table coterie.%I enable row level security', v_table);
    execute format('alter table coterie.%I force row level security', v_table);
    execute format('revoke all on coterie.%I from public, coterie_api, coterie_member, coterie_auth, coterie_system', v_table);
  end loop;
  foreach v_table in array array['auth_keys', 'auth_users', 'auth_sessions', 'auth_refresh_tokens', 'auth_passkeys',
                                 'auth_challenges'] loop
    execute format('grant select, insert, update, delete on coterie.%I to coterie_auth', v_table);
    execute format('create policy auth on coterie.%I to coterie_auth using (true) with check (true)', v_table);
  end loop;
  foreach v_table in array array['devices', 'device_sessions', 'group_seq', 'group_members', 'messages', 'welcomes',
                                 'joins'] loop
    execute format('grant select on coterie.%I to coterie_system', v_table);
    execute format('create policy system on coterie.%I for select to coterie_system using (true)', v_table);
  end loop;
  foreach v_table in array array['group_retention', 'limits'] loop
    execute format('grant select, insert, update, delete on coterie.%I to coterie_system', v_table);
    execute format('create policy system on coterie.%I to coterie_system using (true) with check (true)', v_table);
  end loop;
  -- retention deletes from these; to pass over rows that somebody holds it may lock them, and never change them
  foreach v_table in array array['welcomes', 'joins', 'device_sessions', 'key_packages', 'key_package_claims'] loop
    execute format('grant select, update, delete on coterie.%I to coterie_system', v_table);
    execute format('create policy sweep_lock on coterie.%I for update to coterie_system using (true) with check (false)', v_table);
    execute format('create policy sweep on coterie.%I for delete to coterie_system using (true)', v_table);
  end loop;
  foreach v_table in array array['invites', 'key_packages', 'key_package_claims'] loop
    execute format('create policy system on coterie.%I for select to coterie_system using (true)', v_table);
  end loop;
  -- what the security definer functions read
  foreach v_table in array array['devices', 'device_sessions', 'auth_sessions', 'groups', 'group_members', 'invites',
                                 'joins', 'key_packages'] loop
    execute format('create policy definer on coterie.%I for select to coterie_owner using (true)', v_table);
  end loop;
end
$rls$;
-- `for update` in hold_invite is checked as an update
create policy definer_lock on coterie.invites for update to coterie_owner using (true) with check (false);
create policy definer_end on coterie.auth_sessions for update to coterie_owner
  using (true) with check (ended_at is not null);
-- retention drops bodies, and nothing else of a message
grant update (body) on coterie.messages to coterie_system;
create policy sweep on coterie.messages for update to coterie_system using (true) with check (body is null);
-- and of an invite its preview
grant select, update (preview) on coterie.invites to coterie_system;
create policy sweep on coterie.invites for update to coterie_system using (true) with check (preview = '\x00');
grant select (group_id) on coterie.groups to coterie_system;
create policy system on coterie.groups for select to coterie_system using (true);
-- only whether a session has ended
grant select (session_id, ended_at) on coterie.auth_sessions to coterie_system;
create policy system on coterie.auth_sessions for select to coterie_system using (true);

grant select, insert, update (name, kind, last_seen, revoked_at) on coterie.devices to coterie_member;
create policy own_read on coterie.devices for select to coterie_member using (
  user_id = (select coterie.my_user())
  or device_id in (select m.device_id from coterie.group_members m where m.group_id in (select coterie.my_groups())));
create policy own_insert on coterie.devices for insert to coterie_member
  with check (user_id = (select coterie.my_user()));
create policy own_update on coterie.devices for update to coterie_member
  using (user_id = (select coterie.my_user())) with check (user_id = (select coterie.my_user()));

grant select, insert, update (device_id, earlier) on coterie.device_sessions to coterie_member;
create policy own on coterie.device_sessions to coterie_member
  using (session_id = (select coterie.my_session()))
  with check (session_id = (select coterie.my_session())
    and device_id in (select d.device_id from coterie.devices d where d.user_id = (select coterie.my_user())));

-- Own ones. What others may have of them, they take by take_key_packages.
grant select, insert, update (claimed_at, key_package), delete on coterie.key_packages to coterie_member;
create policy own_read on coterie.key_packages for select to coterie_member
  using (device_id in (select d.device_id from coterie.devices d where d.user_id = (select coterie.my_user())));
create policy own_insert on coterie.key_packages for insert to coterie_member
  with check (device_id = (select coterie.my_device()));
create policy own_update on coterie.key_packages for update to coterie_member
  using (device_id = (select coterie.my_device())) with check (device_id = (select coterie.my_device()));
create policy own_delete on coterie.key_packages for delete to coterie_member
  using (device_id = (select coterie.my_device()));
create policy definer_take on coterie.key_packages for update to coterie_owner
  using (true) with check (claimed_at is not null and key_package is null);

grant select, insert, delete on coterie.key_package_claims to coterie_member;
create policy own on coterie.key_package_claims to coterie_member
  using (device_id = (select coterie.my_device())) with check (device_id = (select coterie.my_device()));

grant select, insert, update (group_info, last_empty_commit_at, paused_by, paused_until)
  on coterie.groups to coterie_member;
create policy member_read on coterie.groups for select to coterie_member
  using (group_id in (select coterie.my_groups()));
create policy founder_insert on coterie.groups for insert to coterie_member
  with check (created_by = (select coterie.my_device()));
create policy member_update on coterie.groups for update to coterie_member
  using (group_id in (select coterie.my_groups())) with check (group_id in (select coterie.my_groups()));

-- Past members read and lock it too: their retries get the stored answer.
grant select, insert, update (last_seq, epoch) on coterie.group_seq to coterie_member;
create policy log_read on coterie.group_seq for select to coterie_member using (coterie.has_log(group_id));
create policy founder_insert on coterie.group_seq for insert to coterie_member
  with check (coterie.is_founder(group_id) and last_seq = 0 and epoch = 0);
create policy log_update on coterie.group_seq for update to coterie_member
  using (coterie.has_log(group_id)) with check (coterie.is_member(group_id));

-- Group and device of a row never change, so a device's own row stays its own.
grant select, insert, update (from_seq, until_seq, acked_seq, joined_at, left_at, counter, counter_epoch,
  last_empty_commit_at, last_pause_at) on coterie.group_members to coterie_member;
create policy roster_read on coterie.group_members for select to coterie_member
  using (device_id = (select coterie.my_device()) or group_id in (select coterie.my_groups()));
create policy member_insert on coterie.group_members for insert to coterie_member
  with check (group_id in (select coterie.my_groups())
    or (device_id = (select coterie.my_device()) and coterie.is_founder(group_id)));
create policy member_update on coterie.group_members for update to coterie_member
  using ((device_id = (select coterie.my_device()) and until_seq is null) or group_id in (select coterie.my_groups()))
  with check (device_id = (select coterie.my_device()) or group_id in (select coterie.my_groups()));

grant select, insert on coterie.messages to coterie_member;
create policy log_read on coterie.messages for select to coterie_member using (
  sender_device = (select coterie.my_device())
  or (group_id in (select coterie.my_logs()) and exists (
    select from coterie.group_members m
    where m.group_id = messages.group_id and m.device_id = (select coterie.my_device())
      and messages.seq >= m.from_seq and (m.until_seq is null or messages.seq <= m.until_seq))));
create policy member_insert on coterie.messages for insert to coterie_member
  with check (sender_device = (select coterie.my_device()) and coterie.is_member(group_id));

grant select, insert, delete on coterie.welcomes to coterie_member;
create policy joiner_read on coterie.welcomes for select to coterie_member
  using (device_id = (select coterie.my_device()));
create policy member_insert on coterie.welcomes for insert to coterie_member
  with check (group_id in (select coterie.my_groups()) and sender_device = (select coterie.my_device())
    and sender_user = (select coterie.my_user()));
create policy joiner_delete on coterie.welcomes for delete to coterie_member
  using (device_id = (select coterie.my_device()));

grant select, insert, update (uses, ended_at) on coterie.invites to coterie_member;
create policy member_read on coterie.invites for select to coterie_member
  using (group_id in (select coterie.my_groups()));
create policy member_insert on coterie.invites for insert to coterie_member
  with check (group_id in (select coterie.my_groups()) and created_by = (select coterie.my_device()));
create policy member_update on coterie.invites for update to coterie_member
  using (group_id in (select coterie.my_groups())) with check (group_id in (select coterie.my_groups()));

grant select, insert, update (status, claimed_by, claimed_until, decided_by, completed_by, welcome_seq, welcome_tag)
  on coterie.joins to coterie_member;
create policy member_or_joiner_read on coterie.joins for select to coterie_member
  using (device_id = (select coterie.my_device()) or group_id in (select coterie.my_groups()));
create policy joiner_insert on coterie.joins for insert to coterie_member
  with check (device_id = (select coterie.my_device()) and user_id = (select coterie.my_user()));
create policy member_or_joiner_update on coterie.joins for update to coterie_member
  using (device_id = (select coterie.my_device()) or group_id in (select coterie.my_groups()))
  with check (device_id = (select coterie.my_device()) or group_id in (select coterie.my_groups()));

grant select, insert, update (claimed_until) on coterie.join_claims to coterie_member;
create policy own on coterie.join_claims to coterie_member
  using (device_id = (select coterie.my_device())) with check (device_id = (select coterie.my_device()));
