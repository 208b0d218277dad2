"""Random tables, rows and INSERTs of many rows: both dialects store and return the same."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any

import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.dialects.postgresql.ranges import Range
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tests.fixtures.outcome import Both, Failure
from tests.parity.scratch import apart, scratch


class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"


TEXTS = st.text(st.characters(blacklist_categories=["Cs"], min_codepoint=1), max_size=6)
MOMENTS = st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2200, 1, 1))
NUMBERS = st.integers(-(2**33), 2**33)
KINDS: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (sa.Integer(), st.integers(-(2**31), 2**31 - 1)),
    (sa.Integer(), st.one_of(NUMBERS, st.just("five"), st.just([1, 2]))),
    (sa.BigInteger(), NUMBERS),
    (sa.Text(), TEXTS),
    (sa.String(3), TEXTS),
    (sa.String(collation="C"), TEXTS),
    (sa.String(4, collation="C"), TEXTS),
    (sa.CHAR(4), st.text("ab ", max_size=4)),
    (sa.Numeric(8, 2), st.decimals(-(10**6), 10**6, places=4)),
    (sa.Numeric(), st.sampled_from([Decimal("NaN"), Decimal("1e30"), 5, 1.5])),
    (sa.Float(), st.floats()),
    (sa.REAL(), st.floats(width=32)),
    (sa.Boolean(), st.booleans()),
    (sa.Date(), st.dates()),
    (sa.DateTime(), MOMENTS),
    (sa.DateTime(True), MOMENTS.map(lambda moment: moment.replace(tzinfo=dt.timezone.utc))),
    (sa.Interval(), st.timedeltas(dt.timedelta(-9999), dt.timedelta(9999))),
    (sa.LargeBinary(), st.binary(max_size=5)),
    (sa.Uuid(), st.integers(0, 2**128 - 1).map(lambda number: uuid.UUID(int=number))),
    (
        sa.JSON(),
        st.recursive(st.none() | NUMBERS | TEXTS.filter(lambda t: "\0" not in t), st.lists),
    ),
    (pg.JSONB(none_as_null=True), st.none() | st.dictionaries(st.text("ab", max_size=2), NUMBERS)),
    (sa.Enum(Size, name="size_of_random"), st.sampled_from(Size)),
    (sa.Enum(Size, native_enum=False), st.sampled_from(Size)),
    (pg.ARRAY(sa.Integer), st.lists(st.integers(0, 9), max_size=2)),
    (pg.INT4RANGE(), st.integers(0, 9).map(lambda first: Range(first, first + 3))),
]


@st.composite
def programs(draw: Any) -> tuple[list[Any], list[dict[str, Any]], str, int]:
    """Return the types of columns, rows (by name of column), the kind of INSERT, the page size."""
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=5))
    row = st.fixed_dictionaries(
        {f"c{n}": st.one_of(values, st.none()) for n, (_, values) in enumerate(kinds)}
    )
    some = draw(st.lists(row, min_size=1, max_size=4))
    number = draw(st.sampled_from([2, 10, 11, 20, 33]))
    rows = [dict(draw(st.sampled_from(some)), key=n) for n in range(number)]
    if draw(st.booleans()):
        rows[-1]["key"] = draw(st.integers(0, number - 1))
    shape = draw(st.sampled_from(["plain", "returned", "sorted", "nothing", "met", "twice"]))
    return [kind for kind, _ in kinds], rows, shape, draw(st.sampled_from([5, 1000]))


def statement(table: sa.Table, shape: str) -> Any:
    if shape == "returned":
        return table.insert().returning(table)
    if shape == "sorted":
        return table.insert().returning(table, sort_by_parameter_order=True)
    if shape == "nothing":
        return pg.insert(table).on_conflict_do_nothing()
    if shape == "met":
        insert = pg.insert(table).on_conflict_do_update(
            index_elements=["key"], set_={"note": sa.literal("met")}
        )
        return insert.returning(table.c.key, table.c.note)
    if shape == "twice":
        return table.insert().values(note=sa.cast(sa.bindparam("key"), sa.Text))
    return table.insert()


async def _inserted(connection: AsyncConnection, insert: Any, rows: Any, page: int) -> Any:
    options = {"insertmanyvalues_page_size": page}
    result: Any = await connection.execute(insert, rows, execution_options=options)
    return result.all() if result.returns_rows else None


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(programs())
def test_random_inserts(both: Both, program: Any) -> None:
    kinds, rows, shape, page = program
    metadata = sa.MetaData()
    table = sa.Table(
        "random_of_arrays",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("key", sa.Integer, unique=True),
        sa.Column("note", sa.Text),
        *(sa.Column(f"c{n}", kind) for n, kind in enumerate(kinds)),
        prefixes=["TEMPORARY"],
    )

    async def work(engine: AsyncEngine) -> Any:
        async with scratch(engine, metadata) as connection:
            send = partial(_inserted, connection, statement(table, shape), rows, page)
            outcome = await apart(connection, send)
            if isinstance(outcome, Failure) and shape in ("returned", "sorted", "met"):
                # with RETURNING the statement and the parameters shown are those of the arrays
                outcome = [outcome.pgcode, outcome.lineage >= {"DBAPIError"}]
            elif isinstance(outcome, Failure) and isinstance(outcome.params, tuple):
                outcome = replace(outcome, params=outcome.params[-1])  # of a list of its own kind
            stored = sa.select(table).order_by(table.c.key)
            contents = (await connection.execute(stored)).all()
            return [outcome, [tuple(row)[1:] for row in contents]]

    both(work)
