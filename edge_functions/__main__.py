"""`coterie-server`, also `python -m edge_functions`: serve, apply the schema, keep it running."""

import argparse
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

from edge_functions import admin, log
from edge_functions.environment import SettingsError, describe, markdown, unknown
from edge_functions.errors import ServiceError
from edge_functions.schema import PostgresError, apply_now, schema_text
from edge_functions.serving import serve
from edge_functions.settings import Settings

_log = logging.getLogger("edge_functions")


def main() -> int:
    """Read the command line; the exit status: 0 done, 1 failed, 2 not begun."""
    given = _parser().parse_args()
    try:
        settings = Settings.from_environment()
        log.configure(settings.log, settings.log_level)
        for sentence in unknown(Settings, os.environ):
            _log.warning(sentence)
        status: int = given.do(settings, given)
    except (SettingsError, PostgresError, admin.AdminError) as error:
        print(error, file=sys.stderr)
        return 2
    except ServiceError as error:
        print(f"{error.sentence} ({error.code})", file=sys.stderr)
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="coterie-server",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"Settings, from the environment (docs/settings.md):\n{describe(Settings)}",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add(commands, "serve", "start the service", lambda settings, _: serve(settings))
    apply = _add(commands, "apply-schema", "apply the schema to DATABASE_URL and stop", _apply)
    apply.add_argument("--print", action="store_true", help="print it instead, for psql or an editor of SQL")
    _add(commands, "settings", "print docs/settings.md", _settings)
    administer = commands.add_parser("admin", help="backup, restore, retention, keys, status")
    actions = administer.add_subparsers(metavar="ACTION", required=True)
    backup = _add(
        actions, "backup", "write all data into FILE", lambda settings, it: admin.backup(settings, it.file)
    )
    backup.add_argument("file", metavar="FILE", type=Path)
    restore = _add(
        actions,
        "restore",
        "read FILE into an empty database",
        lambda settings, it: admin.restore(settings, it.file),
    )
    restore.add_argument("file", metavar="FILE", type=Path)
    _add(actions, "retention", "drop what is over, now", lambda settings, _: admin.retention(settings))
    _add(
        actions,
        "rotate-keys",
        "let another key sign the tokens",
        lambda settings, _: admin.rotate_keys(settings),
    )
    _add(actions, "status", "version, tables and their sizes", lambda settings, _: admin.status(settings))
    return parser


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    about: str,
    do: Callable[[Settings, argparse.Namespace], int],
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=about)
    parser.set_defaults(do=do)
    return parser


def _apply(settings: Settings, given: argparse.Namespace) -> int:
    if given.print:
        print(schema_text(), end="")
        return 0
    if settings.database_url is None:
        raise SettingsError(
            "Set DATABASE_URL to the database, with a user that may create roles and schemas."
        )
    apply_now(settings.database_url)
    print("The database has what this version needs.")
    return 0


def _settings(_: Settings, __: argparse.Namespace) -> int:
    print(markdown(Settings), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
