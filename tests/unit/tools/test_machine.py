"""What set-up asks of a machine is what the build needs."""

import tomllib
from pathlib import Path

import machine

ROOT = Path(__file__).parents[3]


def test_the_oldest_rust_is_that_of_the_crate() -> None:
    package = tomllib.loads((ROOT / "wasm/Cargo.toml").read_text())["package"]
    assert package["rust-version"] == ".".join(map(str, machine.MINIMUM_RUST))
