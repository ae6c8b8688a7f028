"""Known answers for everything that comes of an invite link (docs/protocol.md, "The link")."""

import hashlib
import json
from pathlib import Path
from typing import Any

import cbor2
import pytest

import coterie_mls
from coterie.core import invite
from coterie.core.invite import Keys, Link, Preview
from coterie.errors import InviteError

VECTORS = json.loads((Path(__file__).parent / "invite.json").read_text(encoding="utf-8"))

Vector = dict[str, Any]


@pytest.fixture(params=VECTORS, ids=lambda vector: vector["preview"]["inviter_name"])
def vector(request: pytest.FixtureRequest) -> Vector:
    found: Vector = request.param
    return found


def raw(vector: Vector, name: str) -> bytes:
    return bytes.fromhex(vector[name])


def keys(vector: Vector) -> Keys:
    return Keys.derive(coterie_mls, raw(vector, "invite_id"), raw(vector, "secret"))


def test_the_link_spells_id_and_secret(vector: Vector) -> None:
    link = Link.parse(vector["link"])
    assert (link.invite_id, link.secret) == (raw(vector, "invite_id"), raw(vector, "secret"))
    assert link.url("https://chat.example") == vector["link"]


def test_the_keys_come_of_the_secret(vector: Vector) -> None:
    found = keys(vector)
    assert {label: getattr(found, label).hex() for label in vector["keys"]} == vector["keys"]


def test_the_preview_opens_and_only_under_its_own_link(vector: Vector) -> None:
    said = vector["preview"]
    expected = Preview(
        said["group_id"],
        bytes.fromhex(said["mls_id"]),
        said["group_name"],
        said["inviter_name"],
        bytes.fromhex(said["inviter_key"]),
        said["expires_at"],
    )
    invite_id, sealed = raw(vector, "invite_id"), raw(vector, "preview_sealed")
    assert Preview.open(coterie_mls, keys(vector).preview, invite_id, sealed) == expected
    with pytest.raises(InviteError):
        Preview.open(coterie_mls, keys(vector).preview, bytes(16), sealed)
    with pytest.raises(InviteError):
        Preview.open(coterie_mls, keys(vector).tag, invite_id, sealed)


def test_our_own_preview_has_the_documented_form(vector: Vector) -> None:
    invite_id, key = raw(vector, "invite_id"), keys(vector).preview
    sealed = Preview.open(coterie_mls, key, invite_id, raw(vector, "preview_sealed")).seal(
        coterie_mls, key, invite_id
    )
    assert coterie_mls.open(key, sealed, b"preview" + invite_id) == raw(vector, "preview_plaintext")
    assert sealed != raw(vector, "preview_sealed")  # a nonce of its own


def test_the_hello_opens_for_its_key_package_alone(vector: Vector) -> None:
    invite_id, package, sealed = (raw(vector, name) for name in ("invite_id", "key_package", "hello_sealed"))
    assert (
        invite.open_hello(coterie_mls, keys(vector).preview, invite_id, package, sealed)
        == vector["hello_name"]
    )
    assert invite.open_hello(coterie_mls, keys(vector).preview, invite_id, package + b"x", sealed) is None
    assert invite.open_hello(coterie_mls, keys(vector).preview, bytes(16), package, sealed) is None
    ours = invite.seal_hello(coterie_mls, keys(vector).preview, invite_id, package, vector["hello_name"])
    plain = coterie_mls.open(keys(vector).preview, ours, sealed_data(invite_id, package))
    assert cbor2.loads(plain) == {"name": vector["hello_name"]}


def sealed_data(invite_id: bytes, package: bytes) -> bytes:
    return b"hello" + invite_id + hashlib.sha256(package).digest()


def test_the_tags(vector: Vector) -> None:
    package, hello = raw(vector, "key_package"), raw(vector, "hello_sealed")
    tag = invite.join_tag(keys(vector).tag, raw(vector, "invite_id"), package, hello)
    assert tag.hex() == vector["tag"]
    welcome_tag = invite.welcome_tag(keys(vector).welcome, vector["join_id"], package, raw(vector, "welcome"))
    assert welcome_tag.hex() == vector["welcome_tag"]


def test_a_tag_holds_for_nothing_else(vector: Vector) -> None:
    package, hello, invite_id = (
        raw(vector, "key_package"),
        raw(vector, "hello_sealed"),
        raw(vector, "invite_id"),
    )
    key = keys(vector).tag
    tags = {
        invite.join_tag(key, invite_id, package, hello),
        invite.join_tag(key, bytes(16), package, hello),
        invite.join_tag(key, invite_id, package + b"x", hello),
        invite.join_tag(key, invite_id, package, hello + b"x"),
        invite.join_tag(bytes(32), invite_id, package, hello),
    }
    assert len(tags) == 5
