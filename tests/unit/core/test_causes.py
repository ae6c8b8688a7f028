"""Every cause: what puts it into a group, what it says, what happens next, and how often it is counted."""

import ast
import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cbor2
import pytest

from coterie.core import causes, content
from coterie.core.causes import CAUSES, Kind
from coterie.core.engine import Engine
from coterie.core.group import lines
from coterie.core.mls import new_id
from coterie.core.records import Group, group_key
from coterie.core.state import Turn
from coterie_wire import Envelope
from tests.support import mallory
from tests.support.friends import friends
from tests.support.post_office import PostOffice

ROOT = Path(__file__).resolve().parents[3]
CORE = sorted((ROOT / "coterie" / "core").rglob("*.py"))
CONTENT_TYPE = 4 + 17 + 8
"""Where a PrivateMessage of ours says what it holds: behind version, wire format, group id and epoch."""
PROPOSAL = 2


class Pair:
    """Alice and Bob in a group; what the service gives Bob is made by the test."""

    def __init__(self, office: PostOffice) -> None:
        self.office = office
        self.group_id, (self.alice, self.bob) = friends(office, "Alice", "Bob")

    def said(self, text: str = "hi") -> Envelope:
        """A line of Alice's, which Bob has not got."""
        self.alice.send(self.group_id, text)
        self.office.post(self.alice)
        return self.office.rooms[self.group_id].envelopes[-1]

    def give(self, envelope: Envelope, **changes: object) -> None:
        """Deliver to Bob, in sequence unless `seq` is given."""
        seq = self.bob.record(self.group_id).cursor + 1
        changed = replace(envelope, **{"seq": seq} | changes)  # type: ignore[arg-type]
        self.bob.run(self.bob.engine.receive(changed, self.office.now, paged=True))

    def give_bytes(self, envelope: Envelope, data: bytes) -> None:
        self.give(envelope, mls_bytes=data, hash=hashlib.sha256(data).digest(), size=len(data))

    def encrypted(self, body: bytes) -> bytes:
        """Content of Alice's making, whatever it is."""
        assert self.alice.engine.backend
        return bytes(self.alice.engine.backend.encrypt(self.alice.record(self.group_id).mls_id, body))


def gap(pair: Pair) -> None:
    pair.said()
    pair.said()
    pair.give(pair.said(), seq=pair.bob.record(pair.group_id).cursor + 3)


def expired(pair: Pair) -> None:
    pair.give(pair.said(), mls_bytes=None, gone=True)


def tampered(pair: Pair) -> None:
    pair.give(pair.said(), hash=bytes(32))


def wrong_group(pair: Pair) -> None:
    other, (carol, _) = friends(pair.office, "Carol", "Dan")
    carol.send(other, "not for you")
    pair.office.post(carol)
    pair.give(pair.office.rooms[other].envelopes[-1], group_id=pair.group_id)


def replayed(pair: Pair) -> None:
    envelope = pair.said()
    pair.give(envelope)
    pair.give(envelope)


def repeated(pair: Pair) -> None:
    pair.alice.send(pair.group_id, "once")
    again = pair.encrypted(pair.alice.outbox()[-1].content)
    pair.office.post(pair.alice)
    envelope = pair.office.rooms[pair.group_id].envelopes[-1]
    pair.give(envelope)
    pair.give_bytes(envelope, again)


def too_early(pair: Pair) -> None:
    template = pair.said()
    pair.give(template)
    carol = pair.office.device("Carol")
    link = pair.alice.invite(pair.group_id)
    pair.office.pump(pair.alice)
    carol.ask(link, "Carol")
    pair.office.pump(pair.alice, carol)
    pair.give(pair.said("of an epoch that Bob has not reached"))


def malformed(pair: Pair) -> None:
    envelope = pair.said()
    pair.give_bytes(envelope, (envelope.mls_bytes or b"")[:-1])


def forged(pair: Pair) -> None:
    envelope = pair.said()
    data = bytearray(envelope.mls_bytes or b"")
    data[-3] ^= 1
    pair.give_bytes(envelope, bytes(data))


