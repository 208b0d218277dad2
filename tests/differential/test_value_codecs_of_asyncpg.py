"""Codecs of dates, times and numeric against asyncpg's own, over a connection.

The server is given values in its own binary form, by COPY, and asyncpg reads them; asyncpg's
encoders are watched at the proxy.  Nothing here registers a codec.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import math
import random
import struct
from collections.abc import Callable, Iterator
from decimal import Decimal
from io import BytesIO
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from tests.differential.outcome import outcome
from tests.fixtures.impl import Impl
from tests.fixtures.proxy import Proxy
from tests.fixtures.server import Server
from tests.fixtures.statements import Statements
from tests.unit import value_samples as samples
from tests.unit.value_samples import BOTH_WAYS, DECODED, ENCODED, NOT_IN_PYTHON, REFUSED, Moment

TYPES = ("date", "time", "timetz", "timestamp", "timestamptz", "interval", "numeric")
DAY, FIRST, LAST = samples.DAY, samples.FIRST, samples.LAST
# What the server has, beyond both ends of Python's calendar.
SERVER_FIRST, SERVER_LAST = -211813488000000000, 9223371331200000000 - 1
Make = Callable[[random.Random], Any]


def a_moment(source: random.Random) -> bytes:
    if source.random() < 0.98:
        near = source.choice((0, FIRST, LAST, 8 * 10**14))
        wide = source.choice((2, 10**7, DAY, 400 * DAY, LAST))
        return samples.long(min(max(near + source.randint(-wide, wide), FIRST), LAST))
    near = source.choice((FIRST, LAST, SERVER_FIRST, SERVER_LAST))
    number = near + source.randint(-DAY, DAY)
    return samples.long(min(max(number, SERVER_FIRST), SERVER_LAST))


def a_date(source: random.Random) -> bytes:
    days = source.choice((0, -730119, 2921939, -36000)) + source.randint(-40000, 40000)
    if source.random() < 0.95:
        days = min(max(days, -730119), 2921939)
    return samples.short(days)


def a_clock(source: random.Random) -> bytes:
    return samples.long(
        DAY if source.random() < 0.03 else source.choice((0, source.randrange(DAY)))
    )


def a_clock_with_zone(source: random.Random) -> bytes:
    return a_clock(source) + samples.short(source.randint(-57599, 57599))


def an_interval(source: random.Random) -> bytes:
    whole = [source.choice((0, 5, 2**7, 2**20, 2**31 - 1)) for _ in range(2)]
    days, months = (source.choice((number, source.randint(-number, number))) for number in whole)
    most = source.choice((0, 10, DAY, 2**62, 2**63 - 2))
    return samples.interval(source.randint(-most, most), days, months)


def a_numeric(source: random.Random) -> bytes:
    count = source.choice((0, 1, 1, 2, 3, 5, source.randint(0, 40), source.randint(0, 1500)))
    groups = [source.choice((0, 1, 10, 1000, source.randint(0, 9999))) for _ in range(count)]
    weight = source.randint(-20, max(count, 3))
    scale = max(source.choice((0, 1, 2, 8, 100)), 4 * (count - weight - 1))
    return samples.numeric(weight, source.choice((0, 0x4000)), min(scale, 16383), *groups)


WIRES: dict[str, Make] = {
    "date": a_date,
    "time": a_clock,
    "timetz": a_clock_with_zone,
    "timestamp": a_moment,
    "timestamptz": a_moment,
    "interval": an_interval,
    "numeric": a_numeric,
}
MANY = {"timestamptz": 20_000, "timestamp": 20_000, "numeric": 6_000}


def plain(server: Server) -> str:
    """Return the server's URL as asyncpg takes it."""
    return server.text("postgresql")


def exact(value: Any) -> Any:
    """Return all that a program could see of a value."""
    zone = getattr(value, "tzinfo", None)
    parts = value.as_tuple() if isinstance(value, Decimal) else None
    return type(value), repr(value), type(zone), zone is dt.timezone.utc, parts


