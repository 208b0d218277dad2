"""pgbouncer in transaction mode under every combination of options that people try there.

No option makes a difference to the answers: no error, no wrong value, no hang; afterwards each
server connection is idle and free for other clients, and pgbouncer has nothing to complain about.
The cells that run cover each pair of levels; with PGFLIGHT_TEST_SCALE above 1 all of them run.
"""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.pool import NullPool

import pgflight
from tests.adversity.server_view import View
from tests.fixtures.engines import Dialect
from tests.fixtures.pgbouncer import Pgbouncer
from tests.fixtures.scale import scale, scaled
from tests.parity.scratch import committed, own

pytestmark = pytest.mark.slow

UNITS = scaled(48, least=24)
SECONDS = 120.0
APPLICATION = own("pooler_grid")


class Cell(NamedTuple):
    """One combination of options."""

    prepared_statement_cache_size: int
    statement_cache_size: int
    named: bool
    null_pool: bool
    pipeline: str
    tasks: int


LEVELS: tuple[tuple[Any, ...], ...] = (
    (100, 0),
    (100, 0),
    (False, True),
    (False, True),
    ("auto", "begin", "off"),
    (30, 3, 1),
)


def pairs(cell: tuple[Any, ...]) -> set[tuple[Any, ...]]:
    """Return each pair of a cell's levels, with their places."""
    return set(itertools.combinations(enumerate(cell), 2))


def covering() -> Iterator[Cell]:
    """Yield cells until each pair of levels has occurred, the one with most new pairs first."""
    cells = list(itertools.product(*LEVELS))
    missing = set().union(*map(pairs, cells))
    while missing:
        best = max(cells, key=lambda cell: len(pairs(cell) & missing))
        missing -= pairs(best)
        yield Cell(*best)


CELLS = [Cell(*cell) for cell in itertools.product(*LEVELS)] if scale() > 1 else list(covering())


class Base(orm.DeclarativeBase):
    """The model's base."""


class Thing(Base):
    """A row of the grid's table."""

    __tablename__ = own("things_of_the_grid")
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str]
    n: orm.Mapped[int]


THINGS: Any = Thing.__table__
SERIES = sa.text(
    "SELECT n, n * CAST(:factor AS integer) AS product FROM generate_series(1, 120) AS n"
)
MANY = 1_000_000  # ids from here up: a hundred for each unit


async def uses_orm(engine: AsyncEngine, unit: int) -> None:
    """Store, change and read an object, in three transactions."""
    async with AsyncSession(engine) as session:
        session.add(Thing(id=unit, name=f"n{unit}", n=unit))
        await session.commit()
    async with AsyncSession(engine) as session:
        thing = await session.get_one(Thing, unit)
        assert (thing.name, thing.n) == (f"n{unit}", unit)
        thing.n += 1
        await session.commit()
    async with AsyncSession(engine) as session:
        assert (await session.get_one(Thing, unit)).n == unit + 1


async def uses_core(engine: AsyncEngine, unit: int) -> None:
    """Read, write with RETURNING, and go on after an error."""
    async with engine.connect() as connection:
        assert await connection.scalar(sa.select(sa.literal(unit) * 2)) == unit * 2
    async with engine.begin() as connection:
        row = THINGS.insert().values(id=unit, name="core", n=unit).returning(THINGS.c.id)
        assert await connection.scalar(row) == unit
    async with engine.connect() as connection:
        with pytest.raises(sa.exc.DBAPIError, match="division by zero"):
            await connection.scalar(sa.select(sa.literal(unit) / sa.literal(0)))
        await connection.rollback()
        mine = sa.select(THINGS.c.n).where(THINGS.c.id == unit)
        assert await connection.scalar(mine) == unit


async def in_autocommit(engine: AsyncEngine, unit: int) -> None:
    """Read, write, fail on this side and on the server's, and stream, without transactions."""
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(THINGS.insert().values(id=unit, name="auto", n=unit))
        change = THINGS.update().where(THINGS.c.id == unit).values(n=unit + 5)
        assert await connection.scalar(change.returning(THINGS.c.n)) == unit + 5
        for wrong in ("no number", 2**40):
            with pytest.raises(sa.exc.DBAPIError):
                await connection.scalar(sa.text("SELECT CAST(:x AS integer)"), {"x": wrong})
            assert await connection.scalar(sa.select(sa.literal(unit) + 1)) == unit + 1
        result = await connection.stream(SERIES, {"factor": unit})
        assert [row.product async for row in result] == [n * unit for n in range(1, 121)]


