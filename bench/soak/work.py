"""The units of work of the soak, and the ledger of what the program was told of each.

Every value that is read is compared with what it must be. Each unit says how far it has come, so
that an error can be told from one that nobody could have spared the program.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Coroutine
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

PARTS = 2
MANY = 40
ACCOUNTS = 64


class Base(DeclarativeBase):
    pass


class Account(Base):
    """Two accounts belong together: they are always changed to the same value."""

    __tablename__ = "soak_accounts"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    value: Mapped[int]


ledger = sa.Table(
    "soak_ledger",
    Base.metadata,
    sa.Column("unit", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("part", sa.Integer, primary_key=True, autoincrement=False),
)
shape = sa.Table("soak_shape", Base.metadata, sa.Column("v", sa.Integer))
SHAPE_VALUE = 7

DOCUMENT = {"a": [1, None, 2.5], "é": {"n": "x" * 40}}
VALUES = sa.select(
    *(sa.bindparam("n", type_=sa.Integer), sa.bindparam("d", type_=sa.Numeric)),
    *(sa.bindparam("j", type_=JSONB), sa.bindparam("a", type_=sa.ARRAY(sa.Integer))),
)
SERIES = sa.text("SELECT n, repeat('x', 20) AS s FROM generate_series(1, :n) AS n")


class WrongValue(Exception):
    """A value that was read is not what it must be."""


class Told:
    """What the program was told of the units that write: numbers of units."""

    def __init__(self) -> None:
        self.acknowledged: dict[int, int] = {}
        """With the number of rows that must be there."""
        self.refused: set[int] = set()
        """Failed before a COMMIT was asked for: no row may be there."""

    async def compare(self, engine: AsyncEngine) -> tuple[int, int, int]:
        """Return how many units are lost, half there, or there although they were refused."""
        counts = sa.select(ledger.c.unit, sa.func.count()).group_by(ledger.c.unit)
        async with engine.connect() as connection:
            stored = {row[0]: row[1] for row in await connection.execute(counts)}
            accounts = {
                row[0]: row[1]
                for row in await connection.execute(sa.select(Account.id, Account.value))
            }
        lost = sum(stored.get(unit) != rows for unit, rows in self.acknowledged.items())
        half = sum(count not in (PARTS, MANY) for count in stored.values())
        half += sum(accounts[n] != accounts[n + 1] for n in range(0, ACCOUNTS, 2))
        return lost, half, len(self.refused & stored.keys())


class Unit:
    """One unit of work; `at` is how far it has come."""

    _numbers = itertools.count(1)

    def __init__(self, engine: AsyncEngine, worker: int, told: Told) -> None:
        self.engine, self.worker, self.told = engine, worker, told
        self.number = next(self._numbers)
        self.at = "checkout"

    async def ask(self, connection: Any, statement: Any, values: Any = None) -> Any:
        """Execute a statement; the first of the unit is one that may be sent again."""
        if self.at == "checkout":
            self.at = "first statement"
        result = await connection.execute(statement, values)
        self.at = "later"
        return result

    def same(self, found: object, expected: object) -> None:
        """Raise WrongValue unless a value is what it must be, in its type, too."""
        if found != expected or type(found) is not type(expected):
            raise WrongValue(f"{found!r:.200} in place of {expected!r:.200}")

    async def reads(self) -> None:
        """Read values of several types."""
        values = {"n": self.number, "d": Decimal(self.number) / 8, "j": DOCUMENT, "a": [1, 2, 3]}
        async with self.engine.connect() as connection:
            row = (await self.ask(connection, VALUES, values)).one()
            self.same(tuple(row), tuple(values.values()))
            await connection.rollback()
            self.same((await self.ask(connection, sa.text("SELECT 42"))).scalar(), 42)

    async def reads_what_changes(self) -> None:
        """Read a column whose type is changed by others all the time."""
        async with self.engine.connect() as connection:
            found = (await self.ask(connection, sa.text(f"SELECT v FROM {shape.name}"))).scalar()
            if found not in (SHAPE_VALUE, str(SHAPE_VALUE)):
                raise WrongValue(f"{found!r} in place of {SHAPE_VALUE}")

    async def reads_many(self) -> None:
        """Read many rows at once."""
        async with self.engine.connect() as connection:
            rows = (await self.ask(connection, SERIES, {"n": 3000})).all()
            self.same([row.n for row in rows], list(range(1, 3001)))

    async def streams(self) -> None:
        """Read many rows piecemeal."""
        async with self.engine.connect() as connection:
            self.at = "first statement"
            result = await connection.stream(SERIES, {"n": 500})
            self.at = "later"
            self.same([row.n async for row in result], list(range(1, 501)))

    async def reads_new(self) -> None:
        """Execute a statement that no session has seen."""
        async with self.engine.connect() as connection:
            text = sa.text(f"SELECT CAST(:n AS integer) + {self.number % 500}")
            found = (await self.ask(connection, text, {"n": 1})).scalar()
            self.same(found, 1 + self.number % 500)

    async def writes(self) -> None:
        """Insert two rows that belong together."""
        async with self.engine.connect() as connection:
            for part in range(PARTS):
                row = {"unit": self.number, "part": part}
                await self.ask(connection, ledger.insert(), row)
            await self._commit(connection, PARTS)

    async def reads_and_writes(self) -> None:
        """Read, and insert many rows by one call."""
        async with self.engine.connect() as connection:
            self.same((await self.ask(connection, sa.text("SELECT 42"))).scalar(), 42)
            rows = [{"unit": self.number, "part": part} for part in range(MANY)]
            await self.ask(connection, ledger.insert(), rows)
            await self._commit(connection, MANY)

    async def _commit(self, connection: AsyncConnection | AsyncSession, rows: int) -> None:
        self.at = "COMMIT"
        await connection.commit()
        self.at = "done"
        if rows:
            self.told.acknowledged[self.number] = rows

    async def changes_objects(self) -> None:
        """Change two objects of the ORM."""
        async with AsyncSession(self.engine) as session:
            self.at = "first statement"
            first = self.worker * 2 % ACCOUNTS
            for account in (first, first + 1):
                found = await session.get(Account, account, with_for_update=True)
                self.at = "later"
                if found is None:
                    raise WrongValue(f"account {account} is not there")
                found.value = self.number
            await session.flush()
            await self._commit(session, 0)

    def failed(self) -> None:
        """Note an error: whether something of the unit may be there."""
        if self.at not in ("COMMIT", "done"):
            self.told.refused.add(self.number)


Work = Callable[[Unit], Coroutine[Any, Any, None]]
WORKS: tuple[Work, ...] = (
    *(Unit.reads, Unit.reads, Unit.reads_what_changes, Unit.reads_many, Unit.streams),
    *(Unit.reads_new, Unit.writes, Unit.writes, Unit.reads_and_writes, Unit.changes_objects),
)


async def run_bounded(work: Work, unit: Unit, chance: random.Random) -> None:
    """Run a unit, now and then under a bound that a program sets."""
    if chance.random() < 0.1:
        await asyncio.wait_for(work(unit), chance.uniform(0.05, 1.0))
    else:
        await work(unit)


async def create(engine: AsyncEngine) -> None:
    """Create the tables, with the rows that others change."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
        await connection.run_sync(Base.metadata.create_all)
        accounts = [{"id": number, "value": -1} for number in range(ACCOUNTS)]
        await connection.execute(sa.insert(Account), accounts)
        await connection.execute(shape.insert(), {"v": SHAPE_VALUE})
