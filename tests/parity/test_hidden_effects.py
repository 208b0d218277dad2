"""SELECTs whose text does not show what they do: a view, an operator, a cast, a function by dot.

pgflight judges by the text whether to wait for the end of a transaction.  These tests show that a
wrong judgement moves a moment at most: the same things are undone or kept, in the same order, and
locks are released by themselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.fixtures.engines import Dialect
from tests.parity.scratch import own

NAME = own("hidden")
SECONDS = 20.0

_SETUP = f"""
CREATE TABLE {NAME} (n int);
CREATE TABLE {NAME}_locked (n int);
INSERT INTO {NAME}_locked VALUES (1);
CREATE FUNCTION {NAME}_write(int) RETURNS int LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO {NAME} VALUES ($1);
    PERFORM pg_notify('{NAME}', $1::text);
    PERFORM set_config('{NAME}.seen', $1::text, true);
    PERFORM n FROM {NAME}_locked FOR UPDATE;
    RETURN $1;
END $$;
CREATE VIEW {NAME}_view AS SELECT {NAME}_write(1) AS n;
CREATE OPERATOR <!> (FUNCTION = {NAME}_write, RIGHTARG = int);
CREATE TYPE {NAME}_row AS (n int);
CREATE FUNCTION {NAME}_made({NAME}_row) RETURNS int LANGUAGE sql AS 'SELECT {NAME}_write($1.n)';
CREATE CAST ({NAME}_row AS int) WITH FUNCTION {NAME}_made({NAME}_row);
CREATE FUNCTION {NAME}_dotted({NAME}_locked) RETURNS int LANGUAGE sql AS 'SELECT {NAME}_write(1)';
CREATE FUNCTION abs({NAME}_row) RETURNS int LANGUAGE sql AS 'SELECT {NAME}_write($1.n)';
"""
_CLEAN = f"""
DROP TABLE IF EXISTS {NAME}, {NAME}_locked CASCADE;
DROP OPERATOR IF EXISTS <!> (NONE, int);
DROP TYPE IF EXISTS {NAME}_row CASCADE;
DROP FUNCTION IF EXISTS {NAME}_write(int) CASCADE;
"""
WRITES = {
    "view": f"SELECT n FROM {NAME}_view",
    "operator": "SELECT <!> 1",
    "cast": f"SELECT ('(1)'::{NAME}_row)::int",
    "column": f"SELECT l.{NAME}_dotted FROM {NAME}_locked AS l",
    "overload": f"SELECT abs('(1)'::{NAME}_row)",
}
STATE = (
    f"SELECT (SELECT count(*) FROM {NAME}), coalesce(current_setting('{NAME}.seen', true), ''),"
    f" (SELECT count(*) FROM {NAME}_locked)"
)


@asynccontextmanager
async def beside(dialect: Dialect) -> AsyncIterator[asyncpg.Connection]:
    """Yield another program's connection, with the objects of these tests in place."""
    connection = await asyncpg.connect(dialect.server.url("postgresql").render_as_string(False))
    try:
        await connection.execute(_CLEAN)
        await connection.execute(_SETUP)
        yield connection
        await connection.execute(_CLEAN)
    finally:
        await connection.close()


async def run(engine: AsyncEngine, text: str, *, commit: bool) -> list[Any]:
    """Run a SELECT in a unit of work; return its answer, and what the next unit sees."""
    async with engine.connect() as connection:
        first = await connection.scalar(sa.text(text))
        await (connection.commit() if commit else connection.rollback())
    async with engine.connect() as connection:
        return [first, *(await connection.execute(sa.text(STATE))).one()]


@pytest.mark.parametrize("kind", WRITES)
def test_what_a_view_does_is_undone(dialect: Dialect, kind: str) -> None:
    """Rows, settings and notifications of a transaction that is rolled back, and its locks."""

    async def work() -> None:
        heard: list[str] = []
        async with beside(dialect) as other:
            await other.add_listener(NAME, lambda *event: heard.append(event[-1]))
            engine = dialect.engine(pool_size=1, max_overflow=0)
            assert await run(engine, WRITES[kind], commit=False) == [1, 0, "", 1]
            # not NOWAIT: the lock is free half a round trip after close(), if that late
            await other.execute(f"UPDATE {NAME}_locked SET n = 2", timeout=SECONDS)
            assert await other.fetchval(f"SELECT count(*) FROM {NAME}") == 0
            assert heard == []

    asyncio.run(work())


@pytest.mark.parametrize("kind", WRITES)
def test_what_a_view_does_is_committed(dialect: Dialect, kind: str) -> None:
    async def work() -> None:
        heard: asyncio.Queue[str] = asyncio.Queue()
        async with beside(dialect) as other:
            await other.add_listener(NAME, lambda *event: heard.put_nowait(event[-1]))
            engine = dialect.engine(pool_size=1, max_overflow=0)
            assert await run(engine, WRITES[kind], commit=True) == [1, 1, "", 1]
            assert await other.fetchval(f"SELECT count(*) FROM {NAME}") == 1
            assert await asyncio.wait_for(heard.get(), SECONDS) == "1"

    asyncio.run(work())


def test_a_read_only_transaction_may_notify(dialect: Dialect) -> None:
    """It changes no table, but its COMMIT sends what a view has put into the queue."""

    async def work() -> None:
        heard: asyncio.Queue[str] = asyncio.Queue()
        async with beside(dialect) as other:
            await other.execute(
                f"CREATE VIEW {NAME}_news AS SELECT pg_notify('{NAME}', 'x')::text AS n"
            )
            try:
                await other.add_listener(NAME, lambda *event: heard.put_nowait(event[-1]))
                engine = dialect.engine(execution_options={"postgresql_readonly": True})
                async with engine.begin() as connection:
                    await connection.execute(sa.text(f"SELECT n FROM {NAME}_news"))
                assert await asyncio.wait_for(heard.get(), SECONDS) == "x"
            finally:
                await other.execute(f"DROP VIEW {NAME}_news")

    asyncio.run(work())
