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
