"""The server cancels a ROLLBACK that nobody waits for: the next unit of work must not suffer.

The proxy holds its answers back for a while, so that the next unit is on its way when the refusal
comes, or lets them come at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pgflight import driver
from tests.fixtures.engines import Dialect
from tests.fixtures.sabotage import Sabotage

pytestmark = pytest.mark.skipif(not driver.can_pipeline(), reason="every end is waited for here")

PID = sa.text("SELECT pg_backend_pid()")
NUMBER = sa.text("SELECT CAST(:n AS int)")


async def cached(connection: AsyncConnection) -> Any:
    return await connection.scalar(NUMBER, {"n": 3})


async def uncached(connection: AsyncConnection) -> Any:
    return await connection.scalar(sa.text("SELECT 3 AS not_seen_before"))


async def many(connection: AsyncConnection) -> Any:
    await connection.execute(NUMBER, [{"n": 1}, {"n": 2}])
    return 3


async def streamed(connection: AsyncConnection) -> Any:
    rows = [row async for row in await connection.stream(NUMBER, {"n": 3})]
    return rows[0][0]


async def written(connection: AsyncConnection) -> Any:
    await connection.execute(sa.text("CREATE TEMP TABLE refused (n int) ON COMMIT DROP"))
    await connection.execute(sa.text("INSERT INTO refused VALUES (3)"))
    return await connection.scalar(sa.text("SELECT n FROM refused"))


Unit = Callable[[AsyncConnection], Awaitable[Any]]
UNITS = (cached, uncached, many, streamed, written)


async def prepared(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        await cached(connection)
        await many(connection)
        await connection.rollback()
        pid: int = await connection.scalar(PID)
        await connection.rollback()
    await asyncio.sleep(0.05)  # the last ROLLBACK is to pass the proxy in peace
    return pid


@pytest.mark.parametrize("delay", [0.0, 0.03], ids=["idle", "under-way"])
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.__name__)
def test_the_next_unit_does_not_suffer(
    pgflight_dialect: Dialect, sabotage: Sabotage, unit: Unit, delay: float
) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(via=sabotage.proxy, pool_size=1, max_overflow=0)
        pid = await prepared(engine)
        sabotage.proxy.latency = delay
        sabotage.cancel_next("ROLLBACK")
        async with engine.connect() as connection:
            assert await cached(connection) == 3
        if not delay:
            await asyncio.sleep(0.1)
        async with engine.begin() as connection:
            assert await unit(connection) == 3
            raw: Any = (await connection.get_raw_connection()).driver_connection
            assert raw.is_in_transaction()
        assert not raw.is_in_transaction()
        for _ in range(2):
            async with engine.connect() as connection:
                assert await connection.scalar(PID) == pid
        assert len(sabotage.done) == 1

    asyncio.run(work())


def test_neither_does_autocommit_later_on(pgflight_dialect: Dialect, sabotage: Sabotage) -> None:
    """What is under way in AUTOCOMMIT is refused by the server; what comes then is not."""

    async def work() -> None:
        engine = pgflight_dialect.engine(via=sabotage.proxy, pool_size=1, max_overflow=0)
        pid = await prepared(engine)
        sabotage.proxy.latency = 0.03
        sabotage.cancel_next("ROLLBACK")
        async with engine.connect() as connection:
            assert await cached(connection) == 3
        auto = engine.execution_options(isolation_level="AUTOCOMMIT")
        async with auto.connect() as connection:
            with pytest.raises(sa.exc.DBAPIError, match="current transaction is aborted"):
                await cached(connection)
            assert await cached(connection) == 3
            raw: Any = (await connection.get_raw_connection()).driver_connection
            assert not raw.is_in_transaction()
        async with engine.connect() as connection:
            assert await connection.scalar(PID) == pid

    asyncio.run(work())


def test_what_the_program_does_by_itself_is_cleared_away(
    pgflight_dialect: Dialect, sabotage: Sabotage
) -> None:
    """It is refused, too; the connection goes back into the pool without a transaction."""

    async def work() -> None:
        engine = pgflight_dialect.engine(via=sabotage.proxy, pool_size=1, max_overflow=0)
        pid = await prepared(engine)
        sabotage.proxy.latency = 0.03
        sabotage.cancel_next("ROLLBACK")
        async with engine.connect() as connection:
            assert await cached(connection) == 3
        async with engine.connect() as connection:
            raw: Any = (await connection.get_raw_connection()).driver_connection
            with pytest.raises(asyncpg.InFailedSQLTransactionError):
                await raw.fetchval("SELECT 1")
        assert not raw.is_in_transaction()
        async with engine.connect() as connection:
            assert await connection.scalar(PID) == pid

    asyncio.run(work())
