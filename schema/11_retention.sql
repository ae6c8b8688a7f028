-- Retention (docs/adr/0018-retention.md): what nobody needs any more goes, in batches, as coterie_system. Each call is one small transaction; two
-- processes that sweep at once take turns. Rows that somebody holds are left for the next sweep.

-- The last seq of a group that every device which may have it has acknowledged: all of it when nobody is left. A device
-- that was added and never joined holds back what comes after its Welcome; a revoked one holds back nothing.
create or replace function coterie.acked_by_all(p_group uuid) returns bigint
language sql stable set search_path = '' as $$
  select coalesce(min(greatest(m.acked_seq, m.from_seq - 1)), 9007199254740991)
  from coterie.group_members m join coterie.devices d on d.device_id = m.device_id
  where m.group_id = p_group and m.until_seq is null and d.revoked_at is null
$$;

-- Drops the bodies at the beginning of a group's log, at most p_batch, and remembers how far it came. p_all null: never
-- what somebody has not acknowledged. Seq, hash, size and message_id stay, so that retries are answered as before.
create or replace function coterie.drop_bodies(p_group uuid, p_acked interval, p_all interval, p_batch integer)
returns bigint language plpgsql set search_path = '' as $$
declare
  v_done bigint := coalesce((select dropped_seq from coterie.group_retention where group_id = p_group), 0);
  v_acked bigint := coterie.acked_by_all(p_group);
  v_first bigint;
  v_next bigint;
begin
  select min(x.seq), max(x.seq) into v_first, v_next from (
    select m.seq, bool_and(m.server_time < now() - p_all is true or (m.seq <= v_acked and m.server_time < now() - p_acked))
        over (order by m.seq) as over_it -- the beginning of the log up to the first that stays
    from (select seq, server_time from coterie.messages
          where group_id = p_group and seq > v_done order by seq limit p_batch) m) x
  where x.over_it;
  if v_first is null then return 0; end if;
  update coterie.messages set body = null where group_id = p_group and seq between v_first and v_next;
  insert into coterie.group_retention (group_id, dropped_seq) values (p_group, v_next)
  on conflict (group_id) do update set dropped_seq = excluded.dropped_seq;
  return v_next - v_first + 1;
end $$;

-- One batch, of the groups after p_after. Answers how many rows went, by kind, and `next`: the group to go on after, null
-- when there is none. Null when another process sweeps.
--   p_acked    ciphertext that all have acknowledged stays so long
--   p_all      any ciphertext; null: for ever
--   p_spent    finished joins, ended invites, sessions that ended
--   p_welcome  Welcomes that nobody fetched, and what else waits for their devices
create or replace function coterie.retention_v1(
  p_acked interval, p_all interval, p_spent interval, p_welcome interval, p_after uuid, p_batch integer)
returns json language plpgsql set search_path = '' as $$
declare
  v_group uuid;
  v_next uuid := p_after;
  v_groups integer := 0;
  v_bodies bigint;
  v_messages bigint := 0;
  v_welcomes bigint;
  v_joins bigint;
  v_invites bigint;
  v_sessions bigint;
  v_packages bigint;
  v_claims bigint;
  v_limits bigint;
