"""Server-side cursors: in transactions on both dialects, in AUTOCOMMIT on ours."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import sqlalchemy.exc
from sqlalchemy import Column, Integer, MetaData, Table, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from pgflight.dbapi import held_cursor
from tests.fixtures.engines import Dialect
from tests.fixtures.proxy import Proxy

ROWS = 2345
SERIES = text(f"SELECT n, n * 2 FROM generate_series(1, {ROWS}) AS n")
HELD = text("SELECT count(*) FROM pg_cursors WHERE name LIKE 'pgflight%'")
TABLE = Table("streamed", MetaData(), Column("id", Integer, primary_key=True))


async def everything(connection: AsyncConnection, statement: Any, **options: Any) -> list[Any]:
    result = await connection.stream(statement, execution_options=options)
    return [tuple(row) async for row in result]


async def state(dialect: Dialect, pid: int) -> str | None:
    """Return pg_stat_activity's state of a backend, seen from another connection."""
    async with dialect.engine().connect() as connection:
        found: str | None = await connection.scalar(
            text("SELECT state FROM pg_stat_activity WHERE pid = :pid"), {"pid": pid}
        )
        return found


@pytest.mark.parametrize("yield_per", [None, 1, 7, 50, 1000, 5000])
def test_all_rows_in_order(dialect: Dialect, yield_per: int | None) -> None:
    async def work() -> None:
        options = {} if yield_per is None else {"yield_per": yield_per}
        async with dialect.engine().connect() as connection:
            rows = await everything(connection, SERIES, **options)
            assert rows == [(n, n * 2) for n in range(1, ROWS + 1)]

    asyncio.run(work())


def test_reading_in_every_way(dialect: Dialect) -> None:
    async def work() -> None:
        async with dialect.engine().connect() as connection:
            result = await connection.stream(SERIES)
            assert await result.fetchone() == (1, 2)
            assert await result.fetchmany(2) == [(2, 4), (3, 6)]
            assert len(await result.fetchmany(60)) == 60
            assert await result.fetchone() == (64, 128)
            assert len(await result.fetchall()) == ROWS - 64
            assert await result.fetchone() is None
            parts = [len(part) async for part in (await connection.stream(SERIES)).partitions(1000)]
            assert parts == [1000, 1000, 345]
            scalars = await connection.stream_scalars(SERIES)
            assert await scalars.first() == 1
            assert await (await connection.stream(text("SELECT 1 WHERE false"))).all() == []

    asyncio.run(work())


def test_keys_and_parameters(dialect: Dialect) -> None:
    async def work() -> None:
        async with dialect.engine().connect() as connection:
            statement = select(func.generate_series(5, 9).label("n")).limit(3)
            result = await connection.stream(statement)
            assert list(result.keys()) == ["n"]
            assert [row.n async for row in result] == [5, 6, 7]

    asyncio.run(work())


def test_an_error_in_the_midst_of_the_rows(dialect: Dialect) -> None:
    failing = text("SELECT 1 / (1500 - n) FROM generate_series(1, 3000) AS n")

    async def work() -> None:
        async with dialect.engine().connect() as connection:
            # the built-in dialect lets asyncpg's own exception through here
            expected: Any = sqlalchemy.exc.DataError if dialect.ours else Exception
            with pytest.raises(expected, match="division by zero"):
                await everything(connection, failing, yield_per=100)
            await connection.rollback()
            assert await connection.scalar(text("SELECT 1")) == 1

    asyncio.run(work())


def test_two_streams_at_once_in_one_transaction(dialect: Dialect) -> None:
    async def work() -> None:
        async with dialect.engine().connect() as connection:
            first = await connection.stream(SERIES, execution_options={"yield_per": 10})
            second = await connection.stream(SERIES, execution_options={"yield_per": 10})
            for n in range(1, 100):
                assert await first.fetchone() == await second.fetchone() == (n, n * 2)
            await first.close()
            await second.close()

    asyncio.run(work())


