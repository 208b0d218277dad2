"""What happens when the statement that BEGIN travels with fails, or BEGIN does.

After each case the adapted connection, asyncpg and the server must be of one mind about the
transaction, and the same server session must serve the next unit of work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pgflight import driver
from pgflight.driver import pipeline as driver_pipeline
from tests.fixtures.engines import Dialect
from tests.fixtures.outcome import Both, attempt, difference
from tests.fixtures.proxy import Proxy
from tests.fixtures.statements import Statements

First = Callable[[AsyncConnection], Awaitable[Any]]

NUMBER = sa.text("SELECT CAST(:n AS int) AS n")
ROWS = sa.text("SELECT n FROM generate_series(1, 500) AS n")

pipelines = pytest.mark.skipif(not driver.can_pipeline(), reason="BEGIN is sent by itself here")


async def one(connection: AsyncConnection, value: Any = 1) -> Any:
    return await connection.scalar(NUMBER, {"n": value})


async def cached(connection: AsyncConnection) -> Any:
    return await one(connection, 7)


async def wrong_argument(connection: AsyncConnection) -> Any:
    return await one(connection, "seven")


async def uncached(connection: AsyncConnection) -> Any:
    return await connection.scalar(sa.text("SELECT 'uncached'"))


async def wrong_argument_of_an_uncached(connection: AsyncConnection) -> Any:
    return await connection.scalar(sa.text("SELECT 'uncached', CAST(:n AS int)"), {"n": "x"})


async def syntax_error(connection: AsyncConnection) -> Any:
    return await connection.execute(sa.text("SELEKT"))


async def no_table(connection: AsyncConnection) -> Any:
    return await connection.execute(sa.text("SELECT * FROM no_such_table_of_first"))


async def division(connection: AsyncConnection) -> Any:
    return await connection.scalar(sa.text("SELECT 1 / CAST(:n AS int)"), {"n": 0})


async def error_after_rows(connection: AsyncConnection) -> Any:
    text = sa.text("SELECT 1 / (300 - n) FROM generate_series(1, 500) AS n")
    return (await connection.execute(text)).all()


async def no_transaction_allowed(connection: AsyncConnection) -> Any:
    return await connection.execute(sa.text("VACUUM"))


async def many(connection: AsyncConnection) -> Any:
    await connection.execute(NUMBER, [{"n": 1}, {"n": 2}])


async def many_with_a_wrong_first(connection: AsyncConnection) -> Any:
    await connection.execute(NUMBER, [{"n": "x"}, {"n": 2}])


async def many_with_a_wrong_later(connection: AsyncConnection) -> Any:
    await connection.execute(NUMBER, [{"n": 1}, {"n": 2}, {"n": "x"}])


async def many_refused(connection: AsyncConnection) -> Any:
    await connection.execute(sa.text("SELECT 1 / CAST(:n AS int)"), [{"n": 1}, {"n": 0}])


async def streamed(connection: AsyncConnection) -> Any:
    return [row.n async for row in await connection.stream(ROWS)]


async def stream_refused(connection: AsyncConnection) -> Any:
    return [row async for row in await connection.stream(sa.text("SELECT 1/0"))]


async def stream_with_a_wrong_argument(connection: AsyncConnection) -> Any:
    return [row async for row in await connection.stream(NUMBER, {"n": "x"})]


async def commits(connection: AsyncConnection) -> Any:
    await connection.execute(sa.text("COMMIT"))


async def rolls_back(connection: AsyncConnection) -> Any:
    await connection.execute(sa.text("ROLLBACK"))


async def begins(connection: AsyncConnection) -> Any:
    await connection.execute(sa.text("BEGIN"))


async def savepoint(connection: AsyncConnection) -> Any:
    async with connection.begin_nested():
        return await one(connection)


async def sets_the_level(connection: AsyncConnection) -> Any:
    await connection.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
    return await connection.scalar(sa.text("SHOW transaction_isolation"))


async def empty(connection: AsyncConnection) -> Any:
    await connection.execute(sa.text(";"))


FIRST = (
    cached,
    wrong_argument,
    uncached,
    wrong_argument_of_an_uncached,
    syntax_error,
    no_table,
    division,
    error_after_rows,
    no_transaction_allowed,
    many,
    many_with_a_wrong_first,
    many_with_a_wrong_later,
    many_refused,
    streamed,
    stream_refused,
    stream_with_a_wrong_argument,
    commits,
    rolls_back,
    begins,
    savepoint,
    sets_the_level,
    empty,
)
TOUCHES_THE_SERVER = [
    first
    for first in FIRST
    if first not in (wrong_argument, many_with_a_wrong_first, stream_with_a_wrong_argument)
]


async def states(engine: AsyncEngine, first: First, end: str, again: bool) -> list[Any]:
    """Run a unit of work that begins with `first`; return what can be seen of it, step by step."""
    async with engine.connect() as connection:  # what is cached is in the cache, asyncpg's too
        await one(connection)
        await many(connection)
        session = await connection.scalar(sa.text("SELECT pg_backend_pid()"))
    seen: list[Any] = []
    async with engine.connect() as connection:
        seen.append(await attempt(first(connection)))
        if again:
            seen.append(await attempt(one(connection, 2)))
        await getattr(connection, end)()
        raw: Any = (await connection.get_raw_connection()).driver_connection
        seen += [raw.is_in_transaction(), raw._top_xact]
        seen.append(await one(connection, 3))
        seen.append(raw.is_in_transaction())
        seen.append(await connection.scalar(sa.text("SELECT pg_backend_pid()")) == session)
    seen.append(raw.is_in_transaction())
    return seen


@pytest.mark.parametrize("end", ["commit", "rollback"])
@pytest.mark.parametrize("first", FIRST, ids=lambda first: first.__name__)
@pytest.mark.parametrize("mode", ["auto", "begin", "off"])
@pytest.mark.parametrize("again", [True, False], ids=["and-another", "and-no-more"])
def test_a_unit_goes_on_as_with_the_built_in(
    both: Both, first: First, end: str, mode: str, again: bool
) -> None:
    expected = both.run(both.builtin, lambda engine: states(engine, first, end, again))
    options = {"pipeline": mode}
    got = both.run(both.ours, lambda engine: states(engine, first, end, again), **options)
    problem = difference(expected, got)
    assert not problem, problem


@pipelines
@pytest.mark.parametrize("first", TOUCHES_THE_SERVER, ids=lambda first: first.__name__)
@pytest.mark.parametrize("begin", ["BEGIN NONSENSE", "SELECT 1/0"], ids=["parsed", "executed"])
def test_a_begin_that_fails_leaves_nothing(
    pgflight_dialect: Dialect, monkeypatch: pytest.MonkeyPatch, first: First, begin: str
) -> None:
    """The error is BEGIN's, the statement does not run, and the session serves the next unit."""

    async def work() -> None:
        engine = pgflight_dialect.engine(pool_size=1, max_overflow=0)
        async with engine.connect() as connection:
            await one(connection)
            await many(connection)
            session = await connection.scalar(sa.text("SELECT pg_backend_pid()"))
        with monkeypatch.context() as patch:
            patch.setattr(driver_pipeline, "begin_text", lambda *options: begin)
            async with engine.connect() as connection:
                raw: Any = (await connection.get_raw_connection()).driver_connection
                adapted: Any = connection.sync_connection.connection.dbapi_connection  # type: ignore[union-attr]
                adapted.session.transactions.pipeline._begins.clear()
                with pytest.raises(DBAPIError) as refused:
                    await first(connection)
                assert getattr(refused.value.orig, "sqlstate", "") in ("42601", "22012")
                assert (adapted.session.unit.transaction, raw._top_xact) == (None, None)
                assert not raw.is_in_transaction()
            adapted.session.transactions.pipeline._begins.clear()
        async with engine.begin() as connection:
            assert await one(connection, 5) == 5
            assert raw.is_in_transaction()
            assert await connection.scalar(sa.text("SELECT pg_backend_pid()")) == session
        assert not raw.is_in_transaction()

    asyncio.run(work())