def to_copy(values: list[bytes]) -> bytes:
    """Return a file of COPY's binary format, one column beside a row number."""
    rows = [
        struct.pack("!hiii", 2, 4, number, len(value)) + value
        for number, value in enumerate(values)
    ]
    return b"PGCOPY\n\xff\r\n\0" + bytes(8) + b"".join(rows) + b"\xff\xff"


def from_copy(data: bytes) -> list[bytes]:
    """Return the values of a file of one column."""
    values, at = [], 19
    while struct.unpack_from("!h", data, at)[0] == 1:
        size = struct.unpack_from("!i", data, at + 2)[0]
        values.append(data[at + 6 : at + 6 + size])
        at += 6 + size
    return values


async def as_read(server: Server, name: str, wires: list[bytes]) -> list[tuple[bytes, Any]]:
    """Return what the server makes of `wires`, as bytes and as asyncpg reads them."""
    connection = await asyncpg.connect(plain(server))
    try:
        await connection.execute(f"CREATE TEMP TABLE sample (id int PRIMARY KEY, value {name})")
        await connection.copy_to_table("sample", source=BytesIO(to_copy(wires)), format="binary")
        file = BytesIO()
        await connection.copy_from_query(
            "SELECT value FROM sample ORDER BY id", output=file, format="binary"
        )
        sent = from_copy(file.getvalue())
        assert len(sent) == len(wires)
        read = await connection.prepare(
            "SELECT value FROM sample WHERE id BETWEEN $1 AND $2 ORDER BY id"
        )

        async def between(first: int, last: int) -> list[Any]:
            # One value that Python lacks spoils a whole fetch: halve until it stands alone.
            try:
                rows = await read.fetch(first, last)
            except Exception as error:
                if first == last:
                    return [error]
                middle = (first + last) // 2
                return await between(first, middle) + await between(middle + 1, last)
            return [row["value"] for row in rows]

        values = []
        for first in range(0, len(wires), 64):
            values += await between(first, min(first + 63, len(wires) - 1))
        return list(zip(sent, values, strict=True))
    finally:
        await connection.close()


@pytest.fixture(scope="module", params=TYPES)
def read(request: pytest.FixtureRequest, server: Server) -> tuple[str, list[tuple[bytes, Any]]]:
    """A type, and many values of it as the server sends them and as asyncpg reads them."""
    name: str = request.param
    source = random.Random(name)
    wires = [wire for kind, wire, *_ in [*DECODED, *NOT_IN_PYTHON] if kind == name]
    # asyncpg's tests and ours know of numerics that the server itself would refuse or round.
    wires = [] if name == "numeric" else wires
    wires += [wire for kind, _, wire in BOTH_WAYS if kind == name]
    wires += [WIRES[name](source) for _ in range(MANY.get(name, 4_000))]
    return name, asyncio.run(as_read(server, name, wires))


def what_asyncpg_changes(name: str, wire: bytes) -> Any:
    """Return the value, or OverflowError, that asyncpg reads as another one; None if it does not.

    It leaves out the seconds of an offset, adds days in 32 bits, and takes for infinity what was
    finite before PostgreSQL 17.
    """
    if name == "timetz":
        microseconds, west = struct.unpack("!qi", wire)
        if west % 60 and microseconds < DAY:
            clock = (dt.datetime.min + dt.timedelta(0, 0, microseconds)).time()
            return clock.replace(tzinfo=samples.east(-west))
    elif name == "interval":
        microseconds, days, months = struct.unpack("!qii", wire)
        days += int(months / 12) * 365 + int(math.fmod(months, 12)) * 30
        if not -(2**31) <= days < 2**31 or abs(microseconds) >= 2**63 - 1:
            try:
                return dt.timedelta(days, 0, microseconds)
            except OverflowError:
                return OverflowError
    return None


