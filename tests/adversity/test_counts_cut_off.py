"""An executemany that ends in the middle of its answers: nobody goes on counting them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from fastpg import driver
from tests.fixtures.engines import Dialect
from tests.fixtures.proxy import Proxy
from tests.parity.scratch import own

pytestmark = pytest.mark.skipif(not driver.is_private(), reason="the tags pass unseen")

TABLE = own("counts_cut_off")
INSERT = text(f"INSERT INTO {TABLE} VALUES (:key)")
SETS = [{"key": key} for key in range(1000)]
HALF = 500


async def _in_the_middle(
    dialect: Dialect, proxy: Proxy, end: Callable[[asyncio.Task[Any], Any, int], Awaitable[None]]
) -> tuple[BaseException, Any, int, int]:
    """End an executemany that waits for a lock; return its error, and what the next one counts."""
    other = await asyncpg.connect(dialect.server.url("postgresql").render_as_string(False))
    await other.execute(f"DROP TABLE IF EXISTS {TABLE}")
    await other.execute(f"CREATE TABLE {TABLE} (key int PRIMARY KEY)")
    try:
        holding = other.transaction()
        await holding.start()
        await other.execute(f"INSERT INTO {TABLE} VALUES ({HALF})")
        engine = dialect.engine(via=proxy, pool_size=1, max_overflow=0)
        async with engine.connect() as connection:
            raw: Any = await connection.get_raw_connection()
            receiver = raw.driver_connection._transport.get_protocol()
            pid: int = raw.driver_connection.get_server_pid()
            task = asyncio.ensure_future(connection.execute(INSERT, SETS, {}))
            waits = f"SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = {pid}"
            async with asyncio.timeout(30) if hasattr(asyncio, "timeout") else _forever():
                while not await other.fetchval(waits):
                    await asyncio.sleep(0.01)
            assert receiver.overhear is not None
            await end(task, other, pid)
            (outcome,) = await asyncio.gather(task, return_exceptions=True)
            assert isinstance(outcome, BaseException)
        await holding.rollback()
        async with engine.begin() as connection:
            raw = await connection.get_raw_connection()
            same = raw.driver_connection.get_server_pid()
            count = (await connection.execute(INSERT, SETS)).rowcount
        return outcome, receiver.overhear, count, int(same == pid)
    finally:
        await other.execute(f"DROP TABLE {TABLE}")
        await other.close()
