-- Entering: the device of the session in the claims

-- The device is here. Another call that says the same is not waited for.
create or replace function coterie.see_device(p_device uuid) returns void
language sql volatile set search_path = '' as $$
  update coterie.devices d set last_seen = now() where d.device_id in (
    select x.device_id from coterie.devices x where x.device_id = p_device for no key update skip locked)
$$;

-- Raises 401 no_session (signed out), 403 device_not_registered, 403 device_revoked.
create or replace function coterie.enter_device() returns uuid
language plpgsql set search_path = '' as $$
declare
  v_state record;
begin
  select * into v_state from coterie.session_state();
  if v_state.revoked then perform coterie.fail(403, 'device_revoked'); end if; -- first: it has ended the session too
  if v_state.ended then perform coterie.fail(401, 'no_session'); end if;
  if v_state.device_id is null then perform coterie.fail(403, 'device_not_registered'); end if;
  perform set_config('coterie.device', v_state.device_id::text, true);
  if v_state.unseen then perform coterie.see_device(v_state.device_id); end if;
  return v_state.device_id;
end $$;

-- Says that the log of a group has grown to p_seq; 0: its roster, its joins or its Welcomes have changed.
create or replace function coterie.announce(p_group uuid, p_seq bigint) returns void
language sql volatile set search_path = '' as $$
  select pg_notify('coterie', p_group::text || ':' || p_seq::text)
$$;

-- Says to the sockets of a user's devices that these have changed: one word for all, however many they are.
create or replace function coterie.announce_devices() returns void
language sql volatile set search_path = '' as $$
  select pg_notify('coterie', 'user:' || coterie.my_user())
$$;

------------------------------------------------------------------------------------------------------------------------
-- Devices

create or replace function coterie.device_register_v1(p_claims jsonb, p_key bytea, p_name text, p_kind text)
returns json language plpgsql set search_path = '' as $$
declare
  v_state record;
  v_device coterie.devices;
begin
  perform set_config('coterie.claims', p_claims::text, true), set_config('role', 'coterie_member', true);
  select * into v_state from coterie.session_state();
  if v_state.revoked then perform coterie.fail(403, 'device_revoked'); end if; -- it may not come back under another key
  if v_state.ended then perform coterie.fail(401, 'no_session'); end if;
  perform pg_advisory_xact_lock(hashtextextended(encode(p_key, 'hex'), 1)); -- two retries at once make one device
  select * into v_device from coterie.devices d where d.signature_key = p_key and d.user_id = coterie.my_user();
  if not found then
    if (select count(*) from coterie.devices d where d.user_id = coterie.my_user()) >= 500 then -- they are kept for ever
      perform coterie.fail(409, 'too_many_devices');
    end if;
    insert into coterie.devices (user_id, signature_key, name, kind)
    values (coterie.my_user(), p_key, p_name, p_kind) returning * into v_device; -- another user's key: key_in_use
    perform coterie.announce_devices();
  elsif v_device.revoked_at is not null then
    perform coterie.fail(403, 'device_revoked');
  else
    update coterie.devices d set name = p_name, kind = p_kind, last_seen = now() where d.device_id = v_device.device_id;
    if (v_device.name, v_device.kind) <> (p_name, p_kind) then perform coterie.announce_devices(); end if;
  end if;
  insert into coterie.device_sessions as s (session_id, device_id) values (coterie.my_session(), v_device.device_id)
  on conflict (session_id) do update set device_id = excluded.device_id, earlier = case
    when s.device_id = excluded.device_id or s.device_id = any (s.earlier) then s.earlier
    else array_append(s.earlier, s.device_id) end;
  return json_build_object('device_id', v_device.device_id, 'user_id', v_device.user_id);
end $$;

create or replace function coterie.devices_list_v1(p_claims jsonb) returns json
language plpgsql set search_path = '' as $$
declare
  v_me uuid;
begin
  perform set_config('coterie.claims', p_claims::text, true), set_config('role', 'coterie_member', true);
  v_me := coterie.enter_device();
  return (
    select json_build_object('devices', json_agg(json_build_object(
        'device_id', d.device_id, 'name', d.name, 'kind', d.kind, 'created_at', coterie.rfc3339(d.created_at),
        'last_seen', coterie.rfc3339(d.last_seen), 'current', d.device_id = v_me,
        'revoked_at', coterie.rfc3339(d.revoked_at),
        'key_packages', coterie.key_package_stock(d.device_id) -> 'available') order by d.created_at, d.device_id))
    from coterie.devices d where d.user_id = coterie.my_user());
end $$;

create or replace function coterie.device_revoke_v1(p_claims jsonb, p_device uuid) returns json
language plpgsql set search_path = '' as $$
declare
  v_at timestamptz;
  v_groups uuid[];
begin
  perform set_config('coterie.claims', p_claims::text, true), set_config('role', 'coterie_member', true);
  perform coterie.enter_device();
  update coterie.devices d set revoked_at = coalesce(d.revoked_at, clock_timestamp())
  where d.device_id = p_device and d.user_id = coterie.my_user() returning d.revoked_at into v_at;
  if not found then perform coterie.fail(404, 'unknown_device'); end if;
  perform coterie.end_sessions(p_device);
  -- The rest is what the policies let that device alone do. It is this user's, so it is done in its name.
  perform set_config('coterie.device', p_device::text, true);
  delete from coterie.key_packages where device_id = p_device;
  with ended as (
    update coterie.joins set status = 'cancelled'
    where device_id = p_device and status in ('waiting', 'approval', 'claimed') returning group_id)
  select array_agg(distinct group_id) into v_groups from ended;
  perform coterie.announce_devices(), (select count(coterie.announce(g, 0)) from unnest(v_groups) g);
  return json_build_object('device_id', p_device, 'revoked_at', coterie.rfc3339(v_at));
end $$;
