"""Own key packages that have served: which a Welcome names, and the end of their private keys."""

from __future__ import annotations

from coterie.core.effects import Call
from coterie.core.records import Package
from coterie.core.state import Turn
from coterie_wire import WireError, welcome_refs


def named(turn: Turn, welcome: bytes) -> list[bytes]:
    """References of those own ones that a Welcome names; none where it can't be read."""
    try:
        return [ref for ref in welcome_refs(welcome) if turn.get(Package, ref)]
    except WireError:
        return []


def used(turn: Turn, ref: bytes) -> None:
    """Somebody added this device with it: it has served, and the stock may be low."""
    package = turn.get(Package, ref)
    if package and package.last_resort:
        turn.put(package.with_(used=True))
    elif package:
        forget(turn, package)
    turn.do(Call("key_packages_count", {}))


def forget(turn: Turn, package: Package) -> None:
    """Delete its row and its private keys."""
    turn.delete(package)
    turn.backend.delete_key_package(package.ref)
