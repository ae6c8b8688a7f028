"""What a connection as `coterie_api` can do, and what row-level security lets a member see."""

import json
import uuid
from typing import Any

import asyncpg
import pytest

TABLES = (
    "devices",
    "groups",
    "group_members",
    "messages",
    "welcomes",
    "invites",
    "joins",
    "auth_keys",
    "auth_users",
)


async def enter(api: asyncpg.Connection, member: Any) -> None:
    """Be the member inside a transaction, as the functions are."""
    await api.execute(
        "select set_config('coterie.claims', $1, true), set_config('role', 'coterie_member', true)",
        member.claims,
    )
    await api.execute("select coterie.enter_device()")


async def as_member(api: asyncpg.Connection, member: Any) -> None:
    """The same, in a transaction that the test rolls back."""
    await api.execute("begin")
    await enter(api, member)


@pytest.mark.parametrize("table", TABLES)
async def test_a_direct_connection_reads_and_writes_no_table(api: asyncpg.Connection, table: str) -> None:
    for statement in (
        f"select * from coterie.{table}",
        f"select count(*) from coterie.{table}",
        f"delete from coterie.{table}",
        f"insert into coterie.{table} default values",
        f"truncate coterie.{table}",
        f"do $$ begin lock table coterie.{table}; end $$",
        f"copy coterie.{table} to stdout",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await api.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "select coterie.my_groups()",
        "select coterie.find_invite('x')",
        "select coterie.enter_device()",
        "select coterie.session_state()",
        "select coterie.announce(gen_random_uuid(), 1)",
        "create table coterie.x ()",
        "create schema mine",
        "create role mine",
        "set role coterie_owner",
        "set role postgres",
        "drop schema coterie cascade",
        "alter role coterie_api superuser",
        "select pg_read_file('/etc/passwd')",
        "copy (select 1) to program 'id'",
    ],
)
async def test_a_direct_connection_can_do_nothing_else(api: asyncpg.Connection, statement: str) -> None:
    with pytest.raises(asyncpg.PostgresError) as caught:
        await api.execute(statement)
    assert caught.value.sqlstate == "42501"


async def test_without_claims_a_member_sees_nothing(api: asyncpg.Connection, make_member: Any) -> None:
    member = await make_member()
    await member.send(await member.group(), 1)
    async with api.transaction():
        await api.execute("set local role coterie_member")
        for table in (
            "devices",
            "groups",
            "group_members",
            "group_seq",
            "messages",
            "welcomes",
            "invites",
            "joins",
        ):
            assert await api.fetchval(f"select count(*) from coterie.{table}") == 0, table


async def test_a_member_sees_its_own_groups_and_no_others(api: asyncpg.Connection, make_member: Any) -> None:
    """No where clause anywhere: row-level security alone."""
    alice, bob = await make_member(), await make_member()
    hers, his = await alice.group(), await bob.group()
    await alice.send(hers, 1)
    await bob.send(his, 1)
    for member, group in ((alice, hers), (bob, his)):
        async with api.transaction():
            await enter(api, member)
            for table in ("groups", "group_seq", "group_members", "messages"):
                seen = await api.fetch(f"select distinct group_id::text from coterie.{table}")
                assert [row[0] for row in seen] == [group], table
            devices = await api.fetch("select device_id::text from coterie.devices")
            assert [row[0] for row in devices] == [member.device]


