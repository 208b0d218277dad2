"""A pooler that gives each transaction another session of the server than the one before."""

from __future__ import annotations

import asyncio

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.fixtures.engines import Dialect
from tests.fixtures.pgbouncer import Pgbouncer

DOCUMENT = {"a": [1, None, "x"]}
VALUES = sa.select(
    sa.literal(DOCUMENT, pg.JSONB),
    sa.literal(DOCUMENT, pg.JSON),
    sa.cast("10.0.0.1", pg.INET),
)


async def several_sessions(pgbouncer: Pgbouncer) -> None:
    """Have the pooler open as many sessions as it may."""
    clients = [await pgbouncer.connect() for _ in range(pgbouncer.pool_size)]
    await asyncio.gather(*(client.execute("SELECT pg_sleep(0.2)") for client in clients))
    for client in clients:
        await client.close()


async def units(engine: AsyncEngine) -> None:
    for _ in range(3):
        async with engine.connect() as connection:
            assert (await connection.execute(VALUES)).one() == (DOCUMENT, DOCUMENT, "10.0.0.1")


def test_codecs_of_new_connections(pgflight_dialect: Dialect, pgbouncer: Pgbouncer) -> None:
    """asyncpg 0.30 asks what a type is in two transactions; connecting failed at level public."""
    pgbouncer.reconfigure("server_round_robin = 1")

    async def work() -> None:
        await several_sessions(pgbouncer)
        for _ in range(4):
            engine = pgflight_dialect.engine(pgbouncer.url(), native_inet_types=False)
            await asyncio.gather(*(units(engine) for _ in range(3)))
            await engine.dispose()

    asyncio.run(work())
