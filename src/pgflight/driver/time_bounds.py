"""A bound on the time that a program gives one statement, in place of the connection's own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import asyncpg

from .capability import OWNERS, can_bound
from .contracts import Connection

MOST_SECONDS = 10 * 365 * 86_400.0
"""What infinity stands for; event loops do not take it."""

_Config: Any = OWNERS["ConnectionConfig"]


class TimeBound:
    """At most ``seconds`` for what is sent on ``connection`` between :meth:`set` and :meth:`lift`.

    As after ``command_timeout``, asyncpg asks the server to cancel then, and raises TimeoutError.
    The time runs from the first :meth:`set` on, however many messages it takes.
    """

    __slots__ = ("seconds", "_connection", "_before", "_bounded")

    def __init__(self, connection: Connection, seconds: float) -> None:
        self.seconds = seconds
        self._connection = connection
        self._before: Any = None
        self._bounded: Any = None

    def _is_told(self) -> bool:
        """Tell whether asyncpg looks for the bound where it can be put."""
        # by class, not isinstance(): a proxy would take the attribute and asyncpg not see it
        return can_bound() and issubclass(type(self._connection), asyncpg.Connection)

    def set(self) -> None:
        """Have asyncpg keep the bound; call it with the turn on the connection."""
        if not self._is_told():
            return
        self._before = self._connection._config
        if self._bounded is None:
            self._bounded = _Remaining(*self._before)
            self._bounded.end_after(min(self.seconds, MOST_SECONDS))
        self._connection._config = self._bounded

    def lift(self) -> None:
        """Have asyncpg keep the connection's own bound again."""
        if self._before is not None:
            self._connection._config, self._before = self._before, None

    async def kept_by(self, operation: Awaitable[Any]) -> Any:
        """Await an operation that sets the bound, and keep it here where asyncpg cannot."""
        if self._is_told():
            return await operation
        return await asyncio.wait_for(operation, min(self.seconds, MOST_SECONDS))


if can_bound():

    class _Remaining(_Config):  # type: ignore[misc]
        """A connection's configuration with a bound that gets shorter as the time passes."""

        def end_after(self, seconds: float) -> None:
            """Begin to count, for what the running task sends."""
            self._loop = asyncio.get_running_loop()
            self._due = self._loop.time() + seconds
            self._task = asyncio.current_task()

        @property
        def command_timeout(self) -> float | None:
            """Seconds that are left; asyncpg raises TimeoutError for 0 and less.

            asyncpg's own task, which asks the server to cancel, has the connection's own bound.
            """
            if asyncio.current_task() is not self._task:
                own: float | None = super().command_timeout
                return own
            return self._due - self._loop.time()
