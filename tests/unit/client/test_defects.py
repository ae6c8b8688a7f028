"""An error that nobody foresaw ends the turn that met it, is told once, and stops nothing else."""

from collections.abc import Callable
from typing import Any

import pytest

import coterie_mls
from coterie.core.effects import Step
from coterie.core.engine import Engine
from coterie_wire import Envelope, WireError
from tests.support.exchange import Exchange, settle


class Panic(BaseException):
    """As the compiled binding raises it."""


ERRORS = [
    coterie_mls.MlsError("too large"),
    WireError("bad_id"),
    KeyError("a defect"),
    Panic("a defect"),
]
each_error = pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)


def fail(
    monkeypatch: pytest.MonkeyPatch, name: str, error: BaseException, when: Callable[..., bool]
) -> list[int]:
    """Let an engine's method raise whenever `when` holds of its arguments; the times of all calls."""
    calls: list[int] = []
    whole = getattr(Engine, name)

    def method(self: Engine, *args: Any, **options: Any) -> Step:
        calls.append(args[-1])
        if when(*args):
            raise error
        return whole(self, *args, **options)  # type: ignore[no-any-return]

    monkeypatch.setattr(Engine, name, method)
    return calls


@each_error
async def test_ticking_goes_on(
    exchange: Exchange,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: BaseException,
) -> None:
    _, (alice, _) = await exchange.friends("Alice", "Bob")
    ticks = fail(monkeypatch, "tick", error, lambda now: True)
    await exchange.clock.advance(30)
    assert len(set(ticks)) > 4
    assert alice.problems() == ["internal"]
    assert caplog.text.count("a turn came to nothing") == 2, "once of each client, not of each tick"


@each_error
@pytest.mark.parametrize("sockets", [True, False])
@pytest.mark.parametrize("method", ["receive", "caught_up"])
async def test_one_group_stops_no_other(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch, method: str, error: BaseException, *, sockets: bool
) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    other = (await alice.client.create_group(name="Others"))["group_id"]
    link = (await alice.client.create_invite(group_id=other))["link"]
    await bob.client.join(link=link, name="Bob")
    await exchange.clock.advance(10)
    bob.wire.sockets = sockets
    bob.wire.cut()

    def of_the_first(what: Envelope | str, *_: Any) -> bool:
        return (what if isinstance(what, str) else what.group_id) == group_id

    fail(monkeypatch, method, error, of_the_first)
    await alice.client.send_text(group_id=group_id, text="stops here")
    await exchange.clock.advance(15)
    await alice.client.send_text(group_id=other, text="arrives")
    await exchange.clock.advance(15)
    assert await bob.texts(other) == ["arrives"]
    assert bob.problems() == ["internal"]
    assert bob.client.snapshot()["connection"] == ("online" if sockets else "polling")


async def test_what_the_user_asked_for_says_so(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    rows = alice.store.rows()
    fail(monkeypatch, "send_text", KeyError("a defect"), lambda _, text, *__: text == "no")
    with pytest.raises(Exception, match="in Coterie itself") as failed:
        await alice.client.send_text(group_id=group_id, text="no")
    assert getattr(failed.value, "code", "") == "internal"
    assert alice.store.rows() == rows
    await alice.client.send_text(group_id=group_id, text="yes")
    await settle()
    assert await bob.texts(group_id) == ["yes"]
