"""Every cause that a line or a group of this device can name: one table.

Rule: a code that the core puts into a line or a group stands here, with a sentence and with what happens next.
docs/failures.md is made from this table, views take their sentences from it, and a group counts by it.
"""

from __future__ import annotations

from collections.abc import Callable

from coterie.core.causes.base import Cause, Kind
from coterie.core.causes.events import EVENTS
from coterie.core.causes.rejoin import REJOIN
from coterie.core.causes.stopped import STOPPED
from coterie.core.causes.unreadable import UNREADABLE
from coterie.core.causes.warnings import WARNINGS

__all__ = ["CAUSES", "UNREADABLE", "Cause", "Kind", "advice", "counts", "hides", "sentence"]

CAUSES: dict[str, Cause] = {**EVENTS, **UNREADABLE, **WARNINGS, **STOPPED, **REJOIN}
"""By code."""

UNKNOWN = Cause(
    Kind.WARNING,
    "Something happened here that this version of Coterie does not know.",
    "A newer version wrote it. Reload the page, or update the program.",
)
"""For a code that stands in a stored line and not in the table."""


def counts(code: str) -> bool:
    """Whether a group counts how often this happens."""
    return CAUSES.get(code, UNKNOWN).kind is not Kind.EVENT


def hides(code: str) -> bool:
    """Whether another message may have stood in the place of what was not read: MLS did not authenticate it."""
    cause = CAUSES.get(code, UNKNOWN)
    return cause.kind is Kind.UNREADABLE and not cause.authentic


def sentence(code: str, about: list[str], name: Callable[[str], str] = str) -> str:
    """What a cause says, with names in it."""
    cause = CAUSES.get(code, UNKNOWN)
    return _filled(cause.sentence, cause, about, name)


def advice(code: str, about: list[str], name: Callable[[str], str] = str) -> str:
    """What happens next, with names in it; empty for an event."""
    cause = CAUSES.get(code, UNKNOWN)
    return _filled(cause.advice, cause, about, name)


def _filled(text: str, cause: Cause, about: list[str], name: Callable[[str], str]) -> str:
    return text.format(*[name(word) for word in about], *cause.words[len(about) :])
