-- The delivery service in Postgres 15 to 18: tables, row-level security, and one function per call.
--
-- The files of this folder are one script, in the order of their names (`python -m edge_functions apply-schema`).
-- It may run any number of times; run it in one transaction, as a superuser or as a role that may create roles and
-- schemas (Supabase's `postgres` is one).
--
-- Roles. `coterie_owner` owns everything and cannot log in. The service logs in as `coterie_api`, which inherits
-- nothing: it may execute the `*_v1` functions, and each of them begins by entering one of three roles for the length of
-- the transaction: `coterie_member` (acts for one device), `coterie_auth` (the embedded identity), `coterie_system`
-- (fan-out). What these may see is decided by row-level security, so that a query which forgets a condition finds
-- nothing instead of too much.
--
-- Errors. `coterie.fail` raises SQLSTATE 'CT' + HTTP status, the message is the code of docs/protocol.md, the detail
-- its further fields as JSON. Broken constraints are translated by name in edge_functions/errors.py.
--
-- Versions. A schema has one number, below, which is raised with every change that others may meet; versions only add, so
-- that a service of an earlier version works on a later schema. A `*_v1` function keeps its parameters and what it
-- answers; one that has to differ is a `*_v2` beside it. A new column has a default or may be null.

select pg_advisory_xact_lock(7237121802114); -- two processes that start together apply one after the other

do $version$
declare
  v_version constant integer := 3; -- edge_functions/schema.py reads this line
  v_present integer := substring(
    obj_description(to_regnamespace('coterie')::oid, 'pg_namespace') from '^schema version (\d+)')::integer;
begin
  if v_present > v_version then
    raise exception 'The database has version % of the schema, which is newer than this one, %.', v_present, v_version
      using errcode = 'object_not_in_prerequisite_state';
  end if;
end
$version$;

do $roles$
declare
  v_role text;
  -- since version 16 who makes a role is its member without the right to enter it
  v_enter constant text := case when current_setting('server_version_num')::integer < 160000 then 'member' else 'set' end;
begin
  foreach v_role in array array['coterie_owner', 'coterie_api', 'coterie_member', 'coterie_auth', 'coterie_system'] loop
    if not exists (select from pg_catalog.pg_roles where rolname = v_role) then
      execute format('create role %I %s noinherit', v_role, case v_role when 'coterie_api' then 'login' else 'nologin' end);
    end if;
  end loop;
  if not pg_has_role('coterie_owner', v_enter) then
    execute format('grant coterie_owner to %I', current_user);
  end if;
  foreach v_role in array array['coterie_member', 'coterie_auth', 'coterie_system'] loop
    if not pg_has_role('coterie_api', v_role, 'member') then
      execute format('grant %I to coterie_api', v_role);
    end if;
  end loop;
  if not exists (select from pg_catalog.pg_namespace where nspname = 'coterie') then
    create schema coterie authorization coterie_owner;
  end if;
end
$roles$;

set local role coterie_owner;
set local check_function_bodies = off; -- functions are written in reading order, not in order of use

revoke all on schema coterie from public;
grant usage on schema coterie to coterie_api, coterie_member, coterie_auth, coterie_system;
alter default privileges for role coterie_owner revoke execute on functions from public;
