"""Statements that are not needed any more are closed on the server, in no round trip of their own.

At the public driver level asyncpg closes them, one round trip each; the number that stays
is bounded there, too.
"""

from __future__ import annotations

import asyncio
import sys
from itertools import count, cycle
from typing import Any

import pytest
import sqlalchemy.exc
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from pgflight import driver
from tests.fixtures.engines import Dialect
from tests.fixtures.proxy import Proxy

PRIVATE = driver.capabilities().level == "private"
SIZE = 10
SLACK = 2
"""The statement evicted last, and the question itself."""
PREPARED = "SELECT count(*) FROM pg_prepared_statements"

only_private = pytest.mark.skipif(not PRIVATE, reason="at the public level asyncpg closes them")


def engine_of(dialect: Dialect, *, size: int = SIZE, **options: Any) -> Any:
    options.setdefault("isolation_level", "AUTOCOMMIT")
    arguments = {"prepared_statement_cache_size": size, **options.pop("connect_args", {})}
    return dialect.engine(connect_args=arguments, **options)


async def prepared(connection: AsyncConnection) -> int:
    """Return how many statements the server holds, asked past every cache."""
    raw: Any = (await connection.get_raw_connection()).driver_connection
    statement = await raw.prepare(PREPARED, name="")
    number: int = await statement.fetchval()
    return number


async def statements_of(connection: AsyncConnection) -> Any:
    adapted: Any = (await connection.get_raw_connection()).dbapi_connection
    return adapted.session.statements


_numbers = count()


async def distinct(connection: AsyncConnection, number: int) -> None:
    """Execute so many statements that were never executed before."""
    for n in [next(_numbers) for _ in range(number)]:
        assert await connection.scalar(text(f"SELECT {n}")) == n


def test_a_thousand_statements_leave_no_more_than_the_cache_holds(
    pgflight_dialect: Dialect,
) -> None:
    async def work() -> None:
        async with engine_of(pgflight_dialect).connect() as connection:
            await distinct(connection, 1000)
            assert SIZE <= await prepared(connection) <= SIZE + SLACK

    asyncio.run(work())


@pytest.mark.parametrize("size", [0, 1, SIZE])
@pytest.mark.parametrize("level", ["AUTOCOMMIT", "READ COMMITTED"])
def test_a_new_statement_costs_two_round_trips_however_full_the_cache(
    pgflight_dialect: Dialect, proxy: Proxy, size: int, level: str
) -> None:
    async def work() -> None:
        engine = engine_of(pgflight_dialect, size=size, via=proxy, isolation_level=level)
        async with engine.connect() as connection:
            await distinct(connection, SIZE + 1)
            with proxy.counting() as trips:
                await distinct(connection, 20)
            assert trips.count == (2 if PRIVATE else 3) * 20

    asyncio.run(work())


@only_private
def test_close_travels_in_front_of_parse(pgflight_dialect: Dialect, proxy: Proxy) -> None:
    sent: list[bytes] = []

    async def work() -> None:
        async with engine_of(pgflight_dialect, size=1, via=proxy).connect() as connection:
            await distinct(connection, 3)
            proxy.observers.append(lambda _, side, data: sent.append(side[:1].encode() + data))
            await distinct(connection, 1)
        flight = sent[0]
        assert flight.startswith(b"cC\0\0\0")
        close = int.from_bytes(flight[2:6], "big")
        assert flight[6:7] == b"S"
        assert flight[2 + close : 3 + close] == b"P"
        assert flight.count(b"SELECT") == 1

    asyncio.run(work())


def test_invalidation_costs_no_round_trip_of_its_own(
    pgflight_dialect: Dialect, proxy: Proxy
) -> None:
    async def work() -> None:
        engine = engine_of(pgflight_dialect, via=proxy)
        async with engine.connect() as connection:
            queries = [text(f"SELECT {n} /* stale */") for n in range(5)]
            for query in queries:
                await connection.execute(query)
            held = await prepared(connection)
            engine.dialect._invalidate_schema_cache()
            with proxy.counting() as trips:
                for query in queries:
                    await connection.execute(query)
            assert trips.count == (10 if PRIVATE else 14)
            assert held <= await prepared(connection) <= held + 1

    asyncio.run(work())


