"""The lines of the log that say what steps aside: once for each reason, and no value in them."""

from __future__ import annotations

import asyncio
import logging
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from pgflight import driver
from pgflight.driver.watching import telling
from pgflight.parameters.in_list_texts import TYPES
from tests.fixtures.engines import Dialect
from tests.parity.test_sync import sync_engine
from tests.tracing.recording import Call, wrapped

SECRET = 6021023
TRIGGERED = """
CREATE FUNCTION pg_temp.seen() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'
"""


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Any:
    """The lines of the logger so far."""
    caplog.set_level(logging.INFO, logger="pgflight")
    return lambda: [record.getMessage() for record in caplog.records if record.name == "pgflight"]


def test_rows_that_are_not_sent_as_arrays(pgflight_dialect: Dialect, said: Any) -> None:
    metadata = sa.MetaData()
    table = sa.Table("of_the_log", metadata, sa.Column("n", sa.Integer), prefixes=["TEMPORARY"])
    rows = [{"n": SECRET + n} for n in range(30)]

    async def work() -> None:
        for _ in range(2):  # once for each engine
            engine = pgflight_dialect.engine(pool_size=2)
            for _ in range(2):
                async with engine.connect() as connection:
                    await connection.run_sync(metadata.create_all)
                    await connection.execute(sa.text(TRIGGERED))
                    await connection.execute(
                        sa.text(
                            "CREATE TRIGGER t AFTER INSERT ON of_the_log"
                            " FOR EACH ROW EXECUTE FUNCTION pg_temp.seen()"
                        )
                    )
                    await connection.execute(table.insert(), rows)
                    await connection.execute(table.insert(), rows)
                    await connection.execute(table.insert(), rows[:5])

    asyncio.run(work())
    lines = said()
    assert len(lines) == 2 and len(set(lines)) == 1
    assert lines[0].startswith("a change of many rows is not sent as arrays: ")
    assert "trigger" in lines[0] and str(SECRET) not in lines[0]


def test_lists_that_are_not_sent_as_arrays(pgflight_dialect: Dialect, said: Any) -> None:
    wide = sa.literal_column("1", sa.Numeric)

    async def work() -> None:
        engine = pgflight_dialect.engine()
        async with engine.connect() as connection:
            for start in (SECRET, SECRET + 50):
                values = [Decimal(start + n) for n in range(30)]
                await connection.execute(sa.select(wide.in_(values)))

    asyncio.run(work())
    assert said() == [f"an IN list is not sent as an array: {TYPES}"]


@pytest.mark.skipif(not driver.is_private(), reason="nothing is gone past")
def test_who_watches(pgflight_dialect: Dialect, said: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "_told", set())  # once a process: another test may have been first
    telling.pending_lines.clear()
    calls: list[Call] = []

    async def work() -> None:
        engine = pgflight_dialect.engine()
        for _ in range(2):
            async with engine.connect() as connection:
                await connection.execute(sa.text(f"SELECT {SECRET}"))

    with wrapped(calls, ["Connection.prepare"]):
        asyncio.run(work())
        assert telling.pending_lines == []  # all has been said at a checkout
    assert calls
    lines = [line for line in said() if "tests.tracing.recording" in line]
    assert 0 < len(lines) == len(set(lines)) <= 4
    assert all(line.startswith("asyncpg is watched, and called as") for line in lines)
    assert not any(str(SECRET) in line for line in lines)


class IntoTheDatabase(logging.Handler):
    """A handler of the program's, which writes into the database through the same engine."""

    def __init__(self, engine: sa.Engine) -> None:
        super().__init__()
        self.engine = engine
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Execute a statement for each line, and then fail."""
        with self.engine.connect() as connection:
            connection.execute(sa.text("SELECT 1"))
        self.seen.append(record.getMessage())
        raise LookupError("a handler that fails")


def test_a_handler_that_uses_the_engine(
    pgflight_dialect: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first connection is not made while a line about it is waited for."""
    monkeypatch.setattr(telling, "_told", set())
    telling.pending_lines.clear()
    calls: list[Call] = []
    logger = logging.getLogger("pgflight")
    before = logger.level
    table = sa.Table("log_rows", sa.MetaData(), sa.Column("n", sa.Integer), prefixes=["TEMPORARY"])
    with sync_engine(pgflight_dialect.server, pool_size=3) as engine:
        handler = IntoTheDatabase(engine)
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        try:
            with wrapped(calls, ["Connection.prepare", "Connection.fetchrow"]):
                for _ in range(2):
                    with engine.connect() as connection:
                        table.metadata.create_all(connection)
                        connection.execute(table.insert(), [{"n": n} for n in range(30)])
        finally:
            logger.removeHandler(handler)
            logger.setLevel(before)
    assert any("many rows" in line for line in handler.seen), handler.seen
    assert not driver.is_private() or any("is watched" in line for line in handler.seen)
