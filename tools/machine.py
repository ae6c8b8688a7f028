"""What this machine has, and Debian's packages where something is missing.

Nothing is installed, and root is not needed, when all of it is there.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from steps import SetupError, command

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FIREFOX_NAMES = ("firefox-esr", "firefox")
MINIMUM_NODE = 20
MINIMUM_PYTHON = (3, 11)
MINIMUM_RUST = (1, 91)
"""As `rust-version` in wasm/Cargo.toml."""


@dataclass(frozen=True)
class Missing:
    """Something that is not here: why it is needed, and the Debian packages or the place that it comes from."""

    reason: str
    packages: tuple[str, ...] = ()
    elsewhere: str = ""


def provide(goal: str) -> None:
    """Install what `goal` misses of Debian's packages; raise SetupError for what only a person can give."""
    missing = [what for what in _needs(goal) if what]
    ours = [f"{what.reason}: {what.elsewhere}" for what in missing if what.elsewhere]
    packages = [package for what in missing for package in what.packages]
    if packages and not _can_install():
        ours += [what.reason for what in missing if what.packages]
        ours.append(f"On Debian, as root: apt-get install {' '.join(packages)}")
    if ours:
        raise SetupError("something is missing.\n  " + "\n  ".join(ours))
    if packages:
        print("\n".join(what.reason for what in missing), flush=True)
        _apt_install(packages)


def chromium() -> str | None:
    """Path of the browser that tests drive: CHROMIUM, or the first that is found."""
    return _browser("CHROMIUM", CHROMIUM_NAMES)


def firefox() -> str | None:
    """Path of the second browser: FIREFOX, or the first that is found."""
    return _browser("FIREFOX", FIREFOX_NAMES)


def _browser(variable: str, names: tuple[str, ...]) -> str | None:
    named = os.environ.get(variable)
    if named:
        return shutil.which(named)
    return next((path for name in names if (path := shutil.which(name))), None)


def _needs(goal: str) -> list[Missing | None]:
    needs = [_python(), _venv(), _linker()]
    if goal not in ("chat", "conformance"):
        needs += [_node(), _wasm_compiler()]
    if goal != "run":
        needs.append(_rust())
    if goal == "test":
        needs += [_chromium(), _firefox()]
    if goal == "conformance":
        needs += [_debian_postgres(), _nginx()]
    return needs


def _python() -> Missing | None:
    if sys.version_info >= MINIMUM_PYTHON:
        return None
    found = ".".join(map(str, sys.version_info[:2]))
    return Missing(
        f"Python 3.11 or newer ({sys.executable} is {found})", elsewhere="name one by make PYTHON=…"
    )


def _venv() -> Missing | None:
    """Python's own venv with pip, which Debian keeps in a package of its own."""
    if importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip"):
        return None
    major, minor = sys.version_info[:2]
    return Missing("Python's venv", (f"python{major}.{minor}-venv",))


def _linker() -> Missing | None:
    return None if shutil.which("cc") else Missing("A C linker (cc), for Rust", ("gcc", "libc6-dev"))


def _node() -> Missing | None:
    version = _output("node", "--version")
    major = re.match(r"v(\d+)\.", version)
    if major and int(major[1]) >= MINIMUM_NODE and shutil.which("npm"):
        return None
    return Missing(
        f"Node {MINIMUM_NODE} or newer with npm (node is {version or 'not found'})", elsewhere="nodejs.org"
    )


def _rust() -> Missing | None:
    version = _output("cargo", "--version")
    found = re.search(r"(\d+)\.(\d+)", version)
    if found and (int(found[1]), int(found[2])) >= MINIMUM_RUST:
        return None
    wanted = ".".join(map(str, MINIMUM_RUST))
    return Missing(f"Rust {wanted} or newer (cargo is {version or 'not found'})", elsewhere="rustup.rs")


def _wasm_compiler() -> Missing | None:
    """A Rust that compiles for Emscripten: rustup's with that target, or Debian's with its sources and lld."""
    if "wasm32-unknown-emscripten" in _output("rustup", "target", "list", "--installed"):
        return None
    parts = ("/usr/bin/rustc", "/usr/bin/cargo", "/usr/bin/wasm-ld-22", "/usr/lib/rustlib/src/rust/library")
    if all(Path(part).exists() for part in parts):
        return None
    return Missing("A Rust compiler for WebAssembly", ("rustc-web", "cargo-web", "rust-web-src", "lld-22"))


def _chromium() -> Missing | None:
    if chromium():
        return None
    return _misnamed("CHROMIUM") or Missing("A Chromium, for the tests in a browser", ("chromium",))


def _firefox() -> Missing | None:
    """Not demanded where it can't be installed: the tests that want it skip, and say so."""
    if firefox():
        return None
    missing = Missing("A Firefox, for the storage's tests in a second browser", ("firefox-esr",))
    return _misnamed("FIREFOX") or (missing if _can_install() else None)


def _misnamed(variable: str) -> Missing | None:
    named = os.environ.get(variable)
    if not named:
        return None
    return Missing(
        f"A browser ({variable} is {named}, which can't be run)", elsewhere=f"set {variable} to one"
    )


def _debian_postgres() -> Missing | None:
    """The conformance suite starts clusters of its own with it, and leaves Debian's alone."""
    if Path("/usr/lib/postgresql/15/bin/postgres").exists():
        return None
    return Missing("PostgreSQL 15, for the conformance suite", ("postgresql-15",))


def _nginx() -> Missing | None:
    if shutil.which("nginx") or Path("/usr/sbin/nginx").exists():
        return None
    return Missing("nginx, for the conformance suite", ("nginx-light",))


def _can_install() -> bool:
    return bool(shutil.which("apt-get") and (os.geteuid() == 0 or shutil.which("sudo")))


def _apt_install(packages: list[str]) -> None:
    print(f"Installing {' '.join(packages)}", flush=True)
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    apt = [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet", "-o", "Dpkg::Use-Pty=0"]
    command(*apt, "update")
    command(*apt, "install", "--yes", "--no-install-recommends", *packages)


def _output(*words: str) -> str:
    """What a program prints, or nothing when it is missing or fails."""
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
