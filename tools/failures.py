"""Write docs/failures.md from the table of causes: `.venv/bin/python tools/failures.py`. A test compares the two."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from coterie.core import causes  # noqa: E402
from coterie.core.causes import CAUSES, Kind  # noqa: E402

PAGE = ROOT / "docs" / "failures.md"
HEAD = """# What can go wrong, and what follows

Made from `coterie/core/causes/` by `.venv/bin/python tools/failures.py`; do not edit it here.

Whatever cannot be read, was not taken or calls for a look becomes a line in the conversation with one of these codes,
and opens there to what follows. Each group counts how often each happened, in the transaction that moved it. *Health of
this group* (in its members' dialog) and `coterie doctor` show the counts, how far the group is against the service,
what waits to be sent, who made the last change and whose keys are old, and give it as text without names, keys or
anything that was written; there, and below, *somebody* stands for a name.
"""
PARTS = {
    Kind.UNREADABLE: "Not read, or not taken",
    Kind.WARNING: "Read, and worth a look",
    Kind.STOPPED: "Not sent, or not read on",
    Kind.EVENT: "What people do: nothing is wrong, and nothing is counted",
}


def page() -> str:
    """The whole page."""
    return HEAD + "".join(f"\n## {title}\n\n{_table(kind)}" for kind, title in PARTS.items())


def _table(kind: Kind) -> str:
    codes = [code for code, cause in CAUSES.items() if cause.kind is kind]
    if kind is Kind.EVENT:
        rows = [f"| `{code}` | {_capital(causes.sentence(code, []))} |" for code in codes]
        return "\n".join(["| code | the line says |", "|---|---|", *rows, ""])
    rows = [
        f"| `{code}` | {_capital(causes.sentence(code, []))} | {_capital(causes.advice(code, []))} |"
        for code in codes
    ]
    return "\n".join(["| code | the line says | what follows |", "|---|---|---|", *rows, ""])


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
