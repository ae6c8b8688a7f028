"""Runs checks one after the other and says how each ended."""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

import httpx
import websockets

from coterie_conformance.catalog import Broken, Check, NotAsked
from coterie_conformance.world import World

_CHECK_SECONDS = 3600
"""A check that takes longer has hung."""


class Verdict(StrEnum):
    """How a check ended."""

    HELD = "ok"
    BROKEN = "BROKEN"
    NOT_ASKED = "skipped"


@dataclass(frozen=True, slots=True)
class Result:
    """One check's end."""

    check: Check
    verdict: Verdict
    seconds: float
    text: str
    """Figures of a promise that held; else what was found, or why it was not asked."""

    def line(self) -> str:
        """For a person."""
        lines = [f"{self.verdict:<8} {self.check.name:<52} {self.seconds:7.2f} s  {self.text}".rstrip()]
        if self.verdict is Verdict.BROKEN:
            lines += [f"         promised: {self.check.promise}", f"         see {self.check.reference}"]
        return "\n".join(lines)


async def run(world: World, checks: Iterable[Check], tell: Callable[[Result], None]) -> list[Result]:
    """Run all of them, whatever becomes of each."""
    results = []
    for check in checks:
        results.append(await judge(world, check))
        tell(results[-1])
    return results


async def judge(world: World, check: Check) -> Result:
    """One check."""
    world.notes.clear()
    began = time.monotonic()
    verdict, text = await _outcome(world, check)
    return Result(check, verdict, time.monotonic() - began, text)


async def _outcome(world: World, check: Check) -> tuple[Verdict, str]:
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            await check.run(world)
    except NotAsked as error:
        return Verdict.NOT_ASKED, str(error)
    except Broken as error:
        return Verdict.BROKEN, str(error)
    except (httpx.HTTPError, websockets.WebSocketException, OSError, TimeoutError) as error:
        return Verdict.BROKEN, f"the service could not be asked to the end: {type(error).__name__} {error}"
    except (KeyError, IndexError, TypeError, ValueError) as error:  # an answer without what it should have
        return Verdict.BROKEN, f"an answer does not have its documented shape: {type(error).__name__} {error}"
    return Verdict.HELD, "; ".join(world.notes)


def summary(results: list[Result]) -> str:
    """One line that counts."""
    counts = {verdict: sum(one.verdict is verdict for one in results) for verdict in Verdict}
    return (
        f"conformance: {counts[Verdict.HELD]} held, {counts[Verdict.BROKEN]} broken, "
        f"{counts[Verdict.NOT_ASKED]} not asked"
    )
