"""Lay out key packages, so that others can add this device to groups while it is away."""

import time
from datetime import UTC, datetime

from coterie_wire import KeyPackage, WireError, parse_key_package
from edge_functions.endpoint import KIB, Call, Function
from edge_functions.fields import STOCK, hex_list, hexes, optional

LARGEST = 8 * KIB
"""Ours have 430 bytes, with a post-quantum suite 3 KiB. A claim may answer with 2,500 of them."""
LIFETIME = 84 * 86400 + 3600
"""Longest one, in seconds: 84 days, and an hour for clocks that are slow."""


async def handle(call: Call, key_packages: list[bytes], last_resort: bytes | None) -> str:
    """All of them or none. Whose they are is compared in the database, which knows the device."""
    messages: list[tuple[int | None, bytes]] = list(enumerate(key_packages))
    if last_resort is not None:
        messages.append((None, last_resort))
    now = int(time.time())
    checked = [_checked(message, now, last_resort=index is None) for index, message in messages]
    read = [package for package, _ in checked]
    return await call.sql(
        "select coterie.key_packages_publish_v1($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        [index for index, _ in messages],
        [fault for _, fault in checked],
        [one and one.ref for one in read],
        [message for _, message in messages],
        [one and one.suite for one in read],
        [one and one.signature_key for one in read],
        [one and one.identity for one in read],
        [one and datetime.fromtimestamp(one.not_after, UTC) for one in read],
    )


def _checked(message: bytes, now: int, *, last_resort: bool) -> tuple[KeyPackage | None, str | None]:
    """The package, or the reason of docs/protocol.md why it is refused. `now` in seconds since 1970."""
    try:
        package = parse_key_package(message)
    except WireError as error:
        return None, error.code if error.code == "unsupported_suite" else "malformed"
    if package.last_resort != last_resort:
        return None, "wrong_last_resort"
    if not 0 < package.not_after - package.not_before <= LIFETIME:
        return None, "wrong_lifetime"
    if package.not_before > now:
        return None, "not_yet_valid"
    if package.not_after <= now:
        return None, "expired"
    return package, None


app = Function(
    handle,
    takes={
        "key_packages": hex_list(at_most=100, item_at_most=LARGEST),
        "last_resort": optional(hexes(at_most=LARGEST)),
    },
    gives=STOCK,
    errors={409: ["key_packages_full"], 422: ["bad_key_packages"]},
)
