"""What a cause is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a cause means for whoever reads it."""

    EVENT = "event"
    """Somebody did something; nothing is wrong."""
    UNREADABLE = "unreadable"
    """Something came and could not be read, or was not taken."""
    WARNING = "warning"
    """All was read, but somebody or the service did what calls for a look."""
    STOPPED = "stopped"
    """This device does not send here any more, or does not read on, or a line did not go out."""


@dataclass(frozen=True, slots=True)
class Cause:
    """What a code says. In both texts {0} and {1} are names or words; `words` stand for them where nobody is named."""

    kind: Kind
    sentence: str
    advice: str = ""
    """What Coterie does about it, and what the reader can do; empty for an event."""
    silent: bool = False
    """Only counted: it makes no line of its own."""
    authentic: bool = False
    """Something unreadable that its sender, a member, made so: MLS authenticated it."""
    words: tuple[str, str] = ("somebody", "somebody")
