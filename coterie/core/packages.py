"""Own key packages: enough of them at the service that others can add this device while it is away.

They are made in slices, each saved with its private keys, and posted together from the outbox: the same bytes until the
service has them. What ended is deleted with its private keys; a last resort is renewed before it ends, and once used.
"""

from __future__ import annotations

from typing import Any

from coterie.core import spent
from coterie.core.effects import DIRECTORY_LANE, Call, MakePackages
from coterie.core.group import outbox
from coterie.core.records import Outgoing, Package
from coterie.core.state import Turn
from coterie_wire import WireError, integer

FULL = 100
"""How many the service shall have."""
SLICE = 5
"""How many are made in one turn: nothing else happens meanwhile. In Pyodide 5 take 7 ms, and 100 would take 0.12 s."""
MOST = 2_000
"""Rows that are kept: a service whose stock is never enough gets no more."""
RENEW_BEFORE = 28 * 86_400
"""How long before its end a last resort is renewed, in seconds."""
MARGIN = 3_600
"""Seconds for which private keys outlive their package, for clocks that differ; the binding's is the same."""
LOOK_EVERY = 3_600_000
"""How often the stock is asked for, in milliseconds."""


class Packages:
    """What is still to be made. Only in memory: the service's stock says it again."""

    def __init__(self, missing: int = 0, *, last_resort: bool = False, looked: int = 0) -> None:
        self.missing = missing
        self.last_resort = last_resort
        """A last resort is to be made."""
        self.looked = looked
        """When the stock was asked for; 0: never, because this device is not online yet."""

    def copy(self) -> Packages:
        """As it is now, to go back to."""
        return Packages(self.missing, last_resort=self.last_resort, looked=self.looked)

    def look(self, turn: Turn) -> None:
        """Ask the service for its stock, and forget what has ended."""
        self.looked = turn.now
        sweep(turn)
        turn.do(Call("key_packages_count", {}))

    def look_again(self, turn: Turn) -> None:
        """What time brings, once this device was online."""
        if self.looked and turn.now - self.looked >= LOOK_EVERY:
            self.look(turn)

    def stock(self, turn: Turn, body: dict[str, Any]) -> None:
        """The service's stock, from an answer or a `key_packages_low` frame: what is missing will be made."""
        try:
            available = integer(body.get("available"), name="available")
            low = integer(body.get("refill_below"), name="refill_below")
        except WireError:
            return
        if turn.backend.read_only or _on_their_way(turn):
            return  # the answer to that tells the stock again
        own = turn.rows(Package)
        made = sum(bool(one.package) and not one.last_resort for one in own)
        self.missing = max(0, FULL - available - made) if available < low and len(own) < MOST else 0
        self.last_resort = _needs_last_resort(turn, there=body.get("last_resort") is not False)
        if self.missing or self.last_resort or made:
            turn.do(MakePackages())

    def make(self, turn: Turn) -> bool:
        """The next slice; the last one posts them all. True when there is more to make."""
        if self.last_resort:
            _make(turn, last_resort=True)
            self.last_resort = False
        for _ in range(min(SLICE, self.missing)):
            _make(turn)
            self.missing -= 1
        if not self.missing:
            _publish(turn)
        return self.missing > 0

    def answered(self, turn: Turn, row: Outgoing, status: int, body: dict[str, Any]) -> None:
        """The final answer to `key_packages_publish`."""
        turn.delete(row)
        posted = [one for one in turn.rows(Package) if not one.published and not one.package]
        for one in posted:
            if status < 300:
                turn.put(one.with_(published=True))
            else:
                spent.forget(turn, one)
        if status < 300:
            self.stock(turn, body)
        elif (
            body.get("code") != "unknown_function"
        ):  # an older service: nobody can be added there without a link
            sentence = str(body.get("message") or f"The service answered {status}.")
            turn.show("problem", code=str(body.get("code", "refused")), sentence=sentence)


def _on_their_way(turn: Turn) -> bool:
    return any(row.function == "key_packages_publish" for row in turn.rows(Outgoing, DIRECTORY_LANE))


def _needs_last_resort(turn: Turn, *, there: bool) -> bool:
    """Unless one is on its way, or the service has one (`there`) that nobody used and that holds for a while."""
    until = turn.now // 1000 + RENEW_BEFORE
    good = [one for one in turn.rows(Package) if one.last_resort and not one.used and one.not_after >= until]
    return not any(not one.published or there for one in good)


def _make(turn: Turn, *, last_resort: bool = False) -> None:
    made = turn.backend.create_key_package(last_resort=last_resort)
    turn.put(Package(ref=made.ref, not_after=made.not_after, last_resort=last_resort, package=made.bytes))


def _publish(turn: Turn) -> None:
    made = [one for one in turn.rows(Package) if one.package]
    if not made:
        return
    for one in made:
        turn.put(one.with_(package=b""))
    fields: dict[str, Any] = {"key_packages": [one.package for one in made if not one.last_resort]}
    newest = max((one for one in made if one.last_resort), key=lambda one: one.not_after, default=None)
    if newest:
        fields["last_resort"] = newest.package
    outbox.post(turn, DIRECTORY_LANE, "key_packages_publish", fields)


def sweep(turn: Turn) -> None:
    """Forget the packages that have ended, with their private keys."""
    for one in turn.rows(Package):
        if one.not_after + MARGIN < turn.now // 1000:
            spent.forget(turn, one)
