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
