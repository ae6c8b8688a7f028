"""`coterie chat | backup | …`: the client in a terminal. `STATUSES` says what the exit status means."""

from __future__ import annotations

import argparse
import asyncio
import functools
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from coterie import native
from coterie.cli.backup import backup, restore
from coterie.cli.chat import Interrupted, JoinEnded, chat
from coterie.cli.doctor import doctor
from coterie.cli.key import key
from coterie.cli.screen import Screen
from coterie.cli.settings import Settings
from coterie.errors import CoterieError, StorageError, Unreachable
from coterie.keeping import WAYS

FAILED, USAGE, UNREACHABLE, STORAGE, NOT_LET_IN, INTERRUPTED = 1, 2, 3, 4, 5, 130
STATUSES = """exit status:
  0    done
  1    something was refused, or is not possible now
  2    wrong usage
  3    the service can't be reached
  4    this device's state can't be used: another Coterie has it open, it is damaged, ...
  5    a join ended without letting one in
  130  interrupted (Ctrl-C)"""
COMMANDS = {"chat": chat, "backup": backup, "restore": restore, "doctor": doctor, "key": key}
DEFAULT_SERVICE = "http://localhost:8080"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="coterie",
        description="End-to-end-encrypted group chat from a link.",
        epilog=STATUSES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar=" | ".join(COMMANDS))
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--server", metavar="URL", help="the service (default: the link's, COTERIE_SERVER, localhost)"
    )
    common.add_argument(
        "--data", metavar="DIR", type=Path, help="where state is kept (default: COTERIE_DATA)"
    )
    common.add_argument("--profile", help="a name for the state within DIR (default: one for each service)")
    common.add_argument("--json", action="store_true", help="print one JSON event a line")
    talk = commands.add_parser("chat", parents=[common], help="join from a link, or talk in a group")
    talk.add_argument("link", nargs="?", help="an invite link; without one the groups are listed")
    talk.add_argument("--new", metavar="NAME", help="create a group and print its invite link")
    talk.add_argument("--group", metavar="NAME", help="open this group (its name or id)")
    talk.add_argument("--name", help="how you are called")
    commands.add_parser("doctor", parents=[common], help="look at versions, service, device and groups")
    keep = commands.add_parser("key", parents=[common], help="say or change how the profile's key is kept")
    keep.add_argument("way", nargs="?", choices=WAYS, help="how it is kept from now on")
    save = commands.add_parser(
        "backup", parents=[common], help="save history, names and people in an encrypted file"
    )
    save.add_argument(
        "file", type=Path, help="where to; the passphrase is asked for, or the first line of the input"
    )
    back = commands.add_parser("restore", parents=[common], help="put a backup beside what is here")
    back.add_argument("file", type=Path, help="a file that `coterie backup` or the page made")
    back.add_argument("--mine", action="store_true", help="it is of a time when I was here as somebody else")
    return top


def read_settings(argv: Sequence[str] | None) -> Settings:
    """The command line and the environment; raises `LocalError` for a link that names no service."""
    given = parser().parse_args(argv)
    link = getattr(given, "link", None)
    chosen = [option for option in ("link", "new", "group") if getattr(given, option, None)]
    if len(chosen) > 1:
        parser().error("give a link, --new or --group, not several of them")
    service = given.server or Settings.service_of(link) or os.environ.get("COTERIE_SERVER") or DEFAULT_SERVICE
    return Settings(
        command=given.command,
        service_url=service,
        path=native.state_path(given.data or native.data_root(), given.profile or native.profile_of(service)),
        link=link,
        new=getattr(given, "new", None),
        group=getattr(given, "group", None),
        name=getattr(given, "name", None),
        way=getattr(given, "way", None),
        file=getattr(given, "file", None),
        mine=getattr(given, "mine", False),
        as_json=given.json,
    )


def status_of(error: CoterieError) -> int:
    """The exit status for an error."""
    match error:
        case Unreachable():
            return UNREACHABLE
        case StorageError():
            return STORAGE
        case JoinEnded():
            return NOT_LET_IN
        case _:
            return FAILED


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; errors are sentences on standard error, or JSON events."""
    screen = Screen(as_json="--json" in (sys.argv[1:] if argv is None else argv))
    try:
        settings = read_settings(argv)
        opener = functools.partial(native.open_client, ask=screen.ask_secret)
        return FAILED if not asyncio.run(COMMANDS[settings.command](settings, screen, opener)) else 0
    except CoterieError as error:
        screen.error(error)
        return status_of(error)
    except (KeyboardInterrupt, Interrupted) as stop:
        screen.say(str(stop) or "Stopped.")
        return INTERRUPTED
