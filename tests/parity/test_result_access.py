"""Every way to read a result, on results of every kind: whatever is read, and in which order.

Rows, mappings and scalars of plain results are made by the compiled pieces; the other ways and the
changes from one way to another are SQLAlchemy's own. Both must tell the same.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Result
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.fixtures.outcome import Both
from tests.parity.scratch import own, scratch


class Colour(enum.Enum):
    """Goes through a result processor."""

    red = 1
    blue = 2


class Doubled(sa.TypeDecorator[int]):
    """A result processor of a program's own, which fails for 8."""

    impl = sa.Integer
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        if value == 8:
            raise ArithmeticError("eight cannot be doubled")
        return None if value is None else value * 2


metadata = sa.MetaData()
things = sa.Table(
    own("things_of_access"),
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("colour", sa.Enum(Colour, name=own("colour_of_access"))),
    sa.Column("number", Doubled),
    sa.Column("key", sa.Uuid(as_uuid=False)),
)
KEY = "12345678-1234-5678-1234-567812345678"
ROWS = [
    {"id": n, "colour": [Colour.red, Colour.blue, None][n % 3], "number": n % 5, "key": KEY}
    for n in range(8)
]
STATEMENTS: dict[str, Any] = {
    "plain": sa.select(things.c.id, sa.literal("x").label("x"), things.c.id % 2).order_by("id"),
    "processed": sa.select(things).order_by(things.c.id),
    "text": sa.text(f"SELECT id, id % 2 AS odd, colour::text FROM {things.name} ORDER BY id"),
    "twice": sa.select(things.c.id, things.c.id, things.c.number).order_by(things.c.id),
    "returning": sa.update(things)
    .values(key=None)
    .returning(things.c.id, things.c.colour, things.c.key),
    "empty": sa.select(things).where(sa.false()),
    "failing": sa.select(things.c.id, sa.type_coerce(things.c.id + 5, Doubled).label("n")).order_by(
        things.c.id
    ),
}
ROW_WAYS: dict[str, Callable[[Any], Any]] = {
    "all": lambda result: result.all(),
    "iterated": lambda result: list(result),
    "first": lambda result: result.first(),
    "one": lambda result: result.one(),
    "fetchmany": lambda result: [result.fetchmany(3), result.fetchmany(), result.fetchall()],
    "next": lambda result: [next(result), next(result), result.all()],
    "one then all": lambda result: [result.fetchone(), result.all(), result.all()],
    "part then all": lambda result: [next(iter(result)), result.fetchone(), result.all()],
    "two iterators": lambda result: [
        next(first := iter(result)),
        next(second := iter(result)),
        next(first),
        result.fetchone(),
        next(second),
    ],
    "partitions": lambda result: list(result.partitions(3)),
    "unique": lambda result: result.unique().all(),
    "unique by": lambda result: result.unique(lambda row: str(row[-1])).all(),
    "columns": lambda result: result.columns(2, 0).all(),
    "columns then scalars": lambda result: result.columns(1).scalars().all(),
    "yield_per": lambda result: [list(part) for part in result.yield_per(3).partitions()],
    "tuples": lambda result: result.tuples().all(),
    "frozen": lambda result: [frozen := result.freeze(), frozen().all(), frozen().all()][1:],
    "merged": lambda result: result.merge(result.freeze()()).all(),
    "closed": lambda result: [next(iter(result)), result.close(), result.closed],
    "closed within": lambda result: [
        iterator := iter(result),
        next(iterator),
        result.close(),
        result.closed,
    ][1:],
    "mappings": lambda result: result.mappings().all(),
    "mappings iterated": lambda result: [dict(each) for each in result.mappings()],
    "mappings by part": lambda result: [
        (each := result.mappings()).fetchone(),
        each.fetchmany(2),
        each.all(),
    ],
    "mappings unique": lambda result: result.mappings().unique(lambda row: row["id"]).all(),
    "mappings of columns": lambda result: result.mappings().columns("id").all(),
    "mappings partitions": lambda result: list(result.mappings().partitions(3)),
    "mappings one": lambda result: result.mappings().one_or_none(),
    "scalars": lambda result: result.scalars().all(),
    "scalars of the last": lambda result: result.scalars(-1).all(),
    "scalars by name": lambda result: result.scalars("id").all(),
    "scalars iterated": lambda result: list(result.scalars(1)),
    "scalars unique": lambda result: result.scalars(2).unique().all(),
    "scalars by part": lambda result: [
        result.scalars(1).first(),
        result.closed,
    ],
    "scalars of unique": lambda result: result.unique().scalars(1).all(),
    "scalars partitions": lambda result: list(result.scalars().partitions(3)),
    "scalars nowhere": lambda result: result.scalars("nowhere").all(),
    "scalar": lambda result: result.scalar(),
    "scalar_one": lambda result: result.scalar_one(),
    "attributes": lambda result: [
        list(result.keys()),
        result.rowcount,
        result.returns_rows,
        result.is_insert,
        [tuple(row) for row in result],
        result.closed,
    ],
}


