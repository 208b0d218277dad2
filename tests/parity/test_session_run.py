"""`Session.execute()` does in line what `Session.run()` does: one body, both ways."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

import pgflight
from pgflight import _impl, driver
from pgflight.session.request import Request
from pgflight.session.session import Answer, Session
from pgflight.session.statistics import NOTHING
from tests.fixtures.engines import Dialect

Body = Callable[[AsyncConnection, Any], Coroutine[Any, Any, Any]]


async def by_request(session: Session, operation: str, parameters: Sequence[Any]) -> Answer:
    """Execute a statement as `Session.execute()` does, by a request."""

    async def send() -> Answer:
        entry = await session.prepared(operation)
        session.counters.ran()
        try:
            reply = await entry.execute(parameters)
        except Exception as error:
            await driver.settle(entry.statement, error)
            raise
        session.unit.operations += 1
        count = _impl.rows.rowcount(reply[1])
        if count < 0:
            session.commands.note(reply[1], operation)
        return entry.description, reply[0], count

    answer: Answer = await session.run(Request(operation, send, notes_side_effects=True))
    return answer


async def reads(connection: AsyncConnection, adapted: Any) -> Any:
    rows = (await connection.execute(text("SELECT 1 AS a, 'x' AS b"))).all()
    before = state(adapted)
    await connection.rollback()
    return list(map(tuple, rows)), before


async def writes(connection: AsyncConnection, adapted: Any) -> Any:
    await connection.execute(text("CREATE TEMP TABLE written (n integer)"))
    added = await connection.execute(text("INSERT INTO written VALUES (1), (2)"))
    before = state(adapted)
    await connection.commit()
    return added.rowcount, before


async def fails_first(connection: AsyncConnection, adapted: Any) -> Any:
    error = await attempt(connection, "SELECT 1/0")
    return error, state(adapted), await attempt(connection, "SELECT 1")


async def fails_later(connection: AsyncConnection, adapted: Any) -> Any:
    await connection.execute(text("SELECT 1"))
    return await attempt(connection, "SELECT nothing"), state(adapted)


async def refuses_a_parameter(connection: AsyncConnection, adapted: Any) -> Any:
    error = await attempt(connection, "SELECT CAST(:n AS integer)", n="one")
    return error, state(adapted)


async def is_cancelled(connection: AsyncConnection, adapted: Any) -> Any:
    task = asyncio.ensure_future(adapted.session.execute("SELECT pg_sleep(60)", ()))
    while not adapted.session.turn.taken:
        await asyncio.sleep(0)
    for _ in range(20):
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait({task})
    before = state(adapted)
    value = await attempt(connection, "SELECT 42")
    after = state(adapted)
    await connection.run_sync(lambda _: adapted.rollback())
    return task.cancelled(), before, value, after


async def queues(connection: AsyncConnection, adapted: Any) -> Any:
    statements = [f"SELECT {number} AS v" for number in range(5)]
    answers = await asyncio.gather(*(adapted.session.execute(each, ()) for each in statements))
    before = state(adapted)
    await connection.run_sync(lambda _: adapted.rollback())
    return [answer[1][0]["v"] for answer in answers], before


async def changes_the_schema(connection: AsyncConnection, adapted: Any) -> Any:
    generation = adapted.session.statements.schema.number
    await connection.execute(text("CREATE TEMP TABLE changed (n integer)"))
    await connection.execute(text("ALTER TABLE changed ADD m integer"))
    before = state(adapted)
    await connection.rollback()
    return before, adapted.session.statements.schema.number - generation


async def sets_read_only(connection: AsyncConnection, adapted: Any) -> Any:
    await connection.execute(text("SET TRANSACTION READ ONLY"))
    chosen = adapted.session.transactions.is_read_only_by_choice()
    await connection.rollback()
    return chosen, adapted.session.transactions.is_read_only_by_choice()


BODIES = (
    reads,
    writes,
    fails_first,
    fails_later,
    refuses_a_parameter,
    is_cancelled,
    queues,
    changes_the_schema,
    sets_read_only,
)


def state(adapted: Any) -> Any:
    """Return what a session knows of its unit of work and of its turn."""
    session = adapted.session
    unit = session.unit
    return (
        unit.transaction is not None,
        unit.side_effect_free,
        unit.operations,
        unit.schema_changed,
        unit.in_doubt is not None,
        session.turn.taken,
        adapted._connection.is_in_transaction(),
    )


async def attempt(connection: AsyncConnection, statement: str, **parameters: Any) -> Any:
    """Return a statement's value, or the classes of the error that it meets."""
    try:
        return await connection.scalar(text(statement), parameters)
    except Exception as error:
        return f"{type(error).__name__} {type(getattr(error, 'orig', None)).__name__}"


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "AUTOCOMMIT"])
@pytest.mark.parametrize("pipeline", ["auto", "off"])
@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
def test_both_ways_do_the_same(
    pgflight_dialect: Dialect,
    monkeypatch: pytest.MonkeyPatch,
    body: Body,
    pipeline: str,
    isolation: str,
) -> None:
    async def outcome() -> Any:
        engine = pgflight_dialect.engine(pipeline=pipeline, isolation_level=isolation)
        async with engine.connect() as connection:
            adapted = (await connection.get_raw_connection()).dbapi_connection
            found = await body(connection, adapted)
        # but for the greenlets of the whole process
        counted = pgflight.stats(engine)._replace(greenlet_stacks=NOTHING.greenlet_stacks)
        await engine.dispose()
        return found, counted

    in_line = asyncio.run(outcome())
    monkeypatch.setattr(Session, "execute", by_request)
    by_run = asyncio.run(outcome())
    assert in_line == by_run
