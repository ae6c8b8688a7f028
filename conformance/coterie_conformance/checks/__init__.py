"""Every check, by subject. Importing this package registers them."""

from coterie_conformance.checks import (
    access,
    commits,
    delivery,
    http,
    identity,
    invites,
    key_packages,
    membership,
    races,
    sending,
)

__all__ = [
    "access",
    "commits",
    "delivery",
    "http",
    "identity",
    "invites",
    "key_packages",
    "membership",
    "races",
    "sending",
]
