"""A device whose state does not hold any more comes back by itself, and nothing is lost or doubled by it."""

import pytest

import coterie_mls
from coterie.core.effects import Call
from coterie.core.group.lines import HOUR
from coterie.core.records import group_key
from coterie.core.rejoining import MOST_TRIES
from coterie.errors import StateError
from coterie_wire import CommitData, Envelope
from tests.support import mallory
from tests.support.device import Device
from tests.support.directory import Caller, no
from tests.support.friends import friends, same_state
from tests.support.post_office import PostOffice
from tests.support.returning import PACE, asks, change, copied, expire, miss_a_change, put_back, start

DAY = 86_400


def epochs(group_id: str, *people: Device) -> set[tuple[int, bytes]]:
    records = [person.record(group_id) for person in people]
    return {(record.epoch, record.epoch_authenticator) for record in records}


class Withholding(PostOffice):
    """Keeps some of what it has to itself."""

    def __init__(self) -> None:
        super().__init__()
        self.withheld: set[int] = set()

    def envelopes(self, caller: Caller, group_id: str, after: int) -> list[Envelope]:
        return [one for one in super().envelopes(caller, group_id, after) if one.seq not in self.withheld]


def sent(office: PostOffice) -> set[str]:
    """Ids of all messages that anybody posted."""
    return {body["message_id"] for body in office.calls("send_message")}


# -- a state that is older than what it sent --


