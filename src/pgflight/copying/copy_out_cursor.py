"""The cursor of a COPY TO: the server's output, as rows of one ``bytes`` value.

Made by the execution context of :func:`pgflight.copy_out`.  asyncpg pushes the output; a separate
task takes each piece and waits until it is read, so that at most two of them are in memory.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

from asyncpg import exceptions as driver_errors

from .. import driver
from ..dbapi import errors
from ..dbapi.cursor import AsyncAdapt_asyncpg_cursor
from ..session.request import Begin, Request

_BYTEA = 17
_SECONDS_TO_LEAVE = 10.0
"""How long the server may take to send its next message before the connection is dropped."""
_BUSY = "the connection is busy with a COPY: read it to its end, or close it, first"


class _Left(Exception):
    """Stops asyncpg when the output is no longer read."""


class AsyncAdapt_asyncpg_copy_out_cursor(AsyncAdapt_asyncpg_cursor):
    """A cursor whose :meth:`execute` begins a COPY, and whose rows are its output."""

    __slots__ = ("_query", "_options", "_pieces", "_came", "_taken", "_leaving", "_task")

    server_side = True

    def __init__(self, adapt_connection: Any, query: str, options: str) -> None:
        super().__init__(adapt_connection)
        self._query = query
        self._options = options
        self._pieces: deque[bytes] = deque()
        self._came: asyncio.Event
        self._taken: asyncio.Event
        self._leaving = False
        self._task: asyncio.Task[None] | None = None

    def execute(self, operation: str, parameters: Sequence[Any] | None = None) -> None:
        """Begin the COPY and wait for its first piece."""
        try:
            self._rows = deque(self._adapt_connection.await_(self._start()))
        except Exception as error:
            self._handle_exception(error)
        self._description = (("piece", _BYTEA, None, None, None, None, None),)

    async def _start(self) -> list[Any]:
        session = self._adapt_connection.session
        async with session.turn:
            pass  # wait until it is free; the task takes it next
        self._came, self._taken = asyncio.Event(), asyncio.Event()
        reader = asyncio.current_task()
        request = Request(self._query, lambda: self._copy(reader), Begin.AWAITED)
        self._task = asyncio.ensure_future(session.run(request))
        session.reading(self)
        self._task.add_done_callback(self._ended)
        return await self._read()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._adapt_connection.session.has_read(self)
        self._came.set()
        driver.retrieve(task)  # the reader raises its error, if there still is one

    async def _copy(self, reader: object) -> None:
        """Run the COPY; if it is left early, undo its effect on the transaction."""
        session = self._adapt_connection.session
        session.turn.reserve(reader, errors.InterfaceError(_BUSY))
        savepoint = None
        try:
            session.counters.trips += 1
            session.watch.steps_aside("COPY out without asyncpg's methods", driver.COPIES)
            if session.unit.transaction is not None:
                savepoint = self._connection.transaction()
                await savepoint.start()
            await self._push()
            if savepoint is not None:
                await savepoint.commit()
        except _Left:
            if savepoint is not None:
                await savepoint.rollback()
        finally:
            session.turn.reserve(None)

    async def _push(self) -> None:
        watch = self._adapt_connection.session.watch
        await driver.copy_out(self._connection, self._query, self._options, self._take_piece, watch)

    async def _take_piece(self, piece: bytes | bytearray) -> None:
        # leave asyncpg only from here: cancelled while it waits for the server, it may lose
        # track of the messages
        if not self._leaving:
            # asyncpg's may be a bytearray, which web frameworks refuse
            self._pieces.append(bytes(piece))
            self._taken.clear()
            self._came.set()
            await self._taken.wait()
        if self._leaving:
            raise _Left
        if self._connection.is_closed():  # asyncpg would wait forever
            raise driver_errors.ConnectionDoesNotExistError("the connection was closed")

    async def _read(self) -> list[Any]:
        """Return the next piece, an empty list at the end."""
        task = self._task
        if task is None or self._leaving:
            return []
        try:
            await self._came.wait()
        except BaseException:
            self.abandon()
            raise
        if self._pieces:
            if not task.done():
                self._came.clear()
            self._taken.set()
            return [(self._pieces.popleft(),)]
        self._task = None
        try:
            task.result()
        except Exception as error:
            self._handle_exception(error)
        return []

    async def stop(self) -> None:
        """End the COPY, however much the server still has to send."""
        self.abandon()
        task = self._task
        if task is None or task.done():
            return
        await asyncio.wait({task}, timeout=_SECONDS_TO_LEAVE)
        if not task.done():
            self._connection.terminate()
            await asyncio.wait({task})

    def abandon(self) -> None:
        """Stop the COPY without waiting for its end; the next statement waits for that."""
        if self._task is not None and not self._task.done():
            self._adapt_connection.session.turn.reserve(None)
            self._leaving = True
            self._pieces.clear()
            self._taken.set()

    def fetchmany(self, size: int | None = None) -> list[Any]:
        """Return the next piece, an empty list at the end."""
        if self._rows:
            return [self._unread().popleft()]
        rows: list[Any] = self._adapt_connection.await_(self._read())
        return rows

    def fetchone(self) -> Any:
        """Return the next piece, ``None`` at the end."""
        rows = self.fetchmany()
        return rows[0] if rows else None

    def fetchall(self) -> list[Any]:
        """Return all pieces."""
        rows = []
        while more := self.fetchmany():
            rows.extend(more)
        return rows

    def close(self) -> None:
        """End the COPY."""
        super().close()
        if self._task is not None and not self._task.done():
            if self._adapt_connection._can_wait():
                self._adapt_connection.await_(self.stop())
            else:
                self.abandon()

    async def _async_soft_close(self) -> None:
        await self.stop()
