"""The time that a program allows one statement, and the error of one that takes longer."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from pgflight import driver
from pgflight.dbapi.timeouts import StatementTimeoutError
from tests.adversity.server_view import pool_of
from tests.fixtures.engines import Dialect
from tests.fixtures.proxy import Proxy
from tests.parity.scratch import committed, own

SLOW = sa.text("SELECT pg_sleep(:seconds)")
PID = sa.text("SELECT pg_backend_pid()")
BOUND = {"timeout": 0.3}
MOST = 25.0
"""Seconds, of which a busy machine may take some: without a bound it would be for ever."""
metadata = sa.MetaData()
rows = sa.Table(own("rows_of_timeouts"), metadata, sa.Column("n", sa.Integer))
Work = Callable[[AsyncConnection], Awaitable[Any]]


async def by_statement(connection: AsyncConnection) -> None:
    await connection.execute(SLOW.execution_options(**BOUND), {"seconds": 30})


async def by_execution(connection: AsyncConnection) -> None:
    await connection.execute(SLOW, {"seconds": 30}, execution_options=BOUND)


async def by_its_other_name(connection: AsyncConnection) -> None:
    bound = {"asyncpg_timeout": 0.3}
    await connection.execute(SLOW, {"seconds": 30}, execution_options=bound)


async def by_connection(connection: AsyncConnection) -> None:
    await connection.execution_options(**BOUND)
    await connection.execute(SLOW, {"seconds": 30})


async def by_session(connection: AsyncConnection) -> None:
    async with AsyncSession(connection) as session:
        await session.execute(SLOW, {"seconds": 30}, execution_options=BOUND)


async def of_driver_sql(connection: AsyncConnection) -> None:
    await connection.exec_driver_sql("SELECT pg_sleep(30)", execution_options=BOUND)


async def of_command(connection: AsyncConnection) -> None:
    statement = sa.text("DO $$ BEGIN PERFORM pg_sleep(30); END $$")
    await connection.execute(statement, execution_options=BOUND)


async def of_executemany(connection: AsyncConnection) -> None:
    statement = sa.text("DELETE FROM pg_temp.none USING pg_sleep(:seconds) WHERE n = :n")
    await connection.execute(sa.text("CREATE TEMPORARY TABLE none (n integer)"))
    await connection.execute(sa.text("INSERT INTO pg_temp.none VALUES (1), (2)"))
    sets = [{"seconds": 0, "n": 1}, {"seconds": 30, "n": 2}]
    await connection.execute(statement, sets, execution_options=BOUND)


async def of_stream(connection: AsyncConnection) -> None:
    async with connection.stream(SLOW, {"seconds": 30}, execution_options=BOUND):
        pass


async def of_fetch(connection: AsyncConnection) -> None:
    slow = sa.text("SELECT n, pg_sleep(n / 900 * 30) FROM generate_series(1, 1000) AS n")
    async with connection.stream(slow, execution_options={**BOUND, "yield_per": 100}) as result:
        async for _ in result:
            pass


WAYS = (
    *(by_statement, by_execution, by_its_other_name, by_connection, by_session),
    *(of_driver_sql, of_command, of_executemany, of_stream, of_fetch),
)


@pytest.mark.parametrize("way", WAYS)
def test_a_statement_that_takes_longer(pgflight_dialect: Dialect, way: Work) -> None:
    """It ends in an OperationalError that is a TimeoutError, and costs no connection."""

    async def work() -> None:
        engine = pgflight_dialect.engine(pool_size=1, max_overflow=0)
        pids = set()
        for _ in range(2):
            connection = await engine.connect()
            pids.add(await connection.scalar(PID))
            with pytest.raises(OperationalError, match=r"within 0\.3 seconds") as raised:
                await asyncio.wait_for(way(connection), MOST)
            assert isinstance(raised.value, asyncio.TimeoutError)
            assert isinstance(raised.value, TimeoutError)
            assert raised.value.connection_invalidated
            assert "its transaction is rolled back" in str(raised.value)
            await connection.close()
        assert pool_of(engine).checkedout() == 0
        if driver.can_pipeline():
            assert len(pids) == 1

    asyncio.run(work())


def test_the_first_statement_of_a_connection(pgflight_dialect: Dialect) -> None:
    """Its flight proves what the connection leads to, for which asyncpg is configured anew."""

    async def work() -> None:
        engine = pgflight_dialect.engine()
        async with engine.connect(), engine.connect() as connection:
            raw: Any = await connection.get_raw_connection()
            asyncpg_s: Any = raw.dbapi_connection._connection
            own: Any = asyncpg_s._config if driver.is_private() else None
            with pytest.raises(StatementTimeoutError, match=r"within 0\.3 seconds"):
                await asyncio.wait_for(by_statement(connection), MOST)
            if driver.is_private():
                assert type(asyncpg_s._config) is type(own)
                assert asyncpg_s._config.command_timeout is None

    asyncio.run(work())


def test_the_builtin_dialect_raises_a_timeout_too(dialect: Dialect) -> None:
    """A program that catches TimeoutError goes on doing so."""

    async def work() -> None:
        engine = dialect.engine(connect_args={"command_timeout": 0.3})
        async with engine.connect() as connection:
            with pytest.raises(asyncio.TimeoutError):
                await connection.execute(SLOW, {"seconds": 30})
        async with engine.connect() as connection:
            await connection.execute(SLOW, {"seconds": 0})

    asyncio.run(work())


@pytest.mark.parametrize("hidden", [False, True])
def test_what_the_error_says(pgflight_dialect: Dialect, hidden: bool) -> None:
    seen: list[Any] = []

    async def work() -> StatementTimeoutError:
        engine = pgflight_dialect.engine(
            connect_args={"command_timeout": 0.3},
            hide_parameters=hidden,
            isolation_level="AUTOCOMMIT",
        )
        event.listen(
            engine.sync_engine,
            "handle_error",
            lambda context: seen.append(context.original_exception),
        )
        async with engine.connect() as connection:
            with pytest.raises(StatementTimeoutError) as raised:
                await connection.execute(SLOW, {"seconds": 30})
            return raised.value

    error = asyncio.run(work())
    assert seen == [error]
    text = str(error)
    assert "[SQL: SELECT pg_sleep($1" in text
    assert ("30" in text) is not hidden
    assert "it may have been executed all the same" in text
    if driver.is_private():
        assert "has not ended within 0.3 seconds (command_timeout), and is cancelled" in text
    assert error.orig is not None
    assert getattr(error.orig, "sqlstate", "") is None
    assert str(pickle.loads(pickle.dumps(error))) == text


def test_the_server_s_own_timeout_costs_no_connection(dialect: Dialect) -> None:
    """57014 is the server's word: the session goes on, on both dialects."""

    async def work() -> None:
        engine = dialect.engine(pool_size=1, max_overflow=0)
        async with engine.connect() as connection:
            pid = await connection.scalar(PID)
            await connection.execute(sa.text("SET LOCAL statement_timeout = 100"))
            with pytest.raises(OperationalError if dialect.ours else sa.exc.DBAPIError) as raised:
                await connection.execute(SLOW, {"seconds": 30})
            assert getattr(raised.value.orig, "sqlstate", "") == "57014"
            assert not raised.value.connection_invalidated
            await connection.rollback()
            assert await connection.scalar(PID) == pid

    asyncio.run(work())


