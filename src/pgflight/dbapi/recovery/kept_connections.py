"""Connections of interrupted statements, drained for the pool's next connection.

SQLAlchemy invalidates its record of a connection whose statement was cancelled or took too long,
and the pool connects anew.  asyncpg's connection underneath is not lost: beside the program, it is
drained and reset, and is then what the pool gets when it connects with the same arguments.  What
cannot be drained is closed, beside the program as well: nobody waits for a server that may be
silent.

One :class:`KeptConnections` per engine, held by its DBAPI module.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncGenerator
from contextlib import suppress
from functools import partial
from typing import Any

from ... import driver
from ...session.recovery.draining import drain, may_be_drained
from ...session.session import Session
from ...session.turn import Turn, running_loop

MOST = 20
"""Connections that may be drained or kept at a time; others are closed."""

DRAIN_SECONDS = 5.0
"""How long draining may take before the connection is closed."""

KEEP_SECONDS = 5.0
"""How long a drained connection waits for the pool before it is closed."""

WAIT_SECONDS = 1.0
"""How long the pool waits for one that is being drained, before it connects anew."""

HERE_SECONDS = 0.1
"""How long the program is held up by it, for which a server that answers needs a part only."""


class _Kept:
    """One connection, from its statement's interruption to its next use or its end."""

    __slots__ = ("connection", "login", "turn", "task", "timer", "ready", "claimed")

    task: asyncio.Task[None]

    def __init__(self, session: Session, login: object) -> None:
        self.connection = session.connection
        self.login = login
        self.turn = Turn()  # knows its event loop and its process
        self.timer: asyncio.TimerHandle | None = None
        self.ready = self.claimed = False


class KeptConnections:
    """The connections of one engine that are being drained, or are ready to be used again."""

    def __init__(self) -> None:
        self._kept: list[_Kept] = []
        self._closing: set[asyncio.Task[None]] = set()
        self._watched: tuple[weakref.ref[Any], Any] | None = None

    def __len__(self) -> int:
        return len(self._kept) + len(self._closing)

    def take_over(self, adapted: Any, *, keep: bool) -> asyncio.Task[None] | None:
        """Begin to drain an interrupted connection, or to close it; return the task that does.

        None if this is not the place.  ``adapted`` is not to be used any more, and refuses.
        """
        session: Session = adapted.session
        loop = running_loop()
        if loop is None or session.turn.is_elsewhere() or session.turn.loop is not loop:
            return None
        self._watch_end_of(loop)
        keep = keep and session.login is not None and len(self._kept) < MOST
        if keep and may_be_drained(session):
            kept = _Kept(session, session.login)
            self._kept.append(kept)
            kept.task = task = loop.create_task(self._drain(kept, session))
            task.add_done_callback(partial(self._drained, kept))
        else:
            connection = session.connection
            task = loop.create_task(self._close(connection))
            self._closing.add(task)
            task.add_done_callback(partial(self._closed, connection))
        session.turn.give_up()
        return task

    async def _drain(self, kept: _Kept, session: Session) -> None:
        draining = asyncio.ensure_future(drain(session))
        # if this task is cancelled as that one fails, nobody else asks for the error
        draining.add_done_callback(driver.retrieve)
        with suppress(Exception):
            await asyncio.wait_for(draining, DRAIN_SECONDS)
            kept.ready = True

    def _drained(self, kept: _Kept, task: asyncio.Task[None]) -> None:
        # also called for a task that was cancelled before it began
        if kept not in self._kept:
            return
        if kept.ready:
            kept.timer = task.get_loop().call_later(KEEP_SECONDS, self._drop, kept)
        else:
            self._drop(kept)

    async def _close(self, connection: driver.Connection) -> None:
        with suppress(Exception):
            await asyncio.wait_for(connection.close(timeout=DRAIN_SECONDS), DRAIN_SECONDS)

    def _closed(self, connection: driver.Connection, task: asyncio.Task[None]) -> None:
        self._closing.discard(task)
        if connection.is_closed() is not True:
            driver.drop(connection)

    def _drop(self, kept: _Kept) -> None:
        self._forget(kept)
        driver.drop(kept.connection)

    def _forget(self, kept: _Kept) -> None:
        if kept in self._kept:
            self._kept.remove(kept)
        if kept.timer is not None:
            kept.timer.cancel()

    def _watch_end_of(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have what is left closed when ``loop`` ends, as a task that is begun by then is not.

        asyncio's runners then close the asynchronous generators that are suspended.
        """
        if self._watched is not None and self._watched[0]() is loop:
            return
        generator = self._until_the_end()
        with suppress(StopIteration):
            generator.asend(None).send(None)
        self._watched = weakref.ref(loop), generator

    async def _until_the_end(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await self.close()

    async def connection_for(self, login: object) -> Any:
        """Return a connection that logged in with ``login`` and is as good as new; None if none."""
        kept = self._claim(login)
        while kept is not None:
            try:
                if not kept.ready:
                    await asyncio.wait({kept.task}, timeout=WAIT_SECONDS)
            finally:
                kept.claimed = False
            if kept.ready and kept in self._kept:
                self._forget(kept)
                if not kept.connection.is_closed():
                    return kept.connection
            elif kept in self._kept:
                return None  # it takes its time
            kept = self._claim(login)
        return None

    def _claim(self, login: object) -> _Kept | None:
        found = [
            each
            for each in self._kept
            if not each.claimed and not each.turn.is_elsewhere() and each.login == login
        ]
        if not found:
            return None
        kept = max(found, key=lambda each: each.ready)
        kept.claimed = True
        return kept

    async def close(self) -> None:
        """Close all of them; wait a little for the server's answers to asyncpg's cancellations."""
        here = running_loop()
        tasks = [each.task for each in self._kept if not each.task.done()]
        tasks = [task for task in (*tasks, *self._closing) if task.get_loop() is here]
        if tasks:
            await asyncio.wait(tasks, timeout=WAIT_SECONDS)
        self.drop_all()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=WAIT_SECONDS)
        await asyncio.sleep(0)  # in which transports close

    def drop_all(self) -> None:
        """Close all of them without waiting: the engine is disposed of."""
        for kept in list(self._kept):
            if kept.turn.is_a_parents():
                self._kept.remove(kept)
                driver.abandon(kept.connection, None, forked=True)
            elif kept.turn.loop is running_loop():
                kept.task.cancel()
                self._drop(kept)
            else:
                self._forget(kept)
                driver.abandon(kept.connection, kept.turn.loop, forked=False)
