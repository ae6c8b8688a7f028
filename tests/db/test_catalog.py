"""What the catalog says of the schema: who owns, may read, may execute what."""

import asyncio
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from edge_functions.postgres import EmbeddedPostgres
from edge_functions.schema import apply_schema

ROLES = ("coterie_owner", "coterie_api", "coterie_member", "coterie_auth", "coterie_system")
WRITERS = {"end_sessions", "hold_invite", "take_key_packages"}
"""Of these, those that lock or change rows: an update, in the words of one statement."""
DEFINERS = WRITERS | {
    "count_waiting",
    "find_invite",
    "has_log",
    "is_founder",
    "is_member",
    "my_groups",
    "my_logs",
    "session_state",
}
"""All there are: each is written to say and to do no more than its name."""

_WHO = r"\b(my_(device|groups|logs|user|session)|is_founder|is_member|has_log)\("

TABLES = {
    "auth_challenges", "auth_keys", "auth_passkeys", "auth_refresh_tokens", "auth_sessions", "auth_users",
    "device_sessions", "devices", "group_members", "group_retention", "group_seq", "groups", "invites", "join_claims",
    "joins", "key_package_claims", "key_packages", "limits", "messages", "welcomes",
}  # fmt: skip


async def rows(connection: asyncpg.Connection, statement: str) -> list[tuple[object, ...]]:
    """A query's rows as tuples."""
    return [tuple(row) for row in await connection.fetch(statement)]


async def test_row_level_security_is_on_and_forced_on_every_table(owner: asyncpg.Connection) -> None:
    tables = await rows(
        owner,
        """select relname, relrowsecurity, relforcerowsecurity from pg_class
           where relnamespace = 'coterie'::regnamespace and relkind in ('r', 'p')""",
    )
    assert {name for name, *_ in tables} == TABLES
    assert [one for one in tables if one[1:] != (True, True)] == []


async def test_there_are_no_views_or_sequences_to_get_around_it(owner: asyncpg.Connection) -> None:
    relations = "select relname from pg_class where relnamespace = 'coterie'::regnamespace"
    assert await rows(owner, f"{relations} and relkind in ('v', 'm', 'f', 'S')") == []


async def test_the_security_definer_functions_are_these_and_no_others(owner: asyncpg.Connection) -> None:
    found = await rows(
        owner,
        """select proname, provolatile, proconfig, pg_get_userbyid(proowner), prosrc from pg_proc
           where pronamespace = 'coterie'::regnamespace and prosecdef""",
    )
    assert {name for name, *_ in found} == DEFINERS
    for name, volatile, settings, owner_name, source in found:
        assert volatile == (b"v" if name in WRITERS else b"s"), name
        assert settings == ['search_path=""'], name
        assert owner_name == "coterie_owner"
        assert "set_config" not in str(source)
        words = set(str(source).lower().split())
        assert not words & {"insert", "delete", "execute"}, name
        assert "update" not in words or name in WRITERS, name


async def test_every_function_has_an_empty_search_path_and_belongs_to_the_owner(
    owner: asyncpg.Connection,
) -> None:
    """One whose body is no text (SQL's own `return`) was bound when it was made, and looks nothing up."""
    assert (
        await rows(
            owner,
            """select proname from pg_proc where pronamespace = 'coterie'::regnamespace
           and ((prosqlbody is null and proconfig is distinct from array['search_path=""'])
             or pg_get_userbyid(proowner) <> 'coterie_owner')""",
        )
        == []
    )


async def test_every_versioned_function_begins_by_entering_a_role(owner: asyncpg.Connection) -> None:
    functions = await rows(
        owner,
        "select proname, prosrc from pg_proc where pronamespace = 'coterie'::regnamespace and proname like '%\\_v1'",
    )
    assert len(functions) > 25
    for name, source in functions:
        first = str(source).split("\nbegin\n", 1)[1].splitlines()[0]
        assert "set_config('role', 'coterie_" in first, name
        if "coterie_member" in first:
            assert first.startswith("  perform set_config('coterie.claims', p_claims::text, true), "), name