INSERT_MESSAGE = (
    "insert into coterie.messages"
    " (group_id, seq, epoch, kind, message_id, sender_device, body, hash, size, server_time) values "
)
FORBIDDEN = {
    "enter a group": "insert into coterie.group_members (group_id, device_id, from_seq) values ('{his}', '{alice}', 1)",
    "write into another group": INSERT_MESSAGE
    + "('{his}', 9, 0, 'application', gen_random_uuid(), '{alice}', '\\x00', sha256('\\x00'), 1, now())",
    "write as another": INSERT_MESSAGE
    + "('{hers}', 9, 0, 'application', gen_random_uuid(), '{bob}', '\\x00', sha256('\\x00'), 1, now())",
    "invite to another group": "insert into coterie.invites"
    " (invite_id, group_id, created_by, expires_at, max_uses, approval, preview)"
    " values (substr(sha256('x'), 1, 16), '{his}', '{alice}', now(), 1, false, '\\x00')",
    "leave a Welcome in another group": "insert into coterie.welcomes (group_id, device_id, seq, welcome)"
    " values ('{his}', '{alice}', 1, '\\x00')",
    "make a device for another user": "insert into coterie.devices (user_id, signature_key, name, kind)"
    " values ('somebody', sha256('k'), 'x', 'person')",
    "bind its session to another's device": "insert into coterie.device_sessions (session_id, device_id)"
    " values ('{session}', '{bob}') on conflict (session_id) do update set device_id = excluded.device_id",
    "leave a Welcome in another's name": "insert into coterie.welcomes"
    " (group_id, device_id, seq, welcome, sender_device, sender_user)"
    " values ('{hers}', '{alice}', 1, '\\x00', '{bob}', 'somebody')",
    "publish key packages for another": "insert into coterie.key_packages"
    " (device_id, ref, key_package, suite, last_resort, not_after)"
    " values ('{bob}', sha256('p'), '\\x00', 1, false, now())",
    "answer another's claim": "insert into coterie.key_package_claims (device_id, claim_id, asked, answer)"
    " values ('{bob}', gen_random_uuid(), sha256('a'), '{{}}')",
    "wait as another": "insert into coterie.joins"
    " (join_id, group_id, device_id, user_id, source, key_package, status)"
    " values (gen_random_uuid(), '{his}', '{bob}', 'x', 'direct', '\\x00', 'waiting')",
    "become the creator": "update coterie.groups set created_by = '{alice}'",
    "change what was said": "update coterie.messages set body = '\\x00'",
    "delete what was said": "delete from coterie.messages",
    "read refresh tokens": "select * from coterie.auth_refresh_tokens",
    "read the signing key": "select private_key from coterie.auth_keys",
}


@pytest.mark.parametrize("statement", FORBIDDEN.values(), ids=FORBIDDEN)
async def test_a_member_cannot_write_what_is_not_its_own(
    api: asyncpg.Connection, make_member: Any, statement: str
) -> None:
    alice, bob = await make_member(), await make_member()
    hers, his = await alice.group(), await bob.group()
    names = {
        "his": his,
        "hers": hers,
        "alice": alice.device,
        "bob": bob.device,
        "session": json.loads(alice.claims)["session_id"],
    }
    await as_member(api, alice)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await api.execute(statement.format(**names))
    await api.execute("rollback")


@pytest.mark.parametrize("table", ["groups", "group_seq", "group_members", "invites", "joins"])
async def test_updates_of_other_groups_touch_no_row(
    api: asyncpg.Connection, make_member: Any, table: str
) -> None:
    alice, bob = await make_member(), await make_member()
    his = await bob.group()
    change = {
        "groups": "group_info = '\\x00'", "group_seq": "last_seq = 5", "group_members": "until_seq = 0",
        "invites": "uses = 0", "joins": "status = 'joined'",
    }[table]  # fmt: skip
    async with api.transaction():
        await enter(api, alice)
        assert (
            await api.execute(f"update coterie.{table} set {change} where group_id = '{his}'") == "UPDATE 0"
        )


async def test_a_founder_adds_itself_once(
    api: asyncpg.Connection, owner: asyncpg.Connection, make_member: Any
) -> None:
    """A creator who was removed cannot put itself back."""
    alice = await make_member()
    group = await alice.group()
    await owner.execute(f"update coterie.group_members set until_seq = 0 where group_id = '{group}'")
    columns = "(group_id, device_id, from_seq)"
    await as_member(api, alice)
    with pytest.raises(asyncpg.PostgresError):
        await api.execute(
            f"insert into coterie.group_members {columns} values ('{group}', '{alice.device}', 1)"
        )
    await api.execute("rollback")
    async with api.transaction():
        await enter(api, alice)
        put_back = f"update coterie.group_members set until_seq = null where group_id = '{group}'"
        assert await api.execute(put_back) == "UPDATE 0"


async def test_a_welcome_is_read_by_its_device_alone(
    api: asyncpg.Connection, owner: asyncpg.Connection, make_member: Any
) -> None:
    alice, bob = await make_member(), await make_member()
    group = await alice.group()
    await owner.execute(f"insert into coterie.welcomes values ('{group}', '{bob.device}', 1, '\\x01')")
    for member, count in ((alice, 0), (bob, 1)):
        async with api.transaction():
            await enter(api, member)
            assert await api.fetchval("select count(*) from coterie.welcomes") == count


