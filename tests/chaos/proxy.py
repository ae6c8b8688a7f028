"""A TCP proxy whose connections can be cut: what a train's tunnel does to a phone."""

import asyncio
import contextlib
import random

_Pair = tuple[asyncio.StreamWriter, asyncio.StreamWriter]


class Proxy:
    """Between clients and the service. Its port stays while the service goes and comes."""

    def __init__(self, port: int) -> None:
        """`port` is the service's."""
        self._port = port
        self._pairs: set[_Pair] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return f"http://localhost:{self._server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self._abort(self._pairs)
        await asyncio.gather(*self._serving, return_exceptions=True)

    def cut(self, share: float, dice: random.Random) -> int:
        """Reset that share of the open connections; how many."""
        chosen = {pair for pair in self._pairs if dice.random() < share}
        self._abort(chosen)
        return len(chosen)

    @staticmethod
    def _abort(pairs: set[_Pair]) -> None:
        for pair in pairs:
            for writer in pair:
                writer.transport.abort()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            writer.transport.abort()
            return
        pair = (writer, to_writer)
        self._pairs.add(pair)
        try:
            await asyncio.gather(_copy(reader, to_writer), _copy(to_reader, writer))
        finally:
            self._pairs.discard(pair)
            self._abort({pair})


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until one side ends; that ends the other direction too."""
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
