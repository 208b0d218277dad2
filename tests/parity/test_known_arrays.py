"""Arrays of built-in types: used without asking the server what they are, with the right codecs."""

from __future__ import annotations

import asyncio
from functools import partial
from itertools import count
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pgflight import driver
from pgflight.driver import known_types
from pgflight.driver.introspection import built_in
from tests.fixtures.engines import Dialect
from tests.fixtures.outcome import Both
from tests.fixtures.proxy import Proxy

private = pytest.mark.skipif(
    driver.capabilities().level != "private", reason="asyncpg has to be told by its own names"
)


def test_numbers(pgflight_dialect: Dialect) -> None:
    """They are the server's."""

    async def work() -> None:
        async with pgflight_dialect.engine().connect() as connection:
            found = await connection.execute(
                sa.text(
                    "SELECT e.typname, e.oid, a.oid, a.typname, a.typdelim::text, a.typtype::text"
                    " FROM pg_type e JOIN pg_type a ON a.oid = e.typarray"
                    " WHERE e.typnamespace = 'pg_catalog'::regnamespace"
                )
            )
            types = {row[0]: tuple(row) for row in found}
        for name, (element, array) in built_in.ARRAYS.items():
            assert types[name] == (name, element, array, f"_{name}", ",", "b")

    asyncio.run(work())


def _run(cursor: Any, text: str, connection: Any) -> None:
    cursor.execute(text, (None,))


@private
@pytest.mark.parametrize("name", [*built_in.ARRAYS])
def test_first_use_is_like_any_other(pgflight_dialect: Dialect, proxy: Proxy, name: str) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(via=proxy)
        async with engine.connect() as connection:
            raw: Any = (await connection.get_raw_connection()).dbapi_connection
            asked = []
            for text in (f"SELECT $1::{name}", f"SELECT $1::{name}[]"):
                cursor = raw.cursor()
                with proxy.counting() as trips:
                    await connection.run_sync(partial(_run, cursor, text))
                asked.append(trips.count)
                assert cursor.fetchall() == [(None,)]
                cursor.close()
        assert asked[1] <= asked[0] + (name == "text")
        assert asked[1] <= 2

    asyncio.run(work())


def test_codecs_of_a_program(both: Both) -> None:
    """A codec that is set later serves in arrays, too, and so does its absence."""

    turns = count()

    async def shown(connection: AsyncConnection) -> list[Any]:
        text = f"SELECT CAST(:x AS INTEGER[]) AS turn_{next(turns)}"  # prepared each time
        sent = sa.text(text).bindparams(sa.bindparam("x", type_=sa.ARRAY(sa.Integer)))
        raw: Any = (await connection.get_raw_connection()).driver_connection
        numbers = [1, None, 300]
        through = await connection.scalar(sent, {"x": numbers})
        return [through, await raw.fetchval("SELECT '{1,NULL,7}'::int4[]")]

    async def body(engine: AsyncEngine) -> Any:
        async with engine.connect() as connection:
            raw: Any = (await connection.get_raw_connection()).driver_connection
            told = [await shown(connection)]
            await raw.set_type_codec(
                "int4",
                schema="pg_catalog",
                encoder=lambda value: str(value + 1),
                decoder=lambda text: f"<{text}>",
            )
            told.append(await shown(connection))
            await raw.reset_type_codec("int4", schema="pg_catalog")
            told.append(await shown(connection))
            return told

    told = both(body)
    assert told[0] == told[2] == [[1, None, 300], [1, None, 7]]
    assert told[1] == [["<2>", None, "<301>"], ["<1>", None, "<7>"]]


class _Deaf:
    """A driver's connection that cannot be told."""


class _Other:
    """One that wants to be told otherwise."""

    def get_settings(self) -> Any:
        return self

    def register_data_types(self, records: Any) -> None:
        raise KeyError("novelty")


@private
def test_a_driver_that_cannot_be_told() -> None:
    other: Any = _Deaf()
    assert known_types.register_array_types(other) is False
    other._protocol = _Other()
    assert known_types.register_array_types(other) is False
