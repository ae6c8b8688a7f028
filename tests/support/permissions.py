"""docs/authorization.md as data: rows by name, expected answers by principal."""

import re
from dataclasses import dataclass
from pathlib import Path

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "authorization.md"
_WORDS = {"ok": (200, ""), "no": (403, "not_a_member")} | {
    word: (200, word) for word in ("none", "past", "welcome")
}


@dataclass(frozen=True, slots=True)
class Expected:
    """A cell: for 200 `code` says how much may be in the answer ("" for all of it, `none`, `past`, `welcome`)."""

    status: int
    code: str

    @property
    def refused(self) -> bool:
        """True for an error."""
        return self.status != 200


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table."""

    name: str
    """The function or route, and what distinguishes this row from another of it."""
    target: str
    methods: tuple[str, ...]
    answers: dict[str, Expected]


def tables() -> dict[str, list[Row]]:
    """The tables `function`, `socket` and `route`, with the entries of `entry` put in."""
    found: dict[str, list[dict[str, str]]] = {}
    header: list[str] = []
    for line in [*DOCUMENT.read_text().splitlines(), ""]:
        cells = [one.strip() for one in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if not cells:
            header = []
        elif not header:
            header = cells
        elif not set(line) <= set("|-: "):
            assert len(cells) == len(header), line
            found.setdefault(header[0], []).append(dict(zip(header, cells, strict=True)))
    entries = {one["entry"].strip("`"): one for one in found["entry"]}
    return {
        name: [_row(name, line, entries) for line in found[name]] for name in ("function", "socket", "route")
    }


def _row(table: str, line: dict[str, str], entries: dict[str, dict[str, str]]) -> Row:
    name = line.pop(table)
    methods = tuple(line.pop("methods", "GET").split())
    entry = line.pop("entry", None)
    cells = {**({} if entry is None else entries[entry]), **line}
    cells.pop("entry", None)
    target = re.findall(r"`([^`]+)`", name)[0]
    answers = {who: _expected(cell) for who, cell in cells.items()}
    return Row(name.replace("`", ""), target, methods, answers)


def _expected(cell: str) -> Expected:
    if cell in _WORDS:
        return Expected(*_WORDS[cell])
    matched = re.fullmatch(r"(\d{3}) `(\w+)`", cell)
    assert matched, cell
    return Expected(int(matched[1]), matched[2])