def test_decoders(read: tuple[str, list[tuple[bytes, Any]]], impl: Impl) -> None:
    name, pairs = read
    decode = (impl.numeric if name == "numeric" else impl.temporal).CODECS[name][1]
    failures = changes = 0
    for wire, expected in pairs:
        ours = outcome(decode, wire, messages=True)
        if (right := what_asyncpg_changes(name, wire)) is not None:
            changes += 1
            if right is OverflowError:
                assert ours[:2] == ("error", OverflowError), wire.hex()
            else:
                assert exact(ours[1][1]) == exact(right), wire.hex()
        elif isinstance(expected, Exception):
            failures += 1
            assert ours == ("error", type(expected), str(expected)), wire.hex()
        else:
            assert ours[0] == "value", (wire.hex(), ours, expected)
            assert exact(ours[1][1]) == exact(expected), wire.hex()
    assert bool(failures) == (name != "numeric")
    assert bool(changes) == (name in (*impl.temporal.SAFER, *impl.numeric.SAFER))
    assert failures < len(pairs) * 3 // 4


GENERATED = (
    "SELECT '2000-01-01'::timestamptz + n * interval '40 days 7.000001 s' v"
    " FROM generate_series(-18000, 70000, 5) n",
    "SELECT (n::numeric / 7)::numeric(30, 10) v FROM generate_series(-2000, 2000) n",
    "SELECT round(power(1.37::numeric, n), n % 40) v FROM generate_series(0, 400) n",
    "SELECT trunc(power(10::numeric, n)) v FROM generate_series(0, 400) n",
    "SELECT repeat('9', n * 7)::numeric v FROM generate_series(1, 500) n",
    "SELECT power(10::numeric, -n) v FROM generate_series(0, 300) n",
)


@pytest.mark.parametrize("query", GENERATED)
def test_what_server_functions_return(server: Server, impl: Impl, query: str) -> None:
    async def read() -> tuple[str, list[bytes], list[Any]]:
        connection = await asyncpg.connect(plain(server))
        try:
            file = BytesIO()
            await connection.copy_from_query(query, output=file, format="binary")
            values = [row["v"] for row in await connection.fetch(query)]
            name = await connection.fetchval(f"SELECT pg_typeof(v)::text FROM ({query}) q LIMIT 1")
            return name, from_copy(file.getvalue()), values
        finally:
            await connection.close()

    name, wires, values = asyncio.run(read())
    codecs = impl.numeric.CODECS if name == "numeric" else impl.temporal.CODECS
    decode = codecs["timestamptz" if name.startswith("timestamp") else name][1]
    assert len(wires) == len(values) > 200
    for wire, value in zip(wires, values):
        assert exact(decode(wire)) == exact(value)


def a_datetime(source: random.Random, zones: tuple[Any, ...]) -> dt.datetime:
    kind = source.choice((dt.datetime, dt.datetime, Moment))
    year = source.choice((1, 2, 1900, 1970, 2000, 2024, 9998, 9999, source.randint(1, 9999)))
    return kind(
        year,
        source.randint(1, 12),
        source.randint(1, 28),
        source.randint(0, 23),
        source.randint(0, 59),
        source.randint(0, 59),
        source.randint(0, 999999),
        source.choice(zones),
        fold=source.randint(0, 1),
    )


EAST = dt.timezone(dt.timedelta(hours=5, minutes=30))
ZONES = (dt.timezone.utc, EAST, ZoneInfo("Europe/Berlin"), ZoneInfo("UTC"), None)
VALUES: dict[str, Make] = {
    "date": lambda source: a_datetime(source, (None,)).date(),
    "time": lambda source: a_datetime(source, (None,)).time(),
    "timetz": lambda source: a_datetime(source, (dt.timezone.utc, EAST)).timetz(),
    "timestamp": lambda source: a_datetime(source, (None,)),
    "timestamptz": lambda source: a_datetime(source, ZONES),
    "interval": lambda source: dt.timedelta(
        source.randint(-999999999, 999999999), source.randint(0, 86399), source.randint(0, 999999)
    ),
    "numeric": lambda source: Decimal(
        (
            source.randint(0, 1),
            [source.randint(0, 9) for _ in range(source.choice((1, 2, 5, 20, 97, 300)))],
            source.choice((0, -1, -2, -9, 3, source.randint(-300, 300))),
        )
    ),
}