def test_statements_are_closed_in_an_aborted_transaction_and_after_an_error(
    pgflight_dialect: Dialect,
) -> None:
    async def work() -> None:
        engine = engine_of(pgflight_dialect, size=1, isolation_level="READ COMMITTED")
        async with engine.connect() as connection:
            for _ in range(30):
                await distinct(connection, 2)
                for wrong in ("SELECT no_such", "SELECT 1/0", "SELECT 1"):
                    try:
                        await connection.execute(text(wrong))
                    except sqlalchemy.exc.DBAPIError:
                        pass
                await connection.rollback()
            assert await prepared(connection) <= 1 + SLACK + 1

    asyncio.run(work())


def test_a_statement_whose_rows_are_being_streamed_is_not_closed(
    pgflight_dialect: Dialect,
) -> None:
    async def work() -> None:
        engine = engine_of(pgflight_dialect, size=1, isolation_level="READ COMMITTED")
        async with engine.connect() as connection:
            streamed = "SELECT * FROM generate_series(1, 3000) AS open_rows"
            result = await connection.stream(text(streamed))
            rows = [row[0] for row in await result.fetchmany(10)]
            await distinct(connection, 20)
            held = text(f"SELECT count(*) FROM pg_prepared_statements WHERE statement='{streamed}'")
            assert await connection.scalar(held) == 1
            rows += [row[0] async for row in result]
            assert rows == list(range(1, 3001))
            await distinct(connection, 3)
            assert await connection.scalar(held) == 0

    asyncio.run(work())


@pytest.mark.parametrize("size", [0, 1, SIZE])
def test_names_may_come_round_again(pgflight_dialect: Dialect, size: int) -> None:
    """A name is free when its statement has left the cache: Close comes before Parse."""
    names = cycle([f"round_{n}" for n in range(size + (1 if PRIVATE else 2))])

    async def work() -> None:
        engine = engine_of(
            pgflight_dialect,
            size=size,
            connect_args={"prepared_statement_name_func": lambda: next(names)},
        )
        async with engine.connect() as connection:
            await distinct(connection, 3 * SIZE)

    asyncio.run(work())


def test_executemany_does_not_close_one_by_one(pgflight_dialect: Dialect, proxy: Proxy) -> None:
    async def work() -> None:
        async with engine_of(pgflight_dialect, size=0, via=proxy).connect() as connection:
            await connection.execute(text("CREATE TEMP TABLE many (id int)"))
            insert = "INSERT INTO many VALUES (:id) /* {} */"
            await connection.execute(text(insert.format("first")), [{"id": 1}, {"id": 2}])
            await distinct(connection, 1)
            with proxy.counting() as trips:
                await connection.execute(text(insert.format("second")), [{"id": 1}, {"id": 2}])
            assert trips.count == (2 if PRIVATE else 3)

    asyncio.run(work())


def test_what_asyncpg_drops_stays_bounded(pgflight_dialect: Dialect) -> None:
    """Statements of executemany() pass through asyncpg's own cache."""

    async def work() -> None:
        engine = engine_of(pgflight_dialect, connect_args={"statement_cache_size": 5})
        async with engine.connect() as connection:
            await connection.execute(text("CREATE TEMP TABLE many (id int)"))
            for n in range(300):
                insert = text(f"INSERT INTO many VALUES (:id) /* {n} */")
                await connection.execute(insert, [{"id": 1}, {"id": 2}])
            assert await prepared(connection) <= 5 + 100 + 5

    asyncio.run(work())


