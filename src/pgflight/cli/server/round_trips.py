"""A proxy between a client and the server that counts round trips.

A round trip is bytes from the client, followed by bytes from the server. A burst counts once, no
matter how many packets it takes; a message that is never answered (Terminate) does not count.
`demo` runs the work once through the proxy, to count, and without it to measure time.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import NamedTuple

_CHUNK = 256 * 1024


class Upstream(NamedTuple):
    """Where the server listens: a Unix socket when `path` is set, else `host` and `port`."""

    host: str = ""
    port: int = 0
    path: str = ""


class RoundTripProxy:
    """Listens on loopback, forwards to `upstream`, counts in `trips`.

    `delay` (seconds) is how long the server's bytes are held back. Without a delay, the answer to
    something that the client does not wait for can arrive before the client's next statement, and
    would count; with a millisecond, as on a network, only waits count.
    """

    def __init__(self, upstream: Upstream, *, delay: float = 0.0) -> None:
        self.trips = 0
        self._upstream = upstream
        self._delay = delay
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> RoundTripProxy:
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0, limit=_CHUNK)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None, "entered before it is left"
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def port(self) -> int:
        """The TCP port on loopback; RuntimeError before the proxy is entered."""
        if self._server is None:
            raise RuntimeError("the proxy does not listen yet; enter it with `async with`")
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await self._connect()
        except OSError:
            writer.close()  # the client sees the same as without a proxy: no server
            return
        line = _Line(self, self._delay)
        try:
            pumps = (
                asyncio.ensure_future(line.requests(reader, server_writer)),
                asyncio.ensure_future(line.answers(server_reader, writer)),
            )
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        finally:
            writer.close()
            server_writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._upstream.path:
            return await asyncio.open_unix_connection(self._upstream.path, limit=_CHUNK)
        return await asyncio.open_connection(self._upstream.host, self._upstream.port, limit=_CHUNK)


class _Line:
    """One connection through the proxy, and which side sent last."""

    def __init__(self, proxy: RoundTripProxy, delay: float) -> None:
        self._proxy = proxy
        self._delay = delay
        self._asked = False

    async def requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            self._asked = True
            writer.write(data)
            await writer.drain()

    async def answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            if self._delay:
                await asyncio.sleep(self._delay)
            if self._asked:
                self._asked = False
                self._proxy.trips += 1
            writer.write(data)
            await writer.drain()
