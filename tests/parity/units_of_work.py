"""Units of work, how often each waits for the server, and the SQL that each sends.

The numbers are the whole point: `builtin` is what SQLAlchemy's own dialect needs, `auto` and
`begin` what ours may need at most in those modes of `pipeline`; `off` is the built-in's number.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import NullPool

from tests.fixtures.engines import Dialect
from tests.fixtures.waits import Waits
from tests.parity.scratch import own

Work = Callable[[AsyncEngine], Awaitable[Any]]

_numbers = itertools.count()
_AN_HOUR = 3600.0


class Base(DeclarativeBase):
    """The table of these units."""


class Item(Base):
    """A row."""

    __tablename__ = own("items_of_waits")

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


items = Item.__table__
SELECT = sa.select(items.c.name).where(items.c.id == 1)
THOUSAND = sa.select(sa.func.generate_series(1, 1000))


async def read(engine: AsyncEngine) -> Any:
    async with engine.connect() as connection:
        return await connection.scalar(SELECT)


async def write(engine: AsyncEngine) -> Any:
    async with engine.begin() as connection:
        return await connection.scalar(sa.insert(Item).values(name="new").returning(items.c.id))


async def get(engine: AsyncEngine) -> Any:
    async with AsyncSession(engine) as session:
        item = await session.get(Item, 1)
        return item and item.id


async def read_only(engine: AsyncEngine) -> Any:
    async with engine.connect() as connection:
        await connection.execution_options(postgresql_readonly=True)
        async with connection.begin():
            return await connection.scalar(SELECT)


async def modify(engine: AsyncEngine) -> Any:
    async with AsyncSession(engine) as session:
        item = await session.get_one(Item, 1)
        item.name = f"name {next(_numbers)}"
        await session.commit()


async def unseen(engine: AsyncEngine) -> Any:
    number = next(_numbers)
    async with engine.connect() as connection:
        assert await connection.scalar(sa.text(f"SELECT {number}")) == number


async def stream(engine: AsyncEngine) -> Any:
    async with engine.connect() as connection:
        result = await connection.stream(THOUSAND)
        assert [row[0] async for row in result] == list(range(1, 1001))


async def roll_back(engine: AsyncEngine) -> Any:
    async with engine.connect() as connection:
        found = await connection.scalar(SELECT)
        await connection.rollback()
        return found


async def commit_reading(engine: AsyncEngine) -> Any:
    async with engine.begin() as connection:
        return await connection.scalar(SELECT)


async def commit_serializable(engine: AsyncEngine) -> Any:
    async with engine.connect() as connection:
        await connection.execution_options(postgresql_readonly=True, isolation_level="SERIALIZABLE")
        async with connection.begin():
            return await connection.scalar(SELECT)


async def write_and_roll_back(engine: AsyncEngine) -> Any:
    async with engine.connect() as connection:
        return await connection.scalar(sa.insert(Item).values(name="new").returning(items.c.name))


async def lock(engine: AsyncEngine) -> Any:
    async with engine.connect() as connection:
        return await connection.scalar(SELECT.with_for_update())


async def call(engine: AsyncEngine) -> Any:
    async with engine.connect() as connection:
        await connection.scalar(sa.text("SELECT pg_advisory_xact_lock(4)"))


async def several(engine: AsyncEngine) -> Any:
    async with engine.connect() as connection:
        await connection.scalar(SELECT)
        await connection.execute(sa.insert(Item), [{"name": "a"}, {"name": "b"}])
        await connection.scalar(SELECT)
        await connection.commit()


async def many(engine: AsyncEngine) -> Any:
    async with engine.begin() as connection:
        rows = [{"name": "a", "number": 1}, {"name": "b", "number": 1}]
        update = sa.update(Item).where(items.c.id == sa.bindparam("number"))
        await connection.execute(update, rows)


async def autocommit(engine: AsyncEngine) -> Any:
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        return await connection.scalar(SELECT)


async def nothing(engine: AsyncEngine) -> Any:
    async with engine.connect() as connection:
        await connection.begin()
        await connection.commit()


async def savepoint(engine: AsyncEngine) -> Any:
    async with engine.begin() as connection, connection.begin_nested():
        return await connection.scalar(SELECT)


@dataclass(frozen=True)
class Unit:
    """One row of the table of waits; `sql` names the statements by their first words."""

    name: str
    work: Work
    builtin: int
    auto: int
    begin: int
    sql: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    ours: Mapping[str, Any] = field(default_factory=dict)
    at_most: bool = False
    """Whether ours need not wait as often: it may fetch more rows at once."""
    ping: bool = False
    """Whether the built-in sends BEGIN, an empty statement and ROLLBACK first."""
    connects: bool = False
    """Whether asyncpg makes a physical connection: its releases do not need the same trips."""

    def waits(self, dialect: Dialect, pipeline: str) -> int:
        """Return the number of waits, at the most, on `dialect` in that mode."""
        counts = {"auto": self.auto, "begin": self.begin, "off": self.builtin}
        return counts[pipeline] if dialect.ours else self.builtin

    def commands(self, pipeline: str) -> list[str]:
        """Return the SQL to send, where a ping is not SQL unless `pipeline` is "off"."""
        asked = ["BEGIN", "", "ROLLBACK"] if self.ping and pipeline == "off" else []
        return [*asked, *self.sql]


_READ = ("BEGIN", "SELECT", "ROLLBACK")
_PING = {"pool_pre_ping": True}

# The table of what must hold, row by row.
TABLE = (
    Unit("read", read, 3, 1, 2, _READ),
    Unit("write", write, 3, 2, 2, ("BEGIN", "INSERT", "COMMIT")),
    Unit("get", get, 3, 1, 2, _READ),
    Unit("read only", read_only, 3, 1, 2, ("BEGIN READ ONLY", "SELECT", "COMMIT")),
    Unit("modify", modify, 4, 3, 3, ("BEGIN", "SELECT", "UPDATE", "COMMIT")),
    Unit("ping", read, 6, 2, 3, _READ, _PING, {"ping_bypass_window": 0}, ping=True),
    Unit("ping not due", read, 6, 1, 2, _READ, _PING, {"ping_bypass_window": _AN_HOUR}, ping=True),
    Unit("unseen", unseen, 4, 2, 3, _READ),
    Unit("new connection", read, 6, 3, 3, _READ, {"poolclass": NullPool}, connects=True),
    Unit("stream", stream, 9, 4, 5, _READ, at_most=True),
)

# What else has a number: above all, the ends that must be awaited.
OTHERS = (
    Unit("roll back", roll_back, 3, 1, 2, _READ),
    Unit("commit of reading", commit_reading, 3, 2, 2, ("BEGIN", "SELECT", "COMMIT")),
    Unit(
        "commit serializable", commit_serializable, 3, 2, 2,
        ("BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY", "SELECT", "COMMIT"),
    ),
    Unit("write and roll back", write_and_roll_back, 3, 2, 2, ("BEGIN", "INSERT", "ROLLBACK")),
    Unit("lock", lock, 3, 2, 2, _READ),
    Unit("call", call, 3, 2, 2, _READ),
    Unit("several", several, 5, 4, 4, ("BEGIN", "SELECT", "INSERT", "INSERT", "SELECT", "COMMIT")),
    Unit("many", many, 3, 2, 2, ("BEGIN", "UPDATE", "UPDATE", "COMMIT")),
    Unit("autocommit", autocommit, 1, 1, 1, ("SELECT",)),
    Unit("nothing", nothing, 0, 0, 0, ()),
    Unit("savepoint", savepoint, 5, 4, 4,
         ("BEGIN", "SAVEPOINT", "SELECT", "RELEASE SAVEPOINT", "COMMIT")),
)  # fmt: skip


@dataclass(frozen=True)
class Warm:
    """A unit and its engine; calling it runs the unit."""

    engine: AsyncEngine
    unit: Unit

    async def __call__(self) -> Any:
        return await self.unit.work(self.engine)


@asynccontextmanager
async def warm(dialect: Dialect, waits: Waits, unit: Unit, **ours: Any) -> AsyncIterator[Warm]:
    """Yield `unit`'s work, run twice already, on a pool of one connection; the table is new.

    The work is the same from one `warm()` to the next, down to the last number. `ours`: options
    of the engine that only our dialect has.
    """
    global _numbers
    _numbers = itertools.count()
    options: dict[str, Any] = {"connect_args": {"ssl": False}, **unit.options}
    if options.get("poolclass") is not NullPool:
        options["pool_size"] = 1
    if dialect.ours:
        options |= {**unit.ours, **ours}
    engine = dialect.engine(via=waits.proxy, **options)
    aside = dialect.engine()
    async with aside.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
        await connection.run_sync(Base.metadata.create_all)
        await connection.execute(sa.insert(Item).values(name="first"))
    try:
        for _ in range(2):
            await unit.work(engine)
        await waits.settled()
        yield Warm(engine, unit)
    finally:
        await engine.dispose()
        async with aside.begin() as connection:
            await connection.run_sync(Base.metadata.drop_all)
