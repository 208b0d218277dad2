"""Dates, times and numeric have codecs of our own: nothing that a program does can tell."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from decimal import Decimal
from io import BytesIO
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pgflight import _impl, driver
from pgflight.driver import known_types
from pgflight.session import codecs
from tests.fixtures.engines import Dialect
from tests.fixtures.outcome import Both
from tests.fixtures.proxy import Proxy
from tests.parity.scratch import scratch
from tests.unit.value_samples import EAST, UTC, Amount, Fields, Moment, Span

TYPES = ("date", "time", "timetz", "timestamp", "timestamptz", "interval", "numeric")
VALUES: dict[str, list[Any]] = {
    "date": [dt.date(2024, 2, 29), dt.date.max, dt.date.min, dt.datetime(2024, 1, 1, 5)],
    "time": [dt.time(1, 2, 3, 4), dt.time.max, dt.time(5, tzinfo=EAST)],
    "timetz": [dt.time(1, 2, 3, 4, EAST), dt.time(0, tzinfo=UTC)],
    "timestamp": [
        dt.datetime(2024, 2, 29, 1, 2, 3, 4),
        Moment(2024, 2, 29),
        dt.date(2024, 2, 29),
        dt.datetime.max,
        dt.datetime.min,
    ],
    "timestamptz": [
        dt.datetime(2024, 2, 29, 1, 2, 3, 4, UTC),
        dt.datetime(2024, 2, 29, 1, 2, 3, 4, EAST),
        dt.datetime(2024, 7, 1),
        Moment(2024, 2, 29, tzinfo=EAST),
        dt.date(2024, 2, 29),
        dt.datetime.max,
        dt.datetime.min,
        dt.datetime.max.replace(tzinfo=UTC),
    ],
    "interval": [dt.timedelta(1, 2, 3), dt.timedelta(-1, 0, 1), Span(5)],
    "numeric": [
        Decimal("1.10"),
        Decimal("0E-20"),
        Decimal("-0.0"),
        Decimal("NaN"),
        Decimal("1E+9"),
        Amount("7.50"),
        5,
        0.25,
        True,
        "1.0",
    ],
}
WRONG: dict[str, list[Any]] = {
    "date": ["2024-01-01", 5, dt.time(1)],
    "time": ["01:02", dt.date(2024, 1, 1), Fields(hour=1.5)],
    "timetz": [dt.time(1), "01:02+00"],
    "timestamp": ["now", dt.datetime(2024, 1, 1, tzinfo=UTC), 1, dt.time(1)],
    "timestamptz": ["now", 1.5, dt.datetime.min.replace(tzinfo=EAST)],
    "interval": ["1 day", 5, dt.time(1)],
    "numeric": ["one", b"1", Decimal("1E-20000"), Decimal("1E+270000"), [1]],
}
BEYOND = {
    "date": ("'0044-03-15 BC'", "'12000-01-01'"),
    "time": ("'24:00'",),
    "timetz": ("'24:00+00'",),
    "timestamp": ("'0044-03-15 BC'", "'12000-01-01'"),
    "timestamptz": ("'0044-03-15 BC'", "'12000-01-01'", "'0001-01-01 00:00+14'"),
    "interval": ("'2000000000 days'",),
}
RANGES = {"date": "daterange", "timestamp": "tsrange", "timestamptz": "tstzrange"}
RANGES["numeric"] = "numrange"


def seen(value: Any) -> Any:
    """Return a value with all that its equality leaves out."""
    if isinstance(value, Decimal):
        return (type(value), value.as_tuple())
    if isinstance(value, (list, tuple, asyncpg.Record)):
        return [seen(item) for item in value]
    if isinstance(value, asyncpg.Range):
        return ["range", seen(value.lower), seen(value.upper), repr(value)]
    zone = getattr(value, "tzinfo", None)
    return [type(value), repr(value), type(zone), zone is UTC]


async def said(work: Awaitable[Any]) -> Any:
    """Return what `work` returns, or its error to the letter: the driver's text and its causes.

    Of SQLAlchemy's errors only the text counts: ours are of narrower classes, as other tests show.
    """
    try:
        return seen(await work)
    except Exception as raised:
        wrapped = isinstance(raised, DBAPIError)
        error: BaseException | None = raised.orig if isinstance(raised, DBAPIError) else raised
        told: list[Any] = ["error"]
        while error is not None:
            # asyncpg adds up years and months in 32 bits: the days that it names are wrong ones
            text = "" if isinstance(error, OverflowError) else str(error)
            told.append([None if wrapped else type(error).__name__, text])
            error, wrapped = error.__cause__, False
        return told


@pytest.mark.parametrize("name", TYPES)
def test_raw_connection(both: Both, name: str) -> None:
    """Values, arrays, ranges, composites, domains and errors, as asyncpg itself returns them."""

    async def work(engine: AsyncEngine) -> Any:
        async with engine.connect() as connection:
            raw = (await connection.get_raw_connection()).driver_connection
            assert raw is not None
            transaction = raw.transaction()
            await transaction.start()
            await raw.execute(f"CREATE DOMAIN own_value AS {name}")
            await raw.execute(f"CREATE TYPE pair_of_values AS (n int, v {name})")
            found = []
            for value in [*VALUES[name], *WRONG[name], None]:
                async with savepoint(raw):
                    found.append(await said(raw.fetchval(f"SELECT $1::{name}", value)))
                async with savepoint(raw):
                    both_ways = raw.fetchval(f"SELECT $1::{name}[]", [value, None, value])
                    found.append(await said(both_ways))
                    found.append(await said(raw.fetchval(f"SELECT $1::{name}[]", [[value]] * 2)))
                async with savepoint(raw):
                    found.append(await said(raw.fetchval("SELECT $1::own_value", value)))
                async with savepoint(raw):
                    pair = raw.fetchval("SELECT $1::pair_of_values", (7, value))
                    found.append(await said(pair))
                if name in RANGES:
                    query = f"SELECT $1::{RANGES[name]}"
                    async with savepoint(raw):
                        bounds = asyncpg.Range(value, None, lower_inc=True)
                        found.append(await said(raw.fetchval(query, bounds)))
            for value in ["'infinity'", "'-infinity'", *BEYOND.get(name, ())]:
                async with savepoint(raw):
                    found.append(await said(raw.fetchval(f"SELECT {value}::{name}")))
                async with savepoint(raw):
                    array = f"SELECT ARRAY[NULL, {value}::{name}]"
                    found.append(await said(raw.fetchval(array)))
            await transaction.rollback()
            return found

    assert "DataError" in repr(both(work))


class savepoint:
    """A savepoint of a raw connection that is always rolled back."""

    def __init__(self, raw: Any) -> None:
        self.transaction = raw.transaction()

    async def __aenter__(self) -> None:
        await self.transaction.start()

    async def __aexit__(self, *_: object) -> None:
        await self.transaction.rollback()


@pytest.mark.parametrize("name", TYPES)
def test_statements(both: Both, name: str) -> None:
    """Through SQLAlchemy, bound one by one and many at a time: errors name the same position."""

    async def work(engine: AsyncEngine) -> Any:
        async with scratch(engine, None, f"CREATE TEMP TABLE kept (v {name})") as connection:
            found = []

            async def execute(statement: str, parameters: Any) -> Any:
                async with connection.begin_nested():
                    result = await connection.exec_driver_sql(statement, parameters)
                    return [tuple(r) for r in result.all()] if result.returns_rows else None

            insert = "INSERT INTO kept VALUES ($1)"
            for value in [*VALUES[name], *WRONG[name], None]:
                found.append(await said(execute(f"SELECT $1::{name}", (value,))))
            good = [(value,) for value in VALUES[name]]
            found.append(await said(execute(insert, [*good, (None,)])))
            for wrong in WRONG[name]:
                found.append(await said(execute(insert, [*good, (wrong,), *good])))
            found.append(await said(execute("SELECT v FROM kept", ())))
            return found

    outcome = repr(both(work))
    assert f"$1 in element #{len(VALUES[name])} of executemany() sequence" in outcome


def test_typed_columns(both: Both) -> None:
    """Through SQLAlchemy's types, with their processors and RETURNING."""
    table = sa.Table(
        "of_codecs",
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True)),
        sa.Column("price", sa.Numeric(12, 2)),
        sa.Column("rate", sa.Numeric(12, 2, asdecimal=False)),
        sa.Column("took", sa.Interval),
        sa.Column("during", pg.TSTZRANGE),
        sa.Column("days", pg.ARRAY(sa.Date)),
    )
    moment = dt.datetime(2024, 2, 29, 1, 2, 3, 4, EAST)
    rows = [
        {
            "id": n,
            "at": moment + dt.timedelta(n),
            "price": Decimal(n) / 3,
            "rate": n / 4,
            "took": dt.timedelta(n, n, n),
            "during": pg.Range(moment, None),
            "days": [moment.date(), None],
        }
        for n in range(5)
    ]

    async def work(engine: AsyncEngine) -> Any:
        async with scratch(engine, table.metadata) as connection:
            insert = table.insert().returning(*table.c, sort_by_parameter_order=True)
            returned = (await connection.execute(insert, rows)).all()
            streamed = await connection.stream(sa.select(table).order_by(table.c.id))
            return [returned, await streamed.all()]

    both(work)


