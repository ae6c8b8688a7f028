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
  from coterie.find_invite(p_invite) i
  where i.ended_at is null and i.expires_at > clock_timestamp() and i.uses < i.max_uses; -- is_alive's call would show
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
    from coterie.invites i where i.group_id = p_group and i.preview <> '\x00'); -- the others went (11_retention.sql)
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
  perform from coterie.joins where join_id = p_join;
  if not found then -- what cannot be used is told before a lock is taken: unknown and ended take one time
    perform from coterie.find_invite(p_invite) i
    where i.ended_at is null and i.expires_at > clock_timestamp() and i.uses < i.max_uses;
    if not found then perform coterie.fail(404, 'invite_unavailable'); end if;
  end if;
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
  where j.group_id in (
      select m.group_id from coterie.group_members m
      where m.device_id = coterie.my_device() and m.until_seq is null and m.joined_at is not null)
    and j.status in ('waiting', 'approval', 'claimed') and coterie.join_status(j) <> 'expired'
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
