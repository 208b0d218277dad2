"""The same work written by hand on asyncpg alone: what is left when SQLAlchemy is taken away.

Statements are prepared once and kept. JSON is decoded and encoded by the standard library through
asyncpg's own `set_type_codec`, since the peers are compared by values.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import asyncpg
from sqlalchemy.engine import URL

from bench.e2e import schema, streams
from bench.e2e.workload import Workload

Finish = Callable[[list[asyncpg.Record]], Any]


def address(url: URL) -> dict[str, Any]:
    """Return what asyncpg wants to know of the server at `url`."""
    query = dict(url.query)
    return {
        "host": query.get("host") or url.host,
        "port": int(str(query.get("port") or url.port or 5432)),
        "user": url.username,
        "password": url.password,
        "database": url.database,
    }


class Raw(Workload):
    """A workload with a connection of asyncpg."""

    connection: asyncpg.Connection

    def __init__(self, url: URL) -> None:
        self._url = url

    async def open(self) -> None:
        self.connection = await asyncpg.connect(**address(self._url))
        await self.connection.set_type_codec(
            "jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads, format="text"
        )
        # SQLAlchemy works in a transaction, too.
        await self.connection.execute("BEGIN")

    async def close(self) -> None:
        await self.connection.close()


class Fetch(Raw):
    """A SELECT and what is done with its records."""

    def __init__(self, url: URL, statement: str, finish: Finish, *parameters: Any) -> None:
        super().__init__(url)
        self._statement = statement
        self._finish = finish
        self._parameters = parameters

    async def open(self) -> None:
        await super().open()
        self._prepared = await self.connection.prepare(self._statement)

    async def step(self) -> Any:
        return self._finish(await self._prepared.fetch(*self._parameters))

    async def rows(self, result: Any) -> Iterable[Any]:
        return [row if isinstance(row, Iterable) else [row] for row in result]


class Insert(Raw):
    """Inserts 1,000 dictionaries; with `returning`, by asyncpg's `fetchmany`."""

    def __init__(self, url: URL, *, returning: bool) -> None:
        super().__init__(url)
        self._returning = returning
        self._rows = schema.new_rows()

    async def open(self) -> None:
        await super().open()
        await self.connection.execute(schema.target())
        places = ", ".join(f"${place}" for place in range(1, len(schema.COLUMNS) + 1))
        ending = " RETURNING id" if self._returning else ""
        self._prepared = await self.connection.prepare(
            f"INSERT INTO target ({', '.join(schema.COLUMNS)}) VALUES ({places}){ending}"
        )

    async def step(self) -> Any:
        values = [tuple(row[column] for column in schema.COLUMNS) for row in self._rows]
        if self._returning:
            return await self._prepared.fetchmany(values)
        return await self._prepared.executemany(values)

    async def reset(self) -> None:
        await self.connection.execute("TRUNCATE target")

    async def rows(self, result: Any) -> Iterable[Any]:
        stored = await self.connection.fetch("SELECT * FROM target ORDER BY id")
        return [sorted(row[0] for row in result) if self._returning else [], *stored]


class Stream(Raw):
    """Reads a cursor row by row, in a transaction of its own, and keeps the last row."""

    def __init__(self, url: URL, statement: str) -> None:
        super().__init__(url)
        self._statement = statement

    async def open(self) -> None:
        await super().open()
        await self.connection.execute("ROLLBACK")

    async def step(self) -> Any:
        last = None
        async with self.connection.transaction():
            async for row in self.connection.cursor(self._statement, prefetch=streams.BATCH):
                last = row
        return [last]


class Copy(Raw):
    """Copies dictionaries by `copy_records_to_table`, which takes tuples."""

    def __init__(self, url: URL, count: int) -> None:
        super().__init__(url)
        self._rows = schema.new_records(count)

    async def open(self) -> None:
        await super().open()
        await self.connection.execute(schema.records())

    async def step(self) -> Any:
        columns = list(self._rows[0])
        await self.connection.copy_records_to_table(
            "records",
            records=(tuple(row.values()) for row in self._rows),
            columns=columns,
        )

    async def reset(self) -> None:
        await self.connection.execute("TRUNCATE records")

    async def rows(self, result: Any) -> Iterable[Any]:
        return list(await self.connection.fetch("SELECT * FROM records ORDER BY num"))


def _records(records: list[asyncpg.Record]) -> Any:
    return records


def _values(records: list[asyncpg.Record]) -> Any:
    return [record[0] for record in records]


def _iterate(records: list[asyncpg.Record]) -> Any:
    last = None
    for record in records:
        last = record
    return [last]


def make(name: str, url: URL, schema_name: str) -> Workload | None:
    """Return the workload of that name, None where there is no equivalent by hand."""
    if name in ("executemany", "insertmanyvalues"):
        return Insert(url, returning=name == "insertmanyvalues")
    if name == "copy_100000":
        return Copy(url, 100_000)
    simple = ", ".join(schema.SIMPLE)
    no_json = ", ".join(schema.COLUMNS[:-1])
    small, big = f"{schema_name}.small", f"{schema_name}.big"
    if name == "stream_ahead":
        columns = ", ".join(streams.COLUMNS)
        return Stream(url, f"SELECT {columns} FROM {big} WHERE id <= {streams.ROWS}")
    if name == "one_row":
        return Fetch(url, f"SELECT {simple} FROM {small} WHERE id = $1", _records, 500)
    queries: dict[str, tuple[str, Finish]] = {
        "rows_simple": (f"SELECT {simple} FROM {small}", _records),
        "rows_timestamptz": (f"SELECT id, ts FROM {small}", _records),
        "rows_uuid": (f"SELECT id, uid FROM {small}", _records),
        "rows_jsonb": (f"SELECT id, doc FROM {small}", _records),
        "rows_mixed": (f"SELECT * FROM {small}", _records),
        "scalars": (f"SELECT num FROM {small}", _values),
        "mappings": (f"SELECT {simple} FROM {small}", _records),
        "iteration": (f"SELECT {simple} FROM {small}", _iterate),
        "big_simple": (f"SELECT {simple} FROM {big}", _records),
        "big_no_json": (f"SELECT {no_json} FROM {big}", _records),
        "big_json": (f"SELECT * FROM {big}", _records),
    }
    return Fetch(url, *queries[name]) if name in queries else None
