"""Units of work that are traced on both dialects: what a program does, and what it may meet."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, selectinload

Unit = Callable[[AsyncEngine], Awaitable[Any]]


@contextmanager
def raises(kind: type[BaseException]) -> Iterator[None]:
    """Expect an error; pytest is not where tracers are installed."""
    try:
        yield
    except kind:
        return
    raise AssertionError(f"{kind.__name__} was not raised")


class Base(DeclarativeBase):
    """The models' base."""


class Author(Base):
    """A parent."""

    __tablename__ = "traced_author"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    books: Mapped[list[Book]] = relationship()


class Book(Base):
    """A child."""

    __tablename__ = "traced_book"
    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(sa.ForeignKey("traced_author.id"))
    title: Mapped[str]


PLAIN = sa.Table(
    "traced_plain",
    Base.metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("note", sa.String(20)),
)


async def select_one(engine: AsyncEngine) -> Any:
    """Run one SELECT."""
    async with engine.connect() as connection:
        return (await connection.execute(sa.select(PLAIN).where(PLAIN.c.id == 1))).all()


async def read(engine: AsyncEngine) -> Any:
    """Run three SELECTs, one of them twice."""
    async with engine.connect() as connection:
        found = []
        for number in (1, 2, 1):
            statement = sa.select(PLAIN.c.note).where(PLAIN.c.id == number)
            found.append(await connection.scalar(statement))
        found.append(await connection.scalar(sa.text("SELECT 7")))
        return found


async def write(engine: AsyncEngine) -> Any:
    """Change rows and commit."""
    async with engine.begin() as connection:
        await connection.execute(PLAIN.insert(), {"id": 900, "note": "new"})
        await connection.execute(PLAIN.update().where(PLAIN.c.id == 900).values(note="changed"))
        await connection.execute(PLAIN.delete().where(PLAIN.c.id == 900))


async def roll_back(engine: AsyncEngine) -> Any:
    """Change a row and roll back."""
    async with engine.connect() as connection:
        await connection.execute(PLAIN.insert(), {"id": 901, "note": "new"})
        await connection.rollback()


async def orm(engine: AsyncEngine) -> Any:
    """Store objects, read them with their children, delete them."""
    async with AsyncSession(engine, expire_on_commit=False) as session:
        for number in range(12):
            author = Author(id=number + 1, name=f"author {number}")
            author.books = [Book(title=f"book {number}")]
            session.add(author)
        await session.commit()
    async with AsyncSession(engine) as session:
        query = sa.select(Author).options(selectinload(Author.books)).order_by(Author.id)
        authors = (await session.scalars(query)).all()
        found = [(author.name, len(author.books)) for author in authors]
        (await session.get_one(Author, 1)).name = "other"
        await session.flush()
        await session.execute(sa.delete(Book))
        await session.execute(sa.delete(Author))
        await session.commit()
    return found


async def _many(engine: AsyncEngine, number: int) -> None:
    async with engine.begin() as connection:
        rows = [{"id": 1000 + each, "note": "many"} for each in range(number)]
        await connection.execute(PLAIN.insert(), rows)
        await connection.execute(PLAIN.delete().where(PLAIN.c.id >= 1000))


async def few_rows(engine: AsyncEngine) -> Any:
    """Insert five rows by executemany()."""
    await _many(engine, 5)
    return None


async def many_rows(engine: AsyncEngine) -> Any:
    """Insert fifty rows, which are an array on a connection that nobody watches."""
    await _many(engine, 50)
    return None


async def returning(engine: AsyncEngine) -> Any:
    """Insert forty rows and get their keys."""
    async with engine.begin() as connection:
        rows = [{"id": 2000 + each, "note": "returned"} for each in range(40)]
        made = await connection.execute(PLAIN.insert().returning(PLAIN.c.id), rows)
        keys = sorted(made.scalars())
        await connection.execute(PLAIN.delete().where(PLAIN.c.id >= 2000))
        return keys


async def stream(engine: AsyncEngine) -> Any:
    """Read rows through server-side cursors: all, and only the first."""
    rows = sa.select(sa.func.generate_series(1, 170))
    async with engine.connect() as connection:
        found = [row[0] async for row in await connection.stream(rows)]
        paged = rows.execution_options(yield_per=60)
        found += [row[0] async for row in await connection.stream(paged)]
        first = await (await connection.stream(rows)).first()
        return found, first


async def autocommit(engine: AsyncEngine) -> Any:
    """Run two statements, each its own transaction."""
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(sa.text("SELECT 1"))
        await connection.execute(PLAIN.update().where(PLAIN.c.id == 1).values(note="auto"))


async def serializable(engine: AsyncEngine) -> Any:
    """Read in another isolation level."""
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="SERIALIZABLE")
        return await connection.scalar(sa.text("SHOW transaction_isolation"))


async def savepoints(engine: AsyncEngine) -> Any:
    """Use a savepoint that is released, and one that is rolled back."""
    async with engine.begin() as connection:
        async with connection.begin_nested():
            await connection.execute(PLAIN.insert(), {"id": 910, "note": "kept"})
        inner = await connection.begin_nested()
        await connection.execute(PLAIN.insert(), {"id": 911, "note": "not kept"})
        await inner.rollback()
        await connection.execute(PLAIN.delete().where(PLAIN.c.id >= 900))


async def error(engine: AsyncEngine) -> Any:
    """Fail on the server, as the first statement and as a later one."""
    for before in (0, 1):
        async with engine.connect() as connection:
            for _ in range(before):
                await connection.execute(sa.text("SELECT 2"))
            with raises(sa.exc.DBAPIError):
                await connection.execute(sa.text("SELECT 1 / 0"))
            await connection.rollback()
            await connection.execute(sa.text("SELECT 3"))
    return None


async def cancellation(engine: AsyncEngine) -> Any:
    """Cancel a statement that waits, then go on."""

    async def wait() -> None:
        async with engine.connect() as connection:
            await connection.execute(sa.text("SELECT 4"))
            await connection.execute(sa.text("SELECT pg_sleep(30)"))

    task = asyncio.ensure_future(wait())
    await asyncio.sleep(0.4)
    task.cancel()
    with raises(asyncio.CancelledError):
        await task
    return await select_one(engine)


async def long_list(engine: AsyncEngine) -> Any:
    """Read by a list of keys that is long enough to be an array."""
    statement = sa.select(PLAIN.c.id).where(PLAIN.c.id.in_(range(30))).order_by(PLAIN.c.id)
    async with engine.connect() as connection:
        return [list(await connection.scalars(statement)) for _ in range(2)]


UNITS: dict[str, Unit] = {
    each.__name__: each
    for each in (
        select_one,
        read,
        write,
        roll_back,
        orm,
        few_rows,
        many_rows,
        returning,
        stream,
        autocommit,
        serializable,
        savepoints,
        error,
        long_list,
        cancellation,
    )
}


async def prepare(engine: AsyncEngine) -> None:
    """Make the tables, and two rows."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
        await connection.run_sync(Base.metadata.create_all)
        for number in (1, 2):
            await connection.execute(PLAIN.insert(), {"id": number, "note": f"note {number}"})
