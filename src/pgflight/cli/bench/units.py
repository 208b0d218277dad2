"""The units of work that are measured, and the table that they work on.

Each is what a web request does: from the checkout of a connection to its return, through
SQLAlchemy's public API, on any dialect.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from sqlalchemy import Index, bindparam, insert, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SCHEMA = "pgflight_bench"
ROWS = 10_000
"""Rows of the table that is read."""
INSERTED = 1_000
_PAGE = 50
_GROUPS = ROWS // _PAGE


class Base(DeclarativeBase):
    """The tables of the benchmark."""


class Entry(Base):
    """A row that is read and changed."""

    __tablename__ = "entry"
    __table_args__ = (Index("entry_page", "page"), {"schema": SCHEMA})

    id: Mapped[int] = mapped_column(primary_key=True)
    page: Mapped[int]
    name: Mapped[str]
    amount: Mapped[float]
    changes: Mapped[int]


class Arrival(Base):
    """A row that is inserted."""

    __tablename__ = "arrival"
    __table_args__ = ({"schema": SCHEMA},)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    amount: Mapped[float]


class Unit(NamedTuple):
    """One kind of unit of work; `rows` is how many it reads or writes."""

    name: str
    run: Callable[[AsyncEngine], Awaitable[None]]
    rows: int = 1


async def fill(engine: AsyncEngine) -> None:
    """Create the tables and the rows to be read."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        await connection.execute(
            text(
                f"INSERT INTO {SCHEMA}.entry (id, page, name, amount, changes)"
                f" SELECT n, n / {_PAGE}, 'entry ' || n, n * 0.25, 0"
                f" FROM generate_series(0, {ROWS - 1}) n"
            )
        )
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text(f"ANALYZE {SCHEMA}.entry"))


async def read_one(engine: AsyncEngine) -> None:
    """Read a row by its key."""
    wanted = random.randrange(ROWS)
    async with engine.connect() as connection:
        row = (await connection.execute(_ONE, {"wanted": wanted})).one()
    assert row.id == wanted, row


async def read_page(engine: AsyncEngine) -> None:
    """Read some rows as objects, as a list does."""
    page = random.randrange(_GROUPS)
    async with AsyncSession(engine) as session:
        found = (await session.scalars(_ON_PAGE, {"wanted": page})).all()
    assert len(found) == _PAGE, len(found)


async def insert_one(engine: AsyncEngine) -> None:
    """Insert a row, and learn its key."""
    async with engine.begin() as connection:
        await connection.execute(_ARRIVES, {"name": "one", "amount": 0.5})


async def change_one(engine: AsyncEngine) -> None:
    """Get an object, change it and commit."""
    async with AsyncSession(engine) as session:
        entry = await session.get_one(Entry, random.randrange(ROWS))
        entry.changes += 1
        await session.commit()


async def read_all(engine: AsyncEngine) -> None:
    """Read the whole table as rows."""
    async with engine.connect() as connection:
        rows = (await connection.execute(_ALL)).all()
    assert len(rows) == ROWS, len(rows)


async def insert_many(engine: AsyncEngine) -> None:
    """Insert many rows in one statement."""
    rows = [{"name": f"arrival {n}", "amount": n * 0.25} for n in range(INSERTED)]
    async with engine.begin() as connection:
        await connection.execute(insert(Arrival.__table__), rows)  # type: ignore[arg-type]


_ONE = select(Entry.id, Entry.name, Entry.amount).where(Entry.id == bindparam("wanted"))
_ON_PAGE = select(Entry).where(Entry.page == bindparam("wanted")).order_by(Entry.id)
_ALL = select(Entry.id, Entry.page, Entry.name, Entry.amount)
_ARRIVES = insert(Arrival).returning(Arrival.id)

UNITS = (
    Unit("read a row", read_one),
    Unit("list of 50 objects", read_page, _PAGE),
    Unit("insert a row", insert_one),
    Unit("get, change, commit", change_one),
)
"""What one task does, again and again."""
AT_ONCE = (UNITS[0], UNITS[-1])
"""What many tasks do at once."""
BULK = (
    Unit(f"read {ROWS:,} rows", read_all, ROWS),
    Unit(f"insert {INSERTED:,} rows", insert_many, INSERTED),
)
"""What is timed by the row."""
