-- Key packages

-- What is left of a device's own, and from where on it should publish more.
create or replace function coterie.key_package_stock(p_device uuid) returns json
language sql stable set search_path = '' as $$
  select json_build_object('available', count(*) filter (where not last_resort),
    'last_resort', count(*) filter (where last_resort) > 0, 'refill_below', 25)
  from coterie.key_packages where device_id = p_device and claimed_at is null and not_after > clock_timestamp()
$$;

-- Parallel arrays, one element for each package. p_indexes: its place in the request, null for the last resort.
-- p_faults: what the caller found, or null; where there is one, the other elements may be null.
create or replace function coterie.key_packages_publish_v1(
  p_claims jsonb, p_indexes integer[], p_faults text[], p_refs bytea[], p_packages bytea[], p_suites integer[],
  p_keys bytea[], p_identities bytea[], p_not_after timestamptz[])
returns json language plpgsql set search_path = '' as $$
declare
  v_me coterie.devices;
  v_refused json;
  v_before json;
begin
  perform set_config('coterie.claims', p_claims::text, true), set_config('role', 'coterie_member', true);
  perform coterie.enter_device();
  select * into v_me from coterie.devices where device_id = coterie.my_device() for no key update; -- one at a time
  if v_me.revoked_at is not null then perform coterie.fail(403, 'device_revoked'); end if;
  select json_agg(json_build_object('index', x.index, 'reason', x.reason) order by x.index nulls last) into v_refused
  from (
    select p.index, coalesce(p.fault, case when (p.key, p.identity) is distinct from
        (v_me.signature_key, convert_to(v_me.user_id || '#' || v_me.device_id, 'UTF8')) then 'wrong_device' end) as reason
    from unnest(p_indexes, p_faults, p_keys, p_identities) p (index, fault, key, identity)) x
  where x.reason is not null;
  if v_refused is not null then
    perform coterie.fail(422, 'bad_key_packages', json_build_object('refused', v_refused));
  end if;
  v_before := coterie.key_package_stock(v_me.device_id);
  delete from coterie.key_packages where device_id = v_me.device_id and not_after <= clock_timestamp();
  with fresh as (
    insert into coterie.key_packages (device_id, ref, key_package, suite, last_resort, not_after)
    select v_me.device_id, p.ref, p.package, p.suite, p.index is null, p.not_after
    from unnest(p_indexes, p_refs, p_packages, p_suites, p_not_after) p (index, ref, package, suite, not_after)
    on conflict (device_id, ref) do nothing returning suite, last_resort)
  update coterie.key_packages k set claimed_at = now(), key_package = null -- older than the statement: replaced
  from fresh where fresh.last_resort and k.device_id = v_me.device_id and k.last_resort and k.suite = fresh.suite
    and k.claimed_at is null;
  if (coterie.key_package_stock(v_me.device_id) ->> 'available')::integer > 200 then
    perform coterie.fail(409, 'key_packages_full', json_build_object('available', v_before -> 'available'));
  end if;
  return coterie.key_package_stock(v_me.device_id);
end $$;

create or replace function coterie.key_packages_count_v1(p_claims jsonb) returns json
language plpgsql set search_path = '' as $$
begin
  perform set_config('coterie.claims', p_claims::text, true), set_config('role', 'coterie_member', true);
  return coterie.key_package_stock(coterie.enter_device());
end $$;

-- p_users in ascending order, without repeats.
create or replace function coterie.key_packages_claim_v1(p_claims jsonb, p_claim uuid, p_users text[], p_suite integer)
returns json language plpgsql set search_path = '' as $$
declare
  v_me uuid;
  v_asked bytea := sha256(convert_to(p_suite || '#' || array_to_string(p_users, '#'), 'UTF8'));
  v_old coterie.key_package_claims;
  v_answer json;
begin
  perform set_config('coterie.claims', p_claims::text, true), set_config('role', 'coterie_member', true);
  v_me := coterie.enter_device();
  perform pg_advisory_xact_lock(hashtextextended(v_me::text || p_claim::text, 4)); -- two retries at once are one claim
  delete from coterie.key_package_claims where device_id = v_me and created_at < now() - interval '1 day';
  select * into v_old from coterie.key_package_claims where device_id = v_me and claim_id = p_claim;
  if found then
    if v_old.asked <> v_asked then perform coterie.fail(409, 'claim_id_reused'); end if;
    return v_old.answer;
  end if;
  select json_build_object(
      'key_packages', coalesce(json_agg(json_build_object('device_id', t.device_id, 'user_id', t.user_id,
          'key_package', encode(t.key_package, 'hex'), 'last_resort', t.last_resort) order by t.user_id, t.device_id)
        filter (where t.key_package is not null), '[]'),
      'missing', coalesce(json_agg(json_build_object('device_id', t.device_id, 'user_id', t.user_id)
        order by t.user_id, t.device_id) filter (where t.key_package is null), '[]'))
    into v_answer from coterie.take_key_packages(p_users, p_suite) t;
  perform pg_notify('coterie', 'packages:' || (one ->> 'device_id')) -- their sockets count, and say when few are left
  from json_array_elements(v_answer -> 'key_packages') one;
  insert into coterie.key_package_claims (device_id, claim_id, asked, answer) values (v_me, p_claim, v_asked, v_answer);
  return v_answer;
end $$;
