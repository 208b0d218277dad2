"""Writing messages of ours to a connection's transport, besides asyncpg's own.

The counterpart of :class:`pgflight._speedups.receiving.Receiver`, and the only place that writes to
a transport or replaces one of its methods.  Made by the session through :func:`open_sender`; the
pipeline, :class:`Closing` and COPY use the same one.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from .capability import is_private
from .contracts import Connection, StatementState, Transport
from .sockets import is_idle
from .watching import CALLS, Watch

_GLUED_UP_TO = 65536
"""Size up to which a message is joined with ours, for one write instead of two, in bytes."""

# not an attribute of the transport: that would be a reference cycle, and uvloop's takes none
_senders: weakref.WeakKeyDictionary[Connection, Sender] = weakref.WeakKeyDictionary()


class Sender:
    """Sends messages of ours in front of the next one that asyncpg writes, in the same flight.

    Only messages which the server does not answer before the next Sync or Flush, and whose answers
    asyncpg ignores, are allowed: Close, and Parse, Bind and Execute of BEGIN.  If an operation is
    refused before it writes, they stay unsent: :meth:`drop_unsent` drops them.  Transports that
    take no attributes, such as uvloop's, get them at once, in a separate write; what asyncpg writes
    to these can be neither watched nor held back.
    """

    __slots__ = (
        "can_hold_back",
        "_transport",
        "_hooks",
        "unsent",
        "_write",
        "_write_now",
        "_kept",
        "_watcher",
    )

    def __init__(self, transport: Transport) -> None:
        self.can_hold_back = hasattr(transport, "__dict__")
        """Whether messages wait for the next write rather than being sent at once."""
        self._transport = transport
        self._hooks: dict[str, Any] = getattr(transport, "__dict__", {})
        self.unsent = b""
        """Messages that are waiting to be sent."""
        self._write = self._write_now = transport.write
        self._kept: list[bytes] | None = None
        self._watcher: Callable[[int], None] | None = None

    @property
    def has_unsent(self) -> bool:
        """Whether messages are waiting to be sent."""
        return bool(self.unsent)

    def put(self, messages: bytes, *, before_buffers: bool = False) -> None:
        """Send ``messages`` with the next write.

        ``before_buffers``: that may be a ``writelines()``, as in ``executemany()``.
        """
        if not self.can_hold_back:
            self._write(messages)
            return
        self.unsent += messages
        self._hooks["write"] = self._write_in_front
        if before_buffers:
            self._hooks["writelines"] = self._write_in_front_of_buffers

    def send(self, messages: bytes) -> None:
        """Send ``messages`` now, by themselves, before any that wait."""
        self._write_now(messages)

    def keep(self) -> None:
        """Keep whatever is written from now on, by whomever, until :meth:`release`.

        Only if :attr:`can_hold_back`, and there is no watcher.
        """
        if self._kept is None:
            self._kept = []
        self._write = self._keep
        self._keep_hooked()

    def release(self) -> None:
        """Send what was kept."""
        kept, self._kept = self._kept, None
        if kept is None:
            return
        self._write = self._write_now
        hooks = self._hooks
        for name, hook in (("write", self._keep), ("writelines", self._keep_buffers)):
            if hooks.get(name) == hook:
                del hooks[name]
        if kept and not self._transport.is_closing():
            self._write_now(b"".join(kept))

    def drop_unsent(self) -> bool:
        """Drop unsent messages; tell whether there were any."""
        return bool(self.take_unsent())

    def take_unsent(self) -> bytes:
        """Return unsent messages, and drop them."""
        messages, self.unsent = self.unsent, b""
        if messages:
            hooks = self._hooks
            hooks.pop("writelines", None)
            if self._watcher is None:
                del hooks["write"]
            else:
                hooks["write"] = self._write_watched
            if self._kept is not None:
                self._keep_hooked()
        return messages

    def swallow(self) -> None:
        """Discard whatever asyncpg writes, until :meth:`swallow_no_more`.

        Only if :attr:`can_hold_back`, while there are no unsent messages and no watcher, and in a
        block that awaits nothing.
        """
        self._hooks["write"] = _swallow

    def swallow_no_more(self) -> None:
        """Send again whatever asyncpg writes."""
        del self._hooks["write"]
        if self._kept is not None:
            self._keep_hooked()

    def watch(self, watcher: Callable[[int], None]) -> bool:
        """Call ``watcher`` with the number of bytes before each write; tell whether that works."""
        if not self.can_hold_back:
            return False
        self._watcher = watcher
        if not self.unsent:
            self._hooks["write"] = self._write_watched
        return True

    def unwatch(self) -> None:
        """Stop calling the watcher."""
        if self._watcher is not None:
            self._watcher = None
            if not self.unsent:
                del self._hooks["write"]

    def _keep_hooked(self) -> None:
        if not self.unsent:
            self._hooks["write"] = self._keep
            self._hooks["writelines"] = self._keep_buffers

    def _keep(self, data: Any) -> None:
        if self._kept is not None:
            self._kept.append(bytes(data))  # asyncpg may use the buffer again

    def _keep_buffers(self, buffers: list[Any]) -> None:
        self._keep(b"".join(buffers))

    def _write_in_front(self, data: Any) -> None:
        messages = self.take_unsent()
        if self._watcher is not None:
            self._watcher(len(messages) + len(data))
        if len(data) > _GLUED_UP_TO:
            self._write(messages)
            self._write(data)
        else:
            self._write(b"".join((messages, data)))

    def _write_in_front_of_buffers(self, buffers: list[Any]) -> None:
        messages = self.take_unsent()
        self._transport.writelines([messages, *buffers])

    def _write_watched(self, data: Any) -> None:
        if self._watcher is not None:
            self._watcher(len(data))
        self._write(data)


def _swallow(_data: object) -> None:
    pass


def open_sender(connection: Connection) -> Sender | None:
    """Return the one sender of asyncpg's connection, None at level ``public``."""
    transport = getattr(connection, "_transport", None) if is_private() else None
    if transport is None:
        return None
    try:
        sender = _senders.get(connection)
    except TypeError:  # a proxy of asyncpg's own pools cannot be referred to weakly
        return Sender(transport)
    if sender is None:
        sender = _senders[connection] = Sender(transport)
    return sender


