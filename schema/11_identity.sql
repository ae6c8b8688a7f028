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
