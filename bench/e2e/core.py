"""The workloads of SQLAlchemy Core, the same code for every dialect."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sqlalchemy import Executable, Table, bindparam, insert, select, text
from sqlalchemy.engine import URL, CursorResult
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from bench.e2e import schema
from bench.e2e.workload import Workload

Finish = Callable[[CursorResult[Any]], Any]


class OnConnection(Workload):
    """A workload with an engine and one open connection; `options` go into the URL's query."""

    connection: AsyncConnection
    own: Mapping[str, Any] = {}
    """Arguments of `create_async_engine` that only pgflight knows."""

    def __init__(self, url: URL, **options: str) -> None:
        self.url = url.update_query_dict(options)

    async def open(self) -> None:
        own = self.own if self.url.drivername.endswith("+pgflight") else {}
        self._engine: AsyncEngine = create_async_engine(self.url, **own)
        self.connection = await self._engine.connect()

    async def server_memory(self) -> int:
        asked = text("SELECT sum(total_bytes)::bigint FROM pg_backend_memory_contexts")
        size: int = (await self.connection.execute(asked)).scalar_one()
        return size

    async def close(self) -> None:
        await self.connection.close()
        await self._engine.dispose()


class Query(OnConnection):
    """A SELECT that is built once, and what is done with its result."""

    def __init__(
        self,
        url: URL,
        statement: Executable,
        finish: Finish,
        parameters: dict[str, Any] | None = None,
        **options: str,
    ) -> None:
        super().__init__(url, **options)
        self._statement = statement
        self._finish = finish
        self._parameters = parameters

    async def step(self) -> Any:
        return self._finish(await self.connection.execute(self._statement, self._parameters))

    async def rows(self, result: Any) -> Iterable[Any]:
        return [row if isinstance(row, Iterable) else [row] for row in result]


class Insert(OnConnection):
    """Inserts 1,000 dictionaries into a temporary table, which is emptied between batches."""

    def __init__(self, url: URL, table: Table, *, returning: bool) -> None:
        super().__init__(url)
        self._table = table
        self._returning = returning
        self._statement = insert(table).returning(table.c.id) if returning else insert(table)
        self._rows = schema.new_rows()

    async def open(self) -> None:
        await super().open()
        await self.connection.execute(text(schema.target()))

    async def step(self) -> Any:
        result = await self.connection.execute(self._statement, self._rows)
        return result.all() if self._returning else None

    async def reset(self) -> None:
        # In the transaction that made it, the table is emptied in place.
        await self.connection.execute(text("TRUNCATE target"))

    async def rows(self, result: Any) -> Iterable[Any]:
        stored = await self.connection.execute(select(self._table).order_by(self._table.c.id))
        returned = sorted(row[0] for row in result) if self._returning else []
        return [returned, *stored.all()]


def _all(result: CursorResult[Any]) -> Any:
    return result.all()


def _scalars(result: CursorResult[Any]) -> Any:
    return result.scalars().all()


def _mappings(result: CursorResult[Any]) -> Any:
    return result.mappings().all()


def _iterate(result: CursorResult[Any]) -> Any:
    """Look at every row as a program does, without keeping them; return the last for the check."""
    last = None
    for row in result:
        last = row
    return [last]


def make(name: str, url: URL, schema_name: str) -> Workload | None:
    """Return the workload of that name, None if it is not one of Core."""
    tables = schema.Tables(schema_name)
    if name in ("executemany", "insertmanyvalues"):
        return Insert(url, tables.target, returning=name == "insertmanyvalues")
    small, big = tables.small.c, tables.big.c
    simple = select(*(small[column] for column in schema.SIMPLE))
    if name in ("one_row", "one_row_uncached"):
        options = {} if name == "one_row" else {"prepared_statement_cache_size": "0"}
        one = simple.where(small.id == bindparam("id"))
        return Query(url, one, _all, {"id": 500}, **options)
    queries: dict[str, tuple[Executable, Finish]] = {
        "rows_simple": (simple, _all),
        "rows_timestamptz": (select(small.id, small.ts), _all),
        "rows_uuid": (select(small.id, small.uid), _all),
        "rows_jsonb": (select(small.id, small.doc), _all),
        "rows_mixed": (select(tables.small), _all),
        "scalars": (select(small.num), _scalars),
        "mappings": (simple, _mappings),
        "iteration": (simple, _iterate),
        "big_simple": (select(*(big[column] for column in schema.SIMPLE)), _all),
        "big_no_json": (select(*(big[column] for column in schema.COLUMNS[:-1])), _all),
        "big_json": (select(tables.big), _all),
    }
    return Query(url, *queries[name]) if name in queries else None
