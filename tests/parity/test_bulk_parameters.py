"""Many parameter sets: defaults, processors, odd names, errors, and what events see of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import count
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tests.fixtures.outcome import Both, Failure, refused
from tests.parity.bulk_cases import (
    BULK,
    FULL,
    ODD,
    PLAIN,
    Doubled,
    full,
    metadata,
    numbers,
    odd,
    plain,
)
from tests.parity.counts import told_by_both
from tests.parity.scratch import apart, scratch


async def _send(connection: AsyncConnection, statement: Any, parameters: Any) -> Any:
    result: Any = await connection.execute(statement, parameters)
    rows = result.all() if result.returns_rows else None
    return [rows, told_by_both(result), result.context.executemany]


async def _filled(connection: AsyncConnection) -> None:
    numbers.next = partial(next, count(1))
    Doubled.bound = 0
    await connection.execute(full.insert(), [{"id": 100 + n, **row} for n, row in enumerate(FULL)])
    await connection.execute(odd.insert(), [{"id": 100 + n, **row} for n, row in enumerate(ODD)])


def _watched(engine: AsyncEngine) -> list[Any]:
    seen: list[Any] = []

    def cursor(
        conn: Any, cur: Any, statement: str, parameters: Any, context: Any, many: bool
    ) -> None:
        seen.append([statement, parameters, many, context.execute_style.name])
        seen.append([context.compiled_parameters, context.isinsert, context.is_crud])

    def before(
        conn: Any, clauseelement: Any, multiparams: Any, params: Any, execution_options: Any
    ) -> None:
        seen.append([str(clauseelement), multiparams, params, dict(execution_options)])

    def after(
        conn: Any,
        clauseelement: Any,
        multiparams: Any,
        params: Any,
        execution_options: Any,
        result: Any,
    ) -> None:
        before(conn, clauseelement, multiparams, params, execution_options)

    event.listen(engine.sync_engine, "before_cursor_execute", cursor)
    event.listen(engine.sync_engine, "after_cursor_execute", cursor)
    event.listen(engine.sync_engine, "before_execute", before)
    event.listen(engine.sync_engine, "after_execute", after)
    return seen


@pytest.mark.parametrize("name", BULK)
@pytest.mark.parametrize("watched", [True, False], ids=["events", "quiet"])
def test_many_parameter_sets(both: Both, name: str, watched: bool) -> None:
    statement, parameters = BULK[name]

    async def work(engine: AsyncEngine) -> Any:
        async with scratch(engine, metadata) as connection:
            await _filled(connection)
            seen = _watched(engine) if watched else []
            # Twice: the second time the compiled statement comes out of SQLAlchemy's cache.
            sent = [
                await apart(connection, partial(_send, connection, statement, parameters))
                for _ in range(2)
            ]
            tables = (full, plain, odd) if not watched else ()
            rows = [(await connection.execute(table.select())).all() for table in tables]
            return [sent, seen, rows, Doubled.bound]

    both(work)


@pytest.mark.parametrize("name", ["plain", "plain sorted", "odd names", "update"])
def test_schema_translate_map(both: Both, name: str) -> None:
    statement, parameters = BULK[name]
    maps: tuple[Mapping[str | None, str], ...] = ({None: "test_schema"}, {None: "test_schema_2"})

    async def work(engine: AsyncEngine) -> Any:
        found = []
        async with engine.connect() as connection:
            for translate in (*maps, maps[0]):
                mapped = engine.execution_options(schema_translate_map=translate)
                async with mapped.connect() as own_connection:
                    await own_connection.run_sync(metadata.create_all, checkfirst=False)
                    await _filled(own_connection)
                    send = partial(_send, own_connection, statement, parameters)
                    found.append(await apart(own_connection, send))
                    found.append((await own_connection.execute(full.select())).all())
                    await own_connection.rollback()
            await connection.rollback()
        return found

    assert not any(isinstance(item, Failure) for item in both(work))


@pytest.mark.parametrize("size", [1, 2, 999, 1000, 1001, 2500])
def test_sizes_around_the_batches(both: Both, size: int) -> None:
    insert = plain.insert().returning(plain.c.id, plain.c.n, sort_by_parameter_order=True)
    rows = [{"n": n, "doubled": n, "label": str(n)} for n in range(size)]

    async def work(engine: AsyncEngine) -> Any:
        async with scratch(engine, metadata) as connection:
            seen = _watched(engine)
            returned = (await connection.execute(insert, rows)).all()
            result = await connection.execute(plain.insert(), rows)
            total = await connection.scalar(sa.select(sa.func.sum(plain.c.doubled)))
            return [returned, told_by_both(result), total, seen]

    assert [row.n for row in both(work)[0]] == list(range(size))


def test_parameters_are_the_programs_own(both: Both) -> None:
    """The program's dictionaries stay as they are, and are read once, when the call is made."""
    rows = [dict(row) for row in PLAIN]

    async def work(engine: AsyncEngine) -> Any:
        async with scratch(engine, metadata) as connection:
            await connection.execute(plain.insert(), rows)
            assert rows == PLAIN
            failure = await refused(_send(connection, plain.insert(), [*rows, {"n": "no"}]))
            return [rows, failure]

    both(work)
