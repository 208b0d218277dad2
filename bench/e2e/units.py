"""Units of work on a pool: connect, do little, end the transaction, close. For every dialect.

What is measured here is the waiting, so each is written as a program writes it. `batch` lets tasks
share the work, `think` seconds pass after each unit and are not a part of what is measured.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from itertools import count
from typing import Any, NamedTuple

from sqlalchemy import bindparam, insert, select, text
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import registry
from sqlalchemy.pool import NullPool

from bench.e2e import schema
from bench.e2e.workload import Workload


class Setting(NamedTuple):
    """How many connections, how many tasks, and how many seconds of thought after each unit."""

    pool: int = 1
    tasks: int = 1
    think: float = 0.0


SETTINGS = {
    "": Setting(),
    "pool10": Setting(pool=10, tasks=20),
    "pool5": Setting(pool=5, tasks=20),
    "think3": Setting(pool=3, think=0.003),
}
"""Suffix of a workload's name -> its setting."""


class Units(Workload):
    """Repeats one unit of work; a subclass holds the pool."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.unit: Callable[[], Awaitable[Any]]

    async def step(self) -> Any:
        return await self.unit()

    async def batch(self, count: int) -> None:
        left = iter(range(count))

        async def work() -> None:
            for _ in left:
                await self.unit()
                if self.setting.think:
                    await self._think()

        if self.setting.tasks == 1:
            await work()
        else:
            await asyncio.gather(*(work() for _ in range(self.setting.tasks)))

    async def _think(self) -> None:
        loop = asyncio.get_running_loop()
        start = loop.time()
        await asyncio.sleep(self.setting.think)
        self.idle += loop.time() - start

    async def rows(self, result: Any) -> Iterable[Any]:
        return list(result)


class Counter:
    """A row of the table `counters`."""

    id: int
    num: int


class OnEngine(Units):
    """A unit of work on an engine of SQLAlchemy; `kind` is the name of a method below."""

    def __init__(self, url: URL, schema_name: str, kind: str, setting: Setting) -> None:
        super().__init__(setting)
        tables = schema.Tables(schema_name)
        small = tables.small.c
        self.unit = getattr(self, kind)
        self._rows = select(*(small[column] for column in schema.SIMPLE))
        self._one = self._rows.where(small.id == bindparam("id"))
        self._insert = insert(tables.notes).returning(tables.notes.c.num)
        self._fresh = f"SELECT {', '.join(schema.SIMPLE)} FROM {schema_name}.small WHERE id = :id"
        self._numbers = count(1)
        if "__mapper__" not in vars(Counter):
            registry().map_imperatively(Counter, tables.counters)
        # A server that would refuse TLS is not asked whether it offers it.
        tls = {"sslmode": "disable"} if "psycopg" in url.drivername else {"ssl": False}
        options: dict[str, Any] = {"connect_args": tls if url.host else {}}
        if kind == "cold":
            options["poolclass"] = NullPool
        else:
            options |= {"pool_size": setting.pool, "max_overflow": 0}
        if kind == "ping":
            options["pool_pre_ping"] = True
        if kind == "readonly":
            options["execution_options"] = {"postgresql_readonly": True}
        self._engine: AsyncEngine = create_async_engine(url, **options)

    async def open(self) -> None:
        # A pool hands out the connections that it has in turn, and opens more only when it must.
        held = [await self._engine.connect() for _ in range(self.setting.pool)]
        for connection in held:
            await connection.close()
        for _ in held:
            await self.unit()

    async def close(self) -> None:
        await self._engine.dispose()

    async def read(self) -> Any:
        async with self._engine.connect() as connection:
            return (await connection.execute(self._one, {"id": 500})).all()

    ping = cold = read

    async def readonly(self) -> Any:
        async with self._engine.begin() as connection:
            return (await connection.execute(self._one, {"id": 500})).all()

    async def fresh(self) -> Any:
        statement = text(f"{self._fresh} LIMIT {next(self._numbers)}")
        async with self._engine.connect() as connection:
            return (await connection.execute(statement, {"id": 500})).all()

    async def stream(self) -> Any:
        async with self._engine.connect() as connection:
            return [row async for row in await connection.stream(self._rows)]

    async def insert(self) -> Any:
        async with self._engine.begin() as connection:
            values = {"name": "a note", "num": 7}
            return (await connection.execute(self._insert, values)).all()

    async def get(self) -> Any:
        async with AsyncSession(self._engine) as session:
            found = await session.get(Counter, 1)
            return [[found.id if found else None]]

    async def modify(self) -> Any:
        async with AsyncSession(self._engine) as session:
            found = await session.get(Counter, 2)
            assert found is not None
            found.num += 1
            await session.commit()
            return [[2]]


def split(name: str) -> tuple[str, Setting] | None:
    """Return what a workload's name says: `unit_KIND` or `unit_KIND_SETTING`; None for others."""
    prefix, _, rest = name.partition("_")
    kind, _, setting = rest.partition("_")
    return (kind, SETTINGS[setting]) if prefix == "unit" and setting in SETTINGS else None


def make(name: str, url: URL, schema_name: str) -> Workload | None:
    """Return the workload of that name, None if it is not a unit of work."""
    found = split(name)
    return OnEngine(url, schema_name, *found) if found else None
