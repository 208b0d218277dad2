"""The units of work of units.py written by hand: asyncpg's pool and its transactions.

There is none for the ORM's, nor for a ping, which asyncpg's pool does not make.
"""

from __future__ import annotations

from itertools import count
from typing import Any

import asyncpg
from sqlalchemy.engine import URL

from bench.e2e import raw, schema
from bench.e2e.units import Setting, Units, split
from bench.e2e.workload import Workload


class OnPool(Units):
    """A unit of work on a pool of asyncpg; `kind` is the name of a method below."""

    def __init__(self, url: URL, schema_name: str, kind: str, setting: Setting) -> None:
        super().__init__(setting)
        self.unit = getattr(self, kind)
        self._address = raw.address(url) | ({"ssl": False} if url.host else {})
        self._rows = f"SELECT {', '.join(schema.SIMPLE)} FROM {schema_name}.small"
        self._one = f"{self._rows} WHERE id = $1"
        self._insert = f"INSERT INTO {schema_name}.notes (name, num) VALUES ($1, $2) RETURNING num"
        self._numbers = count(1)

    async def open(self) -> None:
        size = self.setting.pool
        self._pool = await asyncpg.create_pool(**self._address, min_size=size, max_size=size)
        held = [await self._pool.acquire() for _ in range(size)]
        for connection in held:
            for statement in (self._one, self._insert):
                await connection.prepare(statement)
            await self._pool.release(connection)
        for _ in held:
            await self.unit()

    async def close(self) -> None:
        await self._pool.close()

    async def read(self) -> Any:
        async with self._pool.acquire() as connection, connection.transaction():
            return await connection.fetch(self._one, 500)

    async def readonly(self) -> Any:
        async with self._pool.acquire() as connection, connection.transaction(readonly=True):
            return await connection.fetch(self._one, 500)

    async def fresh(self) -> Any:
        async with self._pool.acquire() as connection, connection.transaction():
            return await connection.fetch(f"{self._one} LIMIT {next(self._numbers)}", 500)

    async def stream(self) -> Any:
        async with self._pool.acquire() as connection, connection.transaction():
            return [row async for row in connection.cursor(self._rows)]

    async def insert(self) -> Any:
        async with self._pool.acquire() as connection, connection.transaction():
            return await connection.fetch(self._insert, "a note", 7)

    async def cold(self) -> Any:
        connection = await asyncpg.connect(**self._address)
        try:
            async with connection.transaction():
                return await connection.fetch(self._one, 500)
        finally:
            await connection.close()


def make(name: str, url: URL, schema_name: str) -> Workload | None:
    """Return the workload of that name, None where there is no equivalent by hand."""
    found = split(name)
    return OnPool(url, schema_name, *found) if found else None
