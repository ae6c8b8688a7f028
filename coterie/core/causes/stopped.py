"""Why this device does not send, or does not read on, or a line did not go out."""

from __future__ import annotations

from coterie.core.causes.base import Cause, Kind

STOPPED = {
    "bad_commit": Cause(
        Kind.STOPPED,
        "This group is broken: {0} made a change that cannot be accepted.",
        "Nothing after it can be read here, and nothing is sent. Your history stays. Make a new group without {0}.",
    ),
    "missed_commit": Cause(
        Kind.STOPPED,
        "This group is broken: a change of it is no longer kept by the service, and was missed here.",
        "Nothing after it can be read here. Your history stays. Ask a member to let you in again by a link.",
    ),
    "unknown_own_commit": Cause(
        Kind.STOPPED,
        "This group is broken: a change was made with this device's keys, by something else.",
        "Another copy of this device's state is in use. Sign out here and there, and join again as a new device.",
    ),
    "refused_commit": Cause(
        Kind.STOPPED,
        "This group is broken: the service refused a change of this device and delivered it later.",
        "The service broke its word, so this device cannot follow. Your history stays. Make a new group.",
    ),
    "replaced_self": Cause(
        Kind.STOPPED,
        "Another copy of this device took over your place here.",
        "This one does not send here any more. Go on where you took over; if that was not you, tell the members.",
    ),
    "state_behind": Cause(
        Kind.STOPPED,
        "This device's state is older than what it sent before, so it does not send here any more.",
        "A restored backup or a second copy is the usual reason. Sending on would use keys twice. Reading goes on.",
    ),
    "added_anew": Cause(
        Kind.STOPPED,
        "The service says that you were taken out of this group and added anew. If that is so, accept the"
        " invitation; until then nothing is sent here.",
        "What comes in the group lifts this by itself when it was not so.",
    ),
    "broken": Cause(
        Kind.STOPPED,
        "This group is broken.",
        "Its last line says why. Your history stays.",
    ),
    "not_sent": Cause(
        Kind.STOPPED,
        "Not sent: {0}",
        "Nobody got this line. Send it again, or discard it.",
    ),
}
