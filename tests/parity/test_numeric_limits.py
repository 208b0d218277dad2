"""Numbers at the ends of what numeric holds: stored as they are or refused, never another number.

The wire form counts the digits before the point in a signed number of 16 bits. The built-in dialect
lets 1E+131072 and beyond overflow, and the server stores 0.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

import pgflight
from tests.fixtures.engines import Dialect
from tests.parity.scratch import scratch

metadata = sa.MetaData()
numbers = sa.Table(
    "numbers_at_limits",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("n", sa.Numeric),
)


class Exact(Decimal):
    """A Decimal of a program's own."""


FITS: list[Any] = [
    Decimal("1E+131071"),
    Decimal("-9.5E+131071"),
    Decimal("9" * 131072),
    "1E+131071",
    10**131072 - 1,
    Decimal("1E-16383"),
    Decimal("0E+131072"),
    Decimal("0E+262143"),
    Exact("1E+131071"),
    1e308,
    Decimal("NaN"),
    Decimal("Infinity"),
    Decimal("-Infinity"),
    None,
]
TOO_LARGE: list[Any] = [
    Decimal("1E+131072"),
    Decimal("-1E+131072"),
    Decimal("1E+131073"),
    Decimal("1.5E+196607"),
    Decimal("1E+262143"),
    Decimal("1E+262144"),
    Decimal("1E+999999"),
    Decimal("1" + "0" * 131072),
    Exact("1E+131072"),
    "1e131072",
    "1E+262143",
    10**131072,
    -(10**140000),
    Decimal("1E-16384"),
]


async def _inserted(c: AsyncConnection, value: Any, before: int = 0) -> Any:
    rows = [{"id": number, "n": Decimal(number)} for number in range(before)]
    await c.execute(numbers.insert(), [*rows, {"id": before, "n": value}])
    return await c.scalar(sa.select(numbers.c.n).where(numbers.c.id == before))


async def _copied(c: AsyncConnection, value: Any) -> Any:
    await pgflight.copy_in(c, numbers, [{"id": 0, "n": 1}, {"id": 1, "n": value}])
    return await c.scalar(sa.select(numbers.c.n).where(numbers.c.id == 1))


async def _streamed(c: AsyncConnection, value: Any) -> Any:
    async with c.stream(sa.text("SELECT CAST(:v AS numeric)"), {"v": value}) as result:
        row = await result.one()
    return row[0]


async def _in_a_range(c: AsyncConnection, value: Any) -> Any:
    given = asyncpg.Range(None, value)
    found = await c.scalar(sa.text("SELECT CAST(:v AS numrange)"), {"v": given})
    return found.upper


async def _in_an_array(c: AsyncConnection, value: Any) -> Any:
    given = [[Decimal(1), None], [Decimal(2), value]]
    return (await c.scalar(sa.text("SELECT CAST(:v AS numeric[])"), {"v": given}))[1][1]


async def _in_a_composite(c: AsyncConnection, value: Any) -> Any:
    await c.execute(sa.text("CREATE TYPE pair_at_limits AS (t text, n numeric)"))
    given = ("1E+131072", Decimal(value) if isinstance(value, str) else value)
    statement = sa.text("SELECT n, t FROM (SELECT (CAST(:v AS pair_at_limits)).*) AS pair")
    found, text = (await c.execute(statement, {"v": given})).one()
    assert text == "1E+131072"
    return found


WAYS: dict[str, Callable[[AsyncConnection, Any], Awaitable[Any]]] = {
    "typed": lambda c, v: c.scalar(sa.select(sa.cast(sa.literal(v, sa.Numeric), sa.Numeric))),
    "text": lambda c, v: c.scalar(sa.text("SELECT CAST(:v AS numeric)"), {"v": v}),
    "inserted": _inserted,
    "some rows": lambda c, v: _inserted(c, v, before=5),
    "many rows": lambda c, v: _inserted(c, v, before=60),
    "copied": _copied,
    "streamed": _streamed,
    "array": _in_an_array,
    "range": _in_a_range,
    "composite": _in_a_composite,
}


@pytest.mark.parametrize("way", WAYS)
def test_stored_as_it_is(pgflight_dialect: Dialect, way: str) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine()
        for value in FITS:
            async with scratch(engine, metadata) as connection:
                found = await WAYS[way](connection, value)
                expected = None if value is None else Decimal(value)
                if expected is not None and expected.is_nan():
                    assert found.is_nan()
                elif way == "range" and expected is not None and expected.is_infinite():
                    assert found in (None, expected)
                else:
                    assert found == expected

    asyncio.run(work())


@pytest.mark.parametrize("way", WAYS)
def test_refused(pgflight_dialect: Dialect, way: str) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(pool_size=1, max_overflow=0)
        for value in TOO_LARGE:
            async with scratch(engine, metadata) as connection:
                with pytest.raises(sa.exc.DataError) as caught:
                    await WAYS[way](connection, value)
                message = str(caught.value.orig)
                assert "invalid input for query argument $" in message
                assert "cannot encode Decimal value into numeric" in message
                assert not caught.value.connection_invalidated
                if way == "some rows":
                    assert "in element #5 of executemany() sequence" in message
                if way == "copied":
                    assert "(row 2, column 'n')" in message
                await connection.rollback()
                assert await connection.scalar(sa.text("SELECT 1")) == 1

    asyncio.run(work())


def test_codec_of_the_program(pgflight_dialect: Dialect) -> None:
    """The server decides about the text of a program's codec."""

    async def work() -> None:
        engine = pgflight_dialect.engine()

        @sa.event.listens_for(engine.sync_engine, "connect")
        def set_codec(dbapi_connection: Any, record: Any) -> None:
            dbapi_connection.run_async(
                lambda connection: connection.set_type_codec(
                    "numeric", schema="pg_catalog", encoder=lambda v: v.text, decoder=str
                )
            )

        class Amount(Decimal):
            text = "17"

        async with engine.connect() as connection:
            statement = sa.text("SELECT CAST(:v AS numeric)")
            assert await connection.scalar(statement, {"v": Amount("1E+200000")}) == "17"

    asyncio.run(work())
