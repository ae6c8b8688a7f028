-- Embedded identity

-- The signing keys, for a service that knows nothing of their succession; p_kid and p_key are stored when there is none yet.
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

-- The signing keys, the last one first, with the seconds until each signs and until it signs no more; [] before the first.
-- p_token_life: of the tokens that the caller signs. A key is dropped when the last token that it signed has ended, and
-- p_grace later, because a process may learn late that another key signs.
create or replace function coterie.auth_signing_keys_v1(p_token_life interval, p_grace interval) returns json
language plpgsql set search_path = '' as $$
begin
  perform set_config('role', 'coterie_auth', true);
  delete from coterie.auth_keys where retired_at + token_life + p_grace < now();
  update coterie.auth_keys set token_life = p_token_life
  where token_life < p_token_life and (retired_at is null or retired_at > now());
  return (select coalesce(json_agg(json_build_object('kid', kid, 'private_key', private_key,
      'signs_in', extract(epoch from signs_from - now()), 'ends_in', extract(epoch from retired_at - now()),
      'refresh_secret', encode(refresh_secret, 'hex')) order by signs_from desc), '[]')
    from coterie.auth_keys);
end $$;

-- A successor for the signing key, unless that has signed for less than p_age, or has a successor that waits. It signs
-- p_lead from now on (the first key at once) and inherits p_secret. Answers whether p_key was taken.
create or replace function coterie.auth_rotate_keys_v1(
  p_kid text, p_key text, p_secret bytea, p_age interval, p_lead interval, p_token_life interval) returns boolean
language plpgsql set search_path = '' as $$
declare
  v_last timestamptz;
  v_from timestamptz := now();
begin
  perform set_config('role', 'coterie_auth', true);
  perform pg_advisory_xact_lock(7237121802115); -- of several processes one makes it
  select max(signs_from) into v_last from coterie.auth_keys where retired_at is null;
  if v_last + p_age > now() then return false; end if;
  if v_last is not null then v_from := now() + p_lead; end if;
  update coterie.auth_keys set retired_at = v_from where retired_at is null;
  insert into coterie.auth_keys (kid, private_key, signs_from, token_life, refresh_secret)
  values (p_kid, p_key, v_from, p_token_life, p_secret);
  return true;
end $$;

create or replace function coterie.user_json(p_user coterie.auth_users) returns json
language sql stable set search_path = '' as $$
  select json_build_object('id', (p_user).user_id, 'aud', 'authenticated', 'role', 'authenticated', 'email', '', 'phone', '',
    'last_sign_in_at', coterie.rfc3339((p_user).last_sign_in_at), 'app_metadata', (p_user).app_metadata,
    'user_metadata', (p_user).user_metadata, 'identities', '[]'::json, 'created_at', coterie.rfc3339((p_user).created_at),
    'updated_at', coterie.rfc3339((p_user).last_sign_in_at), 'is_anonymous', (p_user).is_anonymous)
$$;

-- What a token says of a session; `signed_in_at` (seconds since 1970) stays the same when it is renewed.
create or replace function coterie.session_json(p_session text) returns json
language sql stable set search_path = '' as $$
  select json_build_object('session_id', s.session_id, 'method', s.method,
    'signed_in_at', floor(extract(epoch from s.created_at))::bigint, 'user', coterie.user_json(u))
  from coterie.auth_sessions s join coterie.auth_users u on u.user_id = s.user_id where s.session_id = p_session
$$;

create or replace function coterie.auth_sign_up_v1(p_token_hash bytea) returns json
language plpgsql set search_path = '' as $$
declare
  v_user uuid := gen_random_uuid();
  v_session text := gen_random_uuid()::text;
begin
  perform set_config('role', 'coterie_auth', true);
  insert into coterie.auth_users (user_id, is_anonymous) values (v_user, true);
  insert into coterie.auth_sessions (session_id, user_id, method) values (v_session, v_user, 'anonymous');
  insert into coterie.auth_refresh_tokens (token_hash, session_id) values (p_token_hash, v_session);
  return coterie.session_json(v_session);
end $$;

-- Rotates: the token is used, its child takes its place. A token may be used again as long as its child was not (the
-- answer was lost), and within p_reuse; anything else means that somebody else has it: the session ends.
-- Answers null for an unknown token or an ended session, and {"reused": true} in the case above.
create or replace function coterie.auth_refresh_v1(p_token_hash bytea, p_child_hash bytea, p_reuse interval)
returns json language plpgsql set search_path = '' as $$
declare
  v_session coterie.auth_sessions;
  v_token coterie.auth_refresh_tokens;
