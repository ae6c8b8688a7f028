"""What must hold when everything that can arrive has arrived: one roster, one epoch, every line once and in order."""

from __future__ import annotations

from dataclasses import dataclass

from coterie.core.mls import Member
from coterie.core.records import Group
from tests.disorder.network import Network
from tests.support.device import Device

EXPECTED = {
    "created",
    "joined_self",
    "joined",
    "left",
    "left_self",
    "removed",
    "removed_self",
    "gap",
    "tampered",
    "taken_out",
}
"""Causes of lines that a schedule explains: people came and went, messages were dropped for good."""


class Disagreement(AssertionError):
    """Something that must hold does not."""


@dataclass(frozen=True)
class Said:
    """A line that a device has saved as sent by it."""

    by: Device
    text: str


def is_member(device: Device) -> bool:
    """Whether the device is in the group, as far as it knows."""
    return any(group["can_send"] for group in device.engine.snapshot("")["groups"])


def leaves(device: Device, group_id: str) -> list[Member]:
    """The members by MLS, as this device has it."""
    assert device.engine.backend
    return device.engine.backend.members(device.record(group_id).mls_id)


@dataclass(frozen=True)
class Outcome:
    """A group after a schedule, in calm."""

    office: Network
    group_id: str
    people: list[Device]
    said: list[Said]
    leavers: list[Device]

    def survivors(self) -> list[Device]:
        """Who is in the group by the service's roster."""
        return [one for one in self.people if self.office.is_member(one, self.group_id)]

    def check(self) -> None:
        """Raises `Disagreement`."""
        survivors = self.survivors()
        must(len(survivors) >= 2, "fewer than two are left")
        must(all(is_member(one) for one in survivors), "a member cannot send", self._stands(survivors))
        records: list[Group] = [one.record(self.group_id) for one in survivors]
        must(len({record.epoch for record in records}) == 1, "epochs differ", self._stands(survivors))
        must(len({record.epoch_authenticator for record in records}) == 1, "a fork")
        room = self.office.rooms[self.group_id]
        members = {device for device, (_, last) in room.members.items() if last is None}
        unheard = {one.device_id for one in self.leavers if not self._heard_leaving(one, survivors)}
        for one in survivors:
            odd = {leaf.device_id for leaf in leaves(one, self.group_id)} ^ members
            must(odd <= unheard, "roster and members differ", one, odd)
            self._check_lines(one, survivors)

    def _heard_leaving(self, leaver: Device, survivors: list[Device]) -> bool:
        """Whether somebody who stays could read the leave message, the last that this device sent. If nobody could,
        nobody carries it out: the service's word alone removes no member (docs/limitations.md).
        """
        room = self.office.rooms[self.group_id]
        spoiled = self.office.dropped | self.office.altered
        seqs = [
            envelope.seq
            for envelope in room.envelopes
            if envelope.sender_device == leaver.device_id and envelope.kind == "application"
        ]
        return not seqs or any(
            seqs[-1] >= room.members[one.device_id][0] and (one.device_id, seqs[-1]) not in spoiled
            for one in survivors
        )

    def _check_lines(self, one: Device, survivors: list[Device]) -> None:
        texts, place = one.texts(self.group_id), self._place()
        must(len(texts) == len(set(texts)), "a line was shown twice", one, texts)
        must([*texts] == sorted(texts, key=place.__getitem__), "lines are out of order", one, texts)
        room = self.office.rooms[self.group_id]
        first = room.members[one.device_id][0]
        dropped = {seq for device, seq in self.office.dropped if device == one.device_id}
        altered = {seq for device, seq in self.office.altered if device == one.device_id}
        for said in self.said:
            if said.by in survivors:
                must(said.text in place, "a line never went out", said)
            seq = place.get(said.text)
            if seq is not None and seq >= first and seq not in dropped | altered:
                must(said.text in texts, "a line was lost", one, said)
        must(not (one.rows["outbox"] or one.rows["sent"]), "something is left over", one, one.outbox())
        strange = set(one.codes(self.group_id)) - EXPECTED
        must(not strange, "a line that nothing explains", one, strange)
        must(dropped or "gap" not in one.codes(self.group_id), "a gap where nothing was dropped", one)
        must(
            dropped or altered or "taken_out" not in one.codes(self.group_id),
            "a doubt where all was read",
            one,
        )
        must(
            one.codes(self.group_id).count("tampered") <= len(altered),
            "one was called altered and was not",
            one,
        )
        must(not one.problems(), "the user was bothered", one, one.problems())

    def _place(self) -> dict[str, int]:
        """The seq of every line that the service took, by its text: the senders' own lines know."""
        found: dict[str, int] = {}
        for one in self.people:
            if any(group["group_id"] == self.group_id for group in one.engine.snapshot("")["groups"]):
                for line in one.lines(self.group_id):
                    if line["kind"] == "text" and line["mine"] and line["state"] == "sent":
                        found[line["text"]] = int(line["key"][:16], 16)
        return found

    def _stands(self, devices: list[Device]) -> list[object]:
        return [
            (one, record.state, record.why, record.epoch, record.cursor)
            for one in devices
            for record in [one.record(self.group_id)]
        ]


def must(holds: object, what: str, *about: object) -> None:
    """Raises `Disagreement` unless it holds."""
    if not holds:
        raise Disagreement(": ".join([what, *map(str, about)]))
