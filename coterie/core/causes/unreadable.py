"""What came and could not be read, or was not taken."""

from __future__ import annotations

from coterie.core.causes.base import Cause, Kind

UNREADABLE = {
    "damaged_line": Cause(
        Kind.UNREADABLE,
        "A line is damaged in this device's storage and cannot be read.",
        "It was not deleted. Other members have it: ask them for it, or restore a backup on a new device.",
    ),
    "gap": Cause(
        Kind.UNREADABLE,
        "{0} messages were held back by the service.",
        "Coterie asked for them again, got none, and goes on without them. Whoever wrote them can send them again.",
        words=("some", ""),
    ),
    "expired": Cause(
        Kind.UNREADABLE,
        "A message is no longer kept by the service.",
        "It was deleted there before this device fetched it. Members who were here then have it: ask them for it.",
    ),
    "tampered": Cause(
        Kind.UNREADABLE,
        "A message was changed on the way and could not be read.",
        "Coterie did not open it and goes on. Whoever wrote it can send it again.",
    ),
    "wrong_group": Cause(
        Kind.UNREADABLE,
        "The service delivered a message of another group. It was ignored.",
        "A message opens only in the group that it was encrypted for. If it took the place of another, that one is"
        " missing here: ask for it.",
    ),
    "replayed": Cause(
        Kind.UNREADABLE,
        "The service delivered an old message again, or too late. It was ignored.",
        "Its key was used or deleted, as keys are after one use. If you miss a message, ask whoever wrote it.",
    ),
    "repeated": Cause(
        Kind.UNREADABLE,
        "A message came a second time, encrypted anew.",
        "It was shown once, so nothing is missing. This is only counted.",
        silent=True,
    ),
    "too_early": Cause(
        Kind.UNREADABLE,
        "A message could not be read: something that came before it is missing.",
        "The service left something out. Coterie goes on; whoever wrote the message can send it again.",
    ),
    "malformed": Cause(
        Kind.UNREADABLE,
        "A message could not be read: it is damaged.",
        "It does not have the form of an encrypted message. Coterie goes on. Whoever wrote it can send it again.",
    ),
    "forged": Cause(
        Kind.UNREADABLE,
        "A message could not be decrypted: it was changed, or does not come from this group.",
        "Coterie goes on. If it happens again, compare the state of the group with its members.",
    ),
    "unreadable": Cause(
        Kind.UNREADABLE,
        "A message could not be read.",
        "It is of a kind that Coterie does not accept. It goes on with the next one.",
    ),
    "bad_content": Cause(
        Kind.UNREADABLE,
        "A message could be decrypted, but is not in a form that Coterie can read.",
        "The sender's program made it wrongly. It was not kept; ask them to send it again.",
        authentic=True,
    ),
    "newer_version": Cause(
        Kind.UNREADABLE,
        "This was sent by a newer version of Coterie.",
        "It is kept, and shown once Coterie is new enough here: reload the page, or update the program.",
        authentic=True,
    ),
    "forged_own": Cause(
        Kind.UNREADABLE,
        "A message claimed to be yours and is not. It was ignored.",
        "Somebody in the group, or a copy of this device, made it. What you sent yourself is not touched.",
    ),
    "own_unknown": Cause(
        Kind.UNREADABLE,
        "A message of yours was sent from another copy.",
        "Only the copy that sent it can show it.",
    ),
    "passed_over": Cause(
        Kind.UNREADABLE,
        "A message came after the group was broken.",
        "Without the change that broke the group nothing after it can be read. This is only counted.",
        silent=True,
    ),
}
