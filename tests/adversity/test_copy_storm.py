"""COPY in and out, 50 at a time, ended at random moments in every way that there is.

Afterwards each unit has left all of its rows or none, every connection is the pool's again, and no
session of the server is in a transaction.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

import pgflight
from pgflight import driver
from tests.adversity.server_view import View, pool_of
from tests.adversity.test_cancel_storm import CONNECT_CANCELLED, OLD_ASYNCPG
from tests.fixtures.engines import Dialect
from tests.parity.scratch import committed, own

# Not scaled down: as a rule each of the ways to end is gone by some of as many as these.
UNITS, TASKS, CLIENTS = 240, 12, 6
ROWS = 3000
MORE = 200
"""Units that may be added for each of the ways that none has gone: a busy machine cancels late."""
HANG_SECONDS = 60.0
FATES = ("", "cancel", "cancel twice", "terminate", "stop", "break")
WAYS = {"": "done", "cancel": "cancelled", "break": "broken"} | {
    fate: fate for fate in ("terminate", "stop")
}
"""The fates, and how a unit that meets one ends."""
metadata = sa.MetaData()
TABLES = [
    sa.Table(own("storm_of_copies"), metadata, sa.Column("unit", sa.Integer), sa.Column("s", type_))
    for type_ in (sa.Text,)
] + [
    sa.Table(
        own("storm_of_texts"), metadata, sa.Column("unit", sa.Integer), sa.Column("s", pg.TSVECTOR)
    )
]
SOURCE = sa.select(sa.text("n, repeat('x', 200) AS s FROM generate_series(1, 20000) AS n"))


_ENDING = "cannot switch to state"


class Broken(Exception):
    """The program's own."""


def rows_of(unit: int, number: int, *, broken: bool = False) -> Iterator[tuple[int, str]]:
    for _ in range(number):
        yield unit, "x" * 50
    if broken:
        raise Broken


async def slow_rows(unit: int, number: int, *, broken: bool = False) -> AsyncIterator[Any]:
    for n, row in enumerate(rows_of(unit, number, broken=broken)):
        if n % 500 == 0:
            await asyncio.sleep(0.002)
        yield row


class Storm:
    """The units, and the means to end them."""

    def __init__(self, engine: AsyncEngine, view: View, seed: int) -> None:
        self.engine = engine
        self.view = view
        self.chance = random.Random(seed)
        self.ends: Counter[str] = Counter()
        self.wrong: list[Any] = []

    async def unit(self, number: int, fate: str | None = None) -> None:
        """Do one COPY on a connection of its own, and end it in one of the ways."""
        chance = self.chance
        engine = self.engine
        automatic = chance.random() < 0.25
        if automatic:
            engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        fate = chance.choice(FATES) if fate is None else fate
        moment = chance.random() * 0.04
        doing: asyncio.Task[Any] | None = None
        try:
            async with engine.connect() as connection:
                pid = await connection.scalar(sa.text("SELECT pg_backend_pid()"))
                if chance.random() < 0.5:
                    await connection.rollback()
                nested = chance.random() < 0.4 and not automatic
                doing = asyncio.ensure_future(self.copy(connection, number, fate, nested))
                await self.end(doing, fate, pid, moment)
                await asyncio.wait_for(doing, HANG_SECONDS)
                if not automatic:
                    await connection.commit()
                self.ends["done"] += 1
        except asyncio.CancelledError:
            assert doing is not None and fate.startswith("cancel")
            self.ends["cancelled"] += 1
        except Broken:
            assert fate == "break"
            self.ends["broken"] += 1
        except sa.exc.DBAPIError as error:
            state = getattr(error.orig, "pgcode", None)
            assert fate in ("terminate", "stop"), error
            if fate == "stop":
                assert state == "57014", error
            else:
                # asyncpg, told of its end between two statements, says this until it is closed
                assert error.connection_invalidated or _ENDING in str(error), error
            self.ends[fate] += 1

    async def end(self, doing: asyncio.Task[Any], fate: str, pid: int, moment: float) -> None:
        """See to it that the unit meets its fate."""
        await asyncio.sleep(moment)
        if fate.startswith("cancel"):
            doing.cancel()
            if fate == "cancel twice":
                await asyncio.sleep(self.chance.random() * 0.002)
                doing.cancel()
        elif fate in ("terminate", "stop") and not doing.done():
            call = "pg_terminate_backend" if fate == "terminate" else "pg_cancel_backend"
            await self.view.connection.fetchval(f"SELECT {call}({pid})")
            if fate == "terminate":
                await self.gone(pid)

    async def gone(self, pid: int) -> None:
        """Wait for a session's end, which must not strike the next unit on its connection."""
        alive = f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}"
        while await self.view.connection.fetchval(alive):
            await asyncio.sleep(0.002)

    async def copy(self, connection: AsyncConnection, number: int, fate: str, nested: bool) -> None:
        """COPY in; in a savepoint, a failure leaves the transaction as it was, and then out."""
        if not nested:
            await self.copy_in(connection, number, fate)
            await self.copy_out(connection)
            return
        mine = sa.insert(TABLES[0]).values(unit=-number, s="before")
        await connection.execute(mine)
        try:
            async with connection.begin_nested():
                await self.copy_in(connection, number, fate)
        except Broken:
            assert await connection.scalar(self.count(TABLES[0], -number)) == 1
            assert await connection.scalar(self.count(TABLES[0], number)) == 0
            raise
        await self.copy_out(connection)

    async def copy_in(self, connection: AsyncConnection, number: int, fate: str) -> None:
        make: Any = self.chance.choice((rows_of, slow_rows))
        rows = make(number, ROWS, broken=fate == "break")
        copied = await pgflight.copy_in(connection, TABLES[number % 2], rows, ["unit", "s"])
        assert copied == ROWS

    async def copy_out(self, connection: AsyncConnection) -> None:
        form: Any = self.chance.choice((None, "csv", "binary"))
        leave = self.chance.choice((1, 3, 10**6))
        async with pgflight.copy_out(connection, SOURCE, format=form) as reading:
            async for _ in reading:
                leave -= 1
                if not leave:
                    break
        assert await connection.scalar(sa.text("SELECT 42")) == 42

    @staticmethod
    def count(table: sa.Table, unit: int) -> Any:
        return sa.select(sa.func.count()).select_from(table).where(table.c.unit == unit)


