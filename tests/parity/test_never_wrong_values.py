"""A column changes its type in another process: wrong numbers on the built-in dialect, not on ours.

With ``statement_cache_size=0`` asyncpg 0.31+ leaves statements unnamed: the server parses them anew
for every execution, while the built-in dialect keeps decoding by the description of the first one.
Older asyncpg names them, so that the server itself refuses the stale plan.
"""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest
import sqlalchemy.exc
from sqlalchemy import text

from tests.fixtures.engines import Dialect
from tests.fixtures.server import Server

REFUSED = "refused"
UNNAMED_WITHOUT_CACHE = tuple(map(int, asyncpg.__version__.split(".")[:2])) >= (0, 31)
UNNAMED: list[dict[str, Any]] = [
    {"statement_cache_size": 0},
    {"statement_cache_size": 0, "prepared_statement_cache_size": 10},
]


async def alter(server: Server, *commands: str) -> None:
    """Do as another process."""
    url = server.url().set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(url)
    try:
        for command in commands:
            await connection.execute(command)
    finally:
        await connection.close()


async def read_twice(dialect: Dialect, connect_args: dict[str, Any], autocommit: bool) -> Any:
    """Read a value before and after its column became ``real``; return the second one."""
    options: dict[str, Any] = {"isolation_level": "AUTOCOMMIT"} if autocommit else {}
    engine = dialect.engine(connect_args=connect_args, pool_size=1, max_overflow=0, **options)
    await alter(
        dialect.server,
        "DROP TABLE IF EXISTS changing",
        "CREATE TABLE changing (value integer)",
        "INSERT INTO changing VALUES (1)",
    )
    query = text("SELECT value FROM changing")
    async with engine.connect() as connection:
        assert await connection.scalar(query) == 1
    await alter(
        dialect.server,
        "ALTER TABLE changing ALTER COLUMN value TYPE real",
        "UPDATE changing SET value = 2.5",
    )
    async with engine.connect() as connection:
        return await connection.scalar(query)


async def outcome(dialect: Dialect, connect_args: dict[str, Any], autocommit: bool) -> Any:
    """Return the value, or REFUSED where the server refuses the stale plan of a named statement."""
    try:
        return await read_twice(dialect, connect_args, autocommit)
    except sqlalchemy.exc.NotSupportedError as error:
        assert "cached statement plan is invalid" in str(error)
        return REFUSED


def test_the_builtin_dialect_returns_wrong_numbers(builtin: Dialect) -> None:
    async def work() -> None:
        # 2.5 as IEEE 754 single precision, read as an integer
        wrong = 1075838976 if UNNAMED_WITHOUT_CACHE else REFUSED
        assert await outcome(builtin, {"statement_cache_size": 0}, False) == wrong

    asyncio.run(work())


@pytest.mark.parametrize("autocommit", [False, True])
@pytest.mark.parametrize("connect_args", UNNAMED)
def test_ours_returns_the_value(
    pgflight_dialect: Dialect, connect_args: dict[str, Any], autocommit: bool
) -> None:
    """Where the server refuses the stale plan, the first statement of a unit is executed again."""

    async def work() -> None:
        assert await outcome(pgflight_dialect, connect_args, autocommit) == 2.5

    asyncio.run(work())


@pytest.mark.parametrize("autocommit", [False, True])
def test_an_empty_name_by_the_name_function(pgflight_dialect: Dialect, autocommit: bool) -> None:
    """pgbouncer's users pass ``lambda: ""``; each execution is described then."""

    async def work() -> None:
        connect_args = {"prepared_statement_name_func": lambda: ""}
        assert await read_twice(pgflight_dialect, connect_args, autocommit) == 2.5

    asyncio.run(work())


def test_unnamed_statements_do_not_mix(pgflight_dialect: Dialect) -> None:
    """Two texts in turn over one unnamed statement each time get their own rows."""

    async def work() -> None:
        engine = pgflight_dialect.engine(connect_args={"prepared_statement_name_func": lambda: ""})
        async with engine.connect() as connection:
            for n in range(5):
                assert await connection.scalar(text("SELECT 1")) == 1
                assert await connection.scalar(text("SELECT 'two'")) == "two"
                assert await connection.scalar(text("SELECT :n + 1.5::float8"), {"n": n}) == n + 1.5

    asyncio.run(work())


def test_a_parameter_of_a_user_type_is_looked_up_in_between(pgflight_dialect: Dialect) -> None:
    """The look-up ends the implicit transaction of AUTOCOMMIT: another process may come between."""

    async def work() -> None:
        server = pgflight_dialect.server
        await alter(
            server,
            "DROP TABLE IF EXISTS changing",
            "DROP TYPE IF EXISTS changing_mood",
            "CREATE TYPE changing_mood AS ENUM ('fine', 'well')",
            "CREATE TABLE changing (value integer, mood changing_mood)",
            "INSERT INTO changing VALUES (1, 'fine')",
        )
        engine = pgflight_dialect.engine(
            connect_args={"statement_cache_size": 0}, isolation_level="AUTOCOMMIT"
        )
        async with engine.connect() as connection:
            raw: Any = (await connection.get_raw_connection()).driver_connection
            prepare = raw.prepare
            times = 0

            async def and_then_another_process(*args: Any, **kwargs: Any) -> Any:
                nonlocal times
                times += 1
                statement = await prepare(*args, **kwargs)
                if times == 1:
                    await alter(
                        server,
                        "ALTER TABLE changing ALTER COLUMN value TYPE real",
                        "UPDATE changing SET value = 2.5",
                    )
                return statement

            adapted: Any = (await connection.get_raw_connection()).dbapi_connection
            adapted.session.statements._connection = Interposed(raw, and_then_another_process)
            query = "SELECT value FROM changing WHERE mood = $1::changing_mood"
            result = await connection.exec_driver_sql(query, ("fine",))
            assert result.scalar() == 2.5

    if UNNAMED_WITHOUT_CACHE:
        asyncio.run(work())


class Interposed:
    """A connection with another ``prepare``."""

    def __init__(self, connection: Any, prepare: Any) -> None:
        self.connection = connection
        self.prepare = prepare

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)


@pytest.mark.parametrize("autocommit", [False, True])
def test_a_user_type_is_looked_up_in_between(pgflight_dialect: Dialect, autocommit: bool) -> None:
    """asyncpg asks for an unknown type between description and execution: described again."""
    options: dict[str, Any] = {"isolation_level": "AUTOCOMMIT"} if autocommit else {}

    async def work() -> None:
        await alter(
            pgflight_dialect.server,
            "DROP TABLE IF EXISTS changing",
            "DROP TYPE IF EXISTS changing_mood",
            "CREATE TYPE changing_mood AS ENUM ('fine', 'well')",
        )
        engine = pgflight_dialect.engine(connect_args={"statement_cache_size": 0}, **options)
        async with engine.connect() as connection:
            for _ in range(3):
                assert await connection.scalar(text("SELECT 'fine'::changing_mood")) == "fine"
                assert await connection.scalar(text("SELECT array['well'::changing_mood]")) == [
                    "well"
                ]

    asyncio.run(work())
