"""asyncpg's own connection, taken out of a unit of work or kept from one that is over.

Every answer comes late here, so that what a unit left to be collected is still under way when
the connection is used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from tests.fixtures.engines import Dialect
from tests.fixtures.outcome import Both, attempt
from tests.fixtures.waits import Waits
from tests.parity.raw_uses import NUMBER, USES, cancelled_at_once
from tests.parity.scratch import committed
from tests.parity.units_of_work import Base, Item

LATENCY = 0.001
"""Seconds, in each direction."""
OPTIONS: dict[str, Any] = {"pool_size": 1, "max_overflow": 0, "connect_args": {"ssl": False}}

Use = Callable[[Any, Any], Awaitable[Any]]
Place = Callable[[AsyncEngine, Use], Awaitable[Any]]


async def driver(connection: AsyncConnection) -> Any:
    return (await connection.get_raw_connection()).driver_connection


async def now(connection: AsyncConnection) -> Any:
    return await connection.scalar(sa.select(sa.func.now()))


async def within(engine: AsyncEngine, use: Use) -> Any:
    async with engine.connect() as connection:
        began = await now(connection)
        outcome = await attempt(use(await driver(connection), began))
        return [outcome, await attempt(connection.scalar(sa.text(NUMBER)))]


async def within_and_committed(engine: AsyncEngine, use: Use) -> Any:
    async def unit() -> Any:
        async with engine.begin() as connection:
            began = await now(connection)
            return await attempt(use(await driver(connection), began))

    return await attempt(unit())


async def within_a_stream(engine: AsyncEngine, use: Use) -> Any:
    async with engine.connect() as connection:
        result = await connection.stream(sa.text("SELECT i, now() FROM generate_series(1, 99) i"))
        began = (await result.fetchmany(2))[0][1]
        outcome = await attempt(use(await driver(connection), began))
        return [outcome, [row[0] for row in await result.fetchmany(5)]]


async def within_a_session(engine: AsyncEngine, use: Use) -> Any:
    async with AsyncSession(engine) as session:
        session.add(Item(name="of the session"))
        await session.flush()
        connection = await session.connection()
        outcome = await attempt(use(await driver(connection), await now(connection)))
        return [outcome, await attempt(session.scalar(sa.text(NUMBER)))]


async def before_the_first_statement(engine: AsyncEngine, use: Use) -> Any:
    async with engine.connect() as connection:
        await connection.begin()
        outcome = await attempt(use(await driver(connection), None))
        return [outcome, await attempt(connection.scalar(sa.text(NUMBER)))]


async def after_an_error(engine: AsyncEngine, use: Use) -> Any:
    async with engine.connect() as connection:
        began = await now(connection)
        await attempt(connection.execute(sa.text("SELECT 1/0")))
        return await attempt(use(await driver(connection), began))


async def after_an_error_at_once(engine: AsyncEngine, use: Use) -> Any:
    async with engine.connect() as connection:
        await attempt(connection.execute(sa.text("SELECT 1/0")))
        return await attempt(use(await driver(connection), None))


async def after_close(engine: AsyncEngine, use: Use) -> Any:
    async with engine.connect() as connection:
        raw = await driver(connection)
        began = await now(connection)
    return await attempt(use(raw, began))


async def after_rollback(engine: AsyncEngine, use: Use) -> Any:
    async with engine.connect() as connection:
        raw = await driver(connection)
        began = await now(connection)
        await connection.rollback()
        outcome = await attempt(use(raw, began))
        return [outcome, await attempt(connection.scalar(sa.text(NUMBER)))]


async def after_commit_of_reading(engine: AsyncEngine, use: Use) -> Any:
    async with engine.connect() as connection:
        await connection.execution_options(postgresql_readonly=True)
        raw = await driver(connection)
        began = await now(connection)
        await connection.commit()
        outcome = await attempt(use(raw, began))
    return outcome


async def after_a_stream(engine: AsyncEngine, use: Use) -> Any:
    async with engine.connect() as connection:
        raw = await driver(connection)
        began = await now(connection)
        result = await connection.stream(sa.text("SELECT generate_series(1, 99)"))
        await result.fetchmany(2)
    return await attempt(use(raw, began))


PLACES = (
    within, within_and_committed, within_a_stream, within_a_session, before_the_first_statement,
    after_an_error, after_an_error_at_once, after_close, after_rollback, after_commit_of_reading,
    after_a_stream,
)  # fmt: skip
each_use = pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)


async def server_side(dialect: Dialect, pid: int) -> Any:
    """Return what another connection sees of the one that was used."""
    aside = await dialect.server.connect()
    try:
        row = await aside.fetchrow(
            "SELECT state, xact_start IS NULL, backend_xid IS NULL"
            " FROM pg_stat_activity WHERE pid = $1",
            pid,
        )
        return row and tuple(row)
    finally:
        await aside.close()


@each_use
def test_a_use_of_the_raw_connection(both: Both, waits: Waits, use: Use) -> None:
    async def work(engine: AsyncEngine) -> Any:
        found = {}
        async with committed(engine, Base.metadata):
            for place in PLACES:
                async with engine.connect() as connection:
                    pid = (await driver(connection)).get_server_pid()
                await waits.settled()
                waits.proxy.latency = LATENCY
                try:
                    outcome = await place(engine, use)
                    # the pool's connection, whatever became of it, serves on
                    later = [await attempt(_count(engine)) for _ in range(2)]
                finally:
                    waits.proxy.latency = 0.0
                await waits.settled()
                seen = await server_side(both.builtin, pid)
                found[place.__name__] = [outcome, later, seen]
        return found

    both(work, via=waits.proxy, **OPTIONS)


@pytest.mark.parametrize(
    "place", [after_close, after_rollback, after_commit_of_reading], ids=lambda p: p.__name__
)
@pytest.mark.parametrize("turns", range(4))
def test_a_use_of_the_raw_connection_is_cancelled_at_once(
    both: Both, waits: Waits, place: Place, turns: int
) -> None:
    async def use(raw: Any, began: Any) -> Any:
        return await cancelled_at_once(raw, turns)

    async def work(engine: AsyncEngine) -> Any:
        async with engine.connect() as connection:
            await now(connection)
        await waits.settled()
        waits.proxy.latency = LATENCY
        outcome = await place(engine, use)
        waits.proxy.latency = 0.0
        async with engine.connect() as connection:
            pid = (await driver(connection)).get_server_pid()
            later = await connection.scalar(sa.text(NUMBER))
        await waits.settled()
        return [outcome, later, await server_side(both.builtin, pid)]

    both(work, via=waits.proxy, **OPTIONS)


async def _count(engine: AsyncEngine) -> Any:
    async with engine.connect() as connection:
        return await connection.scalar(sa.select(sa.func.count()).select_from(Item))


@pytest.mark.parametrize(
    "place", [after_close, after_rollback], ids=["after_close", "after_rollback"]
)
@pytest.mark.parametrize("method", ["close", "terminate"])
def test_the_raw_connection_is_closed(
    dialect: Dialect, waits: Waits, place: Place, method: str
) -> None:
    """Whatever is under way: no hang, and the pool recovers; ours without a failure."""

    async def end(raw: Any, began: Any) -> Any:
        outcome = getattr(raw, method)()
        if outcome is not None:
            await outcome
        return raw.is_closed()

    async def work() -> None:
        engine = dialect.engine(via=waits.proxy, **OPTIONS)
        async with engine.connect():
            pass
        waits.proxy.latency = LATENCY
        outcome = await place(engine, end)
        assert (outcome[0] if isinstance(outcome, list) else outcome) is True
        waits.proxy.latency = 0.0
        answers = []
        for _ in range(2):
            try:
                async with engine.connect() as connection:
                    answers.append(await connection.scalar(sa.text(NUMBER)))
            except sa.exc.DBAPIError:
                answers.append(None)
        assert answers[1] == 42
        assert answers[0] == 42 or not dialect.ours

    asyncio.run(work())


def test_run_async_finds_the_open_transaction(both: Both, waits: Waits) -> None:
    async def work(engine: AsyncEngine) -> Any:
        def ask(connection: sa.Connection) -> Any:
            began = connection.scalar(sa.select(sa.func.now()))
            adapted: Any = connection.connection.dbapi_connection
            same = adapted.run_async(lambda raw: raw.fetchval("SELECT now()")) == began
            inside = adapted.driver_connection.is_in_transaction()
            connection.rollback()
            after = adapted.run_async(lambda raw: raw.fetchval("SELECT now()")) == began
            return [same, inside, after, adapted.driver_connection.is_in_transaction()]

        waits.proxy.latency = LATENCY
        async with engine.connect() as connection:
            return await connection.run_sync(ask)

    assert both(work, via=waits.proxy, **OPTIONS) == [True, True, False, False]
