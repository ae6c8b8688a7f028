"""Set up what a goal needs: `python3 tools/setup.py run | chat | wheels | conformance | test`.

Needs only Python's standard library. What is there is not installed, what has not changed is not built.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import machine
from steps import ROOT, SetupError, Step, command, fail, run_steps

VENV = ROOT / ".venv"
SUPABASE_VENV = ROOT / "build" / "supabase-venv"
CRATE = ("wasm/src", "wasm/python", "wasm/build", "wasm/Cargo.toml", "wasm/Cargo.lock", "wasm/pyproject.toml")
CLIENT = ("coterie", "coterie_wire", "pyproject.toml", "LICENSE", "README.md")
NATIVE_WHEEL = "dist/coterie_mls-*linux*.whl" if sys.platform == "linux" else "dist/coterie_mls-*.whl"
HOOKS_WHEEL = NATIVE_WHEEL.replace("dist/", "dist/test/")
PYODIDE_WHEEL = "dist/coterie_mls-*wasm32.whl"
PYODIDE_HOOKS_WHEEL = "dist/test/coterie_mls-*wasm32.whl"
CLIENT_WHEEL = "dist/coterie-*.whl"


def build_environment() -> dict[str, str]:
    """The venv's programs first; two jobs, so that two cores do not swap."""
    path = os.pathsep.join([str(VENV / "bin"), os.environ["PATH"]])
    jobs = os.environ.get("CARGO_BUILD_JOBS", "2")
    return {**os.environ, "PATH": path, "VIRTUAL_ENV": str(VENV), "CARGO_BUILD_JOBS": jobs}


def make_venv(where: Path = VENV) -> None:
    """A venv of the Python that runs this; one that is there is kept."""
    venv.create(where, with_pip=True, symlinks=True)  # copies would refuse to replace themselves


