"""Invites and joins: who holds the link waits, one member adds them, once."""

import asyncio
import hmac
import secrets
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import mls
from tests.support.caller import Answer, Device, Group, Join, from_now, invite_body, join_body, new_id
from tests.support.server import Service, execute

UNAVAILABLE = {
    "code": "invite_unavailable",
    "error": "This invite cannot be used.",
    "message": "This invite cannot be used.",
}


async def people(service: Service, count: int) -> list[Device]:
    """Guests with devices."""
    return list(await asyncio.gather(*(Device.guest(service.url) for _ in range(count))))


async def group_of(service: Service, count: int) -> tuple[Group, list[Device]]:
    """A group whose first member made it."""
    devices = await people(service, count)
    group = await devices[0].create_group()
    if count > 1:
        await devices[0].add(group, *devices[1:])
    return group, devices


async def invites(device: Device, group: Group) -> list[dict[str, Any]]:
    """`invites_list`."""
    listed: list[dict[str, Any]] = (await device.call("invites_list", group_id=group.group_id)).ok()[
        "invites"
    ]
    return listed


async def pending(device: Device) -> list[dict[str, Any]]:
    """`invite_pending`."""
    joins: list[dict[str, Any]] = (await device.call("invite_pending")).ok()["joins"]
    return joins


# ---- invites


async def test_an_invite_is_made_listed_shown_and_revoked(service: Service) -> None:
    group, (alice, bob) = await group_of(service, 2)
    body = invite_body(group, max_uses=3, approval=True)
    for _ in range(2):
        assert (await alice.call("invite_create", **body)).ok() == {"invite_id": body["invite_id"]}
    (one,) = await invites(bob, group)
    assert {name: one[name] for name in ("invite_id", "created_by", "max_uses", "uses", "approval", "ended_at")} == {
        "invite_id": body["invite_id"], "created_by": alice.device_id, "max_uses": 3, "uses": 0, "approval": True,
        "ended_at": None,
    }  # fmt: skip
    carol = await Device.guest(service.url)
    shown = (await carol.call("invite_info", invite_id=body["invite_id"])).ok()
    assert shown == {
        "invite_id": body["invite_id"], "preview": body["preview"], "expires_at": one["expires_at"], "approval": True
    }  # fmt: skip
    for _ in range(2):
        assert (await bob.call("invite_revoke", invite_id=body["invite_id"])).ok() == {
            "invite_id": body["invite_id"]
        }
    assert (await invites(alice, group))[0]["ended_at"] is not None


async def test_invite_create_again_with_anything_else_exists(service: Service) -> None:
    group, (alice, bob) = await group_of(service, 2)
    body = invite_body(group)
    answers = await asyncio.gather(*(alice.call("invite_create", **body) for _ in range(6)))
    assert all(answer.ok() for answer in answers)
    for change in ({"max_uses": 49}, {"approval": True}, {"preview": "00"}, {"expires_at": from_now(days=6)}):
        (await alice.call("invite_create", **{**body, **change})).refused(409, "invite_exists")
    (await bob.call("invite_create", **body)).refused(409, "invite_exists")
    eve = await Device.guest(service.url)
    own = await eve.create_group()
    (await eve.call("invite_create", **{**body, "group_id": own.group_id})).refused(409, "invite_exists")


async def test_the_fields_of_an_invite(service: Service) -> None:
    group, (alice,) = await group_of(service, 1)
    for change in (
        {"max_uses": 0}, {"max_uses": 100_001}, {"approval": 1}, {"preview": ""}, {"invite_id": "00" * 15},
        {"expires_at": from_now(days=400)}, {"expires_at": "tomorrow"}, {"expires_at": "2027-01-01T00:00:00"},
        {"expires_at": "2027-01-01T00:00:00+01:00"}, {"expires_at": 5},
    ):  # fmt: skip
        (await alice.call("invite_create", **invite_body(group, **change))).refused(400, "bad_request")
    (await alice.call("invite_create", **invite_body(group, preview="00" * 4097))).refused(413, "too_large")


