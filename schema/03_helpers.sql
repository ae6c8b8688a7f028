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

-- Who is asking. Policies ask it for every row or statement: these have bodies that are bound to what they call when they
-- are made, so that they need no search path of their own, and one that has none is planned as part of its caller.
create or replace function coterie.my_user() returns text
language sql stable return nullif(current_setting('coterie.claims', true), '')::jsonb ->> 'sub';

create or replace function coterie.my_session() returns text
language sql stable return nullif(current_setting('coterie.claims', true), '')::jsonb ->> 'session_id';

-- The device that `enter_device` found for the claims of this transaction.
create or replace function coterie.my_device() returns uuid
language sql stable return nullif(current_setting('coterie.device', true), '')::uuid;

------------------------------------------------------------------------------------------------------------------------
-- Security definer functions: all there are. They never enter a role, and they read; the two that write say so. Each
-- table that they read has a policy for coterie_owner, because row-level security is forced on the owner too.

-- What is known about the session in the claims: its device, whether one of them has ended, and whether the device was
-- seen more than a minute ago.
do $earlier$
begin -- it had three results; these cannot be replaced
  if (select cardinality(p.proallargtypes) from pg_catalog.pg_proc p
      where p.oid = to_regprocedure('coterie.session_state()')) = 3 then
    drop function coterie.session_state();
  end if;
end
$earlier$;
create or replace function coterie.session_state(out device_id uuid, out revoked boolean, out ended boolean, out unseen boolean)
language sql stable security definer set search_path = '' as $$
  select d.device_id, d.revoked_at is not null, coalesce(
      (select a.ended_at is not null from coterie.auth_sessions a where a.session_id = me.session_id), false),
    d.last_seen < now() - interval '1 minute'
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

-- The same two for one group: where single rows are written, asking for one costs less than listing all.
create or replace function coterie.is_member(p_group uuid) returns boolean
language sql stable security definer set search_path = '' as $$
  select exists (select from coterie.group_members
    where group_id = p_group and device_id = coterie.my_device() and until_seq is null)
$$;

create or replace function coterie.has_log(p_group uuid) returns boolean
language sql stable security definer set search_path = '' as $$
  select exists (select from coterie.group_members where group_id = p_group and device_id = coterie.my_device())
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

-- Writes: ends the sessions that act or acted as a device of the caller's own user, where the identity is the embedded one.
create or replace function coterie.end_sessions(p_device uuid) returns void
language sql volatile security definer set search_path = '' as $$
  update coterie.auth_sessions a set ended_at = now()
  from coterie.device_sessions s join coterie.devices d on d.device_id = s.device_id
  where d.user_id = coterie.my_user() and (d.device_id = p_device or p_device = any (s.earlier))
    and a.session_id = s.session_id and a.ended_at is null
$$;

-- Writes: takes one key package of each device of these users, for good, or its last resort, which stays; null when it
-- has neither. A member sees the packages of others by taking them and in no other way. The users are this device's own
-- and those of whom a device is in a group with this one now, both having entered it. Revoked devices and this one are
-- left out. Rows are passed over rather than waited for, so that claims of several devices cannot wait for each other.
create or replace function coterie.take_key_packages(p_users text[], p_suite integer)
returns table (device_id uuid, user_id text, key_package bytea, last_resort boolean)
language sql volatile security definer set search_path = '' as $$
  with known as materialized (
    select u.user_id from unnest(p_users) u (user_id)
    where u.user_id = coterie.my_user() or exists (
      select from coterie.devices d
      join coterie.group_members theirs on theirs.device_id = d.device_id
      join coterie.group_members mine on mine.group_id = theirs.group_id
      where d.user_id = u.user_id and theirs.until_seq is null and theirs.joined_at is not null
        and mine.device_id = coterie.my_device() and mine.until_seq is null and mine.joined_at is not null)),
  wanted as materialized (
    select x.device_id, x.user_id from (
      select d.device_id, d.user_id, row_number() over (partition by d.user_id order by d.last_seen desc, d.device_id) as rank
      from coterie.devices d join known on known.user_id = d.user_id
      where d.revoked_at is null and d.device_id <> coterie.my_device()) x
    where x.rank <= 50),
  taken as materialized ( -- who comes at the same moment passes over a row that is being taken
    select w.device_id, k.ref, k.key_package from wanted w cross join lateral (
      select p.ref, p.key_package from coterie.key_packages p
      where p.device_id = w.device_id and p.suite = p_suite and not p.last_resort
        and p.claimed_at is null and p.not_after > clock_timestamp()
      order by p.not_after limit 1 for update skip locked) k),
  marked as (
    update coterie.key_packages k set claimed_at = clock_timestamp(), key_package = null
    from taken t where k.device_id = t.device_id and k.ref = t.ref)
  select w.device_id, w.user_id, coalesce(t.key_package, r.key_package), t.key_package is null
  from wanted w
  left join taken t on t.device_id = w.device_id
  left join coterie.key_packages r on t.device_id is null and r.device_id = w.device_id and r.suite = p_suite
    and r.last_resort and r.claimed_at is null and r.not_after > clock_timestamp()
  order by w.user_id, w.device_id
$$;
