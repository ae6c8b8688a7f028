"""Supabase's own clients against this service, as they are: sign in anonymously, call functions, read errors."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from coterie_wire import Envelope
from tests.support.caller import Answer, Device, invite_body, join_body
from tests.support.server import ROOT, Service

HERE = Path(__file__).parent
PYTHON = ROOT / "build" / "supabase-venv" / "bin" / "python"
CLIENTS = {
    "supabase-py": [str(PYTHON), str(HERE / "hand.py")],
    "supabase-js": [
        "node",
        "--experimental-websocket",
        str(HERE / "hand.mjs"),
    ],  # Node 20 hides its WebSocket
}
MISSING = {
    "supabase-py": not (PYTHON.parent / "pytest").exists(),
    "supabase-js": not (ROOT / "node_modules" / "@supabase" / "supabase-js").exists(),
}


class Hand:
    """A Supabase client in a process of its own."""

    def __init__(self, command: list[str], url: str) -> None:
        self._process = subprocess.Popen(
            [*command, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=HERE,
        )

    def do(self, what: str, **more: Any) -> dict[str, Any]:
        """One order and its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": what, **more}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            pytest.fail(self._process.communicate()[1])
        answer: dict[str, Any] = json.loads(line)
        return answer

    def invoke(self, name: str, **body: Any) -> dict[str, Any]:
        """`functions.invoke`, which must succeed."""
        answer = self.do("invoke", name=name, body=body)
        assert "answer" in answer, answer
        result: dict[str, Any] = answer["answer"]
        return result

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=30)


class SupabaseDevice(Device):
    """A device whose every call goes through a Supabase client."""

    def __init__(self, url: str, hand: Hand) -> None:
        super().__init__(url)
        self.hand = hand

    async def sign_in(self) -> None:
        """`auth.sign_in_anonymously`."""
        signed_in = self.hand.do("sign_in")
        assert signed_in["guest"] is True
        self.session = {"access_token": signed_in["token"], "user": {"id": signed_in["user_id"]}}

    async def call(self, function: str, /, **body: Any) -> Answer:
        """`functions.invoke`."""
        answer = self.hand.do("invoke", name=function, body=body)
        if "answer" in answer:
            return Answer(200, answer["answer"], None)  # type: ignore[arg-type]
        return Answer(answer["status"], {"error": answer["error"]}, None)  # type: ignore[arg-type]


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> str:
    """The name of a client."""
    name = str(request.param)
    if MISSING[name]:
        pytest.fail(f"{name} is not installed: `make setup` does it.")
    return name


@pytest.fixture
def hands(client: str, service: Service) -> Iterator[list[Hand]]:
    """Two clients of one kind."""
    two = [Hand(CLIENTS[client], service.url) for _ in range(2)]
    yield two
    for hand in two:
        hand.close()


async def test_two_guests_meet_through_an_invite(hands: list[Hand], service: Service) -> None:
    alice, bob = [SupabaseDevice(service.url, hand) for hand in hands]
    for device in (alice, bob):
        await device.sign_in()
        device.device_id = (await device.register()).ok()["device_id"]
    group = await alice.create_group()
    body = invite_body(group)
    assert (await alice.call("invite_create", **body)).ok() == {"invite_id": body["invite_id"]}
    invite = bytes.fromhex(body["invite_id"])
    assert (await bob.call("invite_info", invite_id=invite.hex())).ok()["preview"] == body["preview"]
    join = await bob.ask(invite)
    assert (await bob.poll(join))["status"] == "waiting"
    (await alice.complete(group, invite, (bob, join))).ok()
    assert (await bob.poll(join))["status"] == "welcomed"
    (await bob.call("group_join", group_id=group.group_id)).ok()
    (await alice.send(group)).ok()
    page = await bob.messages(group)
    assert [Envelope.from_json(one).intact for one in page["envelopes"]] == [True]


async def test_errors_can_be_read(hands: list[Hand], client: str, service: Service) -> None:
    hand = hands[0]
    unavailable = {"error": "No valid session: sign in, or refresh the token.", "status": 401}
    assert (
        hand.do("invoke", name="groups_list", body={}).items() >= unavailable.items()
    )  # signed out: the api key
    device = SupabaseDevice(service.url, hand)
    await device.sign_in()
    await device.register()
    answer = hand.do("invoke", name="invite_join", body=join_body(bytes(16)))
    assert (answer["error"], answer["status"]) == ("This invite cannot be used.", 404)
    if client == "supabase-js":
        assert answer["code"] == "invite_unavailable"
    assert hand.do("invoke", name="no_such_function", body={})["status"] == 404


async def test_the_session_as_the_clients_see_it(hands: list[Hand], service: Service) -> None:
    hand = hands[0]
    device = SupabaseDevice(service.url, hand)
    await device.sign_in()
    await device.register()
    assert hand.do("user") == {"user_id": device.user_id}
    assert hand.do("claims")["claims"]["sub"] == device.user_id  # verified by the client against the JWKS
    refreshed = hand.do("refresh")["token"]
    claims = jwt.decode(refreshed, options={"verify_signature": False})
    assert (claims["sub"], claims["session_id"]) == (device.user_id, device.session_id)
    assert hand.invoke("groups_list") == {"groups": []}
    assert hand.do("sign_out") == {}
    (await Device.call(device, "groups_list")).refused(401, "no_session")