async def inserts_many(engine: AsyncEngine, unit: int) -> None:
    """Insert rows with executemany, and rows as arrays."""
    first = MANY + unit * 100
    async with engine.begin() as connection:
        await connection.execute(
            sa.text(f"INSERT INTO {THINGS.name} VALUES (:id, :name, :n)"),
            [{"id": first + n, "name": "many", "n": n} for n in range(5)],
        )
        await connection.execute(
            THINGS.insert(), [{"id": first + n, "name": "array", "n": n} for n in range(5, 45)]
        )
    async with engine.connect() as connection:
        mine = sa.select(THINGS.c.n).where(THINGS.c.id.in_(range(first, first + 45)))
        assert sorted(await connection.scalars(mine)) == list(range(45))


async def streams(engine: AsyncEngine, unit: int) -> None:
    """Read through a portal."""
    async with engine.connect() as connection:
        result = await connection.stream(SERIES, {"factor": unit})
        assert [row.product async for row in result] == [n * unit for n in range(1, 121)]


async def copies(engine: AsyncEngine, unit: int) -> None:
    """COPY rows in, and out again."""
    first = MANY + unit * 100
    async with engine.begin() as connection:
        await pgflight.copy_in(connection, THINGS, [(first + n, "copied", n) for n in range(3)])
        mine = sa.select(THINGS.c.n).where(THINGS.c.id.between(first, first + 2))
        assert sorted([row.n async for row in pgflight.copy_out(connection, mine)]) == [0, 1, 2]


PLAN: tuple[Callable[[AsyncEngine, int], Awaitable[None]], ...] = (
    *(uses_orm, uses_core, in_autocommit),
    *(inserts_many, streams, copies),
)


async def work(engine: AsyncEngine, tasks: int, numbers: Iterator[int]) -> None:
    async def worker() -> None:
        for number in numbers:
            await PLAN[number % len(PLAN)](engine, number)

    await asyncio.wait_for(asyncio.gather(*(worker() for _ in range(tasks))), SECONDS)


async def server_connections_are_free(pgbouncer: Pgbouncer) -> None:
    clients = [await pgbouncer.connect() for _ in range(pgbouncer.pool_size)]
    for command in ("BEGIN", "ROLLBACK"):
        for client in clients:
            await asyncio.wait_for(client.execute(command), 10)
    for client in clients:
        await client.close()


def test_the_cells_cover_each_pair_of_levels() -> None:
    wanted = set().union(*map(pairs, itertools.product(*LEVELS)))
    assert set().union(*map(pairs, CELLS)) == wanted
    assert scale() > 1 or len(CELLS) < 16


def test_a_pooler_under_every_pair_of_options(
    pgflight_dialect: Dialect, pgbouncer: Pgbouncer
) -> None:
    async def all_cells() -> None:
        numbers = itertools.count(1)
        async with committed(pgflight_dialect.engine(), Base.metadata):
            for cell in CELLS:
                await one_cell(cell, itertools.islice(numbers, UNITS))

    async def one_cell(cell: Cell, numbers: Iterator[int]) -> None:
        arguments: dict[str, Any] = {
            "prepared_statement_cache_size": cell.prepared_statement_cache_size,
            "statement_cache_size": cell.statement_cache_size,
            "server_settings": {"application_name": APPLICATION},
        }
        if cell.named:
            arguments["prepared_statement_name_func"] = lambda: f"own_{uuid.uuid4()}"
        pool: dict[str, Any] = (
            {"poolclass": NullPool} if cell.null_pool else {"pool_size": 20, "max_overflow": 0}
        )
        engine = pgflight_dialect.engine(
            pgbouncer.url(), pipeline=cell.pipeline, connect_args=arguments, **pool
        )
        await work(engine, cell.tasks, numbers)
        async with View.of(pgflight_dialect.server) as view:
            assert await view.at_rest(APPLICATION) == [], cell
        await engine.dispose()
        await server_connections_are_free(pgbouncer)
        log = pgbouncer.log()
        assert not any(word in log for word in ("not ready", "WARNING", "ERROR")), (cell, log)

    asyncio.run(all_cells())
