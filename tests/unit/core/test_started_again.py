"""Those who learn from another that a broken group goes on elsewhere: what waits in it is said not to have gone."""

from coterie.core.group import lines, outbox
from coterie.core.records import group_key
from coterie.core.state import Turn
from tests.support.device import Device
from tests.support.friends import friends
from tests.support.post_office import PostOffice
from tests.unit.core.test_broken import NAMES, again, spoil


def started_again(office: PostOffice) -> tuple[str, str, Device, Device]:
    """Alice has started again a group that Mallory broke while Bob had a line and a call waiting; the new one's id."""
    group_id, (alice, bob, carol, liar) = friends(office, *NAMES)
    for person in (alice, bob, carol):
        person.publish()
    office.pump()
    spoil(office, liar, group_id)
    bob.send(group_id, "for those of the old group")

    def call(turn: Turn) -> None:
        outbox.call(turn, lines.need(turn, group_id), "invite_revoke", invite_id=bytes(16))

    bob.run(bob.engine._turn(office.now, call)[0])
    for person in (alice, bob):
        office.deliver(person)
    new = again(alice, group_id)
    office.pump(alice)
    return group_id, new, alice, bob


def test_what_waited_is_not_sent_for_whoever_comes_along_too(office: PostOffice) -> None:
    group_id, new, alice, bob = started_again(office)
    assert bob.states(group_id) == ["pending"]
    office.pump()
    bob.accept(new)
    office.pump()
    assert bob.group(group_id)["goes_on_in"] == new
    assert bob.states(group_id) == ["failed"]
    failed = next(line for line in bob.lines(group_id) if line["state"] == "failed")
    assert failed["why"].endswith("the group was started again before it went out.")
    assert bob.codes(group_id)[-1] == "goes_on"
    assert not [row for row in bob.outbox() if row.lane == group_key(group_id)]
    assert "for those of the old group" not in alice.texts(group_id) + alice.texts(new)
