"""Values at the limits of each type, and one past them: the value itself or an error, nothing else.

Each value goes every way that a value can go: as a parameter, in an array, in one row, in some, in
many, and by COPY in both forms.  The text that the server has made of it decides.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection

import pgflight
from pgflight import _impl, driver
from tests.fixtures.engines import Dialect
from tests.parity.limit_cases import IMITATIONS, LIMITS, READ, Limit
from tests.parity.scratch import scratch

pytestmark = pytest.mark.filterwarnings("ignore:Type object:sqlalchemy.exc.SADeprecationWarning")
OWN_CODECS = driver.set_codec is not None
"""False with asyncpg 0.30 at level public, where setting a codec takes round trips."""
Way = Callable[[AsyncConnection, Limit, sa.Table, Any], Awaitable[Any]]


async def _parameter(c: AsyncConnection, limit: Limit, table: sa.Table, value: Any) -> Any:
    query = sa.text(f"SELECT v, v::text FROM (SELECT CAST(:v AS {limit.name}) AS v) AS q")
    return (await c.execute(query, {"v": limit.sent(value)})).one()


async def _element(c: AsyncConnection, limit: Limit, table: sa.Table, value: Any) -> Any:
    query = sa.text(
        f"SELECT vs[2][1], vs[2][1]::text FROM (SELECT CAST(:v AS {limit.name}[]) AS vs) AS q"
    )
    return (await c.execute(query, {"v": [[None], [limit.sent(value)]]})).one()


async def _stored(c: AsyncConnection, table: sa.Table, number: int) -> Any:
    query = sa.select(table.c.value, sa.cast(table.c.value, sa.Text))
    return (await c.execute(query.where(table.c.id == number))).one()


def _rows(before: int) -> Way:
    async def insert(c: AsyncConnection, limit: Limit, table: sa.Table, value: Any) -> Any:
        usual = limit.fits[0][0]
        rows = [{"id": number, "value": usual} for number in range(before)]
        await c.execute(table.insert(), [*rows, {"id": before, "value": value}])
        return await _stored(c, table, before)

    return insert


async def _copied(c: AsyncConnection, limit: Limit, table: sa.Table, value: Any) -> Any:
    extra = {"fee": "$1.00"} if "fee" in table.c else {}
    rows = [{"id": n, "value": v, **extra} for n, v in enumerate((limit.fits[0][0], value))]
    await pgflight.copy_in(c, table, rows)
    return await _stored(c, table, 1)


WAYS: dict[str, Way] = {
    "parameter": _parameter,
    "element": _element,
    "one row": _rows(0),
    "some rows": _rows(5),
    "many rows": _rows(60),
    "copied": _copied,
    "copied as text": _copied,
}
COPIES = ("copied", "copied as text")


def _table(limit: Limit, way: str) -> sa.Table:
    others = [sa.Column("fee", pg.MONEY)] if way == "copied as text" else []
    return sa.Table(
        "value_limits",
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("value", limit.type_),
        *others,
        prefixes=["TEMPORARY"],
    )


def _ways(dialect: Dialect, limit: Limit) -> list[str]:
    """Return the ways that a value of this type can go; only ours has COPY."""
    mine = WAYS if dialect.ours else WAYS.keys() - COPIES
    return [way for way in WAYS if way in mine and way not in limit.not_by]


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.name)
def test_what_fits_is_stored_and_read(dialect: Dialect, limit: Limit) -> None:
    async def stored(c: AsyncConnection, way: str, table: sa.Table) -> None:
        for value, text in limit.fits:
            found = await WAYS[way](c, limit, table, value)
            assert found[1] == text, (way, value, found)
            if limit.reads:
                assert limit.same(found[0], value), (way, value, found)
            await c.execute(table.delete())

    async def work() -> None:
        engine = dialect.engine()
        for way in _ways(dialect, limit):
            table = _table(limit, way)
            async with scratch(engine, table.metadata, "SET timezone = 'UTC'") as c:
                await stored(c, way, table)

    asyncio.run(work())


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.name)
def test_what_does_not_fit_is_refused(dialect: Dialect, limit: Limit) -> None:
    # the built-in dialect has no narrower class
    expected = sa.exc.DataError if dialect.ours else sa.exc.DBAPIError

    async def refused(c: AsyncConnection, way: str, table: sa.Table, value: Any) -> None:
        with pytest.raises(expected) as caught:
            async with c.begin_nested():
                await WAYS[way](c, limit, table, value)
        message = str(caught.value.orig)
        by_server = getattr(caught.value.orig, "sqlstate", None) is not None
        assert by_server or "invalid input for query argument $" in message, (way, message)
        if way == "some rows" and not by_server:
            assert "in element #5 of executemany() sequence" in message
        if way in COPIES:
            assert "(row 2, column 'value')" in message
        assert await c.scalar(sa.select(sa.func.count()).select_from(table)) == 0

    ours = dialect.ours and (OWN_CODECS or limit.name not in _impl.temporal.CODECS)
    by_us = limit.refused_by_us if ours else ()

    async def work() -> None:
        engine = dialect.engine()
        for way in _ways(dialect, limit):
            table = _table(limit, way)
            async with scratch(engine, table.metadata, "SET timezone = 'UTC'") as c:
                for value in [*limit.refused, *by_us]:
                    await refused(c, way, table, value)

    asyncio.run(work())


@pytest.mark.parametrize(("literal", "expected", "builtin_too"), READ, ids=lambda v: str(v)[:50])
def test_what_only_the_server_has(
    dialect: Dialect, literal: str, expected: Any, builtin_too: bool
) -> None:
    """Infinity and the ends of the server's calendar are read as they are or raise."""

    async def work() -> None:
        async with scratch(dialect.engine()) as c:
            finite = not literal.startswith("interval") or "infinity" not in literal
            if not finite and dialect.server.version < (17, 0):
                return
            for query in (f"SELECT {literal}", f"SELECT (ARRAY[NULL, {literal}])[1:2]"):
                if isinstance(expected, type):
                    with pytest.raises(expected):
                        await c.scalar(sa.text(query.replace(":", "\\:")))
                else:
                    found = await c.scalar(sa.text(query.replace(":", "\\:")))
                    found = found[1] if isinstance(found, list) and "ARRAY" in query else found
                    assert found == expected
                    assert repr(found) == repr(expected)

    if (dialect.ours and OWN_CODECS) or builtin_too:
        asyncio.run(work())


