"""Closing statements on the server without a round trip of their own."""

from __future__ import annotations

from typing import Any

from .capability import is_private
from .sender import Preamble, close_message


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

    __slots__ = ("_connection", "_preamble", "_states", "_waiting", "_alone")

    def __init__(self, connection: Any, preamble: Preamble, states: set[Any]) -> None:
        self._connection = connection
        self._preamble = preamble
        self._states = states
        self._waiting = self._alone = False

    def __enter__(self) -> None:
        connection, preamble, states = self._connection, self._preamble, self._states
        transport, protocol = connection._transport, connection._protocol
        if transport is None or transport.is_closing() or protocol._is_cancelling():
            return
        if preamble.can_wait:
            self._waiting, self._alone = True, not preamble.armed
        elif not is_idle(protocol, next(iter(states))):
            return
        preamble.put(b"".join(close_message(state.name) for state in states))
        if not self._waiting:
            states.clear()

    def __exit__(self, *exc_info: object) -> None:
        if not self._waiting:
            return
        if not self._preamble.armed:
            self._states.clear()
        elif self._alone:
            self._preamble.disarm()
        # else a BEGIN has not been sent, either, and whoever put it there drops them together


class _Arguments:
    """Arguments that cannot be counted: whoever counts them has found the connection idle."""

    class Counted(Exception):
        pass

    def __len__(self) -> int:
        raise self.Counted

    def __getitem__(self, index: int) -> Any:
        raise self.Counted


def is_idle(protocol: Any, state: Any) -> bool:
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
