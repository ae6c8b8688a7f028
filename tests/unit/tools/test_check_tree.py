"""The gate on what tracked files may name."""

from __future__ import annotations

from pathlib import Path

import check_tree
import pytest


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(check_tree, "ROOT", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("a.py", "x = 1\ny = '/ro" + "ot/x'\n", ["a.py:2: /ro" + "ot/"]),
        ("a.md", "see .." + "/shared/notes", ["a.md:1: .." + "/shared/"]),
        ("a.py", "../shared/vectors/x.json, /rooted/x, ~/work/x, https://a.example/work/x", []),
        ("package-lock.json", '"resolved": "https://registry.npmjs.org/x.tgz"', []),
        ("package-lock.json", '"resolved": "https://npm.corp/x"', ['package-lock.json:1: "resolved": "']),
        ("wasm/Cargo.lock", 'source = "git+https://x"', ['wasm/Cargo.lock:1: source = "']),
        ("requirements/run.txt", "--index-url https://x", 2),
        ("a.png", b"\xff\xfe/root/x", []),
    ],
)
def test_faults(root: Path, name: str, text: str | bytes, found: list[str] | int) -> None:
    path = root / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    faults = check_tree.faults(name)
    assert (len(faults) if isinstance(found, int) else faults) == found
