"""Units of work as an application does them; `program.py` runs thousands of them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import pgflight

Unit = Callable[[AsyncEngine, int], Awaitable[None]]

NOTE = {"tags": ["a", "b"], "depth": {"value": [1, 2.5, None, True]}}


class Base(DeclarativeBase):
    """Declarative base of this module."""


class Item(Base):
    """A row with the types that have code of their own in the dialect."""

    __tablename__ = "leak_item"

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[uuid.UUID] = mapped_column(pg.UUID(as_uuid=True), unique=True)
    note: Mapped[Any] = mapped_column(pg.JSONB)
    price: Mapped[Decimal] = mapped_column(sa.Numeric(10, 2))
    made: Mapped[datetime] = mapped_column(sa.DateTime(timezone=True))
    labels: Mapped[list[str]] = mapped_column(pg.ARRAY(sa.Text))


items = Item.metadata.tables[Item.__tablename__]


def row(number: int) -> dict[str, Any]:
    """Return values of an item that depend on nothing but `number` and chance."""
    return {
        "key": uuid.uuid4(),
        "note": {**NOTE, "number": number},
        "price": Decimal(number % 100),
        "made": datetime.now(timezone.utc),
        "labels": ["x", "y"],
    }


async def read(engine: AsyncEngine, number: int) -> None:
    """Select some rows by bound parameters."""
    statement = sa.select(items).where(items.c.id.in_(range(number % 50, number % 50 + 10)))
    async with engine.connect() as connection:
        rows = (await connection.execute(statement)).mappings().all()
        assert all(found["note"]["depth"] == NOTE["depth"] for found in rows)


async def write(engine: AsyncEngine, number: int) -> None:
    """Insert many, read back by RETURNING, and roll back."""
    async with engine.connect() as connection:
        await connection.execute(sa.insert(items), [row(number) for _ in range(10)])
        one = sa.insert(items).values(row(number)).returning(items.c.note["number"])
        assert await connection.scalar(one) == number
        await connection.rollback()


async def session(engine: AsyncEngine, number: int) -> None:
    """Go through a unit of work of the ORM, and commit it without a trace."""
    async with AsyncSession(engine, expire_on_commit=False) as work:
        item = Item(**row(number))
        work.add(item)
        await work.flush()
        found = await work.scalar(sa.select(Item).where(Item.key == item.key))
        assert found is item
        await work.delete(item)
        await work.commit()


async def stream(engine: AsyncEngine, number: int) -> None:
    """Stream rows through a server-side cursor; every other time, leave half-way."""
    async with engine.connect() as connection:
        result = await connection.stream(sa.select(items).execution_options(yield_per=20))
        async for _ in result.partitions():
            if number % 2:
                break
        await result.close()


async def fail(engine: AsyncEngine, number: int) -> None:
    """Violate a constraint inside a savepoint, and go on."""
    async with engine.begin() as connection:
        key = await connection.scalar(sa.select(items.c.key).limit(1))
        try:
            async with connection.begin_nested():
                await connection.execute(sa.insert(items).values({**row(number), "key": key}))
        except IntegrityError:
            pass
        assert await connection.scalar(sa.select(sa.literal(number))) == number


async def copy_in(engine: AsyncEngine, number: int) -> None:
    """COPY rows in, from a generator of either kind; every other time, it raises half-way."""

    def rows() -> Iterator[dict[str, Any]]:
        for n in range(300):
            if n == 290 and number % 2:
                raise LookupError(n)
            yield row(n)

    async def rows_later() -> AsyncIterator[dict[str, Any]]:
        for made in rows():
            yield made

    async with engine.connect() as connection:
        try:
            source = rows() if number % 3 else rows_later()
            assert await pgflight.copy_in(connection, items, source, progress=_told) == 300
        except LookupError:
            assert number % 2
        await connection.rollback()


def _told(rows: int, sent: int | None) -> None:
    """Take the progress of a COPY."""


async def copy_out(engine: AsyncEngine, number: int) -> None:
    """COPY rows out in each form; every other time, leave the iterator where it stands."""
    form: Any = (None, "csv", "text", "binary")[number // 2 % 4]
    query = sa.select(items, sa.func.generate_series(1, 20))
    async with engine.connect() as connection:
        async for _ in pgflight.copy_out(connection, query, format=form):
            if number % 2:
                break
        assert await connection.scalar(sa.select(sa.literal(number))) == number


async def many_texts(engine: AsyncEngine, number: int) -> None:
    """Execute a statement that was never seen before: caches must give others up."""
    async with engine.connect() as connection:
        statement = sa.text(f"SELECT :value + {number} /* {uuid.uuid4()} */")
        statement = statement.bindparams(sa.bindparam("value", type_=sa.Integer))
        assert await connection.scalar(statement, {"value": 1}) == number + 1


async def change_schema(engine: AsyncEngine, number: int) -> None:
    """Run DDL, which invalidates what the connections of the engine have prepared."""
    async with engine.begin() as connection:
        await connection.execute(sa.text("CREATE TABLE leak_other (id int)"))
        await connection.execute(sa.text("DROP TABLE leak_other"))


async def cancel(engine: AsyncEngine, number: int) -> None:
    """Cancel a task that waits for the server."""

    async def sleep() -> None:
        async with engine.connect() as connection:
            await connection.execute(sa.text("SELECT pg_sleep(60)"))

    task = asyncio.ensure_future(sleep())
    await asyncio.sleep(0.02)
    task.cancel()
    try:
        await task
    except (asyncio.CancelledError, DBAPIError):
        pass


COMMON: tuple[Unit, ...] = (read, write, session, stream, fail, many_texts, copy_in, copy_out)
# The others cost connections and caches: one in so many units.
RARE: dict[int, Unit] = {250: change_schema, 500: cancel}


async def perform(engine: AsyncEngine, number: int) -> None:
    """Do the unit of work that has this number."""
    for every, unit in RARE.items():
        if number % every == 0:
            await unit(engine, number)
            return
    await COMMON[number % len(COMMON)](engine, number)


async def prepare(engine: AsyncEngine) -> None:
    """Create the table and fill it."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
        await connection.run_sync(Base.metadata.create_all)
        await connection.execute(sa.insert(items), [row(number) for number in range(100)])


async def clean_up(engine: AsyncEngine) -> None:
    """Drop the table."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
