"""Large results read row by row as they come: `stream()`, its partitions, and `pgflight.stream`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.engine import URL

from bench.e2e import schema
from bench.e2e.core import OnConnection
from bench.e2e.workload import Workload

ROWS = 20_000
BATCH = 1_000
COLUMNS = ("id", "name", "f", "ts")


class Stream(OnConnection):
    """Reads all rows and keeps the last, in a transaction of its own; `kind` names a method."""

    def __init__(self, url: URL, statement: Select[Any], kind: str) -> None:
        super().__init__(url)
        self._statement = statement
        self._kind: Callable[[], Any] = getattr(self, kind)

    async def step(self) -> Any:
        last = await self._kind()
        await self.connection.rollback()
        return [last]

    async def rowwise(self) -> Any:
        """Read as a program of SQLAlchemy's does."""
        last = None
        async for row in await self.connection.stream(self._statement):
            last = row
        return last

    async def partitions(self) -> Any:
        """Read lists of rows."""
        last = None
        options = {"yield_per": BATCH}
        result = await self.connection.stream(self._statement, execution_options=options)
        async for part in result.partitions():
            for row in part:
                last = row
        return last

    async def ahead(self) -> Any:
        """Read by `pgflight.stream`."""
        import pgflight

        last = None
        async for row in pgflight.stream(self.connection, self._statement, batch=BATCH):
            last = row
        return last


def make(name: str, url: URL, schema_name: str) -> Workload | None:
    """Return the workload of that name, None if it is no stream."""
    prefix, _, kind = name.partition("_")
    if prefix != "stream":
        return None
    big = schema.Tables(schema_name).big.c
    statement = select(*(big[column] for column in COLUMNS)).where(big.id <= ROWS)
    return Stream(url, statement, kind)
