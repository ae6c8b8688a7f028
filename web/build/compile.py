"""Runs inside Pyodide at build time: modules compiled by the Python that will run them.

What it makes is the same for the same input, byte for byte.
"""

import importlib.util
import io
import marshal
import zipfile

STDLIB = "/lib/python314.zip"
UNCHECKED = (1).to_bytes(4, "little")
"""Flags of a .pyc that carries a hash of its source, which nobody compares."""
DROPPED = (
    "_pyrepl/",
    "antigravity.py",
    "cProfile.py",
    "concurrent/interpreters/",
    "ctypes/",
    "curses/",
    "dbm/",
    "distutils/",
    "doctest.py",
    "ensurepip/",
    "ftplib.py",
    "idlelib/",
    "imaplib.py",
    "lib2to3/",
    "mailbox.py",
    "multiprocessing/",
    "pdb.py",
    "poplib.py",
    "profile.py",
    "pstats.py",
    "pydoc.py",
    "pydoc_data/",
    "smtplib.py",
    "sqlite3/",
    "test/",
    "this.py",
    "tkinter/",
    "turtle.py",
    "turtledemo/",
    "unittest/",
    "venv/",
    "webbrowser.py",
    "wsgiref/",
    "xml/",
    "xmlrpc/",
)
"""Parts of the standard library that the client has no use for in a browser."""


def compiled(source: bytes, name: str) -> bytes:
    """A .pyc that is used without a look at its source (PEP 552, unchecked hash); `assert` is left out."""
    code = compile(source, name, "exec", optimize=1, dont_inherit=True)
    return importlib.util.MAGIC_NUMBER + UNCHECKED + bytes(8) + marshal.dumps(code)


def stdlib() -> bytes:
    """Pyodide's standard library, trimmed and compiled, in a zip that is stored: transport compresses it."""
    out = io.BytesIO()
    with zipfile.ZipFile(STDLIB) as source, zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as target:
        for name in sorted(source.namelist()):
            if name.endswith("/") or name.startswith(DROPPED):
                continue
            data = source.read(name)
            if name.endswith(".py"):
                name, data = f"{name}c", compiled(data, name)
            target.writestr(zipfile.ZipInfo(name), data)
    return out.getvalue()


def wheel(data: bytes) -> dict[str, bytes]:
    """The modules of a wheel, compiled: no sources, stubs, typing marks or metadata."""
    files = {}
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        for name in sorted(source.namelist()):
            if name.endswith((".pyi", "/py.typed", "/")) or ".dist-info/" in name:
                continue
            content = source.read(name)
            if name.endswith(".py"):
                name, content = f"{name}c", compiled(content, name)
            files[name] = content
    return files
