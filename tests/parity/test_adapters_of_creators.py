"""Connections that a program makes: SQLAlchemy's own adapter, proxies, subclasses, from a pool."""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import await_only

from tests.fixtures.outcome import Both, Failure, attempt
from tests.fixtures.server import Server

METADATA = sa.MetaData()
TABLE = sa.Table(
    "t_of_creators",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("document", sa.JSON),
    sa.Column("name", sa.String(20), server_default="x"),
)
builtin: Any = importlib.import_module("sqlalchemy.dialects.postgresql.asyncpg")
Connect = Callable[[], Awaitable[Any]]


class Connection(asyncpg.Connection):  # type: ignore[misc]
    """A program's own subclass."""


class Wrapped:
    """A transparent proxy, as wrapt makes them."""

    def __init__(self, wrapped: Any) -> None:
        self.__dict__["wrapped"] = wrapped

    def __getattr__(self, name: str) -> Any:
        return getattr(self.wrapped, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.wrapped, name, value)


class Adapter(builtin.AsyncAdapt_asyncpg_connection):  # type: ignore[misc]
    """A program's adapter; without slots, so that it takes any attribute."""


def adapted(connect: Connect, adapter: Any, **options: Any) -> Callable[[], Any]:
    def creator() -> Any:
        dbapi = builtin.AsyncAdapt_asyncpg_dbapi(asyncpg)
        return adapter(dbapi, await_only(connect()), **options)

    return creator


async def the_work(engine: AsyncEngine) -> list[Any]:
    found: list[Any] = []
    async with engine.begin() as connection:
        await connection.run_sync(METADATA.drop_all)
        await connection.run_sync(METADATA.create_all)
        rows = [{"id": number, "document": {"n": number}} for number in range(60)]
        await connection.execute(sa.insert(TABLE), rows)
        returning = sa.insert(TABLE).returning(TABLE.c.id, TABLE.c.name)
        more = [{"id": 100 + number, "document": [number]} for number in range(30)]
        found.append(list(await connection.execute(returning, more)))
    async with engine.connect() as connection:
        chosen = sa.select(TABLE).where(TABLE.c.id.in_(list(range(12)))).order_by(TABLE.c.id)
        found.append((await connection.execute(chosen)).all())
        found.append((await connection.execute(chosen)).mappings().first())
        streamed = await connection.stream(sa.select(TABLE.c.id).order_by(TABLE.c.id))
        found.append([await streamed.fetchmany(3), len(await streamed.fetchall())])
        found.append((await connection.scalars(chosen)).all())
        wrong = await attempt(connection.execute(sa.insert(TABLE), {"id": 1}))
        found.append(wrong)
        await connection.rollback()
        # a statement that was prepared before the table changes
        await connection.execute(sa.text("ALTER TABLE t_of_creators ALTER name TYPE varchar(40)"))
        await connection.execute(sa.text("ALTER TABLE t_of_creators DROP document"))
        await connection.execute(sa.text("ALTER TABLE t_of_creators ADD document json"))
        await connection.commit()
        found.append(await attempt(connection.scalar(sa.text("SELECT * FROM t_of_creators"))))
        raw: Any = await connection.get_raw_connection()
        found.append(await raw.driver_connection.fetchval("SELECT 5"))
    serial = engine.execution_options(isolation_level="SERIALIZABLE")
    async with serial.connect() as connection:
        found.append(await connection.scalar(sa.text("SHOW transaction_isolation")))
        await connection.invalidate()
    async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        found.append(await connection.scalar(sa.text("SELECT 7")))
    async with engine.begin() as connection:
        await connection.run_sync(METADATA.drop_all)
    return found


@pytest.mark.parametrize("size", [0, 100])
@pytest.mark.parametrize("adapter", [builtin.AsyncAdapt_asyncpg_connection, Adapter])
@pytest.mark.parametrize("kind", ["plain", "subclass"])
def test_a_creator_that_returns_sqlalchemy_s_adapter(
    both: Both, server: Server, adapter: Any, size: int, kind: str
) -> None:
    async def connect() -> Any:
        cls: Any = Connection if kind == "subclass" else asyncpg.Connection
        return await asyncpg.connect(server.text("postgresql"), connection_class=cls)

    made: list[Any] = []

    async def work(engine: AsyncEngine) -> Any:
        found = await the_work(engine)
        async with engine.connect() as connection:
            raw = await connection.get_raw_connection()
            made.append(raw.dbapi_connection)
        return found

    creator = adapted(connect, adapter, prepared_statement_cache_size=size)
    both(work, creator=creator, pool_size=1, max_overflow=0, pool_pre_ping=True)
    assert [type(each) for each in made] == [adapter, adapter]
    assert all((each._prepared_statement_cache is None) is (size == 0) for each in made)


@pytest.mark.parametrize("kind", ["plain", "subclass", "wrapped", "pool"])
def test_an_async_creator(both: Both, server: Server, kind: str) -> None:
    async def work(engine: AsyncEngine) -> Any:
        return await the_work(engine)

    pools: list[Any] = []

    async def creator() -> Any:
        text = server.text("postgresql")
        if kind == "pool":
            pool = await asyncpg.create_pool(text, min_size=1, max_size=3)
            pools.append(pool)
            return await pool.acquire()
        cls: Any = Connection if kind == "subclass" else asyncpg.Connection
        connection = await asyncpg.connect(text, connection_class=cls)
        return Wrapped(connection) if kind == "wrapped" else connection

    async def and_pools(engine: AsyncEngine) -> Any:
        try:
            return await work(engine)
        finally:
            await engine.dispose()
            while pools:
                pools.pop().terminate()

    both(and_pools, async_creator=creator, pool_size=1, max_overflow=0, pool_pre_ping=True)


def test_copy_says_that_it_needs_a_connection_of_ours(
    pgflight_dialect: Any, server: Server
) -> None:
    import asyncio

    import pgflight

    async def connect() -> Any:
        return await asyncpg.connect(server.text("postgresql"))

    async def work() -> Any:
        creator = adapted(connect, builtin.AsyncAdapt_asyncpg_connection)
        engine = pgflight_dialect.engine(creator=creator)
        async with engine.connect() as connection:
            return await attempt(pgflight.copy_in(connection, TABLE, [{"id": 1}]))

    found = asyncio.run(work())
    assert isinstance(found, Failure)
    assert "COPY needs a connection that pgflight has made; this one is a sqlalchemy." in str(found)
