"""What people did in a group."""

from __future__ import annotations

from coterie.core.causes.base import Cause, Kind

_SENTENCES = {
    "created": "{0} created the group.",
    "joined_self": "You joined. Messages from before you joined can't be read.",
    "joined": "{0} joined, added by {1}.",
    "added": "{1} added {0}.",
    "added_self": "{0} added you to this group. Messages from before can't be read.",
    "left": "{0} left.",
    "removed": "{0} was removed by {1}. The invite links ended.",
    "device_removed": "{1} took another device of theirs out of the group. The invite links ended.",
    "removed_self": "You were removed by {0}.",
    "left_self": "You left the group.",
    "rejoined": "{0} came back after losing their place.",
    "started_again": "This group goes on from one that could not, whose history stays on the devices that have it.",
    "left_out": "{0} was left out.",
    "goes_on": "{0} started this group again: it goes on in a new one.",
    "not_a_member": "You are not a member any more.",
    "archived": "This is history from a backup. To write here, come in again by an invite link.",
    "from_backup": "What stands above comes from a backup.",
    "imported": "This is a copy of another device's state. It can read, but it never sends.",
}

EVENTS = {code: Cause(Kind.EVENT, sentence) for code, sentence in _SENTENCES.items()}
