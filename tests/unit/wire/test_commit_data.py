"""The authenticated data of a commit: one spelling, and nothing that could harm who reads it."""

from uuid import uuid4

import pytest

from coterie_wire import CommitData, WireError


def test_it_reads_back_what_it_wrote() -> None:
    data = CommitData(added=(str(uuid4()), str(uuid4())), removed=(str(uuid4()),), invites=(bytes(16),))
    assert CommitData.parse(data.encode()) == data


@pytest.mark.parametrize(
    "spelled",
    [
        b"",
        b"null",
        b"{}",
        b'{"v":1}',
        b"[" * 50_000,  # parsed, it would overflow the stack of a WebAssembly Python
        b'{"added":' * 50_000,
        CommitData().encode() + b" ",
        CommitData().encode().replace(b":1", b":2"),
        CommitData().encode().replace(b"[]", b'["x"]', 1),
    ],
)
def test_anything_else_is_refused(spelled: bytes) -> None:
    with pytest.raises(WireError):
        CommitData.parse(spelled)