async def test_nothing_is_granted_to_public_or_to_supabases_roles(owner: asyncpg.Connection) -> None:
    grants = await rows(
        owner,
        """select 'function', proname, a.grantee
           from pg_proc p, aclexplode(coalesce(proacl, acldefault('f', proowner))) a
           where pronamespace = 'coterie'::regnamespace
           union all
           select 'table', relname, a.grantee from pg_class c, aclexplode(coalesce(relacl, acldefault('r', relowner))) a
           where relnamespace = 'coterie'::regnamespace and relkind in ('r', 'p')
           union all
           select 'column', attname, a.grantee from pg_attribute t, aclexplode(attacl) a
           where attrelid in (select oid from pg_class where relnamespace = 'coterie'::regnamespace)
           union all
           select 'schema', nspname, a.grantee from pg_namespace, aclexplode(nspacl) a where nspname = 'coterie'""",
    )
    names = {row[0]: row[1] for row in await rows(owner, "select oid, rolname from pg_roles")}
    granted = {names.get(grantee, "public") for *_, grantee in grants}
    assert granted == set(ROLES)


async def test_tables_are_open_to_the_entered_roles_alone_and_nobody_may_pass_that_on(
    owner: asyncpg.Connection,
) -> None:
    """`coterie_api`, which logs in, holds nothing but functions."""
    grants = await rows(
        owner,
        """select a.grantee::regrole::text, a.is_grantable from pg_class c, aclexplode(relacl) a
           where relnamespace = 'coterie'::regnamespace and a.grantee <> relowner
           union
           select a.grantee::regrole::text, a.is_grantable from pg_attribute t, aclexplode(attacl) a
           where attrelid in (select oid from pg_class where relnamespace = 'coterie'::regnamespace)""",
    )
    assert set(grants) == {(role, False) for role in ("coterie_member", "coterie_auth", "coterie_system")}


async def test_there_are_no_triggers_and_no_rules(owner: asyncpg.Connection) -> None:
    """They would act with rights that nobody looks for there. Foreign keys have their own triggers."""
    of_ours = "(select oid from pg_class where relnamespace = 'coterie'::regnamespace)"
    assert (
        await rows(owner, f"select tgname from pg_trigger where tgrelid in {of_ours} and not tgisinternal")
        == []
    )
    assert await rows(owner, f"select rulename from pg_rewrite where ev_class in {of_ours}") == []


async def test_every_policy_of_a_member_asks_who_it_is(owner: asyncpg.Connection) -> None:
    """None is `using (true)`: each condition names the caller's device, groups, user or session."""
    policies = await rows(
        owner,
        """select tablename, policyname, qual, with_check from pg_policies
           where schemaname = 'coterie' and roles = array['coterie_member'::name]""",
    )
    assert len(policies) > 20
    for table, name, *conditions in policies:
        for condition in conditions:
            asks = re.search(_WHO, str(condition))
            assert condition is None or asks, (table, name, condition)


async def test_the_service_may_execute_the_versioned_functions_and_nothing_else(
    owner: asyncpg.Connection,
) -> None:
    executable = await rows(
        owner,
        """select proname from pg_proc where pronamespace = 'coterie'::regnamespace
           and has_function_privilege('coterie_api', oid, 'execute')""",
    )
    versioned = await rows(
        owner,
        "select proname from pg_proc where pronamespace = 'coterie'::regnamespace and proname like '%\\_v1'",
    )
    assert sorted(executable) == sorted(versioned)
    for role in ("coterie_member", "coterie_auth", "coterie_system"):
        assert (
            await rows(
                owner,
                f"""select proname from pg_proc where pronamespace = 'coterie'::regnamespace and proname like '%\\_v1'
                and has_function_privilege('{role}', oid, 'execute')""",
            )
            == []
        )


