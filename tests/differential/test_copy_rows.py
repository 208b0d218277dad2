"""Random tables and rows: what `pgflight.copy_in` stores, or refuses, is what an INSERT does.

On our own dialect, whose INSERT is compared with the built-in one's elsewhere.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection

import pgflight
from tests.fixtures.engines import Dialect
from tests.parity.scratch import apart

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
# of each type: what it takes, and what it may not
KINDS: dict[str, tuple[Any, Any]] = {
    "integer": (sa.Integer(), st.integers(-(2**33), 2**33) | st.booleans()),
    "text": (sa.Text(), TEXT | st.sampled_from(["\\N", "\\.", "\t", "\\", "NULL", ""])),
    "short": (sa.String(3), st.text("aé \\", max_size=4)),
    "float": (sa.Float(), st.floats()),
    "numeric": (sa.Numeric(6, 2), st.decimals(-20000, 20000, places=3) | st.integers(-99, 99)),
    "boolean": (sa.Boolean(), st.sampled_from([True, False, 1, 0, 2, "t"])),
    "date": (sa.Date(), st.dates()),
    "moment": (sa.DateTime(), st.datetimes()),
    "zoned": (sa.DateTime(timezone=True), st.datetimes(timezones=st.just(dt.timezone.utc))),
    "span": (sa.Interval(), st.timedeltas(dt.timedelta(-9999), dt.timedelta(9999))),
    "bytes": (sa.LargeBinary(), st.binary(max_size=5) | st.just("text")),
    "uuid": (sa.Uuid(), st.uuids() | st.just("not one")),
    "json": (pg.JSONB(), st.recursive(TEXT | st.none(), lambda x: st.lists(x, max_size=3))),
    "texts": (pg.ARRAY(sa.Text()), st.lists(TEXT | st.none(), max_size=3)),
    "range": (
        pg.INT4RANGE(),
        st.builds(pg.Range, st.none() | st.integers(0, 5), st.none() | st.integers(5, 9)),
    ),
    "money": (pg.MONEY(), st.sampled_from(["$1.00", "-$2.50", "none"])),
}


@st.composite
def tables(draw: Any) -> tuple[list[str], list[dict[str, Any]]]:
    kinds = draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=4))
    row = st.fixed_dictionaries(
        {f"c{n}": st.none() | KINDS[kind][1] for n, kind in enumerate(kinds)}
    )
    return kinds, draw(st.lists(row, min_size=1, max_size=5))


async def _compare(
    connection: AsyncConnection, kinds: list[str], rows: list[dict[str, Any]]
) -> None:
    table = sa.Table(
        "copied_random",
        sa.MetaData(),
        *(sa.Column(f"c{n}", KINDS[kind][0]) for n, kind in enumerate(kinds)),
        prefixes=["TEMPORARY"],
    )
    order = sa.text("ctid")
    shown = sa.select(*(sa.cast(column, sa.Text) for column in table.c)).order_by(order)

    async def outcome(write: Any) -> Any:
        async def work() -> Any:
            await write()
            return [tuple(row) for row in (await connection.execute(shown)).all()]

        await connection.run_sync(table.create)
        stored = await apart(connection, work)
        await connection.run_sync(table.drop)
        return stored

    inserted = await outcome(lambda: connection.execute(table.insert(), rows))
    copied = await outcome(lambda: pgflight.copy_in(connection, table, rows))
    if isinstance(inserted, list) or isinstance(copied, list):
        assert inserted == copied
    else:
        assert inserted.kind == copied.kind


def test_copy_stores_what_insert_stores(pgflight_dialect: Dialect) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        async with pgflight_dialect.engine().connect() as connection:

            @settings(
                max_examples=150,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            )
            @given(tables())
            def check(case: tuple[list[str], list[dict[str, Any]]]) -> None:
                asyncio.run_coroutine_threadsafe(_compare(connection, *case), loop).result(60)

            await loop.run_in_executor(None, check)
            await connection.rollback()

    asyncio.run(run())
