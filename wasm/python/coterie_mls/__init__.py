"""MLS (RFC 9420) for one device: OpenMLS behind bytes in, bytes out.

`_native.pyi` is the contract, with what each call takes, gives and raises; `errors` has what is raised.
"""

from coterie_mls._native import (
    Application,
    Backend,
    Commit,
    Joined,
    KeyPackage,
    Member,
    Merged,
    Own,
    Rejoin,
    header,
    hkdf,
    open,  # noqa: A004 - the opposite of `seal`, always used as coterie_mls.open
    random_bytes,
    seal,
)
from coterie_mls.errors import (
    Corrupt,
    Forged,
    Internal,
    Malformed,
    MlsError,
    NotAllowed,
    Stale,
    TooEarly,
    Unacceptable,
    Unsupported,
    WrongGroup,
)

__all__ = [
    "Application",
    "Backend",
    "Commit",
    "Corrupt",
    "Forged",
    "Internal",
    "Joined",
    "KeyPackage",
    "Malformed",
    "Member",
    "Merged",
    "MlsError",
    "NotAllowed",
    "Own",
    "Rejoin",
    "Stale",
    "TooEarly",
    "Unacceptable",
    "Unsupported",
    "WrongGroup",
    "header",
    "hkdf",
    "open",
    "random_bytes",
    "seal",
]
