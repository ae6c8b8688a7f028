"""What the command line asks for."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from coterie.client import Client
from coterie.errors import LinkError
from coterie.keeping import Way

OnEvent = Callable[[dict[str, Any]], None]
OpenClient = Callable[[str, Path, OnEvent], Coroutine[Any, Any, Client]]
"""`native.open_client`, or a test's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One call of `coterie`."""

    command: str
    service_url: str
    path: Path
    as_json: bool = False
    link: str | None = None
    new: str | None = None
    group: str | None = None
    name: str | None = None
    way: Way | None = None
    """How the key is kept, for `coterie key`."""
    file: Path | None = None
    """Of `coterie backup` and `coterie restore`."""
    mine: bool = False
    """The backup of somebody else is the user's own, of another time."""

    @staticmethod
    def service_of(link: str | None) -> str | None:
        """The service of a link: where it points. Raises `LinkError` (`bad_link`) for what is no web address."""
        if link is None:
            return None
        try:
            parts = urlsplit(link)
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise LinkError("bad_link", "This is not an invite link.")
        return f"{parts.scheme}://{parts.netloc}"
