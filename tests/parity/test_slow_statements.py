"""`pgflight.on_slow_statement`: which statements a program is told of, and what it is told."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

import pgflight
from pgflight.observing.slow_statements import SlowStatement
from tests.fixtures.engines import Dialect
from tests.fixtures.outcome import Both
from tests.parity.scratch import scratch

metadata = sa.MetaData()
slow_rows = sa.Table("slow_rows", metadata, sa.Column("id", sa.Integer), sa.Column("note", sa.Text))


def test_what_the_program_is_told(both: Both) -> None:
    async def body(engine: AsyncEngine) -> Any:
        told: list[SlowStatement] = []
        async with scratch(engine, metadata) as connection:
            end = pgflight.on_slow_statement(engine, 0, told.append)
            one = {"id": 1, "note": "s3cret"}
            await connection.execute(slow_rows.insert(), one)
            await connection.execute(slow_rows.insert(), [one] * 3)
            await connection.execute(sa.text("SELECT 's3cret', note FROM slow_rows -- s3cret"))
            rows = await connection.stream(sa.select(slow_rows.c.id))
            await rows.fetchone()
            await rows.close()
            with pytest.raises(DBAPIError):
                await connection.execute(sa.text("SELECT 1 / 0"))
            await connection.rollback()
            end()
            await connection.execute(sa.text("SELECT 2"))
            end()
        assert all(each.seconds >= 0 for each in told)
        assert "s3cret" not in str(told)
        assert len({each.digest for each in told}) == len({each.statement for each in told})
        return [(each.statement, each.executemany, bool(each.error)) for each in told]

    assert len(both(body)) == 5


def test_only_what_takes_long(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        engine, told = pgflight_dialect.engine(), list[SlowStatement]()
        pgflight.on_slow_statement(engine, 0.2, told.append)
        async with engine.connect() as connection:
            await connection.execute(sa.text("SELECT pg_sleep(0.25)"))
        slow = [each for each in told if "pg_sleep" in each.statement]
        assert [each.seconds >= 0.25 for each in slow] == [True]
        pgflight.on_slow_statement(engine.sync_engine, 600.0, told.append)
        async with engine.connect() as connection:
            await connection.execute(sa.text("SELECT 1"))
        assert not [each for each in told if each.seconds >= 600]

    asyncio.run(work())


def test_two_hooks_of_one_engine(pgflight_dialect: Dialect) -> None:
    """Each is told of each statement, and one that ends leaves the other alone."""

    async def work() -> None:
        engine = pgflight_dialect.engine()
        one, two = list[SlowStatement](), list[SlowStatement]()
        end = pgflight.on_slow_statement(engine, 0, one.append)
        pgflight.on_slow_statement(engine, 0, two.append)
        async with engine.connect() as connection:
            await connection.execute(sa.text("SELECT 1"))
            with pytest.raises(DBAPIError):
                await connection.execute(sa.text("SELECT 1 / 0"))
            await connection.rollback()
            end()
            await connection.execute(sa.text("SELECT 2, 3"))
        assert [each.statement for each in one] == ["select ?", "select ? / ?"]
        assert [each.statement for each in two] == ["select ?", "select ? / ?", "select ?, …"]

    asyncio.run(work())


def test_the_log(pgflight_dialect: Dialect, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: SlowStatement) -> None:
        raise LookupError("of the hook")

    async def work() -> None:
        engine, other = pgflight_dialect.engine(), pgflight_dialect.engine()
        pgflight.on_slow_statement(engine, 0)
        pgflight.on_slow_statement(other, 0, fail)
        async with engine.connect() as connection:
            assert await connection.scalar(sa.text("SELECT 's3cret'")) == "s3cret"
        async with other.connect() as connection:
            assert await connection.scalar(sa.text("SELECT 7")) == 7

    with caplog.at_level(logging.WARNING, "pgflight"):
        asyncio.run(work())
    lines = [each.getMessage() for each in caplog.records if each.name == "pgflight"]
    assert any(line.startswith("slow statement ") and line.endswith("select ?") for line in lines)
    assert "the hook for slow statements failed" in lines
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        (("an engine",), TypeError, "Engine"),
        ((None, "1"), TypeError, "'1'"),
        ((None, True), TypeError, "True"),
        ((None, -1.0), ValueError, "-1.0"),
        ((None, float("nan")), ValueError, "nan"),
        ((None, 1.0, "hook"), TypeError, "'hook'"),
    ],
    ids=str,
)
def test_what_is_refused(
    pgflight_dialect: Dialect, arguments: tuple[Any, ...], error: type[Exception], said: str
) -> None:
    engine = arguments[0] or pgflight_dialect.engine()
    with pytest.raises(error, match=said):
        pgflight.on_slow_statement(engine, *arguments[1:])
