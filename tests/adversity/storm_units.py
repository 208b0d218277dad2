"""Units of work for the storms: mixed reads and writes, each of which leaves all of it or nothing.

`test_cancel_storm.py` cancels them at random moments, in `test_server_cancels.py` the server does.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tests.parity.scratch import own

ROWS_PER_UNIT = 2
MANY = 40
SERIES = sa.text("SELECT n, repeat('x', 20) AS s FROM generate_series(1, :n) AS n")
ACCOUNTS = 64


class Base(DeclarativeBase):
    pass


class Account(Base):
    """Two accounts belong together: they are always changed to the same value."""

    __tablename__ = own("accounts_of_storms")
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    value: Mapped[int]


pairs = sa.Table(
    own("pairs_of_storms"),
    Base.metadata,
    sa.Column("unit", sa.Integer, index=True),
    sa.Column("part", sa.Integer),
)
many = sa.Table(
    own("many_of_storms"),
    Base.metadata,
    sa.Column("unit", sa.Integer, index=True),
    sa.Column("part", sa.Integer),
)
INSERT_MANY = sa.text(f"INSERT INTO {many.name} VALUES (:unit, :part)")
large = sa.Table(
    own("large_of_storms"),
    Base.metadata,
    sa.Column("unit", sa.Integer, index=True),
    sa.Column("part", sa.Integer),
    sa.Column("s", sa.Text),
)
INSERT_LARGE = sa.text(f"INSERT INTO {large.name} VALUES (:unit, :part, :s)")
LARGE = 2000


class Unit:
    """One unit of work: its number, and how far it came before something happened to it."""

    _numbers = itertools.count()

    def __init__(self, engine: AsyncEngine, worker: int) -> None:
        self.engine = engine
        self.worker = worker
        self.number = next(self._numbers)
        self.at = "start"
        self.has_connection = asyncio.Event()

    @asynccontextmanager
    async def opened(
        self, opening: AbstractAsyncContextManager[AsyncConnection]
    ) -> AsyncIterator[AsyncConnection]:
        """Say when the connection is there, for who wants to aim at what comes then."""
        async with opening as connection:
            self.has_connection.set()
            yield connection

    async def plain(self) -> None:
        """Run one plain SELECT, no more."""
        async with self.opened(self.engine.connect()) as connection:
            value = await connection.scalar(sa.select(sa.literal(self.number)))
            assert value == self.number

    async def two_reads(self) -> None:
        """Read twice, with rollback() in between."""
        async with self.opened(self.engine.connect()) as connection:
            assert await connection.scalar(sa.select(sa.literal(self.number))) == self.number
            await connection.rollback()
            assert await connection.scalar(sa.text("SELECT 42")) == 42

    async def uncached(self) -> None:
        """Run a statement that no connection has seen."""
        async with self.opened(self.engine.connect()) as connection:
            value = await connection.scalar(sa.text(f"SELECT {self.number} + :one"), {"one": 1})
            assert value == self.number + 1

    async def sleeps(self) -> None:
        """Be in the server for some milliseconds."""
        async with self.opened(self.engine.connect()) as connection:
            await connection.execute(sa.text("SELECT pg_sleep(0.003)"))

    async def rows(self) -> None:
        """Receive many rows at once."""
        async with self.opened(self.engine.connect()) as connection:
            result = await connection.execute(SERIES, {"n": 20_000})
            assert len(result.all()) == 20_000

    async def stream(self) -> None:
        """Receive rows through a server-side cursor."""
        async with self.opened(self.engine.connect()) as connection:
            result = await connection.stream(SERIES, {"n": 500})
            assert [row.n async for row in result] == list(range(1, 501))

    async def pair(self) -> None:
        """Insert two rows that belong together."""
        async with self.opened(self.engine.connect()) as connection:
            await connection.execute(pairs.insert().values(unit=self.number, part=1))
            await connection.execute(pairs.insert().values(unit=self.number, part=2))
            self.at = "commit"
            await connection.commit()
            self.at = "done"

    async def pair_with_read(self) -> None:
        """The same behind a plain SELECT in the same transaction, through begin()."""
        async with self.opened(self.engine.begin()) as connection:
            assert await connection.scalar(sa.text("SELECT 42")) == 42
            for part in (1, 2):
                await connection.execute(pairs.insert().values(unit=self.number, part=part))
            self.at = "commit"
        self.at = "done"

    async def raw_pair(self) -> None:
        """Insert the second row with the driver's connection, in the same transaction."""
        async with self.opened(self.engine.connect()) as connection:
            await connection.execute(pairs.insert().values(unit=self.number, part=1))
            raw: Any = (await connection.get_raw_connection()).driver_connection
            await raw.execute(f"INSERT INTO {pairs.name} VALUES ($1, 2)", self.number)
            self.at = "commit"
            await connection.commit()
            self.at = "done"

    async def raw_read(self) -> None:
        """Use the driver's connection after a plain SELECT whose end may be pending."""
        async with self.opened(self.engine.connect()) as connection:
            await connection.scalar(sa.text("SELECT 42"))
            await connection.rollback()
            raw: Any = (await connection.get_raw_connection()).driver_connection
            assert await raw.fetchval("SELECT $1::int", self.number) == self.number

    async def executemany(self) -> None:
        """Insert rows with the driver's executemany()."""
        sets = [{"unit": self.number, "part": part} for part in range(MANY)]
        async with self.opened(self.engine.begin()) as connection:
            await connection.execute(INSERT_MANY, sets)

    async def large_executemany(self) -> None:
        """Insert more than asyncpg sends in one piece: cancelled, the built-in dialect hangs."""
        sets = [{"unit": self.number, "part": part, "s": "x" * 100} for part in range(LARGE)]
        async with self.opened(self.engine.begin()) as connection:
            await connection.execute(INSERT_LARGE, sets)

    async def orm(self) -> None:
        """Get two objects, modify them, commit: flush, UPDATEs and COMMIT."""
        async with AsyncSession(self.engine) as session:
            self.has_connection.set()
            for account in (self.worker * 2, self.worker * 2 + 1):
                found = await session.get(Account, account)
                assert found is not None
                found.value = self.number
            await session.commit()


