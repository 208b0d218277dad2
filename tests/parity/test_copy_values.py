"""What `pgflight.copy_in` stores is what an INSERT on the built-in dialect stores, for every type.

In binary form, and in text form, which a column of a type without a binary codec brings about.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.types import TypeEngine

import pgflight
from tests.fixtures.outcome import Both, Failure, attempt
from tests.parity.scratch import apart, scratch
from tests.parity.value_cases import CASES, MULTIRANGES, Case

# SQLAlchemy 2.1 wants types such as MONEY to say which operators they have.
pytestmark = pytest.mark.filterwarnings("ignore:Type object:sqlalchemy.exc.SADeprecationWarning")
# A multirange is a list itself: SQLAlchemy takes an array of them for an array of two dimensions.
NO_ARRAYS = {case.name for case in MULTIRANGES}


async def _write(connection: AsyncConnection, table: sa.Table, rows: list[dict[str, Any]]) -> None:
    if connection.dialect.__class__.__module__ == "pgflight.dialect":
        assert await pgflight.copy_in(connection, table, rows) == len(rows)
    else:
        await connection.execute(table.insert(), rows)


async def _stored(connection: AsyncConnection, table: sa.Table) -> list[Any]:
    seen = sa.select(table.c.id, table.c.value, sa.cast(table.c.value, sa.Text).label("shown"))
    return list((await connection.execute(seen.order_by(table.c.id))).all())


async def _outcomes(
    engine: AsyncEngine, type_: TypeEngine[Any], values: list[Any], *others: sa.Column[Any]
) -> Any:
    table = sa.Table(
        "copy_value_case",
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("value", type_),
        *others,
        prefixes=["TEMPORARY"],
    )
    extra = {column.name: "$1.00" for column in others}
    rows = [{"id": n, "value": value, **extra} for n, value in enumerate([*values, None])]

    async def work() -> Any:
        await _write(connection, table, rows)
        return await _stored(connection, table)

    async with scratch(engine, table.metadata) as connection:
        return await apart(connection, work)


def _compare(both: Both, case: Case, type_: TypeEngine[Any], values: Any, *others: Any) -> None:
    def fresh() -> tuple[Any, ...]:
        return tuple(column._copy() for column in others)

    async def work(engine: AsyncEngine) -> Any:
        return await attempt(_outcomes(engine, type_, values, *fresh()))

    stored = both(work)
    if case.extension is None or case.extension in both.server.extensions:
        assert not isinstance(stored, Failure), stored


MONEY = partial(sa.Column, "fee", pg.MONEY)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_values(both: Both, case: Case) -> None:
    _compare(both, case, case.type_, case.values)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_values_beside_one_without_a_binary_form(both: Both, case: Case) -> None:
    _compare(both, case, case.type_, case.values, MONEY())


def _arrays(case: Case) -> list[Any]:
    values = list(case.values[: len(case.values) - case.not_in_array])
    first = values[0]
    return [values, [], [None], [first, None], [[first]] * 2, [[[None, first]]]]


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.name not in NO_ARRAYS], ids=lambda case: case.name
)
def test_arrays(both: Both, case: Case) -> None:
    _compare(both, case, pg.ARRAY(case.type_), _arrays(case))


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.name not in NO_ARRAYS], ids=lambda case: case.name
)
def test_arrays_beside_a_value_without_a_binary_form(both: Both, case: Case) -> None:
    _compare(both, case, pg.ARRAY(case.type_), _arrays(case), MONEY())
