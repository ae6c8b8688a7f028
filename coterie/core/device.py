"""This device at the service: its session, its registration, and its whole state for another place."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

import cbor2

from coterie.core.content import load, received_name
from coterie.core.mls import Backend
from coterie.core.records import Session
from coterie.errors import ContentError, LocalError, RemoteError

MAX_TOKEN = 16 * 1024
"""Characters; too few for JSON nested so deep that a WebAssembly Python dies of it."""
EXPORT_VERSION = 1
EXPORTED = ("groups", "chats", "messages", "profiles", "recent", "seen")
"""Tables that a copy takes along; never the session, and nothing that would send."""


def session_from(body: Mapping[str, Any]) -> Session:
    """The session in an answer of `/auth/v1/signup` or `/token`. Raises `RemoteError` (`bad_session`)."""
    match body:
        case {"access_token": str(access), "refresh_token": str(refresh), "user": {"id": str(user_id)}}:
            claims = _claims(access)
            session_id, expires = claims.get("session_id"), claims.get("exp")
            if isinstance(session_id, str) and isinstance(expires, int):
                return Session(
                    access_token=access,
                    refresh_token=refresh,
                    expires_at=expires,
                    user_id=user_id,
                    session_id=session_id,
                    guest=claims.get("is_anonymous") is not False,
                )
    raise RemoteError("bad_session", "The service answered the sign-in with something that is not a session.")


def _claims(token: str) -> dict[str, Any]:
    """The claims of a JWT, unverified: the service that gave it is the one that will check it."""
    if len(token) > MAX_TOKEN:
        return {}
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError, binascii.Error):
        return {}
    return claims if isinstance(claims, dict) else {}


def clean_device_name(name: str) -> str:
    """A device's name as the service takes it: 1 to 64 characters, no control characters. Raises `LocalError`."""
    clean = received_name(name)
    if clean is None:
        raise LocalError("bad_name", "A device's name has 1 to 64 characters that can be seen.")
    return clean


def registration(backend: Backend, session: Session, device_name: str) -> dict[str, Any]:
    """The body of `device_register`."""
    return {
        "signature_key": backend.signature_key.hex(),
        "name": device_name,
        "kind": "person",
        "proof": backend.sign_device_proof(session.user_id, session.session_id).hex(),
    }


def pack(backend: Backend, rows: Mapping[str, Mapping[bytes, bytes]], me: bytes | None) -> bytes:
    """The whole state in one value. It holds private keys: whoever has it reads what this device reads."""
    tables = {table: dict(rows.get(table, {})) for table in EXPORTED}
    return cbor2.dumps({"coterie": EXPORT_VERSION, "mls": backend.export_state(), "me": me, "tables": tables})


def unpack(data: bytes) -> tuple[bytes, dict[str, dict[bytes, bytes]]]:
    """The binding's state and the rows of a packed state. Raises `LocalError` (`bad_export`)."""
    try:
        value = cbor2.loads(data)
    except (cbor2.CBORDecodeError, ValueError, TypeError, RecursionError, OverflowError):
        value = None
    match value:
        case {"coterie": 1, "mls": bytes(state), "me": bytes() | None as me, "tables": dict(tables)}:
            rows = {table: _rows({"recent": {}, **tables}.get(table)) for table in EXPORTED}
            if me is not None:
                rows["device"] = {b"me": me}
            return state, rows
    raise LocalError("bad_export", "This file is not a state that Coterie exported.")


def _rows(table: Any) -> dict[bytes, bytes]:
    if isinstance(table, dict) and all(
        isinstance(k, bytes) and isinstance(v, bytes) for k, v in table.items()
    ):
        return dict(table)
    raise LocalError("bad_export", "This file is not a state that Coterie exported.")


def group_data(group_uuid: bytes, owner: str) -> bytes:
    """GroupContext extension 0xff11: the app's UUID, and roles. The service can read it, so no names."""
    return cbor2.dumps({"v": 1, "uuid": group_uuid, "roles": {owner: "owner"}}, canonical=True)


def group_uuid(data: bytes) -> bytes:
    """The app's UUID in group data, or b"" when it is none of ours."""
    found = _group_data(data).get("uuid")
    return found if isinstance(found, bytes) else b""


def group_owner(data: bytes) -> str:
    """The identity that made the group, from its data, or "" when it says none."""
    roles = _group_data(data).get("roles")
    owners = [who for who, role in roles.items() if role == "owner"] if isinstance(roles, dict) else []
    return str(owners[0]) if len(owners) == 1 else ""


def _group_data(data: bytes) -> dict[Any, Any]:
    try:
        body = load(data)
    except ContentError:
        return {}
    return body if isinstance(body, dict) and body.get("v") == 1 else {}
