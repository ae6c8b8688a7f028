"""From a link to a conversation: real engines, real MLS, an honest post office."""

from tests.support.friends import friends
from tests.support.post_office import PostOffice


def test_a_line_reaches_the_other_side(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    alice.send(group_id, "hi")
    office.pump()
    bob.send(group_id, "hello")
    office.pump()
    assert alice.texts(group_id) == bob.texts(group_id) == ["hi", "hello"]
    assert alice.codes(group_id) == ["created", "joined"]
    assert bob.codes(group_id) == ["joined_self"]
    assert [line["state"] for line in alice.lines(group_id) if line["mine"]] == ["sent"]
    assert alice.rows["outbox"] == {} == alice.rows["sent"]


def test_names_travel_inside_the_group(office: PostOffice) -> None:
    group_id, people = friends(office, "Alice", "Bob", "Carol")
    for person in people:
        opened = person.engine.open_group(group_id, [], newest=True)
        assert sorted(member["name"] for member in opened["members"]) == ["Alice", "Bob", "Carol"]


def test_a_restart_keeps_history_and_goes_on(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    alice.send(group_id, "one")
    office.pump()
    for person in (alice, bob):
        person.crash()
    bob.send(group_id, "two")
    office.pump()
    assert alice.texts(group_id) == bob.texts(group_id) == ["one", "two"]
