"""Arrays are sent, and refused, as they were, though asyncpg does not search plain ones."""

from __future__ import annotations

import asyncio
import datetime as dt
import enum
import sys
import uuid
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncEngine

from pgflight import driver
from pgflight.driver.arguments.flat_lists import FEWEST_ELEMENTS as ENOUGH
from pgflight.driver.arguments.flat_lists import FlatList
from tests.fixtures.engines import Dialect
from tests.fixtures.outcome import Both, attempt


class Whole(enum.IntEnum):
    """An int to asyncpg, and no plain one."""

    one = 1


class Sized:
    """Looks like a list to nobody but asyncpg."""

    def __repr__(self) -> str:
        return "Sized()"

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Any:
        return iter([5])


TYPES: dict[str, tuple[Any, list[Any]]] = {
    "int": (sa.Integer, [1, -1, None, True]),
    "bigint": (sa.BigInteger, [2**62, None]),
    "text": (sa.Text, ["a", "", 'q"{},\\', None, "NULL"]),
    "float": (sa.Float, [1.5, 2, None, float("inf")]),
    "bool": (sa.Boolean, [True, None]),
    "bytea": (sa.LargeBinary, [b"a", b"", None]),
    "numeric": (sa.Numeric, [Decimal("1.10"), 3, None]),
    "date": (sa.Date, [dt.date(2024, 2, 29), None]),
    "timestamptz": (sa.TIMESTAMP(timezone=True), [dt.datetime(2024, 1, 1, tzinfo=dt.timezone.utc)]),
    "interval": (sa.Interval, [dt.timedelta(1, 2, 3), None]),
    "uuid": (sa.Uuid, [uuid.UUID(int=7), None]),
    "jsonb": (pg.JSONB, [{"a": [1]}, [1], "a", None]),
}
ODD: dict[str, tuple[Any, list[Any]]] = {
    "two dimensions": (sa.Integer, [[1, 2]] * ENOUGH),
    "a list at the end": (sa.Integer, [*[1] * ENOUGH, [1]]),
    "a list at first": (sa.Integer, [[1], *[1] * ENOUGH]),
    "lists of two lengths": (sa.Integer, [*[[1, 2]] * ENOUGH, [1]]),
    "an own class": (sa.Integer, [*[1] * ENOUGH, Whole.one]),
    "an own sequence": (sa.Integer, [*[1] * ENOUGH, Sized()]),
    "a set": (sa.Integer, [*[1] * ENOUGH, {1}]),
    "a tuple": (sa.Integer, [*[1] * ENOUGH, (1,)]),
    "a wrong type": (sa.Integer, [*[1] * ENOUGH, "a"]),
    "a wrong type at first": (sa.Text, [1, *["a"] * ENOUGH]),
    "out of range": (sa.Integer, [*[1] * ENOUGH, 2**31]),
    "not encodable": (sa.Text, [*["a"] * ENOUGH, "\ud800"]),
    "a NUL": (sa.Text, [*["a"] * ENOUGH, "a\0"]),
}


@pytest.mark.parametrize("case", [*TYPES, *ODD])
@pytest.mark.parametrize("form", ["kept", "in its flight"])
def test_values(both: Both, case: str, form: str) -> None:
    """One parameter that is an array; `in its flight`: of a statement that is not kept."""
    kind, values = TYPES.get(case) or ODD[case]
    values = values * ENOUGH if case in TYPES else values
    dimensions = 2 if isinstance(values[0], list) and case in ODD else None
    given = sa.literal(values, pg.ARRAY(kind, dimensions=dimensions))

    async def body(engine: AsyncEngine) -> Any:
        async with engine.connect() as connection:
            if form == "in its flight":
                for path in ("public", "pg_catalog, public", "public"):
                    await connection.execute(sa.text(f"SET search_path = {path}"))
            seen = []
            for _ in range(3):
                asked = connection.scalar(sa.select(sa.func.to_jsonb(given).cast(sa.Text)))
                seen.append(await attempt(asked))
                if not isinstance(seen[-1], str):
                    await connection.rollback()
            return seen

    both(body)


def test_codecs_of_the_program(both: Both) -> None:
    """Each element comes to them once, and in order, also where they make text."""

    async def body(engine: AsyncEngine) -> Any:
        seen: list[Any] = []

        def encode(value: Any) -> str:
            seen.append(value)
            return str(value)

        async with engine.connect() as connection:
            raw = (await connection.get_raw_connection()).driver_connection
            assert raw is not None
            for name in ("int4", "text"):
                await raw.set_type_codec(
                    name, schema="pg_catalog", encoder=encode, decoder=str, format="text"
                )
            for kind, value in ((sa.Integer, 5), (sa.Text, 'a"b')):
                given = sa.literal([value, None, value] * ENOUGH, pg.ARRAY(kind))
                seen.append(await connection.scalar(sa.select(sa.func.array_length(given, 1))))
                seen.append(await connection.scalar(sa.select(given)))
            await connection.invalidate()
        return seen

    both(body)


def test_a_list_that_grows(both: Both) -> None:
    """What is sent is what the list holds when the statement is executed."""

    async def body(engine: AsyncEngine) -> Any:
        async with engine.connect() as connection:
            values = list(range(ENOUGH))
            given = sa.select(sa.bindparam("v", values, pg.ARRAY(sa.Integer)))
            first = await connection.scalar(given)
            values.append(7)
            return first, await connection.scalar(given), values

    both(body)


@pytest.mark.skipif(not driver.is_private(), reason="needs names inside asyncpg")
def test_whoever_watches_sees_lists(
    pgflight_dialect: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tracer that comes at any time is shown what the program has given."""
    given = sa.select(sa.literal([1] * ENOUGH, pg.ARRAY(sa.Integer)))
    seen: list[Any] = []

    async def work() -> None:
        async with pgflight_dialect.engine().connect() as connection:
            for _ in range(2):
                assert await connection.scalar(given) == [1] * ENOUGH
            fetch = asyncpg.prepared_stmt.PreparedStatement.fetch

            async def watched(self: Any, *args: Any, **named: Any) -> Any:
                seen.extend(args)
                return await fetch(self, *args, **named)

            with monkeypatch.context() as patch:
                patch.setattr(asyncpg.prepared_stmt.PreparedStatement, "fetch", watched)
                assert await connection.scalar(given) == [1] * ENOUGH

    asyncio.run(work())
    assert [list(each) for each in seen] == [[1] * ENOUGH]
    assert not any(isinstance(each, FlatList) for each in seen)


@pytest.mark.skipif(not driver.is_private(), reason="needs names inside asyncpg")
def test_asyncpg_is_spared(pgflight_dialect: Dialect) -> None:
    """Not one element more is asked for its class when the array is longer."""

    def calls(length: int) -> int:
        given = sa.select(sa.func.array_length(sa.bindparam("v", None, pg.ARRAY(sa.Integer)), 1))
        count = 0

        def note(frame: Any, event: str, argument: object) -> None:
            nonlocal count
            count += event == "call" and frame.f_code.co_name == "__instancecheck__"

        async def work() -> None:
            async with pgflight_dialect.engine().connect() as connection:
                for _ in range(3):
                    await connection.scalar(given, {"v": [1] * length})
                sys.setprofile(note)
                try:
                    assert await connection.scalar(given, {"v": [1] * length}) == length
                finally:
                    sys.setprofile(None)

        asyncio.run(work())
        return count

    assert calls(ENOUGH) == calls(100 * ENOUGH)