def unreadable(pair: Pair) -> None:
    envelope = pair.said()
    data = bytearray(envelope.mls_bytes or b"")
    data[CONTENT_TYPE] = PROPOSAL
    pair.give_bytes(envelope, bytes(data))


def bad_content(pair: Pair) -> None:
    pair.give_bytes(pair.said(), pair.encrypted(b"plain text"))


def newer_version(pair: Pair) -> None:
    *head, _ = cbor2.loads(content.encode_text("x", salt=bytes(16), epoch=0, authenticator=bytes(32)))
    head[5] = {}
    pair.give_bytes(pair.said(), pair.encrypted(cbor2.dumps([*head, [1, "", 1, "image/new", b"pixels"]])))


def forged_own(pair: Pair) -> None:
    twin = mallory.twin(pair.bob)
    twin.send(pair.group_id, "with stolen keys")
    pair.give_bytes(pair.said(), twin.outbox()[-1].mls_bytes)


def passed_over(pair: Pair) -> None:
    bad_commit(pair)
    pair.give(pair.said("closed to Bob"))


def bad_commit(pair: Pair) -> None:
    built = pair.alice.engine.backend.commit(pair.alice.record(pair.group_id).mls_id)
    data = bytearray(built.commit)
    data[-3] ^= 1
    pair.alice.engine.backend.rollback()
    pair.give_bytes(replace(pair.said(), kind="commit"), bytes(data))


def not_sent(pair: Pair) -> None:
    pair.bob.send(pair.group_id, "refused")
    key, _, _ = pair.bob.engine.next_post(group_key(pair.group_id))
    body = {"code": "wrong_header", "message": "the service refused it."}
    pair.bob.run(pair.bob.engine.posted(key, 422, body, pair.office.now))


def not_added(pair: Pair) -> None:
    def work(turn: Turn) -> None:
        group = lines.need(turn, pair.group_id)
        turn.put(group.with_(adding=[[f"{new_id(turn.mls)}#{new_id(turn.mls)}", b"key", b"no key package"]]))

    pair.bob.run(pair.bob.engine._turn(pair.office.now, work)[0])
    pair.bob.tick()


def fork(pair: Pair) -> None:
    lie = content.encode_text(
        "x", salt=bytes(16), epoch=pair.bob.record(pair.group_id).epoch, authenticator=b"another epoch's" * 3
    )
    pair.give_bytes(pair.said(), pair.encrypted(lie))


PROVOKED: dict[Callable[[Pair], None], int] = {
    gap: 2,
    expired: 1,
    tampered: 1,
    wrong_group: 1,
    replayed: 1,
    repeated: 1,
    too_early: 1,
    malformed: 1,
    forged: 1,
    unreadable: 1,
    bad_content: 1,
    newer_version: 1,
    forged_own: 1,
    passed_over: 1,
    bad_commit: 1,
    not_sent: 1,
    not_added: 1,
    fork: 1,
}
"""What provokes a cause, by its name, and how many messages it is about."""


def name_of(provoke: Callable[[Pair], None]) -> str:
    return provoke.__name__


@pytest.mark.parametrize("provoke", PROVOKED, ids=name_of)
def test_a_cause_is_counted_and_its_line_says_what_happened_and_what_follows(
    office: PostOffice, provoke: Callable[[Pair], None]
) -> None:
    pair, code = Pair(office), provoke.__name__
    provoke(pair)
    assert pair.bob.record(pair.group_id).counts[code] == PROVOKED[provoke]
    told = [line for line in pair.bob.lines(pair.group_id) if line["code"] == code]
    assert len(told) == (0 if CAUSES[code].silent else 1)
    for line in told:
        assert line["advice"]
        assert "{" not in line["text"] + line["advice"] + line["why"]


@pytest.mark.parametrize("provoke", PROVOKED, ids=name_of)
def test_a_count_outlives_the_process_and_is_saved_with_the_cursor(
    office: PostOffice, provoke: Callable[[Pair], None]
) -> None:
    pair, code = Pair(office), provoke.__name__
    provoke(pair)
    saved = [step.changes[row] for step in pair.bob.writes for row in step.changes if row[0] == "groups"]
    first = next(group for value in saved if value and code in (group := Group.decode(value)).counts)
    before = [Group.decode(value) for value in saved if value]
    assert first.cursor >= max(group.cursor for group in before if code not in group.counts)
    pair.bob.crash()
    assert pair.bob.engine.health(pair.group_id, "offline", None, "", office.now)["causes"]


