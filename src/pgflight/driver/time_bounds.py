"""A bound on the time that a program gives one statement, in place of the connection's own."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any, TypeVar

import asyncpg

from .capability import OWNERS, can_bound
from .contracts import Connection

T = TypeVar("T")
_timeout: Callable[[float | None], Any]
if sys.version_info >= (3, 11):
    _timeout = asyncio.timeout
else:
    _timeout = import_module("async_timeout").timeout  # which asyncpg needs there, too

MOST_SECONDS = 10 * 365 * 86_400.0
"""What infinity stands for; event loops do not take it."""

_Config: Any = OWNERS["ConnectionConfig"]


async def within(seconds: float | None, awaitable: Awaitable[T]) -> T:
    """Await something for at most that long, None for no bound; raise asyncio's TimeoutError.

    Before Python 3.12, ``asyncio.wait_for()`` loses a cancellation that comes together with the
    result: the program's task would go on, and commit.
    """
    async with _timeout(seconds):
        return await awaitable


class TimeBound:
    """At most ``seconds`` for what is sent on ``connection`` between :meth:`set` and :meth:`lift`.

    As after ``command_timeout``, asyncpg asks the server to cancel then, and raises TimeoutError.
    The time runs from the first :meth:`set` on, however many messages it takes.
    """

    __slots__ = ("seconds", "_connection", "_due")

    def __init__(self, connection: Connection, seconds: float) -> None:
        self.seconds = min(seconds, MOST_SECONDS)
        self._connection = connection
        self._due: float | None = None

    def _is_told(self) -> bool:
        """Tell whether asyncpg looks for the bound where it can be put."""
        # by class, not isinstance(): a proxy would take the attribute and asyncpg not see it
        return can_bound() and issubclass(type(self._connection), asyncpg.Connection)

    def set(self) -> None:
        """Have asyncpg keep the bound; call it with the turn on the connection."""
        if not self._is_told():
            return
        if self._due is None:
            self._due = asyncio.get_running_loop().time() + self.seconds
        config = self._connection._config
        self._connection._config = _Remaining(config, self._due, asyncio.current_task())

    def lift(self) -> None:
        """Have asyncpg keep the connection's own bound again."""
        if self._is_told():
            self._connection._config = _own(self._connection._config)

    async def kept_by(self, operation: Awaitable[Any]) -> Any:
        """Await an operation that sets the bound, and keep it here where asyncpg cannot."""
        if self._is_told():
            return await operation
        return await within(self.seconds, operation)


def configure(connection: Connection, config: Any) -> None:
    """Have a connection use another configuration, within a bound that is set as well."""
    now: Any = connection._config
    if _own(now) is not now:
        config = _Remaining(config, now.due, now.task)
    connection._config = config


def _own(now: Any) -> Any:
    """Return the connection's own configuration, without the bound."""
    return getattr(now, "own", now)


if can_bound():

    class _Remaining(_Config):  # type: ignore[misc]
        """A connection's own configuration with a bound that gets shorter as the time passes."""

        def __new__(cls, own: Any, due: float, task: object) -> _Remaining:
            made: _Remaining = super().__new__(cls, *own)
            made.own, made.due, made.task = own, due, task
            return made

        own: Any
        due: float
        """By the event loop's clock."""
        task: object
        """Whose operations have the bound."""

        @property
        def command_timeout(self) -> float | None:
            """Seconds that are left; asyncpg raises TimeoutError for 0 and less.

            asyncpg's own task, which asks the server to cancel, has the connection's own bound.
            """
            if asyncio.current_task() is not self.task:
                own: float | None = self.own.command_timeout
                return own
            return self.due - asyncio.get_running_loop().time()