begin
  perform set_config('role', 'coterie_system', true);
  if not pg_try_advisory_xact_lock(7237121802116) then return null; end if;
  for v_group in select group_id from coterie.groups where group_id > p_after order by group_id limit p_batch loop
    v_bodies := coterie.drop_bodies(v_group, p_acked, p_all, p_batch - v_messages::integer);
    v_messages := v_messages + v_bodies;
    exit when v_messages >= p_batch; -- this group again
    v_next := v_group;
    v_groups := v_groups + 1;
  end loop;
  if v_groups < p_batch and v_messages < p_batch then v_next := null; end if;

  delete from coterie.welcomes w where (w.group_id, w.device_id, w.seq) in (
    select o.group_id, o.device_id, o.seq from coterie.welcomes o
    join coterie.group_members m on m.group_id = o.group_id and m.device_id = o.device_id
    where m.until_seq is not null or o.seq + 1 < m.from_seq -- out again, or added anew since
      or o.created_at < now() - p_welcome
    limit p_batch for update of o skip locked);
  get diagnostics v_welcomes = row_count;

  delete from coterie.joins where join_id in (
    select j.join_id from coterie.joins j
    where (j.created_at < now() - p_welcome and not exists ( -- what it says is needed to open its Welcome
        select from coterie.welcomes w where w.group_id = j.group_id and w.device_id = j.device_id))
      or (j.created_at < now() - p_spent and (j.status in ('joined', 'refused', 'expired', 'cancelled')
        or (j.status <> 'welcomed' and j.expires_at < now())))
    limit p_batch for update skip locked);
  get diagnostics v_joins = row_count;

  -- The id stays: made anew by who knows the link, it would lead old links into a group of theirs.
  update coterie.invites set preview = '\x00' where invite_id in (
    select invite_id from coterie.invites
    where least(ended_at, expires_at) < now() - p_spent and preview <> '\x00'
    limit p_batch for update skip locked);
  get diagnostics v_invites = row_count;

  delete from coterie.device_sessions where session_id in (
    select s.session_id from coterie.device_sessions s join coterie.auth_sessions a on a.session_id = s.session_id
    where a.ended_at < now() - p_spent limit p_batch for update of s skip locked);
  get diagnostics v_sessions = row_count;

  delete from coterie.key_packages where (device_id, ref) in (
    select device_id, ref from coterie.key_packages -- one that was given out too: until then it could be published again
    where not_after < now() limit p_batch for update skip locked);
  get diagnostics v_packages = row_count;

  delete from coterie.key_package_claims where (device_id, claim_id) in ( -- the next claim of the device does it too
    select device_id, claim_id from coterie.key_package_claims
    where created_at < now() - interval '1 day' limit p_batch for update skip locked);
  get diagnostics v_claims = row_count;

  delete from coterie.limits where key in (
    select key from coterie.limits where free_at < now() limit p_batch for update skip locked);
  get diagnostics v_limits = row_count;

  return json_build_object('next', v_next, 'messages', v_messages, 'welcomes', v_welcomes, 'joins', v_joins,
    'invites', v_invites, 'sessions', v_sessions, 'key_packages', v_packages,
    'claims', v_claims, 'limits', v_limits);
end $$;

-- The embedded identity's share: sessions that ended (a day later than above, so that what belongs to them has gone),
-- refresh tokens whose successor was used, challenges that nobody answered, and guests who can never sign in again.
create or replace function coterie.auth_retention_v1(p_spent interval, p_batch integer) returns json
language plpgsql set search_path = '' as $$
declare
  v_sessions bigint;
  v_tokens bigint;
  v_challenges bigint;
  v_users bigint;
begin
  perform set_config('role', 'coterie_auth', true);
  if not pg_try_advisory_xact_lock(7237121802117) then return null; end if;
  delete from coterie.auth_sessions where session_id in (
    select session_id from coterie.auth_sessions where ended_at < now() - p_spent - interval '1 day'
    limit p_batch for update skip locked);
  get diagnostics v_sessions = row_count;
  delete from coterie.auth_refresh_tokens where token_hash in (
    select t.token_hash from coterie.auth_refresh_tokens t
    join coterie.auth_refresh_tokens c on c.parent_hash = t.token_hash
    where t.used_at < now() - p_spent and c.used_at < now() - p_spent limit p_batch for update of t skip locked);
  get diagnostics v_tokens = row_count;
  delete from coterie.auth_challenges where challenge_id in (
    select challenge_id from coterie.auth_challenges where expires_at < now() limit p_batch for update skip locked);
  get diagnostics v_challenges = row_count;
  delete from coterie.auth_users where user_id in (
    select user_id from coterie.auth_users u
    where is_anonymous and last_sign_in_at < now() - p_spent - interval '1 day'
      and not exists (select from coterie.auth_sessions s where s.user_id = u.user_id)
    limit p_batch for update skip locked);
  get diagnostics v_users = row_count;
  return json_build_object('auth_sessions', v_sessions, 'refresh_tokens', v_tokens,
    'challenges', v_challenges, 'guests', v_users);
end $$;
