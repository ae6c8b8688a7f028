"""Keys that come from outside a profile: of the environment, and of the system's keyring."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from coterie.core import keys
from coterie.errors import StorageError

SERVICE = "coterie"
"""Under which the system's keyring lists our entries."""
GIVEN_BY = ("COTERIE_KEY", "COTERIE_KEY_FILE", "COTERIE_KEY_COMMAND")
COMMAND_SECONDS = 60


def given(environment: Mapping[str, str]) -> bytes:
    """The key that the environment gives. Raises `StorageError` (`key_missing`)."""
    key, file, command = (environment.get(name) for name in GIVEN_BY)
    if key:
        return bytes_of(key, "COTERIE_KEY")
    if file:
        try:
            return bytes_of(Path(file).read_text(encoding="ascii"), "COTERIE_KEY_FILE")
        except (OSError, UnicodeDecodeError):
            raise StorageError("key_missing", "The file that COTERIE_KEY_FILE names can't be read.") from None
    if command:
        return bytes_of(_output_of(command), "COTERIE_KEY_COMMAND")
    raise StorageError(
        "key_missing",
        "The key of this device's data comes from outside: "
        "set COTERIE_KEY, COTERIE_KEY_FILE or COTERIE_KEY_COMMAND.",
    )


def bytes_of(text: str | None, source: str) -> bytes:
    """32 bytes in hex. Raises `StorageError` (`key_missing`), without what was given."""
    try:
        key = bytes.fromhex((text or "").strip())
    except ValueError:
        key = b""
    if len(key) != keys.KEY_SIZE:
        raise StorageError("key_missing", f"{source} does not give a key: 64 hex digits are expected.")
    return key


def _output_of(command: str) -> str:
    """What a shell command prints; what it says of errors goes to the terminal."""
    try:
        done = subprocess.run(  # noqa: S602  the user's own command line, as they wrote it
            command, shell=True, stdout=subprocess.PIPE, text=True, timeout=COMMAND_SECONDS, check=True
        )
    except (subprocess.SubprocessError, OSError, UnicodeDecodeError) as error:
        raise StorageError(
            "key_missing", f"COTERIE_KEY_COMMAND gave no key ({type(error).__name__})."
        ) from None
    return done.stdout


def system_keyring() -> Any:
    """The package `keyring`, where it is installed and finds a keyring to use; else None."""
    try:
        import keyring  # noqa: PLC0415  optional
    except ImportError:
        return None
    return keyring if keyring.get_keyring().priority > 0 else None


def _with_keyring(work: Callable[[Any], Any]) -> Any:
    found = system_keyring()
    if found is None:
        raise StorageError("keyring_failed", "No keyring was found on this system.")
    try:
        return work(found)
    except Exception as error:  # noqa: BLE001  each backend has errors of its own
        raise StorageError(
            "keyring_failed",
            f"The system's keyring refused ({type(error).__name__}); it may have to be unlocked.",
        ) from None


def put_entry(entry: str, secret: str) -> None:
    """Keep a secret in the system's keyring. Raises `StorageError` (`keyring_failed`), as all of these do."""
    _with_keyring(lambda keyring: keyring.set_password(SERVICE, entry, secret))


def find_entry(entry: str) -> str | None:
    """The secret of an entry, or None."""
    found: str | None = _with_keyring(lambda keyring: keyring.get_password(SERVICE, entry))
    return found


def forget_entry(entry: str) -> None:
    """Delete an entry."""
    _with_keyring(lambda keyring: keyring.delete_password(SERVICE, entry))