@pytest.mark.parametrize("name", IMITATIONS)
def test_what_imitates_a_type_is_not_cut_to_32_bits(pgflight_dialect: Dialect, name: str) -> None:
    async def work() -> None:
        async with scratch(pgflight_dialect.engine()) as c:
            for value in IMITATIONS[name]:
                with pytest.raises(sa.exc.DataError, match=r"argument \$1"):
                    await c.execute(sa.text(f"SELECT CAST(:v AS {name})"), {"v": value})
                await c.rollback()

    # asyncpg's own codec takes them in the Python form, unless it is needed for usual values
    if OWN_CODECS and name in (*_impl.temporal.FASTER, *_impl.temporal.SAFER):
        asyncio.run(work())


class Mute:
    """An object that no type takes and that cannot be printed."""

    def __repr__(self) -> str:
        raise RuntimeError("cannot be printed")


async def _streamed(c: AsyncConnection, value: Any) -> Any:
    async with c.stream(sa.text("SELECT CAST(:v AS int4)"), {"v": value}) as result:
        return await result.all()


UNPRINTABLE: dict[str, Callable[[AsyncConnection, Any], Awaitable[Any]]] = {
    "one": lambda c, v: c.exec_driver_sql("SELECT $1::int8, $2::int4", (1, v)),
    "many": lambda c, v: c.exec_driver_sql("SELECT $1::int8, $2::int4", [(1, 2), (1, v), (1, 2)]),
    "streamed": _streamed,
}
WHERE = {
    "one": r"\$2:",
    "many": r"\$2 in element #1 of executemany\(\) sequence:",
    "streamed": r"\$1:",
}


@pytest.mark.parametrize("way", UNPRINTABLE)
@pytest.mark.parametrize(
    "value", [10**5000, -(10**131072), [10**5000], Mute()], ids=lambda v: type(v).__name__
)
def test_a_refused_value_that_cannot_be_printed(
    pgflight_dialect: Dialect, way: str, value: Any
) -> None:
    """asyncpg prints what it refuses, and raises what that raises; the argument is named anyway."""

    async def work() -> None:
        async with scratch(pgflight_dialect.engine()) as c:
            # with asyncpg 0.30, its function stands from then on in the traceback of the next
            with pytest.raises(sa.exc.DataError):
                await c.exec_driver_sql("SELECT $1::pg_catalog.pg_description", (("x", 1, 1, ""),))
            await c.rollback()
            with pytest.raises(sa.exc.DataError) as caught:
                await UNPRINTABLE[way](c, value)
            pattern = f"invalid input for query argument {WHERE[way]} {type(value).__name__} \\("
            assert re.search(pattern, str(caught.value.orig)), str(caught.value.orig)
            assert not caught.value.connection_invalidated
            await c.rollback()
            assert await c.scalar(sa.text("SELECT 1")) == 1

    asyncio.run(work())


def test_an_error_of_the_result_is_not_one_of_an_argument(dialect: Dialect) -> None:
    """Such as a date that Python lacks beside a number that it does not print."""

    async def work() -> None:
        async with scratch(dialect.engine()) as c:
            with pytest.raises(ValueError, match="year 10000 is out of range"):
                await c.exec_driver_sql("SELECT $1::numeric, date '10000-01-01'", (10**5000,))

    asyncio.run(work())