Work = Callable[[Unit], Coroutine[Any, Any, None]]
PAIRS: tuple[Work, ...] = (Unit.pair, Unit.pair_with_read, Unit.raw_pair)
MIXED: tuple[Work, ...] = (
    *(Unit.plain, Unit.two_reads, Unit.uncached, Unit.sleeps, Unit.rows, Unit.stream),
    *(Unit.plain, Unit.raw_read, Unit.executemany, Unit.orm, *PAIRS),
)
LARGE_TOO: tuple[Work, ...] = (*MIXED, Unit.large_executemany)


async def create(engine: AsyncEngine) -> None:
    """Create the tables, with the accounts in them."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
        await connection.run_sync(Base.metadata.create_all)
        accounts = [{"id": number, "value": -1} for number in range(ACCOUNTS)]
        await connection.execute(sa.insert(Account), accounts)


async def drop(engine: AsyncEngine) -> None:
    """Drop the tables."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)


async def rows_of_pairs(engine: AsyncEngine) -> dict[int, int]:
    """Return how many rows each unit has in the table of pairs."""
    return await _rows(engine, pairs)


async def halves(engine: AsyncEngine) -> list[Any]:
    """Return the units of which a part is there and a part is not."""
    found: list[Any] = []
    for table, whole in ((pairs, ROWS_PER_UNIT), (many, MANY), (large, LARGE)):
        counts = await _rows(engine, table)
        found += [(table.name, unit, count) for unit, count in counts.items() if count != whole]
    async with engine.connect() as connection:
        values = dict((await connection.execute(sa.select(Account.id, Account.value))).all())
    for first in range(0, ACCOUNTS, 2):
        if values[first] != values[first + 1]:
            found.append((Account.__tablename__, first, values[first], values[first + 1]))
    return found


async def _rows(engine: AsyncEngine, table: sa.Table) -> dict[int, int]:
    counts = sa.select(table.c.unit, sa.func.count()).group_by(table.c.unit)
    async with engine.connect() as connection:
        rows = (await connection.execute(counts)).all()
    return {row[0]: row[1] for row in rows}


def summary(outcomes: Counter[str]) -> str:
    """Return the outcomes in one line."""
    return ", ".join(f"{count} {name}" for name, count in outcomes.most_common(8))
