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
from pathlib import Path

from steps import SetupError, command

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MINIMUM_NODE = 20
MINIMUM_PYTHON = (3, 11)


def require_python() -> None:
    """Python 3.11 or newer."""
    if sys.version_info < MINIMUM_PYTHON:
        found = ".".join(map(str, sys.version_info[:2]))
        message = (
            f"Python 3.11 or newer is needed; {sys.executable} is {found}. `make PYTHON=…` names another one."
        )
        raise SetupError(message)


def require_node() -> None:
    """Node 20 or newer, and npm."""
    version = _output("node", "--version")
    major = re.match(r"v(\d+)\.", version)
    if major is None or int(major[1]) < MINIMUM_NODE:
        raise SetupError(
            f"Node {MINIMUM_NODE} or newer is needed ({version or 'none found'}): https://nodejs.org/."
        )
    if not shutil.which("npm"):
        raise SetupError("npm is needed beside Node.")


def require_rust() -> None:
    """Rust's cargo with the default (host) toolchain, for the native wheel."""
    if not _output("cargo", "--version"):
        raise SetupError("Rust is needed (cargo was not found): https://rustup.rs/.")


def require_venv() -> None:
    """Python's own `venv` with pip, which Debian keeps in a package of its own."""
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        major, minor = sys.version_info[:2]
        apt_install([f"python{major}.{minor}-venv"], "Python's venv is missing")


def require_linker() -> None:
    """A C linker, which rustc calls even for build scripts."""
    if not shutil.which("cc"):
        apt_install(["gcc", "libc6-dev"], "Rust needs a C linker (cc)")


def require_wasm_compiler() -> None:
    """A Rust that compiles for Emscripten: rustup's with that target, or Debian's with its sources and lld."""
    if "wasm32-unknown-emscripten" in _output("rustup", "target", "list", "--installed"):
        return
    parts = ("/usr/bin/rustc", "/usr/bin/cargo", "/usr/bin/wasm-ld-22", "/usr/lib/rustlib/src/rust/library")
    if not all(Path(part).exists() for part in parts):
        debian = ["rustc-web", "cargo-web", "rust-web-src", "lld-22"]
        apt_install(debian, "the compiler for WebAssembly is missing")


def chromium() -> str | None:
    """Path of the browser that tests drive: CHROMIUM, or the first that is found."""
    named = os.environ.get("CHROMIUM")
    if named:
        return shutil.which(named)
    return next((path for name in CHROMIUM_NAMES if (path := shutil.which(name))), None)


def require_chromium() -> None:
    """A Chromium for the tests in a browser."""
    if chromium():
        return
    if os.environ.get("CHROMIUM"):
        raise SetupError(f"CHROMIUM is set to {os.environ['CHROMIUM']}, which can't be run.")
    apt_install(["chromium"], "the tests drive a Chromium (CHROMIUM=path names another one)")


def apt_install(packages: list[str], reason: str) -> None:
    """Install Debian packages, with sudo where not root; say plainly what to do where that can't be."""
    wanted = " ".join(packages)
    if not shutil.which("apt-get"):
        raise SetupError(
            f"{reason}. On Debian: apt-get install {wanted}. Install what corresponds to it here."
        )
    root = os.geteuid() == 0
    if not root and not shutil.which("sudo"):
        raise SetupError(f"{reason}, and there is no sudo. As root: apt-get install {wanted}")
    print(f"    {reason}: installing {wanted}", flush=True)
    prefix = [] if root else ["sudo"]
    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-o", "Dpkg::Use-Pty=0"]
    command(*apt, "update")
    command(*apt, "install", "--yes", "--no-install-recommends", *packages)


def _output(*words: str) -> str:
    """What a program prints, or nothing when it is missing or fails."""
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
