"""Rows: they read back, earlier ones with fewer fields too, and damaged ones are errors."""

from dataclasses import MISSING, fields

import cbor2
import pytest

from coterie.core import records
from coterie.core.records import Group, Invite, Join, Line, Me, Outgoing, Profile, Record, Sent, Session
from coterie.errors import StorageError

UUID = "0f0e0d0c-0b0a-4908-8706-050403020100"
SAMPLES: list[Record] = [
    Session(access_token="a", refresh_token="r", expires_at=1, user_id="u", session_id="s"),
    Me(id=UUID, rev=1, modified_at=2, name="Ada"),
    Group(group_id=UUID, mls_id=b"m", epoch=1, tree_hash=b"t", epoch_authenticator=b"e", updated_at=3),
    records.Chat(id=UUID, rev=1, modified_at=2, name="Friends"),
    Line(id=UUID, rev=1, modified_at=2, group_id=UUID, seq=7, index=1, sender="u#d", at=3, content=b"c"),
    Outgoing(
        lane=bytes(16), order=3, kind="call", function="invite_join", fields={"kp_hex": b"\x01", "n": [1]}
    ),
    Sent(message_id=UUID, group_id=UUID, seq=3, hash=bytes(32)),
    Invite(
        invite_id=bytes(16),
        group_id=UUID,
        preview_key=b"p",
        tag_key=b"t",
        welcome_key=b"w",
        created_at=1,
        expires_at=2,
        max_uses=3,
    ),
    Join(
        join_id=UUID,
        invite_id=bytes(16),
        secret=b"s",
        key_package=b"k",
        key_package_ref=b"r",
        group_id=UUID,
        mls_id=b"m",
        group_name="g",
        inviter_name="i",
        inviter_key=b"i",
        created_at=1,
    ),
    Profile(id=UUID, rev=1, modified_at=2, group_id=UUID, identity="u#d", name="Ada"),
    records.Seen(group_id=UUID, seq=1, digest=bytes(16)),
    records.Recent(group_id=UUID, place=bytes(15), number=5, digests=[bytes(16)]),
    records.Device(name="Desk", guest=False, ended="session_ended"),
    records.Package(ref=bytes(32), not_after=5, last_resort=True, package=b"k"),
    records.Invitation(
        group_id=UUID,
        welcome=b"w",
        seq=3,
        from_seq=4,
        sender_user=UUID,
        sender_device=UUID,
        created_at=5,
    ),
    records.Leaf(group_id=UUID, index=3, renewed_at=7),
    records.Contact(
        id=UUID, rev=1, modified_at=2, identity="u#d", signature_key=b"s", identity_key=b"i", name="Ada"
    ),
]


def kind_of(record: Record) -> str:
    return type(record).__name__


@pytest.mark.parametrize("record", SAMPLES, ids=kind_of)
def test_a_row_reads_back(record: Record) -> None:
    assert type(record).decode(record.encode()) == record


@pytest.mark.parametrize("record", SAMPLES, ids=kind_of)
def test_an_earlier_row_with_fewer_fields_takes_their_defaults(record: Record) -> None:
    version, *values = cbor2.loads(record.encode())
    optional = [one.default is not MISSING or one.default_factory is not MISSING for one in fields(record)]
    shortest = len(optional) - optional[::-1].index(False) if False in optional else 0
    for count in range(shortest, len(values) + 1):
        old = type(record).decode(cbor2.dumps([version, *values[:count]]))
        assert old.key == record.key
        assert [getattr(old, one.name) for one in fields(record)[:count]] == values[:count]


@pytest.mark.parametrize("record", SAMPLES, ids=kind_of)
def test_a_damaged_row_is_an_error_that_shows_nothing_of_it(record: Record) -> None:
    good = record.encode()
    version, *values = cbor2.loads(good)
    damaged = [
        b"",
        good[:-1],
        b"\xff" + good,
        cbor2.dumps([version + 1, *values]),
        cbor2.dumps([version, *values, "one field more"]),
        cbor2.dumps([version]),
        cbor2.dumps({}),
        cbor2.dumps([version, *(["x"] if isinstance(values[0], bytes) else [b"x"]), *values[1:]]),
    ]
    for value in damaged:
        with pytest.raises(StorageError) as caught:
            type(record).decode(value)
        assert caught.value.code == "corrupt_row"
        assert str(caught.value) == f"A row of the table “{record.TABLE}” cannot be read."


def test_keys_sort_as_the_lines_do() -> None:
    places = [(0, 0), (0, 1), (1, 0), (255, 65_535), (256, 0), (2**53, 3)]
    keys = [records.line_key(UUID, seq, index) for seq, index in places]
    assert keys == sorted(keys)


def test_user_rows_can_be_synced_one_day_and_mls_rows_never() -> None:
    kinds = (Me, records.Chat, Line, Profile, records.Contact)
    user_rows = {kind.TABLE for kind in kinds}
    for kind in kinds:
        assert {"id", "rev", "modified_at", "deleted"} <= {one.name for one in fields(kind)}
    others = (Group, Outgoing, Sent, Invite, Join, records.Recent, records.Seen, Session)
    for other in (*others, records.Device, records.Package, records.Invitation):
        assert "rev" not in {one.name for one in fields(other)}
    assert user_rows == {"device", "chats", "messages", "profiles", "contacts"}


def test_a_change_of_user_data_raises_the_revision() -> None:
    me = Me(id=UUID, rev=1, modified_at=2, name="Ada")
    changed = me.changed(9, name="Eve")
    assert (changed.rev, changed.modified_at, changed.id) == (2, 9, UUID)
