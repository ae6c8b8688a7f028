"""Every relative link and every path in backticks in the documentation leads somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)(?:#[^)]*)?\)")
PATH = re.compile(r"`((?:[\w.-]+/)+[\w.-]+\.(?:py|pyi|rs|js|mjs|sql|md|toml|json|txt))(?:: \w+)?`")
BUILT = ("dist/", "build/", "node_modules/")


@pytest.mark.parametrize("sheet", PAGES, ids=lambda sheet: str(sheet.relative_to(ROOT)))
def test_links_lead_somewhere(sheet: Path) -> None:
    links = LINK.findall(sheet.read_text(encoding="utf-8"))
    assert not [link for link in links if not (sheet.parent / link).exists()]


@pytest.mark.parametrize("sheet", PAGES, ids=lambda sheet: str(sheet.relative_to(ROOT)))
def test_paths_are_in_the_tree(sheet: Path) -> None:
    paths = [path for path in PATH.findall(sheet.read_text(encoding="utf-8")) if not path.startswith(BUILT)]
    assert not [path for path in paths if not (ROOT / path).exists()]