def pip_install(where: Path, *arguments: str | Path) -> None:
    """Call the venv's own pip, quietly."""
    pip = (where / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    command(*pip, *arguments)


def install(where: Path, *names: str) -> None:
    """Install locked requirements: exact versions, hashes checked, wheels only."""
    files = [word for name in names for word in ("-r", f"requirements/{name}.txt")]
    pip_install(where, "--require-hashes", "--only-binary=:all:", *files)


def build_client() -> None:
    """The pure wheel `coterie`."""
    remove_old(CLIENT_WHEEL)
    command(VENV / "bin" / "hatchling", "build", "-t", "wheel", "-d", "dist", env=build_environment())


def build_crate(script: str, wheel: str) -> None:
    """One of the wheels of the crate."""
    remove_old(wheel)
    command(*script.split(), env=build_environment())


def remove_old(pattern: str) -> None:
    """Wheels of an earlier version or platform, so that a glob names one file."""
    for path in ROOT.glob(pattern):
        path.unlink()


def install_native() -> None:
    """The native wheel, and the checkout itself as `coterie` in the venv."""
    pip_install(VENV, "--no-deps", "--no-index", "--force-reinstall", *ROOT.glob(NATIVE_WHEEL))
    pip_install(VENV, "--no-deps", "--no-index", "--no-build-isolation", "--editable", ".")


def install_server() -> None:
    """The command `coterie-server`: the service runs from this checkout (docs/adr/0001-packaging.md)."""
    script = VENV / "bin" / "coterie-server"
    words = ("import sys", f"sys.path.insert(0, {str(ROOT)!r})", "from edge_functions.__main__ import main")
    script.write_text("\n".join([f"#!{VENV}/bin/python", *words, "sys.exit(main())", ""]))
    script.chmod(0o755)


def install_supabase() -> None:
    """Supabase's client in a venv of its own, because of its pins."""
    make_venv(SUPABASE_VENV)
    install(SUPABASE_VENV, "supabase")


def install_native_beside_supabase() -> None:
    """The native wheel for the tests that run there."""
    pip_install(SUPABASE_VENV, "--no-deps", "--no-index", "--force-reinstall", *ROOT.glob(NATIVE_WHEEL))


PYTHON = Step("Python environment", make_venv, outputs=(".venv/bin/pip",))
RUN_PACKAGES = Step(
    "Python packages",
    lambda: install(VENV, "run"),
    inputs=("requirements/run.txt",),
    outputs=(".venv/bin/maturin",),
)
TEST_PACKAGES = Step(
    "test packages",
    lambda: install(VENV, "test"),
    inputs=("requirements/test.txt",),
    outputs=(".venv/bin/pytest", ".venv/bin/ruff"),
)
SERVER = Step(
    "server command", install_server, inputs=("tools/setup.py",), outputs=(".venv/bin/coterie-server",)
)
SUPABASE = Step(
    "Supabase client",
    install_supabase,
    inputs=("requirements/supabase.txt",),
    outputs=("build/supabase-venv/bin/pytest",),
)
PYODIDE = Step(
    "MLS for the browser",
    lambda: build_crate("wasm/build/pyodide.sh", PYODIDE_WHEEL),
    inputs=CRATE,
    outputs=(PYODIDE_WHEEL,),
)
NATIVE = Step(
    "MLS for this machine",
    lambda: build_crate("wasm/build/native.sh", NATIVE_WHEEL),
    inputs=CRATE,
    outputs=(NATIVE_WHEEL,),
)
INSTALLED_BESIDE_SUPABASE = Step(
    "MLS beside the Supabase client",
    install_native_beside_supabase,
    inputs=(NATIVE_WHEEL,),
    outputs=("build/supabase-venv/lib/python*/site-packages/coterie_mls/__init__.py",),
)
HOOKS = Step(
    "MLS with test hooks",
    lambda: build_crate("wasm/build/native.sh hooks", HOOKS_WHEEL),
    inputs=CRATE,
    outputs=(HOOKS_WHEEL,),
)
PYODIDE_HOOKS = Step(
    "MLS for the browser with test hooks",
    lambda: build_crate("wasm/build/pyodide.sh hooks", PYODIDE_HOOKS_WHEEL),
    inputs=CRATE,
    outputs=(PYODIDE_HOOKS_WHEEL,),
)
CLIENT_PACKAGE = Step("client wheel", build_client, inputs=CLIENT, outputs=(CLIENT_WHEEL,))
INSTALLED = Step(
    "client in the environment",
    install_native,
    inputs=(NATIVE_WHEEL, "pyproject.toml"),
    outputs=(".venv/bin/coterie",),
)
NPM = Step(
    "npm packages",
    lambda: command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"),
    inputs=("package.json", "package-lock.json"),
    outputs=("node_modules/pyodide/pyodide.mjs",),
)
PAGE = Step(
    "page",
    lambda: command("node", "web/build/site.mjs", env=build_environment()),
    inputs=("web", "package-lock.json", PYODIDE_WHEEL, CLIENT_WHEEL),
    outputs=("dist/site/index.html",),
)
FROZEN = Step(
    "frozen wheels",
    lambda: command("node", "web/build/wheels.mjs", env=build_environment()),
    inputs=("web/build", "package-lock.json", PYODIDE_WHEEL, CLIENT_WHEEL),
    outputs=("dist/site/wheels/lock.json",),
)

BROWSER_WHEELS = [PYODIDE, CLIENT_PACKAGE, NPM]
GOALS = {
    "run": [PYTHON, RUN_PACKAGES, SERVER, *BROWSER_WHEELS, PAGE],
    "chat": [PYTHON, RUN_PACKAGES, NATIVE, INSTALLED],
    "wheels": [PYTHON, RUN_PACKAGES, *BROWSER_WHEELS, FROZEN, NATIVE],
    "conformance": [PYTHON, RUN_PACKAGES, TEST_PACKAGES, NATIVE, INSTALLED],
    "test": [
        PYTHON,
        RUN_PACKAGES,
        SERVER,
        TEST_PACKAGES,
        SUPABASE,
        NATIVE,
        INSTALLED,
        INSTALLED_BESIDE_SUPABASE,
        HOOKS,
        *BROWSER_WHEELS,
        PYODIDE_HOOKS,
        PAGE,
    ],
}


def forget_broken_venv() -> None:
    """A venv whose Python has gone (an upgrade, a moved checkout) is made anew, with all that was in it."""
    works = (
        subprocess.run([VENV / "bin" / "pip", "--version"], capture_output=True, check=False).returncode == 0
    )
    if not works:
        shutil.rmtree(VENV)


def main() -> None:
    """Set up one goal."""
    goal = sys.argv[1]
    try:
        machine.provide(goal)
        if VENV.exists():
            forget_broken_venv()
        run_steps(GOALS[goal])
    except SetupError as error:
        fail(error)


if __name__ == "__main__":
    main()
