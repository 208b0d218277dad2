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
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

from pgflight import driver
from tests.adversity.server_view import Connections, pool_of
from tests.fixtures.engines import Dialect
from tests.fixtures.proxy import Proxy
from tests.parity.test_disconnects import pid_of
from tests.parity.test_liveness import refuse_once


@pytest.fixture(autouse=True)
def no_garbage_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def gives_its_place_back(
    engine: AsyncEngine, work: Callable[[AsyncEngine], Coroutine[Any, Any, Any]]
) -> None:
    """Do something, and be cancelled at the first await after its connection was found unfit."""
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
    assert pool_of(engine).checkedout() == 0
    assert await pid_of(engine)


PINGED = {"pool_pre_ping": True, "ping_bypass_window": 0}
UNFIT: dict[str, tuple[dict[str, Any], Callable[[AsyncEngine, Connections], None]]] = {
    "lost": ({}, lambda engine, opened: opened.terminate()),
    "refused": ({}, lambda engine, opened: refuse_once(engine)),
    "lost, pinged": (PINGED, lambda engine, opened: opened.terminate()),
}


@pytest.mark.parametrize("unfit", UNFIT)
def test_the_place_is_given_back(pgflight_dialect: Dialect, unfit: str) -> None:
    options, make_unfit = UNFIT[unfit]

    async def work() -> None:
        engine = pgflight_dialect.engine(pool_size=1, max_overflow=0, pool_timeout=1, **options)
        opened = Connections(engine)
        await pid_of(engine)
        make_unfit(engine, opened)
        await gives_its_place_back(engine, pid_of)

    asyncio.run(work())


def test_a_ping_that_is_not_answered(pgflight_dialect: Dialect, proxy: Proxy) -> None:
    async def work() -> None:
        pool: dict[str, Any] = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 1, **PINGED}
        engine = pgflight_dialect.engine(via=proxy, **pool)
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
        proxy.reset()
        await gives_its_place_back(engine, pid_of)

    asyncio.run(work())


async def close_unshielded(engine: AsyncEngine) -> None:
    """Read, and close as a session does in its commit(), where a cancellation comes through."""
    connection = await engine.connect()
    await connection.execute(text("SELECT 1"))
    sync: Any = connection.sync_connection
    await greenlet_spawn(sync.close)


@pytest.mark.skipif(not driver.can_pipeline(), reason="level public waits for the farewell")
def test_a_reset_that_fails(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(pool_size=1, max_overflow=0, pool_timeout=1)
        failures = [TimeoutError("the reset took too long")]

        @event.listens_for(engine.sync_engine, "reset")
        def fail(*args: Any) -> None:
            if failures:
                raise failures.pop()

        await gives_its_place_back(engine, close_unshielded)

    asyncio.run(work())