async def _raw(connection: AsyncConnection) -> Any:
    return (await connection.get_raw_connection()).driver_connection


@pytest.mark.parametrize("name", TYPES)
def test_copy(both: Both, name: str) -> None:
    async def work(engine: AsyncEngine) -> Any:
        async with engine.connect() as connection:
            raw = await _raw(connection)
            await raw.execute(f"CREATE TEMP TABLE copied (id int, v {name}, vs {name}[])")
            rows = [(n, value, [value, None]) for n, value in enumerate(VALUES[name])]
            found = [
                await said(raw.copy_records_to_table("copied", records=[*rows, (99, None, None)]))
            ]
            for wrong in WRONG[name]:
                records = [*rows, (100, wrong, None)]
                found.append(await said(raw.copy_records_to_table("copied", records=records)))
            copied = await raw.fetch("SELECT v, vs FROM copied ORDER BY id")
            found.append([tuple(row) for row in copied])
            file = BytesIO()
            await raw.copy_from_table("copied", output=file, format="binary")
            found.append(file.getvalue())
            file.seek(0)
            found.append(await raw.copy_to_table("copied", source=file, format="binary"))
            found.append(await raw.fetchval("SELECT count(*) FROM copied"))
            return found

    both(work)


Register = Callable[[Any, str], Awaitable[None]]


