"""Runs inside Pyodide at build time, before its heap is written down: imports all that is pure.

Nothing compiled may be inside: its state, a seeded generator among it, would be the same for everybody who restores
the snapshot. `cbor2` is compiled, so modules that import it get one that loads itself when it is first used.
"""

import importlib
import importlib.util
import sys
from typing import Any

LAZY = ("cbor2",)
PURE = ("coterie.client", "hashlib", "hmac", "traceback", "urllib.parse", "pyodide.http")


def make_lazy(name: str) -> None:
    """Put `name` into sys.modules unexecuted: the first use of something that it lacks executes it, in its place.

    Not `importlib.util.LazyLoader`: that executes a module when anybody looks at its `__spec__`, as `import` does.
    """
    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = importlib.util.module_from_spec(spec)
    loader = spec.loader

    def load(attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        del vars(module)["__getattr__"]
        loader.exec_module(module)
        return getattr(module, attribute)

    vars(module)["__getattr__"] = load
    sys.modules[name] = module


def compiled_modules() -> list[str]:
    """Modules that came from a shared object; there must be none."""
    specs = {
        name: getattr(module, "__spec__", None)
        for name, module in list(sys.modules.items())
        if name not in LAZY
    }
    return [name for name, spec in specs.items() if spec and str(spec.origin).endswith(".so")]


def prepare() -> list[str]:
    """Import everything; what is compiled among it."""
    for name in LAZY:
        make_lazy(name)
    for name in PURE:
        importlib.import_module(name)
    loaded = [name for name in LAZY if any(other.startswith(f"{name}.") for other in sys.modules)]
    return compiled_modules() + loaded
