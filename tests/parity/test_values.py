"""Every type, along every route a value takes through a statement, is the same on both dialects."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.types import TypeEngine

from tests.fixtures.outcome import Both, Failure, attempt
from tests.parity.counts import told_by_both
from tests.parity.scratch import apart, scratch
from tests.parity.value_cases import CASES, MULTIRANGES, Case

# SQLAlchemy 2.1 wants types such as MONEY to say which operators they have.
pytestmark = pytest.mark.filterwarnings("ignore:Type object:sqlalchemy.exc.SADeprecationWarning")

MUST_WORK = {"inserted", "null", "returned", "many", "bulk", "arrays", "array_item"}
# A multirange is a list itself: SQLAlchemy takes an array of them for an array of two dimensions.
NO_ARRAYS = {case.name: {"arrays", "array_item"} for case in MULTIRANGES}


class Ways:
    """The routes of one case's values: each method is one, and returns what came back."""

    def __init__(self, connection: AsyncConnection, case: Case, table: sa.Table) -> None:
        self.connection = connection
        self.case = case
        self.table = table
        self.value: sa.Column[Any] = table.c.value
        self.rows = [{"id": n, "value": value} for n, value in enumerate(case.values)]

    async def _all(self, statement: sa.Executable) -> list[Any]:
        return list((await self.connection.execute(statement)).all())

    async def _stored(self) -> list[Any]:
        return await self._all(sa.select(self.table).order_by(self.table.c.id))

    async def inserted(self) -> Any:
        for row in self.rows:
            await self.connection.execute(self.table.insert(), row)
        return await self._stored()

    async def null(self) -> Any:
        await self.connection.execute(self.table.insert(), {"id": 1, "value": None})
        is_null = sa.select(self.table, self.value.is_(None))
        return [await self._all(is_null), await self._all(self._bound(None))]

    async def omitted(self) -> Any:
        await self.connection.execute(self.table.insert(), {"id": 1})
        return await self._stored()

    async def returned(self) -> Any:
        insert = self.table.insert().returning(self.value, self.table.c.id)
        return [(await self.connection.execute(insert, row)).all() for row in self.rows]

    async def many(self) -> Any:
        result = await self.connection.execute(self.table.insert(), self.rows)
        return [told_by_both(result), await self._stored()]

    async def many_with_nulls(self) -> Any:
        rows = [*self.rows, {"id": 100, "value": None}, {**self.rows[0], "id": 101}]
        await self.connection.execute(self.table.insert(), rows)
        return await self._stored()

    async def many_enough_for_arrays(self) -> Any:
        many = [{**row, "id": n} for n, row in enumerate(self.rows * 25)]
        await self.connection.execute(self.table.insert(), many)
        nulls = [{"id": -n, "value": None} for n in range(1, 26)]
        await self.connection.execute(self.table.insert(), nulls)
        mixed = [row for pair in zip(many, nulls) for row in pair]
        rows = [{**row, "id": 5000 + n} for n, row in enumerate(mixed)]
        nothing = pg.insert(self.table).on_conflict_do_nothing()
        await self.connection.execute(nothing, [*rows, rows[0]])
        return await self._stored()

    async def bulk_unordered(self) -> Any:
        insert = self.table.insert().returning(self.value)
        nulls = [{"id": -n, "value": None} for n in range(1, 26)]
        many = [{**row, "id": n} for n, row in enumerate(self.rows * 25)]
        return [
            await self._all(self.table.select()),
            (await self.connection.execute(insert, nulls)).all(),
            (await self.connection.execute(insert, many)).all(),
        ]

    async def bulk(self) -> Any:
        insert = self.table.insert().returning(
            self.table.c.id, self.value, sort_by_parameter_order=True
        )
        return (await self.connection.execute(insert, [*self.rows, {"id": 9, "value": None}])).all()

    async def multi_values(self) -> Any:
        return await self._all(self.table.insert().values(self.rows).returning(self.value))

    async def updated(self) -> Any:
        await self.connection.execute(self.table.insert(), {"id": 1, "value": None})
        update = self.table.update().where(self.table.c.id == 1)
        statements = [update.values(value=v).returning(self.value) for v in self.case.values]
        return [await self._all(statement) for statement in statements]

    async def updated_many(self) -> Any:
        await self.connection.execute(self.table.insert(), self.rows)
        update = self.table.update().where(self.table.c.id == sa.bindparam("key"))
        swapped = zip(self.rows, reversed(self.rows))
        await self.connection.execute(
            update, [{"key": row["id"], "value": other["value"]} for row, other in swapped]
        )
        return await self._stored()

    async def where(self) -> Any:
        await self.connection.execute(self.table.insert(), self.rows)
        ids = sa.select(self.table.c.id).order_by(self.table.c.id)
        return [await self._all(ids.where(self.value == value)) for value in self.case.values]

    async def in_list(self) -> Any:
        await self.connection.execute(self.table.insert(), self.rows)
        ids = sa.select(self.table.c.id).order_by(self.table.c.id)
        lists = (self.case.values, self.case.values[:1], ())
        found = [await self._all(ids.where(self.value.in_(values))) for values in lists]
        return [*found, await self._all(ids.where(self.value.not_in(self.case.values[:1])))]

    def _bound(self, value: Any) -> sa.Select[Any]:
        return sa.select(sa.literal(value, self.case.type_).label("value"))

    async def bound(self) -> Any:
        return [await self._all(self._bound(value)) for value in self.case.values]

    async def cast(self) -> Any:
        values = self.case.values
        casts = [sa.select(sa.cast(sa.literal(v, self.case.type_), sa.Text)) for v in values]
        return [await self._all(statement) for statement in casts]

    async def literal(self) -> Any:
        outcomes: list[Any] = []
        for value in self.case.values:
            compiled = self._bound(value).compile(
                dialect=self.connection.dialect, compile_kwargs={"literal_binds": True}
            )
            result = await self.connection.exec_driver_sql(str(compiled))
            outcomes.append([str(compiled), list(result.all())])
        return outcomes

    async def untyped(self) -> Any:
        await self.connection.execute(self.table.insert(), self.rows)
        return await self._all(sa.text("SELECT value, id FROM value_case ORDER BY id"))

    async def computed(self) -> Any:
        await self.connection.execute(self.table.insert(), {"id": 1, "value": None})
        value = self.case.values[0]
        return await self._all(sa.select(sa.func.coalesce(self.value, value), sa.null()))


