"""A bound on what a server is waited for, where no program has asked for one.

A router that drops packets leaves a connection that looks alive and never answers.  What the
program does not wait for by its own choice (logging in, the first question, a ping, the end of a
transaction) ends after a while: the connection is dropped, and the error says what was waited for.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, TimerHandle

from asyncpg import exceptions as driver_errors

from ... import driver
from ..turn import running_loop

LATE_SECONDS = 0.05
"""How late a timer is if the event loop has been held up."""
GRACE_SECONDS = 1.0
"""How long an answer is waited for after that, once."""


class Deadline:
    """Drops ``connection`` if the block takes longer than ``seconds``; 0 for no bound.

    Raises asyncpg's ConnectionDoesNotExistError then, in place of the block's error.  The block
    waits in the running event loop; outside of one there is no bound.
    """

    __slots__ = ("_connection", "_seconds", "_what", "_due", "_timer", "_was_late", "_has_passed")

    _due: float

    def __init__(self, connection: driver.Connection, seconds: float, what: str) -> None:
        self._connection = connection
        self._seconds = seconds
        self._what = what
        self._timer: TimerHandle | None = None
        self._was_late = self._has_passed = False

    def __enter__(self) -> None:
        loop = running_loop()
        if self._seconds and loop is not None:
            self._due = loop.time() + self._seconds
            self._timer = loop.call_later(self._seconds, self._pass, loop)

    def _pass(self, loop: AbstractEventLoop) -> None:
        if not self._was_late and loop.time() - self._due > LATE_SECONDS:
            # the loop stood still, not the server, whose answer may have come by now
            self._was_late = True
            self._timer = loop.call_later(min(self._seconds, GRACE_SECONDS), self._pass, loop)
            return
        self._has_passed = True
        driver.drop(self._connection)

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._has_passed and isinstance(error, Exception):
            raise driver_errors.ConnectionDoesNotExistError(
                f"the server has not answered {self._what} within {self._seconds:g} seconds, and"
                " the connection is closed"
            ) from error
