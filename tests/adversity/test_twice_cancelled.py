"""A connection that is kept, cancelled, and cancelled again while it finds out where it stands.

At each turn of the event loop in which the second cancellation can come, the connection's idea of
its transaction must afterwards be the server's, and what it commits must be committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from asyncpg import __version__ as asyncpg_version
from sqlalchemy.util import greenlet_spawn

from pgflight import driver
from tests.adversity.server_view import View, check_flag
from tests.fixtures.engines import Dialect

pytestmark = pytest.mark.skipif(
    not driver.can_pipeline(),
    reason="level public closes a connection whose BEGIN is interrupted",
)

TURNS = 12
TABLE = "CREATE TEMPORARY TABLE twice (n int)"


def value(connection: Any, statement: str, *parameters: Any) -> Any:
    """Return the one value of a statement."""
    cursor = connection.cursor()
    cursor.execute(statement, parameters)
    ((found,),) = cursor.fetchall()
    cursor.close()
    return found


async def cancelled_after(turns: int, body: Callable[..., Any], *arguments: Any) -> None:
    """Run `body`, and cancel it after some turns of the event loop; it may have ended by then."""
    task = asyncio.ensure_future(greenlet_spawn(body, *arguments))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled() or task.exception() is None or "25P02" in str(task.exception())


def insert_and_commit(connection: Any, number: int) -> None:
    """Insert a row, so that others can see it afterwards."""
    value(connection, "INSERT INTO twice VALUES ($1) RETURNING n", number)
    connection.commit()


@pytest.mark.skipif(
    tuple(map(int, asyncpg_version.split(".")[:2])) < (0, 32),
    reason="whoever is cancelled while asyncpg < 0.32 waits for a cancellation cancels what it"
    " waits for: every later operation of the connection raises CancelledError",
)
@pytest.mark.parametrize("mode", ["auto", "begin", "off"])
@pytest.mark.parametrize("second", ["statement", "commit", "rollback"])
def test_in_doubt_until_the_server_has_been_asked(
    pgflight_dialect: Dialect, mode: str, second: str
) -> None:
    asyncio.run(in_doubt(pgflight_dialect, mode, second))


async def in_doubt(dialect: Dialect, mode: str, second: str) -> None:
    engine = dialect.engine(pool_size=1, pipeline=mode)
    async with View.of(dialect.server) as view:
        fairy: Any = await engine.raw_connection()
        connection = fairy.dbapi_connection
        await greenlet_spawn(connection.execute, TABLE)
        await greenlet_spawn(connection.commit)
        seconds: dict[str, Callable[[], Any]] = {
            "statement": lambda: value(connection, "SELECT 2"),
            "commit": connection.commit,
            "rollback": connection.rollback,
        }
        for turns in range(TURNS):
            for first in range(2, 5):
                await cancelled_after(first, value, connection, "SELECT 1")
                await cancelled_after(turns, seconds[second])
                await greenlet_spawn(connection.rollback)
                await check_flag(connection, view)
                await greenlet_spawn(insert_and_commit, connection, turns)
                await check_flag(connection, view)
        count = await greenlet_spawn(value, connection, "SELECT count(*) FROM twice")
        assert count == TURNS * 3
        await greenlet_spawn(fairy.close)


def test_a_refused_statement_whose_recovery_is_cancelled(pgflight_dialect: Dialect) -> None:
    asyncio.run(refused(pgflight_dialect))


async def refused(dialect: Dialect) -> None:
    engine = dialect.engine(pool_size=1)
    interrupted = 0
    async with View.of(dialect.server) as view:
        fairy: Any = await engine.raw_connection()
        connection = fairy.dbapi_connection
        for number in range(60):
            statement = f"SELECT $1::int + {number}"
            task = asyncio.ensure_future(greenlet_spawn(value, connection, statement, "no number"))
            trips = connection.session.counters.trips
            while not task.done() and connection.session.counters.trips == trips:
                await asyncio.sleep(0)
            # BEGIN has left with the Parse, the arguments were refused, and a Sync is on its way
            task.cancel()
            await asyncio.wait({task})
            if task.cancelled():
                interrupted += 1
                assert connection.session.unit.transaction is None, "as if it knew"
            assert not connection.session.transactions.pipeline.begin_under_way
            await greenlet_spawn(connection.rollback)
            await check_flag(connection, view)
        await greenlet_spawn(fairy.close)
    assert interrupted
