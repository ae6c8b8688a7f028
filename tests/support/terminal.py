"""A scripted client for tests of the terminal: it answers as it is told, and keeps what it was asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from coterie.errors import CoterieError

GROUP = "11111111-1111-4111-8111-111111111111"
LINK = "https://chat.example/?join=AAAAAAAAAAAAAAAAAAAAAA#1.BBBBBBBBBBBBBBBBBBBBBB"
ME = {"identity": "u#d", "name": "Ann", "fingerprint": "aabbccdd", "me": True, "owner": True}
BOB = {"identity": "v#e", "name": "Bob", "fingerprint": "11223344", "me": False, "owner": False}


def a_line(key: str, text: str, sender: dict[str, Any] | None = BOB, **more: Any) -> dict[str, Any]:
    """A `Line` of docs/bridge.md."""
    line = {"key": key, "kind": "text", "at": 0, "sender": sender and sender["identity"], "text": text}
    return (
        line
        | {"mine": sender is ME, "state": "sent" if sender is ME else None, "code": None, "why": ""}
        | more
    )


def a_group(name: str = "Tea", **more: Any) -> dict[str, Any]:
    """A `Group` of docs/bridge.md."""
    group = {"group_id": GROUP, "name": name, "epoch": 3, "state": "active", "why": "", "unread": 0}
    return (
        group
        | {
            "last_line": None,
            "members": 2,
            "updated_at": 0,
            "can_send": True,
            "can_rejoin": False,
            "again": None,
        }
        | more
    )


def a_person(name: str | None, **more: Any) -> dict[str, Any]:
    """A `Person` of docs/bridge.md."""
    return {"user_id": "v", "name": name, "fingerprint": "11223344", "devices": 1, "groups": []} | more


def an_invitation(**more: Any) -> dict[str, Any]:
    """An `Invitation` of docs/bridge.md."""
    sender = {"user_id": "v", "device_id": "e", "name": "Bob"}
    invitation = {"group_id": "2" * 8, "group_name": None, "sender": sender, "created_at": 0}
    return invitation | {"state": "waiting", "why": ""} | more


KEY = "1a2b3c4d" + "0" * 56
AN_ADDITION = {
    "group_id": GROUP,
    "user_id": "w",
    "added": [],
    "members": [],
    "new_keys": [],
    "refused": [],
    "missing": 0,
    "why": "",
}


class Script:
    """Stands where the client stands: keeps what it was asked, answers from `answers`, tells `events`."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.opened: list[tuple[str, Path]] = []
        self.closed = 0
        self.groups = [a_group()]
        self.name: str | None = "Ann"
        self.why = ""
        self.waiting: list[dict[str, Any]] = []
        self.answers: dict[str, Any] = {}
        self.after: dict[str, list[dict[str, Any]]] = {}
        self.pages: list[dict[str, Any]] = []
        self._count = 0
        self._tell: Callable[[dict[str, Any]], None] = lambda _: None

    async def open(
        self, service: str, path: Path, on_event: Callable[[dict[str, Any]], None], **_: object
    ) -> Any:
        self.opened.append((service, path))
        if isinstance(error := self.answers.get("open"), CoterieError):
            raise error
        self._tell = on_event
        return self

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        async def carry_out(**data: Any) -> Any:
            self.asked.append((operation, data))
            answer = self.answers.get(operation)
            if answer is None:
                answer = getattr(type(self), f"on_{operation}")(self, **data)
            for event in self.after.get(operation, []):
                self._tell(event)
            if isinstance(answer, CoterieError):
                raise answer
            return answer

        return carry_out

    def on_start(self) -> dict[str, Any]:
        return {
            "user_id": "u",
            "device_id": "d",
            "name": self.name,
            "session": {"state": "active", "guest": True, "why": self.why},
            "groups": self.groups,
            "joins": [],
            "invitations": self.waiting,
        }

    def on_health(self, group_id: str) -> dict[str, Any]:
        good = self.groups[0]["state"] != "broken"
        findings = [
            {"what": "state", "text": self.groups[0]["state"], "good": good},
            {"what": "connection", "text": "offline", "good": True},
        ]
        causes = [{"code": "gap", "times": 2, "everywhere": 5}]
        return {"group_id": group_id, "findings": findings, "causes": causes}

    def on_set_name(self, name: str) -> dict[str, Any]:
        return {"name": name}

    def on_open_group(self, group_id: str, limit: int) -> dict[str, Any]:
        if self.pages:
            return self.pages.pop(0)
        return {
            "group": self.groups[0],
            "members": [ME, BOB],
            "lines": [a_line("01", "hello")],
            "more": False,
        }

    def on_send_text(self, group_id: str, text: str) -> dict[str, Any]:
        self._count += 1
        key = f"f{self._count}"
        self._tell({"event": "line", "group_id": group_id, "line": a_line(key, text, ME, state="pending")})
        sent = a_line(f"0{self._count + 1}", text, ME)
        self._tell({"event": "line", "group_id": group_id, "line": sent, "was": key})
        return a_line(key, text, ME, state="pending")

    def on_create_invite(self, group_id: str) -> dict[str, Any]:
        return {"invite_id": "ab", "link": LINK}

    def on_create_group(self, name: str) -> dict[str, Any]:
        return a_group(name)

    def on_leave_group(self, group_id: str) -> dict[str, Any]:
        self._tell(
            {"event": "group", "group": a_group(state="left", why="You left the group.", can_send=False)}
        )
        return {}

    def on_people(self) -> list[dict[str, Any]]:
        return [
            a_person("Bob\x1b[2J", groups=[GROUP]),
            a_person("Carol", user_id="w", groups=["2" * 8]),
            a_person(None, user_id="x"),
        ]

    def on_add_person(self, group_id: str, user_id: str, accept: list[str]) -> dict[str, Any]:
        return AN_ADDITION | {"added": ["w#x"]}

    def on_invitations(self) -> list[dict[str, Any]]:
        return self.waiting

    def on_accept_invitation(self, group_id: str) -> dict[str, Any]:
        return {"group": a_group()}

    def on_decline_invitation(self, group_id: str) -> dict[str, Any]:
        return {}

    def on_devices(self) -> list[dict[str, Any]]:
        return [
            {"device_id": "d", "name": "Here", "current": True, "revoked": False, "key": KEY, "groups": 2},
            {"device_id": "e", "name": "Old", "current": False, "revoked": True, "key": None, "groups": 1},
        ]

    def on_revoke_device(self, device_id: str) -> dict[str, Any]:
        return {}

    def on_close(self) -> None:
        self.closed += 1

    def texts(self) -> list[str]:
        return [data["text"] for operation, data in self.asked if operation == "send_text"]


Run = Callable[..., tuple[int, str, str]]
"""`run(arguments, typed="…")`: exit status, standard output, standard error."""
