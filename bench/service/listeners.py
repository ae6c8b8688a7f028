"""Many open sockets in one process that does nothing else: `python bench/service/listeners.py PORT`.

Reads one token a line from standard input. Says `ready` when every socket has caught up; then, for each message, when
its last socket had it: `seq milliseconds`, from the server_time in the envelope (taken just before the commit).
Frames are counted, and only one of each message is parsed: about 10 µs a frame, so 1,000 sockets take 10 ms of it.
"""

from __future__ import annotations

import base64
import json
import os
import selectors
import socket
import sys
import time
from datetime import datetime

_CAUGHT_UP = b'"type":"caught_up"'
_ENVELOPE = b'"type":"envelope"'
_PING = 0x89


class Listener:
    """A socket after its hello. Frames from the service are unmasked and come in the order of seq."""

    def __init__(self, port: int, token: str) -> None:
        self.connection = socket.create_connection(("127.0.0.1", port))
        key = base64.b64encode(os.urandom(16)).decode()
        self.connection.sendall(
            f"GET /functions/v1/deliver HTTP/1.1\r\nHost: localhost:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self.connection.recv(4096)
        if not answer.startswith(b"HTTP/1.1 101"):
            raise RuntimeError(f"No WebSocket: {answer!r:.300}")
        self._data = answer.partition(b"\r\n\r\n")[2]
        self.seq = 0
        self._hello(token)
        self.connection.setblocking(False)  # noqa: FBT003

    def _hello(self, token: str) -> None:
        text = json.dumps({"v": 1, "type": "hello", "token": token, "cursors": {}}).encode()
        # a mask of zeros is a mask
        self.connection.sendall(b"\x81\xfe" + len(text).to_bytes(2, "big") + bytes(4) + text)

    def frames(self) -> list[bytes]:
        """What has come, frame by frame."""
        data = self.connection.recv(1 << 20)
        if not data:
            raise RuntimeError(f"The service closed a socket; the last it said: {self._data!r:.300}")
        self._data += data
        found = []
        while len(self._data) >= 2:
            size, start = self._data[1], 2
            if size >= 126:
                start = 4 if size == 126 else 10
                size = int.from_bytes(self._data[2:start], "big")
            if len(self._data) < start + size:
                break
            payload = self._data[start : start + size]
            if self._data[0] == _PING:
                self.connection.sendall(b"\x8a" + bytes([0x80 | size]) + bytes(4) + payload)
            else:
                found.append(payload)
            self._data = self._data[start + size :]
        return found


def main() -> None:
    port = int(sys.argv[1])
    selector = selectors.DefaultSelector()
    listeners = [Listener(port, line.strip()) for line in sys.stdin]
    for one in listeners:
        selector.register(one.connection, selectors.EVENT_READ, one)
    behind = len(listeners)
    sent: dict[int, float] = {}
    had: dict[int, int] = {}
    while True:
        for ready, _ in selector.select():
            listener: Listener = ready.data
            for frame in listener.frames():
                if _ENVELOPE in frame:
                    listener.seq += 1
                    _count(listener.seq, frame, sent, had, len(listeners))
                elif _CAUGHT_UP in frame:
                    behind -= 1
                    if behind == 0:
                        print("ready", flush=True)


def _count(seq: int, frame: bytes, sent: dict[int, float], had: dict[int, int], everybody: int) -> None:
    if seq not in sent:
        envelope = json.loads(frame)["envelope"]
        if envelope["seq"] != seq:
            raise RuntimeError(f"After {seq - 1} came {envelope['seq']}.")
        sent[seq] = datetime.fromisoformat(envelope["server_time"]).timestamp()
    had[seq] = had.get(seq, 0) + 1
    if had[seq] == everybody:
        print(seq, round((time.time() - sent.pop(seq)) * 1000, 2), flush=True)
        del had[seq]


if __name__ == "__main__":
    main()
