"""A long IN list is planned for its values, like the built-in dialect's separate parameters."""

from __future__ import annotations

import asyncio
import enum
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pgflight import driver
from pgflight.sqltext.long_lists import EXECUTIONS_PLANNED, LONG_FROM
from tests.fixtures.engines import Dialect
from tests.fixtures.outcome import Both
from tests.fixtures.proxy import Proxy
from tests.parity.scratch import scratch

metadata = sa.MetaData()
rows = sa.Table(
    "rows_of_long_lists",
    metadata,
    sa.Column("id", sa.Integer),  # without an index: each list is a filter of a sequential scan
    sa.Column("note", sa.Text),
)
ROWS = 300


class Grade(enum.Enum):
    """A type of the database's own."""

    low = 1
    high = 2


graded = sa.Table(
    "graded_of_long_lists",
    metadata,
    sa.Column("id", sa.Integer),
    sa.Column("grade", sa.Enum(Grade, name="grade_of_long_lists")),
)


async def _fill(connection: AsyncConnection) -> None:
    await connection.execute(rows.insert(), [{"id": i, "note": str(i)} for i in range(ROWS)])
    await connection.execute(graded.insert(), [{"id": i, "grade": Grade.low} for i in range(40)])


def _statements(start: int, size: int) -> dict[str, Any]:
    chosen = rows.c.id.in_(range(start, start + size))
    return {
        "select": sa.select(rows.c.note).where(chosen).order_by(rows.c.id),
        "not in": sa.select(rows.c.note).where(~chosen).order_by(rows.c.id),
        "update": rows.update().where(chosen).values(note=rows.c.note + "!"),
        "update returning": rows.update().where(chosen).values(id=rows.c.id).returning(rows.c.id),
        "delete": rows.delete().where(chosen),
        "two lists": sa.select(rows.c.note).where(chosen, rows.c.note.in_(["1", "7"] * size)),
        "own type": sa.select(graded.c.id).where(graded.c.grade.in_([Grade.low] * size)),
    }


KINDS = list(_statements(0, 1))
PLANS = sa.text(
    "SELECT generic_plans + custom_plans, generic_plans FROM pg_prepared_statements"
    " WHERE statement LIKE '%_of_long_lists%' AND statement LIKE '%(CAST(%'"
    " AND statement NOT LIKE '%pg_prepared%'"
)


@pytest.mark.parametrize("kind", KINDS)
def test_values_and_plans(both: Both, kind: str) -> None:
    """Whatever the length; and the server never makes a plan for a list of any length."""

    async def body(engine: AsyncEngine) -> Any:
        seen: list[Any] = []
        async with scratch(engine, metadata) as connection:
            await _fill(connection)
            for number in range(12):
                for size in (9, LONG_FROM - 1, LONG_FROM, 2000):
                    statement = _statements(number, size)[kind]
                    result = await connection.execute(statement)
                    seen.append(result.all() if result.returns_rows else result.rowcount)
            for plans, generic in await connection.execute(PLANS):
                assert generic == 0 and plans <= EXECUTIONS_PLANNED
        return seen

    both(body)


@pytest.mark.parametrize("kind", KINDS)
def test_it_waits_once(pgflight_dialect: Dialect, proxy: Proxy, kind: str) -> None:
    """The text travels with the values, so that nobody waits for it."""

    async def work() -> None:
        async with scratch(pgflight_dialect.engine(proxy.url()), metadata) as connection:
            await _fill(connection)
            for number in range(2):
                await connection.execute(_statements(number, 500)[kind])
            with proxy.counting() as trips:
                for number in range(10):
                    await connection.execute(_statements(number, 500 + number)[kind])
            # else it is prepared again, and perhaps closed by itself, for each five
            travels = driver.is_private() and kind in ("select", "not in", "two lists", "own type")
            assert 10 <= trips.count <= (10 if travels else 14)

    asyncio.run(work())


@pytest.mark.skipif(not driver.is_private(), reason="level public raises what asyncpg does")
@pytest.mark.parametrize("type_, wanted", [("bigint", 5), ("text", "5"), ("boolean", True)])
def test_another_process_changes_a_column(
    pgflight_dialect: Dialect, type_: str, wanted: object
) -> None:
    """The text is described with each execution, and its rows are read accordingly."""

    async def work() -> None:
        engine = pgflight_dialect.engine()
        table = sa.table("changed_of_long_lists", sa.column("id"), sa.column("v"))
        statement = sa.select(table.c.v).where(
            sa.cast(table.c.id, sa.Integer).in_(range(LONG_FROM))
        )
        async with engine.connect() as other:
            await other.execution_options(isolation_level="AUTOCOMMIT")
            await other.exec_driver_sql("DROP TABLE IF EXISTS changed_of_long_lists")
            await other.exec_driver_sql(
                "CREATE TABLE changed_of_long_lists AS SELECT 5 AS id, 5::integer AS v"
            )
        changing = pgflight_dialect.engine()
        async with engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            for _ in range(7):
                assert await connection.scalar(statement) == 5
            async with changing.begin() as other:
                await other.exec_driver_sql(
                    f"ALTER TABLE changed_of_long_lists ALTER v TYPE {type_} USING v::{type_}"
                )
            for _ in range(7):
                found = await connection.scalar(statement)
                assert (found, type(found)) == (wanted, type(wanted))
            await connection.exec_driver_sql("DROP TABLE changed_of_long_lists")

    asyncio.run(work())
