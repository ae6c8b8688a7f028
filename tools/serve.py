"""Start the service, say how far its link reaches, and open it where there is a desktop browser."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys

from steps import ROOT

READY = re.compile(r"\bopen (https?://\S+)")
LOCAL = """
This link works on this computer only; open it in two browsers (or a private window) to talk.
To let others in, set PUBLIC_URL to an https address that leads here: outside localhost, browsers
give no page the cryptography that this one needs without https.
Ctrl-C stops the service; its data stay.
"""


def main() -> int:
    """Run the service until it ends; its exit status."""
    words = (sys.executable, "-m", "edge_functions", "serve")
    service = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    # Ctrl-C reaches the service by itself; the rest is handed on, and its last words are waited for.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: service.terminate())
    assert service.stdout is not None  # noqa: S101  a pipe was asked for
    for line in service.stdout:
        print(line, end="", flush=True)
        if ready := READY.search(line):
            show(ready[1])
    return service.wait()


def show(link: str) -> None:
    """Say what the link can do; open it in a desktop browser."""
    if re.match(r"https?://(localhost|127\.)", link):
        print(LOCAL, flush=True)
    opener = "open" if sys.platform == "darwin" else "xdg-open"
    desktop = sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if desktop and shutil.which(opener) and "CI" not in os.environ:
        subprocess.Popen(
            (opener, link), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )


if __name__ == "__main__":
    sys.exit(main())
