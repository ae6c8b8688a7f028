"""Three devices, a group, talk, a restart, a rejoin, refusals: all calls of the crate once."""

from collections.abc import Callable

from coterie_mls import (
    Application,
    Backend,
    Forged,
    Malformed,
    Merged,
    MlsError,
    NotAllowed,
    Own,
    Stale,
    header,
    hkdf,
    open,  # noqa: A004
    random_bytes,
    seal,
)


def device(user: str) -> Backend:
    backend = Backend.create(user)
    backend.bind_device("1")
    return backend


def raises(error: type[MlsError], call: Callable[..., object], *arguments: object) -> None:
    try:
        call(*arguments)
    except error:
        return
    raise AssertionError(f"no {error.__name__}")


alice, bob, carol = device("alice"), device("bob"), device("carol")
assert (
    len({d.signature_key for d in (alice, bob, carol)} | {d.identity_key for d in (alice, bob, carol)}) == 6
)
group = alice.create_group(b"data")
commit = alice.commit(group, add=[bob.create_key_package().bytes], authenticated_data=b"roster")
assert isinstance(alice.process(group, commit.commit), Own)
assert alice.merge_pending(group).authenticated_data == b"roster"
assert bob.join(commit.welcome).inviter.identity == "alice#1"  # type: ignore[arg-type]
assert alice.epoch_authenticator(group) == bob.epoch_authenticator(group)

message = alice.encrypt(group, b"text", b"bound to")
assert header(message) == (2, group, 1, 1)
opened = bob.process(group, message)
assert isinstance(opened, Application)
assert (opened.data, opened.authenticated_data, opened.sender.identity) == (b"text", b"bound to", "alice#1")
raises(Stale, bob.process, group, message)
raises(Malformed, bob.process, group, message[:-1])
fresh = alice.encrypt(group, b"fresh")
raises(Forged, bob.process, group, fresh[:-1] + bytes([fresh[-1] ^ 1]))
assert bob.process(group, fresh)

commit = bob.commit(group, add=[carol.create_key_package().bytes], group_data=b"new")
raises(NotAllowed, bob.commit, group)
merged = alice.process(group, commit.commit)
assert isinstance(merged, Merged)
assert ([m.identity for m in merged.added], merged.group_data) == (["carol#1"], b"new")
bob.merge_pending(group)
carol.join(commit.welcome)  # type: ignore[arg-type]

rows = {key: row for key, row in bob.take_changes().items() if row is not None}
bob = Backend.load(rows)
assert alice.process(group, bob.encrypt(group, b"after a restart")).data == b"after a restart"

rejoin = bob.rejoin(alice.group_info(group))
for other in (alice, carol):
    resync = other.process(group, rejoin.commit)
    assert isinstance(resync, Merged)
    assert resync.external
bob.merge_rejoin(rejoin.record)
assert len({d.epoch_authenticator(group) for d in (alice, bob, carol)}) == 1

copy = Backend.import_state(alice.export_state())
assert copy.epoch_authenticator(group) == alice.epoch_authenticator(group)
raises(NotAllowed, copy.encrypt, group, b"x")

gone = alice.commit(group, remove=[carol.own_leaf(group).index])
told = carol.process(group, gone.commit)
assert isinstance(told, Merged)
assert told.self_removed
alice.merge_pending(group)
raises(NotAllowed, carol.process, group, alice.encrypt(group, b"without carol"))

key = random_bytes(32)
assert open(key, seal(key, b"text", b"ad"), b"ad") == b"text"
assert hkdf(b"\x0b" * 22, bytes(range(13)), bytes(range(0xF0, 0xFA)), 8).hex() == "3cb25f25faacd57a"

"done"
