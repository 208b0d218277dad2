"""Messages that leave in front of asyncpg's next ones, in the same flight."""

from __future__ import annotations

from typing import Any

from .capability import is_private

_GLUED_UP_TO = 65536
"""Bytes up to which a message is copied behind the preamble, for one write instead of two."""


class Preamble:
    """What one connection sends in front of the next message that asyncpg writes.

    The messages may be such only as make the server answer nothing before the Sync or Flush of what
    follows, and whose answers asyncpg passes over: Close, and Parse, Bind and Execute of BEGIN.  An
    operation that is refused before it writes leaves them unsent: :meth:`disarm` drops them.
    Transports that take no attributes, as uvloop's, get them at once, in a write of their own.
    """

    __slots__ = ("can_wait", "_transport", "_messages", "_write")

    def __init__(self, transport: Any) -> None:
        self.can_wait = hasattr(transport, "__dict__")
        """Whether messages wait for the next write, rather than leave at once."""
        self._transport = transport
        self._messages = b""
        self._write = transport.write

    @property
    def armed(self) -> bool:
        """Whether messages are waiting to be sent."""
        return bool(self._messages)

    def put(self, messages: bytes, *, many: bool = False) -> None:
        """Send ``messages`` with the next write; ``many`` when that may be one of many buffers."""
        if not self.can_wait:
            self._write(messages)
            return
        self._messages += messages
        self._transport.write = self._in_front
        if many:
            self._transport.writelines = self._in_front_of_many

    def disarm(self) -> bool:
        """Drop what has not been sent; tell whether there was anything."""
        return bool(self.take())

    def take(self) -> bytes:
        """Drop what has not been sent, and return it."""
        messages, self._messages = self._messages, b""
        if messages:
            hooked = self._transport.__dict__
            del hooked["write"]
            hooked.pop("writelines", None)
        return messages

    def _in_front(self, data: Any) -> None:
        messages = self.take()
        if len(data) > _GLUED_UP_TO:
            self._write(messages)
            self._write(data)
        else:
            self._write(b"".join((messages, data)))

    def _in_front_of_many(self, buffers: list[Any]) -> None:
        self._transport.writelines([self.take(), *buffers])


def open_preamble(connection: Any) -> Preamble | None:
    """Return a new preamble of asyncpg's connection, None at level ``public``."""
    transport = getattr(connection, "_transport", None) if is_private() else None
    return None if transport is None else Preamble(transport)


def begin_text(isolation: str | None, readonly: bool, deferrable: bool) -> str:
    """Return the BEGIN that asyncpg's ``Transaction`` would send."""
    level = f" ISOLATION LEVEL {isolation.upper().replace('_', ' ')}" if isolation else ""
    return f"BEGIN{level}{' READ ONLY' if readonly else ''}{' DEFERRABLE' if deferrable else ''};"


def statement_messages(text: str) -> bytes:
    """Return Parse, Bind and Execute of a statement without parameters, all of them unnamed.

    Layout: the documentation of PostgreSQL, "Message Formats".
    """
    return (
        _message(b"P", b"\0" + text.encode() + b"\0\0\0")
        + _message(b"B", bytes(8))
        + _message(b"E", bytes(5))
    )


def close_message(name: str) -> bytes:
    """Return Close of the prepared statement ``name``."""
    return _message(b"C", b"S" + name.encode() + b"\0")


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + (len(body) + 4).to_bytes(4, "big") + body
