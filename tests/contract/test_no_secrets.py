"""What went through the service stands in no log: neither its own, at its most talkative, nor that of Postgres."""

import json
import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from edge_functions.app import FUNCTIONS
from tests.support import mls
from tests.support.caller import Device, Group, Http, invite_body, join_body, new_id
from tests.support.server import Service
from tests.support.socket_client import SocketClient, listening, open_socket

WORDS = {"error", "message", "code", "error_code", "msg"}
"""Fields that hold the service's own words."""
TIME = re.compile(r"\d{4}-\d\d-\d\dT")
NAME = "Zaphod Secretname"
SHORTEST = 12


def strings(value: object) -> Iterator[str]:
    """Every text in a JSON value, but for the service's own words and times."""
    match value:
        case str():
            yield value
        case list():
            for one in value:
                yield from strings(one)
        case dict():
            for name, one in value.items():
                if name not in WORDS:
                    yield from strings(one)


class Spy(Http):
    """Remembers all that went over the line, both ways."""

    seen: set[str]

    def __init__(self, url: str, seen: set[str]) -> None:
        super().__init__(url)
        self.seen = seen

    def note(self, value: object) -> None:
        """What must not be in a log: its first characters, as a log might cut it."""
        for text in strings(value):
            if len(text) >= SHORTEST and not TIME.match(text) and any(one.isdigit() for one in text):
                self.seen.add(text[:SHORTEST])

    async def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One HTTP request."""
        for given in (options.get("json"), options.get("content"), re.split("[/?=&]", path)):
            try:
                self.note(json.loads(given) if isinstance(given, str | bytes) else given)
            except ValueError:
                self.note(str(given))
        answer = await super().request(method, path, **options)
        if "json" in answer.headers.get("content-type", ""):
            self.note(answer.json())
        return answer


class Watched:
    """A service with a Postgres of its own, both logs, and all that went through."""

    def __init__(self, service: Service, folder: Path) -> None:
        self.service, self.folder = service, folder
        self.seen: set[str] = {NAME}

    async def device(self) -> Device:
        """A guest whose traffic is remembered."""
        device = Device(self.service.url)
        device.http = Spy(self.service.url, self.seen)
        await device.sign_in()
        device.device_id = (await device.register(name=NAME)).ok()["device_id"]
        return device

    async def owner(self) -> asyncpg.Connection:
        """Postgres, as its superuser."""
        return await asyncpg.connect(host=str(self.folder / "postgres"), user="postgres", database="postgres")

    def logs(self) -> dict[str, str]:
        """By name."""
        return {name: (self.folder / name).read_text() for name in ("service.log", "postgres.log")}

    def found(self) -> list[tuple[str, str]]:
        """Which log has what."""
        logs = self.logs().items()
        return [(name, secret) for name, text in logs for secret in sorted(self.seen) if secret in text]


@pytest.fixture
def watched(make_service: Callable[..., Service]) -> Watched:
    """At its most talkative."""
    service = make_service(DATABASE_URL="", COTERIE_LOG_LEVEL="debug", COTERIE_LOG="json")
    return Watched(service, service.log.parent)


async def everyday(alice: Device, bob: Device) -> tuple[Group, bytes]:
    """A group, an invite, a join, messages, the socket."""
    group = await alice.create_group()
    invite = await alice.invite(group)
    (await bob.call("invite_info", invite_id=invite.hex())).ok()
    join = await bob.ask(invite)
    (await bob.call("invite_join", **join_body(invite))).refused(
        409, "join_open"
    )  # names the join in its detail
    async with listening(alice.http.url, alice) as socket:
        await socket.until("join_waiting")
        (await alice.complete(group, invite, (bob, join))).ok()
        await bob.poll(join)
        (await bob.call("group_join", group_id=group.group_id)).ok()
        (await alice.send(group)).ok()
        await socket.until_seq(group.group_id, 2)
        await socket.send("token", token=alice.token)
        await socket.settle()
    await bob.messages(group)
    return group, invite


async def bad_calls(alice: Device, group: Group, invite: bytes) -> None:
    """Every function with what it takes and more, of the wrong kind, and with a token that does not hold."""
    plausible = {
        **alice.commit_body(group), **alice.message(group), **invite_body(group), **join_body(invite),
        "signature_key": alice.public_key.hex(), "proof": secrets.token_hex(64), "name": NAME,
    }  # fmt: skip
    spy = alice.http
    assert isinstance(spy, Spy)
    forged = f"eyJ{secrets.token_hex(30)}.{secrets.token_hex(30)}.{secrets.token_hex(30)}"
    spy.note(forged)
    for name, function in FUNCTIONS.items():
        own = {field: value for field, value in plausible.items() if field in (function.takes or {})}
        await alice.call(name, **own)
        await alice.call(name, **{**own, "unknown": secrets.token_hex(20)})
        for field in own:
            await alice.call(name, **{**own, field: [secrets.token_hex(20)]})
        for content in (f'{{"x": "{secrets.token_hex(20)}', json.dumps(secrets.token_hex(20))):
            await spy.post(
                f"/functions/v1/{name}", content=content, headers={"authorization": f"Bearer {forged}"}
            )
    await spy.get(f"/?join={secrets.token_hex(16)}")
    await spy.get(f"/functions/v1/{secrets.token_hex(16)}")


async def bad_identity(alice: Device) -> None:
    """The routes of /auth/v1."""
    spy, token = alice.http, alice.session["refresh_token"]
    refresh = "/auth/v1/token?grant_type=refresh_token"
    for given in (token, token, secrets.token_hex(20)):
        await spy.post(refresh, json={"refresh_token": given})
    for path in (
        "registration/options",
        "registration/verify",
        "authentication/options",
        "authentication/verify",
    ):
        body = {
            "challenge_id": new_id(),
            "credential": {"id": secrets.token_hex(20), "rawId": secrets.token_hex(20)},
        }
        headers = {"authorization": f"Bearer {alice.token}"}
        await spy.post(f"/auth/v1/passkeys/{path}", json=body, headers=headers)
    await spy.get("/auth/v1/user", headers={"authorization": f"Bearer {secrets.token_hex(30)}"})


async def bad_sockets(alice: Device, seen: set[str]) -> None:
    """First frames and later ones that are wrong."""
    noise = [secrets.token_hex(20) for _ in range(6)]
    seen.update(text[:SHORTEST] for text in noise)

    async def end(socket: SocketClient) -> None:
        assert (await socket.ended())["code"] in ("bad_request", "no_session")

    async with open_socket(alice.http.url) as socket:
        await socket.send("hello", token=noise[0], cursors={})
        await end(socket)
    for frame in (noise[1], json.dumps({"type": noise[2]}), json.dumps([noise[3]])):
        async with open_socket(alice.http.url) as socket:
            await socket.websocket.send(frame)
            await end(socket)
    async with listening(alice.http.url, alice) as socket:
        await socket.send(noise[4])
        await socket.send("ack", group_id=noise[5], seq=1)
        await end(socket)


async def broken_database(watched: Watched, alice: Device, group: Group) -> None:
    """Errors of Postgres that quote the row, and a function that is not there."""
    owner = await watched.owner()
    try:
        await owner.execute("alter table coterie.messages add constraint never check (false) not valid")
        assert (await alice.send(group)).status == 500
        await owner.execute("alter table coterie.messages drop constraint never")
        await owner.execute("alter function coterie.groups_list_v1 rename to elsewhere")
        assert (await alice.call("groups_list")).status == 500
        await owner.execute("alter function coterie.auth_sign_up_v1 rename to elsewhere")
        refused = await alice.http.post("/auth/v1/signup", json={})
        assert (refused.status_code, refused.json().keys()) == (500, {"code", "error_code", "msg"})
    finally:
        await owner.close()


async def test_nothing_that_went_through_stands_in_a_log(watched: Watched) -> None:
    alice, bob = await watched.device(), await watched.device()
    (
        await bob.call("device_register", **{**registration(bob), "signature_key": alice.public_key.hex()})
    ).refused(403, "bad_proof")
    bob.key, own = alice.key, bob.key
    (await bob.register(name=NAME)).refused(409, "key_in_use")
    bob.key = own
    group, invite = await everyday(alice, bob)
    (await bob.call("invite_create", **invite_body(group, invite_id=invite.hex()))).refused(
        409, "invite_exists"
    )
    (await bob.call("group_create", **creation(group))).refused(409, "group_exists")
    await broken_database(watched, alice, group)
    await bad_sockets(alice, watched.seen)
    await bad_calls(alice, group, invite)
    await bad_identity(bob)
    planted = secrets.token_hex(20)  # the search itself: what Postgres and the service do say is found
    owner = await watched.owner()
    await owner.execute(f"do $$ begin raise warning 'planted {planted}'; end $$")
    await owner.close()
    watched.service.stop()

    assert len(watched.seen) > 150
    watched.seen |= {planted, '"groups_list"'}
    assert watched.found() == [("service.log", '"groups_list"'), ("postgres.log", planted)]
    log = watched.logs()["service.log"]
    assert "UndefinedFunctionError" in log, "defects are told"
    assert log.count('"event":"answered"') > 150


def registration(device: Device) -> dict[str, Any]:
    """The body of a `device_register`."""
    return {"signature_key": device.public_key.hex(), "name": NAME, "proof": device.proof()}


def creation(group: Group) -> dict[str, Any]:
    """The body of a `group_create`."""
    return {
        "group_id": group.group_id,
        "group_info": mls.group_info(group.mls_id, 0).hex(),
        "message_id": new_id(),
    }
