"""Statements whose text carries the trace they belong to, so that none is there twice."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

import pgflight
from pgflight import driver
from tests.fixtures.engines import Dialect
from tests.fixtures.outcome import Both
from tests.fixtures.pgbouncer import Pgbouncer
from tests.fixtures.proxy import Proxy
from tests.parity.scratch import committed, own, scratch

metadata = sa.MetaData()
notes = sa.Table(
    own("notes_of_traces"),
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("note", sa.Text),
)
PLACES = {"behind": "{1} /*{0}*/", "in front": "/*{0}*/ {1}"}
KEPT = sa.text("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%traceparent%'")


def trace(engine: AsyncEngine, place: str = "behind", inner: Sequence[str] = ()) -> None:
    """Have each statement of an engine say another trace, as OpenTelemetry's commenter does."""
    numbers = itertools.count(1)

    @event.listens_for(engine.sync_engine, "before_cursor_execute", retval=True)
    def comment(_: Any, __: Any, text: str, values: Any, *___: Any) -> tuple[str, Any]:
        trace = f"db_driver='asyncpg',traceparent='00-{next(numbers):032x}-{7:016x}-01'"
        return PLACES[place].format("".join((trace, *inner)), text), values


@pytest.mark.parametrize("place", PLACES)
def test_values(both: Both, place: str) -> None:
    async def body(engine: AsyncEngine) -> Any:
        trace(engine, place)
        seen: list[Any] = []
        async with scratch(engine, metadata) as connection:
            for number in range(8):
                row = {"id": number, "note": str(number)}
                seen.append((await connection.execute(notes.insert(), row)).rowcount)
                many = [{"id": 100 * (number + 1) + n, "note": "many"} for n in range(3)]
                await connection.execute(notes.insert(), many)
                mine = notes.c.id == number
                for statement in (
                    sa.select(notes).where(mine),
                    sa.select(sa.literal(number), sa.literal(str(number))),
                    notes.update().where(mine).values(note="changed").returning(notes.c.note),
                    notes.delete().where(notes.c.note == "many"),
                ):
                    result = await connection.execute(statement)
                    seen.append(result.all() if result.returns_rows else result.rowcount)
            async for each in await connection.stream(sa.select(notes).order_by(notes.c.id)):
                seen.append(tuple(each))
        return seen

    both(body)


def test_behind_a_pooler(pgflight_dialect: Dialect, pgbouncer: Pgbouncer) -> None:
    async def work() -> None:
        # at level public no pooler is found before asyncpg has prepared a named statement
        named = {} if driver.can_pipeline() else {"pooler": "transaction"}
        engine = pgflight_dialect.engine(pgbouncer.url(), connect_args=named)
        trace(engine)

        async def task(start: int) -> None:
            for number in range(start, start + 20):
                async with engine.connect() as connection:
                    chosen = sa.select(sa.literal(number), sa.literal(str(number)))
                    assert (await connection.execute(chosen)).one() == (number, str(number))

        await asyncio.gather(*(task(1000 * each) for each in range(6)))

    asyncio.run(work())


def test_a_column_changes_its_type(both: Both) -> None:
    """The rows of a statement that is known are read by the description that comes with them."""

    async def body(engine: AsyncEngine) -> Any:
        trace(engine)
        seen: list[Any] = []
        read = sa.text(f"SELECT note FROM {notes.name}")
        async with committed(engine, metadata), engine.connect() as connection:
            await connection.execute(notes.insert(), {"id": 1, "note": "7"})
            await connection.commit()
            for kind in ("text", "integer", "numeric", "integer[]", "text"):
                using = "ARRAY[7]" if kind == "integer[]" else f"'7'::{kind}"
                change = f"ALTER TABLE {notes.name} ALTER note TYPE {kind} USING {using}"
                await connection.exec_driver_sql(change)
                await connection.commit()
                for _ in range(3):
                    seen.append((await connection.scalar(read), kind))
        return seen

    both(body)


@pytest.mark.parametrize("condition", ["", "WHERE note = :note"])
def test_another_process_changes_a_column(dialect: Dialect, condition: str) -> None:
    """And with it the type of a parameter that the text does not say."""

    async def work() -> None:
        engine, other = dialect.engine(), dialect.engine()
        trace(engine)
        read = sa.text(f"SELECT note FROM {notes.name} {condition}")
        async with committed(other, metadata), other.connect() as connection:
            await connection.execute(notes.insert(), {"id": 1, "note": "7"})
            await connection.commit()
            async with engine.connect() as reading:
                for kind, value in (("text", "7"), ("integer", 7), ("text", "7")):
                    change = f"ALTER TABLE {notes.name} ALTER note TYPE {kind} USING note::{kind}"
                    await connection.exec_driver_sql(change)
                    await connection.commit()
                    for _ in range(3):
                        given = {"note": value} if condition else {}
                        assert await reading.scalar(read, given) == value
                        await reading.commit()

    asyncio.run(work())


def test_it_waits_once_and_is_not_kept(pgflight_dialect: Dialect, proxy: Proxy) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(proxy.url())
        trace(engine)
        async with scratch(engine, metadata) as connection:
            for number in range(2):
                await connection.execute(sa.select(notes).where(notes.c.id == number))
            before = pgflight.stats(engine)
            with proxy.counting() as trips:
                for number in range(150):
                    await connection.execute(sa.select(notes).where(notes.c.id == number))
            after = pgflight.stats(engine)
            if driver.is_private():
                assert trips.count == 150
                assert after.statements_prepared == before.statements_prepared
                assert after.cache_evictions == 0
                assert await connection.scalar(KEPT) == 0

    asyncio.run(work())


@pytest.mark.parametrize("inner", ["\0", "\ud800"], ids=["NUL", "a surrogate"])
def test_what_no_statement_may_contain(pgflight_dialect: Dialect, inner: str) -> None:
    async def work() -> None:
        engine, more = pgflight_dialect.engine(), list[str]()
        trace(engine, inner=more)
        async with engine.connect() as connection:
            for _ in range(3):
                more[:] = []
                assert await connection.scalar(sa.text("SELECT 1")) == 1
                more[:] = [inner]
                with pytest.raises((DBAPIError, UnicodeError)):
                    await connection.scalar(sa.text("SELECT 1"))
                await connection.rollback()

    asyncio.run(work())
