"""A dataclass whose fields are settings, read from the environment: their names, bounds, parsers, and their tables."""

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import field, fields
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Network = IPv4Network | IPv6Network

_CLIENT = ("COTERIE_SERVER", "COTERIE_SUPABASE_KEY")
"""Of the client: they may stand in the same environment."""
_MOST = 2**31


class SettingsError(Exception):
    """Settings cannot be used; the text has one sentence for each, which names it and says why."""


def setting(
    name: str,
    default: Any,
    about: str,
    low: float = 0,
    high: float = _MOST,
    *,
    parse: Callable[[str, str], Any] | None = None,
    secret: bool = False,
    shown: str | None = None,
) -> Any:
    """A field. `parse` takes (name, text) where the default's type is not enough; `low` and `high` bound numbers;
    a `secret` is in no `repr`; `shown` stands in the table for a default that depends on the machine.
    """
    kind = type(default)
    meta: dict[str, Any] = {
        "name": name, "about": about, "low": low, "high": high, "default": default, "shown": shown,
        "number": kind in (int, float),
    }  # fmt: skip
    if parse is None:
        parse = (lambda _name, text: _number(kind, text, meta)) if meta["number"] else _text
    meta["parse"] = parse
    if callable(default):
        return field(default_factory=default, metadata=meta, repr=not secret)
    return field(default=default, metadata=meta, repr=not secret)


def _text(_name: str, text: str) -> str:
    return text


def path(_name: str, text: str) -> Path:
    """A file or folder; `~` is the home."""
    return Path(text).expanduser()


def _number(kind: type[int] | type[float], text: str, meta: Mapping[str, Any]) -> float:
    try:
        value = kind(text)
    except ValueError:
        raise SettingsError(f"{meta['name']} must be a number, not {text!r}.") from None
    if not meta["low"] <= value <= meta["high"]:
        raise SettingsError(f"{meta['name']} must be from {meta['low']} to {meta['high']}, not {text}.")
    return value


def origin(name: str, text: str) -> str:
    """An origin of the web (RFC 6454), without the slash at its end."""
    value = text.rstrip("/")
    try:
        parts = urlsplit(value)
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good or value != f"{parts.scheme}://{parts.netloc}" or "@" in parts.netloc:
        raise SettingsError(
            f"{name} must be an http or https address without a path, for example https://chat.example."
        )
    return value


def origins(name: str, text: str) -> tuple[str, ...]:
    """Origins, with commas between them."""
    return tuple(origin(name, one.strip()) for one in text.split(","))


def long_secret(name: str, text: str) -> str:
    """A key for HMAC-SHA256: at least as long as its hash (RFC 7518, section 3.2). No sentence quotes it."""
    if len(text.encode()) < 32:
        raise SettingsError(f"{name} must have at least 32 bytes.")
    return text


def postgres(name: str, text: str) -> str:
    """A connection URI of Postgres; it may hold a password, so no sentence quotes it."""
    if not re.match(r"postgres(ql)?://", text):
        raise SettingsError(f"{name} must begin with postgresql://.")
    places = urlsplit(text).netloc.rpartition("@")[2].split(",")
    if not all(re.fullmatch(r"(\[[^\]]*\]|[^:\[\]]*)(:\d+)?", place) for place in places):
        raise SettingsError(
            f"{name} cannot be read: in its user and password / ? # @ : and % are written as %2F and so on."
        )
    # pg_dump gets what follows the host as an argument, and `ps` shows it
    if re.search(r"[?&](ssl)?password=", text):
        raise SettingsError(f"{name} must have its password before the host (user:password@host).")
    return text


def one_of(*words: str) -> Callable[[str, str], str]:
    """A parser that takes these words, in any case."""

    def parse(name: str, text: str) -> str:
        if text.lower() not in words:
            raise SettingsError(f"{name} must be one of {', '.join(words)}, not {text!r}.")
        return text.lower()

    return parse


def address(name: str, text: str) -> tuple[str, int]:
    """`host:port`, the host of IPv6 in brackets."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise SettingsError(f"{name} must be an address and a port, for example 127.0.0.1:9090.")
    return host.strip("[]"), int(port)


def networks(name: str, text: str) -> tuple[Network, ...]:
    """Addresses or networks in CIDR notation, with commas between them."""
    try:
        return tuple(ip_network(one.strip()) for one in text.split(","))
    except ValueError as error:
        raise SettingsError(
            f"{name} must be addresses or networks, for example 127.0.0.1,10.0.0.0/8: {error}."
        ) from None


def read(table: type, environment: Mapping[str, str]) -> dict[str, Any]:
    """The values that the environment has for the fields of `table`. Raises `SettingsError` with every fault."""
    values: dict[str, Any] = {}
    faults: list[str] = []
    for one in fields(table):
        name = one.metadata["name"]
        text = environment.get(name, "").strip()
        if text:
            try:
                values[one.name] = one.metadata["parse"](name, text)
            except SettingsError as error:
                faults.append(str(error))
    if faults:
        raise SettingsError("\n".join(faults))
    return values


def unknown(table: type, environment: Mapping[str, str]) -> list[str]:
    """A sentence for each COTERIE_* variable that is no setting, with the name that it may have meant."""
    known = [one.metadata["name"] for one in fields(table)]
    sentences = []
    for name in sorted(environment):
        if name.startswith("COTERIE_") and name not in known and name not in _CLIENT:
            near = difflib.get_close_matches(name, known, 1)
            sentences.append(f"{name} is no setting{f'; did you mean {near[0]}?' if near else '.'}")
    return sentences


def describe(table: type) -> str:
    """The table for `--help`."""
    rows = [f"  {one.metadata['name']:<32} {one.metadata['about']}" for one in fields(table)]
    return "\n".join(rows)


def markdown(table: type) -> str:
    """`docs/settings.md`."""
    rows = [
        f"| `{meta['name']}` | {_shown_default(meta)} | {_shown_range(meta)} | {meta['about']} |"
        for meta in (one.metadata for one in fields(table))
    ]
    return f"{_MARKDOWN_HEAD}{chr(10).join(rows)}\n"


_MARKDOWN_HEAD = """# Settings

All settings of the service come from its environment and are checked when it starts: it names every one that is wrong,
each in a sentence, and ends with status 2. A `COTERIE_*` variable that is no setting is warned about. Times are
in seconds, sizes in bytes. An empty variable counts as absent.

This file is made by `.venv/bin/python -m edge_functions settings > docs/settings.md`.

| name | default | range | what it is |
|---|---|---|---|
"""


def _shown_default(meta: Mapping[str, Any]) -> str:
    shown = meta["shown"] or meta["default"]
    return "" if shown in (None, ()) else f"`{shown:g}`" if isinstance(shown, float) else f"`{shown}`"


def _shown_range(meta: Mapping[str, Any]) -> str:
    if not meta["number"]:
        return ""
    low, high = (f"{meta[end]:.15g}" for end in ("low", "high"))
    return f"from {low}" if meta["high"] == _MOST else f"{low} to {high}"
