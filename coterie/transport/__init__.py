"""The ways to the service: providers of `coterie.ports.Transport`, strangers to one another.

What they share is here: which addresses they take, and what counts as a complete answer.
"""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from coterie.errors import LocalError, Unreachable
from coterie.ports import Answer

REQUEST_SECONDS = 60.0
"""A whole request with its answer, uploads of 40 MiB included; later it counts as unanswered."""

OPEN_SECONDS = 10.0
"""Opening a connection or a socket."""

FRAME_LIMIT = 32 << 20
"""Bytes of one socket frame: a Welcome of 8 MiB in hex, and room."""

DEPTH_LIMIT = 100
"""Levels of nesting in an answer or a frame; the service needs five."""

STRINGS_AND_BRACKETS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{\]}]')

DELIVER = "/functions/v1/deliver"


def service_address(url: str) -> str:
    """`url` without its last slash; raises `LocalError` (`bad_service_url`) unless it is http(s)."""
    try:
        parts = urlsplit(url)
        usable = (
            parts.scheme in ("http", "https") and bool(parts.hostname) and not (parts.query or parts.fragment)
        )
        _ = parts.port
    except ValueError:
        usable = False
    if not usable:
        raise LocalError("bad_service_url", "The address of the service must look like https://host.")
    return url.rstrip("/")


def deliver_address(service: str) -> str:
    """Where the `deliver` socket of a service is: ws for http, wss for https."""
    return "ws" + service.removeprefix("http") + DELIVER


def request_headers(path: str, body: object, token: str | None) -> dict[str, str]:
    """What every request carries.

    The version makes Supabase Auth, and ours in its place, name errors by a text in `code`, as the functions do.
    """
    headers = {"Accept": "application/json"}
    if path.startswith("/auth/v1/"):
        headers["X-Supabase-Api-Version"] = "2024-01-01"
    if body is not None:
        headers["Content-Type"] = "application/json"
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return headers


def encode(body: Any) -> str:
    """JSON without white space."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False)


def decode(text: str) -> Any:
    """The JSON value in `text`. Raises `ValueError`, also for one that is nested deeper than `DEPTH_LIMIT`.

    Counted beforehand, because Python's parser recurses: in Pyodide some 10,000 levels overflow the stack of
    WebAssembly, which no exception reports and nothing survives.
    """
    if text.count("[") + text.count("{") > DEPTH_LIMIT and _depth(text) > DEPTH_LIMIT:
        raise ValueError("nested too deep")
    return json.loads(text)


def _depth(text: str) -> int:
    deepest = depth = 0
    for token in STRINGS_AND_BRACKETS.finditer(text):
        if token[0] in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif token[0] in "]}":
            depth -= 1
    return deepest


def answer(status: int, content: bytes) -> Answer:
    """A complete answer: a JSON object, an array (as the object's `items`), or nothing with 204.

    All else comes from something between us and the service (a proxy, a sign-in page of a network), so it
    says nothing about what the service did: `Unreachable` (`bad_answer`).
    """
    if status == HTTPStatus.NO_CONTENT and not content:
        return Answer(status, {})
    try:
        body = decode(content.decode())
    except ValueError:
        body = None
    if isinstance(body, list):
        body = {"items": body}  # Supabase Auth lists so
    if not isinstance(body, dict):
        raise Unreachable("bad_answer", f"Something answered ({status}) that is not the service.")
    return Answer(status, body)


def frame(text: object) -> dict[str, Any]:
    """One frame of the socket; raises `Unreachable` (`bad_answer`) for what is not a JSON object."""
    try:
        found = decode(text) if isinstance(text, str) else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Unreachable("bad_answer", "The socket carried something that is not from the service.")
    return found


def no_answer() -> Unreachable:
    return Unreachable("unreachable", "The service can't be reached.")


def no_answer_in_time() -> Unreachable:
    return Unreachable("timed_out", "The service did not answer in time.")


def socket_closed() -> Unreachable:
    return Unreachable("socket_closed", "The connection to the service was closed.")