async def as_text(raw: Any, name: str) -> None:
    await raw.set_type_codec(
        name, schema="pg_catalog", encoder=str, decoder=lambda text: ["text", text]
    )


async def as_bytes(raw: Any, name: str) -> None:
    await raw.set_type_codec(
        name, schema="pg_catalog", format="binary", encoder=bytes, decoder=lambda b: ["bytes", b]
    )


async def as_tuple(raw: Any, name: str) -> None:
    await raw.set_type_codec(
        name, schema="pg_catalog", format="tuple", encoder=lambda t: t, decoder=lambda t: ["t", t]
    )


async def as_before(raw: Any, name: str) -> None:
    await as_bytes(raw, name)
    await raw.reset_type_codec(name, schema="pg_catalog")


async def as_shipped(raw: Any, name: str) -> None:
    await raw.reset_type_codec(name, schema="pg_catalog")


SAMPLE = {
    "date": "2024-02-29",
    "time": "01:02:03.4",
    "timetz": "01:02:03.4+05:30",
    "timestamp": "2024-02-29 01:02:03.4",
    "timestamptz": "2024-02-29 01:02:03.4+00",
    "interval": "1 year 2 days 00:00:03.4",
    "numeric": "1.10",
}


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("register", [as_text, as_bytes, as_tuple, as_before, as_shipped])
def test_codecs_of_the_program(both: Both, name: str, register: Register) -> None:
    """A codec that a program sets when a connection is made, or later, is the one that is used."""
    query = f"SELECT '{SAMPLE[name]}'::{name} AS v, ARRAY['{SAMPLE[name]}'::{name}, NULL] AS vs"

    async def work(engine: AsyncEngine) -> Any:
        @event.listens_for(engine.sync_engine, "connect")
        def connected(dbapi_connection: Any, _: Any) -> None:
            dbapi_connection.run_async(lambda raw: said(register(raw, name)))

        async def read(connection: AsyncConnection) -> list[Any]:
            raw = await _raw(connection)
            through = (await connection.exec_driver_sql(query)).all()
            return [seen(tuple(through[0])), seen(await raw.fetchrow(query))]

        async with engine.connect() as connection:
            found = await read(connection)
            raw = await _raw(connection)
            value = await raw.fetchval(f"SELECT '{SAMPLE[name]}'::{name}")
            argument = value[1] if isinstance(value, list) else value
            found.append(await said(raw.fetchval(f"SELECT $1::{name}", argument)))
        async with engine.connect() as connection:
            raw = await _raw(connection)
            prepared = await raw.prepare(query)
            before = seen(await prepared.fetchrow())
            found.append(await said(as_text(raw, name)))
            # What has been prepared keeps the codec that it was prepared with.
            found += [before, seen(await prepared.fetchrow()), *await read(connection)]
            await connection.rollback()
            await raw.reset()
            found += await read(connection)
            await raw.reset_type_codec(name, schema="pg_catalog")
            found += await read(connection)
            await connection.invalidate()
        return found

    both(work)