def test_what_another_copy_sent_is_said_by_a_copy(office: PostOffice) -> None:
    pair = Pair(office)
    rows = Engine.import_(pair.bob.engine.mls, pair.bob.engine.export(pair.bob.rows))
    pair.bob.send(pair.group_id, "after the export")
    office.post(pair.bob)
    envelope = office.rooms[pair.group_id].envelopes[-1]
    copy = mallory.twin(pair.bob)
    copy.rows = {table: {} for table in copy.rows}
    for (table, key), value in rows.items():
        if value is not None:
            copy.rows[table][key] = value
    copy.crash()
    copy.run(copy.engine.receive(envelope, office.now))
    assert copy.record(pair.group_id).counts == {"own_unknown": 1}


def test_nothing_that_people_do_is_counted(office: PostOffice) -> None:
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    alice.remove(group_id, carol)
    office.pump()
    bob.leave(group_id)
    office.pump()
    for person in (alice, bob, carol):
        assert person.record(group_id).counts == {}


def test_who_comes_in_by_a_link_of_somebody_who_left_is_told(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    link = alice.invite(group_id)
    office.pump()
    carol = office.device("Carol")
    carol.look(link)
    alice.leave(group_id)
    office.pump()
    carol.ask(link, "Carol")
    office.pump()
    assert "inviter_absent" in carol.codes(group_id)


# -- the table --


def codes_given(path: Path) -> set[str]:
    """Every literal code that a file puts into a line or a group, counts, or breaks a group with."""
    places = {"notice": 2, "counted": 1, "_broken": 2}
    found: set[object] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in places and len(node.args) > places[name]:
                given = ast.walk(node.args[places[name]])
                found |= {one.value for one in given if isinstance(one, ast.Constant)}
            found |= {
                one.value.value
                for one in node.keywords
                if name == "with_" and one.arg == "why" and isinstance(one.value, ast.Constant)
            }
    return {code for code in found if isinstance(code, str) and re.fullmatch("[a-z_]+", code)}


def test_every_code_that_the_core_names_is_in_the_table() -> None:
    named = {code: path.name for path in CORE for code in codes_given(path)}
    assert {"gap", "own_unknown", "bad_commit", "passed_over", "left_self"} <= set(named)
    assert not {code: name for code, name in named.items() if code not in CAUSES}


def test_every_entry_of_the_table_is_raised_somewhere() -> None:
    said = "".join(path.read_text(encoding="utf-8") for path in CORE if path.parent.name != "causes")
    assert not [code for code in CAUSES if f'"{code}"' not in said]


def test_every_entry_of_the_table_is_shown_by_a_test() -> None:
    """By its code, or by what stands in its sentence between the names."""
    folders = [ROOT / "tests" / name for name in ("unit", "contract", "e2e")]
    said = "".join(
        path.read_text(encoding="utf-8") for folder in folders for path in folder.rglob("test_*.py")
    )
    shown = {name_of(provoke) for provoke in PROVOKED}
    for code, cause in CAUSES.items():
        fixed = max(re.split(r"\{\d\}", cause.sentence), key=len)[:25]
        assert code in shown or f'"{code}"' in said or fixed in said, code


@pytest.mark.parametrize("code", CAUSES)
def test_an_entry_is_whole(code: str) -> None:
    cause = CAUSES[code]
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", code)
    for about in ([], ["Ann"], ["Ann", "Bob"], ["Ann", "Bob", "Eve"]):
        assert "{" not in causes.sentence(code, about) + causes.advice(code, about)
    assert cause.sentence.endswith((".", "{0}"))
    assert (cause.advice == "") == (cause.kind is Kind.EVENT)
    assert cause.advice == "" or cause.advice.endswith(".")


UNKNOWN = causes.UNKNOWN


def test_a_code_of_a_newer_version_is_said_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(causes, "UNKNOWN", UNKNOWN)
    assert "does not know" in causes.sentence("of_tomorrow", ["Ann"])
    assert causes.advice("of_tomorrow", [])
