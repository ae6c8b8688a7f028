"""What the length of a message tells: MLS pads content (RFC 9420 section 6.3.1) to a multiple of 128 bytes."""

from tests.support.friends import friends
from tests.support.post_office import PostOffice

STEP = 128


def test_the_sizes_of_messages_come_in_steps(office: PostOffice) -> None:
    group_id, (alice, _) = friends(office, "Alice", "Bob")
    for length in range(1, 2 * STEP + 1):
        alice.send(group_id, "x" * length)
    sizes = [len(row.mls_bytes) for row in alice.outbox()]
    assert len(set(sizes)) == 3, "256 lengths of text"
    assert {(one - sizes[0]) % STEP for one in sizes} == {0}
    assert sizes[0] == sizes[20], "short lines are all of one size"