def test_notifications_meanwhile(pgflight_dialect: Dialect) -> None:
    """CloseComplete must never be what asyncpg reads while it expects nothing."""
    heard: list[str] = []

    async def work() -> None:
        engine = engine_of(pgflight_dialect, size=1)
        async with engine.connect() as connection, engine.connect() as other:
            raw: Any = (await connection.get_raw_connection()).driver_connection
            await raw.add_listener("closing", lambda *said: heard.append(said[-1]))
            for n in range(50):
                await distinct(connection, 1)
                await other.execute(text(f"NOTIFY closing, '{n}'"))
                await asyncio.sleep(0.001)
            await distinct(connection, 1)
            await raw.remove_listener("closing", heard.append)
            assert heard == [str(n) for n in range(50)]

    asyncio.run(work())


async def copy_meanwhile(connection: AsyncConnection) -> None:
    """Prepare while the program copies through asyncpg's connection: that must not hurt it."""
    raw: Any = (await connection.get_raw_connection()).driver_connection
    await connection.execute(text("CREATE TEMP TABLE copied (id int)"))
    await distinct(connection, 3)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def source() -> Any:
        yield b"1\n"
        begun.set()
        await go_on.wait()
        yield b"2\n"

    copying = asyncio.ensure_future(raw.copy_to_table("copied", source=source()))
    await begun.wait()
    with pytest.raises(sqlalchemy.exc.InterfaceError, match="another operation is in progress"):
        await distinct(connection, 1)
    go_on.set()
    assert await copying == "COPY 2"
    await distinct(connection, 3)
    assert await prepared(connection) <= 1 + SLACK


def test_a_busy_connection_is_left_alone(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        async with engine_of(pgflight_dialect, size=1).connect() as connection:
            await copy_meanwhile(connection)

    asyncio.run(work())


def test_a_connection_that_is_gone(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        engine = engine_of(pgflight_dialect, size=1)
        async with engine.connect() as connection:
            await distinct(connection, 3)
            raw: Any = (await connection.get_raw_connection()).driver_connection
            raw.terminate()
            with pytest.raises(sqlalchemy.exc.InterfaceError, match="connection is closed"):
                await distinct(connection, 1)
            await connection.invalidate()
        async with engine.connect() as connection:
            await distinct(connection, 3)

    asyncio.run(work())


def test_cancelled_at_any_moment(pgflight_dialect: Dialect) -> None:
    """asyncpg goes on with the connection after a cancellation; SQLAlchemy would not."""

    async def work() -> None:
        async with engine_of(pgflight_dialect, size=2).connect() as connection:
            statements = await statements_of(connection)
            for n in range(200):
                task = asyncio.ensure_future(statements.prepared(f"SELECT {n} /* cut */"))
                for _ in range(n % 7):
                    await asyncio.sleep(0)
                if n % 5 == 0:
                    await asyncio.sleep(0.001)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                entry = await statements.prepared(f"SELECT {n} /* whole */")
                assert (await driver.fetch(entry.statement, ()))[0][0][0] == n
            # a Parse that was cancelled may leave a statement that nobody has been told of
            kept = await prepared(connection)
            known = text(f"{PREPARED} WHERE statement LIKE '%/* whole */'")
            assert await connection.scalar(known) <= 2 + SLACK
            assert kept <= 200 + SIZE

    asyncio.run(work())


@pytest.mark.skipif(sys.platform == "win32", reason="uvloop does not run there")
def test_uvloop_whose_transports_take_no_attribute(pgflight_dialect: Dialect, proxy: Proxy) -> None:
    import uvloop

    async def work() -> None:
        engine = create_async_engine(
            pgflight_dialect.url(host=proxy.host, port=proxy.port),
            isolation_level="AUTOCOMMIT",
            connect_args={"prepared_statement_cache_size": 1},
        )
        try:
            async with engine.connect() as connection:
                await distinct(connection, 50)
                assert await prepared(connection) <= 1 + SLACK
                await distinct(connection, 2)  # one to be closed, whoever does it
                with proxy.counting() as trips:
                    await distinct(connection, 20)
                assert trips.count == (2 if PRIVATE else 3) * 20
                await copy_meanwhile(connection)
        finally:
            await engine.dispose()

    loop = uvloop.new_event_loop()
    try:
        loop.run_until_complete(asyncio.wait_for(work(), 60))
    finally:
        loop.close()
