"""One adapted connection that is kept and used again after each cancellation.

SQLAlchemy throws a connection away when its task was cancelled; a program that drives the DBAPI
connection itself need not. Whatever was cut off, the connection's idea of its transaction must be
the server's once it has been used again, and a rollback must make it as new.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

from pgflight import driver
from tests.adversity.server_view import View, check_flag
from tests.fixtures.engines import Dialect
from tests.fixtures.scale import scaled

pytestmark = pytest.mark.skipif(
    not driver.can_pipeline(),
    reason="level public closes a connection whose BEGIN is interrupted",
)

ROUNDS = scaled(700, least=140)
LONGEST_DELAY = 0.006
MOST_TURNS = 12
HANG_SECONDS = 15.0
ABORTED = "25P02"
TABLE = "CREATE TEMPORARY TABLE kept (n int, s text)"
INSERT = "INSERT INTO kept VALUES ($1, $2)"
LARGE = [(n, "x" * 100) for n in range(2000)]


def one(connection: Any, number: int) -> None:
    """Run a statement that is prepared already."""
    cursor = connection.cursor()
    cursor.execute("SELECT $1::int", (number,))
    assert cursor.fetchall() == [(number,)]
    cursor.close()


def uncached(connection: Any, number: int) -> None:
    """Run a statement never seen before."""
    cursor = connection.cursor()
    cursor.execute(f"SELECT {number} + $1::int", (1,))
    assert cursor.fetchall() == [(number + 1,)]
    cursor.close()


def sleeps(connection: Any, number: int) -> None:
    """Be in the server for a while."""
    connection.cursor().execute("SELECT pg_sleep(0.003)")


def rows(connection: Any, number: int) -> None:
    """Receive many rows."""
    cursor = connection.cursor()
    cursor.execute("SELECT n, repeat('x', 20) FROM generate_series(1, 20000) AS n")
    assert len(cursor.fetchall()) == 20_000


def portal(connection: Any, number: int) -> None:
    """Receive rows through a server-side cursor."""
    cursor = connection.cursor(server_side=True)
    cursor.execute("SELECT n FROM generate_series(1, 300) AS n")
    assert len(cursor.fetchall()) == 300
    cursor.close()


def several(connection: Any, number: int) -> None:
    """Insert a few rows with executemany(); a cancellation of that costs the connection."""
    connection.cursor().executemany(INSERT, LARGE[:30])


def large(connection: Any, number: int) -> None:
    """Insert what asyncpg sends in several pieces."""
    connection.cursor().executemany(INSERT, LARGE)


def commits(connection: Any, number: int) -> None:
    """Insert and commit."""
    connection.cursor().execute(INSERT, (number, "committed"))
    connection.commit()


def rolls_back(connection: Any, number: int) -> None:
    """Read and roll back, twice: the second BEGIN may meet the first ROLLBACK."""
    for _ in range(2):
        one(connection, number)
        connection.rollback()


WORKS: tuple[Callable[[Any, int], None], ...] = (
    *(one, uncached, sleeps, rows, portal, several, large, commits, rolls_back),
)


@pytest.mark.parametrize("mode", ["auto", "begin", "off"])
def test_what_it_believes_is_what_the_server_says(pgflight_dialect: Dialect, mode: str) -> None:
    seed = int(os.environ.get("PGFLIGHT_TEST_SEED") or random.randrange(1 << 32))
    print(f"PGFLIGHT_TEST_SEED={seed}")
    asyncio.run(kept(pgflight_dialect, mode, random.Random(seed)))


async def kept(dialect: Dialect, mode: str, chance: random.Random) -> None:
    engine = dialect.engine(pool_size=1, max_overflow=1, pipeline=mode)
    outcomes: Counter[str] = Counter()
    async with View.of(dialect.server) as view:
        fairy = await opened(engine)
        for number in range(ROUNDS):
            connection: Any = fairy.dbapi_connection
            work = chance.choice(WORKS)
            task = asyncio.ensure_future(greenlet_spawn(work, connection, number))
            if chance.random() < 0.5:
                await asyncio.sleep(chance.uniform(0, LONGEST_DELAY))
            else:
                for _ in range(chance.randrange(MOST_TURNS)):
                    await asyncio.sleep(0)
            task.cancel()
            _, pending = await asyncio.wait({task}, timeout=HANG_SECONDS)
            assert not pending, f"{work.__name__} hangs in round {number}"
            if not task.cancelled():
                task.result()
            outcomes["cancelled" if task.cancelled() else "done"] += 1
            if connection._connection.is_closed():
                assert work in (several, large), f"{work.__name__} has cost the connection"
                outcomes["replaced"] += 1
                await greenlet_spawn(fairy.invalidate)
                fairy = await opened(engine)
                continue
            if chance.random() < 0.5:
                outcomes[await used_again(connection, number)] += 1
                await check_flag(connection, view)
            await asyncio.wait_for(greenlet_spawn(connection.rollback), HANG_SECONDS)
            await check_flag(connection, view)
            assert connection.session.unit.transaction is None
        await greenlet_spawn(fairy.close)
    print(dict(outcomes))


async def opened(engine: AsyncEngine) -> Any:
    """Check a connection out, with the table that the rounds insert into."""
    fairy: Any = await engine.raw_connection()

    def prepare() -> None:
        connection = fairy.dbapi_connection
        connection.cursor().execute(TABLE)
        connection.cursor().executemany(INSERT, LARGE[:2])
        connection.commit()
        one(connection, 0)
        connection.rollback()

    await greenlet_spawn(prepare)
    return fairy


async def used_again(connection: Any, number: int) -> str:
    """Run a statement behind the cancelled one: it succeeds, or the transaction is aborted."""
    try:
        await asyncio.wait_for(greenlet_spawn(one, connection, number), HANG_SECONDS)
    except connection.dbapi.Error as error:
        if error.sqlstate != ABORTED:
            raise
        return "aborted"
    return "goes on"
