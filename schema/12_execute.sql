-- Who may execute what: the service the versioned functions, the entered roles the helpers that these call.

do $execute$
declare
  v_function record;
  v_system text[] := array['fail', 'rfc3339', 'live_sockets', 'page', 'envelope', 'join_json', 'join_status', 'poll_json',
    'invitations', 'acked_by_all', 'drop_bodies'];
  v_auth text[] := array['fail', 'rfc3339', 'my_user', 'my_session', 'user_json', 'session_json', 'auth_me',
    'passkey_json'];
begin
  for v_function in
    select p.oid::regprocedure as signature, p.proname as name
    from pg_catalog.pg_proc p where p.pronamespace = 'coterie'::regnamespace
  loop
    execute format('revoke all on function %s from public, coterie_api, coterie_member, coterie_auth, coterie_system',
      v_function.signature);
    if v_function.name like '%\_v1' then
      execute format('grant execute on function %s to coterie_api', v_function.signature);
      continue;
    end if;
    if v_function.name not in ('live_sockets', 'user_json', 'session_json', 'auth_me', 'passkey_json') then
      execute format('grant execute on function %s to coterie_member', v_function.signature);
    end if;
    if v_function.name = any (v_system) then
      execute format('grant execute on function %s to coterie_system', v_function.signature);
    end if;
    if v_function.name = any (v_auth) then
      execute format('grant execute on function %s to coterie_auth', v_function.signature);
    end if;
  end loop;
end
$execute$;

reset role;
