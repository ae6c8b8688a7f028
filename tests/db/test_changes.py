"""What the hub asks after a change: only what it has not told yet, so that many joins cost what each of them does."""

import json
import os
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from tests.support import mls


async def test_what_was_told_is_not_read_again(api: asyncpg.Connection, make_member: Any) -> None:
    member, joiner = await make_member(), await make_member()
    group, invite = await member.group(), os.urandom(16)
    later = datetime.now(UTC) + timedelta(days=1)
    await member.call("invite_create", invite, group, b"preview", later, 5, True)  # noqa: FBT003
    await joiner.call("invite_join", str(uuid.uuid4()), invite, mls.key_package(), b"t" * 32, b"hello", None)
    session = json.loads(member.claims)["session_id"]

    async def changes(told: list[str]) -> dict[str, Any]:
        statement = "select coterie.changes_v1($1, $2, $3, $4)"
        answer: dict[str, Any] = json.loads(
            await api.fetchval(statement, group, [member.device], [session], told)
        )
        return answer

    first = await changes([])
    [join] = first["pending"]
    assert first["news"] == [f"{join['join_id']} approval"]
    again = await changes(first["news"])
    assert (again["pending"], again["news"], again["members"]) == ([], first["news"], first["members"])

    await member.call("invite_decide", join["join_id"], True)  # noqa: FBT003
    third = await changes(first["news"])
    assert [one["status"] for one in third["pending"]] == ["waiting"]
    assert third["news"] == [f"{join['join_id']} waiting"]

    await member.call("invite_decide", join["join_id"], False)  # noqa: FBT003
    assert (await changes(third["news"]))["news"] == []


async def test_an_earlier_service_asks_without_saying_what_it_told(
    api: asyncpg.Connection, make_member: Any
) -> None:
    member = await make_member()
    answer = await api.fetchval("select coterie.changes_v1($1, $2, $3)", await member.group(), [], [])
    assert json.loads(answer)["pending"] == []
