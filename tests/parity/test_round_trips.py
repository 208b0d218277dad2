"""pgflight.stats(): units of work, round trips and pings, held against what the proxy counts."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import NullPool

import pgflight
from pgflight import driver
from pgflight.session.statistics import Statistics
from tests.fixtures.engines import Dialect
from tests.fixtures.proxy import Proxy

ONE = text("SELECT 1")


async def read(connection: AsyncConnection) -> None:
    await connection.execute(ONE)


async def two_and_commit(connection: AsyncConnection) -> None:
    await connection.execute(ONE)
    await connection.execute(text("SELECT 2"))
    await connection.commit()


async def nothing(connection: AsyncConnection) -> None:
    pass


async def many(connection: AsyncConnection) -> None:
    await connection.execute(text("SELECT CAST(:a AS INTEGER)"), [{"a": 1}, {"a": 2}])


async def stream(connection: AsyncConnection) -> None:
    result = await connection.stream(text("SELECT generate_series(1, 300)"))
    assert len(await result.scalars().all()) == 300


async def failing(connection: AsyncConnection) -> None:
    with pytest.raises(Exception, match="division by zero"):
        await connection.execute(text("SELECT 1/0"))


UNITS = [(read, 1), (two_and_commit, 1), (nothing, 0), (many, 1), (stream, 1), (failing, 1)]


async def measured(engine: AsyncEngine, proxy: Proxy, unit: Any) -> tuple[Statistics, int]:
    """Return what one unit of work adds to the numbers, and the round trips on the wire.

    A busy machine may carry an unawaited end to the proxy late: it is waited for, since it would
    be counted with the next unit else. Not with an engine's first connection, whose login is on
    the wire and in no number: measure `nothing` first.
    """
    before = pgflight.stats(engine)
    with proxy.counting() as trips:
        async with engine.connect() as connection:
            await unit(connection)
        numbers = await said(engine, before)
        for _ in range(500):
            if trips.count >= numbers.round_trips + numbers.deferred_ends:
                break
            await asyncio.sleep(0.01)
        numbers = await said(engine, before)
    return numbers, trips.count


async def said(engine: AsyncEngine, before: Statistics) -> Statistics:
    """Return what the engine has counted since `before`, a moment from now."""
    await asyncio.sleep(0.02)  # a pooled connection may have something left to say
    now = pgflight.stats(engine)
    numbers: Any = [a - b for a, b in zip(now[:10], before[:10], strict=True)]
    return Statistics(*numbers)


@pytest.mark.parametrize("mode", ["auto", "begin", "off"])
@pytest.mark.parametrize(("unit", "number"), UNITS, ids=lambda each: getattr(each, "__name__", ""))
def test_round_trips_are_those_on_the_wire(
    pgflight_dialect: Dialect, proxy: Proxy, unit: Any, number: int, mode: str
) -> None:
    if unit is stream and not driver.can_pipeline():
        pytest.skip("the last fetch, which asyncpg's own cursor does not send, is counted")

    async def work() -> None:
        engine = pgflight_dialect.engine(via=proxy, pool_size=1, max_overflow=0, pipeline=mode)
        await measured(engine, proxy, nothing)
        if unit is many:  # asyncpg prepares for itself, which it does not count
            await measured(engine, proxy, many)
        for _ in range(3):  # the first prepares
            numbers, trips = await measured(engine, proxy, unit)
            on_the_wire = numbers.round_trips + numbers.deferred_ends
            assert (numbers.units_of_work, on_the_wire) == (number, trips)

    asyncio.run(work())


SAVED = {
    ("auto", "read"): (2, 1),
    ("auto", "two_and_commit"): (1, 0),
    ("auto", "many"): (1, 0),
    ("auto", "failing"): (1, 0),
    ("begin", "read"): (1, 0),
    ("begin", "two_and_commit"): (1, 0),
    ("begin", "many"): (1, 0),
    ("begin", "failing"): (1, 0),
}
"""Waits saved and ends deferred in one unit of work, by mode and unit; none where it is missing."""


@pytest.mark.skipif(not driver.can_pipeline(), reason="the pipeline is off: nothing is saved")
@pytest.mark.parametrize("mode", ["auto", "begin", "off"])
@pytest.mark.parametrize("unit", [read, two_and_commit, nothing, many, failing])
def test_what_is_saved(pgflight_dialect: Dialect, proxy: Proxy, unit: Any, mode: str) -> None:
    """And what is saved and what is made are together what is made with the pipeline off."""

    async def work() -> None:
        engine, off = (
            pgflight_dialect.engine(via=proxy, pool_size=1, max_overflow=0, pipeline=each)
            for each in (mode, "off")
        )
        for _ in range(2):
            numbers, _trips = await measured(engine, proxy, unit)
            reference, _trips = await measured(off, proxy, unit)
        saved = SAVED.get((mode, unit.__name__), (0, 0))
        assert (numbers.round_trips_saved, numbers.deferred_ends) == saved
        assert numbers.round_trips + numbers.round_trips_saved == reference.round_trips

    asyncio.run(work())


def test_autocommit(pgflight_dialect: Dialect, proxy: Proxy) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(via=proxy, isolation_level="AUTOCOMMIT")
        await measured(engine, proxy, nothing)
        for expected in (2, 1):
            numbers, trips = await measured(engine, proxy, read)
            assert (numbers.units_of_work, numbers.round_trips, trips) == (1, expected, expected)

    asyncio.run(work())


@pytest.mark.skipif(not driver.can_pipeline(), reason="the pipeline is off: every checkout pings")
def test_pings(pgflight_dialect: Dialect, proxy: Proxy) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(via=proxy, pool_pre_ping=True, ping_bypass_window=60)
        await measured(engine, proxy, nothing)
        await measured(engine, proxy, read)
        numbers, trips = await measured(engine, proxy, nothing)
        assert (numbers.pings_saved, numbers.round_trips, trips) == (1, 0, 0)
        engine = pgflight_dialect.engine(via=proxy, pool_pre_ping=True, ping_bypass_window=0)
        await measured(engine, proxy, nothing)
        await measured(engine, proxy, read)
        await measured(engine, proxy, nothing)  # where pipelines are off, it prepares a statement
        numbers, trips = await measured(engine, proxy, nothing)
        assert (numbers.pings_saved, numbers.round_trips) == (0, trips)
        assert numbers.round_trips_saved == (2 if driver.can_pipeline() else 0)

    asyncio.run(work())


def test_nothing_is_lost_with_a_connection(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        kept = pgflight_dialect.engine()
        closing = pgflight_dialect.engine(poolclass=NullPool)
        for engine in (kept, closing):
            async with engine.connect() as connection:
                await read(connection)
        first = pgflight.stats(closing)
        for _ in range(3):
            async with closing.connect() as connection:
                await read(connection)
        async with closing.connect() as connection:
            await read(connection)
            await connection.invalidate()
        gc.collect()
        assert list(closing.dialect._counters._live) == []  # type: ignore[attr-defined]
        assert pgflight.stats(closing).units_of_work == pgflight.stats(kept).units_of_work + 4
        assert pgflight.stats(closing).round_trips > first.round_trips > 2

    asyncio.run(work())
