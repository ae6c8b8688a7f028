"""Devices and groups for tests of the crate."""

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import coterie_mls


def device(user: str, name: str = "1", crate: ModuleType = coterie_mls) -> Any:
    """A device with an id, saved once."""
    backend = crate.Backend.create(user)
    backend.bind_device(name)
    backend.take_changes()
    return backend


def devices(*users: str, crate: ModuleType = coterie_mls) -> list[Any]:
    return [device(user, crate=crate) for user in users]


def group_of(creator: Any, *others: Any, suite: int = 1) -> bytes:
    """A group of these devices, entered with one commit, all saved."""
    group_id: bytes = creator.create_group(b"data", suite=suite)
    if others:
        add(creator, group_id, *others, suite=suite)
    return group_id


def add(by: Any, group_id: bytes, *newcomers: Any, suite: int = 1, receivers: tuple[Any, ...] = ()) -> Any:
    """Add devices to a group; the other members process the commit. Gives what the committer built."""
    packages = [newcomer.create_key_package(suite=suite).bytes for newcomer in newcomers]
    commit = by.commit(group_id, add=packages)
    for receiver in receivers:
        receiver.process(group_id, commit.commit)
    by.merge_pending(group_id)
    for newcomer in newcomers:
        newcomer.join(commit.welcome)
    for backend in (by, *newcomers, *receivers):
        backend.take_changes()
    return commit


def same_epoch(group_id: bytes, *backends: Any) -> bool:
    """They are in the same epoch of the same group."""
    return len({backend.epoch_authenticator(group_id) for backend in backends}) == 1


class Disk:
    """The rows of one device, as a store keeps them."""

    def __init__(self, backend: Any) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.backend = backend
        backend_rows(backend, self.rows)

    def save(self) -> Mapping[bytes, bytes | None]:
        """Write what changed; gives it."""
        changes: Mapping[bytes, bytes | None] = self.backend.take_changes()
        apply(changes, self.rows)
        return changes

    def load(self) -> Any:
        """The device as it comes back after a restart."""
        return type(self.backend).load(self.rows)


def backend_rows(backend: Any, rows: dict[bytes, bytes]) -> None:
    """Fill in all rows of a device, by way of a copy that counts everything as changed."""
    copy = type(backend).import_state(backend.export_state())
    apply(copy.take_changes(), rows)
    rows[b"d"] = own_row(backend)


def own_row(backend: Any) -> bytes:
    """The device row of a backend that is not an imported one."""
    exported: bytes = backend.export_state()
    marker = b"read_only"
    copy = bytearray(type(backend).import_state(exported).take_changes()[b"d"])
    at = copy.index(marker) + len(marker)
    assert copy[at] == 0xF5, "CBOR true"
    copy[at] = 0xF4
    return bytes(copy)


def apply(changes: Mapping[bytes, bytes | None], rows: dict[bytes, bytes]) -> None:
    for key, row in changes.items():
        if row is None:
            rows.pop(key, None)
        else:
            rows[key] = row
