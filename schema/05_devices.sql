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
