"""Closing statements on the server without a round trip of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .capability import is_private


def take_dropped(connection: Any, into: set[Any]) -> None:
    """Move the statements that asyncpg is going to close, one round trip each, to ``into``.

    asyncpg puts a statement there once nothing refers to it any more, no cursor either.  The
    public level leaves them where they are.
    """
    if is_private():
        waiting = connection._stmts_to_close
        while waiting:  # a collection of garbage may add to it at any moment
            into.add(waiting.pop())


class Closing:
    """Close dropped statements in the flight of what asyncpg sends within the block.

    ``states`` is what :func:`take_dropped` filled, and is emptied when their Close messages have
    left.  They travel in front of the block's first message, never by themselves: unlike Sync
    or Flush they make the server answer nothing at once, and asyncpg, which by then waits for the
    answer to its own message, passes over CloseComplete whatever it waits for.  Close cannot
    fail, and is served in an aborted transaction as well.  The block has to begin with an
    asyncpg operation that sends at once, or not at all.
    """

    __slots__ = ("_connection", "_states", "_transport")

    def __init__(self, connection: Any, states: set[Any]) -> None:
        self._connection = connection
        self._states = states
        self._transport: Any = None

    def __enter__(self) -> None:
        transport, protocol = self._connection._transport, self._connection._protocol
        if transport is None or transport.is_closing() or protocol._is_cancelling():
            return
        messages = b"".join(map(_close_message, self._states))
        try:
            transport.write = self._in_front(transport.write, messages)
        except AttributeError:  # a transport without a __dict__, as uvloop's
            if _is_idle(protocol, next(iter(self._states))):
                transport.write(messages)
                self._states.clear()
        else:
            self._transport = transport

    def _in_front(self, write: Callable[[Any], None], messages: bytes) -> Callable[[Any], None]:
        def write_both(data: Any) -> None:
            self._disarm()
            self._states.clear()
            write(messages + bytes(data))

        return write_both

    def _disarm(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            del transport.write

    def __exit__(self, *exc_info: object) -> None:
        self._disarm()


def _close_message(state: Any) -> bytes:
    name: str = state.name
    body = b"S" + name.encode() + b"\0"
    return b"C" + (len(body) + 4).to_bytes(4, "big") + body


class _Arguments:
    """Arguments that cannot be counted: whoever counts them has found the connection idle."""

    class Counted(Exception):
        pass

    def __len__(self) -> int:
        raise self.Counted

    def __getitem__(self, index: int) -> Any:
        raise self.Counted


def _is_idle(protocol: Any, state: Any) -> bool:
    """Tell whether the next operation would send at once: nothing runs, nothing is cancelled.

    The protocol keeps that to itself, so an operation is begun that cannot get as far as
    sending: the state is checked first, then the arguments are counted.
    """
    operation = protocol.bind_execute(state, _Arguments(), "", 0, True, None)
    try:
        operation.send(None)
    except _Arguments.Counted:
        return True
    except Exception:
        return False
    operation.close()  # it waits for a cancellation
    return False
