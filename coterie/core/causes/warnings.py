"""What was read, and calls for a look: keys, members and roles, the service's word."""

from __future__ import annotations

from coterie.core.causes.base import Cause, Kind

WARNINGS = {
    "new_device": Cause(
        Kind.WARNING,
        "{0} is on a further device, which has a key of its own. Compare it in person.",
        "Coterie cannot tell whether that device is theirs. Ask them over the phone or in person.",
    ),
    "new_key": Cause(
        Kind.WARNING,
        "You share no other group with {0}, so their key is new to you. Compare it in person.",
        "Coterie remembers the key from now on and says so when it is another.",
    ),
    "key_changed": Cause(
        Kind.WARNING,
        "Somebody came as {0}, with other keys than {0} has in your other groups. Be careful what you say.",
        "It may be a new device of theirs, or somebody else. Ask them over the phone or in person.",
    ),
    "inviter_absent": Cause(
        Kind.WARNING,
        "Nobody in this group has the key that the link names as {0}. Be careful what you say.",
        "They may have left, or the link was changed. Ask whoever gave you the link.",
    ),
    "refused_key": Cause(
        Kind.WARNING,
        "{0} was not added: the service gave a key that is not theirs.",
        "Nothing was sent to that key. Send {0} an invite link instead.",
    ),
    "not_added": Cause(
        Kind.WARNING,
        "{0} could not be added.",
        "What the service has of their device does not fit (any more). Send {0} an invite link instead.",
    ),
    "not_reached": Cause(
        Kind.WARNING,
        "{0} could not be asked to come: the service has no key of theirs for you.",
        "Send {0} an invite link instead.",
    ),
    "bad_join": Cause(
        Kind.WARNING,
        "Someone tried to join with a key that does not come from the invite link. They were not let in.",
        "Nothing has to be done. If it happens again, end the invite link and make another.",
    ),
    "bad_invitation": Cause(
        Kind.WARNING,
        "The service handed over an invitation to this group, in which you are. It was ignored.",
        "Nothing has to be done: you are in this group as before.",
    ),
    "wrong_roster": Cause(
        Kind.WARNING,
        "{0} told the service something else than the group about who is a member.",
        "Who can read is decided by the group, not by the service, and that is right here. The next change tells the"
        " service the truth, and whoever was cut off gets what they missed.",
    ),
    "role_breach": Cause(
        Kind.WARNING,
        "{0} removed {1} without being allowed to.",
        "Coterie undoes it: {0} is removed, and {1} is asked to come back. The invite links end.",
    ),
    "taken_out": Cause(
        Kind.WARNING,
        "{1} took {0} out of this group. Whether {0} had asked to leave is not known here.",
        "This device could not read a message that may have said so, and undoes nothing. Ask {0}: if {1} was not"
        " allowed to, invite {0} again; whoever made the group can remove {1}.",
    ),
    "roles_changed": Cause(
        Kind.WARNING,
        "{0} tried to change who may do what in this group. It was ignored.",
        "Who may do what stays as it was, and Coterie removes {0}. The invite links end.",
    ),
    "task_failed": Cause(
        Kind.WARNING,
        "Something that this device had to do in this group by itself failed: {0}.",
        "Coterie tries again, and says so once an hour. Lines come and go as before. If it does not end, start a new"
        " group, and tell whoever runs Coterie for you.",
        words=("it was refused", ""),
    ),
    "fork": Cause(
        Kind.WARNING,
        "{0} sees another state of this group. Compare it in person.",
        "The service may have shown two halves of the group two different changes. What {0} does not see here, others"
        " may: compare the members and the last lines.",
    ),
}
