"""A service that lies about who joins, or into which group: refused, with words."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import cbor2
from playwright.sync_api import expect

import coterie_mls
from tests.e2e.conftest import Meet
from tests.e2e.plain_proxy import without_websockets
from tests.support.server import Service


class Mallory:
    """What somebody who runs the service can make: devices and groups of their own."""

    def __init__(self, group_uuid: bytes = bytes(16)) -> None:
        self.backend = coterie_mls.Backend.create(str(uuid4()))
        self.backend.bind_device(str(uuid4()))
        self.group = self.backend.create_group(
            cbor2.dumps({"v": 1, "uuid": group_uuid, "roles": {f"{self.backend.user_id}#x": "owner"}})
        )

    def welcome(self, *key_packages: str) -> str:
        """A Welcome into that group for these key packages (hex)."""
        made = self.backend.commit(self.group, add=[bytes.fromhex(package) for package in key_packages])
        assert made.welcome is not None
        return made.welcome.hex()


def test_a_swapped_key_package_is_not_let_in(service: Service, meet: Meet) -> None:
    fake = Mallory().backend.create_key_package().bytes.hex()
    lying = True

    def swap(function: str, request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if lying and function == "invite_pending":
            for join in answer.get("joins", []):
                join["kp_hex"] = fake
        return answer

    with without_websockets(service.url, swap) as origin:
        alice, bob = meet("Alice", origin), meet("Bob", origin)
        alice.start()
        alice.create("Friends")
        bob.ask(alice.invite())
        alice.sees_notice("bad_join")
        expect(alice.lines).to_contain_text("does not come from the invite link")
        alice.say("still only us")
        alice.all_sent()
        assert "joined" not in alice.codes()
        expect(bob.page.get_by_role("heading", name="Waiting to be let in")).to_be_visible()
        lying = False
        alice.reload()
        expect(bob.composer).to_be_visible()


class Deceiver:
    """Answers `invite_poll` with a Welcome into a group of its own, and keeps members from seeing the join."""

    def __init__(self) -> None:
        self.packages: dict[str, str] = {}
        """Key packages by join; the first is the inviter's."""
        self.group = ""
        """The UUID to claim; empty: be honest."""

    def __call__(self, function: str, request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if function == "invite_join":
            self.packages[request["join_id"]] = request["kp_hex"]
        if function == "invite_pending" and self.group:
            return {"joins": []}
        if function == "invite_poll" and self.group:
            return self._welcome(request["join_id"])
        return answer

    def _welcome(self, join_id: str) -> dict[str, Any]:
        inviter = next(iter(self.packages.values()))
        mallory = Mallory(bytes.fromhex(self.group.replace("-", "")))
        return {
            "join_id": join_id,
            "status": "welcomed",
            "group_id": self.group,
            "welcome_hex": mallory.welcome(inviter, self.packages[join_id]),
            "welcome_tag": "00" * 32,
            "from_seq": 1,
        }


def test_a_welcome_into_another_group_is_refused(service: Service, meet: Meet) -> None:
    """The group is the service's own, with the inviter's real key package in it, and the UUID that the link names."""
    deceiver = Deceiver()
    with without_websockets(service.url, deceiver) as origin:
        carol, alice, bob = (meet(name, origin) for name in ("Carol", "Alice", "Bob"))
        carol.start()
        carol.create("Elsewhere")
        alice.join(carol.invite())
        alice.create("Friends")
        link = alice.invite()
        deceiver.group = alice.page.url.partition("#g=")[2]
        bob.ask(link)
        expect(bob.page.get_by_role("heading", name="Joining did not work")).to_be_visible()
        refusal = bob.page.get_by_role("main").get_by_text("a group that does not come from this link")
        expect(refusal).to_be_visible()
        bob.page.get_by_role("button", name="All right").click()
        expect(refusal).to_be_hidden()
        deceiver.group = ""
        bob.join(link)
        bob.say("now for real")
        alice.sees("now for real")