SAME_SIZE = {
    "date": ("int4", "8825"),
    "time": ("money", "12.34"),
    "timestamp": ("money", "123456789.12"),
    "timestamptz": ("float8", "1e-300"),
    "interval": ("uuid", "00000000-0000-0007-0000-000300000002"),
}


@pytest.mark.parametrize("argument", ["async_creator", "async_creator_fn"])
def test_codecs_that_a_creator_has_set(dialect: Dialect, argument: str) -> None:
    """Ours are set afterwards, and would take their place."""

    async def create(*args: Any, **kwargs: Any) -> Any:
        url = dialect.server.url().set(drivername="postgresql")
        connection = await asyncpg.connect(url.render_as_string(hide_password=False))
        for name in TYPES:
            await connection.set_type_codec(
                name, schema="pg_catalog", format="text", encoder=str, decoder=lambda text: [text]
            )
        return connection

    async def work() -> None:
        options: Any = {argument: create}
        if argument == "async_creator_fn":
            options = {"connect_args": options}
        async with dialect.engine(**options).connect() as connection:
            question = "SELECT 1.50::numeric, DATE '2024-02-29', INTERVAL '1 day', ARRAY[2.0]"
            row = (await connection.execute(sa.text(question))).one()
            assert tuple(row) == (["1.50"], ["2024-02-29"], ["1 day"], [["2.0"]])

    asyncio.run(work())


def test_codecs_of_a_listener_in_front_of_the_dialects_own(dialect: Dialect) -> None:
    async def work() -> None:
        engine = dialect.engine()

        def register(dbapi_connection: Any, record: Any) -> None:
            def codec(connection: Any) -> Any:
                return connection.set_type_codec(
                    "numeric", schema="pg_catalog", format="text", encoder=str, decoder=float
                )

            dbapi_connection.run_async(codec)

        event.listen(engine.sync_engine, "connect", register, insert=True)
        async with engine.connect() as connection:
            value = await connection.scalar(sa.text("SELECT 1.50"))
            assert value == 1.5 and type(value) is float

    asyncio.run(work())