begin
  perform set_config('role', 'coterie_auth', true);
  select s.* into v_session from coterie.auth_sessions s join coterie.auth_refresh_tokens t on t.session_id = s.session_id
  where t.token_hash = p_token_hash and s.ended_at is null for update of s;
  if not found then return null; end if;
  select * into v_token from coterie.auth_refresh_tokens where token_hash = p_token_hash;
  if v_token.used_at + p_reuse < now() and exists (
      select from coterie.auth_refresh_tokens where parent_hash = p_token_hash and used_at is not null) then
    update coterie.auth_sessions set ended_at = now() where session_id = v_session.session_id;
    perform pg_notify('coterie', 'session:' || v_session.session_id);
    return json_build_object('reused', true, 'session_id', v_session.session_id);
  end if;
  update coterie.auth_refresh_tokens set used_at = coalesce(used_at, now()) where token_hash = p_token_hash;
  insert into coterie.auth_refresh_tokens (token_hash, session_id, parent_hash)
  values (p_child_hash, v_session.session_id, p_token_hash) on conflict do nothing;
  return coterie.session_json(v_session.session_id);
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
  perform pg_notify('coterie', 'session:' || s) from unnest(v_ended) s; -- every process closes its sockets of these
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
-- Passkeys. Functions that take claims answer null when the session has ended, and {"error": code} where they refuse.

-- The user of the claims while the session lasts, locked: one change of a user's passkeys at a time.
create or replace function coterie.auth_me() returns setof coterie.auth_users
language sql volatile set search_path = '' as $$
  select u.* from coterie.auth_users u join coterie.auth_sessions s on s.user_id = u.user_id
  where u.user_id = coterie.my_user()::uuid and s.session_id = coterie.my_session() and s.ended_at is null
  for no key update of u
$$;

create or replace function coterie.passkey_json(p_passkey coterie.auth_passkeys) returns json
language sql stable set search_path = '' as $$
  select json_strip_nulls(json_build_object('id', (p_passkey).passkey_id, 'friendly_name', (p_passkey).friendly_name,
    'created_at', coterie.rfc3339((p_passkey).created_at), 'last_used_at', coterie.rfc3339((p_passkey).last_used_at)))
$$;

-- A challenge to register with, or, without claims, to sign in with. `credentials` are those that the user has.
create or replace function coterie.auth_challenge_v1(p_claims jsonb, p_challenge bytea, p_life interval) returns json
language plpgsql set search_path = '' as $$
declare
  v_me coterie.auth_users;
  v_challenge coterie.auth_challenges;
begin
  perform set_config('coterie.claims', p_claims::text, true), set_config('role', 'coterie_auth', true);
  select * into v_me from coterie.auth_me();
  if p_claims is not null and not found then return null; end if;
  insert into coterie.auth_challenges (user_id, challenge, expires_at)
  values (v_me.user_id, p_challenge, now() + p_life) returning * into v_challenge;
  return json_build_object('challenge_id', v_challenge.challenge_id,
    'expires_at', floor(extract(epoch from v_challenge.expires_at))::bigint, 'user_id', v_me.user_id, 'credentials',
    (select coalesce(json_agg(encode(credential_id, 'hex')), '[]') from coterie.auth_passkeys
     where user_id = v_me.user_id));
end $$;

-- Takes a challenge away, once; null when there is none of this id for this user (without claims: to sign in with). With
-- it comes what is known of the credential that answers it.
create or replace function coterie.auth_challenge_take_v1(p_claims jsonb, p_challenge_id uuid, p_credential_id bytea)
returns json language plpgsql set search_path = '' as $$
declare
  v_challenge coterie.auth_challenges;
begin
  perform set_config('coterie.claims', p_claims::text, true), set_config('role', 'coterie_auth', true);
  delete from coterie.auth_challenges
  where challenge_id = p_challenge_id and user_id is not distinct from coterie.my_user()::uuid returning * into v_challenge;
  if not found then return null; end if;
  return json_build_object('challenge', encode(v_challenge.challenge, 'hex'), 'expired', v_challenge.expires_at <= now(),
    'passkey', (select json_build_object('user_id', user_id, 'public_key', encode(public_key, 'hex'),
        'sign_count', sign_count)
      from coterie.auth_passkeys where credential_id = p_credential_id));
end $$;

