"""A statement that somebody else's DDL, DEALLOCATE or DISCARD has made stale is executed again.

If it is the first of its unit of work, and only then; else it raises as the built-in dialect does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

import pgflight
from pgflight import driver
from tests.fixtures.engines import Dialect
from tests.fixtures.outcome import Both
from tests.parity.scratch import own

SCHEMA = own("stale")
TABLE = sa.table("stale", sa.column("id", sa.Integer), sa.column("v"), schema=SCHEMA)
INSERTED = sa.Table(
    "inserted",
    sa.MetaData(),
    sa.Column("id", sa.Integer),
    sa.Column("m", pg.ENUM("glad", "sad", name="mood", schema=SCHEMA)),
    schema=SCHEMA,
)
MADE = (
    f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE",
    f"CREATE SCHEMA {SCHEMA}",
    f"CREATE TYPE {SCHEMA}.mood AS ENUM ('glad', 'sad')",
    f"CREATE TYPE {SCHEMA}.pair AS (a integer, b integer)",
    f"CREATE SEQUENCE {SCHEMA}.ran",
    f"CREATE TABLE {SCHEMA}.stale (id integer PRIMARY KEY, v integer)",
    f"INSERT INTO {SCHEMA}.stale SELECT n, n FROM generate_series(1, 30) AS n",
    f"CREATE TABLE {SCHEMA}.inserted (id integer, m {SCHEMA}.mood)",
)
Use = Callable[[AsyncConnection], Awaitable[Any]]


async def select(connection: AsyncConnection) -> Any:
    return [str(v) for v in await connection.scalars(sa.select(TABLE.c.v).where(TABLE.c.id < 3))]


async def star(connection: AsyncConnection) -> Any:
    text = sa.text(f"SELECT * FROM {SCHEMA}.stale WHERE id < 3 ORDER BY id")
    return [str(row.v) for row in await connection.execute(text)]


async def counted(connection: AsyncConnection) -> Any:
    """What has run moves the sequence, even if it is rolled back."""
    text = sa.text(f"SELECT nextval('{SCHEMA}.ran') AS n, v FROM {SCHEMA}.stale WHERE id = 1")
    row = (await connection.execute(text)).one()
    return str(row.v)


async def in_list(connection: AsyncConnection) -> Any:
    return len(
        (await connection.scalars(sa.select(TABLE.c.v).where(TABLE.c.id.in_(range(20))))).all()
    )


async def long_list(connection: AsyncConnection) -> Any:
    return len(
        (await connection.scalars(sa.select(TABLE.c.v).where(TABLE.c.id.in_(range(200))))).all()
    )


async def stream(connection: AsyncConnection) -> Any:
    rows = await connection.stream(sa.select(TABLE.c.v).order_by(TABLE.c.id))
    return [str(row.v) async for row in rows]


async def many(connection: AsyncConnection) -> Any:
    text = sa.text(f"UPDATE {SCHEMA}.stale SET v = v WHERE id = :id")
    await connection.execute(text, [{"id": n} for n in (1, 2)])


async def own_type(connection: AsyncConnection) -> Any:
    text = sa.text(f"SELECT CAST(:m AS {SCHEMA}.mood)")
    return await connection.scalar(text, {"m": "glad"})


async def own_types(connection: AsyncConnection) -> Any:
    rows = sa.select(INSERTED.c.m).where(INSERTED.c.m.in_(["glad"] * 200))
    return (await connection.scalars(rows)).all()


async def own_type_of_many(connection: AsyncConnection) -> Any:
    await connection.execute(INSERTED.insert(), [{"id": n, "m": "sad"} for n in range(40)])


async def composite(connection: AsyncConnection) -> Any:
    pair = await connection.scalar(sa.text(f"SELECT CAST(ROW(1, 2) AS {SCHEMA}.pair)"))
    return [str(each) for each in pair]


async def copied_out(connection: AsyncConnection) -> Any:
    async with pgflight.copy_out(connection, sa.select(TABLE.c.id, TABLE.c.v)) as rows:
        return [row[0] async for row in rows][:3]


async def copied_in(connection: AsyncConnection) -> Any:
    return await pgflight.copy_in(connection, INSERTED, [(n, "glad") for n in range(3)])


USES: list[Use] = [
    select, star, counted, in_list, long_list, stream, many, own_type, own_types, own_type_of_many,
    composite, copied_out, copied_in,
]  # fmt: skip
OF_OTHERS = {
    "column's type": [f"ALTER TABLE {SCHEMA}.stale ALTER v TYPE text"],
    "column added": [f"ALTER TABLE {SCHEMA}.stale ADD w integer"],
    "table made again": [
        f"DROP TABLE {SCHEMA}.stale",
        f"CREATE TABLE {SCHEMA}.stale AS SELECT n AS id, n::bigint AS v"
        " FROM generate_series(1, 30) AS n",
    ],
    "type made again": [
        f"DROP TYPE {SCHEMA}.mood CASCADE",
        f"CREATE TYPE {SCHEMA}.mood AS ENUM ('sad', 'glad')",
        f"ALTER TABLE {SCHEMA}.inserted ADD m {SCHEMA}.mood",
        f"DROP TYPE {SCHEMA}.pair CASCADE",
        f"CREATE TYPE {SCHEMA}.pair AS (a bigint, b text)",
    ],
}
OF_ITS_OWN = {"deallocated": "DEALLOCATE ALL", "discarded": "DISCARD ALL"}


@asynccontextmanager
async def made(dialect: Dialect) -> AsyncIterator[tuple[AsyncEngine, Callable[..., Any]]]:
    """Yield an engine of one connection, and what executes statements over another engine."""
    other = dialect.engine(isolation_level="AUTOCOMMIT")

    async def run(*statements: str) -> None:
        async with other.connect() as connection:
            for each in statements:
                await connection.exec_driver_sql(each)

    await run(*MADE)
    try:
        yield dialect.engine(pool_size=1, max_overflow=0), run
    finally:
        await run(f"DROP SCHEMA {SCHEMA} CASCADE")


@pytest.mark.parametrize("level", [None, "AUTOCOMMIT"])
@pytest.mark.parametrize("what", OF_OTHERS)
@pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)
def test_ddl_of_another_process(
    pgflight_dialect: Dialect, use: Use, what: str, level: str | None
) -> None:
    async def work() -> None:
        async with made(pgflight_dialect) as (engine, others):
            if level is not None:
                engine = engine.execution_options(isolation_level=level)
            for turn in range(3):
                async with engine.connect() as connection:
                    before = await use(connection)
                    if turn:
                        await connection.commit()
            await others(f"ALTER SEQUENCE {SCHEMA}.ran RESTART", *OF_OTHERS[what])
            async with engine.connect() as connection:
                after = await use(connection)
                assert after == before or use in (own_types, in_list, star)
                await connection.commit()
            async with engine.connect() as connection:
                assert await use(connection) == after
                moved = sa.text(f"SELECT last_value FROM {SCHEMA}.ran")
                assert await connection.scalar(moved) == (2 if use is counted else 1)

    asyncio.run(work())


@pytest.mark.parametrize("what", OF_ITS_OWN)
@pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)
def test_statements_that_the_session_has_lost(
    pgflight_dialect: Dialect, use: Use, what: str
) -> None:
    async def work() -> None:
        async with made(pgflight_dialect) as (engine, _):
            # level public cannot tell a transaction that the program has begun by asyncpg's methods
            for hidden in (False, True) if driver.is_private() else (False,):
                async with engine.connect() as connection:
                    before = await use(connection)
                    await connection.commit()
                    if hidden:  # asyncpg's own method, and so unseen
                        raw: Any = (await connection.get_raw_connection()).driver_connection
                        await raw.execute(OF_ITS_OWN[what])
                    else:
                        await connection.execution_options(isolation_level="AUTOCOMMIT")
                        await connection.exec_driver_sql(OF_ITS_OWN[what])
                async with engine.connect() as connection:
                    assert await use(connection) == before
                    await connection.commit()

    asyncio.run(work())


def test_later_in_the_unit_it_is_raised(both: Both) -> None:
    """What has run before would be lost with the transaction."""

    async def body(engine: AsyncEngine) -> Any:
        async with engine.connect() as other:
            await other.execution_options(isolation_level="AUTOCOMMIT")
            for each in MADE:
                await other.exec_driver_sql(each)
            async with engine.connect() as connection:
                await select(connection)
                await connection.commit()
                await own_type(connection)
                # by asyncpg's own method, and so unseen, as if by another process
                raw: Any = (await other.get_raw_connection()).driver_connection
                await raw.execute(OF_OTHERS["column's type"][0])
                with pytest.raises(DBAPIError) as caught:
                    await select(connection)
                await connection.rollback()
                seen = await select(connection)
            await other.exec_driver_sql(f"DROP SCHEMA {SCHEMA} CASCADE")
        return type(caught.value.orig).__name__, seen

    assert both(body)[1] == ["1", "2"]


@pytest.mark.skipif(not driver.can_pipeline(), reason="level public cannot describe in a flight")
@pytest.mark.parametrize("what", sorted(OF_OTHERS))
def test_later_in_the_unit_it_is_healed_if_asked_for(pgflight_dialect: Dialect, what: str) -> None:
    """What has run before is kept."""

    async def work() -> None:
        async with made(pgflight_dialect) as (_, others):
            engine = pgflight_dialect.engine(connect_args={"heal": "savepoint"})
            async with engine.connect() as connection:
                for use in USES:
                    await use(connection)
                await connection.commit()
                await connection.execute(sa.text("CREATE TEMPORARY TABLE kept (n integer)"))
                await others(*OF_OTHERS[what])
                for use in USES:
                    await use(connection)
                assert await connection.scalar(sa.text("SELECT count(*) FROM kept")) == 0
                await connection.rollback()
            await engine.dispose()

    asyncio.run(work())


def test_an_error_inside_of_a_function_is_raised(pgflight_dialect: Dialect) -> None:
    """It may come after the function has done something; a sequence tells that it ran once."""

    async def work() -> None:
        async with made(pgflight_dialect) as (engine, others):
            await others(
                f"CREATE FUNCTION {SCHEMA}.f() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN"
                f" PERFORM nextval('{SCHEMA}.ran'); EXECUTE 'EXECUTE not_prepared'; RETURN 1;"
                " END $$"
            )
            async with engine.connect() as connection:
                for turn in range(2):
                    with pytest.raises(DBAPIError, match="not_prepared"):
                        await connection.scalar(sa.text(f"SELECT {SCHEMA}.f()"))
                    await connection.rollback()
                    last = sa.text(f"SELECT last_value FROM {SCHEMA}.ran")
                    assert await connection.scalar(last) == turn + 1
                    await connection.rollback()
            assert pgflight.stats(engine).healed == {}

    asyncio.run(work())


def test_it_is_counted_and_said(
    pgflight_dialect: Dialect, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        async with made(pgflight_dialect) as (engine, others):
            for turn in range(2):
                async with engine.connect() as connection:
                    await select(connection)
                if not turn:
                    await others(*OF_OTHERS["column's type"])
            assert sum(pgflight.stats(engine).healed.values()) == 1

    with caplog.at_level("INFO", "pgflight"):
        asyncio.run(work())
    assert [message for message in caplog.messages if "executed again" in message] == [
        "the first statement of a unit of work is executed again: cached plan of other columns"
    ]