def close_message(name: str) -> bytes:
    """Return Close of the prepared statement ``name``."""
    return message(b"C", b"S" + name.encode() + b"\0")


def message(kind: bytes, body: bytes) -> bytes:
    """Return a protocol message with its length."""
    return kind + (len(body) + 4).to_bytes(4, "big") + body


def take_dropped(
    connection: Connection, into: set[StatementState], watch: Watch | None = None
) -> None:
    """Move the statements that asyncpg would close, one round trip each, to ``into``.

    asyncpg marks a statement for closing once nothing refers to it any more, including cursors.
    Level ``public`` leaves them to asyncpg, and so it is done if its calls are watched.
    """
    waiting = connection._stmts_to_close if is_private() else None
    if waiting and (watch is None or watch.by(CALLS) is None):
        while waiting:  # a garbage collection may add to it at any moment
            into.add(waiting.pop())


class Closing:
    """Close dropped statements in the flight of what asyncpg sends within the block.

    ``states`` is the set that :func:`take_dropped` filled; it is emptied when the Close messages
    have been sent.  They travel in front of the block's first message, never by themselves: unlike
    Sync or Flush they get no answer at once, and asyncpg, which by then waits for the answer to its
    own message, ignores CloseComplete in every state.  Close cannot fail, and works in an aborted
    transaction, too.  The block must begin with an asyncpg operation that sends at once or not at
    all.
    """

    __slots__ = ("_connection", "_sender", "_states", "_waiting", "_alone")

    def __init__(self, connection: Connection, sender: Sender, states: set[StatementState]) -> None:
        self._connection = connection
        self._sender = sender
        self._states = states
        self._waiting = self._alone = False

    def __enter__(self) -> None:
        connection, sender, states = self._connection, self._sender, self._states
        transport, protocol = connection._transport, connection._protocol
        if transport is None or transport.is_closing() or protocol._is_cancelling():
            return
        if sender.can_hold_back:
            self._waiting, self._alone = True, not sender.has_unsent
        elif not is_idle(protocol, next(iter(states))):
            return
        sender.put(b"".join(close_message(state.name) for state in states))
        if not self._waiting:
            states.clear()

    def __exit__(self, *exc_info: object) -> None:
        if not self._waiting:
            return
        if not self._sender.has_unsent:
            self._states.clear()
        elif self._alone:
            self._sender.drop_unsent()
        # else a BEGIN has not been sent, either; the session drops both together