class ArrayWays(Ways):
    """The routes of arrays: the table's column is an array of the case's type."""

    def __init__(self, connection: AsyncConnection, case: Case, table: sa.Table) -> None:
        super().__init__(connection, case, table)
        self.values = list(case.values[: len(case.values) - case.not_in_array])

    async def arrays(self) -> Any:
        first = self.values[0]
        lists = [self.values, [], None, [None], [first, None], [[first]] * 2, [[[None, first]]]]
        for n, array in enumerate(lists):
            await self.connection.execute(self.table.insert(), {"id": n, "value": array})
        return await self._stored()

    async def arrays_many(self) -> Any:
        rows = [{"id": n, "value": v} for n, v in enumerate((self.values, [], None))]
        returned = self.table.insert().returning(self.value, sort_by_parameter_order=True)
        return list((await self.connection.execute(returned, rows)).all())

    async def array_where(self) -> Any:
        await self.connection.execute(self.table.insert(), {"id": 1, "value": self.values})
        first = self.values[0]
        conditions = (
            sa.literal(first, self.case.type_) == sa.any_(self.value),
            self.value.contains([first]),
            self.value == self.values,
        )
        found = []
        for condition in conditions:
            statement = sa.select(self.table.c.id).where(condition)
            found.append(await apart(self.connection, partial(self._all, statement)))
        return found

    async def array_item(self) -> Any:
        await self.connection.execute(self.table.insert(), {"id": 1, "value": self.values})
        return await self._all(sa.select(self.value[1], self.value[1:1], self.value[99]))


async def _outcomes(
    engine: AsyncEngine, case: Case, ways: type[Ways], column: sa.Column[Any]
) -> dict[str, Any]:
    metadata = sa.MetaData()
    key: sa.Column[int] = sa.Column("id", sa.Integer, primary_key=True, autoincrement=False)
    table = sa.Table("value_case", metadata, key, column, prefixes=["TEMPORARY"])
    outcomes: dict[str, Any] = {}
    async with scratch(engine, metadata) as connection:
        for name in vars(ways):
            if not name.startswith("_") and name not in case.without:
                route = getattr(ways(connection, case, table), name)
                outcomes[name] = await apart(connection, route)
                await connection.execute(table.delete())
    return outcomes


def _compare(both: Both, case: Case, ways: type[Ways], column_type: TypeEngine[Any]) -> Any:
    async def work(engine: AsyncEngine) -> Any:
        return await attempt(_outcomes(engine, case, ways, sa.Column("value", column_type)))

    outcomes = both(work)
    if case.extension is None or case.extension in both.server.extensions:
        broken = {n: o for n, o in outcomes.items() if isinstance(o, Failure)}
        assert not broken.keys() & MUST_WORK - NO_ARRAYS.get(case.name, set()), broken
    else:
        assert isinstance(outcomes, Failure), f"{case.extension} is missing, but the type works"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_scalars(both: Both, case: Case) -> None:
    _compare(both, case, Ways, case.type_)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_arrays(both: Both, case: Case) -> None:
    _compare(both, case, ArrayWays, pg.ARRAY(case.type_))