def test_the_builtin_dialect_cannot_stream_in_autocommit(builtin: Dialect) -> None:
    async def work() -> None:
        engine = builtin.engine(isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            with pytest.raises(Exception, match="outside of a transaction"):
                await everything(connection, SERIES)

    asyncio.run(work())


@pytest.mark.parametrize("yield_per", [None, 1, 50, 1000, 5000])
def test_ours_streams_in_autocommit(pgflight_dialect: Dialect, yield_per: int | None) -> None:
    async def work() -> None:
        options = {} if yield_per is None else {"yield_per": yield_per}
        engine = pgflight_dialect.engine(isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            rows = await everything(connection, SERIES, **options)
            assert rows == [(n, n * 2) for n in range(1, ROWS + 1)]
            assert await connection.scalar(HELD) == 0

    asyncio.run(work())


def test_no_transaction_is_invented_or_left_behind(pgflight_dialect: Dialect) -> None:
    """What the program writes while it reads is committed at once, as AUTOCOMMIT promises."""

    async def work() -> None:
        engine = pgflight_dialect.engine(isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection, engine.connect() as other:
            await connection.run_sync(TABLE.metadata.drop_all)
            await connection.run_sync(TABLE.metadata.create_all)
            pid = await connection.scalar(text("SELECT pg_backend_pid()"))
            result = await connection.stream(SERIES, execution_options={"yield_per": 100})
            assert await result.fetchone() == (1, 2)
            assert await state(pgflight_dialect, pid) == "idle"
            await connection.execute(insert(TABLE).values(id=1))
            assert await other.scalar(select(func.count()).select_from(TABLE)) == 1
            assert await result.fetchone() == (2, 4)
            await result.close()
            assert await connection.scalar(HELD) == 0
            raw: Any = (await connection.get_raw_connection()).driver_connection
            assert not raw.is_in_transaction()

    asyncio.run(work())


def test_statements_that_cannot_be_declared(pgflight_dialect: Dialect) -> None:
    """They run once, and their rows are read from memory."""

    async def work() -> None:
        engine = pgflight_dialect.engine(isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            await connection.run_sync(TABLE.metadata.drop_all)
            await connection.run_sync(TABLE.metadata.create_all)
            adding = insert(TABLE).values(id=1).returning(TABLE.c.id)
            assert await everything(connection, adding) == [(1,)]
            within = text(
                "WITH added AS (INSERT INTO streamed VALUES (2), (3) RETURNING id)"
                " SELECT id FROM added ORDER BY id"
            )
            assert await everything(connection, within) == [(2,), (3,)]
            assert await everything(connection, select(TABLE.c.id).with_for_update()) == [
                (1,), (2,), (3,),
            ]  # fmt: skip
            assert await everything(connection, text("SHOW standard_conforming_strings")) == [
                ("on",)
            ]
            assert await connection.scalar(select(func.count()).select_from(TABLE)) == 3

    asyncio.run(work())


def test_errors_in_autocommit(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            with pytest.raises(sqlalchemy.exc.DataError):
                await everything(connection, text("SELECT 1 / 0"))
            with pytest.raises(sqlalchemy.exc.ProgrammingError):
                await everything(connection, text("SELECT * FROM no_such_table"))
            with pytest.raises(sqlalchemy.exc.ProgrammingError):
                await everything(connection, text("SELECT FROM WHERE"))
            assert await connection.scalar(HELD) == 0

    asyncio.run(work())


@pytest.mark.parametrize("ending", ["close", "rollback", "forget"])
def test_a_stream_that_is_not_read_to_its_end(pgflight_dialect: Dialect, ending: str) -> None:
    """The held rows go with the stream, at the latest when the connection is used again."""

    async def work() -> None:
        engine = pgflight_dialect.engine(isolation_level="AUTOCOMMIT", pool_size=1, max_overflow=0)
        async with engine.connect() as connection:
            result = await connection.stream(SERIES, execution_options={"yield_per": 10})
            assert await result.fetchone() == (1, 2)
            if ending == "close":
                await result.close()
            elif ending == "rollback":
                await connection.rollback()
                assert await connection.scalar(HELD) == 0
        async with engine.connect() as connection:
            assert await connection.scalar(HELD) == 0

    asyncio.run(work())


@pytest.mark.parametrize("command", ["CLOSE ALL", "DISCARD ALL"])
def test_the_program_closes_held_cursors_itself(pgflight_dialect: Dialect, command: str) -> None:
    """Statements that follow do not suffer from cursors that are gone already."""

    async def work() -> None:
        engine = pgflight_dialect.engine(isolation_level="AUTOCOMMIT", pool_size=1, max_overflow=0)
        async with engine.connect() as connection:
            streams = [
                await connection.stream(SERIES, execution_options={"yield_per": 10})
                for _ in range(2)
            ]
            for stream in streams:
                assert await stream.fetchone() == (1, 2)
            await connection.exec_driver_sql(command)
            another = await connection.stream(SERIES, execution_options={"yield_per": 10})
            assert await another.fetchone() == (1, 2)
            for stream in streams:
                await stream.close()
            assert await connection.scalar(text("SELECT 1")) == 1
            await connection.rollback()
            assert await connection.scalar(HELD) == 0

    asyncio.run(work())


def test_what_can_be_declared_is_told_in_linear_time() -> None:
    comments = "/* c */" * 5000
    assert held_cursor._DECLARABLE.match(f"{comments} -- line\n ( SELECT 1)")
    assert not held_cursor._DECLARABLE.match(f"{comments} INSERT INTO t VALUES (1)")


def test_a_begun_transaction_in_autocommit_is_respected(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            await connection.exec_driver_sql("BEGIN")
            assert len(await everything(connection, SERIES, yield_per=100)) == ROWS
            await connection.exec_driver_sql("COMMIT")

    asyncio.run(work())


def test_fetchmany_takes_one_round_trip_where_the_builtin_takes_two(
    pgflight_dialect: Dialect, proxy: Proxy
) -> None:
    async def work() -> int:
        async with pgflight_dialect.engine(via=proxy).connect() as connection:
            result = await connection.stream(SERIES, execution_options={"yield_per": 1000})
            with proxy.counting() as trips:
                assert len(await result.fetchmany(1000)) == 1000
            await result.close()
            return trips.count

    assert asyncio.run(work()) == 1


def test_a_stream_left_behind_in_a_transaction_of_the_programs(pgflight_dialect: Dialect) -> None:
    """Its cursor cannot be closed there; the program's statements go on, and it is closed later."""

    async def work() -> None:
        engine = pgflight_dialect.engine(isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            result = await connection.stream(text("SELECT generate_series(1, 5000)"))
            await result.fetchone()
            adapted: Any = (await connection.get_raw_connection()).dbapi_connection
            adapted.session.held_cursors.abandon_all()
            await adapted._connection.execute("BEGIN")
            assert await connection.scalar(text("SELECT 1")) == 1
            await adapted._connection.execute("ROLLBACK")
            held = text("SELECT count(*) FROM pg_cursors WHERE is_holdable")
            assert (await connection.scalar(held), adapted.session.held_cursors.abandoned) == (
                0,
                [],
            )

    asyncio.run(work())