@pytest.mark.parametrize("function", ["invite_info", "invite_join"])
async def test_one_answer_for_unknown_expired_revoked_and_used_up(
    make_database: Callable[[], str], make_service: Callable[..., Service], function: str
) -> None:
    database = make_database()
    service = make_service(DATABASE_URL=database)
    group, (alice,) = await group_of(service, 1)
    joiner, asker = await people(service, 2)
    expired, revoked, used, ended = [await alice.invite(group, max_uses=1) for _ in range(4)]
    (await alice.call("invite_revoke", invite_id=revoked.hex())).ok()
    (await alice.complete(group, used, (joiner, await joiner.ask(used)))).ok()
    execute(database, f"update coterie.invites set ended_at = now() where invite_id = '\\x{ended.hex()}'")
    execute(database, f"update coterie.invites set expires_at = now() where invite_id = '\\x{expired.hex()}'")
    for invite in (secrets.token_bytes(16), expired, revoked, used, ended):
        body = join_body(invite) if function == "invite_join" else {"invite_id": invite.hex()}
        answer = await asker.call(function, **body)
        assert (answer.status, answer.body) == (404, UNAVAILABLE)


# ---- joining


async def test_a_join_from_link_to_membership(service: Service) -> None:
    group, (alice,) = await group_of(service, 1)
    bob = await Device.guest(service.url)
    invite = await alice.invite(group)
    join = await bob.ask(invite)
    nothing = {
        "join_id": join.join_id,
        "group_id": None,
        "welcome_hex": None,
        "welcome_tag": None,
        "from_seq": None,
    }
    assert await bob.poll(join) == {**nothing, "status": "waiting"}
    (waiting,) = await pending(alice)
    assert waiting == {
        "join_id": join.join_id, "group_id": group.group_id, "invite_id": invite.hex(), "device_id": bob.device_id,
        "user_id": bob.user_id, "kp_hex": join.request["kp_hex"], "tag": join.request["tag"],
        "hello": join.request["hello"], "status": "waiting", "created_at": waiting["created_at"], "claimed_by": None,
        "claimed_until": None,
    }  # fmt: skip
    claim = (await alice.call("invite_claim", join_id=join.join_id)).ok()
    (claimed,) = await pending(alice)
    assert (claimed["status"], claimed["claimed_by"], claimed["claimed_until"]) == (
        "claimed", alice.device_id, claim["claimed_until"],
    )  # fmt: skip
    tag = secrets.token_hex(32)
    body = alice.commit_body(group, add=[bob.device_id], invites=[invite])
    body["joins"] = [{"join_id": join.join_id, "welcome_tag": tag}]
    done = (await alice.call("invite_complete", **body)).ok()
    assert await bob.poll(join) == {
        "join_id": join.join_id, "status": "welcomed", "group_id": group.group_id,
        "welcome_hex": body["welcomes"][0]["welcome"], "welcome_tag": tag, "from_seq": done["seq"] + 1,
    }  # fmt: skip
    assert await pending(alice) == []
    (await bob.call("group_join", group_id=group.group_id)).ok()
    assert await bob.poll(join) == {**nothing, "status": "joined"}  # the Welcome was dropped
    assert (await invites(alice, group))[0]["uses"] == 1


async def test_invite_join_again_is_the_same_answer(service: Service) -> None:
    group, (alice,) = await group_of(service, 1)
    bob, carol = await people(service, 2)
    invite = await alice.invite(group)
    body = join_body(invite)
    answers = await asyncio.gather(*(bob.call("invite_join", **body) for _ in range(6)))
    assert [answer.ok() for answer in answers] == [{"join_id": body["join_id"], "status": "waiting"}] * 6
    for change in ({"kp_hex": mls.key_package().hex()}, {"tag": "00" * 32}, {"hello": "00"}):
        (await bob.call("invite_join", **{**body, **change})).refused(409, "join_id_reused")
    (await carol.call("invite_join", **body)).refused(409, "join_id_reused")
    await alice.call("invite_revoke", invite_id=invite.hex())
    assert (await bob.call("invite_join", **body)).ok()["status"] == "expired"  # still its own join


