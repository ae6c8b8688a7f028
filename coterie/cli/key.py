"""`coterie key`: how a profile's key is kept, and another way from now on."""

from __future__ import annotations

from coterie import native
from coterie.cli.screen import Screen
from coterie.cli.settings import OpenClient, Settings
from coterie.errors import StateError

SAYS = {
    "file": "The key lies in state.key beside the data. Whoever can read both can read everything: a passphrase or "
    "the system's keyring keeps it apart.",
    "keyring": "The key is in the system's keyring.",
    "passphrase": "The key is locked with a passphrase, which is asked for at each start. Nobody can give it back.",
    "environment": "The key comes from COTERIE_KEY, COTERIE_KEY_FILE or COTERIE_KEY_COMMAND at each start.",
    None: "This profile is not encrypted yet. It is when `coterie chat` opens it the next time.",
}


async def key(settings: Settings, screen: Screen, _: OpenClient) -> bool:
    """Run `coterie key`. Raises what `native.keep_key` raises, and `StateError` (`no_profile`)."""
    if not native.has_profile(settings.path):
        raise StateError("no_profile", "There is no profile here yet: it is made by `coterie chat`.")
    way = await native.keep_key(settings.path, settings.way, screen.ask_secret)
    screen.event({"event": "key", "way": way})
    screen.say(SAYS[way])
    return True