def test_a_restored_profile_comes_back_and_what_waited_goes_out_once(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    alice.send(group_id, "one")
    office.pump()
    old = copied(alice)
    for text in ("two", "three"):
        alice.send(group_id, text)
    office.pump()
    put_back(alice, old)
    alice.send(group_id, "four")
    assert alice.engine.next_post(group_key(group_id)) is None, "nothing goes out before the answer"
    bob.send(group_id, "hello")
    office.pump()
    assert bob.texts(group_id) == ["one", "two", "three", "hello", "four"]
    assert alice.texts(group_id) == ["one", "hello", "four"]
    assert alice.codes(group_id)[-4:] == ["state_behind", "own_unknown", "own_unknown", "back_in"]
    assert bob.codes(group_id)[-1] == "rejoined"
    alice.send(group_id, "five")
    bob.send(group_id, "six")
    office.pump()
    assert bob.texts(group_id)[-2:] == alice.texts(group_id)[-2:] == ["five", "six"]
    assert len(epochs(group_id, alice, bob)) == 1


def test_a_line_that_the_lost_state_had_sent_already_is_shown_once(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    alice.send(group_id, "said once")
    old = copied(alice)  # it waits in the outbox
    office.pump()
    alice.send(group_id, "and more")
    office.pump()
    put_back(alice, old)
    office.pump()
    assert bob.texts(group_id) == ["said once", "and more"]
    assert alice.texts(group_id) == ["said once"]
    assert alice.rows["outbox"] == {} == alice.rows["sent"]


def test_own_changes_after_the_copy_was_made_do_not_break_the_group(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    old = copied(alice)
    change(alice, group_id)
    office.pump()
    bob.send(group_id, "in the new epoch")
    office.pump()
    office.now += PACE
    put_back(alice, old)
    office.pump()
    assert alice.group(group_id)["state"] == "active"
    assert alice.codes(group_id)[-3:] == ["state_behind", "back_in", "missed"]
    assert alice.lines(group_id)[-1]["text"] == "1 messages from while you were away can't be read."
    alice.send(group_id, "back")
    office.pump()
    assert bob.texts(group_id)[-1] == "back"
    assert len(epochs(group_id, alice, bob)) == 1


def test_the_service_says_so_when_a_line_is_posted(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    office.rooms[group_id].counters[alice.device_id] = 99
    alice.send(group_id, "hi")
    office.pump()
    assert alice.codes(group_id)[-2:] == ["state_behind", "back_in"]
    assert alice.texts(group_id) == bob.texts(group_id) == ["hi"]


def test_nothing_goes_out_while_the_service_does_not_say_how_this_device_stands(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    office.refusals["groups_list"] = 503, {}
    start(alice)
    alice.send(group_id, "waits")
    office.pump()
    assert office.calls("send_message")[-1]["message_id"] not in {row.message_id for row in alice.outbox()}
    assert bob.texts(group_id) == []
    del office.refusals["groups_list"]
    office.wait(5)
    assert bob.texts(group_id) == ["waits"]
    assert asks(office) == 0


@pytest.mark.parametrize(
    "lie",
    [{}, {"groups": 7}, {"groups": [7]}, {"groups": [{"group_id": "x"}]}, {"groups": [{"counter": 99}]}],
)
def test_a_record_that_is_none_changes_nothing(office: PostOffice, lie: dict[str, object]) -> None:
    group_id, (alice, _) = friends(office, "Alice", "Bob")
    office.refusals["groups_list"] = 200, lie
    start(alice)
    office.pump()
    assert alice.group(group_id)["can_send"]
    assert asks(office) == 0


def test_a_service_that_lies_makes_a_device_come_back_once_an_hour_at_most(office: PostOffice) -> None:
    group_id, (alice, _) = friends(office, "Alice", "Bob")
    for _ in range(5):
        office.rooms[group_id].acked[alice.device_id] = 10_000
        start(alice)
        office.pump()
        office.wait(600)
    assert asks(office) == 1
    assert alice.codes(group_id).count("back_in") == 1
    assert alice.group(group_id)["can_rejoin"]
    office.wait(HOUR // 1000)
    assert alice.codes(group_id).count("back_in") == asks(office) == 2


# -- changes that were missed --


def test_a_change_that_is_gone_is_made_up_for(office: PostOffice) -> None:
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    link = alice.invite(group_id)
    office.pump()
    bob.online = False
    alice.remove(group_id, carol)
    office.pump()
    second = alice.invite(group_id)
    office.pump()
    dave = office.device("Dave")
    dave.ask(second, "Dave")
    office.pump()
    alice.send(group_id, "lost")
    change(alice, group_id)
    office.pump()
    expire(office, group_id)
    office.now += PACE
    bob.online = True
    office.pump()
    assert bob.codes(group_id)[-5:] == [
        "missed_commit",
        "back_in",
        "missed",
        "went_meanwhile",
        "came_meanwhile",
    ]
    assert [line["text"] for line in bob.lines(group_id)[-2:]] == [
        "Carol is not in this group any more.",
        "Someone new came into this group while you were away.",
    ]
    for _ in range(3):
        office.wait(5)
    assert bob.lines(group_id)[-1]["text"] == "Dave came into this group while you were away."
    assert bob.names(group_id) == ["Alice", "Bob", "Dave"]
    bob.send(group_id, "back")
    office.pump()
    assert alice.texts(group_id)[-1] == dave.texts(group_id)[-1] == "back"
    assert len(epochs(group_id, alice, bob, dave)) == 1
    alive = [
        one["link"] is None for one in bob.engine.list_invites(group_id, "x", bob.now) if not one["ended"]
    ]
    assert alive == [True], "the invite that was missed was handed over, the one that had ended was not"
    assert link


def test_a_device_that_was_away_for_longer_than_a_key_package_lives(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    bob.online = False
    change(alice, group_id)
    office.pump()
    office.now += 85 * DAY * 1000
    change(alice, group_id)
    office.pump()
    expire(office, group_id)
    office.now += PACE
    bob.online = True
    start(bob)
    office.pump()
    bob.send(group_id, "back")
    office.pump()
    assert alice.texts(group_id) == ["back"]
    assert len(epochs(group_id, alice, bob)) == 1


def test_a_newcomer_whose_key_package_has_run_out_meanwhile(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    carol = office.device("Carol")
    assert carol.engine.backend
    package = carol.engine.backend.create_key_package(lifetime=2).bytes
    bob.online = False
    mallory.commit(office, alice, group_id, add=[package], data=CommitData(added=(carol.device_id,)))
    run_out(carol, package)
    office.now += 2 * DAY * 1000
    bob.online = True
    office.pump(bob)
    assert bob.codes(group_id)[-3:] == ["outlived", "back_in", "came_meanwhile"]
    assert bob.group(group_id)["members"] == 3


def run_out(device: Device, package: bytes) -> None:
    """Ask until the key package is refused because its time is over: a second or two, by the binding's own clock."""
    assert device.engine.backend
    for _ in range(10_000_000):
        try:
            device.engine.backend.check_key_package(package)
        except coterie_mls.Unacceptable:
            return
    raise AssertionError


def test_lines_that_waited_in_a_group_that_could_not_be_read_on_go_out(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    bob.online = False
    bob.send(group_id, "first")
    bob.send(group_id, "second")
    miss_a_change(office, group_id, alice, bob)
    office.pump()
    assert alice.texts(group_id) == ["lost", "first", "second"]
    assert bob.texts(group_id) == ["first", "second"]
    assert bob.states(group_id) == ["sent", "sent"]


def test_a_line_that_was_taken_before_is_not_sent_again(office: PostOffice) -> None:
    """Its answer was lost, and its envelope comes when nothing can be read any more."""
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    office.lost = {"send_message"}
    bob.send(group_id, "taken")
    office.post(bob)
    posts = sent(office)
    bob.online = False
    office.pump()
    first = office.rooms[group_id].envelopes.pop()
    change(alice, group_id)
    office.lost = set()
    office.post(alice)
    room = office.rooms[group_id]
    late = office.envelope(
        group_id, len(room.envelopes) + 1, 2, "application", first.message_id, bob, first.mls_bytes or b""
    )
    room.envelopes.append(late)
    expire(office, group_id)
    office.now += PACE
    bob.online = True
    office.deliver(bob)
    office.pump()
    assert bob.texts(group_id) == ["taken"]
    assert len(sent(office) - posts) == 1, "that Bob asks what he missed"
    assert bob.codes(group_id)[-1] == "back_in"


def test_what_was_held_back_is_found_out_by_the_epoch_of_what_follows() -> None:
    office = Withholding()
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    bob.online = False
    change(alice, group_id)
    office.pump()
    alice.send(group_id, "in an epoch that Bob never heard of")
    office.pump()
    office.withheld.add(len(office.rooms[group_id].envelopes) - 1)
    office.now += PACE
    bob.online = True
    office.pump()
    assert bob.codes(group_id)[-3:] == ["gap", "too_early", "back_in"]
    bob.send(group_id, "back")
    office.pump()
    assert alice.texts(group_id)[-1] == "back"


def test_who_leaves_while_behind_is_still_leaving_afterwards(office: PostOffice) -> None:
    group_id, (alice, bob, _) = friends(office, "Alice", "Bob", "Carol")
    bob.online = False
    bob.leave(group_id)
    miss_a_change(office, group_id, alice, bob)
    office.pump()
    office.wait(10)
    assert alice.names(group_id) == ["Alice", "Carol"]
    assert bob.group(group_id)["state"] in ("left", "removed")
    assert alice.codes(group_id)[-1] == "left"


# -- what can go wrong on the way --


def test_the_same_bytes_are_posted_until_there_is_an_answer(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    miss_a_change(office, group_id, alice, bob)
    office.refusals["send_commit"] = 503, {}
    office.pump()
    for _ in range(3):
        office.wait(60)
        bob.crash()
    del office.refusals["send_commit"]
    office.lost = {"send_commit"}
    office.pump()
    posted = {body["commit"] for body in office.calls("send_commit") if body["counter"] == 0}
    assert len(posted) == 1
    assert bob.codes(group_id)[-1] == "missed"
    assert bob.rows["outbox"] == {}


def test_who_loses_the_epoch_takes_a_new_group_info(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    miss_a_change(office, group_id, alice, bob)
    while not bob.outbox():
        office.round(bob)
    record = bob.outbox()[0]
    assert (record.kind, record.note["record"] != b"") == ("rejoin", True)
    change(alice, group_id)
    office.pump(alice)
    office.pump()
    assert bob.outbox()[0].message_id != record.message_id, "the record of the one that lost is dropped"
    office.wait(PACE // 1000)
    assert bob.codes(group_id)[-2:] == ["back_in", "missed"]
    assert len(epochs(group_id, alice, bob)) == 1
    assert asks(office) == 2


def test_a_rejoin_that_always_loses_is_given_up(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    miss_a_change(office, group_id, alice, bob)
    office.refusals["send_commit"] = no(409, "stale_epoch", epoch=9)
    for _ in range(2 * MOST_TRIES):
        office.wait(60)
    assert asks(office) == MOST_TRIES
    assert bob.codes(group_id)[-1] == "rejoin_lost"
    office.wait(3 * HOUR // 1000)
    assert asks(office) == MOST_TRIES
    office.refusals.clear()
    bob.run(bob.engine.rejoin(group_id, bob.now))
    office.pump()
    assert bob.codes(group_id)[-2:] == ["back_in", "missed"]


def test_a_refusal_is_told_and_nothing_more_happens(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    miss_a_change(office, group_id, alice, bob)
    office.refusals["send_commit"] = no(422, "wrong_header")
    office.pump()
    office.wait(3 * HOUR // 1000)
    assert bob.codes(group_id)[-1] == "rejoin_refused"
    assert asks(office) == 1
    assert bob.group(group_id)["can_rejoin"]


def test_who_is_no_member_for_the_service_is_told(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    miss_a_change(office, group_id, alice, bob)
    office.refusals["group_info_get"] = no(403, "not_a_member")
    office.pump()
    assert bob.codes(group_id)[-1] == "rejoin_refused"


def test_two_devices_that_come_back_at_once(office: PostOffice) -> None:
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    miss_a_change(office, group_id, alice, bob, carol)
    for _ in range(4):
        office.pump()
        office.wait(3)
    for number, person in enumerate((alice, bob, carol)):
        person.send(group_id, f"{number}")
        office.pump()
    assert len(epochs(group_id, alice, bob, carol)) == 1
    assert (
        alice.texts(group_id)[-3:]
        == bob.texts(group_id)[-3:]
        == carol.texts(group_id)[-3:]
        == ["0", "1", "2"]
    )
    assert alice.codes(group_id).count("rejoined") == 2


def test_a_removal_that_is_wanted_outlives_the_rejoin_of_its_target(office: PostOffice) -> None:
    group_id, (alice, bob, _) = friends(office, "Alice", "Bob", "Carol")
    miss_a_change(office, group_id, alice, bob)
    while not bob.outbox():
        office.round(bob)
    office.post(bob)  # its rejoin has the epoch
    alice.remove(group_id, bob)
    office.pump()
    office.wait(30)
    assert alice.names(group_id) == ["Alice", "Carol"]
    assert bob.group(group_id)["state"] == "removed"


# -- copies --


def test_a_device_whose_place_a_copy_took_stops_and_does_not_take_it_back(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    copy = mallory.twin(bob)
    office.rooms[group_id].counters[bob.device_id] = 99
    start(copy)
    office.pump(copy, alice)
    bob.send(group_id, "too late")
    office.pump()
    assert bob.codes(group_id)[-1] == "replaced_self"
    assert bob.group(group_id)["why"] == "Another copy of this device took over your place here."
    copy.send(group_id, "from the copy")
    office.pump(copy, alice)
    for _ in range(3):
        office.wait(HOUR // 1000)
        start(bob)
        office.pump()
    assert bob.codes(group_id)[-1] == "replaced_self"
    assert alice.texts(group_id) == ["from the copy"]
    bob.run(bob.engine.rejoin(group_id, bob.now))
    office.pump()
    assert bob.codes(group_id)[-2:] == ["back_in", "missed"]
    assert alice.texts(group_id) == ["from the copy", "too late"]
    office.pump(copy)
    assert copy.codes(group_id)[-1] == "replaced_self"


def test_a_rejoin_that_was_refused_and_is_delivered_later_is_not_followed(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    office.rooms[group_id].counters[bob.device_id] = 99
    start(bob)
    while not bob.outbox():
        office.round(bob)
    row = bob.outbox()[0]
    change(alice, group_id)
    office.pump(alice)
    bob.online = False
    room = office.rooms[group_id]
    room.envelopes.append(
        office.envelope(
            group_id, len(room.envelopes) + 1, row.epoch, "commit", row.message_id, bob, row.mls_bytes
        )
    )
    office.deliver(bob)
    assert bob.record(group_id).epoch == alice.record(group_id).epoch
    assert bob.codes(group_id)[-1] == "replayed"
    assert bob.outbox() == []


def test_a_record_that_was_damaged_is_built_anew(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    miss_a_change(office, group_id, alice, bob)
    while not bob.outbox():
        office.round(bob)
    row = bob.outbox()[0]
    bob.rows["outbox"][row.key] = row.with_(note={"record": row.note["record"][:-1]}).encode()
    bob.crash()
    office.pump()
    assert bob.codes(group_id)[-1] == "rejoin_unreadable"
    office.wait(PACE // 1000)
    assert bob.codes(group_id)[-2:] == ["back_in", "missed"]
    assert len(epochs(group_id, alice, bob)) == 1


def test_only_who_is_stuck_comes_back(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    with pytest.raises(StateError) as caught:
        bob.engine.rejoin(group_id, bob.now)
    assert caught.value.code == "not_stuck"
    alice.remove(group_id, bob)
    office.pump()
    with pytest.raises(StateError):
        bob.engine.rejoin(group_id, bob.now)
    assert not bob.group(group_id)["can_rejoin"]


def test_a_call_that_is_lost_is_made_again(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    miss_a_change(office, group_id, alice, bob)
    office.deliver(bob)
    assert Call("group_info_get", {"group_id": group_id}) in bob.calls
    bob.crash()
    office.wait(20)
    assert bob.codes(group_id)[-2:] == ["back_in", "missed"]


def test_it_leaves_nothing_behind(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    miss_a_change(office, group_id, alice, bob)
    office.pump()
    office.wait(60)
    assert bob.rows["outbox"] == {} == bob.rows["sent"]
    record = bob.record(group_id)
    assert (record.rejoin_due, record.rejoin_tries, record.passed) == (0, 0, 0)
    assert same_state(group_id, alice) == same_state(group_id, bob)
