"""Rows, or the server's own output, out of a table or a select: :func:`pgflight.copy_out`.

Rows come through a portal: decoding COPY's output costs more than COPY saves, and a portal can be
left early at no cost.  CSV, text and binary come by COPY.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncResult, AsyncSession, async_scoped_session
from sqlalchemy.orm import Session, scoped_session

from ..compat.connections import dbapi_connection
from ..compat.statements import orm_subject
from ..dialect.execution_context import CURSOR_OPTION
from ..parameters.contracts import Context
from .copy_in import on_sync_side, sync_connection
from .copy_out_cursor import AsyncAdapt_asyncpg_copy_out_cursor
from .table import CopyTable

Item = TypeVar("Item", covariant=True)
FORMATS = ("csv", "text", "binary")


class AsyncCopyOut(Generic[Item]):
    """An asynchronous iterator over the output of a COPY or the rows of a portal."""

    def __init__(self, items: AsyncIterator[Any], started: list[Any]) -> None:
        self._items = items
        self._started = started

    def __aiter__(self) -> AsyncCopyOut[Item]:
        return self

    async def __anext__(self) -> Item:
        item: Item = await self._items.__anext__()
        return item

    async def aclose(self) -> None:
        """Stop reading and free the connection."""
        await self._items.aclose()  # type: ignore[attr-defined]

    async def __aenter__(self) -> AsyncCopyOut[Item]:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    def __del__(self) -> None:
        # after leaving the loop early, the program's next statement must not be refused as busy
        for cursor in self._started:
            cursor.abandon()


def copy_out(
    target: Any,
    subject: Any,
    columns: Sequence[Any] | None = None,
    *,
    format: str | None = None,
    header: bool = False,
    batch: int = 1000,
) -> Any:
    """Read a table or a select: see :func:`pgflight.copy_out`."""
    if format is not None and format not in FORMATS:
        raise exc.ArgumentError(f"format is one of {', '.join(FORMATS)} or None, not {format!r}")
    if header and format not in ("csv", "text"):
        raise exc.ArgumentError("only csv and text have a header")
    if batch < 1:
        raise exc.ArgumentError("batch must be 1 row or more")
    statement, clause, mapper = _selected(subject, columns)
    started: list[Any] = []

    def begin(synchronous: Any) -> Any:
        if format is not None:
            connection = sync_connection(synchronous, clause, mapper)
            options = f"{format} header" if header else format
            return _begin_copy(connection, statement, options, started)
        execution_options = {"stream_results": True, "yield_per": batch}
        if isinstance(synchronous, scoped_session):
            synchronous = synchronous()
        if isinstance(synchronous, Session):
            bind = {"clause": clause} if mapper is None else {"mapper": mapper}
            return synchronous.execute(
                statement, execution_options=execution_options, bind_arguments=bind
            )
        return synchronous.execute(statement, execution_options=execution_options)

    if isinstance(target, (AsyncConnection, AsyncSession, async_scoped_session)):
        return AsyncCopyOut(_read_async(target, begin, batch, format is not None), started)
    return _read(target, begin, batch, format is not None)


def _selected(subject: object, columns: Sequence[Any] | None) -> tuple[Any, Any, Any]:
    """Return the statement, and the clause and mapper by which a session finds its engine."""
    if isinstance(columns, str):
        raise exc.ArgumentError("columns must be a list, not a single name")
    selectable = getattr(subject, "is_selectable", False) or isinstance(subject, sa.TextClause)
    if selectable and not isinstance(subject, sa.TableClause):
        if columns is not None:
            raise exc.ArgumentError("columns are for tables: a select has its own")
        return subject, subject, orm_subject(subject)
    source = CopyTable(subject)
    if columns is not None:
        chosen = [source.named(name)[1] for name in columns]
    else:
        chosen = list(source.table.columns)
    return sa.select(*chosen), source.table, source.mapper


def _begin_copy(connection: Any, statement: Any, options: str, started: list[Any]) -> Any:
    query = _rendered(connection, statement)

    def cursor(context: Context) -> Any:
        adapted = dbapi_connection(context).dbapi_connection  # not the pool's proxy
        made = AsyncAdapt_asyncpg_copy_out_cursor(adapted, query, options)
        started.append(made)
        return made

    return connection.exec_driver_sql(
        f"COPY ({query}) TO STDOUT (FORMAT {options.replace(' header', ', HEADER')})",
        execution_options={"stream_results": True, CURSOR_OPTION: cursor},
    )


def _rendered(connection: Any, statement: Any) -> str:
    """Return the statement with literal values, because COPY takes no parameters."""
    names = connection.get_execution_options().get("schema_translate_map")
    compiled = statement.compile(
        dialect=connection.dialect,
        compile_kwargs={"literal_binds": True},
        schema_translate_map=names,
        render_schema_translate=names is not None,
    )
    return str(compiled)


async def _read_async(target: Any, begin: Any, batch: int, pieces: bool) -> AsyncIterator[Any]:
    result = AsyncResult(await on_sync_side(target, begin))
    try:
        async for part in result.partitions(1 if pieces else batch):
            for row in part:
                yield row[0] if pieces else row
    finally:
        await result.close()


def _read(target: Any, begin: Any, batch: int, pieces: bool) -> Iterator[Any]:
    result = on_sync_side(target, begin)
    try:
        for part in result.partitions(1 if pieces else batch):
            for row in part:
                yield row[0] if pieces else row
    finally:
        result.close()
