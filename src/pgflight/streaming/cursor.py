"""The server-side cursor of a stream: reads the next batch while the program works on the last.

Made by the execution context of :func:`pgflight.stream`.  What has been read ahead is handed out by
SQLAlchemy's own calls, in the program's task: only the driver is used beside the program, never
SQLAlchemy's connection or ORM session.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any

from sqlalchemy.engine.cursor import CursorFetchStrategy

from ..compat.connections import dbapi_connection
from ..dbapi.connection import AsyncAdapt_asyncpg_connection
from ..dbapi.held_cursor import HeldCursor, Portal
from ..dbapi.server_side_cursor import AsyncAdapt_asyncpg_ss_cursor

_SLOW_SECONDS = 0.25
"""After a batch that took longer nothing is read ahead: leaving the stream would wait for it."""
_SECONDS_TO_LEAVE = 2.0
"""How long closing waits for a batch that is under way; later statements queue behind it."""


class _Direct(CursorFetchStrategy):
    """Takes rows from the cursor as they are: SQLAlchemy's buffer costs 0.1 µs for each."""

    __slots__ = ()

    def yield_per(self, result: object, dbapi_cursor: object, num: int) -> None:
        """Do nothing: the stream says how many rows each batch has."""


_DIRECT = _Direct()


class AsyncAdapt_asyncpg_stream_cursor(AsyncAdapt_asyncpg_ss_cursor):
    """A server-side cursor that reads ahead when :meth:`read_ahead` asks for it.

    An error of the server aborts the transaction, and what is read ahead may fail before the
    program has come that far, or although it never does.  So it is done only where that costs
    nothing: in AUTOCOMMIT, whose rows the server has already, and in a READ COMMITTED transaction
    in which only side-effect-free SELECTs have run; if a program leaves such a stream before it
    learns of the error, the next statement begins the transaction again.
    """

    __slots__ = (
        "ROWS_AHEAD", "_ahead", "_leaving", "_transaction", "_seen", "_reads", "_alone", "_fast",
        "_more",
    )  # fmt: skip

    def __init__(self, adapt_connection: Any, rows: int) -> None:
        super().__init__(adapt_connection)
        self.ROWS_AHEAD = rows
        self._ahead: asyncio.Task[list[Any]] | None = None
        self._leaving: asyncio.Task[None] | None = None
        self._transaction: Any = None
        self._seen = 0  # the session's operations when this stream last used it
        self._reads = 0
        self._alone = self._fast = self._more = True

    def _read_from(self, portal: Any) -> None:
        super()._read_from(portal)
        unit = self._adapt_connection.session.unit
        self._transaction, self._seen = unit.transaction, unit.operations

    # ahead

    def read_ahead(self, number: int) -> bool:
        """Begin to read the next ``number`` rows, if that can do no harm; tell whether it has.

        Called when a batch is complete, loads of the ORM for its rows included: whatever uses the
        connection from here to the next batch is the program.
        """
        self.ROWS_AHEAD = number
        self._seen = self._adapt_connection.session.unit.operations
        if (
            self._ahead is not None
            or self._rows
            # a program that uses the connection between rows is known after the first batch
            or self._reads < 2
            or not (self._more and self._alone and self._fast and self._is_harmless())
        ):
            return False
        self._ahead = self._adapt_connection.session.reads_ahead.start(self._read(number))
        return True

    def _is_harmless(self) -> bool:
        session, portal = self._adapt_connection.session, self._cursor
        transactions, unit = session.transactions, session.unit
        if self._timeout is not None or transactions.exposed or session.turn.is_elsewhere():
            return False
        if isinstance(portal, HeldCursor):
            return transactions.autocommit and not session.ends.begun_by_program
        return (
            isinstance(portal, Portal)
            and not portal.is_watched
            and unit.transaction is not None
            and unit.transaction is self._transaction
            and unit.side_effect_free
            and transactions.characteristics.is_read_committed(session.statements.touched_isolation)
        )

    async def _read_in_turn(self, number: int) -> list[Any]:
        unit, started = self._adapt_connection.session.unit, monotonic()
        self._reads += 1
        self._alone = unit.operations == self._seen
        try:
            records = await super()._read_in_turn(number)
        finally:
            self._seen = unit.operations
        self._more = len(records) == number
        self._fast = monotonic() - started < _SLOW_SECONDS
        return records

    async def _next_batch(self, number: int) -> list[Any]:
        task, self._ahead = self._ahead, None
        if task is None:
            return await self._read(number)
        session = self._adapt_connection.session
        alone = session.unit.operations == self._seen or not task.done()
        rows = await task  # cancelled with the program's task, as a fetch without a task is
        self._alone = self._alone and alone
        if isinstance(self._cursor, Portal) and session.unit.transaction is not self._transaction:
            rows.clear()  # the transaction has ended since: the next fetch says so
        if len(rows) < number and (self._more or not rows):
            rows += await self._read(number - len(rows))
        return rows

    def _fetch(self, number: int) -> list[Any]:
        if self._ahead is None:
            return super()._fetch(number)
        rows: list[Any] = self._adapt_connection.await_(self._next_batch(number))
        return rows

    def fetchmany(self, size: int | None = None) -> list[Any]:
        """Return up to ``size`` rows, all rows if no size is given."""
        rows = self._unread()
        if size is None or rows or self._cursor is None or self._cursor.is_watched:
            return super().fetchmany(size)
        fresh = self._fetch(max(size, self.ROWS_AHEAD))
        if len(fresh) <= size:
            return fresh
        rows.extend(fresh[size:])
        del fresh[size:]
        return fresh

    # leaving early

    def leave(self) -> None:
        """Stop reading ahead, awaiting nothing.

        What is under way is not cancelled, which would cost the transaction.
        """
        task, self._ahead = self._ahead, None
        if task is not None and (not task.done() or _has_failed(task)):
            self._leaving = self._adapt_connection.session.reads_ahead.start(self._left(task))

    async def _left(self, task: asyncio.Task[Any]) -> None:
        """Roll back a transaction that has failed for rows that nobody has asked for."""
        await asyncio.wait({task})
        session = self._adapt_connection.session
        async with session.turn:
            unit = session.unit
            if (
                _has_failed(task)
                and unit.transaction is not None
                and unit.transaction is self._transaction
                and unit.side_effect_free
            ):
                await session.end(commit=False)

    def close(self) -> None:
        """Release the rows and close the portal."""
        self.leave()
        task = self._leaving
        try:
            if task is not None and not task.done() and self._adapt_connection._can_wait():
                self._adapt_connection.await_(asyncio.wait({task}, timeout=_SECONDS_TO_LEAVE))
        finally:
            super().close()


def cursor_factory(rows: int, made: list[AsyncAdapt_asyncpg_stream_cursor]) -> Any:
    """Return what makes the cursor of an execution context, and adds it to ``made``.

    ``rows`` is how many come with the answer to the execution.  On a connection that pgflight has
    not made, such as a creator's, the connection's own cursor is used.
    """

    def cursor(context: Any) -> Any:
        adapted = dbapi_connection(context).dbapi_connection  # not the pool's proxy
        if (
            not isinstance(adapted, AsyncAdapt_asyncpg_connection)
            or adapted._ss_cursor_cls is not AsyncAdapt_asyncpg_ss_cursor
        ):
            return adapted.cursor(server_side=True)
        stream = AsyncAdapt_asyncpg_stream_cursor(adapted, rows)
        made.append(stream)
        context.cursor_fetch_strategy = _DIRECT
        return stream

    return cursor


def _has_failed(task: asyncio.Task[Any]) -> bool:
    return not task.cancelled() and task.exception() is not None