-- Keeps a passkey whose registration was verified. A guest becomes a user by it, with the same id.
create or replace function coterie.auth_passkey_add_v1(
  p_claims jsonb, p_credential_id bytea, p_public_key bytea, p_sign_count bigint, p_name text) returns json
language plpgsql set search_path = '' as $$
declare
  v_me coterie.auth_users;
  v_passkey coterie.auth_passkeys;
begin
  perform set_config('coterie.claims', p_claims::text, true), set_config('role', 'coterie_auth', true);
  select * into v_me from coterie.auth_me();
  if not found then return null; end if;
  if (select count(*) from coterie.auth_passkeys where user_id = v_me.user_id) >= 10 then
    return json_build_object('error', 'too_many_passkeys');
  end if;
  insert into coterie.auth_passkeys (user_id, credential_id, public_key, sign_count, friendly_name)
  values (v_me.user_id, p_credential_id, p_public_key, p_sign_count, p_name)
  on conflict (credential_id) do nothing returning * into v_passkey;
  if not found then return json_build_object('error', 'webauthn_credential_exists'); end if;
  update coterie.auth_users set is_anonymous = false where user_id = v_me.user_id and is_anonymous;
  return coterie.passkey_json(v_passkey);
end $$;

create or replace function coterie.auth_passkeys_v1(p_claims jsonb) returns json
language plpgsql set search_path = '' as $$
begin
  perform set_config('coterie.claims', p_claims::text, true), set_config('role', 'coterie_auth', true);
  return (select coalesce((select json_agg(coterie.passkey_json(p) order by p.created_at) from coterie.auth_passkeys p
                           where p.user_id = me.user_id), '[]') from coterie.auth_me() me);
end $$;

create or replace function coterie.auth_passkey_rename_v1(p_claims jsonb, p_passkey_id uuid, p_name text) returns json
language plpgsql set search_path = '' as $$
declare
  v_me coterie.auth_users;
  v_passkey coterie.auth_passkeys;
begin
  perform set_config('coterie.claims', p_claims::text, true), set_config('role', 'coterie_auth', true);
  select * into v_me from coterie.auth_me();
  if not found then return null; end if;
  update coterie.auth_passkeys set friendly_name = p_name
  where passkey_id = p_passkey_id and user_id = v_me.user_id returning * into v_passkey;
  if not found then return json_build_object('error', 'passkey_not_found'); end if;
  return coterie.passkey_json(v_passkey);
end $$;

-- The last one stays: there would be no way in any more.
create or replace function coterie.auth_passkey_remove_v1(p_claims jsonb, p_passkey_id uuid) returns json
language plpgsql set search_path = '' as $$
declare
  v_me coterie.auth_users;
begin
  perform set_config('coterie.claims', p_claims::text, true), set_config('role', 'coterie_auth', true);
  select * into v_me from coterie.auth_me();
  if not found then return null; end if;
  if not exists (select from coterie.auth_passkeys where passkey_id = p_passkey_id and user_id = v_me.user_id) then
    return json_build_object('error', 'passkey_not_found');
  end if;
  if (select count(*) from coterie.auth_passkeys where user_id = v_me.user_id) = 1 then
    return json_build_object('error', 'single_identity_not_deletable');
  end if;
  delete from coterie.auth_passkeys where passkey_id = p_passkey_id;
  return '{}'::json;
end $$;

-- A session for whoever proved to hold a passkey. Null when it was removed meanwhile, or its counter did not rise: then
-- there is a copy of it, or two answers came at once.
create or replace function coterie.auth_passkey_sign_in_v1(p_credential_id bytea, p_sign_count bigint, p_token_hash bytea)
returns json language plpgsql set search_path = '' as $$
declare
  v_user uuid;
  v_session text := gen_random_uuid()::text;
begin
  perform set_config('role', 'coterie_auth', true);
  update coterie.auth_passkeys set sign_count = p_sign_count, last_used_at = now()
  where credential_id = p_credential_id and (p_sign_count > sign_count or (p_sign_count = 0 and sign_count = 0))
  returning user_id into v_user;
  if not found then return null; end if;
  update coterie.auth_users set last_sign_in_at = now() where user_id = v_user;
  insert into coterie.auth_sessions (session_id, user_id, method) values (v_session, v_user, 'passkey');
  insert into coterie.auth_refresh_tokens (token_hash, session_id) values (p_token_hash, v_session);
  return coterie.session_json(v_session);
end $$;
