"""The buffered cursor of an adapted connection.

Made by the connection.  SQLAlchemy's own executions ask for tuples (``_as_tuples``, set by the
execution context); a program that opens a cursor itself gets asyncpg's records, as with the
built-in dialect.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from .. import _impl, driver
from ..compat.builtin import require_slots, slot, theirs
from ..session.session import Session
from ..session.statements.prepared_entry import DescriptionColumn
from .builtin_names import CursorNames
from .recovery.lost_connections import goes_on
from .timeouts import timed_out

_tuples = _impl.rows.tuples

# slots of the built-in cursor, by their names in SQLAlchemy 2.1 and 2.0; ours has no others
_DESCRIPTION = ("_description", "description")
_ROWCOUNT = ("_rowcount", "rowcount")
_ARRAYSIZE = ("_arraysize", "arraysize")
_UNUSED = ("_cursor",)  # by a buffered cursor
_SPARE = ("_invalidate_schema_cache_asof",)  # ours looks at the schema's generation
require_slots(
    "AsyncAdapt_asyncpg_cursor",
    ("_adapt_connection",),
    ("_connection",),
    _UNUSED,
    ("_rows",),
    _DESCRIPTION,
    _ROWCOUNT,
    _ARRAYSIZE,
    _SPARE,
)
_builtin = theirs.AsyncAdapt_asyncpg_cursor


class Connection(Protocol):
    """What a cursor needs from the adapted connection that made it."""

    dbapi: Any
    session: Session
    _connection: Any

    @property
    def await_(self) -> Callable[[Any], Any]:
        """Return the function that waits for an awaitable and returns its result."""
        ...

    def _can_wait(self) -> bool: ...

    def _handle_exception(self, error: Exception) -> NoReturn: ...

    def close_abandoned_cursors(self) -> None:
        """Close held cursors that are no longer read, if the caller may wait."""
        ...


class AsyncAdapt_asyncpg_cursor(CursorNames, theirs.AsyncAdapt_asyncpg_cursor):  # type: ignore[misc]
    """A PEP 249 cursor over one asyncpg connection that holds its rows in memory.

    Raises the errors of :mod:`pgflight.dbapi.errors`.  Rows are tuples or asyncpg records with one
    value per column; ``rowcount`` is -1 if the command tag carries no number.
    """

    if not TYPE_CHECKING:
        __slots__ = ()  # those of the built-in cursor serve

    server_side = False
    _awaitable_cursor_close = False  # read by SQLAlchemy 2.0.44+: closing needs no round trip

    _adapt_connection: Connection
    _connection: Any
    _rows: list[Any] | deque[Any]
    _cursor: Any
    # the same slots under one name each, without a call of the built-in cursor's properties
    _description = slot(_builtin, *_DESCRIPTION)
    _rowcount = slot(_builtin, *_ROWCOUNT)
    _as_tuples = slot(_builtin, *_SPARE)
    _timeout: Any = slot(_builtin, *_UNUSED)  # seconds that the program allows, None for no choice
    arraysize = slot(_builtin, *_ARRAYSIZE)

    def __init__(self, adapt_connection: Connection) -> None:
        self._adapt_connection = adapt_connection
        self._connection = adapt_connection.session.connection
        self._timeout = None
        self._rows = []
        self._description = None
        self._rowcount = -1
        self._as_tuples = False
        self.arraysize = 1

    @property
    def description(self) -> list[DescriptionColumn] | None:
        """PEP 249's seven-item sequence per column, ``None`` for a statement without rows."""
        return None if self._description is None else list(self._description)

    @description.setter
    def description(self, value: Sequence[DescriptionColumn] | None) -> None:
        # by methods of SQLAlchemy 2.0's cursor, which a patch may call
        self._description = None if value is None else tuple(value)

    @property
    def rowcount(self) -> int:
        """Number of rows that the last statement returned or changed, -1 where unknown.

        After :meth:`executemany` the total of all executions.
        """
        return self._rowcount  # type: ignore[no-any-return]

    @rowcount.setter
    def rowcount(self, value: int) -> None:
        self._rowcount = value

    @property
    def lastrowid(self) -> None:
        """PostgreSQL has no such number; use ``RETURNING``."""
        return None

    def execute(self, operation: str, parameters: Sequence[Any] | None = None) -> None:
        """Run one statement with positional parameters."""
        adapted = self._adapt_connection
        try:
            if self._timeout is None:
                answer = adapted.await_(adapted.session.execute(operation, parameters or ()))
            else:
                bound = self._bound()
                execution = adapted.session.execute(operation, parameters or (), bound=bound)
                answer = adapted.await_(bound.kept_by(execution))
        except Exception as error:
            if goes_on(self, operation, error):
                self.execute(operation, parameters)
                return
            self._fail(error, operation, parameters or ())
        self._description, self._rows, self._rowcount = answer

    def _bound(self) -> driver.TimeBound:
        return driver.TimeBound(self._adapt_connection.session.connection, self._timeout)

    def _fail(
        self, error: Exception, operation: str | None, parameters: Any, *, many: bool = False
    ) -> NoReturn:
        """Raise the error to raise for one of asyncpg's, of an operation with these parameters."""
        if isinstance(error, asyncio.TimeoutError):
            adapted, seconds = self._adapt_connection, self._timeout
            raise timed_out(
                adapted, error, operation, parameters, seconds=seconds, many=many
            ) from error
        sets = parameters if many else [parameters]
        self._handle_exception(driver.refusal(error, sets, many=many))

    async def _prepare_and_execute(self, operation: str, parameters: Sequence[Any]) -> None:
        # for programs and patches that call it; execute() saves this coroutine
        try:
            answer = await self._adapt_connection.session.execute(operation, parameters or ())
        except Exception as error:
            self._fail(error, operation, parameters or ())
        self._description, self._rows, self._rowcount = answer

    def executemany(self, operation: str, seq_of_parameters: Sequence[Sequence[Any]]) -> None:
        """Run one statement once per parameter sequence, atomically."""
        adapted = self._adapt_connection
        self._description = None
        self._rowcount = -1
        seq_of_parameters = _repeatable(seq_of_parameters)
        bound = None if self._timeout is None else self._bound()
        try:
            execution = adapted.session.execute_many(operation, seq_of_parameters, bound)
            changed = adapted.await_(execution if bound is None else bound.kept_by(execution))
        except Exception as error:
            if goes_on(self, operation, error):
                self.executemany(operation, seq_of_parameters)
                return
            self._fail(error, operation, seq_of_parameters, many=True)
        self._rowcount = changed

    async def _executemany(
        self, operation: str, seq_of_parameters: Sequence[Sequence[Any]]
    ) -> None:
        # as _prepare_and_execute()
        session = self._adapt_connection.session
        self._description = None
        self._rowcount = -1
        seq_of_parameters = _repeatable(seq_of_parameters)
        try:
            self._rowcount = await session.execute_many(operation, seq_of_parameters)
        except Exception as error:
            self._fail(error, operation, seq_of_parameters, many=True)

    def setinputsizes(self, *inputsizes: Any) -> NoReturn:
        """Raise NotImplementedError: parameter types are rendered into the statement as casts."""
        raise NotImplementedError("setinputsizes() is not used by this dialect")

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
        """Return the unread rows, as the driver gave them, in a list that the caller owns."""
        rows = self._rows
        self._rows = []
        return rows if isinstance(rows, list) else list(rows)

    def _queue(self) -> deque[Any]:
        """Return the unread rows, as the driver gave them, to be read piecemeal.

        They are in a queue, so that each row is freed as it is read.
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
        """Release the rows."""
        self._rows = []

    async def _async_soft_close(self) -> None:
        # called by SQLAlchemy's asyncio extension; the rows are in memory already
        return

    def __enter__(self) -> AsyncAdapt_asyncpg_cursor:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def _repeatable(parameter_sets: Sequence[Any]) -> Sequence[Any]:
    """Return parameter sets that can be sent a second time, also those of a generator."""
    return parameter_sets if isinstance(parameter_sets, (list, tuple)) else list(parameter_sets)
