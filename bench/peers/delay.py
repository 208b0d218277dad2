"""A line that takes time, in a process of its own: `python -m bench.peers.delay`, driven by a pipe.

line.py starts it. Every chunk is forwarded a fixed time after it came, in both directions, and
bursts of the clients are counted. One loop around select(2): its timeout counts microseconds, where
asyncio and epoll count milliseconds, and nothing else runs here.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

_CHUNK = 1 << 18
_PIPE = 0


class _Way:
    """One direction of one connection: where bytes come from, and those that are on their way."""

    def __init__(self, source: socket.socket, target: socket.socket, *, client: bool) -> None:
        self.source = source
        self.target = target
        self.client = client
        self.travelling: deque[tuple[float, bytes]] = deque()
        self.spoke_last = False  # this side, not the other one
        self.asked = False  # the other side, and nothing has reached it since
        self.over = False

    @property
    def done(self) -> bool:
        """Whether the end has come, and arrived."""
        return self.over and not self.travelling


class Line:
    """Listens, and forwards what comes to one address: (host, port), or a Unix socket's path."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._bursts = self._answers = 0
        self._target: tuple[str, int] | str = ""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._links: list[tuple[_Way, _Way]] = []
        self._sources: dict[socket.socket, tuple[_Way, _Way]] = {}

    def hello(self) -> dict[str, str]:
        """Return nothing that a report would want to know."""
        return {}

    def connect(self, host: str, port: int) -> int:
        """Forward to this server from now on; return the port to connect to."""
        path = f"{host}/.s.PGSQL.{port}"
        self._target = path if host.startswith("/") else (host, port)
        own: int = self._listener.getsockname()[1]
        return own

    def delay(self, seconds: float) -> None:
        """Let every chunk that comes from now on take `seconds`, in either direction."""
        self._seconds = seconds

    def bursts(self) -> int:
        """Return how often a client has spoken after its server, or first, since the start."""
        return self._bursts

    def answers(self) -> int:
        """Return how many of the bursts have had an answer that has reached the client by now."""
        return self._answers

    def run(self) -> None:
        """Forward, and answer the pipe, until it is closed."""
        text = b""
        while True:
            now = time.perf_counter()
            timeout = self._deliver(now)
            watched: list[Any] = [_PIPE, self._listener, *self._sources]
            ready, _, _ = select.select(watched, [], [], timeout)
            now = time.perf_counter()
            for each in ready:
                if each is self._listener:
                    self._accept()
                elif each is not _PIPE:
                    self._receive(*self._sources[each], now)
            if _PIPE in ready:  # after the data, which was sent before the question
                data = os.read(_PIPE, _CHUNK)
                if not data:
                    return
                *lines, text = (text + data).split(b"\n")
                for line in lines:
                    self._answer(json.loads(line))

    def _answer(self, request: dict[str, Any]) -> None:
        action = getattr(self, request.pop("do"))
        sys.stdout.write(json.dumps({"value": action(**request)}) + "\n")
        sys.stdout.flush()

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        if isinstance(self._target, str):
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._target)
        else:
            server = socket.create_connection(self._target)
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        there = _Way(client, server, client=True)
        back = _Way(server, client, client=False)
        self._links.append((there, back))
        self._sources |= {client: (there, back), server: (back, there)}

    def _receive(self, way: _Way, other: _Way, now: float) -> None:
        try:
            data = way.source.recv(_CHUNK)
        except OSError:
            data = b""
        if not data:  # the end travels, too
            way.over = True
            del self._sources[way.source]
        elif not way.spoke_last:
            self._bursts += way.client
            way.spoke_last, other.spoke_last = True, False
            other.asked = True
        way.travelling.append((now + self._seconds, data))

    def _deliver(self, now: float) -> float | None:
        """Write what is due; return the seconds until the next chunk is, None without any."""
        earliest = None
        for link in list(self._links):
            for way in link:
                while way.travelling and way.travelling[0][0] <= now:
                    _write(way.target, way.travelling.popleft()[1])
                    self._answers += way.asked and not way.client
                    way.asked = False
                if way.travelling:
                    due = way.travelling[0][0]
                    earliest = due if earliest is None else min(earliest, due)
            if all(way.done for way in link):
                self._links.remove(link)
                for way in link:
                    way.source.close()
        return None if earliest is None else max(0.0, earliest - time.perf_counter())


def _write(target: socket.socket, data: bytes) -> None:
    try:
        if data:
            target.sendall(data)
        else:
            target.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # whoever reads from it is told by its own end


def main() -> None:
    """Serve the pipe; ask the kernel for timers that are not rounded."""
    try:
        Path("/proc/self/timerslack_ns").write_text("1000")
    except OSError:
        pass  # not Linux: its timers may be some 50 µs late
    Line().run()


if __name__ == "__main__":
    main()
