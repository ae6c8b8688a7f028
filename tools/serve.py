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
    """Run the service until it ends or is stopped; 0 when it was stopped."""
    words = (sys.executable, "-m", "edge_functions", "serve")
    service = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    stopped: list[int] = []

    def stop(number: int, _: object) -> None:
        stopped.append(number)
        if number == signal.SIGTERM:
            service.terminate()  # Ctrl-C reaches it by itself

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    assert service.stdout is not None  # noqa: S101  a pipe was asked for
    for line in service.stdout:
        print(line, end="", flush=True)
        if ready := READY.search(line):
            show(ready[1])
    status = service.wait()
    return 0 if stopped else status


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
