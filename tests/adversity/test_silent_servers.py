"""A server that stops answering, with no end of the connection: whatever waits for it has a bound.

The proxy accepts everything and forwards nothing, as a router that drops packets does.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from pgflight import driver
from tests.adversity.server_view import pool_of
from tests.fixtures.engines import Dialect
from tests.fixtures.proxy import Proxy
from tests.parity.scratch import committed, own

metadata = sa.MetaData()
rows = sa.Table(own("rows_of_silent_servers"), metadata, sa.Column("n", sa.Integer))
ONE = sa.text("SELECT 1")
BOUND = 1
MOST = 20.0
"""Seconds, of which a busy machine may take some: without a bound it would be for ever."""


def engine_of(dialect: Dialect, proxy: Proxy, **options: Any) -> AsyncEngine:
    bounds = {"reset_timeout": BOUND, "commit_timeout": BOUND, "timeout": BOUND}
    return dialect.engine(proxy.url(), connect_args=bounds, **options)


async def answer(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return int(await connection.scalar(ONE) or 0)


@pytest.fixture
def silent(proxy: Proxy) -> Any:
    """The proxy; it forwards again at the end, so that what is left can be closed."""
    yield proxy
    proxy.heal()


def test_logging_in(pgflight_dialect: Dialect, silent: Proxy) -> None:
    async def work() -> None:
        engine = engine_of(pgflight_dialect, silent)
        silent.black_hole()
        with pytest.raises(asyncio.TimeoutError, match=f"port {silent.port} within 1 seconds"):
            await asyncio.wait_for(engine.connect(), MOST)
        assert pool_of(engine).checkedout() == 0

    asyncio.run(work())


def test_the_bound_is_ten_seconds(pgflight_dialect: Dialect) -> None:
    """As libpq's users set it; asyncpg's own is 60. What the program says wins."""
    seen: list[Any] = []

    async def work(**options: Any) -> None:
        engine = pgflight_dialect.engine(**options)
        dbapi: Any = engine.dialect.dbapi
        connect = dbapi.refused_settings.connect

        async def noted(creator: Any, args: Any, arguments: Any) -> Any:
            seen.append(arguments["timeout"])
            return await connect(creator, args, arguments)

        dbapi.refused_settings.connect = noted
        async with engine.connect():
            pass

    for options in ({}, {"connect_args": {"timeout": 3}}):
        asyncio.run(work(**options))
    assert seen == [10.0, 3.0]


def test_the_first_question(pgflight_dialect: Dialect, silent: Proxy) -> None:
    async def work() -> None:
        engine = engine_of(pgflight_dialect, silent)

        @event.listens_for(engine.sync_engine, "do_connect")
        def connect(dialect: Any, record: Any, positional: Any, arguments: Any) -> Any:
            made = dialect.connect(*positional, **arguments)
            silent.black_hole()
            return made

        with pytest.raises(
            OperationalError, match=r"(first question|sets up a connection) within 1"
        ):
            await asyncio.wait_for(engine.connect(), MOST)
        assert pool_of(engine).checkedout() == 0

    asyncio.run(work())


@pytest.mark.parametrize("end", ["rollback", "check-in", "commit"])
def test_the_end_of_a_transaction(pgflight_dialect: Dialect, silent: Proxy, end: str) -> None:
    async def work() -> None:
        engine = engine_of(pgflight_dialect, silent, pool_size=1, max_overflow=0)
        async with committed(pgflight_dialect.engine(), metadata):
            connection = await engine.connect()
            await connection.execute(rows.insert(), {"n": 1})
            silent.black_hole()
            ways = {
                "rollback": connection.rollback,
                "commit": connection.commit,
                "check-in": connection.close,
            }
            try:
                text = "may have been committed" if end == "commit" else "ROLLBACK within 1"
                with pytest.raises(OperationalError, match=text) as caught:
                    await asyncio.wait_for(ways[end](), MOST)
                assert caught.value.connection_invalidated
                await connection.close()
                assert pool_of(engine).checkedout() == 0
            finally:
                silent.heal()  # or the server's session would keep its locks
            async with engine.connect() as connection:
                assert await connection.scalar(ONE) == 1

    asyncio.run(work())


@pytest.mark.parametrize("pinged", [False, True])
def test_what_it_left_unanswered(pgflight_dialect: Dialect, silent: Proxy, pinged: bool) -> None:
    """An end that nobody waited for is noticed before anything else is sent; so is a ping."""
    if not pinged and not driver.can_pipeline():
        pytest.skip("every end is waited for here")

    async def work() -> None:
        engine = engine_of(pgflight_dialect, silent, pool_size=1, pool_pre_ping=pinged)
        async with engine.connect() as connection:
            assert await connection.scalar(ONE) == 1
            if not pinged:
                silent.black_hole()
        if pinged:
            silent.black_hole()
        asyncio.get_running_loop().call_later(1.6, silent.heal)
        await asyncio.sleep(1.2)
        assert await asyncio.wait_for(answer(engine), MOST) == 1

    asyncio.run(work())


def test_disposing_of_a_pool(pgflight_dialect: Dialect, silent: Proxy) -> None:
    async def work() -> None:
        engine = engine_of(pgflight_dialect, silent, pool_size=10)
        connections = [await engine.connect() for _ in range(10)]
        for connection in connections:
            await connection.close()
        silent.black_hole()
        await asyncio.wait_for(engine.dispose(), MOST)

    asyncio.run(work())


def test_a_bound_of_the_programs_own(pgflight_dialect: Dialect, silent: Proxy) -> None:
    """It ends when it says; closing the connection goes on beside the program."""

    async def work() -> float:
        engine = engine_of(pgflight_dialect, silent, pool_size=1, max_overflow=0)
        async with engine.connect() as connection:
            assert await connection.scalar(ONE) == 1
        began = time.monotonic()
        silent.black_hole()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(answer(engine), 0.2)
        took = time.monotonic() - began
        assert pool_of(engine).checkedout() == 0
        silent.heal()
        async with engine.connect() as connection:
            assert await connection.scalar(ONE) == 1
        return took

    took = min(asyncio.run(work()) for _ in range(3))  # of three, in case the machine stands still
    assert took < 1.5


def test_no_bound_if_the_program_wants_none(pgflight_dialect: Dialect, silent: Proxy) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(silent.url(), connect_args={"reset_timeout": 0})
        connection = await engine.connect()
        await connection.execute(sa.text("SELECT pg_advisory_xact_lock(1)"))
        silent.black_hole()
        ending = asyncio.ensure_future(connection.rollback())
        done, _ = await asyncio.wait({ending}, timeout=1.5)
        assert not done
        silent.heal()
        await ending
        await connection.close()

    asyncio.run(work())


def test_an_error_is_a_disconnect(pgflight_dialect: Dialect, silent: Proxy) -> None:
    async def work() -> None:
        engine = engine_of(pgflight_dialect, silent, pool_size=1, isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            await connection.exec_driver_sql("BEGIN")
            silent.black_hole()
            with pytest.raises(DBAPIError) as caught:
                await asyncio.wait_for(connection.rollback(), MOST)
            assert caught.value.connection_invalidated

    asyncio.run(work())