def elements(array: bytes) -> list[bytes]:
    """Return the elements of a one-dimensional array in its binary form."""
    values, at = [], 20
    while at < len(array):
        size = struct.unpack_from("!i", array, at)[0]
        values.append(array[at + 4 : at + 4 + size])
        at += 4 + size
    return values


@pytest.mark.parametrize("name", TYPES)
def test_encoders(proxy: Proxy, statements: Statements, impl: Impl, name: str) -> None:
    source = random.Random(name)
    encode = (impl.numeric if name == "numeric" else impl.temporal).CODECS[name][0]
    values = [value for kind, value, *_ in [*BOTH_WAYS, *ENCODED] if kind == name]
    values = [value for value in values if not isinstance(value, (str, tuple))]
    values += [VALUES[name](source) for _ in range(2_000)]

    async def send() -> None:
        # The parameter goes out before the server can refuse it: 25 o'clock, dates asyncpg wraps.
        connection = await asyncpg.connect(str(proxy.url("postgresql").render_as_string(False)))
        try:
            statement = await connection.prepare(f"SELECT cardinality($1::{name}[])")
            await statement.fetchval([])
            for chunk in chunks(values):
                try:
                    await statement.fetchval(chunk)
                except asyncpg.PostgresError:
                    pass
        finally:
            await connection.close()

    kept = []
    for value in values:
        # A local time near the ends of the calendar may have no UTC; errors are another test's.
        if outcome(encode, value)[0] == "value":
            kept.append(value)
    assert len(kept) > len(values) * 0.9
    values = kept
    asyncio.run(send())
    sent = [s.parameters[0] for s in statements.all if s.sql.startswith("SELECT cardinality")][1:]
    wires = [wire for array in sent for wire in elements(array or b"")]
    assert len(wires) == len(values)
    for wire, value in zip(wires, values):
        assert encode(value) == wire, repr(value)


def chunks(values: list[Any]) -> Iterator[list[Any]]:
    for at in range(0, len(values), 100):
        yield values[at : at + 100]


@pytest.mark.parametrize("name", TYPES)
def test_errors_of_encoders(server: Server, impl: Impl, name: str) -> None:
    encode = (impl.numeric if name == "numeric" else impl.temporal).CODECS[name][0]
    source = random.Random(name)
    wrong = [value for kind, value in REFUSED if kind == name]
    wrong += [value for kind, value, *_ in BOTH_WAYS if kind != name]
    wrong += [VALUES[other](source) for other in TYPES for _ in range(20)]

    async def causes() -> list[BaseException | None]:
        connection = await asyncpg.connect(plain(server))
        found: list[BaseException | None] = []
        try:
            statement = await connection.prepare(f"SELECT $1::{name} IS NULL")
            for value in wrong:
                try:
                    await statement.fetchval(value)
                except asyncpg.DataError as error:
                    found.append(error.__cause__)
                except asyncpg.PostgresError:
                    found.append(None)
                else:
                    found.append(None)
        finally:
            await connection.close()
        return found

    refused = 0
    too_large = "cannot encode Decimal value into numeric: exponent is too large"
    for value, cause in zip(wrong, asyncio.run(causes()), strict=True):
        ours = outcome(encode, value, messages=True)
        if cause is None:
            # what is too large for the wire form, asyncpg turns into another number
            changed = (name == "numeric" and Decimal(value).adjusted() >= 131072) or (
                name == "timetz" and bool(value.utcoffset().microseconds)
            )
            assert ours[0] == ("error" if changed else "value"), (value, ours)
        else:
            refused += 1
            # ours looks at the exponent first, which is too large already where the digits are
            texts = {str(cause), too_large} if name == "numeric" else {str(cause)}
            assert ours[:2] == ("error", type(cause)) and ours[2] in texts, repr(value)
    assert refused > 10
