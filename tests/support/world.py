"""A group with everybody who can stand towards it, for the questions of docs/authorization.md."""

import base64
import dataclasses
import json
import secrets
from typing import Any

import asyncpg
import httpx
import jwt

from tests.support import mls
from tests.support.caller import Device, Group, Http, Join, join_body, new_id

API_KEY = "sb_publishable_0123456789abcdef"
DEVICES = ("stranger", "other", "member", "fellow", "added", "removed", "left", "own", "joiner")
"""Principals with a device that is in use; the others are `nobody`, `key`, `forged`, `ended`, `guest`, `revoked`."""
PRINCIPALS = ("nobody", "key", "forged", "ended", "guest", "revoked", *DEVICES)


class Kept(Http):
    """Requests of many devices over one pool of connections."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        super().__init__(str(client.base_url))
        self._client = client

    async def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One HTTP request."""
        return await self._client.request(method, path, **options)


@dataclasses.dataclass(slots=True)
class Things:
    """What a request can name."""

    group: Group
    invite: bytes
    join: Join
    device_id: str
    """The member's other device."""
    user_id: str
    """The member's."""

    @classmethod
    def unknown(cls) -> "Things":
        """Ids that nobody has."""
        request = join_body(secrets.token_bytes(16))
        return cls(Group(new_id()), secrets.token_bytes(16), Join(new_id(), request), new_id(), new_id())


class World:
    """The group and its people; `renew` makes another group for the same people."""

    things: Things

    def __init__(self, client: httpx.AsyncClient, db: asyncpg.Connection) -> None:
        self.http = Kept(client)
        self.db = db
        self.people: dict[str, Device] = {}
        self.passkey_id = new_id()
        self.early = self.late = ""
        """Ciphertext from before anybody else came in, and from after `removed` and `left` went."""

    @classmethod
    async def make(cls, client: httpx.AsyncClient, db: asyncpg.Connection) -> "World":
        """Everybody, and the first group."""
        world = cls(client, db)
        await world.populate()
        await world.renew()
        return world

    async def populate(self) -> None:
        """New people."""
        for name in (*DEVICES, "revoked", "ended", "guest"):
            self.people[name] = await self._person(None if name != "own" else self.people["member"])
            if name not in ("guest", "ended"):
                person = self.people[name]
                person.device_id = (await person.register()).ok()["device_id"]
        revoked = self.people["revoked"]
        (await revoked.call("device_revoke", device_id=revoked.device_id)).ok()
        headers = {"authorization": f"Bearer {self.people['ended'].token}"}
        assert (await self.http.post("/auth/v1/logout", headers=headers)).status_code == 204

    async def _person(self, same: Device | None) -> Device:
        """A guest, or another session of the same one: guests have no second sign-in, so it is signed here."""
        person = Device(self.http.url)
        person.http = self.http
        await person.sign_in()
        if same is None:
            return person
        session = new_id()
        await self.db.execute(
            "insert into coterie.auth_sessions (session_id, user_id, method) values ($1, $2, 'passkey')",
            session,
            same.user_id,
        )
        token = await Mint(self.db, same.token).token(session_id=session)
        person.session = {**same.session, "access_token": token}
        return person

    async def renew(self) -> None:
        """Another group in the place of all that there were."""
        await self.db.execute("delete from coterie.groups")
        member, other = self.people["member"], self.people["other"]
        group = await member.create_group()
        self.early, _ = await self.say(group)
        await member.add(group, *(self.people[name] for name in ("fellow", "removed", "left")))
        gone, added = self.people["removed"].device_id, self.people["added"].device_id
        (await member.commit(group, add=[added], remove=[gone])).ok()
        (await self.people["left"].call("group_leave", group_id=group.group_id)).ok()
        self.late, _ = await self.say(group)
        invite = await member.invite(group)
        join = await self.people["joiner"].ask(invite)
        self.things = Things(group, invite, join, self.people["own"].device_id, member.user_id)
        await other.invite(await other.create_group())

    async def say(self, group: Group) -> tuple[str, int]:
        """A message by the member: its ciphertext and seq."""
        member = self.people["member"]
        body = mls.private_message(group.mls_id, group.epoch).hex()
        return body, (await member.send(group, mls_bytes=body)).ok()["seq"]

    async def add_passkeys(self, name: str) -> None:
        """Two passkeys of this user; requests name the second."""
        user = self.people[name].user_id
        await self.db.execute("delete from coterie.auth_passkeys where user_id = $1", user)
        for _ in range(2):
            self.passkey_id = await self.db.fetchval(
                "insert into coterie.auth_passkeys (user_id, credential_id, public_key, sign_count, friendly_name)"
                " values ($1, $2, 'x', 0, 'Passkey') returning passkey_id::text",
                user,
                secrets.token_bytes(16),
            )

    def headers(self, principal: str) -> dict[str, str]:
        """How this principal asks."""
        match principal:
            case "nobody":
                return {}
            case "key":
                return {"apikey": API_KEY, "authorization": f"Bearer {API_KEY}"}
            case "forged":
                return {"authorization": f"Bearer {self.token(principal)}"}
            case _:
                return {"apikey": API_KEY, "authorization": f"Bearer {self.token(principal)}"}

    def token(self, principal: str) -> str:
        """What stands in its Authorization header, and in its hello."""
        if principal in ("nobody", "key"):
            return API_KEY
        if principal == "forged":
            head, payload, signature = self.people["fellow"].token.split(".")
            claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
            return f"{head}.{encoded({**claims, 'sub': self.people['member'].user_id})}.{signature}"
        return self.people[principal].token

    def caller(self, principal: str) -> Device:
        """Whose keys make the body: who has none borrows the member's."""
        return self.people.get(principal, self.people["member"])

    def hidden(self, who: str, share: str = "none") -> dict[str, str]:
        """What may not be told to `who`, whose share is `none`, `past` or `welcome`, or who is refused."""
        request = self.things.join.request
        devices = {name: self.people[name].device_id for name in ("member", "fellow", "added", "own")}
        messages = {"early": self.early, "late": self.late}
        if share == "welcome":
            return messages
        everything = {
            **messages,
            "kp_hex": request["kp_hex"],
            "hello": request["hello"],
            "invite": self.things.invite.hex(),
            "group": self.things.group.group_id,
            **{name: device for name, device in devices.items() if name != who},
        }
        if share == "past":
            del everything["group"], everything["member"]
        return everything


class Mint:
    """Signs with the service's own key, out of its database: what a forger would dream of."""

    def __init__(self, db: asyncpg.Connection, model: str) -> None:
        self._db = db
        self.claims: dict[str, Any] = jwt.decode(model, options={"verify_signature": False})
        self.header: dict[str, Any] = jwt.get_unverified_header(model)

    async def key(self) -> str:
        """The private key that signs now, as PEM."""
        return str(
            await self._db.fetchval(
                "select private_key from coterie.auth_keys where kid = $1", self.header["kid"]
            )
        )

    async def token(self, *, without: str = "", **changes: Any) -> str:
        """The model's claims with changes, signed."""
        claims = {name: value for name, value in {**self.claims, **changes}.items() if name != without}
        return jwt.encode(claims, await self.key(), "ES256", headers={"kid": self.header["kid"]})


def encoded(value: Any) -> str:
    """A part of a JWT."""
    return jwt.utils.base64url_encode(json.dumps(value).encode()).decode()
