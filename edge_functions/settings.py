"""Every setting of the service, in one validated table. Values come from the environment."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


class SettingsError(Exception):
    """A setting cannot be used; the text names it and says why."""


def _data_folder() -> Path:
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "coterie"


def _setting(name: str, default: Any, about: str, low: float = 0, high: float = 2**31) -> Any:
    meta = {"name": name, "about": about, "low": low, "high": high}
    if callable(default):
        return field(default_factory=default, metadata=meta)
    return field(default=default, metadata=meta, repr=name != "DATABASE_URL")  # which may hold a password


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Times are in seconds."""

    host: str = _setting("HOST", "127.0.0.1", "address to listen on")
    port: int = _setting(
        "PORT", 8080, "port to listen on; the next free one is taken when it is in use", 1, 65535
    )
    data: Path = _setting("COTERIE_DATA", _data_folder, "folder of the embedded Postgres")
    site: Path = _setting("COTERIE_SITE", lambda: Path("dist/site"), "folder of the built page")
    public_url: str | None = _setting(
        "PUBLIC_URL", None, "the origin that browsers use, for example https://chat.example"
    )
    database_url: str | None = _setting(
        "DATABASE_URL",
        None,
        "Postgres to use; a user that may apply the schema, or coterie_api when it is applied",
        0,
    )
    supabase_url: str | None = _setting(
        "SUPABASE_URL", None, "trust this project's Supabase Auth instead of the own one"
    )
    pool_size: int = _setting("COTERIE_POOL", 10, "database connections", 1, 1000)
    token_seconds: int = _setting("COTERIE_TOKEN_SECONDS", 3600, "life of an access token", 1, 86400)
    token_cache_seconds: float = _setting(
        "COTERIE_TOKEN_CACHE_SECONDS", 60.0, "a verified token is remembered so long", 0, 60
    )
    refresh_reuse_seconds: float = _setting(
        "COTERIE_REFRESH_REUSE_SECONDS", 10.0, "a used refresh token may come again so long", 0, 3600
    )
    jwks_cache_seconds: float = _setting(
        "COTERIE_JWKS_CACHE_SECONDS", 600.0, "Supabase's keys are remembered so long"
    )
    jwks_cooldown_seconds: float = _setting(
        "COTERIE_JWKS_COOLDOWN_SECONDS", 10.0, "and fetched at most so often"
    )
    claim_seconds: float = _setting("COTERIE_CLAIM_SECONDS", 10.0, "a claim on a join lapses after", 0.001)
    claim_lockout_seconds: float = _setting(
        "COTERIE_CLAIM_LOCKOUT_SECONDS", 60.0, "who let a claim lapse may not claim again for"
    )
    commit_group_seconds: float = _setting(
        "COTERIE_COMMIT_GROUP_SECONDS", 2.0, "between commits that change no roster, per group"
    )
    commit_device_seconds: float = _setting("COTERIE_COMMIT_DEVICE_SECONDS", 60.0, "the same, per device")
    pause_seconds: float = _setting(
        "COTERIE_PAUSE_SECONDS", 0.5, "commits of others wait so long when asked to"
    )
    pause_gap_seconds: float = _setting(
        "COTERIE_PAUSE_GAP_SECONDS", 10.0, "between such requests of a device"
    )
    hello_seconds: float = _setting(
        "COTERIE_HELLO_SECONDS", 5.0, "a socket without hello is closed after", 0.001
    )
    ack_seconds: float = _setting("COTERIE_ACK_SECONDS", 1.0, "acks of a socket are written at most so often")
    listen_retry_seconds: float = _setting(
        "COTERIE_LISTEN_RETRY_SECONDS", 0.25, "between attempts to listen again", 0.001
    )
    queue_frames: int = _setting("COTERIE_QUEUE_FRAMES", 2000, "frames that may wait for a slow socket", 1)
    queue_bytes: int = _setting("COTERIE_QUEUE_BYTES", 64 * 2**20, "and their size", 1)
    shutdown_seconds: int = _setting(
        "COTERIE_SHUTDOWN_SECONDS", 5, "open requests may take so long at the end"
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """Read and check all of them. Raises `SettingsError`."""
        given = os.environ if environment is None else environment
        values: dict[str, Any] = {}
        for one in fields(cls):
            text = given.get(one.metadata["name"], "").strip()
            if text:
                values[one.name] = _parse(one.name, text, one.metadata)
        return cls(**values)


def _parse(name: str, text: str, meta: Mapping[str, Any]) -> Any:
    kind = Settings.__annotations__[name]
    if kind in (int, float):
        return _number(kind, text, meta)
    if kind is Path:
        return Path(text).expanduser()
    if name in ("public_url", "supabase_url"):
        return _origin(text, meta["name"])
    if name == "database_url" and not re.match(r"postgres(ql)?://", text):
        raise SettingsError("DATABASE_URL must begin with postgresql://.")
    return text


def _number(kind: type[int] | type[float], text: str, meta: Mapping[str, Any]) -> float:
    try:
        value = kind(text)
    except ValueError:
        raise SettingsError(f"{meta['name']} must be a number, not {text!r}.") from None
    if not meta["low"] <= value <= meta["high"]:
        raise SettingsError(f"{meta['name']} must be from {meta['low']} to {meta['high']}.")
    return value


def _origin(text: str, name: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise SettingsError(f"{name} must be an http or https address, for example https://chat.example.")
    return text.rstrip("/")


def describe() -> str:
    """The table for `--help`."""
    rows = [f"  {one.metadata['name']:<32} {one.metadata['about']}" for one in fields(Settings)]
    return "\n".join(rows)
