"""A device that talks to the service in plain HTTP, with noise where the encryption would be."""

import json
import secrets
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from coterie_wire import CommitData, device_proof_message
from tests.support import mls
from tests.support.authenticator import Passkey


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, JSON and headers."""

    status: int
    body: dict[str, Any]
    headers: httpx.Headers

    @property
    def code(self) -> str | None:
        """The error's code."""
        return self.body.get("code")

    def ok(self) -> dict[str, Any]:
        """The body of a success."""
        assert self.status == 200, self
        return self.body

    def refused(self, status: int, code: str) -> dict[str, Any]:
        """The body of exactly this error, in its documented shape."""
        assert (self.status, self.code) == (status, code), self
        assert self.body["error"] == self.body["message"]
        assert self.body["error"].endswith((".", "?"))
        return self.body


@dataclass(slots=True)
class Group:
    """What a client would know of a group."""

    group_id: str
    mls_id: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    epoch: int = 0


@dataclass(slots=True)
class Join:
    """A join that was posted."""

    join_id: str
    request: dict[str, Any]


class Http:
    """One connection per request: nothing stays open for a test to close."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One HTTP request."""
        async with httpx.AsyncClient(base_url=self.url, timeout=30, verify=False) as client:  # noqa: S501 - no TLS here
            return await client.request(method, path, **options)

    async def get(self, path: str, **options: Any) -> httpx.Response:
        """GET."""
        return await self.request("GET", path, **options)

    async def post(self, path: str, **options: Any) -> httpx.Response:
        """POST."""
        return await self.request("POST", path, **options)


