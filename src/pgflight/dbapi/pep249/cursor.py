"""PEP 249's cursor: statements of a connection, and the rows of the last one, held in memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

from ..cursor import AsyncAdapt_asyncpg_cursor
from ..errors import InterfaceError, ProgrammingError
from .placeholders import Parameters, template

T = TypeVar("T")
Row = tuple[Any, ...]
Column = tuple[str, int, None, None, None, None, None]

_NAME = re.compile(r'(?:[^\W\d][\w$]*|"(?:[^"\0]|"")+")(?:\.(?:[^\W\d][\w$]*|"(?:[^"\0]|"")+"))*')


class Connection(Protocol):
    """What a cursor and its users need from the connection that made it."""

    @property
    def closed(self) -> bool:
        """Whether the connection can be used no more."""
        ...

    def commit(self) -> None:
        """Commit the open transaction, if there is one."""
        ...

    def rollback(self) -> None:
        """Roll back the open transaction, if there is one."""
        ...

    def _check(self, *, ended: bool = True) -> None: ...

    def _adapted_cursor(self) -> AsyncAdapt_asyncpg_cursor: ...

    def _call(self, function: Callable[[], T]) -> T: ...


class Cursor:
    """A cursor of :class:`~pgflight.dbapi.pep249.connection.Connection`, which makes it.

    Rows are tuples.  A cursor is for one thread at a time; several threads may each have one of
    the same connection.  Raises the errors of :mod:`pgflight.dbapi`.
    """

    arraysize: int
    """Number of rows that :meth:`fetchmany` returns if it is not told; 1 at first."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._adapted: AsyncAdapt_asyncpg_cursor | None = connection._adapted_cursor()
        self.arraysize = 1

    @property
    def connection(self) -> Connection:
        """The connection that made this cursor."""
        return self._connection

    @property
    def closed(self) -> bool:
        """Whether the cursor or its connection was closed."""
        return self._adapted is None or self._connection.closed

    @property
    def description(self) -> list[Column] | None:
        """A sequence of seven per column, name and OID of the type first; None without rows."""
        return None if self._adapted is None else self._adapted.description

    @property
    def rowcount(self) -> int:
        """Rows that the last statement returned or changed, -1 where unknown."""
        return -1 if self._adapted is None else self._adapted.rowcount

    @property
    def lastrowid(self) -> None:
        """PostgreSQL has no such number; use ``RETURNING``."""
        return None

    def execute(self, operation: str, parameters: Parameters | None = None) -> Cursor:
        """Execute one statement and return the cursor.

        Without ``parameters`` the text is sent as it is; with them, ``%s`` or ``%(name)s`` stand
        for the values and ``%%`` for a percent sign.  The server says of which type each parameter
        is, and takes a value of that type.
        """
        adapted, values = self._open(), None
        if parameters is not None:
            found = template(operation)
            operation, values = found.text, found.arguments(parameters)
        self._forget(adapted)
        self._connection._call(partial(adapted.execute, operation, values))
        return self

    def executemany(self, operation: str, seq_of_parameters: Iterable[Parameters]) -> Cursor:
        """Execute one statement once per set of parameters; return the cursor.

        All of it or nothing.  ``rowcount`` is the total; rows are not kept.
        """
        adapted, found = self._open(), template(operation)
        sets = [found.arguments(parameters) for parameters in seq_of_parameters]
        self._forget(adapted)
        if sets:
            self._connection._call(partial(adapted.executemany, found.text, sets))
        else:
            adapted.rowcount = 0
        return self

    def callproc(self, procname: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Call a function; its result is the cursor's rows.  Return a copy of ``parameters``.

        ``procname`` is an SQL name, with its schema or without; others are a ProgrammingError.
        """
        if not _NAME.fullmatch(procname):
            raise ProgrammingError(f"{procname!r} is no name of a function")
        adapted, values = self._open(), list(parameters)
        numbers = ", ".join(f"${number}" for number in range(1, len(values) + 1))
        self._forget(adapted)
        call = partial(adapted.execute, f"SELECT * FROM {procname}({numbers})", values)
        self._connection._call(call)
        return values

    def fetchone(self) -> Row | None:
        """Return the next row, None after the last."""
        return self._with_rows().fetchone()  # type: ignore[no-any-return]

    def fetchmany(self, size: int | None = None) -> list[Row]:
        """Return up to ``size`` rows, :attr:`arraysize` by default."""
        return self._with_rows().fetchmany(self.arraysize if size is None else size)

    def fetchall(self) -> list[Row]:
        """Return all rows that have not been fetched yet."""
        return self._with_rows().fetchall()

    def __iter__(self) -> Iterator[Row]:
        return self

    def __next__(self) -> Row:
        row = self.fetchone()
        if row is None:
            raise StopIteration
        return row

    def setinputsizes(self, sizes: Sequence[Any]) -> None:
        """Do nothing: the server says what the parameters are."""
        self._open()

    def setoutputsize(self, size: int, column: int | None = None) -> None:
        """Do nothing: values come whole."""
        self._open()

    def close(self) -> None:
        """Free the rows; the cursor can be used no more.  A second time, nothing happens."""
        self._adapted = None

    def __enter__(self) -> Cursor:
        self._open()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _open(self, *, ended: bool = True) -> AsyncAdapt_asyncpg_cursor:
        if self._adapted is None:
            raise InterfaceError("the cursor is closed")
        self._connection._check(ended=ended)
        return self._adapted

    def _with_rows(self) -> AsyncAdapt_asyncpg_cursor:
        adapted = self._open(ended=False)  # they are in memory
        if adapted.description is None:
            raise ProgrammingError("there are no rows to fetch: the last statement returned none")
        return adapted

    @staticmethod
    def _forget(adapted: AsyncAdapt_asyncpg_cursor) -> None:
        """Forget the last result, so that it does not pass for that of a statement that fails."""
        adapted.close()
        adapted.description = None
        adapted.rowcount = -1