async def test_one_open_join_per_device_and_invite(service: Service) -> None:
    group, (alice,) = await group_of(service, 1)
    bob = await Device.guest(service.url)
    invite = await alice.invite(group)
    answers = await asyncio.gather(*(bob.call("invite_join", **join_body(invite)) for _ in range(6)))
    (first,) = [answer.ok() for answer in answers if answer.status == 200]
    for answer in answers:
        if answer.status != 200:
            assert answer.refused(409, "join_open")["join_id"] == first["join_id"]
    (await bob.call("invite_cancel", join_id=first["join_id"])).ok()
    await bob.ask(invite)


async def test_a_member_cannot_join_again_and_a_key_package_must_be_one(service: Service) -> None:
    group, (alice, bob) = await group_of(service, 2)
    invite = await alice.invite(group)
    (await bob.call("invite_join", **join_body(invite))).refused(409, "already_member")
    carol = await Device.guest(service.url)
    for wrong in (mls.welcome(), b"\0"):
        (await carol.call("invite_join", **join_body(invite, kp_hex=wrong.hex()))).refused(
            422, "wrong_header"
        )
    (await carol.call("invite_join", **join_body(invite, kp_hex="00" * 65537))).refused(413, "too_large")
    (await carol.call("invite_join", **join_body(invite, hello="00" * 4097))).refused(413, "too_large")


async def test_at_most_a_hundred_wait_on_an_invite(
    make_database: Callable[[], str], make_service: Callable[..., Service]
) -> None:
    database = make_database()
    service = make_service(DATABASE_URL=database)
    group, (alice,) = await group_of(service, 1)
    invite = await alice.invite(group, max_uses=1000)
    execute(
        database,
        f"""with d as (insert into coterie.devices (user_id, signature_key, name, kind)
              select 'u' || n, sha256(n::text::bytea), 'x', 'person' from generate_series(1, 98) n returning *)
            insert into coterie.joins
              (join_id, group_id, device_id, user_id, source, invite_id, key_package, proof, hello, status)
            select gen_random_uuid(), '{group.group_id}', device_id, user_id, 'link', '\\x{invite.hex()}',
              '\\x00', '\\x00', '\\x00', 'waiting' from d""",
    )
    answers = await asyncio.gather(
        *(one.call("invite_join", **join_body(invite)) for one in await people(service, 6))
    )
    assert sorted(answer.status for answer in answers) == [200, 200, 429, 429, 429, 429]
    refused = next(answer for answer in answers if answer.status == 429)
    assert refused.refused(429, "too_many")["retry_after"] > 0
    assert "retry-after" in refused.headers


# ---- claims


async def test_one_device_claims_a_join(service: Service) -> None:
    group, devices = await group_of(service, 6)
    bob = await Device.guest(service.url)
    join = await bob.ask(await devices[0].invite(group))
    answers = await asyncio.gather(*(one.call("invite_claim", join_id=join.join_id) for one in devices))
    (won,) = [answer for answer in answers if answer.status == 200]
    for device, answer in zip(devices, answers, strict=True):
        if answer is won:
            assert (await device.call("invite_claim", join_id=join.join_id)).ok() == won.body  # a retry
        else:
            assert answer.refused(409, "already_claimed")["claimed_until"] == won.body["claimed_until"]


async def test_a_lapsed_claim_goes_to_another_and_not_back(
    make_database: Callable[[], str], make_service: Callable[..., Service]
) -> None:
    database = make_database()
    service = make_service(DATABASE_URL=database)
    group, (alice, bob) = await group_of(service, 2)
    join = await (await Device.guest(service.url)).ask(await alice.invite(group))
    (await alice.call("invite_claim", join_id=join.join_id)).ok()
    lapse = "update coterie.{} set claimed_until = now() - interval '1 second' where join_id = '{}'"
    for table in ("joins", "join_claims"):
        execute(database, lapse.format(table, join.join_id))
    (waiting,) = await pending(bob)
    assert (waiting["status"], waiting["claimed_by"], waiting["claimed_until"]) == ("waiting", None, None)
    assert (await alice.call("invite_claim", join_id=join.join_id)).refused(429, "too_soon")[
        "retry_after"
    ] > 50
    (await bob.call("invite_claim", join_id=join.join_id)).ok()
    execute(database, lapse.format("joins", join.join_id))  # and bob is gone too
    (await alice.call("invite_claim", join_id=join.join_id)).refused(429, "too_soon")
    execute(database, "update coterie.join_claims set claimed_until = now() - interval '61 seconds'")
    (await alice.call("invite_claim", join_id=join.join_id)).ok()


