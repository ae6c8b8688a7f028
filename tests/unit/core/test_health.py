"""How a group stands: what is kept of commits and leaves, what is shown, and what a stranger may read of it."""

from typing import Any

import pytest

from coterie.core import health
from coterie.core.records import Group, Leaf
from coterie.errors import StateError
from tests.support import mallory
from tests.support.device import Device
from tests.support.friends import friends
from tests.support.post_office import PostOffice

DAY = 86_400_000


def look(device: Device, group_id: str, **asked: Any) -> dict[str, Any]:
    given = {"connection": "online", "last_seq": None, "service": "Asked nobody."} | asked
    return device.engine.health(group_id, now=device.now, **given)


def finding(seen: dict[str, Any], what: str) -> tuple[str, bool]:
    return next((one["text"], one["good"]) for one in seen["findings"] if one["what"] == what)


def test_a_group_that_is_well_says_so(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    cursor = bob.record(group_id).cursor
    seen = look(bob, group_id, last_seq=cursor, service="")
    assert seen["good"]
    assert (seen["state"], seen["code"], seen["epoch"], seen["members"]) == ("active", None, 1, 2)
    assert (seen["cursor"], seen["last_seq"], seen["outbox"]) == (
        cursor,
        cursor,
        {"waiting": 0, "oldest_at": None},
    )
    assert (seen["out_of_date"], seen["causes"]) == ([], [])
    assert finding(seen, "cursor") == (f"{cursor} of {cursor}", True)
    assert finding(seen, "causes") == ("none", True)


def test_the_last_commit_names_who_made_it_and_when(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    assert look(bob, group_id)["last_commit"] is None, "the commit that let him in is not his to read"
    made = look(alice, group_id)["last_commit"]
    assert (made["leaf"], made["name"]) == (0, "Alice")
    mallory.commit(office, bob, group_id)
    office.pump(alice)
    made = look(alice, group_id)["last_commit"]
    assert (made["leaf"], made["name"], made["at"]) == (1, "Bob", office.now)
    text, _ = finding(look(alice, group_id), "epoch")
    assert text.startswith("2, by leaf 1 at ")
    assert text.endswith(" UTC")


def test_members_whose_keys_are_old_are_told_the_oldest_first(office: PostOffice) -> None:
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    office.now += 8 * DAY
    assert look(alice, group_id)["out_of_date"] == []
    office.now += DAY
    old = look(alice, group_id)["out_of_date"]
    assert [(one["name"], one["leaf"], one["days"]) for one in old] == [
        ("Alice", 0, 9),
        ("Bob", 1, 9),
        ("Carol", 2, 9),
    ]
    mallory.commit(office, carol, group_id)
    office.pump(alice)
    office.now += 9 * DAY
    old = look(alice, group_id)["out_of_date"]
    assert [(one["name"], one["days"]) for one in old] == [("Alice", 18), ("Bob", 18), ("Carol", 9)]
    assert finding(look(alice, group_id), "members") == (
        "3; keys not renewed: leaf 0 (18 days), leaf 1 (18 days), leaf 2 (9 days)",
        True,
    )


def test_what_is_known_of_a_leaf_goes_with_it(office: PostOffice) -> None:
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")

    def leaves() -> list[int]:
        return sorted(Leaf.decode(value).index for value in alice.rows["leaves"].values())

    assert leaves() == [0, 1, 2]
    alice.remove(group_id, carol)
    office.pump()
    assert leaves() == [0, 1]
    alice.leave(group_id)
    office.pump()
    alice.run(alice.engine.forget_group(group_id, [], alice.now))
    assert leaves() == []


def test_who_comes_in_again_knows_nothing_of_the_leaves_before(office: PostOffice) -> None:
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    assert bob.rows["leaves"]
    alice.remove(group_id, bob)
    office.pump()
    office.now += 20 * DAY
    link = alice.invite(group_id)
    office.pump()
    bob.ask(link, "Bob")
    office.pump()
    assert bob.group(group_id)["state"] == "active"
    assert [one["days"] for one in look(bob, group_id)["out_of_date"]] == []


def test_rows_about_leaves_are_written_with_commits_only(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    steps = len(bob.writes)
    for number in range(3):
        alice.send(group_id, f"{number}")
        bob.send(group_id, f"{number}")
    office.pump()
    assert not [row for step in bob.writes[steps:] for row in step.changes if row[0] == "leaves"]


def test_lines_that_wait_for_long_are_worth_a_look(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    bob.send(group_id, "waits")
    since = office.now
    office.now += health.WAITS_LONG - 1
    seen = look(bob, group_id)
    assert seen["outbox"] == {"waiting": 1, "oldest_at": since}
    assert finding(seen, "outbox") == ("1 waiting, the oldest for 9 minutes", True)
    office.now += 1
    assert finding(look(bob, group_id), "outbox") == ("1 waiting, the oldest for 10 minutes", False)
    assert not look(bob, group_id)["good"]


def test_a_service_that_lost_what_this_device_has_is_worth_a_look(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    cursor = bob.record(group_id).cursor
    assert finding(look(bob, group_id, last_seq=cursor - 1, service=""), "cursor") == (
        f"{cursor} of {cursor - 1}",
        False,
    )
    assert finding(look(bob, group_id, last_seq=cursor + 500, service=""), "cursor")[1]
    assert finding(look(bob, group_id, service="The service can't be reached."), "cursor") == (
        f"{cursor}; the service's is not known. The service can't be reached.",
        True,
    )


@pytest.mark.parametrize(
    ("state", "why", "good"),
    [
        ("active", "", True),
        ("active", "left_self", True),
        ("left", "left_self", True),
        ("removed", "not_a_member", True),
        ("active", "state_behind", False),
        ("active", "added_anew", False),
        ("broken", "broken", False),
    ],
)
def test_a_group_that_does_not_go_on_is_worth_a_look(
    office: PostOffice,
    state: str,
    why: str,
    good: bool,  # noqa: FBT001
) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    bob.run(
        bob.engine._turn(office.now, lambda turn: turn.put(bob.record(group_id).with_(state=state, why=why)))[
            0
        ]
    )
    seen = look(bob, group_id)
    assert (seen["good"], finding(seen, "state")[1]) == (good, good)
    assert finding(seen, "state")[0].startswith(state)


def test_causes_are_counted_here_and_everywhere(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    other = bob.create("Others")
    office.pump()

    def count(group_id: str, **counts: int) -> None:
        group = bob.record(group_id)
        bob.run(bob.engine._turn(office.now, lambda turn: turn.put(group.with_(counts=counts)))[0])

    count(group_id, gap=2, forged=5)
    count(other, gap=7, tampered=1)
    told = look(bob, group_id)["causes"]
    assert [(one["code"], one["times"], one["everywhere"]) for one in told] == [
        ("forged", 5, 5),
        ("gap", 2, 9),
        ("tampered", 0, 1),
    ]
    assert told[1]["sentence"] == "Some messages were held back by the service."
    assert all(one["advice"] for one in told)
    assert finding(look(bob, group_id), "causes") == ("forged 5, gap 2", True)


def test_the_findings_tell_a_stranger_nothing(office: PostOffice) -> None:
    """No name, no id, no key, no word of what was written."""
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    bob.send(group_id, "a secret word")
    alice.remove(group_id, carol)
    office.pump(alice)
    office.now += 30 * DAY
    group: Group = alice.record(group_id)
    for person in (alice, bob):
        told = " ".join(one["text"] for one in look(person, group_id)["findings"])
        for secret in ("Alice", "Bob", "Carol", "secret", "Friends", group_id[:8], group.mls_id.hex()[:8]):
            assert secret not in told
        for one in office.devices.values():
            assert one.device_id[:8] not in told
            assert one.user_id[:8] not in told


def test_a_copy_is_well_and_says_that_it_is_one(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    copy = mallory.twin(bob)
    imported = type(bob.engine).import_(bob.engine.mls, bob.engine.export(bob.rows))
    copy.rows = {table: {} for table in copy.rows}
    for (table, key), value in imported.items():
        if value is not None:
            copy.rows[table][key] = value
    copy.crash()
    seen = look(copy, group_id, connection="offline")
    assert (seen["code"], seen["good"]) == ("imported", True)


def test_a_group_that_is_not_here_is_an_error(office: PostOffice) -> None:
    (alice,) = friends(office, "Alice")[1]
    with pytest.raises(StateError) as caught:
        look(alice, "00000000-0000-4000-8000-000000000000")
    assert caught.value.code == "no_group"


@pytest.mark.parametrize(
    ("minutes", "said"),
    [
        (0, "0 minutes"),
        (1, "1 minute"),
        (119, "119 minutes"),
        (120, "2 hours"),
        (47 * 60, "47 hours"),
        (48 * 60, "2 days"),
    ],
)
def test_how_long_in_words(minutes: int, said: str) -> None:
    assert health.span(minutes * 60_000) == said