@pytest.mark.skipif(not driver.is_private(), reason="asyncpg's own timer cannot be moved")
def test_it_may_be_longer_than_command_timeout(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(connect_args={"command_timeout": 0.4})
        async with engine.connect() as connection:
            for seconds in (30, float("inf")):
                await connection.execute(
                    SLOW, {"seconds": 0.8}, execution_options={"timeout": seconds}
                )
            with pytest.raises(asyncio.TimeoutError):
                await connection.execute(SLOW, {"seconds": 30}, execution_options={"timeout": None})

    asyncio.run(work())


def test_it_holds_for_its_statement_only(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine()
        async with engine.connect() as connection:
            await connection.execute(SLOW, {"seconds": 0}, execution_options={"timeout": 0.5})
            await connection.execute(SLOW, {"seconds": 1})
            result = await connection.stream(
                sa.text("SELECT generate_series(1, 500)"), execution_options={"timeout": 0.5}
            )
            await result.fetchmany(10)
            await connection.execute(SLOW, {"seconds": 1})
            assert len(await result.fetchall()) == 490
            await connection.commit()

    asyncio.run(work())


@pytest.mark.parametrize("value", [0, -1, float("nan"), "5", True, [1]])
@pytest.mark.parametrize("name", ["timeout", "asyncpg_timeout"])
def test_a_wrong_value_is_refused(pgflight_dialect: Dialect, name: str, value: Any) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(pool_size=1, max_overflow=0)
        async with engine.connect() as connection:
            with pytest.raises(ArgumentError, match=f"execution option {name}="):
                await connection.execute(PID, execution_options={name: value})
            assert await connection.scalar(PID)

    asyncio.run(work())


def test_tasks_on_one_connection_keep_their_own(pgflight_dialect: Dialect) -> None:
    """One has a bound and waits for the other, which has none."""

    async def work() -> None:
        engine = pgflight_dialect.engine()
        async with engine.connect() as connection:
            raw: Any = await connection.get_raw_connection()
            session = raw.dbapi_connection.session
            bound = driver.TimeBound(session.connection, 0.4)
            slow = asyncio.ensure_future(session.execute("SELECT pg_sleep(1)", ()))
            await asyncio.sleep(0.1)
            other = session.execute("SELECT 1", (), bound=bound)
            _, found, _ = await (bound.kept_by(other) if driver.is_private() else other)
            assert [tuple(row) for row in found] == [(1,)]
            await slow

    asyncio.run(work())


async def engine_bound(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.scalar(PID)


def test_a_silent_server(pgflight_dialect: Dialect, proxy: Proxy) -> None:
    """The error comes when the time is over: nobody waits for the cancellation."""

    async def work() -> None:
        engine = pgflight_dialect.engine(
            proxy.url(), pool_size=1, max_overflow=0, execution_options={"timeout": 1}
        )
        await engine_bound(engine)
        proxy.black_hole()
        started = asyncio.get_running_loop().time()
        with pytest.raises(StatementTimeoutError, match="within 1 seconds"):
            await asyncio.wait_for(engine_bound(engine), MOST)
        assert asyncio.get_running_loop().time() - started < MOST
        assert pool_of(engine).checkedout() == 0
        proxy.heal()
        await engine_bound(engine)

    asyncio.run(work())


def test_a_commit(pgflight_dialect: Dialect, proxy: Proxy) -> None:
    """Its outcome is unknown, and the error says so."""

    async def work() -> None:
        engine = pgflight_dialect.engine(proxy.url(), connect_args={"command_timeout": 1})
        async with committed(pgflight_dialect.engine(), metadata):
            connection = await engine.connect()
            await connection.execute(rows.insert(), {"n": 1})
            proxy.black_hole()
            with pytest.raises(OperationalError, match="may have been committed") as raised:
                await asyncio.wait_for(connection.commit(), MOST)
            assert isinstance(raised.value, asyncio.TimeoutError)
            proxy.heal()
            await connection.close()

    asyncio.run(work())
