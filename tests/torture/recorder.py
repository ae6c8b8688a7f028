"""The service with a witness at its door: each ciphertext that reaches it is written down, whatever comes of it.

`python -m tests.torture.recorder FILE` is `python -m edge_functions serve` with that.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge_functions import app, log
from edge_functions.serving import serve
from edge_functions.settings import Settings

CIPHERTEXT = {"send_message": "mls_bytes", "send_commit": "commit", "invite_complete": "commit"}
"""The functions that take one, and its field."""


class Recorder:
    """A function whose requests' ciphertexts are appended to a file before it sees them."""

    def __init__(self, inner: ASGIApp, file: int, field: str) -> None:
        self._inner = inner
        self._file = file
        self._field = field

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""

        async def listening() -> Message:
            nonlocal body
            message = await receive()
            if message["type"] == "http.request":
                body += message.get("body", b"")
                if not message.get("more_body") and body:
                    self._keep(body)
            return message

        await self._inner(scope, listening, send)

    def _keep(self, body: bytes) -> None:
        said: dict[str, Any] = json.loads(body)
        kept = {name: said[name] for name in ("group_id", "epoch", "counter")}
        os.write(self._file, json.dumps(kept | {"mls": said[self._field]}).encode() + b"\n")


async def trapdoor(scope: Scope, receive: Receive, send: Send) -> None:
    """What the page that is watched asks for: where its life ends (`trap`), and, there, to be killed (`die`).

    Its browser's user agent names a file that knows.
    """
    request = Request(scope, receive)
    told = _told(request.headers["user-agent"])
    if await request.body() == b"die":
        os.killpg(told["group"], signal.SIGKILL)
    await JSONResponse(told["trap"])(scope, receive, send)


def _told(file: str) -> Any:
    return json.loads(Path(file).read_text())


def main() -> int:
    """Serve, recording."""
    file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    functions: dict[str, Any] = app.FUNCTIONS
    for name, field in CIPHERTEXT.items():
        functions[name] = Recorder(functions[name], file, field)
    functions["torture"] = trapdoor
    settings = Settings.from_environment()
    log.configure(settings.log, settings.log_level)
    return serve(settings)


if __name__ == "__main__":
    sys.exit(main())