async def test_no_claim_is_needed_to_complete(service: Service) -> None:
    group, (alice, bob) = await group_of(service, 2)
    carol = await Device.guest(service.url)
    invite = await alice.invite(group)
    join = await carol.ask(invite)
    (await alice.call("invite_claim", join_id=join.join_id)).ok()
    (await bob.complete(group, invite, (carol, join))).ok()
    for function in ("invite_claim",):
        (await alice.call(function, join_id=join.join_id)).refused(409, "not_open")


# ---- completing


async def test_the_first_to_complete_wins(service: Service) -> None:
    group, devices = await group_of(service, 5)
    bob = await Device.guest(service.url)
    invite = await devices[0].invite(group)
    join = await bob.ask(invite)
    answers: list[Answer] = await asyncio.gather(
        *(one.complete(Group(group.group_id, group.mls_id, 1), invite, (bob, join)) for one in devices)
    )
    assert sorted(answer.status for answer in answers) == [200, 409, 409, 409, 409]
    group.epoch = 2  # the others try again in the new epoch
    for device, answer in zip(devices, answers, strict=True):
        if answer.status != 200:
            assert answer.code == "stale_epoch"
            late = (await device.complete(group, invite, (bob, join))).refused(409, "already_completed")
            assert late["join_id"] == join.join_id
    assert (await invites(devices[0], group))[0]["uses"] == 1


async def test_one_use_is_one_use_under_a_race(service: Service) -> None:
    """Several joiners on a one-use invite, several members who complete them: one gets in."""
    group, devices = await group_of(service, 4)
    joiners = await people(service, 4)
    invite = await devices[0].invite(group, max_uses=1)
    joins = [await one.ask(invite) for one in joiners]

    async def complete(device: Device, joiner: Device, join: Join) -> Answer:
        here = Group(group.group_id, group.mls_id, 1)
        while True:
            answer = await device.complete(here, invite, (joiner, join))
            if answer.code != "stale_epoch":
                return answer
            here.epoch = answer.body["epoch"]

    answers = await asyncio.gather(*(complete(*one) for one in zip(devices, joiners, joins, strict=True)))
    assert [answer.status for answer in answers].count(200) == 1
    assert {answer.code for answer in answers if answer.status != 200} <= {
        "already_completed",
        "invites_ended",
    }
    statuses = sorted([(await one.poll(join))["status"] for one, join in zip(joiners, joins, strict=True)])
    assert statuses == ["expired", "expired", "expired", "welcomed"]
    assert (await invites(devices[0], group))[0]["uses"] == 1


async def test_those_who_wait_are_completed_together(service: Service) -> None:
    group, (alice,) = await group_of(service, 1)
    joiners = await people(service, 3)
    first, second = await alice.invite(group), await alice.invite(group)
    joins = [await joiners[0].ask(first), await joiners[1].ask(first), await joiners[2].ask(second)]
    body = alice.commit_body(group, add=[one.device_id for one in joiners], invites=[first, second])
    body["joins"] = [{"join_id": one.join_id, "welcome_tag": secrets.token_hex(32)} for one in joins]
    (await alice.call("invite_complete", **body)).ok()
    for joiner, join, completed in zip(joiners, joins, body["joins"], strict=True):
        polled = await joiner.poll(join)
        assert hmac.compare_digest(polled["welcome_tag"], completed["welcome_tag"])
    assert {(one["invite_id"], one["uses"]) for one in await invites(alice, group)} == {
        (first.hex(), 2),
        (second.hex(), 1),
    }


async def test_more_joins_than_uses_in_one_commit_are_refused(service: Service) -> None:
    group, (alice,) = await group_of(service, 1)
    joiners = await people(service, 2)
    invite = await alice.invite(group, max_uses=1)
    joins = [await one.ask(invite) for one in joiners]
    (await alice.complete(group, invite, *zip(joiners, joins, strict=True))).refused(409, "invites_ended")
    assert (await invites(alice, group))[0]["uses"] == 0
    assert [one["status"] for one in await pending(alice)] == ["waiting", "waiting"]
    (await alice.complete(group, invite, (joiners[1], joins[1]))).ok()


