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

-- The end of a group's messages in a batch: its number is moved once, as the last of those who wrote. None did: nothing.
create or replace function coterie.end_appends(p_group uuid, p_seq bigint, p_claims jsonb, p_device uuid) returns void
language plpgsql set search_path = '' as $$
declare
  v_set text; -- an assignment costs a tenth of a `perform`
begin
  if p_device is not null then
    v_set := set_config('coterie.claims', p_claims::text, true);
    v_set := set_config('coterie.device', p_device::text, true);
    update coterie.group_seq set last_seq = p_seq where group_id = p_group;
    if not found then raise exception 'The group of a batch cannot be moved.'; end if; -- the batch is rolled back
    perform coterie.announce(p_group, p_seq);
  end if;
end $$;

-- Messages of several senders that arrived together: one transaction, one flush to disk, one NOTIFY a group
-- (docs/adr/0016-appends-together.md). Parallel arrays, p_claims a JSON array, which as a whole is nobody's claims; the
-- messages of a group stand side by side, in the order in which they came.
--
-- Each is written as its own sender: claims and device are set anew before row-level security is asked about it. Only
-- what is entirely in order is written and answered; null means that send_message_v1 is to be asked, which says why (a
-- retry, an error). Among several groups one that is locked is passed over: nobody waits for another group.
create or replace function coterie.send_messages_v1(
  p_claims jsonb, p_groups uuid[], p_epochs bigint[], p_message_ids uuid[], p_counters bigint[], p_bodies bytea[])
returns json[] language plpgsql set search_path = '' as $$
declare
  v_answers json[] := array_fill(null::json, array[cardinality(p_groups)]);
  v_set text; -- as above
  v_state record;
  v_held uuid; -- the group whose lock and numbers these are
  v_seq bigint;
  v_epoch bigint;
  v_now timestamptz;
  v_last_claims jsonb; -- of who wrote last in that group
  v_last_device uuid;
begin
  perform set_config('coterie.claims', p_claims::text, true), set_config('role', 'coterie_member', true);
  for i in 1 .. cardinality(p_groups) loop
    if v_held <> p_groups[i] then
      perform coterie.end_appends(v_held, v_seq, v_last_claims, v_last_device);
      v_held := null;
      v_last_device := null;
    end if;
    v_set := set_config('coterie.claims', (p_claims -> (i - 1))::text, true);
    v_set := set_config('coterie.device', '', true);
    v_state := coterie.session_state();
    continue when v_state.device_id is null or v_state.revoked or v_state.ended;
    v_set := set_config('coterie.device', v_state.device_id::text, true);
    if v_held is null then
      if p_groups[1] = p_groups[cardinality(p_groups)] then
        select s.group_id, s.last_seq, s.epoch into v_held, v_seq, v_epoch
        from coterie.group_seq s where s.group_id = p_groups[i] for update;
      else
        select s.group_id, s.last_seq, s.epoch into v_held, v_seq, v_epoch
        from coterie.group_seq s where s.group_id = p_groups[i] for update skip locked;
      end if;
    end if;
    continue when v_held is null or v_epoch <> p_epochs[i];
    v_now := clock_timestamp();
    with added as (
      insert into coterie.messages
        (group_id, seq, epoch, kind, message_id, sender_device, body, hash, size, server_time)
      select v_held, v_seq + 1, v_epoch, 'application', p_message_ids[i], m.device_id, p_bodies[i], sha256(p_bodies[i]),
        length(p_bodies[i]), v_now
      from coterie.group_members m
      where m.group_id = v_held and m.device_id = v_state.device_id and m.until_seq is null
        and (m.counter_epoch <> v_epoch or m.counter < p_counters[i])
      on conflict do nothing -- the message_id is known
      returning sender_device)
    update coterie.group_members m set counter = p_counters[i], counter_epoch = v_epoch
    from added a where m.group_id = v_held and m.device_id = a.sender_device;
    if found then
      v_seq := v_seq + 1;
      v_last_claims := p_claims -> (i - 1);
      v_last_device := v_state.device_id;
      v_answers[i] := json_build_object('seq', v_seq, 'server_time', coterie.rfc3339(v_now));
      if v_state.unseen then perform coterie.see_device(v_state.device_id); end if;
    end if;
  end loop;
  perform coterie.end_appends(v_held, v_seq, v_last_claims, v_last_device);
  return v_answers;
end $$;
