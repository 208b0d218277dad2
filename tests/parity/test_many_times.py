"""The same `executemany()` again and again: what asyncpg has prepared need not be introduced."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pgflight.driver import can_pipeline
from pgflight.driver.introspection.introducer import Introducer
from tests.fixtures.engines import Dialect
from tests.fixtures.outcome import Both, Failure, attempt
from tests.parity.scratch import own

TABLE = own("many_times")
KIND = own("kind_of_many_times")
INSERT = sa.text(f"INSERT INTO {TABLE} VALUES (:number, CAST(:kind AS {KIND}))")
ROWS = [{"number": number, "kind": "low"} for number in range(3)]


async def _make(connection: AsyncConnection, *labels: str) -> None:
    listed = ", ".join(f"'{label}'" for label in labels)
    await connection.execute(sa.text(f"DROP TABLE IF EXISTS {TABLE}"))
    await connection.execute(sa.text(f"DROP TYPE IF EXISTS {KIND}"))
    await connection.execute(sa.text(f"CREATE TYPE {KIND} AS ENUM ({listed})"))
    await connection.execute(sa.text(f"CREATE TABLE {TABLE} (number INTEGER, kind {KIND})"))


async def _drop(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(sa.text(f"DROP TABLE {TABLE}"))
        await connection.execute(sa.text(f"DROP TYPE {KIND}"))


@pytest.mark.skipif(not can_pipeline(), reason="level public leaves types to asyncpg")
def test_types_are_told_once(pgflight_dialect: Dialect, monkeypatch: pytest.MonkeyPatch) -> None:
    """And again once asyncpg has forgotten the statement."""
    begun: list[str] = []
    begin = Introducer.begin

    def noted(self: Introducer, operation: str) -> Any:
        begun.append(operation)
        return begin(self, operation)

    async def work() -> None:
        engine = pgflight_dialect.engine()
        async with engine.connect() as connection:
            await _make(connection, "low")
            monkeypatch.setattr(Introducer, "begin", noted)
            for _ in range(3):
                await connection.execute(INSERT, ROWS)
            assert sum("INSERT" in each for each in begun) == 1
            raw = (await connection.get_raw_connection()).driver_connection
            assert raw is not None
            await raw.reload_schema_state()
            await connection.execute(INSERT, ROWS)
            assert sum("INSERT" in each for each in begun) == 2
            await connection.rollback()

    asyncio.run(work())


def test_a_type_that_is_made_anew(pgflight_dialect: Dialect) -> None:
    """Under the same name, between two executions, of which the built-in dialect's first fails."""

    async def work() -> None:
        engine = pgflight_dialect.engine()
        for labels in (["low", "high"], ["high", "low"], ["high"]):
            async with engine.begin() as connection:
                await _make(connection, *labels)
            for _ in range(2):
                async with engine.connect() as connection:
                    done = await attempt(connection.execute(INSERT, ROWS))
                    if "low" not in labels:
                        assert isinstance(done, Failure) and done.pgcode == "22P02"
                        continue
                    found = sa.text(f"SELECT number, kind FROM {TABLE} ORDER BY kind, number")
                    rows = (await connection.execute(found)).all()
                    assert rows == [(number, "low") for number in range(3)]
        await _drop(engine)

    asyncio.run(work())


def test_a_codec_that_is_set_meanwhile(both: Both) -> None:
    """asyncpg drops what it has prepared, and the next execution uses the program's codec."""
    statement = sa.text(f"INSERT INTO {TABLE} VALUES (:day)")

    async def body(engine: AsyncEngine) -> Any:
        async with engine.connect() as connection:
            await connection.execute(sa.text(f"CREATE TEMPORARY TABLE {TABLE} (day DATE)"))
            await connection.execute(statement, [{"day": dt.date(2024, 1, day)} for day in (1, 2)])
            raw = (await connection.get_raw_connection()).driver_connection
            assert raw is not None
            await raw.set_type_codec("date", schema="pg_catalog", encoder=str, decoder=str)
            await connection.execute(statement, [{"day": "2024-01-03"}, {"day": "2024-01-04"}])
            found = await connection.execute(sa.text(f"SELECT day FROM {TABLE} ORDER BY day"))
            seen = found.scalars().all()
            await connection.invalidate()
        return seen

    both(body)