async def test_a_completed_join_must_be_welcomed_and_its_invite_named(service: Service) -> None:
    group, (alice,) = await group_of(service, 1)
    bob, carol = await people(service, 2)
    invite, other = await alice.invite(group), await alice.invite(group)
    join = await bob.ask(invite)
    joins = [{"join_id": join.join_id, "welcome_tag": "00" * 32}]
    for body in (
        alice.commit_body(
            group, add=[carol.device_id], invites=[invite]
        ),  # another device than the one that waits
        alice.commit_body(group, add=[bob.device_id], invites=[other]),  # another invite
        alice.commit_body(group, add=[bob.device_id], invites=[invite, other]),
        alice.commit_body(group, add=[bob.device_id]),
    ):
        (await alice.call("invite_complete", **body, joins=joins)).refused(422, "wrong_roster")
    body = alice.commit_body(group, add=[bob.device_id], invites=[invite])
    (await alice.call("invite_complete", **body, joins=[])).refused(400, "bad_request")
    (await alice.call("invite_complete", **body)).refused(400, "bad_request")
    (await alice.call("send_commit", **body)).refused(
        422, "wrong_roster"
    )  # uses an invite and completes nobody
    unknown = [{"join_id": new_id(), "welcome_tag": "00" * 32}]
    (await alice.call("invite_complete", **body, joins=unknown)).refused(409, "already_completed")
    (await alice.call("invite_complete", **body, joins=joins)).ok()


async def test_a_join_of_another_group_cannot_be_completed_here(service: Service) -> None:
    group, (alice,) = await group_of(service, 1)
    other, (bob,) = await group_of(service, 1)
    carol = await Device.guest(service.url)
    invite = await bob.invite(other)
    join = await carol.ask(invite)
    (await alice.complete(group, invite, (carol, join))).refused(409, "already_completed")
    assert (await carol.poll(join))["status"] == "waiting"


async def test_ended_invites_end_their_joins(service: Service) -> None:
    """Removing somebody ends every invite: the removed knew them."""
    group, (alice, bob) = await group_of(service, 2)
    carol, dave = await people(service, 2)
    invite, revoked = await alice.invite(group), await alice.invite(group)
    waits, also = await carol.ask(invite), await dave.ask(revoked)
    (await alice.call("invite_revoke", invite_id=revoked.hex())).ok()
    assert (await dave.poll(also))["status"] == "expired"
    (await alice.complete(group, revoked, (dave, also))).refused(409, "already_completed")
    (await alice.commit(group, remove=[bob.device_id], end_invites=True)).ok()
    assert (await carol.poll(waits))["status"] == "expired"
    (await bob.call("invite_join", **join_body(invite))).refused(404, "invite_unavailable")
    assert all(one["ended_at"] for one in await invites(alice, group))
    (await alice.complete(group, invite, (carol, waits))).refused(409, "already_completed")
    await carol.ask(await alice.invite(group))  # a new link works


async def test_a_join_expires_with_its_invite(
    make_database: Callable[[], str], make_service: Callable[..., Service]
) -> None:
    database = make_database()
    service = make_service(DATABASE_URL=database)
    group, (alice,) = await group_of(service, 1)
    bob = await Device.guest(service.url)
    invite = await alice.invite(group)
    join = await bob.ask(invite)
    for table in ("invites", "joins"):
        execute(
            database, f"update coterie.{table} set expires_at = now() where invite_id = '\\x{invite.hex()}'"
        )
    assert (await bob.poll(join))["status"] == "expired"
    assert await pending(alice) == []
    (await alice.call("invite_claim", join_id=join.join_id)).refused(409, "not_open")
    (await alice.complete(group, invite, (bob, join))).refused(409, "invites_ended")


# ---- cancel, decide, poll


