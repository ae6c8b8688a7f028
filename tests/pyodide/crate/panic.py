"""With the test build: a panic in the midst of a call."""

import coterie_mls._native as crate
from coterie_mls import Internal

alice, bob = crate.Backend.create("alice"), crate.Backend.create("bob")
alice.bind_device("1")
bob.bind_device("1")
group = alice.create_group(b"")
commit = alice.commit(group, add=[bob.create_key_package().bytes])
alice.merge_pending(group)
bob.join(commit.welcome)  # type: ignore[arg-type]
before = alice.export_state()
for _ in range(3):
    try:
        crate.kat_panic(alice, group)  # type: ignore[attr-defined]
    except Internal:
        assert alice.export_state() == before
    else:
        raise AssertionError("no panic")
for text in (b"the device", b"goes on"):
    assert bob.process(group, alice.encrypt(group, text)).data == text

"done"
