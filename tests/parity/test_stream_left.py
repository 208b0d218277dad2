"""`pgflight.stream` left early: the connection, the pool of one, and what the server keeps."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import pgflight
from tests.fixtures.engines import Dialect
from tests.parity.scratch import committed, own

SERIES = sa.text("SELECT n, repeat('x', 100) AS s FROM generate_series(1, 5000) AS n")
FAILING = sa.text("SELECT n, 1 / (350 - n) AS q FROM generate_series(1, 3000) AS n")
HELD = sa.text("SELECT count(*) FROM pg_cursors WHERE name LIKE 'pgflight%'")
STAGES = (0, 1, 99, 100, 101, 250, 300, 4999, 5000)
"""Rows read before the stream is left, in batches of 100: begun, in a batch, between two, at the
end."""
ISOLATIONS = pytest.mark.parametrize("isolation", [None, "AUTOCOMMIT"])


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = own("items_of_streams")
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class Left(Exception):
    """The reason for leaving."""


def run(dialect: Dialect, isolation: str | None, body: Callable[..., Awaitable[Any]]) -> Any:
    """Run a body with the engine, then look at the server: nothing of it is left."""

    async def work() -> Any:
        options: Any = {} if isolation is None else {"isolation_level": isolation}
        engine = dialect.engine(pool_size=1, max_overflow=0, pool_timeout=20, **options)
        found = await asyncio.wait_for(body(engine), 60)
        async with engine.connect() as connection:
            pid = await connection.scalar(sa.text("SELECT pg_backend_pid()"))
            assert await connection.scalar(HELD) == 0
        state = sa.text("SELECT state FROM pg_stat_activity WHERE pid = :pid")
        async with dialect.engine(isolation_level="AUTOCOMMIT").connect() as other:
            for _ in range(500):  # nobody has waited for the end
                if await other.scalar(state, {"pid": pid}) == "idle":
                    break
                await asyncio.sleep(0.02)
            assert await other.scalar(state, {"pid": pid}) == "idle"
        return found

    return asyncio.run(work())


async def answers(connection: AsyncConnection) -> None:
    assert await connection.scalar(sa.text("SELECT 42")) == 42


@ISOLATIONS
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("how", ["break", "aclose", "with", "error", "forget"])
def test_the_connection_goes_on(
    pgflight_dialect: Dialect, isolation: str | None, stage: int, how: str
) -> None:
    async def body(engine: AsyncEngine) -> None:
        async with engine.connect() as connection:
            await leave(connection, stage, how)
            await answers(connection)
            assert await connection.scalar(sa.select(sa.func.count()).select_from(sa.text(
                "(SELECT 1) AS one"
            ))) == 1  # fmt: skip
            if isolation is None:
                async with connection.begin_nested():
                    await answers(connection)

    run(pgflight_dialect, isolation, body)


async def leave(connection: Any, stage: int, how: str) -> None:
    stream = pgflight.stream(connection, SERIES, batch=100)
    if how == "forget":
        for _ in range(stage):
            await anext(stream)
        del stream
        gc.collect()
        return
    count = 0

    async def read() -> None:
        nonlocal count
        async for row in stream:
            count += 1
            assert row.n == count
            if count >= stage:
                if how == "error":
                    raise Left
                break

    if how == "with":
        async with stream:
            await read()
    elif how == "error":
        with pytest.raises(Left):
            await read()
    else:
        await read()
    if how == "aclose":
        await stream.aclose()
        await stream.aclose()
        assert [row async for row in stream] == []


@ISOLATIONS
@pytest.mark.parametrize("stage", [1, 101, 250])
@pytest.mark.parametrize("ending", ["commit", "rollback", "close", "invalidate"])
def test_the_transaction_ends_while_rows_are_read_ahead(
    pgflight_dialect: Dialect, isolation: str | None, stage: int, ending: str
) -> None:
    async def body(engine: AsyncEngine) -> None:
        async with engine.connect() as connection:
            stream = pgflight.stream(connection, SERIES, batch=100)
            for _ in range(stage):
                await anext(stream)
            await getattr(connection, ending)()
            if ending in ("commit", "rollback"):
                await answers(connection)
            await stream.aclose()

    run(pgflight_dialect, isolation, body)


@pytest.mark.parametrize("stage", [1, 101, 205])
def test_what_was_written_is_stored(pgflight_dialect: Dialect, stage: int) -> None:
    """Nothing that is read ahead aborts a transaction that has something to lose."""

    async def body(engine: AsyncEngine) -> list[int]:
        async with committed(engine, Base.metadata):
            async with AsyncSession(engine) as session:
                session.add(Item(id=1))
                await session.flush()
                async with pgflight.stream(session, FAILING, batch=100) as stream:
                    async for row in stream:
                        if row.n == stage:
                            break
                session.add(Item(id=2))
                await session.commit()
            async with AsyncSession(engine) as session:
                return list(await session.scalars(sa.select(Item.id).order_by(Item.id)))

    assert run(pgflight_dialect, None, body) == [1, 2]


@pytest.mark.parametrize("patience", [0.0, 0.05])
@pytest.mark.parametrize("stage", [101, 205, 300])
def test_an_error_in_rows_that_nobody_asked_for(
    pgflight_dialect: Dialect, stage: int, patience: float
) -> None:
    """The transaction goes on: it is begun again if the rows read ahead have aborted it."""

    async def body(engine: AsyncEngine) -> list[int]:
        async with committed(engine, Base.metadata):
            async with engine.connect() as connection:
                async with pgflight.stream(connection, FAILING, batch=100) as stream:
                    async for row in stream:
                        if row.n == stage:
                            await asyncio.sleep(patience)
                            break
                await answers(connection)
                await connection.execute(sa.insert(Item).values(id=7))
                await connection.commit()
                found = await connection.scalars(sa.select(Item.id))
                return list(found)

    assert run(pgflight_dialect, None, body) == [7]


def test_the_error_is_raised_by_its_batch(pgflight_dialect: Dialect) -> None:
    async def body(engine: AsyncEngine) -> int:
        count = 0
        async with engine.connect() as connection:
            with pytest.raises(exc.DataError, match="division by zero"):
                async for _ in pgflight.stream(connection, FAILING, batch=100):
                    count += 1
                    await asyncio.sleep(0.0001 if count % 50 else 0.01)
            with pytest.raises(exc.DBAPIError, match="aborted"):
                await connection.execute(sa.text("SELECT 1"))
            await connection.rollback()
            await answers(connection)
        return count

    assert run(pgflight_dialect, None, body) == 300


@ISOLATIONS
@pytest.mark.parametrize("delay", [0.0, 0.02, 0.15])
def test_cancelled_while_it_waits_for_rows(
    pgflight_dialect: Dialect, isolation: str | None, delay: float
) -> None:
    slow = sa.text("SELECT n, pg_sleep(0.001) FROM generate_series(1, 2000) AS n")

    async def body(engine: AsyncEngine) -> None:
        async def read() -> None:
            async with engine.connect() as connection:
                async with pgflight.stream(connection, slow, batch=50) as stream:
                    async for _ in stream:
                        pass

        loop = asyncio.get_running_loop()
        watching: Any = loop.get_exception_handler()

        def record(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            # asyncpg leaves it where its request to cancel is given up
            if str(context.get("exception")) != "unexpected connection_lost() call":
                watching(loop, context)

        loop.set_exception_handler(record)
        task = asyncio.ensure_future(read())
        await asyncio.sleep(delay)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with engine.connect() as connection:
            await answers(connection)

    run(pgflight_dialect, isolation, body)


def test_a_lost_connection(pgflight_dialect: Dialect) -> None:
    async def body(engine: AsyncEngine) -> None:
        async with engine.connect() as connection, pgflight_dialect.engine().connect() as other:
            pid = await connection.scalar(sa.text("SELECT pg_backend_pid()"))
            stream = pgflight.stream(connection, SERIES, batch=100)
            for _ in range(150):
                await anext(stream)
            await other.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
            with pytest.raises(exc.DBAPIError) as raised:
                async for _ in stream:
                    await asyncio.sleep(0)
            assert raised.value.connection_invalidated
            await stream.aclose()
            await connection.rollback()
            await answers(connection)

    run(pgflight_dialect, None, body)


def test_the_loop_ends_before_the_stream(pgflight_dialect: Dialect) -> None:
    """As with any asynchronous generator, nothing is said about it."""

    async def body(engine: AsyncEngine) -> Any:
        connection = await engine.connect()
        stream = pgflight.stream(connection, SERIES, batch=100)
        for _ in range(150):
            await anext(stream)
        await connection.close()
        return stream

    kept = run(pgflight_dialect, None, body)
    assert kept is not None
    del kept
    gc.collect()
