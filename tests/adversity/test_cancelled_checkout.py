"""Cancelled just when a checkout or a reset finds a connection unfit, a task gives its place back.

SQLAlchemy's pool does not expect to be cancelled while it closes the unfit connection: its place
in the pool would be taken until the garbage collector comes by.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

from fastpg import driver
from tests.adversity.server_view import pool_of
from tests.fixtures.engines import Dialect
from tests.fixtures.proxy import Proxy
from tests.parity.test_disconnects import pid_of


@pytest.fixture
def no_garbage_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def cancelled_when_unfit(
    engine: AsyncEngine, work: Callable[[AsyncEngine], Coroutine[Any, Any, Any]]
) -> None:
    """Do something, and be cancelled at the first await after a connection was found unfit."""
    invalidated: list[Any] = []

    @event.listens_for(engine.sync_engine, "invalidate")
    def on_invalidate(*args: Any) -> None:
        if not invalidated:
            task.cancel()
        invalidated.append(args)

    task = asyncio.ensure_future(work(engine))
    await asyncio.wait({task})
    assert invalidated
    assert task.cancelled() or not task.exception()


def refuse_once(engine: AsyncEngine) -> None:
    """Have a listener of the program refuse the next connection."""
    refusals = [DisconnectionError("not this one")]

    @event.listens_for(engine.sync_engine, "checkout")
    def refuse(*args: Any) -> None:
        if refusals:
            raise refusals.pop()


def closed_by_the_program(engine: AsyncEngine) -> None:
    """Close every connection of the pool behind its back."""
    for record in list(pool_of(engine)._pool._queue._queue):  # type: ignore[attr-defined]
        record.dbapi_connection._connection.terminate()


PINGED = {"pool_pre_ping": True, "ping_bypass_window": 0}
UNFIT: dict[str, tuple[dict[str, Any], Callable[[AsyncEngine], None]]] = {
    "lost": ({}, closed_by_the_program),
    "refused": ({}, refuse_once),
    "lost, pinged": (PINGED, closed_by_the_program),
}


@pytest.mark.usefixtures("no_garbage_collection")
@pytest.mark.parametrize("unfit", UNFIT)
def test_the_place_is_given_back(fastpg_dialect: Dialect, unfit: str) -> None:
    options, make_unfit = UNFIT[unfit]

    async def work() -> None:
        engine = fastpg_dialect.engine(pool_size=1, max_overflow=0, pool_timeout=1, **options)
        await pid_of(engine)
        make_unfit(engine)
        await cancelled_when_unfit(engine, pid_of)
        assert pool_of(engine).checkedout() == 0
        assert await pid_of(engine)

    asyncio.run(work())


@pytest.mark.usefixtures("no_garbage_collection")
def test_a_ping_that_is_not_answered(fastpg_dialect: Dialect, proxy: Proxy) -> None:
    async def work() -> None:
        pool: dict[str, Any] = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 1, **PINGED}
        engine = fastpg_dialect.engine(via=proxy, **pool)
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
        proxy.reset()
        await cancelled_when_unfit(engine, pid_of)
        assert pool_of(engine).checkedout() == 0
        assert await pid_of(engine)

    asyncio.run(work())


async def close_unshielded(engine: AsyncEngine) -> None:
    """Read, and close as a session does in its commit(), where a cancellation comes through."""
    connection = await engine.connect()
    await connection.execute(text("SELECT 1"))
    sync: Any = connection.sync_connection
    await greenlet_spawn(sync.close)


@pytest.mark.skipif(not driver.can_pipeline(), reason="level public waits for the farewell")
@pytest.mark.usefixtures("no_garbage_collection")
def test_a_reset_that_fails(fastpg_dialect: Dialect) -> None:
    async def work() -> None:
        engine = fastpg_dialect.engine(pool_size=1, max_overflow=0, pool_timeout=1)
        failures = [TimeoutError("the reset took too long")]

        @event.listens_for(engine.sync_engine, "reset")
        def fail(*args: Any) -> None:
            if failures:
                raise failures.pop()

        await cancelled_when_unfit(engine, close_unshielded)
        assert pool_of(engine).checkedout() == 0
        assert await pid_of(engine)

    asyncio.run(work())
