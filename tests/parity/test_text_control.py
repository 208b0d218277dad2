"""Transaction control as text: what is rolled back afterwards is rolled back, on a grid of units.

Ours does what is right in every unit. The built-in dialect does, too, but for two faults, which the
same rules describe: after a textual end it commits each statement by itself, and a transaction that
was begun by hand stays in the pool.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

import pgflight
from tests.fixtures.engines import Dialect
from tests.parity import text_control
from tests.parity.text_control import GID, IN_PROCEDURE, PROCEDURE, TABLE, Outcome, Right, Unit

ONE: dict[str, Any] = {"pool_size": 1, "max_overflow": 0}


@asynccontextmanager
async def tables(dialect: Dialect) -> AsyncIterator[asyncpg.Connection]:
    """Yield a connection aside; the table and the procedure exist meanwhile."""
    aside = await dialect.server.connect()
    try:
        await aside.execute(
            f"DROP TABLE IF EXISTS {TABLE}; CREATE TABLE {TABLE} (n integer);"
            f"CREATE OR REPLACE PROCEDURE {PROCEDURE}() LANGUAGE plpgsql AS $$"
            f" BEGIN INSERT INTO {TABLE} VALUES ({IN_PROCEDURE}); COMMIT; END $$"
        )
        yield aside
        await aside.execute(f"DROP PROCEDURE {PROCEDURE}(); DROP TABLE {TABLE}")
    finally:
        await aside.close()


async def outcome_of(engine: AsyncEngine, aside: asyncpg.Connection, unit: Unit) -> Outcome:
    """Do a unit of work on an empty table, and use its connection once more."""
    error = await text_control.run(engine, unit)
    stored = [row["n"] for row in await aside.fetch(f"SELECT n FROM {TABLE} ORDER BY n")]
    after = await text_control.next_user(engine)
    if unit.sql in text_control.PREPARES:
        if await aside.fetchval("SELECT count(*) FROM pg_prepared_xacts WHERE gid = $1", GID):
            await aside.execute(f"ROLLBACK PREPARED '{GID}'")
    if after != "idle":
        await engine.dispose()
    await aside.execute(f"DELETE FROM {TABLE}")
    return Outcome(error, stored, after)


@pytest.mark.parametrize("way", text_control.WAYS)
def test_what_is_rolled_back_is_not_stored(dialect: Dialect, way: str) -> None:
    async def work() -> None:
        engine = dialect.engine(**ONE)
        wrong = []
        async with tables(dialect) as aside:
            for unit in text_control.units(way):
                expected = Right(unit, begins_again=dialect.ours).outcome()
                found = await outcome_of(engine, aside, unit)
                if found != expected:
                    wrong.append((unit, found, expected))
        assert not wrong, "\n".join(map(str, wrong))

    asyncio.run(work())


def test_the_built_in_dialect_stores_what_was_rolled_back() -> None:
    """So that the grid shows a difference at all: in how many of its units, and in which."""
    grid = [unit for way in text_control.WAYS for unit in text_control.units(way)]
    differ = [u for u in grid if Right(u).outcome() != Right(u, begins_again=False).outcome()]
    stores = [
        unit
        for unit in differ
        if set(Right(unit, begins_again=False).outcome().stored) - set(Right(unit).outcome().stored)
    ]
    assert len(grid) == 1344
    assert {unit.place for unit in stores} == {"first", "middle"}
    assert {unit.way for unit in stores} == {"connect", "begin", "session", "cursor", "driver"}
    assert {unit.way for unit in differ} == set(text_control.WAYS)


def test_what_was_done_is_counted(pgflight_dialect: Dialect) -> None:
    async def work() -> Any:
        engine = pgflight_dialect.engine(**ONE)
        async with tables(pgflight_dialect) as aside:
            for way, sql in (("connect", "COMMIT"), ("autocommit", "BEGIN"), ("driver", "BEGIN")):
                await outcome_of(engine, aside, Unit(way, sql, "first", "close"))
        return dict(pgflight.stats(engine).transactions_tidied)

    assert asyncio.run(work()) == {
        "ended by the program": 1,
        "begun by text, and rolled back": 1,
        "left open by the program, and the connection closed": 1,
    }