def read(result: Result[Any], way: Callable[[Any], Any]) -> Any:
    """Return what `way` returns, or the failure's kind and text, and whether rows are left."""
    found: Any
    rest: Any
    try:
        found = way(result)
    except Exception as error:
        found = (type(error).__name__, str(error)[:80])
    try:
        rest = result.all()
    except Exception as error:
        rest = [type(error).__name__]
    return [found, rest]


async def outcomes(engine: AsyncEngine, way: Callable[[Any], Any], **options: Any) -> Any:
    """Return what `way` makes of each kind of result."""
    found = []
    async with scratch(engine, metadata) as connection:
        await connection.execute(sa.insert(things), ROWS)
        for statement in STATEMENTS.values():
            result = await connection.execute(statement, execution_options=options)
            found.append(read(result, way))
    return found


@pytest.mark.parametrize("way", ROW_WAYS)
def test_every_way(both: Both, way: str) -> None:
    async def body(engine: AsyncEngine) -> Any:
        return await outcomes(engine, ROW_WAYS[way])

    both(body)


@pytest.mark.parametrize("way", ["all", "iterated", "mappings", "scalars", "unique", "next"])
@pytest.mark.parametrize("options", [{"yield_per": 3}, {"preserve_rowcount": True}])
def test_every_way_with_options(both: Both, way: str, options: dict[str, Any]) -> None:
    async def body(engine: AsyncEngine) -> Any:
        async with scratch(engine, metadata) as connection:
            await connection.execute(sa.insert(things), ROWS)
            return await connection.run_sync(
                lambda sync: [
                    read(sync.execute(statement, execution_options=options), ROW_WAYS[way])
                    for statement in (STATEMENTS["plain"], STATEMENTS["processed"])
                ]
            )

    both(body)


@pytest.mark.parametrize("way", ["all", "iterated", "mappings", "scalars", "frozen"])
def test_rows_are_logged(both: Both, way: str, caplog: pytest.LogCaptureFixture) -> None:
    async def body(engine: AsyncEngine) -> Any:
        async with engine.connect():
            pass  # what the first connection of an engine asks is another matter
        caplog.clear()
        with caplog.at_level(logging.DEBUG, "sqlalchemy.engine.Engine"):
            found = await outcomes(engine, ROW_WAYS[way])
        rows = [record.getMessage() for record in caplog.records]
        return [found, [line for line in rows if line.startswith("Row ")]]

    assert both(body, echo="debug")[1]


@pytest.mark.parametrize("columns", ["colour id key", "number id", "id", "key"])
@pytest.mark.parametrize("given", [True, False])
def test_inserted_rows_in_the_order_of_the_parameters(
    both: Both, columns: str, given: bool
) -> None:
    """The rows carry a column more than the result: the one that they are sorted by."""
    wanted = [things.c[name] for name in columns.split()]
    rows = [{name: row[name] for name in row if given or name != "id"} for row in ROWS]

    async def body(engine: AsyncEngine) -> Any:
        found = []
        async with scratch(engine, metadata) as connection:
            for way in (
                "all",
                "mappings",
                "scalars",
                "iterated",
                "columns",
                "partitions",
                "unique",
            ):
                insert = sa.insert(things).returning(*wanted, sort_by_parameter_order=True)
                result = await connection.execute(insert, rows)
                found.append(read(result, ROW_WAYS[way]))
                await connection.execute(sa.delete(things))
        return found

    both(body)