async def test_key_packages_of_others_are_neither_seen_nor_changed(
    api: asyncpg.Connection, owner: asyncpg.Connection, make_member: Any
) -> None:
    """Nor by members of the same group: they have take_key_packages, and nothing beside it."""
    alice, bob = await make_member(), await make_member()
    group = await alice.group()
    await owner.execute(
        f"insert into coterie.group_members (group_id, device_id, from_seq, joined_at)"
        f" values ('{group}', '{bob.device}', 1, now())"
    )
    await owner.execute(
        f"""insert into coterie.key_packages (device_id, ref, key_package, suite, last_resort, not_after)
            values ('{bob.device}', sha256('p'), '\\x01', 1, false, now() + interval '1 day')"""
    )
    for member, count in ((alice, 0), (bob, 1)):
        async with api.transaction():
            await enter(api, member)
            assert await api.fetchval("select count(*) from coterie.key_packages") == count
            assert await api.execute("update coterie.key_packages set claimed_at = null") == f"UPDATE {count}"
    async with api.transaction():
        await enter(api, alice)
        assert await api.execute("delete from coterie.key_packages") == "DELETE 0"


async def test_a_member_ends_the_sessions_of_its_own_user_alone(
    api: asyncpg.Connection, owner: asyncpg.Connection, make_member: Any
) -> None:
    alice, bob = await make_member(), await make_member()
    for member in (alice, bob):
        claims = json.loads(member.claims)
        await owner.execute(
            "insert into coterie.auth_users (user_id, is_anonymous) values ($1::uuid, true)", claims["sub"]
        )
        await owner.execute(
            "insert into coterie.auth_sessions (session_id, user_id, method) values ($1, $2::uuid, 'anonymous')",
            claims["session_id"],
            claims["sub"],
        )
    async with api.transaction():
        await enter(api, alice)
        for member in (alice, bob):
            await api.execute("select coterie.end_sessions($1)", member.device)
    ended = {
        row["session_id"]: row["ended_at"] is not None
        for row in await owner.fetch("select session_id, ended_at from coterie.auth_sessions")
    }
    assert ended[json.loads(alice.claims)["session_id"]]
    assert not ended[json.loads(bob.claims)["session_id"]]


async def test_the_role_ends_with_the_statement(api: asyncpg.Connection, make_member: Any) -> None:
    """A pooled connection carries nothing over to the next request."""
    member = await make_member()
    await member.group()
    assert await api.fetchval("select current_user") == "coterie_api"
    assert await api.fetchval("select nullif(current_setting('coterie.claims', true), '')") is None
    assert await api.fetchval("select nullif(current_setting('coterie.device', true), '')") is None
    with pytest.raises(asyncpg.PostgresError):
        await api.fetchval("select coterie.groups_list_v1('{}')")
    assert await api.fetchval("select current_user") == "coterie_api"


async def test_claims_of_another_user_do_not_reach_a_session_binding(make_member: Any) -> None:
    """The session is bound to a device of its own user: the same session id under another sub finds none."""
    alice = await make_member()
    claims = json.loads(alice.claims)
    alice.claims = json.dumps({**claims, "sub": str(uuid.uuid4())})
    with pytest.raises(asyncpg.PostgresError, match="device_not_registered"):
        await alice.call("groups_list")


async def test_one_commit_per_epoch_is_a_constraint(owner: asyncpg.Connection, make_member: Any) -> None:
    alice = await make_member()
    group = await alice.group()
    insert = (
        f"{INSERT_MESSAGE} ('{group}', $1, 0, 'commit', gen_random_uuid(), '{alice.device}',"
        " '\\x00', sha256('\\x00'), 1, now())"
    )
    await owner.execute(insert, 1)
    with pytest.raises(asyncpg.UniqueViolationError):
        await owner.execute(insert, 2)


async def test_a_plan_looks_groups_up_once(
    api: asyncpg.Connection, owner: asyncpg.Connection, make_member: Any
) -> None:
    """The policy on messages costs one hashed lookup per query, and an index finds the page."""
    alice = await make_member()
    group = await alice.group()
    await owner.execute(
        f"""{INSERT_MESSAGE.removesuffix(" values ")}
            select '{group}', n, 0, 'application', gen_random_uuid(), '{alice.device}',
              '\\x00', sha256('\\x00'), 1, now() from generate_series(1, 3000) n"""
    )
    await owner.execute("analyze coterie.messages")
    async with api.transaction():
        await enter(api, alice)
        plan = await api.fetch(
            f"explain select * from coterie.messages where group_id = '{group}' and seq > 10 order by seq limit 20"
        )
    text = "\n".join(row[0] for row in plan)
    assert "Index Scan using messages_pkey" in text, text
    assert "hashed SubPlan" in text, text
