"""The errors of the client.

* CoterieError         has a `code` that is stable and a sentence for people
  x LocalError         you asked for something that is not possible now
    - LinkError        this is not an invite link
    - BackupError      this file is not a backup that can be restored here
    - StateError       the state does not allow it (no such group, an imported copy, a broken group, ...)
  x RemoteError        a peer or the service broke the protocol, or refused
    - Refused          the service said no, with its own code and status
    - ContentError     a decrypted message that is not well-formed content
    - InviteError      an invite, join or Welcome that does not hold what the link promises
  x Unreachable        no complete answer: it is unknown whether it was done
  x StorageError       this device's state could not be read or written
    - StorageLost      another writer has been here, or the storage is gone
"""

from __future__ import annotations


class CoterieError(Exception):
    """Base of all errors of the client."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


class LocalError(CoterieError):
    """You asked for something that is not possible now."""


class LinkError(LocalError):
    """This is not an invite link."""


class BackupError(LocalError):
    """This file is not a backup that can be restored here."""


class StateError(LocalError):
    """The present state does not allow it."""


class RemoteError(CoterieError):
    """A peer or the service broke the protocol, or refused."""


class Refused(RemoteError):
    """The service said no."""

    def __init__(self, code: str, sentence: str, status: int) -> None:
        super().__init__(code, sentence)
        self.status = status


class ContentError(RemoteError):
    """A decrypted message that is not well-formed content."""


class InviteError(RemoteError):
    """An invite, join or Welcome that does not hold what the link promises."""


class Unreachable(CoterieError):
    """No complete answer came; it is unknown whether the call was carried out."""


class StorageError(CoterieError):
    """This device's state could not be read or written; nothing was changed."""


class StorageLost(StorageError):
    """Another writer has been here, or the storage is gone."""
