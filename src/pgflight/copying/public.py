"""The functions of this room that ``pgflight`` exports, with their types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Coroutine, Iterable, Iterator
    from collections.abc import Mapping, Sequence  # isort: skip

    from sqlalchemy import ColumnElement, FromClause, SelectBase, TextClause
    from sqlalchemy.engine import Connection, Row
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
    from sqlalchemy.orm import Mapped, Mapper, Session, scoped_session

    from .copy_out import AsyncCopyOut

    AsyncTarget = AsyncConnection | AsyncSession | async_scoped_session[Any]
    SyncTarget = Connection | Session | scoped_session[Any]
    # what `Model.__table__` is declared as; a class is a mapped one
    CopyTable = FromClause | Mapper[Any] | type[Any]
    CopyRow = Mapping[Any, Any] | Sequence[Any]
    CopyRows = Iterable[CopyRow] | AsyncIterable[CopyRow]
    CopyColumns = Sequence[str | ColumnElement[Any] | Mapped[Any]]
    CopySource = CopyTable | SelectBase | TextClause
    CopyProgress = Callable[[int, int | None], object]


@overload
def copy_in(
    target: AsyncTarget,
    table: CopyTable,
    rows: CopyRows,
    columns: CopyColumns | None = ...,
    *,
    progress: CopyProgress | None = ...,
    timeout: float | None = ...,
) -> Coroutine[Any, Any, int]: ...


@overload
def copy_in(
    target: SyncTarget,
    table: CopyTable,
    rows: CopyRows,
    columns: CopyColumns | None = ...,
    *,
    progress: CopyProgress | None = ...,
    timeout: float | None = ...,
) -> int: ...


def copy_in(
    target: AsyncTarget | SyncTarget,
    table: CopyTable,
    rows: CopyRows,
    columns: CopyColumns | None = None,
    *,
    progress: CopyProgress | None = None,
    timeout: float | None = None,
) -> Any:
    """Store rows in a table by COPY, in the transaction of ``target``; return their number.

    To be awaited where ``target`` is an AsyncConnection or AsyncSession; with a Connection or
    Session, as inside ``run_sync()``, it returns when the rows are stored.  ``table`` is a Table or
    a class mapped to one.  Rows are mappings by the keys that an INSERT takes, those of the first
    one, or sequences in the order of ``columns`` (default: all columns).  Types, and defaults
    made in Python, are applied as an INSERT applies them.  A page of up to 256 rows is in memory
    at a time; what makes the rows must not use the connection.  ``progress`` is called with the
    rows and the bytes sent so far (None where nobody counts them), and awaited if it returns an
    awaitable; ``timeout`` is in seconds, for all of it.

    A wrong row raises SQLAlchemy's error for it, which names row (the first is 1) and column where
    they are known; nothing is stored then, and the transaction is aborted, as by an INSERT that
    the server refused.  Errors of ``rows`` are raised as they are.  Raises ArgumentError for what
    COPY cannot do, TypeError for a connection that pgflight does not serve, asyncio.TimeoutError.
    """
    from . import copy_in

    return copy_in.copy_in(target, table, rows, columns, progress=progress, timeout=timeout)


@overload
def copy_out(
    target: AsyncTarget,
    subject: CopySource,
    columns: CopyColumns | None = ...,
    *,
    format: None = ...,
    batch: int = ...,
) -> AsyncCopyOut[Row[Any]]: ...


@overload
def copy_out(
    target: AsyncTarget,
    subject: CopySource,
    columns: CopyColumns | None = ...,
    *,
    format: Literal["csv", "text"],
    header: bool = ...,
) -> AsyncCopyOut[bytes]: ...


@overload
def copy_out(
    target: AsyncTarget,
    subject: CopySource,
    columns: CopyColumns | None = ...,
    *,
    format: Literal["binary"],
) -> AsyncCopyOut[bytes]: ...


@overload
def copy_out(
    target: SyncTarget,
    subject: CopySource,
    columns: CopyColumns | None = ...,
    *,
    format: None = ...,
    batch: int = ...,
) -> Iterator[Row[Any]]: ...


@overload
def copy_out(
    target: SyncTarget,
    subject: CopySource,
    columns: CopyColumns | None = ...,
    *,
    format: Literal["csv", "text"],
    header: bool = ...,
) -> Iterator[bytes]: ...


@overload
def copy_out(
    target: SyncTarget,
    subject: CopySource,
    columns: CopyColumns | None = ...,
    *,
    format: Literal["binary"],
) -> Iterator[bytes]: ...


def copy_out(
    target: AsyncTarget | SyncTarget,
    subject: CopySource,
    columns: CopyColumns | None = None,
    *,
    format: Literal["csv", "text", "binary"] | None = None,
    header: bool = False,
    batch: int = 1000,
) -> Any:
    """Return an iterator over the rows of a select, a Table or a mapped class's table.

    Asynchronous where ``target`` is.  Rows are those that ``stream()`` gives, ``batch`` of them in
    memory at a time, and other statements may run in between.  With ``format`` the server's own
    output comes instead, by COPY: ``bytes`` of ``csv``, ``text`` (both with a ``header`` line where
    asked for) or ``binary``, in pieces that need not end with a row.  The connection is busy until
    the last one has been read or the iterator is closed; leaving it early costs the transaction
    nothing.  Values in a select are rendered into the COPY.  Raises ArgumentError for options that
    do not exist, SQLAlchemy's errors while it is read.
    """
    from . import copy_out

    return copy_out.copy_out(target, subject, columns, format=format, header=header, batch=batch)
