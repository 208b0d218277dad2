"""Hundreds of streams, each ended at a random moment in one of the ways that there are.

Afterwards what was written is there or is not, as its unit says, every connection is the pool's
again, and no session of the server is in a transaction.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

import pgflight
from tests.adversity.server_view import View, pool_of
from tests.adversity.test_cancel_storm import CONNECT_CANCELLED, OLD_ASYNCPG
from tests.fixtures.engines import Dialect
from tests.fixtures.scale import scaled
from tests.parity.scratch import committed, own

UNITS, TASKS, CLIENTS = scaled(400, least=100), 8, 4
HANG_SECONDS = 60.0
FATES = ("", "cancel", "cancel", "cancel twice", "timeout", "break", "forget", "error")
metadata = sa.MetaData()
table = sa.Table(own("storm_of_streams"), metadata, sa.Column("unit", sa.Integer))
SOURCES = (
    sa.text("SELECT n, repeat('x', 200) AS s FROM generate_series(1, 3000) AS n"),
    sa.text("SELECT n, pg_sleep(0.00002)::text AS s FROM generate_series(1, 3000) AS n"),
    sa.text("SELECT n, 1 / (2500 - n) AS s FROM generate_series(1, 3000) AS n"),
)
COUNT = sa.select(sa.func.count()).select_from(table)


class Broken(Exception):
    """The program's own."""


class Storm:
    """The units, and what became of them."""

    def __init__(self, engine: AsyncEngine, seed: int) -> None:
        self.engine = engine
        self.chance = random.Random(seed)
        self.ends: Counter[str] = Counter()
        self.committed: set[int] = set()
        self.doubtful: set[int] = set()

    async def unit(self, number: int) -> None:
        """Read one stream on a connection of its own, and end it in one of the ways."""
        fate = self.chance.choice(FATES)
        doing = asyncio.ensure_future(self.read(number, fate))
        try:
            if fate.startswith("cancel"):
                await asyncio.sleep(self.chance.random() * 0.05)
                doing.cancel()
                if fate == "cancel twice":
                    await asyncio.sleep(self.chance.random() * 0.002)
                    doing.cancel()
            if fate == "timeout":
                await asyncio.wait_for(doing, self.chance.random() * 0.05)
            await asyncio.wait_for(doing, HANG_SECONDS)
            self.ends["done"] += 1
        except asyncio.CancelledError:
            assert fate.startswith("cancel")
            self.ends["cancelled"] += 1
        except (asyncio.TimeoutError, TimeoutError):
            assert fate == "timeout"
            self.ends["timeout"] += 1
        except Broken:
            assert fate == "error"
            self.ends["error"] += 1
        except sa.exc.DataError:
            self.ends["division"] += 1

    async def read(self, number: int, fate: str) -> None:
        chance = self.chance
        automatic = chance.random() < 0.3
        engine = self.engine
        if automatic:
            engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        most = chance.choice((1, 250, 900)) if fate in ("break", "forget", "error") else 10**6
        session = AsyncSession(engine)
        try:
            writes = chance.random() < 0.5
            if writes and chance.random() < 0.5:
                await session.execute(sa.insert(table).values(unit=number))
            stream = pgflight.stream(
                session,
                chance.choice(SOURCES),
                batch=chance.choice((1 if most == 1 else 50, 100, 1000)),
                max_bytes=chance.choice((None, None, 200_000)),
            )
            await self.consume(stream, most, fate)
            del stream
            assert await session.scalar(sa.text("SELECT 42")) == 42
            if writes:
                await session.execute(sa.delete(table).where(table.c.unit == number))
                await session.execute(sa.insert(table).values(unit=number))
                self.doubtful.add(number)
                await session.commit()
                self.committed.add(number)
        finally:
            await session.close()

    async def consume(self, stream: Any, most: int, fate: str) -> None:
        chance = self.chance
        pause = chance.choice((None, 0.0, 0.001))
        count = 0
        async with stream if fate != "forget" else Nothing():
            async for row in stream:
                count += 1
                assert row.n == count
                if count >= most:
                    if fate == "error":
                        raise Broken
                    break
                if pause is not None and count % 40 == 0:
                    await asyncio.sleep(pause)


class Nothing:
    """A context that does nothing."""

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, *exc_info: object) -> None:
        return None


@pytest.mark.skipif(
    OLD_ASYNCPG, reason="whoever is cancelled while asyncpg < 0.32 cancels leaves it unusable"
)
@pytest.mark.parametrize("pipeline", ["auto", "off"])
def test_a_storm_of_streams(pgflight_dialect: Dialect, pipeline: str) -> None:
    application = own("storm_of_streams")
    unhandled: list[str] = []

    def record(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # asyncpg leaves it where the request to cancel is given up, as by closing the connection
        if str(context.get("exception")) != CONNECT_CANCELLED:
            unhandled.append(str(context))

    async def run() -> Counter[str]:
        asyncio.get_running_loop().set_exception_handler(record)
        engine = pgflight_dialect.engine(
            pool_size=CLIENTS,
            max_overflow=0,
            pipeline=pipeline,
            connect_args={"server_settings": {"application_name": application}},
        )
        plain = pgflight_dialect.engine()
        numbers = iter(range(UNITS))
        async with committed(plain, metadata), View.of(pgflight_dialect.server) as view:
            storm = Storm(engine, seed=len(pipeline))

            async def worker() -> None:
                for number in numbers:
                    await storm.unit(number)

            await asyncio.wait_for(asyncio.gather(*(worker() for _ in range(TASKS))), 300)
            assert await view.at_rest(application) == []
            assert pool_of(engine).checkedout() == 0
            async with plain.connect() as connection:
                found = set(await connection.scalars(sa.select(table.c.unit)))
            assert storm.committed <= found
            held = sa.text("SELECT count(*) FROM pg_cursors WHERE name LIKE 'pgflight%'")
            for _ in range(CLIENTS):  # every connection of the pool is fit for use
                async with engine.connect() as connection:
                    assert await connection.scalar(held) == 0
                    rows = [row async for row in pgflight.stream(connection, SOURCES[0])]
                    assert len(rows) == 3000
            await engine.dispose()
            return storm.ends

    ends = asyncio.run(run())
    assert unhandled == []
    assert sum(ends.values()) == UNITS
    assert {"done", "cancelled", "timeout", "error", "division"} <= set(ends)