@pytest.mark.skipif(
    OLD_ASYNCPG, reason="whoever is cancelled while asyncpg < 0.32 cancels leaves it unusable"
)
@pytest.mark.parametrize("pipeline", ["auto", "begin", "off"])
def test_a_storm_of_copies(pgflight_dialect: Dialect, pipeline: str) -> None:
    application = own("storm_of_copies")

    unhandled: list[str] = []

    def record(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # asyncpg leaves it where the request to cancel is given up, as by closing the connection
        if str(context.get("exception")) == CONNECT_CANCELLED:
            return
        # what its public methods leave, where a COPY cannot begin any more, is out of reach
        lost = isinstance(context.get("exception"), asyncpg.ConnectionDoesNotExistError)
        if lost and driver.capabilities().level == "public":
            return
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
        numbers = iter(range(1, UNITS + 1))
        async with committed(plain, metadata), View.of(pgflight_dialect.server) as view:
            storm = Storm(engine, view, seed=len(pipeline))
            views = [view]

            async def worker() -> None:
                async with View.of(pgflight_dialect.server) as mine:
                    views.append(mine)
                    own_storm = Storm(engine, mine, seed=len(views) * 7 + len(pipeline))
                    for number in numbers:
                        await own_storm.unit(number)
                    storm.ends.update(own_storm.ends)

            async def others() -> None:
                for fate, way in WAYS.items():
                    for _ in range(MORE):
                        if not storm.ends[way]:
                            await storm.unit(next(more), fate)

            more = itertools.count(UNITS + 1)
            await asyncio.wait_for(asyncio.gather(*(worker() for _ in range(TASKS))), 300)
            await asyncio.wait_for(others(), 300)
            assert await view.at_rest(application) == []
            assert pool_of(engine).checkedout() == 0
            async with plain.connect() as connection:
                for table in TABLES:
                    counted = sa.select(table.c.unit, sa.func.count()).group_by(table.c.unit)
                    for unit, found in (await connection.execute(counted)).all():
                        assert found == (ROWS if unit > 0 else 1), unit
            for _ in range(CLIENTS):  # every connection of the pool is fit for use
                async with engine.connect() as connection:
                    assert await pgflight.copy_in(connection, TABLES[0], [(0, "x")]) == 1
            await engine.dispose()
            return storm.ends

    ends = asyncio.run(run())
    assert unhandled == []
    assert sum(ends.values()) >= UNITS
    assert set(WAYS.values()) <= set(+ends)  # each way was gone
