"""Run by CPython: prints the state of a device in a group, and a message to it."""

import json

from coterie_mls import Backend


def device(user: str) -> Backend:
    backend = Backend.create(user)
    backend.bind_device("1")
    return backend


alice, bob = device("alice"), device("bob")
group = alice.create_group(b"data")
commit = alice.commit(group, add=[bob.create_key_package().bytes])
alice.merge_pending(group)
bob.join(commit.welcome or b"")
made = {
    "state": bob.export_state().hex(),
    "rows": {key.hex(): row.hex() for key, row in bob.take_changes().items() if row is not None},
    "group": group.hex(),
    "authenticator": alice.epoch_authenticator(group).hex(),
    "message": alice.encrypt(group, b"from CPython").hex(),
}
print(json.dumps(made))  # noqa: T201
