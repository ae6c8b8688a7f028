"""Request bodies as they arrive: bytes and time counted while they stream in, then strict JSON (RFC 8259)."""

import asyncio
import json
from typing import Any

from starlette.requests import Request

from edge_functions.errors import ServiceError, bad_request

_MARKS = 100_000
"""Objects, arrays and items in a body. A small value takes a hundred times its bytes in memory."""


async def read_json(request: Request, limit: int, seconds: float) -> dict[str, Any]:
    """The JSON object in the body, at most `limit` bytes within `seconds`; an empty body is an empty object.

    Raises `ServiceError`: 408 `too_slow`, 413 `too_large`, 415 `unsupported_media_type`, 400 `bad_request`.
    """
    try:
        async with asyncio.timeout(seconds):
            data = await _read(request, limit)
    except TimeoutError:
        raise ServiceError(408, "too_slow", "The body came too slowly.") from None
    if not data:
        return {}
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise ServiceError(415, "unsupported_media_type")
    if sum(data.count(mark) for mark in (b"{", b"[", b",")) > _MARKS:
        raise ServiceError(413, "too_large")
    try:
        value = json.loads(data.decode(), parse_constant=_refuse_constant, object_pairs_hook=_refuse_doubles)
    except (ValueError, RecursionError):
        raise bad_request("The body is not JSON.") from None
    if not isinstance(value, dict):
        raise bad_request("The body must be a JSON object.")
    return value


async def _read(request: Request, limit: int) -> bytes:
    length = request.headers.get("content-length", "")
    if length.isdigit() and (len(length) > 18 or int(length) > limit):
        raise ServiceError(413, "too_large")
    chunks: list[bytes] = []
    total = 0
    async for chunk in request.stream():
        total += len(chunk)
        if total > limit:
            raise ServiceError(413, "too_large")
        chunks.append(chunk)
    return b"".join(chunks)


def _refuse_constant(name: str) -> None:
    raise ValueError(name)  # NaN and Infinity are no JSON


def _refuse_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A name that stands twice means one thing to us and another to who looked at the request before (RFC 8259 §4)."""
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("twice")
    return value
