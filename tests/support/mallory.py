"""A member whose client breaks the rules: commits that the core would never build, straight from the binding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from coterie.core.engine import Engine
from coterie.core.group import lines, outbox
from coterie.core.state import Turn
from coterie_wire import CommitData
from tests.support.device import Device
from tests.support.directory import Reply
from tests.support.post_office import PostOffice


def commit(
    office: PostOffice,
    device: Device,
    group_id: str,
    *,
    add: Sequence[bytes] = (),
    remove: Sequence[Device] = (),
    data: CommitData | None = None,
    group_data: bytes | None = None,
) -> Reply:
    """Build and post a commit that says `data` (default: the truth about what it removes)."""
    gone = [one.identity for one in remove]
    body = request(device.engine, group_id, add=add, remove=gone, data=data, group_data=group_data)
    return office.handle(device, "send_commit", body)


def request(
    engine: Engine,
    group_id: str,
    *,
    add: Sequence[bytes] = (),
    remove: Sequence[str] = (),
    data: CommitData | None = None,
    group_data: bytes | None = None,
) -> dict[str, Any]:
    """The body of `send_commit` for such a commit; `remove` are identities. The engine's state stays as it is."""
    group, backend = engine._look(lambda turn: lines.need(turn, group_id)), engine.backend
    assert backend
    leaves = [leaf for leaf in backend.members(group.mls_id) if leaf.identity in remove]
    indices = [leaf.index for leaf in leaves]
    said = data or CommitData(removed=tuple(leaf.device_id for leaf in leaves), end_invites=bool(leaves))
    built = backend.commit(
        group.mls_id, add=add, remove=indices, group_data=group_data, authenticated_data=said.encode()
    )
    welcome = (built.welcome or b"").hex()
    body: dict[str, Any] = {
        "group_id": group_id,
        "epoch": group.epoch,
        "message_id": str(uuid4()),
        "counter": group.counter + 1,
        "commit": built.commit.hex(),
        "group_info": built.group_info.hex(),
        "welcomes": [{"device_id": one, "welcome": welcome} for one in said.added],
        "added": list(said.added),
        "removed": list(said.removed),
        "end_invites": said.end_invites,
    }
    backend.discard_pending(group.mls_id)
    backend.rollback()
    return body


def say(device: Device, group_id: str, body: dict[str, Any]) -> None:
    """Put any control message into the outbox."""

    def work(turn: Turn) -> None:
        outbox.send_control(turn, lines.need(turn, group_id), body)

    device.run(device.engine._turn(device.now, work)[0])


def post(
    office: PostOffice, device: Device, group_id: str, content: bytes, *, garbled: bool = False
) -> Reply:
    """Encrypt and post anything as a message: content that is no MIMI content, and (`garbled`) what nobody can open."""

    def work(turn: Turn) -> dict[str, Any]:
        group = lines.need(turn, group_id)
        group = group.with_(counter=group.counter + 1)
        turn.put(group)
        data = turn.backend.encrypt(group.mls_id, content)
        data = data[:-1] + bytes([data[-1] ^ garbled])
        return {"group_id": group_id, "epoch": group.epoch, "counter": group.counter, "mls_bytes": data.hex()}

    body: dict[str, Any] = device.op(device.engine._turn(device.now, work))
    return office.handle(device, "send_message", body | {"message_id": str(uuid4()), "kind": "application"})


def twin(device: Device) -> Device:
    """A second copy of a device's state: stolen, or restored."""
    copy = Device(device.office, "twin")
    del device.office.devices[copy.device_id]
    copy.rows = {table: dict(rows) for table, rows in device.rows.items()}
    copy.device_id, copy.user_id = device.device_id, device.user_id
    copy.crash()
    return copy
