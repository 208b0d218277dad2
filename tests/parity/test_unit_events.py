"""SQLAlchemy's events and log lines of each unit of work: the same, in order, on both dialects."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import AdaptedConnection, ExecutionContext
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import Session, SessionTransaction

from tests.fixtures.outcome import Both, Shown, attempt, difference
from tests.fixtures.waits import Waits
from tests.parity.test_waits import each_unit
from tests.parity.units_of_work import TABLE, Unit, Warm, warm

ENGINE = (
    "after_cursor_execute after_execute before_cursor_execute before_execute begin begin_twophase"
    " commit commit_twophase engine_connect engine_disposed handle_error prepare_twophase"
    " release_savepoint rollback rollback_savepoint rollback_twophase savepoint"
    " set_connection_execution_options"
).split()
RETURN_THEIR_ARGUMENTS = {"before_execute": slice(1, 4), "before_cursor_execute": slice(2, 4)}
DIALECT = "do_connect do_execute do_execute_no_params do_executemany".split()
POOL = (
    "checkin checkout close close_detached connect detach first_connect invalidate reset"
    " soft_invalidate"
).split()
SESSION = (
    "after_begin after_bulk_delete after_bulk_update after_commit after_flush"
    " after_flush_postexec after_rollback after_soft_rollback after_transaction_create"
    " after_transaction_end before_commit before_flush do_orm_execute"
).split()

_TIMING = re.compile(r"\[(generated in|cached since|no key|caching disabled)[^\]]*\]")
_OBJECT = re.compile(r" at 0x[0-9a-f]+")


def seen(value: Any) -> Any:
    """Return what can be compared of one argument of an event."""
    if isinstance(value, (list, tuple)):
        return [seen(item) for item in value]
    if isinstance(value, dict):
        return {str(key): seen(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, (str, int, float, bool, type(None))):
        return value
    if isinstance(value, sa.ClauseElement):
        return Shown(f"SQL {value}")
    if isinstance(value, BaseException):
        return type(value).__name__
    if hasattr(value, "fetchone") and hasattr(value, "executemany"):
        return Shown("cursor")
    for kind in (AdaptedConnection, ExecutionContext, sa.Dialect):
        if isinstance(value, kind):
            return Shown(kind.__name__)
    if isinstance(value, SessionTransaction):
        return Shown(f"SessionTransaction nested={value.nested} parent={value.parent is not None}")
    if isinstance(value, sa.CursorResult):
        return Shown(f"CursorResult {value.returns_rows}")
    shown = _OBJECT.sub("", repr(value))
    return Shown(type(value).__name__ if "object>" in shown or "asyncpg" in shown else shown)


@contextmanager
def recorded(engine: AsyncEngine) -> Iterator[list[Any]]:
    """Yield the list of the events that fire, each with its arguments."""
    found: list[Any] = []
    sync = engine.sync_engine
    listening: list[tuple[Any, str, Any]] = []

    def listen(target: Any, name: str) -> None:
        part = RETURN_THEIR_ARGUMENTS.get(name)

        def fired(*arguments: Any) -> Any:
            shown = list(arguments) if name != "handle_error" else [arguments[0].statement]
            found.append([name, [seen(item) for item in shown]])
            return None if part is None else arguments[part]

        options = {} if part is None else {"retval": True}
        event.listen(target, name, fired, **options)
        listening.append((target, name, fired))

    for target, names in ((sync, ENGINE + DIALECT), (sync.pool, POOL), (Session, SESSION)):
        for name in names:
            listen(target, name)
    try:
        yield found
    finally:
        for one in listening:
            event.remove(*one)


async def both_of(
    both: Both, waits: Waits, unit: Unit, record: Callable[[Warm], Awaitable[list[Any]]]
) -> list[Any]:
    """Return what `record` returns on each dialect, which must be the same."""
    found = []
    for dialect in (both.builtin, both.ours):
        async with warm(dialect, waits, unit) as run:
            found.append(await record(run))
    problem = difference(*found)
    if problem:
        pytest.fail(f"pgflight differs from the built-in dialect:\n{problem}", pytrace=False)
    return found[0]


@each_unit
def test_events_and_their_arguments(both: Both, waits: Waits, unit: Unit) -> None:
    async def record(run: Warm) -> list[Any]:
        with recorded(run.engine) as events:
            for _ in range(3):
                await run()
        return events

    events = asyncio.run(both_of(both, waits, unit, record))
    names = {name for name, _ in events}
    assert {"checkout", "checkin", "reset"} <= names
    assert unit.name == "nothing" or "before_cursor_execute" in names


@each_unit
def test_log_lines(both: Both, waits: Waits, unit: Unit, caplog: pytest.LogCaptureFixture) -> None:
    """Those of the engine, which `echo` shows, and of the pool."""

    async def record(run: Warm) -> list[Any]:
        for _ in range(2):
            await run()
        caplog.clear()
        await run()
        return [
            f"{item.name} {item.levelname} {_OBJECT.sub('', _TIMING.sub('', item.getMessage()))}"
            for item in caplog.records
        ]

    with caplog.at_level(logging.DEBUG, logger="sqlalchemy"):
        lines = asyncio.run(both_of(both, waits, unit, record))
    assert len(lines) >= 4


def test_events_of_a_unit_that_fails(both: Both, waits: Waits) -> None:
    async def record(run: Warm) -> list[Any]:
        with recorded(run.engine) as events:
            async with run.engine.connect() as connection:
                for text in ("SELECT 1/0", "SELECT 1", "no SQL"):
                    await attempt(connection.execute(sa.text(text)))
                await connection.rollback()
                await attempt(connection.execute(sa.text("SELECT :number + 1"), {"number": "no"}))
                await connection.rollback()
                await connection.execute(sa.text("SELECT 1"))
                await connection.invalidate()
        return events

    events = asyncio.run(both_of(both, waits, TABLE[0], record))
    assert [name for name, _ in events].count("handle_error") == 4
