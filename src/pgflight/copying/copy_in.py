"""Rows into a table by COPY: :func:`pgflight.copy_in`.

Takes SQLAlchemy's connections and sessions; the work is done by
:mod:`pgflight.copying.copy_in_cursor`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
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
    alike = sa.table(
        source.table.name,
        *(sa.column(column.name, column.type) for column in plan.columns),
        schema=feed.schema,
    )
    quote: Any = dialect.identifier_preparer
    name = quote.format_table(alike)
    names = ", ".join(quote.quote(column.name) for column in plan.columns)
    insert = sa.insert(alike).compile(
        dialect=dialect, column_keys=[column.name for column in plan.columns]
    )
    job = CopyJob(
        feed, f"COPY {name} ({names}) FROM STDIN", f"SELECT {names} FROM {name}", str(insert)
    )
    connection.exec_driver_sql(
        job.statement,
        execution_options={"stream_results": True, CURSOR_OPTION: cursor_factory(job)},
    )
    return feed.rows
