"""The receiver: reads what the server sends before asyncpg's protocol does.

pgflight.driver puts one in front of the protocol of each connection, through pgflight._impl, for
three purposes.

It pauses the garbage collector. Each row makes containers that the collector tracks, and a result
of 100,000 rows makes it scan all of a program's objects again and again: more than half of the time
that such a result takes. One call decodes one read from the socket (256 KB at most); within it
nothing can become garbage that is worth looking for.

It gives the protocol an answer that nobody waits for beforehand, and drops the server's when it
comes. And it lets a listener see all bytes, and a screen keep some of them from the protocol. The
compiled form is receiving_c.pyx.
"""

from __future__ import annotations

import gc
from collections import deque
from typing import Any

WORTH_HOLDING = 16384
"""Number of bytes from which the collector is paused while they are decoded."""

_READY = b"Z\0\0\0\x05"
_ASYNCHRONOUS = b"NSA"  # NoticeResponse, ParameterStatus, NotificationResponse
_FATAL = (b"VFATAL\0", b"VPANIC\0")
_SMALL = 4096
"""Fewer bytes than this are not part of a large result."""


def _is_fatal(error: bytes) -> bool:
    """Tell whether an ErrorResponse is the last message of its connection."""
    return any(mark in error for mark in _FATAL)


def _ends_whole(data: bytes) -> bool:
    """Tell whether `data`, which begins with a message, ends with a whole one."""
    at, size = 0, len(data)
    while at < size:
        length = int.from_bytes(data[at + 1 : at + 5], "big")
        if size - at < 5 or length < 4:
            return False
        at += 1 + length
    return at == size


class Receiver:
    """Passes everything on to a protocol; pauses the garbage collector while rows are decoded."""

    __slots__ = (
        "protocol",
        "status",
        "farewell",
        "whole",
        "overhear",
        "screen",
        "when_collected",
        "when_refused",
        "_data_received",
        "_owed",
        "_part",
        "_refused",
    )

    def __init__(self, protocol: Any) -> None:
        """Receive in front of `protocol`, an asyncio.Protocol."""
        self.protocol = protocol
        self.status = 0
        """The transaction status that what came last ends with, as a byte; 0 where it does not.

        That of the last ReadyForQuery while nothing else has come since: b"I", b"T" or b"E".
        """
        self.farewell = False
        """Whether the server has said that it ends the connection, even if it has not yet."""
        self.whole = True
        """Whether what has come so far is known to end with a whole message.

        Where `status` is 0 it is not known of large results, nor behind a message that came in two.
        """
        self.overhear: Any = None
        """Called with all bytes that go to the protocol, before they do."""
        self.screen: Any = None
        """Called with all bytes that have come; the protocol gets those that it returns."""
        self.when_collected: Any = None
        """Called without arguments when no foretold answer is owed any more."""
        self.when_refused: Any = None
        """Called without arguments when the server gave an error for a foretold answer."""
        self._data_received = protocol.data_received
        self._owed: deque[bytes] = deque()
        self._part = b""
        self._refused = False

    @property
    def owed(self) -> int:
        """The number of foretold answers that the server has not given yet."""
        return len(self._owed)

    def foretell(self, answer: bytes) -> None:
        """Give the protocol `answer` now, and nothing when the server gives the same one.

        `answer` is a CommandComplete and a ReadyForQuery. If the server gives an error and a
        ReadyForQuery, the protocol gets neither, and `when_refused` is called; without that, and
        for any other answer, the protocol is aborted. What has come so far must end with a whole
        message.
        """
        self._owed.append(answer)
        self.status = answer[-1]
        self.whole = True
        self._data_received(answer)

    def owe(self, answer: bytes) -> None:
        """Keep `answer` from the protocol, which needs no telling, when the server gives it."""
        self._owed.append(answer)

    def data_received(self, data: bytes) -> None:
        """Pass on bytes, without a collection in between where they are many."""
        if self._owed:
            data = self._collect(data)
            if not data:
                return
        if self.screen is not None:
            data = self.screen(bytes(data))
            if not data:
                self.status = 0
                return
        self.status = data[-1] if data[-6:-1] == _READY else 0
        self.whole = bool(self.status) or (self.whole and len(data) < _SMALL and _ends_whole(data))
        if self.overhear is not None:
            self.overhear(data)
        if data[:1] == b"E" and _is_fatal(data):
            self.farewell = True
        if len(data) < WORTH_HOLDING or not gc.isenabled():
            self._data_received(data)
            return
        gc.disable()
        try:
            self._data_received(data)
        finally:
            gc.enable()

    def _collect(self, data: bytes) -> bytes:
        """Take what was foretold off the front of `data`; return what is left to pass on."""
        owed = self._owed
        data = self._part + data
        self._part = b""
        while owed:
            answer = owed[0]
            if not self._refused and data.startswith(answer):
                data = data[len(answer) :]
                owed.popleft()
                continue
            length = 1 + int.from_bytes(data[1:5], "big") if len(data) >= 5 else 0
            if not length or len(data) < length:
                self._part = data
                return b""
            message = data[:length]
            kind = message[:1]
            if kind in _ASYNCHRONOUS:
                self._data_received(message)
            elif self._refused:
                if kind == b"Z":
                    self._refused = False
                    owed.popleft()
                    self.when_refused()
            elif answer.startswith(message):
                owed[0] = answer[length:]
            elif kind == b"E" and _is_fatal(message):
                break  # the end of the connection: what waits is told why
            elif kind == b"E" and self.when_refused is not None:
                self._refused = True
            else:
                self._settle()
                self.protocol.abort()
                return b""
            data = data[length:]
        self._settle()
        return data

    def _settle(self) -> None:
        self._owed.clear()
        self._part = b""
        self._refused = False
        if self.when_collected is not None:
            self.when_collected()

    def connection_lost(self, error: Exception | None) -> None:
        """Pass the end on; nothing is owed any more."""
        self.protocol.connection_lost(error)
        self._settle()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.protocol, name)