async def test_the_joining_device_alone_cancels(service: Service) -> None:
    group, (alice,) = await group_of(service, 1)
    bob, carol = await people(service, 2)
    invite = await alice.invite(group)
    join, other = await bob.ask(invite), await carol.ask(invite)
    for device in (alice, carol):
        (await device.call("invite_cancel", join_id=join.join_id)).refused(404, "unknown_join")
    for _ in range(2):
        assert (await bob.call("invite_cancel", join_id=join.join_id)).ok() == {
            "join_id": join.join_id,
            "status": "cancelled",
        }
    assert (await alice.complete(group, invite, (bob, join))).refused(409, "already_completed")[
        "join_id"
    ] == join.join_id
    (await alice.complete(group, invite, (carol, other))).ok()
    (await carol.call("invite_cancel", join_id=other.join_id)).refused(409, "already_completed")


async def test_cancel_and_complete_race(service: Service) -> None:
    group, (alice,) = await group_of(service, 1)
    bob = await Device.guest(service.url)
    invite = await alice.invite(group)
    join = await bob.ask(invite)
    cancelled, completed = await asyncio.gather(
        bob.call("invite_cancel", join_id=join.join_id), alice.complete(group, invite, (bob, join))
    )
    assert sorted([cancelled.status, completed.status]) == [200, 409]
    assert (await bob.poll(join))["status"] == ("cancelled" if cancelled.status == 200 else "welcomed")


async def test_with_approval_a_member_decides_first(service: Service) -> None:
    group, (alice, bob) = await group_of(service, 2)
    carol, dave, eve = await people(service, 3)
    invite = await alice.invite(group, approval=True)
    join, refused = await carol.ask(invite), await dave.ask(invite)
    assert [one["status"] for one in await pending(bob)] == ["approval", "approval"]
    (await alice.call("invite_claim", join_id=join.join_id)).refused(409, "not_open")
    (await alice.complete(group, invite, (carol, join))).refused(409, "not_open")
    for device in (eve, carol):
        (await device.call("invite_decide", join_id=join.join_id, approve=True)).refused(404, "unknown_join")
    for _ in range(2):
        answer = await bob.call("invite_decide", join_id=join.join_id, approve=True)
        assert answer.ok() == {"join_id": join.join_id, "status": "waiting"}
        answer = await bob.call("invite_decide", join_id=refused.join_id, approve=False)
        assert answer.ok() == {"join_id": refused.join_id, "status": "refused"}
    (await alice.call("invite_decide", join_id=refused.join_id, approve=True)).refused(409, "not_open")
    assert (await dave.poll(refused))["status"] == "refused"
    (await alice.complete(group, invite, (carol, join))).ok()
    (await alice.call("invite_decide", join_id=join.join_id, approve=False)).refused(409, "not_open")


async def test_only_the_joining_device_polls(service: Service) -> None:
    group, (alice,) = await group_of(service, 1)
    bob, eve = await people(service, 2)
    invite = await alice.invite(group)
    join = await bob.ask(invite)
    (await alice.complete(group, invite, (bob, join))).ok()
    for device in (alice, eve):
        (await device.call("invite_poll", join_id=join.join_id)).refused(404, "unknown_join")
    (await bob.call("invite_poll", join_id=new_id())).refused(404, "unknown_join")


async def test_pending_shows_each_member_its_own_groups(service: Service) -> None:
    first, (alice,) = await group_of(service, 1)
    second, (bob,) = await group_of(service, 1)
    carol = await Device.guest(service.url)
    one, two = await carol.ask(await alice.invite(first)), await carol.ask(await bob.invite(second))
    assert [join["join_id"] for join in await pending(alice)] == [one.join_id]
    assert [join["join_id"] for join in await pending(bob)] == [two.join_id]
    assert await pending(carol) == []


async def test_one_device_asks_ten_times_at_most(service: Service) -> None:
    group, (alice,) = await group_of(service, 1)
    bob, carol = await people(service, 2)
    invite = await alice.invite(group)
    for _ in range(10):
        join = await bob.ask(invite)
        (await bob.call("invite_cancel", join_id=join.join_id)).ok()
    (await bob.call("invite_join", **join_body(invite))).refused(429, "too_many")
    await carol.ask(invite)
