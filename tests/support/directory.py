"""The directory of the post office: key packages, own devices, Welcomes without a join (docs/protocol.md)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from coterie_wire import KeyPackage, WireError, parse_key_package

REFILL_BELOW = 25
KEPT = 200
LONGEST = 84 * 86_400 + 3_600
"""Seconds for which a key package may be valid."""

Reply = tuple[int, dict[str, Any]]


class Caller(Protocol):
    """Who calls: a device, by its session."""

    @property
    def device_id(self) -> str: ...
    @property
    def user_id(self) -> str: ...


def no(status: int, code: str, **fields: Any) -> Reply:
    """An error as docs/protocol.md has it."""
    return status, {"error": f"Refused: {code}.", "message": f"Refused: {code}.", "code": code} | fields


@dataclass
class Enrolled:
    """A device as the service knows it."""

    device_id: str
    user_id: str
    name: str = "Test"
    revoked: bool = False
    packages: dict[bytes, tuple[KeyPackage, str]] = field(default_factory=dict)
    """By ref: those that can still be claimed, in the order in which they came."""
    last_resort: tuple[KeyPackage, str] | None = None
    seen: set[bytes] = field(default_factory=set)
    """Refs of all that were ever published."""


class Directory:
    """Who has which devices, and what they published."""

    now: int

    def __init__(self) -> None:
        self.enrolled: dict[str, Enrolled] = {}
        self.claims: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
        """By claim_id: what was asked, and the answer."""

    def meets(self, caller: Caller, user_id: str) -> bool:
        """Whether the caller's device shares a group with a user now; the post office knows."""
        raise NotImplementedError

    def enroll(self, device_id: str, user_id: str, name: str = "Test") -> None:
        """A device registers; again it is the same."""
        self.enrolled.setdefault(device_id, Enrolled(device_id, user_id)).name = name

    # -- key packages --

    def stock(self, device_id: str) -> dict[str, Any]:
        """What `key_packages_count` answers."""
        device = self.enrolled[device_id]
        self._drop_expired(device)
        return {
            "available": len(device.packages),
            "last_resort": device.last_resort is not None,
            "refill_below": REFILL_BELOW,
        }

    def _drop_expired(self, device: Enrolled) -> None:
        now = self.now // 1000
        device.packages = {ref: one for ref, one in device.packages.items() if one[0].not_after > now}
        if device.last_resort and device.last_resort[0].not_after <= now:
            device.last_resort = None

    def _do_key_packages_count(self, caller: Caller, body: dict[str, Any]) -> Reply:
        return 200, self.stock(caller.device_id)

    def _do_key_packages_publish(self, caller: Caller, body: dict[str, Any]) -> Reply:
        given: list[tuple[int | None, str, bool]] = [
            (index, one, False) for index, one in enumerate(body["key_packages"])
        ]
        given += [(None, body["last_resort"], True)] if body.get("last_resort") else []
        assert len(body["key_packages"]) <= 100
        parsed = [(one, self._fault(caller, one, last_resort=last)) for _, one, last in given]
        refused = [
            {"index": index, "reason": fault}
            for (index, _, _), (_, fault) in zip(given, parsed, strict=True)
            if fault
        ]
        if refused:
            return no(422, "bad_key_packages", refused=refused)
        device = self.enrolled[caller.device_id]
        fresh = [parse_key_package(bytes.fromhex(one)) for one in body["key_packages"]]
        fresh = [one for one in fresh if one.ref not in device.seen]
        if len(device.packages) + len(fresh) > KEPT:
            return no(409, "key_packages_full", available=len(device.packages))
        for package, posted in ((parse_key_package(bytes.fromhex(one)), one) for one in body["key_packages"]):
            if package.ref not in device.seen:
                device.packages[package.ref] = package, posted
                device.seen.add(package.ref)
        if body.get("last_resort"):
            device.last_resort = parse_key_package(bytes.fromhex(body["last_resort"])), body["last_resort"]
        return 200, self.stock(caller.device_id)

    def _fault(self, caller: Caller, posted: str, *, last_resort: bool) -> str:
        """Why a key package is refused; empty when it is not. (The tests' clock is not the machine's.)"""
        try:
            package = parse_key_package(bytes.fromhex(posted))
        except WireError:
            return "malformed"
        if package.identity != f"{caller.user_id}#{caller.device_id}".encode():
            return "wrong_device"
        if package.not_after - package.not_before > LONGEST:
            return "wrong_lifetime"
        if package.not_after <= self.now // 1000:
            return "expired"
        return "" if package.last_resort == last_resort else "wrong_last_resort"

    def _do_key_packages_claim(self, caller: Caller, body: dict[str, Any]) -> Reply:
        asked = {"user_ids": body["user_ids"], "suite": body.get("suite", 1)}
        if body["claim_id"] in self.claims:
            before, answer = self.claims[body["claim_id"]]
            return (200, answer) if before == asked else no(409, "claim_id_reused")
        answer = {"key_packages": [], "missing": []}
        for device in self.enrolled.values():
            named = device.user_id in body["user_ids"] and device.device_id != caller.device_id
            known = device.user_id == caller.user_id or self.meets(caller, device.user_id)
            if named and known and not device.revoked:
                self._give(device, answer)
        self.claims[body["claim_id"]] = asked, answer
        return 200, answer

    def _give(self, device: Enrolled, answer: dict[str, Any]) -> None:
        self._drop_expired(device)
        about = {"device_id": device.device_id, "user_id": device.user_id}
        if device.packages:
            _, posted = device.packages.pop(next(iter(device.packages)))
            answer["key_packages"].append(about | {"key_package": posted, "last_resort": False})
        elif device.last_resort:
            answer["key_packages"].append(about | {"key_package": device.last_resort[1], "last_resort": True})
        else:
            answer["missing"].append(about)

    # -- own devices --

    def _do_devices_list(self, caller: Caller, body: dict[str, Any]) -> Reply:
        listed = [
            {
                "device_id": device.device_id,
                "name": device.name,
                "kind": "person",
                "created_at": "2026-09-21T14:13:20Z",
                "last_seen": "2026-09-21T14:13:20Z",
                "current": device.device_id == caller.device_id,
                "revoked_at": "2026-09-21T14:13:20Z" if device.revoked else None,
                "key_packages": len(device.packages),
            }
            for device in self.enrolled.values()
            if device.user_id == caller.user_id
        ]
        return 200, {"devices": listed}

    def _do_device_revoke(self, caller: Caller, body: dict[str, Any]) -> Reply:
        device = self.enrolled.get(body["device_id"])
        if device is None or device.user_id != caller.user_id:
            return no(404, "unknown_device")
        device.revoked, device.last_resort = True, None
        device.packages.clear()
        return 200, {"device_id": device.device_id, "revoked_at": "2026-09-21T14:13:20Z"}
