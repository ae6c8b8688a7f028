"""What is handed out: no hooks, no path of the machine that built it, not larger than it has to be."""

import re
import zipfile
from pathlib import Path

import pytest

import coterie_mls

ROOT = Path(__file__).parents[3]
LIMITS = {"linux": 2_000_000, "wasm32": 1_000_000}
"""Bytes. The wheel for the page is part of everybody's first visit."""


def releases() -> list[Path]:
    return sorted((ROOT / "dist").glob("coterie_mls-*.whl"))


def compiled(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if re.search(r"_native\.(abi3|cpython).*\.so$", name)]
        return archive.read(name)


def test_the_installed_module_has_no_hooks() -> None:
    assert [name for name in dir(coterie_mls._native) if "kat" in name] == []


@pytest.mark.parametrize("wheel", releases(), ids=lambda wheel: wheel.name)
def test_a_release_has_no_hooks_and_no_paths(wheel: Path) -> None:
    binary = compiled(wheel)
    for word in (b"kat_", b"a deliberate panic", str(ROOT).encode(), str(Path.home()).encode() + b"/"):
        assert word not in binary


def test_the_same_words_are_found_where_they_are() -> None:
    """The search above would see hooks: the test build has them."""
    for wheel in (ROOT / "dist/test").glob("coterie_mls-*.whl"):
        assert b"kat_" in compiled(wheel)
        assert b"a deliberate panic" in compiled(wheel)


@pytest.mark.parametrize("wheel", releases(), ids=lambda wheel: wheel.name)
def test_a_release_is_not_too_large(wheel: Path) -> None:
    limit = next((size for word, size in LIMITS.items() if word in wheel.name), LIMITS["linux"])
    assert wheel.stat().st_size <= limit
