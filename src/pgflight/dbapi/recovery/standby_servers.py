"""Coming back to a standby that was away: engines that ask to read from one.

`prefer-standby` leads to the primary while no standby is there, and the pool would stay with it;
and a standby that is promoted goes on serving engines that asked for `standby` or `read-only`.
Whether a session is on its side, the server says (PostgreSQL 14 and newer, `in_hot_standby`).  At
the checkout of one that is not, a connection to a standby is looked for beside the program; only
when it is there, it takes the other one's place.  So nobody waits, and what can be read is read.

One object per engine, held by its DBAPI module.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic
from typing import Any, NamedTuple

from ... import driver
from ...session.turn import Turn

PAUSE_SECONDS = 1.0
"""After a look in vain, and after a login that led to the primary; doubled each time."""

LONGEST_PAUSE_SECONDS = 30.0

KEEP_SECONDS = 5.0
"""How long a connection waits for a checkout before it is closed."""

CAME_BACK = "a standby is there again"

PREFERRED = "prefer-standby"
ASKS_FOR_STANDBY = frozenset({"read-only", "standby", PREFERRED})
"""Values of `target_session_attrs`."""


class Way(NamedTuple):
    """How to log in to a standby, as an engine's last connection that is not on its side would."""

    login: object
    """Equal for two connections that log in with the same arguments."""
    connect: Callable[[], Awaitable[Any]]


class _Ready(NamedTuple):
    connection: driver.Connection
    login: object
    turn: Turn
    """Knows its event loop and its process."""
    timer: asyncio.TimerHandle


class StandbyServers:
    """One engine's connection to a standby that has come back: looked for, or ready."""

    def __init__(self) -> None:
        self._way: Way | None = None
        self._task: asyncio.Task[None] | None = None
        self._ready: _Ready | None = None
        self._pause = PAUSE_SECONDS
        self._next = 0.0

    def meet_primary(self, way: Way) -> None:
        """Note that a login which could have led to a standby has not, and how to try again."""
        self._way = way
        self._next = max(self._next, monotonic() + self._pause)

    def meet_standby(self, way: Way) -> None:
        """Note that a login has led to a standby, and how to find another one."""
        self._way = way
        self._pause, self._next = PAUSE_SECONDS, 0.0

    def is_ready(self) -> bool:
        """Tell whether a connection to a standby waits in this loop."""
        ready = self._ready
        if ready is None or ready.turn.is_elsewhere():
            return False
        return not ready.connection.is_closed()

    def look(self) -> None:
        """Begin to look for a standby beside the program, unless one has looked just now."""
        if self._way is None or monotonic() < self._next:
            return
        task = self._task
        if task is not None and not task.done() and not task.get_loop().is_closed():
            return
        self._next = monotonic() + self._pause
        self._pause = min(self._pause * 2, LONGEST_PAUSE_SECONDS)
        self._task = asyncio.get_running_loop().create_task(self._look(self._way))

    async def _look(self, way: Way) -> None:
        with suppress(Exception):
            connection = await way.connect()
            if connection is None:
                return
            if self._task is not asyncio.current_task():
                driver.drop(connection)  # the engine was disposed of meanwhile
            else:
                self._drop_ready()
                loop = asyncio.get_running_loop()
                timer = loop.call_later(KEEP_SECONDS, self._drop_ready)
                self._ready = _Ready(connection, way.login, Turn(), timer)

    def take(self, login: object) -> Any:
        """Return the connection that waits if it logged in with ``login``, else None."""
        ready = self._ready
        if ready is None or not self.is_ready():
            return None
        if ready.login != login:
            self._drop_ready()
            return None
        self._ready = None
        ready.timer.cancel()
        return ready.connection

    def drop(self) -> None:
        """Look no further, and close what waits: the engine is disposed of."""
        task, self._task, self._way = self._task, None, None
        if task is not None and not task.done():
            loop = task.get_loop()
            with suppress(RuntimeError):  # closed
                loop.call_soon_threadsafe(task.cancel)
        self._drop_ready()

    def _drop_ready(self) -> None:
        ready, self._ready = self._ready, None
        if ready is None:
            return
        if ready.turn.is_elsewhere():
            forked = ready.turn.is_a_parents()
            driver.abandon(ready.connection, None if forked else ready.turn.loop, forked=forked)
        else:
            ready.timer.cancel()
            driver.drop(ready.connection)