@pipelines
@pytest.mark.parametrize("first", [wrong_argument, stream_with_a_wrong_argument])
def test_nothing_is_sent_when_the_arguments_are_refused(
    pgflight_dialect: Dialect, proxy: Proxy, statements: Statements, first: First
) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(via=proxy)
        async with engine.connect() as connection:
            await one(connection)
        async with engine.connect() as connection:
            raw: Any = (await connection.get_raw_connection()).driver_connection
            await statements.seen("ROLLBACK;")
            statements.clear()
            with proxy.counting() as trips, pytest.raises(DBAPIError):
                await first(connection)
            await asyncio.sleep(0.05)
            assert (trips.count, statements.sql, raw._top_xact) == (0, [], None)
            assert await one(connection, 4) == 4
            assert raw.is_in_transaction()

    asyncio.run(work())


def test_a_unit_without_a_statement_sends_nothing(
    pgflight_dialect: Dialect, proxy: Proxy, statements: Statements
) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(via=proxy)
        async with engine.connect() as connection:
            await one(connection)
        await statements.seen("ROLLBACK;")
        statements.clear()
        with proxy.counting() as trips:
            async with engine.begin():
                pass
            async with engine.connect() as connection:
                await connection.rollback()
                await connection.commit()
        assert (trips.count, statements.sql) == (0, [])

    asyncio.run(work())


