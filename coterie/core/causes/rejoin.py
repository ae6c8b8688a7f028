"""Coming back into a group by a rejoin: that it came about, what lay between, or why it did not."""

from __future__ import annotations

from coterie.core.causes.base import Cause, Kind

NOT_BACK = "This device could not come back into the group: "
ADVICE = (
    "Nothing was changed. Try again later, or ask a member to take this device out and to let it in again."
)

REJOIN = {
    "back_in": Cause(Kind.EVENT, "You came back into this group, with new keys."),
    "came_meanwhile": Cause(Kind.EVENT, "{0} came into this group while you were away."),
    "went_meanwhile": Cause(Kind.EVENT, "{0} is not in this group any more."),
    "missed": Cause(
        Kind.UNREADABLE,
        "{0} messages from while you were away can't be read.",
        "They are under keys that this device never had. Members who were here have them: ask them.",
        words=("some", ""),
    ),
    "outlived": Cause(
        Kind.STOPPED,
        "A change of this group came so late that it can't be checked any more: a key in it may have run out.",
        "Coterie comes back into the group by itself, at most once an hour; what lay between can't be read here.",
    ),
    "service_behind": Cause(
        Kind.STOPPED,
        "The service has lost {0} messages and changes that it had of this group, so nothing is sent until it is sure"
        " that the group can go on.",
        "You keep what you have; who had not read it yet does not get it. Coterie asks for the state of the group"
        " and goes on by itself where it can.",
        words=("some", ""),
    ),
    "epoch_lost": Cause(
        Kind.STOPPED,
        "The service has lost a change of this group that you have, and gives a past state of it, so nothing is sent"
        " here.",
        "Your history stays. If everybody is told this, start the group again: a new one for the same people. If others"
        " go on writing here, try to get back in when one of them has changed something.",
    ),
    "rejoin_unreadable": Cause(
        Kind.STOPPED, NOT_BACK + "what the service has of the group does not hold.", ADVICE
    ),
    "rejoin_other_group": Cause(
        Kind.STOPPED, NOT_BACK + "the service gave the state of another group.", ADVICE
    ),
    "rejoin_old_epoch": Cause(Kind.STOPPED, NOT_BACK + "the service gave a past state of it.", ADVICE),
    "rejoin_unknown_signer": Cause(
        Kind.STOPPED,
        NOT_BACK
        + "its state at the service is signed by somebody whom this device did not know as a member.",
        "Nothing was changed. Try again when somebody whom you knew there has changed something, or ask a member to"
        " take this device out and to let it in again.",
    ),
    "rejoin_changed_leaf": Cause(
        Kind.STOPPED,
        NOT_BACK + "{0} has other keys in its state at the service.",
        "Nothing was changed. Ask {0} over the phone or in person whether they are in the group.",
    ),
    "rejoin_no_leaf": Cause(
        Kind.STOPPED, NOT_BACK + "it has no place in its state at the service any more.", ADVICE
    ),
    "rejoin_refused": Cause(Kind.STOPPED, NOT_BACK + "{0}", ADVICE, words=("the service refuses it.", "")),
    "rejoin_lost": Cause(
        Kind.STOPPED,
        NOT_BACK + "others changed it first, each time.",
        "Nothing was changed. Try again later.",
    ),
}
