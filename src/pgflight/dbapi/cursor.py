"""The buffered cursor of an adapted connection.

Made by the connection.  SQLAlchemy's own executions ask for tuples (``_as_tuples``, set by the
execution context); a program that opens a cursor by itself gets asyncpg's records, as with the
built-in dialect.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from .. import _impl, driver

if TYPE_CHECKING:
    from ..session.prepared_statements import Description, DescriptionColumn
    from .connection import AsyncAdapt_asyncpg_connection

_tuples = _impl.rows.tuples
_rowcount = _impl.rows.rowcount


def _text(status: str | bytes | None) -> str | None:
    return status.decode() if isinstance(status, bytes) else status


class AsyncAdapt_asyncpg_cursor:
    """A PEP 249 cursor over one asyncpg connection that holds its rows in memory.

    Raises the errors of :mod:`pgflight.dbapi.errors`.  Rows are tuples or asyncpg records of shape
    ``(number of columns,)``; ``rowcount`` is -1 where the command tag carries no number.
    """

    __slots__ = (
        "_adapt_connection",
        "_connection",
        "_cursor",
        "_rows",
        "_description",
        "_rowcount",
        "_as_tuples",
        "_invalidate_schema_cache_asof",  # set by contexts that derive from the built-in dialect's
        "arraysize",
    )

    server_side = False
    _awaitable_cursor_close = False  # read by SQLAlchemy 2.0.44+: closing needs no round trip

    _rows: list[Any] | deque[Any]
    _description: Description | None
    _cursor: Any

    def __init__(self, adapt_connection: AsyncAdapt_asyncpg_connection) -> None:
        self._adapt_connection = adapt_connection
        self._connection = adapt_connection._connection
        self._cursor = None
        self._rows = []
        self._description = None
        self._rowcount = -1
        self._as_tuples = False
        self.arraysize = 1

    @property
    def description(self) -> list[DescriptionColumn] | None:
        """PEP 249's seven-item sequence per column, ``None`` for a statement without rows."""
        return None if self._description is None else list(self._description)

    @property
    def rowcount(self) -> int:
        """Number of rows that the last statement returned or changed, -1 where unknown.

        That of all its executions after :meth:`executemany`.
        """
        return self._rowcount

    @property
    def lastrowid(self) -> None:
        """PostgreSQL has no such number; ``RETURNING`` serves."""
        return None

    def execute(self, operation: str, parameters: Sequence[Any] | None = None) -> None:
        """Run one statement with positional parameters."""
        self._adapt_connection.await_(self._execute(operation, parameters or ()))

    def executemany(self, operation: str, seq_of_parameters: Sequence[Sequence[Any]]) -> None:
        """Run one statement once per parameter sequence, atomically."""
        self._adapt_connection.await_(self._executemany(operation, seq_of_parameters))

    def setinputsizes(self, *inputsizes: Any) -> NoReturn:
        """Refuse: parameter types are rendered into the statement as casts."""
        raise NotImplementedError("setinputsizes() is not used by this dialect")

    async def _execute(self, operation: str, parameters: Sequence[Any]) -> None:
        adapted = self._adapt_connection
        mutex = adapted._execute_mutex
        if mutex.taken:
            await mutex.acquire()
        else:
            mutex.taken = True
        entry = None
        first = again = False
        try:
            if adapted._transaction is None:
                first = True
                waiting = adapted._begin()
                if waiting is not None:
                    await waiting
            statements = adapted._statements
            generation = adapted._schema.number
            # looked up here and not in prepared(): a coroutine less where it is found
            entry = statements.cached(operation, generation)
            if entry is None:
                if generation != statements.seen:
                    entry = await statements.prepared(operation, generation)
                else:
                    entry = await statements.prepare(operation)
            self._description = entry.description
            if not entry.plain:
                adapted._plain = False
            if adapted._work.by_hand:
                adapted._work.ran()
            reply = await entry.execute(parameters)
            adapted._ran += 1
            if first:
                adapted._first_answered()
            self._rows, status = reply[0], reply[1]
            self._rowcount = count = _rowcount(status)
            if count < 0:
                adapted._note_command(_text(status), operation)
        except Exception as error:
            adapted._plain = False
            again = first and await adapted._first_failed(error)
            if not again:
                if entry is not None:
                    await driver.settle(entry.statement, error)
                self._handle_exception(error)
        except BaseException:
            adapted._plain = False
            if first:
                adapted._first_interrupted()
            raise
        finally:
            if mutex.waiting:
                mutex.release()
            else:
                mutex.taken = False
        if again:
            await self._execute(operation, parameters)

    async def _executemany(self, operation: str, seq_of_parameters: Any) -> None:
        adapted = self._adapt_connection
        self._description = None
        self._rowcount = -1

        async def send() -> None:
            await adapted._statements.synchronize(adapted._schema.number)
            if adapted._transaction is None:
                await adapted._begin_many()
            adapted._plain = False
            if adapted._work.by_hand:
                adapted._work.ran()
            self._rowcount = await driver.executemany(
                self._connection, operation, seq_of_parameters
            )

        await self._in_turn(send)

    async def _in_turn(self, send: Callable[[], Awaitable[None]]) -> None:
        """Await `send`, which begins a transaction if there is none, and see to what it meets.

        As in :meth:`_execute`, where it stands in line: a coroutine or two less for each statement.
        """
        adapted = self._adapt_connection
        again = False
        async with adapted._execute_mutex:
            first = adapted._transaction is None
            try:
                await send()
                if first:
                    adapted._first_answered()
            except Exception as error:
                adapted._plain = False
                again = first and await adapted._first_failed(error)
                if not again:
                    self._handle_exception(error)
            except BaseException:
                adapted._plain = False
                if first:
                    adapted._first_interrupted()
                raise
        if again:
            await self._in_turn(send)

    def _handle_exception(self, error: Exception) -> NoReturn:
        self._adapt_connection._handle_exception(error)

    def fetchone(self) -> Any:
        """Return the next row, ``None`` after the last."""
        rows = self._unread()
        return rows.popleft() if rows else None

    def fetchmany(self, size: int | None = None) -> list[Any]:
        """Return up to ``size`` rows (``arraysize`` by default)."""
        rows = self._unread()
        wanted = self.arraysize if size is None else size
        return [rows.popleft() for _ in range(min(wanted, len(rows)))]

    def fetchall(self) -> list[Any]:
        """Return all rows that have not been read yet."""
        rows = self._take()
        return _tuples(rows) if self._as_tuples else rows

    def _take(self) -> list[Any]:
        """Return what has not been read yet, as the driver gave it, in a list of the caller's."""
        rows = self._rows
        self._rows = []
        return rows if isinstance(rows, list) else list(rows)

    def _queue(self) -> deque[Any]:
        """Return what has not been read yet, as the driver gave it, to be read piecemeal.

        In a queue, so that each row is freed as it is read.
        """
        rows = self._rows
        if not isinstance(rows, deque):
            self._rows = rows = deque(rows)
        return rows

    def _unread(self) -> deque[Any]:
        if self._as_tuples and isinstance(self._rows, list):
            _tuples(self._rows)
        return self._queue()

    def __iter__(self) -> Iterator[Any]:
        rows = self._unread()
        while rows:
            yield rows.popleft()

    def close(self) -> None:
        """Let go of the rows."""
        self._rows = []

    async def _async_soft_close(self) -> None:
        # called by SQLAlchemy's asyncio extension; the rows are in memory already
        return

    def __enter__(self) -> AsyncAdapt_asyncpg_cursor:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
