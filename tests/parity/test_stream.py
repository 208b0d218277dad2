"""`pgflight.stream`: what `stream()` gives, on both dialects, in the same transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
from sqlalchemy.orm import joinedload, selectinload

import pgflight
from pgflight import driver
from tests.fixtures.engines import Dialect
from tests.parity.orm_models import Author, Base, Book
from tests.parity.scratch import scratch

NUMBER = 2345
table = sa.Table(
    "streamed_rows",
    sa.MetaData(),
    sa.Column("n", sa.Integer, key="number"),
    sa.Column("t", sa.Text),
    sa.Column("f", sa.Float),
    sa.Column("at", sa.TIMESTAMP),
    sa.Column("doc", pg.JSONB),
    prefixes=["TEMPORARY"],
)
FILL = sa.text(
    "INSERT INTO streamed_rows SELECT n, nullif('row ' || n, 'row 7'), n * 0.5,"
    " timestamp '2026-01-01' + n * interval '1 minute', jsonb_build_object('n', n, 'l', '[1, 2]')"
    f" FROM generate_series(1, {NUMBER}) AS n"
)
SERIES = sa.text(f"SELECT n, n * 2 AS double FROM generate_series(1, {NUMBER}) AS n")
FAILING = sa.text("SELECT n, 1 / (1500 - n) AS q FROM generate_series(1, 3000) AS n")
BATCHES = (1, 7, 50, 1000, NUMBER, 5000)

STATEMENTS: dict[str, tuple[Any, Any]] = {
    "columns": (sa.select(table).order_by(table.c.number), None),
    "labels": (sa.select(table.c.t.label("a"), sa.func.upper(table.c.t), sa.literal(1)), None),
    "twice the same name": (sa.select(table.c.number, table.c.number.label("n")), None),
    "text": (SERIES, None),
    "text with columns": (SERIES.columns(n=sa.Integer, double=sa.String), None),
    "parameters": (
        sa.select(table.c.number).where(table.c.number < sa.bindparam("most")),
        {"most": 20},
    ),
    "text and parameters": (sa.text("SELECT generate_series(1, :n) AS n"), {"n": 60}),
    "nothing": (sa.select(table).where(sa.false()), None),
    "one": (sa.select(sa.func.count()).select_from(table), None),
    "an IN list": (sa.select(table.c.t).where(table.c.number.in_(range(100))), None),
    "insert": (sa.insert(table).returning(table.c.number, table.c.doc), {"number": 0}),
    "values of a type": (sa.select(sa.type_coerce(table.c.t, sa.Enum("a", "b"))).limit(0), None),
}


def run(dialect: Dialect, body: Callable[[AsyncConnection], Awaitable[Any]]) -> Any:
    async def work() -> Any:
        engine = dialect.engine(pool_size=1, max_overflow=0)
        async with scratch(engine, table.metadata) as connection:
            await connection.execute(FILL)
            return await asyncio.wait_for(body(connection), 60)

    return asyncio.run(work())


async def outcome(reading: Awaitable[Any]) -> Any:
    try:
        return await reading
    except Exception as error:
        return type(error), str(error)


async def items(reading: Any) -> list[Any]:
    return [item async for item in reading]


def described(row: Any) -> Any:
    keys = row._fields if hasattr(row, "_fields") else tuple(row)
    values = tuple(row.values()) if hasattr(row, "values") else tuple(row)
    return type(row).__name__, keys, values, tuple(type(value) for value in values)


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("name", STATEMENTS)
def test_rows_are_those_of_stream(dialect: Dialect, name: str, batch: int) -> None:
    statement, parameters = STATEMENTS[name]

    async def body(connection: AsyncConnection) -> None:
        stock = await items(await connection.stream(statement, parameters))
        rows = await items(pgflight.stream(connection, statement, parameters, batch=batch))
        assert [described(row) for row in rows] == [described(row) for row in stock]

    run(dialect, body)


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_scalars_mappings_and_partitions(dialect: Dialect, batch: int) -> None:
    statement = sa.select(table).order_by(table.c.number)

    def stream(connection: AsyncConnection) -> Any:
        return pgflight.stream(connection, statement, batch=batch)

    async def body(connection: AsyncConnection) -> None:
        for index in (0, "t", table.c.doc):
            stock = await items((await connection.stream(statement)).scalars(index))
            assert await items(stream(connection).scalars(index)) == stock
        stock = await items((await connection.stream(statement)).mappings())
        mappings = await items(stream(connection).mappings())
        assert [described(row) for row in mappings] == [described(row) for row in stock]
        for size in (None, 1, 100, 5000):
            expected = (await connection.stream(statement)).partitions(size or batch)
            assert await items(stream(connection).partitions(size)) == await items(expected)
        expected = (await connection.stream(statement)).scalars().partitions(batch)
        assert await items(stream(connection).scalars().partitions()) == await items(expected)

    run(dialect, body)


@pytest.mark.parametrize("batch", [1, 100, 1000])
def test_an_error_in_the_midst_of_the_rows(dialect: Dialect, batch: int) -> None:
    async def body(connection: AsyncConnection) -> None:
        async with connection.begin_nested() as savepoint:
            options = {"yield_per": batch}
            stock = await connection.stream(FAILING, execution_options=options)
            expected = await outcome(items(stock))
            await savepoint.rollback()
        seen = []
        stream = pgflight.stream(connection, FAILING, batch=batch)

        async def read_all() -> None:
            async for row in stream:
                seen.append(row.n)

        assert await outcome(read_all()) == expected
        # every row of the batches before it came; the built-in dialect fetches 50 rows or more
        read = batch if dialect.ours else max(batch, 50)
        assert seen == list(range(1, 1499 // read * read + 1))
        assert await items(stream) == []
        await connection.rollback()
        assert await connection.scalar(sa.text("SELECT 42")) == 42

    run(dialect, body)


@pytest.mark.parametrize(
    "statement",
    [
        sa.text("SELECT * FROM no_such_table"),
        sa.text("SELECT :missing"),
        sa.update(table).values(t="x").where(sa.false()),
        "SELECT 1",
        sa.text("SELECT 1 / 0"),
    ],
    ids=str,
)
def test_errors_before_the_first_row(dialect: Dialect, statement: Any) -> None:
    async def body(connection: AsyncConnection) -> None:
        expected = []
        for reading in (connection.stream, lambda sql: pgflight.stream(connection, sql)):
            async with connection.begin_nested() as savepoint:
                made = reading(statement)

                async def read(made: Any = made) -> Any:
                    return await items(made if hasattr(made, "aclose") else await made)

                expected.append(await outcome(read()))
                await savepoint.rollback()
        assert expected[0] == expected[1]
        assert isinstance(expected[0], tuple)

    run(dialect, body)


def test_options_of_statement_and_connection(dialect: Dialect) -> None:
    other = sa.Table("streamed_rows", sa.MetaData(), sa.Column("n"), schema="elsewhere")

    async def body(connection: AsyncConnection) -> None:
        names = {"schema_translate_map": {"elsewhere": "pg_temp"}}
        statement = sa.select(other.c.n).execution_options(yield_per=9, **names)
        parts = await items(pgflight.stream(connection, statement).partitions())
        assert {len(part) for part in parts} == {9, NUMBER % 9}
        await connection.execution_options(**names, yield_per=11)
        parts = await items(pgflight.stream(connection, sa.select(other.c.n)).partitions())
        assert {len(part) for part in parts} == {11, NUMBER % 11}

    run(dialect, body)


def test_what_cannot_be_streamed(dialect: Dialect) -> None:
    async def body(connection: AsyncConnection) -> None:
        synchronous: Any = connection.sync_connection
        with pytest.raises(TypeError, match="AsyncConnection"):
            pgflight.stream(synchronous, SERIES)
        cases: tuple[Any, ...] = ({"batch": 0}, {"max_bytes": 0})
        for wrong in cases:
            with pytest.raises(exc.ArgumentError):
                pgflight.stream(connection, SERIES, **wrong)
        with pytest.raises(exc.ArgumentError):
            pgflight.stream(connection, SERIES).partitions(0)
        with pytest.raises(exc.InvalidRequestError, match="before partitions"):
            pgflight.stream(connection, SERIES).partitions().scalars()

    run(dialect, body)


@pytest.mark.parametrize("batch", [1, 7, 100])
def test_orm_objects_and_their_identity(dialect: Dialect, batch: int) -> None:
    async def work() -> None:
        engine = dialect.engine(pool_size=1, max_overflow=0)
        async with scratch(engine, Base.metadata) as connection:
            session = AsyncSession(connection, expire_on_commit=False)
            for n in range(25):
                books = [Book(title=f"{n}.{m}") for m in range(n % 3)]
                session.add(Author(id=n, name=f"author {n}", books=books))
            await session.flush()
            session.expunge_all()
            known = await session.get(Author, 3)
            statement = sa.select(Author).order_by(Author.id)
            rows = await items(pgflight.stream(session, statement, batch=batch))
            assert [row.Author.id for row in rows] == list(range(25))
            assert rows[3].Author is known
            authors = await items(pgflight.stream(session, statement, batch=batch).scalars())
            assert authors == [row.Author for row in rows]

            session.expunge_all()
            loading = statement.options(selectinload(Author.books))
            async for author in pgflight.stream(session, loading, batch=batch).scalars():
                assert [book.title for book in author.books] == [
                    f"{author.id}.{m}" for m in range(author.id % 3)
                ]
            session.expunge_all()
            pairs = sa.select(Author, Book.title).join(Author.books).order_by(Book.title)
            stock = await items(await session.stream(pairs))
            assert await items(pgflight.stream(session, pairs, batch=batch)) == stock

            joined = statement.options(joinedload(Author.books))
            with pytest.raises(exc.InvalidRequestError, match="yield_per"):
                await items(pgflight.stream(session, joined).scalars())

            session.add(Author(id=99, name="new"))  # flushed first, as by any query
            last = pgflight.stream(session, statement.where(Author.id == 99)).scalars()
            assert [author.name for author in await items(last)] == ["new"]
            await session.close()

    asyncio.run(work())


def test_a_scoped_session(dialect: Dialect) -> None:
    async def work() -> list[int]:
        engine = dialect.engine()
        make: Any = lambda: AsyncSession(engine)  # noqa: E731
        scoped = async_scoped_session[AsyncSession](make, asyncio.current_task)
        try:
            return await items(pgflight.stream(scoped, SERIES, batch=100).scalars())
        finally:
            await scoped.remove()

    assert asyncio.run(work()) == list(range(1, NUMBER + 1))


def test_statements_in_between(dialect: Dialect) -> None:
    """They see and do what they would between two rows of `stream()`."""

    async def body(connection: AsyncConnection) -> None:
        seen = 0
        async for row in pgflight.stream(connection, SERIES, batch=100):
            seen += 1
            assert row.n == seen
            if seen % 77 == 0 or seen == 1:
                await connection.execute(sa.insert(table).values(number=-seen))
                one = sa.select(table.c.number).where(table.c.number == -seen)
                assert await connection.scalar(one) == -seen
                async with connection.begin_nested():
                    assert await connection.scalar(sa.text("SELECT 1")) == 1
        assert seen == NUMBER

    run(dialect, body)


def test_two_streams_of_one_connection(dialect: Dialect) -> None:
    async def body(connection: AsyncConnection) -> None:
        first = pgflight.stream(connection, SERIES, batch=100)
        second = pgflight.stream(connection, SERIES, batch=30).scalars()
        for n in range(1, 1000):
            assert ((await anext(first)).n, await anext(second)) == (n, n)
        await first.aclose()
        assert await anext(second) == 1000
        await second.aclose()
        assert await connection.scalar(sa.text("SELECT 1")) == 1

    run(dialect, body)


def test_views_share_one_execution(dialect: Dialect) -> None:
    async def body(connection: AsyncConnection) -> None:
        async with pgflight.stream(connection, SERIES, batch=10) as stream:
            assert (await anext(stream.scalars())) == 1
            assert (await anext(stream.mappings()))["n"] == 11
            assert (await anext(stream)).n == 21
        assert await items(stream) == []

    run(dialect, body)


def test_the_end_of_the_transaction_ends_the_stream(dialect: Dialect) -> None:
    async def body(connection: AsyncConnection) -> list[Any]:
        found = []
        for ending in (connection.commit, connection.rollback):
            stream = pgflight.stream(connection, SERIES, batch=100)
            rows = [await anext(stream) for _ in range(350)]
            assert rows[-1].n == 350
            await ending()
            rest = await outcome(items(stream))
            found.append(rest[0].__mro__[0].__name__ if isinstance(rest, tuple) else rest)
            await connection.rollback()
            assert await connection.scalar(sa.text("SELECT 1")) == 1
        return found

    async def work() -> Any:
        async with dialect.engine(pool_size=1, max_overflow=0).connect() as connection:
            return await body(connection)

    assert all(isinstance(name, str) for name in asyncio.run(work()))


MAX_BYTES = 200_000


def test_max_bytes_bounds_the_batches(dialect: Dialect) -> None:
    wide = sa.text("SELECT n, repeat('x', CASE WHEN n % 2 = 0 THEN 4000 ELSE 8000 END) AS body"
                   " FROM generate_series(1, 400) AS n")  # fmt: skip

    async def body(connection: AsyncConnection) -> None:
        stream = pgflight.stream(connection, wide, max_bytes=MAX_BYTES)
        parts = await items(stream.partitions())
        assert [row.n for part in parts for row in part] == list(range(1, 401))
        assert max(sum(len(row.body) for row in part) for part in parts) <= MAX_BYTES / 2
        assert 4 < max(map(len, parts)) <= 16
        narrow = pgflight.stream(connection, SERIES, max_bytes=10_000_000, batch=500)
        sizes = [len(part) async for part in narrow.partitions()]
        assert max(sizes) == 500
        assert sum(sizes) == NUMBER
        tiny = await items(pgflight.stream(connection, wide, max_bytes=1).partitions())
        assert {len(part) for part in tiny} == {1}

    run(dialect, body)


SLOW = sa.text("SELECT n, pg_sleep(0.003) FROM generate_series(1, 3000) AS n")


async def reads_ahead(stream: Any, rows: int, between: Any = None) -> bool:
    """Tell whether something has been read ahead, or is, after so many rows."""
    for _ in range(rows):
        await anext(stream)
        if between is not None:
            await between()
    return stream._source._cursor._ahead is not None


def test_when_it_reads_ahead(pgflight_dialect: Dialect) -> None:
    """Only where nothing can be lost by it, and a program reads without doing anything else."""
    one = sa.text("SELECT 1")

    async def work() -> dict[str, bool]:
        engine = pgflight_dialect.engine(pool_size=1, max_overflow=0)
        found: dict[str, bool] = {}
        async with engine.connect() as connection:

            def stream(statement: Any = SERIES) -> Any:
                return pgflight.stream(connection, statement, batch=100)

            async def look(name: str, reading: Any, rows: int = 101, between: Any = None) -> None:
                found[name] = await reads_ahead(reading, rows, between)
                await reading.aclose()

            await look("first batch", stream(), 100)
            await look("second batch", stream())
            await look("last batch", stream(), NUMBER)
            await look("statements in between", stream(), 101, lambda: connection.execute(one))
            await look("slow", stream(SLOW))
            await connection.rollback()
            await connection.execute(sa.text("CREATE TEMPORARY TABLE IF NOT EXISTS made (n int)"))
            await look("changes", stream())
            await connection.rollback()
            for level in ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE", "AUTOCOMMIT"):
                await connection.execution_options(isolation_level=level)
                await look(level, stream())
                await connection.rollback()
        return found

    found = asyncio.run(work())
    expected = {"second batch", "READ COMMITTED", "AUTOCOMMIT"}
    if driver.capabilities().level == "public":
        expected = {"AUTOCOMMIT"}
    assert {name for name, ahead in found.items() if ahead} == expected
