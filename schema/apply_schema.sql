-- The delivery service in Postgres 15 to 18: tables, row-level security, and one function per call.
--
-- May run any number of times; run it in one transaction, as a superuser or as a role that may create roles and
-- schemas (Supabase's `postgres` is one).
--
-- Roles. `coterie_owner` owns everything and cannot log in. The service logs in as `coterie_api`, which inherits
-- nothing: it may execute the `*_v1` functions, and each of them begins by entering one of three roles for the length of
-- the transaction: `coterie_member` (acts for one device), `coterie_auth` (the embedded identity), `coterie_system`
-- (fan-out). What these may see is decided by row-level security, so that a query which forgets a condition finds
-- nothing instead of too much.
--
-- Errors. `coterie.fail` raises SQLSTATE 'CT' + HTTP status, the message is the code of docs/protocol.md, the detail
-- its further fields as JSON. Broken constraints are translated by name in edge_functions/errors.py.

select pg_advisory_xact_lock(7237121802114); -- two processes that start together apply one after the other

do $roles$
declare
  v_role text;
begin
  foreach v_role in array array['coterie_owner', 'coterie_api', 'coterie_member', 'coterie_auth', 'coterie_system'] loop
    if not exists (select from pg_catalog.pg_roles where rolname = v_role) then
      execute format('create role %I %s noinherit', v_role, case v_role when 'coterie_api' then 'login' else 'nologin' end);
    end if;
  end loop;
  if not pg_has_role('coterie_owner', 'member') then
    execute format('grant coterie_owner to %I', current_user);
  end if;
  foreach v_role in array array['coterie_member', 'coterie_auth', 'coterie_system'] loop
    if not pg_has_role('coterie_api', v_role, 'member') then
      execute format('grant %I to coterie_api', v_role);
    end if;
  end loop;
  if not exists (select from pg_catalog.pg_namespace where nspname = 'coterie') then
    create schema coterie authorization coterie_owner;
  end if;
end
$roles$;

set local role coterie_owner;
set local check_function_bodies = off; -- functions are written in reading order, not in order of use

revoke all on schema coterie from public;
grant usage on schema coterie to coterie_api, coterie_member, coterie_auth, coterie_system;
alter default privileges for role coterie_owner revoke execute on functions from public;

------------------------------------------------------------------------------------------------------------------------
-- Identity of the embedded provider. Role coterie_auth alone.

create table if not exists coterie.auth_keys (
  kid text primary key,
  private_key text not null, -- PKCS #8 PEM of an ES256 key
  created_at timestamptz not null default now(),
  retired_at timestamptz -- signs no more; still verifies
);

create table if not exists coterie.auth_users (
  user_id uuid primary key,
  is_anonymous boolean not null,
  app_metadata jsonb not null default '{}',
  user_metadata jsonb not null default '{}',
  created_at timestamptz not null default now(),
  last_sign_in_at timestamptz not null default now()
);

create table if not exists coterie.auth_sessions (
  session_id text primary key, -- text, as in the claims
  user_id uuid not null references coterie.auth_users on delete cascade,
  method text not null, -- amr: anonymous, passkey
  created_at timestamptz not null default now(),
  ended_at timestamptz -- signed out
);
create index if not exists auth_sessions_user_id on coterie.auth_sessions (user_id);

create table if not exists coterie.auth_refresh_tokens (
  token_hash bytea primary key check (length(token_hash) = 32), -- SHA-256: the token itself is stored nowhere
  session_id text not null references coterie.auth_sessions on delete cascade,
  parent_hash bytea unique, -- a token has one child: asking twice gives the same one
  created_at timestamptz not null default now(),
  used_at timestamptz
);
create index if not exists auth_refresh_tokens_session_id on coterie.auth_refresh_tokens (session_id);

------------------------------------------------------------------------------------------------------------------------
-- Devices

create table if not exists coterie.devices (
  device_id uuid primary key default gen_random_uuid(),
  user_id text not null check (user_id <> '' and octet_length(user_id) <= 200 and position('#' in user_id) = 0),
  signature_key bytea not null unique check (length(signature_key) = 32), -- a key belongs to one user for ever
  name text not null check (char_length(name) between 1 and 64),
  kind text not null check (kind in ('person', 'service')),
  created_at timestamptz not null default now(),
  last_seen timestamptz not null default now(),
  revoked_at timestamptz
);
create index if not exists devices_user_id on coterie.devices (user_id);

create table if not exists coterie.device_sessions (
  session_id text primary key check (octet_length(session_id) between 1 and 200),
  device_id uuid not null references coterie.devices on delete cascade,
  created_at timestamptz not null default now()
);
create index if not exists device_sessions_device_id on coterie.device_sessions (device_id);

create table if not exists coterie.key_packages (
  device_id uuid not null references coterie.devices on delete cascade,
  ref bytea not null check (length(ref) = 32), -- KeyPackageRef, RFC 9420 section 5.2
  key_package bytea not null check (length(key_package) between 1 and 65536),
  suite integer not null,
  last_resort boolean not null,
  not_after timestamptz not null,
  created_at timestamptz not null default now(),
  claimed_at timestamptz, -- each is given once, the last resort excepted
  claimed_by uuid references coterie.devices on delete set null,
  primary key (device_id, ref)
);
create index if not exists key_packages_free on coterie.key_packages (device_id, last_resort, not_after)
  where claimed_at is null;

------------------------------------------------------------------------------------------------------------------------
-- Groups. Hot tables lead with group_id, so that they can be partitioned by it.

create table if not exists coterie.groups (
  group_id uuid primary key,
  created_by uuid not null references coterie.devices,
  created_message_id uuid not null,
  created_hash bytea not null check (length(created_hash) = 32), -- SHA-256 of the first GroupInfo
  created_at timestamptz not null default now(),
  group_info bytea not null check (length(group_info) between 1 and 8388608), -- of the present epoch
  last_empty_commit_at timestamptz, -- a commit that added and removed nobody
  paused_by uuid, -- commits of other devices are refused until then
  paused_until timestamptz
);

-- The one row that every sender locks first: from there on, one writer a group at a time.
create table if not exists coterie.group_seq (
  group_id uuid primary key references coterie.groups on delete cascade,
  last_seq bigint not null default 0 check (last_seq between 0 and 9007199254740991),
  epoch bigint not null default 0 check (epoch between 0 and 9007199254740991)
) with (fillfactor = 50);

create table if not exists coterie.group_members (
  group_id uuid not null references coterie.groups on delete cascade,
  device_id uuid not null references coterie.devices,
  from_seq bigint not null, -- first seq that this device may have
  until_seq bigint, -- last one, inclusive; null while it is a member
  acked_seq bigint not null default 0, -- saved by the client; only moves forward
  joined_at timestamptz, -- it saved its Welcome (or made the group): delivery has begun
  left_at timestamptz,
  counter bigint not null default 0, -- PrivateMessages that it framed in counter_epoch
  counter_epoch bigint not null default 0,
  last_empty_commit_at timestamptz,
  last_pause_at timestamptz,
  created_at timestamptz not null default now(),
  primary key (group_id, device_id)
) with (fillfactor = 70);
create index if not exists group_members_device_id on coterie.group_members (device_id, group_id);

create table if not exists coterie.messages (
  group_id uuid not null references coterie.groups on delete cascade,
  seq bigint not null check (seq between 1 and 9007199254740991),
  epoch bigint not null, -- in which it was framed
  kind text not null check (kind in ('application', 'commit')),
  message_id uuid not null,
  sender_device uuid not null,
  body bytea, -- neither body nor ref: expired, the seq stays
  ref text, -- a pointer to another store
  hash bytea not null check (length(hash) = 32), -- SHA-256 of the MLS bytes
  size integer not null check (size between 1 and 1048576),
  server_time timestamptz not null,
  primary key (group_id, seq),
  constraint messages_message_id_once unique (group_id, message_id),
  constraint messages_body_or_ref check (body is null or ref is null)
);
create unique index if not exists messages_one_commit_per_epoch
  on coterie.messages (group_id, epoch) where kind = 'commit'; -- the race for an epoch ends here

create table if not exists coterie.welcomes (
  group_id uuid not null references coterie.groups on delete cascade,
  device_id uuid not null references coterie.devices,
  seq bigint not null, -- of the commit that it belongs to
  welcome bytea not null check (length(welcome) between 1 and 8388608),
  created_at timestamptz not null default now(),
  primary key (group_id, device_id, seq)
);

create table if not exists coterie.invites (
  invite_id bytea primary key check (length(invite_id) = 16),
  group_id uuid not null references coterie.groups on delete cascade,
  created_by uuid not null references coterie.devices,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  max_uses integer not null check (max_uses between 1 and 100000),
  uses integer not null default 0 check (uses >= 0),
  approval boolean not null,
  preview bytea not null check (length(preview) between 1 and 4096), -- sealed; the key is in the link
  ended_at timestamptz, -- revoked, or ended by a commit
  constraint invites_used_at_most check (uses <= max_uses)
);
create index if not exists invites_group_id on coterie.invites (group_id);

-- One queue for everybody who waits to be added.
create table if not exists coterie.joins (
  join_id uuid primary key,
  group_id uuid not null references coterie.groups on delete cascade,
  device_id uuid not null references coterie.devices,
  user_id text not null,
  source text not null check (source in ('link', 'device', 'direct')),
  invite_id bytea references coterie.invites,
  key_package bytea not null check (length(key_package) between 1 and 65536),
  proof bytea, -- tag of the link
  hello bytea check (length(hello) <= 4096), -- sealed
  status text not null check (status in
    ('waiting', 'approval', 'claimed', 'welcomed', 'joined', 'refused', 'expired', 'cancelled')),
  expires_at timestamptz,
  created_at timestamptz not null default now(),
  claimed_by uuid,
  claimed_until timestamptz,
  decided_by uuid,
  completed_by uuid,
  welcome_seq bigint,
  welcome_tag bytea check (length(welcome_tag) = 32),
  check (source <> 'link' or (invite_id is not null and proof is not null and hello is not null))
);
create index if not exists joins_open_by_group on coterie.joins (group_id)
  where status in ('waiting', 'approval', 'claimed');
create unique index if not exists joins_one_open on coterie.joins (invite_id, device_id)
  where status in ('waiting', 'approval', 'claimed'); -- one open join per device and invite
create index if not exists joins_device_id on coterie.joins (device_id);

-- Who worked on a join, so that one who let a claim lapse lets others try first.
create table if not exists coterie.join_claims (
  join_id uuid not null references coterie.joins on delete cascade,
  device_id uuid not null references coterie.devices,
  claimed_until timestamptz not null,
  primary key (join_id, device_id)
);

------------------------------------------------------------------------------------------------------------------------
-- Small helpers

create or replace function coterie.fail(p_status integer, p_code text, p_more json default null) returns void
language plpgsql immutable set search_path = '' as $$
begin
  raise exception using errcode = 'CT' || p_status, message = p_code, detail = coalesce(p_more::text, '');
end $$;

create or replace function coterie.rfc3339(p_time timestamptz) returns text
language sql stable set search_path = '' as $$
  select to_char(p_time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;

create or replace function coterie.my_user() returns text
language sql stable set search_path = '' as $$
  select nullif(current_setting('coterie.claims', true), '')::jsonb ->> 'sub'
$$;

create or replace function coterie.my_session() returns text
language sql stable set search_path = '' as $$
  select nullif(current_setting('coterie.claims', true), '')::jsonb ->> 'session_id'
$$;

-- The device that `enter_device` found for the claims of this transaction.
create or replace function coterie.my_device() returns uuid
language sql stable set search_path = '' as $$
  select nullif(current_setting('coterie.device', true), '')::uuid
$$;

------------------------------------------------------------------------------------------------------------------------
-- Security definer functions: all there are. They read, never write, and never enter a role. Each table that
-- they read has a policy for coterie_owner, because row-level security is forced on the owner too.

-- What is known about the session in the claims: its device, and whether one of them has ended.
create or replace function coterie.session_state(out device_id uuid, out revoked boolean, out ended boolean)
language sql stable security definer set search_path = '' as $$
  select d.device_id, d.revoked_at is not null, coalesce(
      (select a.ended_at is not null from coterie.auth_sessions a where a.session_id = me.session_id), false)
  from (select coterie.my_session() as session_id, coterie.my_user() as user_id) me
  left join (coterie.device_sessions s join coterie.devices d on d.device_id = s.device_id)
    on s.session_id = me.session_id and d.user_id = me.user_id
$$;

-- Groups whose member this device is.
create or replace function coterie.my_groups() returns setof uuid
language sql stable security definer set search_path = '' as $$
  select group_id from coterie.group_members where device_id = coterie.my_device() and until_seq is null
$$;

-- Groups whose member this device is or was.
create or replace function coterie.my_logs() returns setof uuid
language sql stable security definer set search_path = '' as $$
  select group_id from coterie.group_members where device_id = coterie.my_device()
$$;

-- True for a group that this device has just made and that has no member yet.
create or replace function coterie.is_founder(p_group uuid) returns boolean
language sql stable security definer set search_path = '' as $$
  select exists (select from coterie.groups where group_id = p_group and created_by = coterie.my_device())
    and not exists (select from coterie.group_members where group_id = p_group)
$$;

-- An invite for one who knows its id; the row is locked, so that ending it and joining by it come one after the other.
create or replace function coterie.hold_invite(p_invite bytea) returns setof coterie.invites
language sql volatile security definer set search_path = '' as $$
  select * from coterie.invites where invite_id = p_invite for update
$$;

-- The same without a lock.
create or replace function coterie.find_invite(p_invite bytea) returns setof coterie.invites
language sql stable security definer set search_path = '' as $$
  select * from coterie.invites where invite_id = p_invite
$$;

-- How many wait on an invite.
create or replace function coterie.count_waiting(p_invite bytea) returns bigint
language sql stable security definer set search_path = '' as $$
  select count(*) from coterie.joins where invite_id = p_invite and status in ('waiting', 'approval', 'claimed')
$$;

------------------------------------------------------------------------------------------------------------------------
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
  foreach v_table in array array['auth_keys', 'auth_users', 'auth_sessions', 'auth_refresh_tokens'] loop
    execute format('grant select, insert, update, delete on coterie.%I to coterie_auth', v_table);
    execute format('create policy auth on coterie.%I to coterie_auth using (true) with check (true)', v_table);
  end loop;
  foreach v_table in array array['devices', 'device_sessions', 'group_seq', 'group_members', 'messages', 'welcomes',
                                 'joins'] loop
    execute format('grant select on coterie.%I to coterie_system', v_table);
    execute format('create policy system on coterie.%I for select to coterie_system using (true)', v_table);
  end loop;
  -- what the security definer functions read
  foreach v_table in array array['devices', 'device_sessions', 'auth_sessions', 'groups', 'group_members', 'invites',
                                 'joins'] loop
    execute format('create policy definer on coterie.%I for select to coterie_owner using (true)', v_table);
  end loop;
end
$rls$;
-- `for update` in hold_invite is checked as an update
create policy definer_lock on coterie.invites for update to coterie_owner using (true) with check (false);
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

grant select, insert, update (device_id) on coterie.device_sessions to coterie_member;
create policy own on coterie.device_sessions to coterie_member
  using (session_id = (select coterie.my_session()))
  with check (session_id = (select coterie.my_session())
    and device_id in (select d.device_id from coterie.devices d where d.user_id = (select coterie.my_user())));

grant select, insert, delete on coterie.key_packages to coterie_member;
create policy own on coterie.key_packages to coterie_member
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
create policy log_read on coterie.group_seq for select to coterie_member
  using (group_id in (select coterie.my_logs()));
create policy founder_insert on coterie.group_seq for insert to coterie_member
  with check (coterie.is_founder(group_id) and last_seq = 0 and epoch = 0);
create policy log_update on coterie.group_seq for update to coterie_member
  using (group_id in (select coterie.my_logs())) with check (group_id in (select coterie.my_groups()));

grant select, insert, update on coterie.group_members to coterie_member;
create policy roster_read on coterie.group_members for select to coterie_member
  using (device_id = (select coterie.my_device()) or group_id in (select coterie.my_groups()));
create policy member_insert on coterie.group_members for insert to coterie_member
  with check (group_id in (select coterie.my_groups())
    or (device_id = (select coterie.my_device()) and coterie.is_founder(group_id)));
create policy member_update on coterie.group_members for update to coterie_member
  using (group_id in (select coterie.my_groups()))
  with check (group_id in (select coterie.my_logs()));

grant select, insert on coterie.messages to coterie_member;
create policy log_read on coterie.messages for select to coterie_member using (
  sender_device = (select coterie.my_device())
  or (group_id in (select coterie.my_logs()) and exists (
    select from coterie.group_members m
    where m.group_id = messages.group_id and m.device_id = (select coterie.my_device())
      and messages.seq >= m.from_seq and (m.until_seq is null or messages.seq <= m.until_seq))));
create policy member_insert on coterie.messages for insert to coterie_member
  with check (sender_device = (select coterie.my_device()) and group_id in (select coterie.my_groups()));

grant select, insert, delete on coterie.welcomes to coterie_member;
create policy joiner_read on coterie.welcomes for select to coterie_member
  using (device_id = (select coterie.my_device()));
create policy member_insert on coterie.welcomes for insert to coterie_member
  with check (group_id in (select coterie.my_groups()));
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

------------------------------------------------------------------------------------------------------------------------
-- Entering: the device of the session in the claims

-- Raises 401 no_session (signed out), 403 device_not_registered, 403 device_revoked.
create or replace function coterie.enter_device() returns uuid
language plpgsql set search_path = '' as $$
declare
  v_state record;
begin
  select * into v_state from coterie.session_state();
  if v_state.ended then perform coterie.fail(401, 'no_session'); end if;
  if v_state.device_id is null then perform coterie.fail(403, 'device_not_registered'); end if;
  if v_state.revoked then perform coterie.fail(403, 'device_revoked'); end if;
  perform set_config('coterie.device', v_state.device_id::text, true);
  return v_state.device_id;
end $$;

-- Says that the log of a group has grown to p_seq; 0: its roster, its joins or its Welcomes have changed.
create or replace function coterie.announce(p_group uuid, p_seq bigint) returns void
language sql volatile set search_path = '' as $$
  select pg_notify('coterie', p_group::text || ':' || p_seq::text)
$$;

------------------------------------------------------------------------------------------------------------------------
-- Devices

create or replace function coterie.device_register_v1(p_claims jsonb, p_key bytea, p_name text, p_kind text)
returns json language plpgsql set search_path = '' as $$
declare
  v_device coterie.devices;
begin
  perform set_config('coterie.claims', p_claims::text, true), set_config('role', 'coterie_member', true);
  if (select ended from coterie.session_state()) then perform coterie.fail(401, 'no_session'); end if;
  perform pg_advisory_xact_lock(hashtextextended(encode(p_key, 'hex'), 1)); -- two retries at once make one device
  select * into v_device from coterie.devices d where d.signature_key = p_key and d.user_id = coterie.my_user();
  if not found then
    insert into coterie.devices (user_id, signature_key, name, kind)
    values (coterie.my_user(), p_key, p_name, p_kind) returning * into v_device; -- another user's key: key_in_use
  elsif v_device.revoked_at is not null then
    perform coterie.fail(403, 'device_revoked');
  else
    update coterie.devices d set name = p_name, kind = p_kind, last_seen = now() where d.device_id = v_device.device_id;
  end if;
  insert into coterie.device_sessions (session_id, device_id) values (coterie.my_session(), v_device.device_id)
  on conflict (session_id) do update set device_id = excluded.device_id;
  return json_build_object('device_id', v_device.device_id, 'user_id', v_device.user_id);
end $$;

------------------------------------------------------------------------------------------------------------------------
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
  update coterie.joins set status = 'joined' where group_id = p_group and device_id = v_me and status = 'welcomed';
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

------------------------------------------------------------------------------------------------------------------------
-- Sending

-- Locks the group and looks, in this order: is this a retry (then `stored` is its row), is the sender a member, is
-- there a fault that the caller found (its code), is the epoch the present one, is the counter above the last.
-- p_counter null: not counted.
create or replace function coterie.begin_send(
  p_me uuid, p_group uuid, p_message_id uuid, p_kind text, p_hash bytea, p_epoch bigint, p_counter bigint,
  p_fault text, out stored coterie.messages, out next_seq bigint)
language plpgsql set search_path = '' as $$
declare
  v_epoch bigint;
  v_member record;
begin
  select s.last_seq + 1, s.epoch into next_seq, v_epoch from coterie.group_seq s where s.group_id = p_group for update;
  if not found then perform coterie.fail(403, 'not_a_member'); end if;
  select * into stored from coterie.messages m where m.group_id = p_group and m.message_id = p_message_id;
  if found then
    if (stored.sender_device, stored.kind, stored.hash) is distinct from (p_me, p_kind, p_hash) then
      perform coterie.fail(409, 'message_id_reused');
    end if;
    return;
  end if;
  select m.until_seq, m.counter, m.counter_epoch into v_member
  from coterie.group_members m where m.group_id = p_group and m.device_id = p_me;
  if v_member.until_seq is not null then perform coterie.fail(403, 'not_a_member'); end if;
  if p_fault is not null then perform coterie.fail(422, p_fault); end if;
  if p_epoch <> v_epoch then perform coterie.fail(409, 'stale_epoch', json_build_object('epoch', v_epoch)); end if;
  if v_member.counter_epoch = v_epoch and p_counter <= v_member.counter then
    perform coterie.fail(409, 'state_behind', json_build_object('counter', v_member.counter));
  end if;
  if p_counter is not null then
    update coterie.group_members m set counter = p_counter, counter_epoch = v_epoch
    where m.group_id = p_group and m.device_id = p_me;
  end if;
end $$;

create or replace function coterie.send_message_v1(
  p_claims jsonb, p_group uuid, p_epoch bigint, p_message_id uuid, p_counter bigint, p_body bytea, p_fault text)
returns json language plpgsql set search_path = '' as $$
declare
  v_me uuid;
  v_hash bytea := sha256(p_body);
  v_send record;
  v_now timestamptz;
begin
  perform set_config('coterie.claims', p_claims::text, true), set_config('role', 'coterie_member', true);
  v_me := coterie.enter_device();
  v_send := coterie.begin_send(v_me, p_group, p_message_id, 'application', v_hash, p_epoch, p_counter, p_fault);
  if (v_send.stored).seq is not null then
    return json_build_object('seq', (v_send.stored).seq, 'server_time', coterie.rfc3339((v_send.stored).server_time));
  end if;
  v_now := clock_timestamp();
  insert into coterie.messages
    (group_id, seq, epoch, kind, message_id, sender_device, body, hash, size, server_time)
  values (p_group, v_send.next_seq, p_epoch, 'application', p_message_id, v_me, p_body, v_hash, length(p_body), v_now);
  update coterie.group_seq set last_seq = v_send.next_seq where group_id = p_group;
  perform coterie.announce(p_group, v_send.next_seq);
  return json_build_object('seq', v_send.next_seq, 'server_time', coterie.rfc3339(v_now));
end $$;

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
  insert into coterie.welcomes (group_id, device_id, seq, welcome)
  select p_group, w.device, v_send.next_seq, w.welcome from unnest(p_welcomed, p_welcomes) w (device, welcome);
  if p_end_invites then perform coterie.end_invites(p_group); end if;
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

------------------------------------------------------------------------------------------------------------------------
-- Reading

create or replace function coterie.envelope(p_message coterie.messages) returns json
language sql stable set search_path = '' as $$
  select json_build_object(
    'v', 1, 'group_id', (p_message).group_id, 'seq', (p_message).seq, 'epoch', (p_message).epoch,
    'kind', (p_message).kind, 'message_id', (p_message).message_id, 'sender_device', (p_message).sender_device,
    'hash', encode((p_message).hash, 'hex'), 'size', (p_message).size,
    'server_time', coterie.rfc3339((p_message).server_time),
    case when (p_message).body is not null then 'mls_bytes' when (p_message).ref is not null then 'ref' else 'gone' end,
    case when (p_message).body is not null then to_json(encode((p_message).body, 'hex'))
         when (p_message).ref is not null then to_json((p_message).ref) else 'true'::json end)
$$;

-- At most p_limit messages, and no more after 8 MiB.
create or replace function coterie.page(p_group uuid, p_after bigint, p_until bigint, p_limit integer)
returns setof coterie.messages language sql stable set search_path = '' as $$
  select (x.m).* from (
    select row(m.*)::coterie.messages as m, m.seq, sum(m.size) over (order by m.seq) - m.size as before
    from (select * from coterie.messages
          where group_id = p_group and seq > p_after and seq <= p_until order by seq limit p_limit) m
  ) x where x.before < 8388608 order by x.seq
$$;

create or replace function coterie.get_messages_v1(p_claims jsonb, p_group uuid, p_after bigint, p_limit integer)
returns json language plpgsql set search_path = '' as $$
declare
  v_me uuid;
  v_from bigint;
  v_last bigint;
begin
  perform set_config('coterie.claims', p_claims::text, true), set_config('role', 'coterie_member', true);
  v_me := coterie.enter_device();
  select m.from_seq, coalesce(m.until_seq, s.last_seq) into v_from, v_last
  from coterie.group_members m join coterie.group_seq s on s.group_id = m.group_id
  where m.group_id = p_group and m.device_id = v_me;
  if not found then perform coterie.fail(403, 'not_a_member'); end if;
  return (
    select json_build_object('envelopes', coalesce(json_agg(coterie.envelope(p) order by p.seq), '[]'), 'last_seq', v_last)
    from coterie.page(p_group, greatest(p_after, v_from - 1), v_last, p_limit) p);
end $$;

create or replace function coterie.ack_v1(p_claims jsonb, p_group uuid, p_seq bigint) returns void
language plpgsql set search_path = '' as $$
declare
  v_me uuid;
begin
  perform set_config('coterie.claims', p_claims::text, true), set_config('role', 'coterie_member', true);
  v_me := coterie.enter_device();
  update coterie.group_members m
  set acked_seq = least(p_seq, (select s.last_seq from coterie.group_seq s where s.group_id = p_group))
  where m.group_id = p_group and m.device_id = v_me and m.acked_seq < p_seq;
end $$;

------------------------------------------------------------------------------------------------------------------------
-- Invites and joins

create or replace function coterie.invite_create_v1(
  p_claims jsonb, p_invite bytea, p_group uuid, p_preview bytea, p_expires timestamptz, p_max_uses integer,
  p_approval boolean)
returns json language plpgsql set search_path = '' as $$
declare
  v_me uuid;
  v_old coterie.invites;
begin
  perform set_config('coterie.claims', p_claims::text, true), set_config('role', 'coterie_member', true);
  v_me := coterie.enter_device();
  perform pg_advisory_xact_lock(hashtextextended(encode(p_invite, 'hex'), 3)); -- two retries at once make one invite
  select * into v_old from coterie.invites where invite_id = p_invite;
  if found then
    if (v_old.group_id, v_old.created_by, v_old.preview, v_old.expires_at, v_old.max_uses, v_old.approval)
       is distinct from (p_group, v_me, p_preview, p_expires, p_max_uses, p_approval) then
      perform coterie.fail(409, 'invite_exists');
    end if;
  elsif p_group not in (select coterie.my_groups()) then
    perform coterie.fail(403, 'not_a_member');
  else
    insert into coterie.invites (invite_id, group_id, created_by, preview, expires_at, max_uses, approval)
    values (p_invite, p_group, v_me, p_preview, p_expires, p_max_uses, p_approval); -- one of others: invite_exists
  end if;
  return json_build_object('invite_id', encode(p_invite, 'hex'));
end $$;

create or replace function coterie.is_alive(p_invite coterie.invites) returns boolean
language sql stable set search_path = '' as $$
  select (p_invite).ended_at is null and (p_invite).expires_at > clock_timestamp() and (p_invite).uses < (p_invite).max_uses
$$;

create or replace function coterie.invite_info_v1(p_claims jsonb, p_invite bytea) returns json
language plpgsql set search_path = '' as $$
declare
  v_answer json;
begin
  perform set_config('coterie.claims', p_claims::text, true), set_config('role', 'coterie_member', true);
  perform coterie.enter_device();
  select json_build_object('invite_id', encode(i.invite_id, 'hex'), 'preview', encode(i.preview, 'hex'),
      'expires_at', coterie.rfc3339(i.expires_at), 'approval', i.approval) into v_answer
  from coterie.find_invite(p_invite) i where coterie.is_alive(i);
  if not found then perform coterie.fail(404, 'invite_unavailable'); end if;
  return v_answer;
end $$;

create or replace function coterie.invites_list_v1(p_claims jsonb, p_group uuid) returns json
language plpgsql set search_path = '' as $$
begin
  perform set_config('coterie.claims', p_claims::text, true), set_config('role', 'coterie_member', true);
  perform coterie.enter_device();
  if p_group not in (select coterie.my_groups()) then perform coterie.fail(403, 'not_a_member'); end if;
  return (
    select json_build_object('invites', coalesce(json_agg(json_build_object(
        'invite_id', encode(i.invite_id, 'hex'), 'created_by', i.created_by, 'created_at', coterie.rfc3339(i.created_at),
        'expires_at', coterie.rfc3339(i.expires_at), 'max_uses', i.max_uses, 'uses', i.uses, 'approval', i.approval,
        'ended_at', coterie.rfc3339(i.ended_at)) order by i.created_at, i.invite_id), '[]'))
    from coterie.invites i where i.group_id = p_group);
end $$;

create or replace function coterie.invite_revoke_v1(p_claims jsonb, p_invite bytea) returns json
language plpgsql set search_path = '' as $$
declare
  v_group uuid;
begin
  perform set_config('coterie.claims', p_claims::text, true), set_config('role', 'coterie_member', true);
  perform coterie.enter_device();
  update coterie.invites set ended_at = coalesce(ended_at, now()) where invite_id = p_invite returning group_id into v_group;
  if not found then perform coterie.fail(403, 'not_a_member'); end if;
  update coterie.joins set status = 'expired'
  where invite_id = p_invite and status in ('waiting', 'approval', 'claimed');
  perform coterie.announce(v_group, 0);
  return json_build_object('invite_id', encode(p_invite, 'hex'));
end $$;

-- The status as it is now: an open join ends with its invite, and a claim that lapsed is none.
create or replace function coterie.join_status(p_join coterie.joins) returns text
language sql stable set search_path = '' as $$
  select case
    when (p_join).status in ('waiting', 'approval', 'claimed') and (p_join).expires_at <= clock_timestamp() then 'expired'
    when (p_join).status = 'claimed' and (p_join).claimed_until <= clock_timestamp() then 'waiting'
    else (p_join).status end
$$;

create or replace function coterie.invite_join_v1(
  p_claims jsonb, p_join uuid, p_invite bytea, p_key_package bytea, p_tag bytea, p_hello bytea, p_fault text)
returns json language plpgsql set search_path = '' as $$
declare
  v_me uuid;
  v_invite coterie.invites;
  v_join coterie.joins;
  v_open uuid;
begin
  perform set_config('coterie.claims', p_claims::text, true), set_config('role', 'coterie_member', true);
  v_me := coterie.enter_device();
  select * into v_invite from coterie.hold_invite(p_invite);
  select * into v_join from coterie.joins where join_id = p_join;
  if found then
    if (v_join.device_id, v_join.invite_id, v_join.key_package, v_join.proof, v_join.hello)
       is distinct from (v_me, p_invite, p_key_package, p_tag, p_hello) then
      perform coterie.fail(409, 'join_id_reused');
    end if;
    return json_build_object('join_id', p_join, 'status', coterie.join_status(v_join));
  end if;
  if v_invite.invite_id is null or not coterie.is_alive(v_invite) then perform coterie.fail(404, 'invite_unavailable'); end if;
  if p_fault is not null then perform coterie.fail(422, p_fault); end if;
  if v_invite.group_id in (select coterie.my_groups()) then perform coterie.fail(409, 'already_member'); end if;
  select join_id into v_open from coterie.joins
  where invite_id = p_invite and device_id = v_me and status in ('waiting', 'approval', 'claimed');
  if found then perform coterie.fail(409, 'join_open', json_build_object('join_id', v_open)); end if;
  if (select count(*) from coterie.joins where invite_id = p_invite and device_id = v_me) >= 10 then
    perform coterie.fail(429, 'too_many', json_build_object('retry_after', 3600)); -- asked and taken back, again and again
  end if;
  if coterie.count_waiting(p_invite) >= 100 then
    perform coterie.fail(429, 'too_many', json_build_object('retry_after', 60));
  end if;
  insert into coterie.joins
    (join_id, group_id, device_id, user_id, source, invite_id, key_package, proof, hello, status, expires_at)
  values (p_join, v_invite.group_id, v_me, coterie.my_user(), 'link', p_invite, p_key_package, p_tag, p_hello,
    case when v_invite.approval then 'approval' else 'waiting' end, v_invite.expires_at)
  returning * into v_join; -- an id of another device's join: join_id_reused
  perform coterie.announce(v_invite.group_id, 0);
  return json_build_object('join_id', p_join, 'status', v_join.status);
end $$;

create or replace function coterie.join_json(p_join coterie.joins) returns json
language sql stable set search_path = '' as $$
  select json_build_object(
    'join_id', (p_join).join_id, 'group_id', (p_join).group_id, 'invite_id', encode((p_join).invite_id, 'hex'),
    'device_id', (p_join).device_id, 'user_id', (p_join).user_id, 'kp_hex', encode((p_join).key_package, 'hex'),
    'tag', encode((p_join).proof, 'hex'), 'hello', encode((p_join).hello, 'hex'),
    'status', coterie.join_status(p_join), 'created_at', coterie.rfc3339((p_join).created_at),
    'claimed_by', case when coterie.join_status(p_join) = 'claimed' then (p_join).claimed_by end,
    'claimed_until', case when coterie.join_status(p_join) = 'claimed' then coterie.rfc3339((p_join).claimed_until) end)
$$;

create or replace function coterie.pending() returns json
language sql stable set search_path = '' as $$
  select coalesce(json_agg(coterie.join_json(j) order by j.created_at, j.join_id), '[]')
  from coterie.joins j
  where j.group_id in (select coterie.my_groups()) and j.status in ('waiting', 'approval', 'claimed')
    and coterie.join_status(j) <> 'expired'
$$;

create or replace function coterie.invite_pending_v1(p_claims jsonb) returns json
language plpgsql set search_path = '' as $$
begin
  perform set_config('coterie.claims', p_claims::text, true), set_config('role', 'coterie_member', true);
  perform coterie.enter_device();
  return json_build_object('joins', coterie.pending());
end $$;

create or replace function coterie.invite_claim_v1(p_claims jsonb, p_join uuid, p_lapse interval, p_lockout interval)
returns json language plpgsql set search_path = '' as $$
declare
  v_me uuid;
  v_join coterie.joins;
  v_mine timestamptz;
  v_now timestamptz;
begin
  perform set_config('coterie.claims', p_claims::text, true), set_config('role', 'coterie_member', true);
  v_me := coterie.enter_device();
  select * into v_join from coterie.joins
  where join_id = p_join and group_id in (select coterie.my_groups()) for update;
  if not found then perform coterie.fail(403, 'not_a_member'); end if;
  v_now := clock_timestamp();
  if coterie.join_status(v_join) not in ('waiting', 'claimed') then perform coterie.fail(409, 'not_open'); end if;
  if v_join.status = 'claimed' and v_join.claimed_until > v_now then
    if v_join.claimed_by <> v_me then
      perform coterie.fail(409, 'already_claimed', json_build_object('claimed_until', coterie.rfc3339(v_join.claimed_until)));
    end if;
    return json_build_object('join_id', p_join, 'claimed_until', coterie.rfc3339(v_join.claimed_until)); -- a retry
  end if;
  select claimed_until into v_mine from coterie.join_claims where join_id = p_join and device_id = v_me;
  if v_mine + p_lockout > v_now then
    perform coterie.fail(429, 'too_soon',
      json_build_object('retry_after', round(extract(epoch from v_mine + p_lockout - v_now), 3)));
  end if;
  insert into coterie.join_claims (join_id, device_id, claimed_until) values (p_join, v_me, v_now + p_lapse)
  on conflict (join_id, device_id) do update set claimed_until = excluded.claimed_until;
  update coterie.joins set status = 'claimed', claimed_by = v_me, claimed_until = v_now + p_lapse where join_id = p_join;
  return json_build_object('join_id', p_join, 'claimed_until', coterie.rfc3339(v_now + p_lapse));
end $$;

create or replace function coterie.invite_cancel_v1(p_claims jsonb, p_join uuid) returns json
language plpgsql set search_path = '' as $$
declare
  v_me uuid;
  v_join coterie.joins;
begin
  perform set_config('coterie.claims', p_claims::text, true), set_config('role', 'coterie_member', true);
  v_me := coterie.enter_device();
  select * into v_join from coterie.joins where join_id = p_join and device_id = v_me for update;
  if not found then perform coterie.fail(404, 'unknown_join'); end if;
  if v_join.status in ('welcomed', 'joined') then perform coterie.fail(409, 'already_completed'); end if;
  if v_join.status in ('waiting', 'approval', 'claimed') then
    update coterie.joins set status = 'cancelled' where join_id = p_join returning * into v_join;
    perform coterie.announce(v_join.group_id, 0);
  end if;
  return json_build_object('join_id', p_join, 'status', v_join.status);
end $$;

create or replace function coterie.invite_decide_v1(p_claims jsonb, p_join uuid, p_approve boolean) returns json
language plpgsql set search_path = '' as $$
declare
  v_me uuid;
  v_join coterie.joins;
begin
  perform set_config('coterie.claims', p_claims::text, true), set_config('role', 'coterie_member', true);
  v_me := coterie.enter_device();
  select * into v_join from coterie.joins
  where join_id = p_join and group_id in (select coterie.my_groups()) for update;
  if not found then perform coterie.fail(404, 'unknown_join'); end if;
  if coterie.join_status(v_join) = 'expired' or v_join.status in ('welcomed', 'joined', 'cancelled') then
    perform coterie.fail(409, 'not_open');
  end if;
  if p_approve and v_join.status = 'approval' then
    update coterie.joins set status = 'waiting', decided_by = v_me where join_id = p_join returning * into v_join;
  elsif not p_approve and v_join.status <> 'refused' then
    update coterie.joins set status = 'refused', decided_by = v_me where join_id = p_join returning * into v_join;
  elsif p_approve and v_join.status = 'refused' then
    perform coterie.fail(409, 'not_open');
  end if;
  perform coterie.announce(v_join.group_id, 0);
  return json_build_object('join_id', p_join, 'status', coterie.join_status(v_join));
end $$;

-- For the joining device: RLS shows it its own Welcome and no other.
create or replace function coterie.poll_json(p_join coterie.joins) returns json
language sql stable set search_path = '' as $$
  select json_build_object('join_id', (p_join).join_id, 'status', coterie.join_status(p_join),
    'group_id', case when w.seq is not null then (p_join).group_id end, 'welcome_hex', encode(w.welcome, 'hex'),
    'welcome_tag', case when w.seq is not null then encode((p_join).welcome_tag, 'hex') end, 'from_seq', w.seq + 1)
  from (select) one left join coterie.welcomes w
    on (p_join).status = 'welcomed' and w.group_id = (p_join).group_id and w.device_id = (p_join).device_id
      and w.seq = (p_join).welcome_seq
$$;

create or replace function coterie.invite_poll_v1(p_claims jsonb, p_join uuid) returns json
language plpgsql set search_path = '' as $$
declare
  v_me uuid;
  v_join coterie.joins;
begin
  perform set_config('coterie.claims', p_claims::text, true), set_config('role', 'coterie_member', true);
  v_me := coterie.enter_device();
  select * into v_join from coterie.joins where join_id = p_join and device_id = v_me;
  if not found then perform coterie.fail(404, 'unknown_join'); end if;
  return coterie.poll_json(v_join);
end $$;

------------------------------------------------------------------------------------------------------------------------
-- deliver

-- What a device needs to know when its socket opens: its groups, the joins that it may complete, its own joins.
create or replace function coterie.deliver_open_v1(p_claims jsonb) returns json
language plpgsql set search_path = '' as $$
declare
  v_me uuid;
begin
  perform set_config('coterie.claims', p_claims::text, true), set_config('role', 'coterie_member', true);
  v_me := coterie.enter_device();
  update coterie.devices set last_seen = now() where device_id = v_me and last_seen < now() - interval '1 minute';
  return json_build_object(
    'device_id', v_me,
    'groups', (
      select coalesce(json_agg(json_build_object(
        'group_id', m.group_id, 'from_seq', m.from_seq, 'until_seq', m.until_seq)), '[]')
      from coterie.group_members m where m.device_id = v_me and m.joined_at is not null),
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

-- After a change of a group's roster, joins or Welcomes: what the sockets of these devices should hear of it.
create or replace function coterie.changes_v1(p_group uuid, p_devices uuid[], p_sessions text[])
returns json language plpgsql set search_path = '' as $$
begin
  perform set_config('role', 'coterie_system', true);
  return (
    with live as (select * from coterie.live_sockets(p_devices, p_sessions)),
    mine as (
      select l.device_id, l.session_id, l.alive, m.from_seq, m.until_seq, m.joined_at
      from live l join coterie.group_members m on m.group_id = p_group and m.device_id = l.device_id)
    select json_build_object(
      'members', (select coalesce(json_agg(json_build_array(
        device_id, session_id, alive, from_seq, until_seq, joined_at is not null)), '[]') from mine),
      'pending', (
        select coalesce(json_agg(coterie.join_json(j) order by j.created_at, j.join_id), '[]') from coterie.joins j
        where j.group_id = p_group and j.status in ('waiting', 'approval', 'claimed')
          and coterie.join_status(j) <> 'expired' and exists (select from mine where alive and until_seq is null)),
      'joins', (
        select coalesce(json_agg(json_build_array(l.device_id, l.session_id, coterie.poll_json(j)) order by j.created_at), '[]')
        from live l join coterie.joins j on j.device_id = l.device_id
        where l.alive and j.group_id = p_group and j.status in ('welcomed', 'refused', 'expired'))));
end $$;

------------------------------------------------------------------------------------------------------------------------
-- Embedded identity

-- The signing keys; p_kid and p_key are stored when there is none yet.
create or replace function coterie.auth_keys_v1(p_kid text, p_key text) returns json
language plpgsql set search_path = '' as $$
begin
  perform set_config('role', 'coterie_auth', true);
  perform pg_advisory_xact_lock(7237121802115);
  if not exists (select from coterie.auth_keys where retired_at is null) then
    insert into coterie.auth_keys (kid, private_key) values (p_kid, p_key);
  end if;
  return (select json_agg(json_build_object('kid', kid, 'private_key', private_key, 'retired', retired_at is not null)
    order by created_at desc) from coterie.auth_keys);
end $$;

create or replace function coterie.user_json(p_user coterie.auth_users) returns json
language sql stable set search_path = '' as $$
  select json_build_object('id', (p_user).user_id, 'aud', 'authenticated', 'role', 'authenticated', 'email', '', 'phone', '',
    'last_sign_in_at', coterie.rfc3339((p_user).last_sign_in_at), 'app_metadata', (p_user).app_metadata,
    'user_metadata', (p_user).user_metadata, 'identities', '[]'::json, 'created_at', coterie.rfc3339((p_user).created_at),
    'updated_at', coterie.rfc3339((p_user).last_sign_in_at), 'is_anonymous', (p_user).is_anonymous)
$$;

create or replace function coterie.auth_sign_up_v1(p_token_hash bytea) returns json
language plpgsql set search_path = '' as $$
declare
  v_user coterie.auth_users;
  v_session text := gen_random_uuid()::text;
begin
  perform set_config('role', 'coterie_auth', true);
  insert into coterie.auth_users (user_id, is_anonymous) values (gen_random_uuid(), true)
  returning * into v_user;
  insert into coterie.auth_sessions (session_id, user_id, method) values (v_session, v_user.user_id, 'anonymous');
  insert into coterie.auth_refresh_tokens (token_hash, session_id) values (p_token_hash, v_session);
  return json_build_object('session_id', v_session, 'method', 'anonymous', 'user', coterie.user_json(v_user));
end $$;

-- Rotates: the token is used, its child takes its place. A token may be used again as long as its child was not (the
-- answer was lost), and within p_reuse; anything else means that somebody else has it: the session ends.
-- Answers null for an unknown token or an ended session, and {"reused": true} in the case above.
create or replace function coterie.auth_refresh_v1(p_token_hash bytea, p_child_hash bytea, p_reuse interval)
returns json language plpgsql set search_path = '' as $$
declare
  v_session coterie.auth_sessions;
  v_token coterie.auth_refresh_tokens;
  v_user coterie.auth_users;
begin
  perform set_config('role', 'coterie_auth', true);
  select s.* into v_session from coterie.auth_sessions s join coterie.auth_refresh_tokens t on t.session_id = s.session_id
  where t.token_hash = p_token_hash and s.ended_at is null for update of s;
  if not found then return null; end if;
  select * into v_token from coterie.auth_refresh_tokens where token_hash = p_token_hash;
  if v_token.used_at + p_reuse < now() and exists (
      select from coterie.auth_refresh_tokens where parent_hash = p_token_hash and used_at is not null) then
    update coterie.auth_sessions set ended_at = now() where session_id = v_session.session_id;
    return json_build_object('reused', true, 'session_id', v_session.session_id);
  end if;
  update coterie.auth_refresh_tokens set used_at = coalesce(used_at, now()) where token_hash = p_token_hash;
  insert into coterie.auth_refresh_tokens (token_hash, session_id, parent_hash)
  values (p_child_hash, v_session.session_id, p_token_hash) on conflict do nothing;
  select * into v_user from coterie.auth_users where user_id = v_session.user_id;
  return json_build_object('session_id', v_session.session_id, 'method', v_session.method, 'user', coterie.user_json(v_user));
end $$;

-- p_scope: local (this session), others, global. Answers the sessions that ended.
create or replace function coterie.auth_sign_out_v1(p_claims jsonb, p_scope text) returns text[]
language plpgsql set search_path = '' as $$
declare
  v_ended text[];
begin
  perform set_config('coterie.claims', p_claims::text, true), set_config('role', 'coterie_auth', true);
  with ended as (
    update coterie.auth_sessions set ended_at = now()
    where user_id = coterie.my_user()::uuid and ended_at is null
      and case p_scope when 'local' then session_id = coterie.my_session()
                       when 'others' then session_id <> coterie.my_session() else true end
    returning session_id)
  select coalesce(array_agg(session_id), '{}') into v_ended from ended;
  return v_ended;
end $$;

-- Null when the session has ended.
create or replace function coterie.auth_user_v1(p_claims jsonb) returns json
language plpgsql set search_path = '' as $$
begin
  perform set_config('coterie.claims', p_claims::text, true), set_config('role', 'coterie_auth', true);
  return (
    select coterie.user_json(u) from coterie.auth_users u join coterie.auth_sessions s on s.user_id = u.user_id
    where u.user_id = coterie.my_user()::uuid and s.session_id = coterie.my_session() and s.ended_at is null);
end $$;

------------------------------------------------------------------------------------------------------------------------
-- Who may execute what: the service the versioned functions, the entered roles the helpers that these call.

do $execute$
declare
  v_function record;
  v_system text[] := array['fail', 'rfc3339', 'live_sockets', 'page', 'envelope', 'join_json', 'join_status', 'poll_json'];
  v_auth text[] := array['fail', 'rfc3339', 'my_user', 'my_session', 'user_json'];
begin
  for v_function in
    select p.oid::regprocedure as signature, p.proname as name
    from pg_catalog.pg_proc p where p.pronamespace = 'coterie'::regnamespace
  loop
    execute format('revoke all on function %s from public, coterie_api, coterie_member, coterie_auth, coterie_system',
      v_function.signature);
    if v_function.name like '%\_v1' then
      execute format('grant execute on function %s to coterie_api', v_function.signature);
      continue;
    end if;
    if v_function.name not in ('live_sockets', 'user_json') then
      execute format('grant execute on function %s to coterie_member', v_function.signature);
    end if;
    if v_function.name = any (v_system) then
      execute format('grant execute on function %s to coterie_system', v_function.signature);
    end if;
    if v_function.name = any (v_auth) then
      execute format('grant execute on function %s to coterie_auth', v_function.signature);
    end if;
  end loop;
end
$execute$;

reset role;
