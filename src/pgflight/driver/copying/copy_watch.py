"""Watching a connection while a COPY sends its rows."""

from __future__ import annotations

import asyncio

from ..capability import is_private
from ..contracts import Connection
from ..execution import receiver_of
from ..sender import open_sender
from .copying import copies_privately

_FAILED = ord("E")


class CopyWatch:
    """Watches a connection while a COPY sends: bytes that are sent, errors that arrive."""

    __slots__ = ("sent", "_connection", "_transport", "_sender", "_receiver", "_holding")

    def __init__(self, connection: Connection) -> None:
        self.sent: int | None = None
        """Bytes sent so far; None if they cannot be counted."""
        self._holding = False
        self._connection = connection
        self._transport = getattr(connection, "_transport", None) if is_private() else None
        self._sender = open_sender(connection)
        self._receiver = receiver_of(connection)

    def __enter__(self) -> CopyWatch:
        if self._sender is not None and self._sender.watch(self._count):
            self.sent = 0
        # asyncpg may wait for resume_writing(), which a lost connection never calls
        self._connection.add_termination_listener(self._lost)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._connection.remove_termination_listener(self._lost)
        if self._sender is not None:
            self._sender.unwatch()

    def _lost(self, _connection: object) -> None:
        self._resume()

    def _resume(self) -> None:
        if copies_privately(self._connection):  # unless it was dropped meanwhile
            self._connection._protocol.resume_writing()

    @property
    def can_breathe(self) -> bool:
        """Whether :meth:`breathe` does anything."""
        return copies_privately(self._connection) and hasattr(
            self._transport, "get_write_buffer_limits"
        )

    def breathe(self) -> None:
        """Pause asyncpg for one iteration of the event loop before it sends its next buffer.

        Uses the call by which a transport reports that its own buffer is full.
        """
        if not self._holding:
            self._holding = True
            self._connection._protocol.pause_writing()
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        self._holding = False
        transport = self._transport
        if (
            transport is None
            or transport.is_closing()
            or transport.get_write_buffer_size() <= transport.get_write_buffer_limits()[1]
        ):
            self._resume()
        # else the transport's buffer really is full, and it will resume by itself

    def _count(self, number: int) -> None:
        self.sent = (self.sent or 0) + number

    def refused(self) -> bool:
        """Tell whether the server is known to have ended the COPY, or the connection."""
        failed = self._receiver is not None and self._receiver.status == _FAILED
        return failed or bool(self._connection.is_closed())