def test_a_transaction_that_the_program_began_is_left_alone(both: Both) -> None:
    async def work(engine: AsyncEngine) -> Any:
        async with engine.connect() as connection:
            raw: Any = (await connection.get_raw_connection()).driver_connection
            await raw.execute("BEGIN")
            refused = await attempt(one(connection))
            still = raw.is_in_transaction()
            await raw.execute("ROLLBACK")
            return refused, still, await one(connection, 2), raw.is_in_transaction()

    both(work)


def test_a_transaction_that_the_program_ended_is_not_ended_again(both: Both) -> None:
    async def work(engine: AsyncEngine) -> Any:
        connection = await engine.connect()
        await one(connection)
        raw: Any = (await connection.get_raw_connection()).driver_connection
        await raw._top_xact.rollback()
        refused = await attempt(connection.rollback())
        found = [refused, raw.is_in_transaction(), await attempt(one(connection, 2))]
        await connection.close()
        return found

    both(work)


def test_query_loggers_see_what_they_saw(both: Both) -> None:
    async def work(engine: AsyncEngine) -> Any:
        seen: list[str] = []
        async with engine.connect() as connection:
            raw: Any = (await connection.get_raw_connection()).driver_connection
            with raw.query_logger(lambda record: seen.append(record.query)):
                await one(connection)
                await connection.rollback()
                await asyncio.sleep(0)
        return [text for text in seen if text in ("BEGIN;", "ROLLBACK;", "COMMIT;")]

    both(work)


def test_outside_of_a_greenlet_the_transaction_is_kept(both: Both) -> None:
    async def work(engine: AsyncEngine) -> Any:
        connection = await engine.connect()
        await one(connection)
        adapted: Any = connection.sync_connection.connection.dbapi_connection  # type: ignore[union-attr]
        found: list[Any] = []
        for end in (adapted.rollback, adapted.commit):
            try:
                end()
            except sa.exc.MissingGreenlet as error:
                found.append(type(error).__name__)
            found.append(adapted._connection.is_in_transaction())
        found.append(await one(connection, 2))
        await connection.close()
        return [*found, adapted._connection.is_in_transaction()]

    both(work)


def test_an_interrupted_first_statement_is_looked_into(pgflight_dialect: Dialect) -> None:
    """Without SQLAlchemy, which gives such a connection up: flag and server agree afterwards."""

    async def work() -> None:
        engine = pgflight_dialect.engine()
        async with engine.connect() as connection:
            adapted: Any = connection.sync_connection.connection.dbapi_connection  # type: ignore[union-attr]
            raw = adapted._connection
            for text in ("SELECT pg_sleep(5)", "SELECT pg_sleep(4.9)", "SELECT pg_sleep(5)"):
                task = asyncio.ensure_future(adapted.session.execute(text, ()))
                await asyncio.sleep(0.05)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                outcome = await attempt(adapted.session.execute("SELECT 42", ()))
                open_ = adapted.session.unit.transaction is not None
                assert open_ == raw.is_in_transaction(), outcome
                await connection.rollback()
                await connection.run_sync(lambda sync: adapted.rollback())
                assert (adapted.session.unit.transaction, raw.is_in_transaction()) == (None, False)
            assert await one(connection, 9) == 9

    asyncio.run(work())


def test_asyncpgs_own_iteration_loses_no_rows(both: Both) -> None:
    async def work(engine: AsyncEngine) -> Any:
        async with engine.connect() as connection:
            await one(connection)
            raw: Any = (await connection.get_raw_connection()).driver_connection
            rows = [r[0] async for r in raw.cursor("SELECT generate_series(1, 500)", prefetch=50)]
        async with engine.connect() as connection:
            return len(rows), await attempt(_iterate(raw))

    both(work)


async def _iterate(raw: asyncpg.Connection[Any]) -> int:
    async with raw.transaction():
        return len([row async for row in raw.cursor("SELECT generate_series(1, 500)")])