@pytest.mark.parametrize("name", SAME_SIZE)
def test_types_that_alias_ours(both: Both, name: str) -> None:
    """asyncpg can be told to read another type of the same size as one of these."""
    other, text = SAME_SIZE[name]

    async def work(engine: AsyncEngine) -> Any:
        async with engine.connect() as connection:
            raw = await _raw(connection)
            await raw.set_builtin_type_codec(other, schema="pg_catalog", codec_name=name)
            found = [seen(await raw.fetchval(f"SELECT '{text}'::{other}"))]
            for value in [*VALUES[name], *WRONG[name]]:
                found.append(await said(raw.fetchval(f"SELECT $1::{other}", value)))
            await raw.reset_type_codec(other, schema="pg_catalog")
            found.append(seen(await raw.fetchval(f"SELECT '{text}'::{other}")))
            found.append(seen(await raw.fetchval(f"SELECT '{SAMPLE[name]}'::{name}")))
            await connection.invalidate()
            return found

    both(work)


def test_numeric_as_text_for_another_type(both: Both) -> None:
    """The one thing a program can tell, and how to get it: CHANGELOG.md says so."""

    async def work(engine: AsyncEngine) -> Any:
        async with engine.connect() as connection:
            raw = await _raw(connection)
            ours = engine.dialect.__module__.startswith("pgflight")
            if ours and _impl.numeric.FASTER and driver.set_codec is not None:
                with pytest.raises(asyncpg.InterfaceError, match="no text codec for numeric"):
                    await raw.set_builtin_type_codec(
                        "text", schema="pg_catalog", codec_name="numeric", format="text"
                    )
                await raw.reset_type_codec("numeric", schema="pg_catalog")
            await raw.set_builtin_type_codec(
                "text", schema="pg_catalog", codec_name="numeric", format="text"
            )
            found = seen(await raw.fetchval("SELECT '1.10'::text"))
            await connection.invalidate()
            return found

    both(work)


def test_our_codecs_cost_no_round_trip(pgflight_dialect: Dialect, proxy: Proxy) -> None:
    async def work() -> None:
        async with pgflight_dialect.engine(via=proxy).connect() as connection:
            raw = await _raw(connection)
            with proxy.counting() as trips:
                await codecs.set_value_codecs(raw)
            assert trips.count == 0

    asyncio.run(work())


SETTERS = [known_types._set_codec_public, known_types._set_codec_private, None]


@pytest.mark.parametrize("setter", SETTERS)
def test_both_ways_of_setting_codecs(
    pgflight_dialect: Dialect, monkeypatch: pytest.MonkeyPatch, setter: Any
) -> None:
    """The one that this asyncpg does not need serves, too; without one asyncpg's own stay."""

    def decode(data: bytes) -> Any:
        return ["ours", data]

    async def work() -> list[Any]:
        found = []
        async with pgflight_dialect.engine().connect() as connection:
            raw = await _raw(connection)
            for name, text in SAMPLE.items():
                query = f"SELECT '{text}'::{name}"
                before = await raw.fetchval(query)
                found.append(await raw.fetchval(query))
                assert seen(before) == seen(found[-1])
        return found

    own = [(name, bytes, decode) for name in TYPES]
    monkeypatch.setattr(driver, "set_codec", setter)
    monkeypatch.setattr(codecs, "_VALUE_CODECS", own)
    used = [type(value) is list for value in asyncio.run(work())]
    assert used == [setter is not None] * len(TYPES)


def test_what_is_registered_is_what_gains(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pieces say so themselves: the types that are faster, and those that are safer."""
    faster = (*_impl.temporal.FASTER, *_impl.numeric.FASTER)
    used = faster or (*_impl.temporal.SAFER, *_impl.numeric.SAFER)
    names: list[str] = []

    async def record(connection: Any, name: str, encoder: Any, decoder: Any) -> None:
        names.append(name)

    with monkeypatch.context() as patch:
        patch.setattr(driver, "set_codec", record)
        nothing: Any = None
        asyncio.run(codecs.set_value_codecs(nothing))
    assert tuple(names) == used
    compiled = _impl.implementation().name == "compiled"
    assert faster == (TYPES if compiled else ())
