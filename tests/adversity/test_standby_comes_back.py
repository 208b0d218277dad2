"""Engines that read from a standby come back to one, without a read that fails or waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

import pgflight
from tests.fixtures.engines import Dialect
from tests.fixtures.replication import Replicated, replicated

PORT = sa.text("SELECT current_setting('port')")
POOL = 3
BACK = "a standby is there again"


@pytest.fixture(scope="module")
def running() -> Iterator[Replicated]:
    with replicated() as pair:
        yield pair


@pytest.fixture
def pair() -> Iterator[Replicated]:
    with replicated() as pair:
        yield pair


async def ports(engine: AsyncEngine) -> list[str]:
    """Return the servers that the pool's connections lead to."""
    connections = [await engine.connect() for _ in range(POOL)]
    try:
        return [str(await connection.scalar(PORT)) for connection in connections]
    finally:
        for connection in connections:
            await connection.close()


async def until_all_are(engine: AsyncEngine, port: int) -> None:
    """Go on reading until all connections lead to a server; a read that fails fails the test."""
    while set(await ports(engine)) != {str(port)}:
        await asyncio.sleep(0.05)


def skip_where_nobody_says(pair: Replicated) -> None:
    if pair.old.version < (14, 0):
        pytest.skip("servers before PostgreSQL 14 do not say that they are standbys")


def engine_for(dialect: Dialect, pair: Replicated, wanted: str, **options: Any) -> AsyncEngine:
    url = pair.url(target_session_attrs=wanted)
    return dialect.engine(url, **{"pool_size": POOL, "max_overflow": 0, **options})


def test_a_standby_that_was_away(pgflight_dialect: Dialect, running: Replicated) -> None:
    skip_where_nobody_says(running)

    async def work() -> None:
        engine = engine_for(pgflight_dialect, running, "prefer-standby")
        assert set(await ports(engine)) == {str(running.new.port)}
        await asyncio.to_thread(running.new.pause, "immediate")
        await until_all_are(engine, running.old.port)  # at checkout, nothing fails either
        for _ in range(3):
            assert set(await ports(engine)) == {str(running.old.port)}
        await asyncio.to_thread(running.new.resume)
        await until_all_are(engine, running.new.port)
        assert pgflight.stats(engine).healed[BACK] == POOL

    asyncio.run(work())


def test_where_the_program_has_its_hands_on_it(
    pgflight_dialect: Dialect, running: Replicated
) -> None:
    """A connection that may have listeners, or settings of its own, stays where it is."""
    skip_where_nobody_says(running)

    async def work() -> None:
        await asyncio.to_thread(running.new.pause, "immediate")
        engine = engine_for(pgflight_dialect, running, "prefer-standby", pool_size=1)
        async with engine.connect() as connection:
            raw = await connection.get_raw_connection()
            assert raw.driver_connection is not None
        await asyncio.to_thread(running.new.resume)
        await asyncio.sleep(1.5)  # by when one would have been looked for
        for _ in range(5):
            async with engine.connect() as connection:
                assert str(await connection.scalar(PORT)) == str(running.old.port)
            await asyncio.sleep(0.05)
        assert BACK not in pgflight.stats(engine).healed

    asyncio.run(work())


def test_an_engine_that_is_disposed_of_looks_no_further(
    pgflight_dialect: Dialect, running: Replicated
) -> None:
    """Neither a task nor a session is left: `asyncio.run` and the fixture would tell."""
    skip_where_nobody_says(running)

    async def work() -> None:
        await asyncio.to_thread(running.new.pause, "immediate")
        engine = engine_for(pgflight_dialect, running, "prefer-standby", pool_size=1)
        async with engine.connect() as connection:
            await connection.scalar(PORT)
        await asyncio.to_thread(running.new.resume)
        servers = engine.dialect.dbapi.standby_servers  # type: ignore[union-attr]
        while not servers.is_ready():
            async with engine.connect() as connection:
                await connection.scalar(PORT)
            await asyncio.sleep(0.01)
        await engine.dispose()
        assert not servers.is_ready()
        name = {"server_settings": {"application_name": "observer"}}
        observer = pgflight_dialect.engine(running.new.url(), connect_args=name)
        others = sa.text(
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
            " AND application_name <> 'observer'"
        )
        async with observer.connect() as connection:
            while await connection.scalar(others):
                await connection.rollback()
                await asyncio.sleep(0.02)

    asyncio.run(work())


@pytest.mark.parametrize("wanted", ["standby", "read-only", "prefer-standby"])
def test_a_standby_that_is_promoted(
    pgflight_dialect: Dialect, pair: Replicated, wanted: str
) -> None:
    """It goes on being read from until there is another, as on the built-in dialect."""
    skip_where_nobody_says(pair)

    async def work() -> None:
        engine = engine_for(pgflight_dialect, pair, wanted)
        assert set(await ports(engine)) == {str(pair.new.port)}
        await asyncio.to_thread(pair.old.pause)
        await pair.promote()
        for _ in range(20):
            assert set(await ports(engine)) == {str(pair.new.port)}
            await asyncio.sleep(0.05)
        await asyncio.to_thread(pair.old.resume_as_standby_of, pair.new)
        await until_all_are(engine, pair.old.port)
        assert pgflight.stats(engine).healed[BACK] == POOL
        async with engine.connect() as connection:
            with pytest.raises(DBAPIError, match="read-only"):
                await connection.exec_driver_sql("CREATE TABLE refused (n integer)")

    asyncio.run(work())