class Device:
    """A guest's session with a device."""

    def __init__(self, url: str) -> None:
        self.http = Http(url)
        self.key = Ed25519PrivateKey.generate()
        self.session: dict[str, Any] = {}
        self.passkey: Passkey | None = None
        self.device_id = ""
        self.counters: dict[tuple[str, int], int] = {}

    @classmethod
    async def guest(cls, url: str) -> "Device":
        """Signed in, with a registered device."""
        device = cls(url)
        await device.sign_in()
        device.device_id = (await device.register()).ok()["device_id"]
        return device

    async def another(self, *, key: Ed25519PrivateKey | None = None) -> "Device":
        """The same user in another session, signed in with a passkey; by default with another device."""
        passkey = await self.add_passkey()
        other = Device(self.http.url)
        other.key = key or other.key
        other.session = await self._ceremony("authentication", passkey.get)
        other.device_id = (await other.register(name="Phone")).ok()["device_id"]
        return other

    async def add_passkey(self) -> Passkey:
        """The user's one; registered when it is needed first."""
        if self.passkey is None:
            self.passkey = Passkey(self.http.url)
            await self._ceremony("registration", self.passkey.create, authorization=f"Bearer {self.token}")
        return self.passkey

    async def _ceremony(
        self, name: str, answer: Callable[[dict[str, Any]], dict[str, Any]], **headers: str
    ) -> dict[str, Any]:
        """Options and verification of `/auth/v1/passkeys`; the body of the success."""
        path = f"/auth/v1/passkeys/{name}"
        begun = (await self.http.post(f"{path}/options", json={}, headers=headers)).json()
        body = {"challenge_id": begun["challenge_id"], "credential": answer(begun["options"])}
        done = await self.http.post(f"{path}/verify", json=body, headers=headers)
        assert done.status_code == 200, done.text
        verified: dict[str, Any] = done.json()
        return verified

    async def refresh(self) -> None:
        """The session's next tokens."""
        body = {"refresh_token": self.session["refresh_token"]}
        answer = await self.http.post("/auth/v1/token?grant_type=refresh_token", json=body)
        assert answer.status_code == 200, answer.text
        self.session = answer.json()

    async def sign_in(self) -> None:
        """A new guest."""
        answer = await self.http.post("/auth/v1/signup", json={})
        assert answer.status_code == 200, answer.text
        self.session = answer.json()

    @property
    def token(self) -> str:
        """The access token."""
        return str(self.session["access_token"])

    @property
    def user_id(self) -> str:
        """The guest's id."""
        return str(self.session["user"]["id"])

    @property
    def session_id(self) -> str:
        """From the token, unverified."""
        return str(jwt.decode(self.token, options={"verify_signature": False})["session_id"])

    def proof(self, *, sub: str | None = None, session_id: str | None = None) -> str:
        """The device key's signature for `device_register`."""
        message = device_proof_message(sub or self.user_id, session_id or self.session_id, self.public_key)
        return self.key.sign(message).hex()

    @property
    def public_key(self) -> bytes:
        """Ed25519, 32 bytes."""
        return self.key.public_key().public_bytes_raw()

    async def register(self, **changes: Any) -> Answer:
        """`device_register`."""
        body = {"signature_key": self.public_key.hex(), "name": "Laptop", "proof": self.proof()}
        return await self.call("device_register", **{**body, **changes})

    async def call(self, function: str, /, **body: Any) -> Answer:
        """One function."""
        headers = {"authorization": f"Bearer {self.token}"} if self.session else {}
        headers["content-type"] = "application/json"
        answer = await self.http.post(f"/functions/v1/{function}", content=json.dumps(body), headers=headers)
        return Answer(answer.status_code, answer.json(), answer.headers)

    # ---- key packages

    def key_package(self, *, hours: float = 84 * 24, **changes: Any) -> bytes:
        """One of this device that ends in so many hours and began an hour ago."""
        now = int(time.time())
        fields = {
            "signature_key": self.public_key,
            "identity": f"{self.user_id}#{self.device_id}".encode(),
            "not_before": now - 3600,
            "not_after": now + int(hours * 3600),
        }
        return mls.whole_key_package(**{**fields, **changes})

    async def publish(self, count: int, *, last_resort: bytes | None = None) -> list[str]:
        """`key_packages_publish`; gives the packages as they were posted, in hex."""
        packages = [self.key_package().hex() for _ in range(count)]
        more = {} if last_resort is None else {"last_resort": last_resort.hex()}
        (await self.call("key_packages_publish", key_packages=packages, **more)).ok()
        return packages

    async def claim(self, *users: "Device", **changes: Any) -> Answer:
        """`key_packages_claim` for the users of these devices."""
        body = {"claim_id": new_id(), "user_ids": [one.user_id for one in users], **changes}
        return await self.call("key_packages_claim", **body)

    # ---- groups

    async def create_group(self) -> Group:
        """A new group with this device in it."""
        group = Group(new_id())
        info = mls.group_info(group.mls_id, 0).hex()
        (await self.call("group_create", group_id=group.group_id, group_info=info, message_id=new_id())).ok()
        return group

    def counter(self, group: Group) -> int:
        """The next one in this epoch."""
        key = (group.group_id, group.epoch)
        self.counters[key] = self.counters.get(key, 0) + 1
        return self.counters[key]

    def message(self, group: Group, **changes: Any) -> dict[str, Any]:
        """The body of a `send_message`."""
        body = {
            "group_id": group.group_id,
            "epoch": group.epoch,
            "kind": "application",
            "mls_bytes": mls.private_message(group.mls_id, group.epoch).hex(),
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
    ) -> dict[str, Any]:
        """The body of a `send_commit`; every device in `welcomed` (default: all in `add`) gets a Welcome."""
        data = CommitData(
            added=tuple(add), removed=tuple(remove), end_invites=end_invites, invites=tuple(invites)
        )
        body = {
            "group_id": group.group_id,
            "epoch": group.epoch,
            "commit": mls.private_commit(group.mls_id, group.epoch, data).hex(),
            "message_id": new_id(),
            "counter": changes.get("counter") or self.counter(group),
            "group_info": mls.group_info(group.mls_id, group.epoch + 1).hex(),
            "welcomes": [
                {"device_id": one, "welcome": mls.welcome().hex()}
                for one in (add if welcomed is None else welcomed)
            ],
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

    async def add(self, group: Group, *devices: "Device") -> None:
        """Add devices, and let them say that they are in."""
        (await self.commit(group, add=[one.device_id for one in devices])).ok()
        for one in devices:
            (await one.call("group_join", group_id=group.group_id)).ok()

    async def messages(self, group: Group, after: int = 0, **more: Any) -> dict[str, Any]:
        """`get_messages`."""
        return (await self.call("get_messages", group_id=group.group_id, after=after, **more)).ok()

    async def seqs(self, group: Group, after: int = 0) -> list[int]:
        """The seqs of a page."""
        return [one["seq"] for one in (await self.messages(group, after))["envelopes"]]

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

    async def complete(
        self, group: Group, invite: bytes, *joins: "tuple[Device, Join]", **changes: Any
    ) -> Answer:
        """`invite_complete`; moves `group` on when it succeeds."""
        body = self.commit_body(group, add=[device.device_id for device, _ in joins], invites=[invite])
        body["joins"] = [{"join_id": join.join_id, "welcome_tag": secrets.token_hex(32)} for _, join in joins]
        answer = await self.call("invite_complete", **{**body, **changes})
        if answer.status == 200:
            group.epoch += 1
        return answer

    async def poll(self, join: Join) -> dict[str, Any]:
        """`invite_poll`."""
        return (await self.call("invite_poll", join_id=join.join_id)).ok()


def new_id() -> str:
    """A random UUID as text."""
    return str(uuid.uuid4())


def from_now(**delta: float) -> str:
    """A time in RFC 3339."""
    return (datetime.now(UTC) + timedelta(**delta)).isoformat()


def invite_body(group: Group, **changes: Any) -> dict[str, Any]:
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


def join_body(invite: bytes, **changes: Any) -> dict[str, Any]:
    """The body of an `invite_join`."""
    body = {
        "join_id": new_id(),
        "invite_id": invite.hex(),
        "kp_hex": mls.key_package().hex(),
        "tag": secrets.token_hex(32),
        "hello": secrets.token_hex(50),
    }
    return {**body, **changes}
