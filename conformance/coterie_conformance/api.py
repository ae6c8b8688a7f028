"""A guest's device that talks to the service in HTTP, with noise where the encryption would be."""

import base64
import itertools
import json
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from coterie_conformance import framing
from coterie_conformance.catalog import Broken
from coterie_conformance.service import Answer, Json, Place


@dataclass(slots=True)
class Group:
    """What a client would know of a group."""

    group_id: str
    mls_id: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class Join:
    """A join that was posted."""

    join_id: str
    request: Json


class Device:
    """A guest's session with a device."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.key = Ed25519PrivateKey.generate()
        self.session: Json = {}
        self.device_id = ""
        self._counters: dict[tuple[str, int], itertools.count[int]] = {}

    @classmethod
    async def guest(cls, place: Place) -> "Device":
        """Signed in, with a registered device."""
        device = cls(place)
        await device.sign_in()
        device.device_id = (await device.register()).ok()["device_id"]
        return device

    async def sign_in(self) -> None:
        """A new guest, as Supabase Auth's anonymous sign-in."""
        self.session = (await self.place.post_json(f"{self.place.auth}/signup", {})).ok()

    @property
    def token(self) -> str:
        """The access token."""
        return str(self.session["access_token"])

    @property
    def user_id(self) -> str:
        """The claim `sub`."""
        return str(self.session["user"]["id"])

    @property
    def claims(self) -> Json:
        """Of the token, unverified."""
        part = self.token.split(".")[1]
        claims: Json = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        return claims

    @property
    def public_key(self) -> bytes:
        """Ed25519, 32 bytes."""
        return self.key.public_key().public_bytes_raw()

    def proof(self, key: Ed25519PrivateKey | None = None, session_id: str | None = None) -> str:
        """The device key's signature over label, sub, session and key, each with its length in two bytes."""
        session = session_id or str(self.claims["session_id"])
        parts = (b"coterie device v1", self.user_id.encode(), session.encode(), self.public_key)
        message = b"".join(len(part).to_bytes(2, "big") + part for part in parts)
        return (key or self.key).sign(message).hex()

    async def register(self, **changes: Any) -> Answer:
        """`device_register`."""
        body = {"signature_key": self.public_key.hex(), "name": "Conformance", "proof": self.proof()}
        return await self.call("device_register", **{**body, **changes})

    async def call(self, function: str, /, **body: Any) -> Answer:
        """One function."""
        return await self.place.post_json(f"{self.place.functions}/{function}", body, self.token)

    # ---- groups

    async def create_group(self) -> Group:
        """A new group with this device in it."""
        group = Group(new_id())
        info = framing.group_info(group.mls_id, 0).hex()
        (await self.call("group_create", group_id=group.group_id, group_info=info, message_id=new_id())).ok()
        return group

    async def group(self, group: Group) -> Json:
        """This device's entry in `groups_list`."""
        groups = (await self.call("groups_list")).ok()["groups"]
        found: list[Json] = [one for one in groups if one["group_id"] == group.group_id]
        if not found:
            raise Broken("groups_list does not have a group that this device is in")
        return found[0]

    def counter(self, group: Group) -> int:
        """The next one in this epoch."""
        return next(self._counters.setdefault((group.group_id, group.epoch), itertools.count(1)))

    def message(self, group: Group, **changes: Any) -> Json:
        """The body of a `send_message`."""
        body = {
            "group_id": group.group_id,
            "epoch": group.epoch,
            "kind": "application",
            "mls_bytes": framing.private_message(group.mls_id, group.epoch).hex(),
            "message_id": new_id(),
            "counter": changes.get("counter") or self.counter(group),
        }
        return {**body, **changes}

    async def send(self, group: Group, **changes: Any) -> Answer:
        """`send_message`."""
        return await self.call("send_message", **self.message(group, **changes))

    def commit_body(
        self,
        group: Group,
        *,
        add: Sequence[str] = (),
        remove: Sequence[str] = (),
        end_invites: bool = False,
        invites: Sequence[bytes] = (),
        welcomed: Sequence[str] | None = None,
        **changes: Any,
    ) -> Json:
        """The body of a `send_commit`; every device in `welcomed` (default: all in `add`) gets a Welcome."""
        data = framing.commit_data(add, remove, invites, end_invites=end_invites)
        welcomes = add if welcomed is None else welcomed
        body = {
            "group_id": group.group_id,
            "epoch": group.epoch,
            "commit": framing.private_message(group.mls_id, group.epoch, framing.COMMIT, data).hex(),
            "message_id": new_id(),
            "counter": changes.get("counter") or self.counter(group),
            "group_info": framing.group_info(group.mls_id, group.epoch + 1).hex(),
            "welcomes": [{"device_id": one, "welcome": framing.welcome().hex()} for one in welcomes],
            "added": list(add),
            "removed": list(remove),
            "end_invites": end_invites,
        }
        return {**body, **changes}

    async def commit(self, group: Group, **changes: Any) -> Answer:
        """`send_commit`; moves `group` on when it succeeds."""
        answer = await self.call("send_commit", **self.commit_body(group, **changes))
        if answer.status == 200:
            group.epoch += 1
        return answer

    async def send_many(self, group: Group, count: int) -> list[int]:
        """Messages one after the other, as counters ask for; their seqs."""
        return [(await self.send(group)).ok()["seq"] for _ in range(count)]

    async def add(self, group: Group, *devices: "Device") -> None:
        """Add devices, and let them say that they are in."""
        (await self.commit(group, add=[one.device_id for one in devices])).ok()
        for one in devices:
            (await one.call("group_join", group_id=group.group_id)).ok()

    async def messages(self, group: Group, after: int = 0, **more: Any) -> Json:
        """`get_messages`."""
        return (await self.call("get_messages", group_id=group.group_id, after=after, **more)).ok()

    async def envelopes(self, group: Group, after: int = 0) -> list[Json]:
        """Everything after `after` that this device may have, page after page."""
        found: list[Json] = []
        while True:
            page = await self.messages(group, found[-1]["seq"] if found else after)
            found += page["envelopes"]
            if not page["envelopes"] or found[-1]["seq"] >= page["last_seq"]:
                return found

    async def seqs(self, group: Group, after: int = 0) -> list[int]:
        """Their seqs."""
        return [one["seq"] for one in await self.envelopes(group, after)]

    # ---- invites

    async def invite(self, group: Group, **changes: Any) -> bytes:
        """A new invite's id."""
        body = invite_body(group, **changes)
        (await self.call("invite_create", **body)).ok()
        return bytes.fromhex(body["invite_id"])

    async def ask(self, invite: bytes) -> Join:
        """Post a join."""
        request = join_body(invite)
        (await self.call("invite_join", **request)).ok()
        return Join(request["join_id"], request)

    def completing(self, group: Group, invite: bytes, *joins: "tuple[Device, Join]", **changes: Any) -> Json:
        """The body of an `invite_complete`."""
        body = self.commit_body(group, add=[device.device_id for device, _ in joins], invites=[invite])
        body["joins"] = [{"join_id": join.join_id, "welcome_tag": secrets.token_hex(32)} for _, join in joins]
        return {**body, **changes}

    async def complete(
        self, group: Group, invite: bytes, *joins: "tuple[Device, Join]", **changes: Any
    ) -> Answer:
        """`invite_complete`; moves `group` on when it succeeds."""
        answer = await self.call("invite_complete", **self.completing(group, invite, *joins, **changes))
        if answer.status == 200:
            group.epoch += 1
        return answer

    async def poll(self, join: Join) -> Json:
        """`invite_poll`."""
        return (await self.call("invite_poll", join_id=join.join_id)).ok()


def new_id() -> str:
    """A random UUID as text."""
    return str(uuid.uuid4())


def from_now(**delta: float) -> str:
    """A time in RFC 3339."""
    return (datetime.now(UTC) + timedelta(**delta)).isoformat()


def invite_body(group: Group, **changes: Any) -> Json:
    """The body of an `invite_create`."""
    body = {
        "invite_id": secrets.token_hex(16),
        "group_id": group.group_id,
        "preview": secrets.token_hex(80),
        "expires_at": from_now(days=7),
        "max_uses": 50,
        "approval": False,
    }
    return {**body, **changes}


def join_body(invite: bytes, **changes: Any) -> Json:
    """The body of an `invite_join`."""
    body = {
        "join_id": new_id(),
        "invite_id": invite.hex(),
        "kp_hex": framing.posted_key_package().hex(),
        "tag": secrets.token_hex(32),
        "hello": secrets.token_hex(50),
    }
    return {**body, **changes}
