"""Connections that die, and a primary that is none any more: noticed, and the pool recovers."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import Any

import asyncpg
import pytest
import sqlalchemy.exc
from sqlalchemy import event, text
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
from sqlalchemy.ext.asyncio import AsyncEngine

from pgflight.dbapi.errors import translate
from tests.fixtures.engines import Dialect
from tests.fixtures.proxy import Proxy

PID = text("SELECT pg_backend_pid()")

BUILTIN_TRANSLATES = hasattr(AsyncAdapt_asyncpg_dbapi, "InternalClientError")
"""SQLAlchemy 2.0.40 lets the InternalClientError of a connection that just died through raw."""


def raises_like(dialect: Dialect) -> Any:
    """Expect what statements on a dead connection raise."""
    if dialect.ours or BUILTIN_TRANSLATES:
        return pytest.raises(sqlalchemy.exc.DBAPIError)
    return pytest.raises((sqlalchemy.exc.DBAPIError, asyncpg.InternalClientError))


async def kill(dialect: Dialect, pid: int) -> None:
    # a transaction would go on seeing the activity that it saw first
    engine = dialect.engine(isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        while await connection.scalar(
            text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid"), {"pid": pid}
        ):
            await asyncio.sleep(0.01)


async def pid_of(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        pid: int = await connection.scalar(PID)
        return pid


def test_a_backend_that_is_terminated_while_in_use(dialect: Dialect) -> None:
    async def work() -> None:
        engine = dialect.engine(pool_size=1, max_overflow=0)
        async with engine.connect() as connection:
            pid = await connection.scalar(PID)
            await kill(dialect, pid)
            with raises_like(dialect) as caught:
                await connection.scalar(text("SELECT 1"))
            if isinstance(caught.value, sqlalchemy.exc.DBAPIError):
                assert caught.value.connection_invalidated
                assert connection.invalidated
            else:
                await connection.invalidate()
        assert await pid_of(engine) != pid

    asyncio.run(work())


def test_all_pooled_connections_go_with_the_first_that_is_found_dead(dialect: Dialect) -> None:
    """Ours finds each of them dead before it is used."""

    async def work() -> None:
        engine = dialect.engine(pool_size=3, max_overflow=0)
        connections = [await engine.connect() for _ in range(3)]
        pids = [await connection.scalar(PID) for connection in connections]
        for connection in connections:
            await connection.close()
        for pid in pids:
            await kill(dialect, pid)
        with nullcontext() if dialect.ours else raises_like(dialect):
            await pid_of(engine)
        await asyncio.sleep(0.01)  # a pool dates its invalidation
        for _ in range(3):
            assert await pid_of(engine) not in pids

    asyncio.run(work())


def test_pre_ping_hides_a_dead_connection(dialect: Dialect) -> None:
    async def work() -> None:
        engine = dialect.engine(pool_size=1, max_overflow=0, pool_pre_ping=True)
        pid = await pid_of(engine)
        await kill(dialect, pid)
        try:
            assert await pid_of(engine) != pid
        except asyncpg.InternalClientError:  # when the ping meets the socket's end
            assert not (dialect.ours or BUILTIN_TRANSLATES)

    asyncio.run(work())


def test_a_connection_that_is_reset(dialect: Dialect, proxy: Proxy) -> None:
    async def work() -> None:
        engine = dialect.engine(via=proxy, pool_size=1, max_overflow=0)
        async with engine.connect() as connection:
            await connection.scalar(text("SELECT 1"))
            sleeping = asyncio.ensure_future(connection.scalar(text("SELECT pg_sleep(5)")))
            await asyncio.sleep(0.1)
            proxy.reset()
            with pytest.raises((sqlalchemy.exc.DBAPIError, OSError)):
                await sleeping
        assert await pid_of(engine)

    asyncio.run(work())


ENDING = ["57P01", "57P02", "57P03", "08006", "08003", "08P01"]
"""What a server says when it ends a session, and a foreign server through one that goes on."""


@pytest.mark.parametrize("fields", [{"S": "FATAL"}, {"S": "FATAL", "V": "FATAL"}, {}])
@pytest.mark.parametrize("sqlstate", ENDING)
def test_states_that_invalidate(
    pgflight_dialect: Dialect, sqlstate: str, fields: dict[str, str]
) -> None:
    """Also when the socket is still open, as behind a pooler that reports the server's end."""

    async def work() -> None:
        engine = pgflight_dialect.engine(pool_size=1, max_overflow=0)
        async with engine.connect() as connection:
            adapted: Any = (await connection.get_raw_connection()).dbapi_connection
            told = {"C": sqlstate, "M": "the end", **fields}
            error: Any = translate(asyncpg.exceptions.PostgresError.new(told))
            assert engine.dialect.is_disconnect(error, adapted, None)
            goes_on: Any = translate(asyncpg.exceptions.PostgresError.new({**told, "S": "ERROR"}))
            assert engine.dialect.is_disconnect(goes_on, adapted, None) == ("V" in fields)
            adapted.terminate()
            assert engine.dialect.is_disconnect(goes_on, adapted, None)

    asyncio.run(work())


