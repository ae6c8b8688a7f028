"""The test build of the crate (cargo feature `kat-hooks`), beside the release that is installed.

It is the same code with ways to lie; it lies in `dist/test/` and is built anew when the sources are newer.
Its compiled module is loaded under a name of its own, and raises the same classes as the release.
"""

import functools
import importlib.util
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
WHEELS = "coterie_mls-*linux*.whl" if sys.platform == "linux" else "coterie_mls-*macosx*.whl"


def wheel() -> Path:
    """The hooks wheel for this machine."""
    sources = [*ROOT.glob("wasm/src/*.rs"), ROOT / "wasm/Cargo.toml", ROOT / "wasm/Cargo.lock"]
    newest = max(path.stat().st_mtime for path in sources)
    found = [path for path in (ROOT / "dist/test").glob(WHEELS) if path.stat().st_mtime >= newest]
    if not found:
        subprocess.run([ROOT / "wasm/build/native.sh", "hooks"], check=True)
        found = list((ROOT / "dist/test").glob(WHEELS))
    return found[0]


@functools.cache
def load() -> ModuleType:
    """Its compiled module: `Backend` and all the rest, and the `kat_…` functions."""
    folder = Path(tempfile.mkdtemp(prefix="coterie-hooks-"))
    with zipfile.ZipFile(wheel()) as archive:
        name = next(name for name in archive.namelist() if name.startswith("coterie_mls/_native."))
        if name.endswith(".pyi"):
            name = next(
                n for n in archive.namelist() if n.startswith("coterie_mls/_native.") and n.endswith(".so")
            )
        path = Path(archive.extract(name, folder))
    spec = importlib.util.spec_from_file_location("coterie_mls_hooks._native", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