async def test_the_roles_are_what_they_should_be(owner: asyncpg.Connection) -> None:
    roles = await rows(
        owner,
        """select rolname, rolcanlogin, rolinherit or rolsuper or rolbypassrls or rolcreaterole or rolcreatedb
           from pg_roles where rolname like 'coterie\\_%'""",
    )
    assert {name: (login, powers) for name, login, powers in roles} == {
        role: (role == "coterie_api", False) for role in ROLES
    }
    members = await rows(
        owner,
        """select r.rolname, m.rolname from pg_auth_members a join pg_roles r on r.oid = a.roleid
           join pg_roles m on m.oid = a.member where r.rolname like 'coterie\\_%' and not m.rolsuper""",
    )
    assert set(members) == {
        (role, "coterie_api") for role in ("coterie_member", "coterie_auth", "coterie_system")
    }


async def test_policies_are_for_one_role_each_and_none_is_for_all(owner: asyncpg.Connection) -> None:
    policies = await rows(
        owner, "select tablename, policyname, roles::text[] from pg_policies where schemaname = 'coterie'"
    )
    for table, name, roles in policies:
        assert len(roles) == 1, (table, name)  # type: ignore[arg-type]
        assert roles[0] in ("coterie_member", "coterie_auth", "coterie_system", "coterie_owner")  # type: ignore[index]
    auth = {table for table, _, roles in policies if roles == ["coterie_auth"]}
    assert auth == {table for table in TABLES if table.startswith("auth_")}
    assert {table for table, _, roles in policies if roles == ["coterie_member"]} & auth == set()


async def test_hot_tables_lead_with_the_group(owner: asyncpg.Connection) -> None:
    leading = await rows(
        owner,
        """select c.relname, a.attname from pg_index i join pg_class c on c.oid = i.indrelid
           join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0]
           where i.indisprimary and c.relname in ('messages', 'group_members', 'group_seq', 'welcomes', 'groups')""",
    )
    assert {column for _, column in leading} == {"group_id"}


def dump(url: str) -> str:
    """pg_dump of everything in the schema, by the server's own version."""
    programs = EmbeddedPostgres(Path("unused"))._binaries
    done = subprocess.run(
        [programs / "pg_dump", "--schema-only", url], check=False, capture_output=True, text=True
    )
    if done.returncode:
        pytest.fail(done.stderr)
    return "\n".join(
        line for line in done.stdout.splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))
    )


async def _apply(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await apply_schema(connection)
    finally:
        await connection.close()


async def test_the_schema_applies_twice_without_change(database: str) -> None:
    await _apply(database)
    first = dump(database)
    connection = await asyncpg.connect(database)
    try:
        await connection.execute("comment on schema coterie is 'forgotten'")  # or it would be skipped
        await apply_schema(connection)
    finally:
        await connection.close()
    assert dump(database) == first
    assert "CREATE POLICY" in first


async def test_two_processes_apply_at_once(database: str) -> None:
    await asyncio.gather(*(_apply(database) for _ in range(4)))


async def test_it_applies_as_a_role_that_is_no_superuser(make_database: Callable[[], str]) -> None:
    """As on Supabase, whose `postgres` may create roles and schemas and no more."""
    url = make_database()
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("drop role if exists limited_admin")
        await connection.execute("create role limited_admin login createrole")
        name = await connection.fetchval("select current_database()")
        await connection.execute(f"grant create on database {name} to limited_admin")
        # roles live in the cluster and were made by the superuser of other tests: hand them over as their maker would
        for role in ROLES:
            if await connection.fetchval("select count(*) from pg_roles where rolname = $1", role):
                await connection.execute(f"grant {role} to limited_admin with admin option")
        limited = await asyncpg.connect(url.replace("postgres@", "limited_admin@", 1))
        try:
            await apply_schema(limited)
        finally:
            await limited.close()
        assert await connection.fetchval(
            "select count(*) from pg_tables where schemaname = 'coterie'"
        ) == len(TABLES)
    finally:
        await connection.execute("drop owned by limited_admin")
        for role in ROLES:
            await connection.execute(f"revoke {role} from limited_admin")
        await connection.execute("drop role limited_admin")
        await connection.close()
