"""An executemany that ends in the middle of its answers: nobody goes on counting them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from pgflight import driver
from tests.fixtures.engines import Dialect
from tests.fixtures.proxy import Proxy
from tests.parity.scratch import own

pytestmark = pytest.mark.skipif(not driver.is_private(), reason="the tags pass unseen")

TABLE = own("counts_cut_off")
INSERT = text(f"INSERT INTO {TABLE} VALUES (:key)")
SETS = [{"key": key} for key in range(1000)]
PATIENCE = 30

End = Callable[["asyncio.Task[Any]", asyncpg.Connection, int], Awaitable[Any]]


async def _wait_for_lock(other: asyncpg.Connection, pid: int) -> None:
    waits = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $1"
    while not await other.fetchval(waits, pid):
        await asyncio.sleep(0.01)


async def _ended_in_the_middle(dialect: Dialect, proxy: Proxy, end: End) -> tuple[Any, bool]:
    """End an executemany whose 501st row waits for a lock; run the same again.

    Return the error, and whether the second one had the same connection.
    """
    other = await asyncpg.connect(dialect.server.url("postgresql").render_as_string(False))
    await other.execute(f"DROP TABLE IF EXISTS {TABLE}")
    await other.execute(f"CREATE TABLE {TABLE} (key int PRIMARY KEY)")
    try:
        holding = other.transaction()
        await holding.start()
        await other.execute(f"INSERT INTO {TABLE} VALUES (500)")
        engine = dialect.engine(via=proxy, pool_size=1, max_overflow=0)
        async with engine.connect() as connection:
            raw: Any = (await connection.get_raw_connection()).driver_connection
            receiver, pid = raw._transport.get_protocol(), raw.get_server_pid()
            task = asyncio.ensure_future(connection.execute(INSERT, SETS))
            await asyncio.wait_for(_wait_for_lock(other, pid), PATIENCE)
            assert receiver.overhear is not None
            await end(task, other, pid)
            (outcome,) = await asyncio.gather(task, return_exceptions=True)
        assert receiver.overhear is None
        await holding.rollback()
        for _ in range(2):
            async with engine.connect() as connection:
                raw = (await connection.get_raw_connection()).driver_connection
                assert (await connection.execute(INSERT, SETS)).rowcount == len(SETS)
        return outcome, raw.get_server_pid() == pid
    finally:
        await other.execute(f"DROP TABLE {TABLE}")
        await other.close()


def test_cancelled_by_the_task(pgflight_dialect: Dialect, proxy: Proxy) -> None:
    async def end(task: Any, other: Any, pid: int) -> None:
        task.cancel()

    outcome, same = asyncio.run(_ended_in_the_middle(pgflight_dialect, proxy, end))
    assert isinstance(outcome, asyncio.CancelledError)
    assert not same


def test_cancelled_by_the_server(pgflight_dialect: Dialect, proxy: Proxy) -> None:
    async def end(task: Any, other: Any, pid: int) -> None:
        assert await other.fetchval("SELECT pg_cancel_backend($1)", pid)

    outcome, same = asyncio.run(_ended_in_the_middle(pgflight_dialect, proxy, end))
    assert outcome.orig.pgcode == "57014"
    assert same


def test_the_connection_is_reset(pgflight_dialect: Dialect, proxy: Proxy) -> None:
    async def end(task: Any, other: Any, pid: int) -> None:
        assert proxy.reset()
        # the server learns of it when it wants to answer
        await other.execute("SELECT pg_terminate_backend($1)", pid)

    outcome, same = asyncio.run(_ended_in_the_middle(pgflight_dialect, proxy, end))
    assert outcome.connection_invalidated
    assert not same
