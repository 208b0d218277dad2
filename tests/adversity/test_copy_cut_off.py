"""A COPY that is cancelled, times out, waits for a lock or loses its connection.

Nothing hangs, nothing half-written stays, no session of the server is left behind.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.util import greenlet_spawn

import pgflight
from tests.fixtures.engines import Dialect
from tests.parity.scratch import committed, own

ROUNDS = 60
HANG_SECONDS = 15.0
PADDING = "x" * 100
binary = sa.Table(
    own("cut_off"), sa.MetaData(), sa.Column("n", sa.Integer), sa.Column("s", sa.Text)
)
with_text = sa.Table(
    own("cut_off_text"), sa.MetaData(), sa.Column("n", sa.Integer), sa.Column("s", pg.TSVECTOR)
)
TABLES = pytest.mark.parametrize("table", [binary, with_text], ids=["binary", "text"])


def endless() -> Iterator[tuple[int, str]]:
    n = 0
    while True:
        yield n % 2**31, PADDING
        n += 1


async def hanging(rows: int) -> AsyncIterator[tuple[int, str]]:
    for n in range(rows):
        yield n, PADDING
    await asyncio.Event().wait()


async def stored(engine: AsyncEngine, table: sa.Table) -> Any:
    async with engine.connect() as connection:
        return await connection.scalar(sa.select(sa.func.count()).select_from(table))


async def sessions(engine: AsyncEngine) -> Any:
    """Return how many sessions are copying into a table of ours, or wait in a transaction."""
    async with engine.connect() as connection:
        return await connection.scalar(
            sa.text(
                "SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                " AND query LIKE 'COPY cut_off%' AND state <> 'idle'"
            )
        )


async def gone(engine: AsyncEngine) -> None:
    async def wait() -> None:
        while await sessions(engine):
            await asyncio.sleep(0.01)

    await asyncio.wait_for(wait(), HANG_SECONDS)


@TABLES
@pytest.mark.parametrize("isolation", [None, "AUTOCOMMIT"])
def test_cancelled_at_any_moment(
    pgflight_dialect: Dialect, table: sa.Table, isolation: str | None
) -> None:
    chance = random.Random(5)

    async def run() -> None:
        engine = pgflight_dialect.engine(pool_size=2, max_overflow=0)
        using = engine if isolation is None else engine.execution_options(isolation_level=isolation)
        async with committed(engine, table.metadata):
            for number in range(ROUNDS):
                async with using.connect() as connection:
                    rows = endless() if number % 2 else hanging(chance.choice((0, 1, 150, 5000)))
                    copying = asyncio.ensure_future(_copied(connection, table, rows))
                    await asyncio.sleep(chance.random() * 0.02)
                    copying.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await asyncio.wait_for(copying, HANG_SECONDS)
                assert await asyncio.wait_for(stored(engine, table), HANG_SECONDS) == 0
            await gone(engine)

    asyncio.run(run())


async def _copied(connection: AsyncConnection, table: sa.Table, rows: Any) -> int:
    copied: int = await pgflight.copy_in(connection, table, rows, ["n", "s"])
    return copied


@TABLES
@pytest.mark.parametrize("rows", [endless, partial(hanging, 1), partial(hanging, 2500)])
def test_a_timeout(pgflight_dialect: Dialect, table: sa.Table, rows: Any) -> None:
    async def run() -> Any:
        engine = pgflight_dialect.engine(pool_size=1, max_overflow=0)
        async with committed(engine, table.metadata):
            async with engine.connect() as connection:
                said = r"within 0\.2 seconds \(timeout of the COPY\)"
                with pytest.raises(asyncio.TimeoutError, match=said):
                    copying = pgflight.copy_in(connection, table, rows(), ["n", "s"], timeout=0.2)
                    await asyncio.wait_for(copying, HANG_SECONDS)
                # SQLAlchemy replaces a connection whose statement has timed out
                await connection.rollback()
                assert await connection.scalar(sa.text("SELECT 42")) == 42
                assert await pgflight.copy_in(connection, table, [(1, "a")], ["n", "s"]) == 1
                await connection.commit()
            return await stored(engine, table)

    assert asyncio.run(run()) == 1


@TABLES
def test_a_timeout_behind_a_lock(pgflight_dialect: Dialect, table: sa.Table) -> None:
    async def run() -> Any:
        engine = pgflight_dialect.engine()
        async with committed(engine, table.metadata):
            async with engine.connect() as holder, engine.connect() as connection:
                await connection.execute(sa.text("SELECT 1"))
                await pgflight.copy_in(connection, table, [(1, "a")], ["n", "s"])
                await connection.commit()
                await holder.execute(sa.text(f"CREATE UNIQUE INDEX ON {table.name} (n)"))
                await holder.commit()
                await holder.execute(table.insert(), {"n": 7, "s": "a"})
                # waits for the holder's row, while more rows than the socket holds are sent
                with pytest.raises(asyncio.TimeoutError):
                    rows = ((7 + n, PADDING) for n in range(200_000))
                    copying = pgflight.copy_in(connection, table, rows, ["n", "s"], timeout=0.3)
                    await asyncio.wait_for(copying, HANG_SECONDS)
                await connection.rollback()
                await holder.rollback()
            return await stored(engine, table)

    assert asyncio.run(run()) == 1


@TABLES
def test_a_connection_that_is_lost(pgflight_dialect: Dialect, table: sa.Table) -> None:
    async def run() -> None:
        engine = pgflight_dialect.engine(pool_size=2, max_overflow=0)
        async with committed(engine, table.metadata):
            async with engine.connect() as connection, engine.connect() as killer:
                pid = await connection.scalar(sa.text("SELECT pg_backend_pid()"))
                copying = asyncio.ensure_future(_copied(connection, table, endless()))
                await asyncio.sleep(0.05)
                await killer.execute(sa.text(f"SELECT pg_terminate_backend({pid})"))
                await killer.commit()
                with pytest.raises((sa.exc.DBAPIError, OSError)):
                    await asyncio.wait_for(copying, HANG_SECONDS)
                assert connection.invalidated
            assert await stored(engine, table) == 0

    asyncio.run(run())


def test_somebody_elses_statement_waits_its_turn(pgflight_dialect: Dialect) -> None:
    async def run() -> Any:
        engine = pgflight_dialect.engine()
        async with committed(engine, binary.metadata):
            async with engine.connect() as connection:
                adapted: Any = (await connection.get_raw_connection()).dbapi_connection
                begun = asyncio.Event()
                copying = asyncio.ensure_future(_copied(connection, binary, _slowly(begun)))
                await begun.wait()

                def ask() -> Any:
                    cursor = adapted.cursor()
                    cursor.execute(f"SELECT count(*) FROM {binary.name}")
                    return cursor.fetchall()[0][0]

                counted = await asyncio.wait_for(greenlet_spawn(ask), HANG_SECONDS)
                return await copying, counted

    assert asyncio.run(run()) == (3, 3)


async def _slowly(begun: asyncio.Event) -> AsyncIterator[tuple[int, str]]:
    yield 0, "x"  # read before the COPY begins
    begun.set()
    for n in (1, 2):
        await asyncio.sleep(0.02)
        yield n, "x"