@pytest.mark.parametrize("sqlstate", [*ENDING, "40001", "57014", "23505", "XX000", "53300"])
def test_states_that_do_not(dialect: Dialect, sqlstate: str) -> None:
    """An error of the statement: the server has said that it is ready for the next one."""

    async def work() -> None:
        engine = dialect.engine(pool_size=1, max_overflow=0)
        async with engine.connect() as connection:
            pid = await connection.scalar(PID)
            with pytest.raises(sqlalchemy.exc.DBAPIError) as caught:
                await connection.exec_driver_sql(f"DO $$ BEGIN RAISE SQLSTATE '{sqlstate}'; END $$")
            assert not caught.value.connection_invalidated
        assert await pid_of(engine) == pid

    asyncio.run(work())


READ_ONLY = "DO $$ BEGIN RAISE SQLSTATE '25006'; END $$"


async def after_a_refused_write(dialect: Dialect, engine: AsyncEngine, *before: str) -> bool:
    """Have a write refused as read-only; return whether the pool was invalidated."""
    async with engine.connect() as connection:
        pid = await connection.scalar(PID)
        for statement in before:
            await connection.exec_driver_sql(statement)
        with pytest.raises(sqlalchemy.exc.InternalError) as caught:
            await connection.exec_driver_sql(READ_ONLY)
        invalidated = bool(caught.value.connection_invalidated)
    assert (await pid_of(engine) != pid) is invalidated
    return bool(invalidated)


def test_a_demoted_primary_invalidates_the_pool(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(pool_size=1, max_overflow=0)
        assert await after_a_refused_write(pgflight_dialect, engine)

    asyncio.run(work())


@pytest.mark.parametrize(
    "before",
    [
        "SET TRANSACTION READ ONLY",
        "SET default_transaction_read_only = on",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    ],
)
def test_a_session_made_read_only_by_statement_does_not(
    pgflight_dialect: Dialect, before: str
) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(pool_size=1, max_overflow=0)
        assert not await after_a_refused_write(pgflight_dialect, engine, before)

    asyncio.run(work())


def test_a_transaction_begun_read_only_by_hand_does_not(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(isolation_level="AUTOCOMMIT", pool_size=1, max_overflow=0)
        async with engine.connect() as connection:
            await connection.exec_driver_sql("BEGIN READ ONLY")
            with pytest.raises(sqlalchemy.exc.InternalError) as caught:
                await connection.exec_driver_sql("CREATE TABLE refused (id int)")
            assert not caught.value.connection_invalidated
            await connection.exec_driver_sql("ROLLBACK")

    asyncio.run(work())


def test_a_choice_for_one_transaction_ends_with_it(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(pool_size=1, max_overflow=0)
        async with engine.begin() as connection:
            await connection.exec_driver_sql("SET TRANSACTION READ ONLY")
        async with engine.begin() as connection:
            await connection.exec_driver_sql("SET default_transaction_read_only = on")
            await connection.exec_driver_sql("SET default_transaction_read_only = off")
        assert await after_a_refused_write(pgflight_dialect, engine)

    asyncio.run(work())


def test_a_session_made_read_only_by_option_does_not(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(
            pool_size=1, max_overflow=0, execution_options={"postgresql_readonly": True}
        )
        assert not await after_a_refused_write(pgflight_dialect, engine)
        if pgflight_dialect.server.version >= (14, 0):  # older servers do not report the setting
            settings = {"default_transaction_read_only": "on"}
            engine = pgflight_dialect.engine(
                pool_size=1, max_overflow=0, connect_args={"server_settings": settings}
            )
            assert not await after_a_refused_write(pgflight_dialect, engine)

    asyncio.run(work())


def test_terminate_is_bounded_when_the_server_is_silent(
    pgflight_dialect: Dialect, proxy: Proxy
) -> None:
    """Two seconds for the farewell, then the socket is dropped."""

    async def work() -> float:
        engine = pgflight_dialect.engine(via=proxy, pool_size=1, max_overflow=0)
        connection = await engine.connect()
        await connection.scalar(text("SELECT 1"))
        proxy.black_hole()
        loop = asyncio.get_running_loop()
        start = loop.time()
        await connection.invalidate()
        took = loop.time() - start
        proxy.heal()
        await connection.close()
        return took

    assert asyncio.run(work()) < 10


def test_a_cancelled_statement_leaves_nothing_in_the_pool(dialect: Dialect) -> None:
    async def work() -> None:
        engine = dialect.engine(pool_size=1, max_overflow=0)
        invalidations: list[Any] = []
        event.listen(engine.sync_engine.pool, "invalidate", lambda *a: invalidations.append(a))
        for _ in range(5):
            with pytest.raises(asyncio.TimeoutError):
                async with engine.connect() as connection:
                    await asyncio.wait_for(
                        connection.execute(text("SELECT pg_sleep(5)")), timeout=0.1
                    )
            assert await pid_of(engine)
        assert len(invalidations) == 5

    asyncio.run(work())
