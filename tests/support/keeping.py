"""What tests of a native profile's key share: a keyring in memory, somebody who answers, what each way takes."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Mapping
from pathlib import Path

import keyring.backend
import keyring.errors
import pytest

import coterie_mls
from coterie import keeping
from coterie.errors import CoterieError
from coterie.keeping import ProfileKey, Way

PASSPHRASE = "correct horse battery staple"
GIVEN = "ab" * 32


class Keyring(keyring.backend.KeyringBackend):
    """A keyring in memory."""

    priority = 1.0

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[tuple[str, str], str] = {}
        self.locked = False

    def get_password(self, service: str, username: str) -> str | None:
        if self.locked:
            raise keyring.errors.KeyringLocked
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.entries[service, username]


class Person:
    """Answers questions from a list."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, question: str) -> str:
        self.asked.append(question)
        return self.answers.pop(0)


def profile(path: Path, *answers: str, environment: Mapping[str, str] | None = None) -> ProfileKey:
    return ProfileKey(coterie_mls, path, environment or {}, Person(*answers))


def record(path: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads(keeping.record_path(path).read_bytes())
    return found


ANSWERS: dict[Way, tuple[str, ...]] = {"passphrase": (PASSPHRASE,)}
NEW: dict[Way, tuple[str, ...]] = {"passphrase": (PASSPHRASE, PASSPHRASE)}
ENVIRONMENT = {"COTERIE_KEY": GIVEN}


async def fails(call: Awaitable[object], code: str) -> CoterieError:
    """The call raises an error of ours with this code and a sentence."""
    with pytest.raises(CoterieError) as caught:
        await call
    assert (caught.value.code, caught.value.sentence[-1]) == (code, "."), caught.value
    return caught.value


def everything(folder: Path) -> dict[str, bytes]:
    return {entry.name: entry.read_bytes() for entry in sorted(folder.iterdir())}
