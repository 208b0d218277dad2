"""Rows into a table by COPY: :func:`pgflight.copy_in`.

Takes SQLAlchemy's connections and sessions; the work is done by
:mod:`pgflight.copying.copy_in_cursor`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
from sqlalchemy.orm import Session, scoped_session

from .. import driver
from ..dialect.execution_context import CURSOR_OPTION
from ..session.statistics import EngineCounters
from .copy_in_cursor import CopyJob, cursor_factory
from .feed import Feed, Progress
from .rows import RowPlan, no_first_row
from .table import CopyTable


def copy_in(
    target: Any,
    table: Any,
    rows: Any,
    columns: Sequence[Any] | None = None,
    *,
    progress: Progress | None = None,
    timeout: float | None = None,
) -> Any:
    """Copy rows into a table: see :func:`pgflight.copy_in`."""

    def work(synchronous: Any) -> int:
        source = CopyTable(table)
        connection = sync_connection(synchronous, source.table, source.mapper)
        return _copy(connection, source, rows, columns, progress, timeout)

    return on_sync_side(target, work)


def on_sync_side(target: Any, work: Callable[[Any], Any]) -> Any:
    """Call ``work`` with the synchronous counterpart of ``target``; return its result.

    If ``target`` is asynchronous, return a coroutine that does so.  Raises TypeError if ``target``
    is neither a connection nor an ORM session.
    """
    if isinstance(target, async_scoped_session):
        target = target()
    if isinstance(target, (AsyncConnection, AsyncSession)):
        return target.run_sync(work)
    if isinstance(target, scoped_session):
        target = target()
    if isinstance(target, (Connection, Session)):
        return work(target)
    raise TypeError(
        "COPY takes an AsyncConnection, an AsyncSession, a Connection or a Session, "
        f"not {type(target).__name__}"
    )


def sync_connection(target: Connection | Session, clause: Any, mapper: Any = None) -> Connection:
    """Return the connection of an ORM session, after its autoflush, or ``target`` itself.

    ``mapper``, or else ``clause``, selects the engine of a session that has several.  Raises
    TypeError if pgflight does not serve the connection.
    """
    if isinstance(target, Session):
        if target.autoflush:
            target.flush()
        bind = {"clause": clause} if mapper is None else {"mapper": mapper}
        target = target.connection(bind_arguments=bind)
    if not isinstance(getattr(target.dialect, "_counters", None), EngineCounters):
        raise TypeError(
            "COPY needs a connection that pgflight serves; this one is served by "
            f"{type(target.dialect).__module__}: call pgflight.install() before the engine is made"
        )
    adapted: Any = target.connection.dbapi_connection
    if not hasattr(adapted, "session"):
        raise TypeError(
            "COPY needs a connection that pgflight has made; this one is a "
            f"{type(adapted).__module__}.{type(adapted).__name__} from the engine's creator"
        )
    return target


def _copy(
    connection: Connection,
    source: CopyTable,
    rows: object,
    columns: Sequence[Any] | None,
    progress: Progress | None,
    timeout: float | None,
) -> int:
    adapted: Any = connection.connection.dbapi_connection
    if timeout is None:
        timeout = driver.command_timeout(adapted._connection)
    feed = Feed(rows, progress, timeout)
    first = adapted.await_(feed.peek())
    if first is no_first_row():
        return 0
    dialect = connection.dialect
    feed.plan = plan = RowPlan(source, columns, first, dialect)
    feed.table = source.table.name
    feed.schema = connection.schema_for_object(source.table)
    job = CopyJob(feed, *_texts(dialect, feed.schema, source.table.name, plan.columns))
    connection.exec_driver_sql(
        job.statement,
        execution_options={"stream_results": True, CURSOR_OPTION: cursor_factory(job)},
    )
    return feed.rows


_MOST_KEPT = 100
_Texts = tuple[str, str, str]
_kept: WeakKeyDictionary[Dialect, dict[Any, tuple[_Texts, Any]]] = WeakKeyDictionary()
"""The texts that each dialect has written: for a few rows they take as long as the COPY."""


def _texts(
    dialect: Dialect, schema: str | None, table: str, columns: Sequence[sa.Column[Any]]
) -> _Texts:
    """Return the COPY, the SELECT of its columns and the INSERT of their values."""
    kept = _kept.setdefault(dialect, {})
    names = (schema, table, *(column.name for column in columns))
    # a name may say whether it is to be quoted; a program's type may be equal to another
    quotes = (*(getattr(name, "quote", None) for name in names),)
    types = [column.type for column in columns]
    key = names, quotes, (*map(id, types),)
    found = kept.get(key)
    if found is None:
        if len(kept) >= _MOST_KEPT:
            kept.clear()
        # with the types, so that no other one gets the place in memory of one of them
        found = kept[key] = _written(dialect, schema, table, columns), types
    return found[0]


def _written(
    dialect: Dialect, schema: str | None, table: str, columns: Sequence[sa.Column[Any]]
) -> _Texts:
    alike = sa.table(
        table, *(sa.column(column.name, column.type) for column in columns), schema=schema
    )
    quote: Any = dialect.identifier_preparer
    name = quote.format_table(alike)
    listed = ", ".join(quote.quote(column.name) for column in columns)
    insert = sa.insert(alike).compile(
        dialect=dialect, column_keys=[column.name for column in columns]
    )
    return f"COPY {name} ({listed}) FROM STDIN", f"SELECT {listed} FROM {name}", str(insert)
