"""docs/states against the code: what the tables name is there, and what the code can set is in the tables."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted((ROOT / "docs" / "states").glob("*.md"))
PLACE = re.compile(r"`([\w/]+\.(?:py|sql)): (\w+)`")
TRANSITION = re.compile(r"^ {4}(\S+) --> (\S+?)(?:: .*)?$", re.MULTILINE)


def functions_of(path: Path) -> set[str]:
    """Names of all functions and methods in a Python or SQL file."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".sql":
        return set(re.findall(r"create or replace function coterie\.(\w+)", text))
    defined = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(ast.parse(text)) if isinstance(node, defined)}


def assigned(folder: Path, keyword: str) -> set[str]:
    """Every literal that the code gives to this keyword in a call."""
    calls = (
        node
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    )
    given = (one.value for call in calls for one in call.keywords if one.arg == keyword)
    return {one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str)}


@pytest.mark.parametrize("sheet", PAGES, ids=lambda sheet: sheet.name)
def test_every_place_that_a_page_names_is_in_the_code(sheet: Path) -> None:
    places = PLACE.findall(sheet.read_text(encoding="utf-8"))
    assert places
    missing = [f"{path}: {name}" for path, name in places if name not in functions_of(ROOT / path)]
    assert not missing


@pytest.mark.parametrize("sheet", [p for p in PAGES if p.name != "README.md"], ids=lambda sheet: sheet.name)
def test_every_state_of_a_diagram_stands_in_its_tables(sheet: Path) -> None:
    text = sheet.read_text(encoding="utf-8")
    states = {state for pair in TRANSITION.findall(text) for state in pair} - {"[*]"}
    assert states
    tables = "\n".join(line for line in text.splitlines() if line.startswith("|"))
    assert not {state for state in states if f"`{state}`" not in tables}


def test_states_that_the_core_sets_are_described() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    states = assigned(ROOT / "coterie" / "core", "state") - {"active"}
    assert {"left", "removed", "broken"} <= states
    assert not {state for state in states if f"`{state}`" not in text}


def test_states_of_a_join_at_the_service_are_described() -> None:
    schema = (ROOT / "schema" / "02_tables.sql").read_text(encoding="utf-8")
    allowed = re.search(r"status text not null check \(status in\s*\(([^)]*)\)", schema)
    assert allowed
    page = (ROOT / "docs" / "states" / "join.md").read_text(encoding="utf-8")
    assert not {state for state in re.findall(r"'(\w+)'", allowed[1]) if f"`{state}`" not in page}
