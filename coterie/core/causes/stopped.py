"""Why this device does not send, or does not read on, or a line did not go out."""

from __future__ import annotations

from coterie.core.causes.base import Cause, Kind

STOPPED = {
    "bad_commit": Cause(
        Kind.STOPPED,
        "This group is broken: {0} made a change that cannot be accepted.",
        "Nothing after it can be read here, and nothing is sent. Your history stays. Start the group again"
        " without {0}; that it was {0} is the service's word, so ask when you doubt it.",
    ),
    "missed_commit": Cause(
        Kind.STOPPED,
        "A change of this group is no longer kept by the service, and was missed here.",
        "Coterie comes back into the group by itself, at most once an hour; what lay between can't be read here.",
    ),
    "unknown_own_commit": Cause(
        Kind.STOPPED,
        "This group is broken: a change was made with this device's keys, by something else.",
        "Another copy of this device's state is in use. Sign out here and there, and join again as a new device.",
    ),
    "refused_commit": Cause(
        Kind.STOPPED,
        "This group is broken: the service refused a change of this device and delivered it later.",
        "The service broke its word, so this device cannot follow. Your history stays. Try to get back in, or start"
        " the group again.",
    ),
    "replaced_self": Cause(
        Kind.STOPPED,
        "Another copy of this device took over your place here.",
        "This one neither reads nor sends here any more. Go on where you took over; if that was not you, tell them.",
    ),
    "thrown_out": Cause(
        Kind.STOPPED,
        "{0} removed you without being allowed to.",
        "The members' devices undo it as soon as one of them is online: you get an invitation to come back.",
    ),
    "state_behind": Cause(
        Kind.STOPPED,
        "This device's state is older than what it sent before, so it has stopped sending here.",
        "A restored profile or a second copy is the usual reason. Sending on would use keys twice, so Coterie comes"
        " back into the group with new ones, by itself at most once an hour. Until then it reads on, and lines wait.",
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
    "damaged": Cause(
        Kind.STOPPED,
        "What this device had stored of this group is damaged, so it is read no further and nothing is sent here.",
        "Your history stays, nothing was deleted. Ask a member to let you in again by a link.",
    ),
    "set_aside": Cause(
        Kind.STOPPED,
        "Something went wrong in Coterie itself with what came in this group, so it is read no further for now and"
        " nothing is sent here.",
        "All that is stored is there: reload the page, or start the program again, and the group goes on.",
    ),
    "not_sent": Cause(
        Kind.STOPPED,
        "Not sent: {0}",
        "Nobody got this line. Send it again, or discard it.",
        words=("the service refused it.", ""),
    ),
}
