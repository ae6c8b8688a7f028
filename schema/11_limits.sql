-- Limits that hold for all processes together (docs/adr/0017-limits.md): those that guard people from guessing, and the service from
-- being filled with guests.

-- Takes one from each of some budgets: p_counts[i] within p_seconds[i], all of them at once if need be, refilled
-- evenly (GCRA: one time per key says when its budget is full again). Answers how many seconds to wait, 0 when all were
-- taken. Keys are digests, in ascending order, so that two callers never wait for each other.
create or replace function coterie.limits_v1(p_keys bytea[], p_counts integer[], p_seconds float8[]) returns float8
language plpgsql set search_path = '' as $$
declare
  v_now timestamptz := clock_timestamp();
  v_period interval;
  v_step interval;
  v_free timestamptz;
  v_wait interval := '0';
begin
  perform set_config('role', 'coterie_system', true);
  for i in 1 .. cardinality(p_keys) loop
    v_period := make_interval(secs => p_seconds[i]);
    v_step := v_period / p_counts[i];
    insert into coterie.limits as l (key, free_at) values (p_keys[i], v_now + v_step)
    on conflict (key) do update set free_at = greatest(l.free_at, v_now) + v_step
      where greatest(l.free_at, v_now) + v_step <= v_now + v_period;
    if not found then
      select free_at into v_free from coterie.limits where key = p_keys[i];
      v_wait := greatest(v_wait, v_free + v_step - v_period - v_now, '1 millisecond');
    end if;
  end loop;
  return extract(epoch from v_wait);
end $$;

-- Gives one back.
create or replace function coterie.limit_back_v1(p_key bytea, p_count integer, p_seconds float8) returns void
language plpgsql set search_path = '' as $$
begin
  perform set_config('role', 'coterie_system', true);
  update coterie.limits set free_at = free_at - make_interval(secs => p_seconds) / p_count where key = p_key;
end $$;
