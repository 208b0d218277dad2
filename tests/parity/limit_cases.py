"""Values at the limits of each type and one past them, for test_value_limits.py."""

from __future__ import annotations

import datetime as dt
import json
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from operator import eq
from typing import Any
from uuid import UUID

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.types import UserDefinedType

from tests.unit.value_samples import EAST, UTC, Fields, east

HUGE = 10**5000
"""More digits than Python prints."""
NOT_BULK = ("one row", "some rows", "many rows", "copied", "copied as text")


class Of(UserDefinedType[Any]):
    """A type of the server that SQLAlchemy has no class for."""

    cache_ok = True

    def __init__(self, name: str) -> None:
        self.name = name

    def get_col_spec(self, **_: Any) -> str:
        return self.name


def _as_it_is(value: Any) -> Any:
    return value


@dataclass
class Limit:
    """A type, the values that it can hold with the server's text, and those that it cannot."""

    name: str
    type_: Any
    fits: list[tuple[Any, str]]
    refused: list[Any]
    refused_by_us: tuple[Any, ...] = ()
    """What asyncpg stores as another value, or raises a bare exception for."""
    not_by: tuple[str, ...] = ()
    sent: Callable[[Any], Any] = _as_it_is
    """What a bind processor makes of the value, where SQL in text has none."""
    same: Callable[[Any, Any], Any] = eq
    reads: bool = True


def _same_float(found: float, value: float) -> bool:
    return math.isnan(found) if math.isnan(value) else found == value


def _same_real(found: float, value: float) -> bool:
    return _same_float(found, struct.unpack("f", struct.pack("f", value))[0])


def _integers(name: str, type_: Any, bits: int, least: int | None = None, **more: Any) -> Limit:
    last = 2**bits - 1
    first = -(2**bits) if least is None else least
    past = [last + 1, first - 1, 2**64, 2**64 + 1, "1"]
    return Limit(name, type_, [(n, str(n)) for n in (0, last, first)], past, (HUGE, -HUGE), **more)


def _clock(**parts: int) -> Fields:
    return Fields(**{"hour": 0, "minute": 0, "second": 0, "microsecond": 0, **parts})


def _span(**parts: int) -> Fields:
    return Fields(**{"days": 0, "seconds": 0, "microseconds": 0, **parts})


_MAX = dt.datetime.max
_MIN = dt.datetime.min
LIMITS = [
    _integers("int2", sa.SmallInteger, 15),
    _integers("int4", sa.Integer, 31),
    _integers("int8", sa.BigInteger, 63),
    _integers("oid", pg.OID, 32, 0),
    _integers("xid", Of("xid"), 32, 0, not_by=("copied as text",)),
    _integers("xid8", Of("xid8"), 64, 0, not_by=("copied as text",)),
    Limit(
        "tid",
        Of("tid"),
        [((0, 1), "(0,1)"), ((2**32 - 1, 65535), "(4294967295,65535)")],
        [(2**32, 1), (1, 65536), (-1, 1), (1, -1), (1,), (1, 2, 3)],
        not_by=("element", "copied as text"),  # a tuple there is an array
    ),
    Limit(
        "float4",
        sa.REAL,
        [
            (0.5, "0.5"),
            (3.4028234663852886e38, "3.4028235e+38"),
            (3.4028235e38, "3.4028235e+38"),
            (-1e-45, "-1e-45"),
            (math.inf, "Infinity"),
            (math.nan, "NaN"),
        ],
        [3.4028236e38, -3.5e38, 2**200, "1"],
        (HUGE,),
        same=_same_real,
    ),
    Limit(
        "float8",
        sa.Double,
        [
            (0.5, "0.5"),
            (1.7976931348623157e308, "1.7976931348623157e+308"),
            (5e-324, "5e-324"),
            (-math.inf, "-Infinity"),
            (math.nan, "NaN"),
        ],
        [10**400, "1"],
        (HUGE,),
        same=_same_float,
    ),
    Limit(
        "money",
        pg.MONEY,
        [
            ("$1.00", "$1.00"),
            ("92233720368547758.07", "$92,233,720,368,547,758.07"),
            ("-92233720368547758.08", "-$92,233,720,368,547,758.08"),
        ],
        ["92233720368547758.08", "-92233720368547758.09", 5],
        reads=False,
    ),
    Limit(
        "uuid",
        sa.Uuid,
        [(UUID(int=n), str(UUID(int=n))) for n in (0, 1, 2**127, 2**128 - 1)],
        [],
    ),
    Limit(
        "bytea",
        sa.LargeBinary,
        [(b"", "\\x"), (b"\0\xff", "\\x00ff"), (bytes(2**20), "\\x" + "00" * 2**20)],
        ["x", 5, []],
    ),
    Limit(
        "text",
        sa.Text,
        [("", ""), ("\x01\x7f\U0010ffff", "\x01\x7f\U0010ffff"), ("x" * 2**20, "x" * 2**20)],
        ["\0", "a\0b", "\ud800", "\udfff", 5],
    ),
    Limit(
        "date",
        sa.Date,
        [
            (dt.date(2000, 1, 1), "2000-01-01"),
            (dt.date(9999, 12, 30), "9999-12-30"),
            (dt.date(1, 1, 2), "0001-01-02"),
            (dt.date.max, "infinity"),
            (dt.date.min, "-infinity"),
        ],
        ["2000-01-01", 1],
    ),
    Limit(
        "time",
        sa.Time,
        [
            (dt.time(0), "00:00:00"),
            (dt.time.max, "23:59:59.999999"),
        ],
        [_clock(hour=25), _clock(hour=-1), "00:00"],
    ),
    Limit(
        "timetz",
        sa.Time(timezone=True),
        [
            (dt.time(0, tzinfo=UTC), "00:00:00+00"),
            (dt.time(23, 59, 59, 999999, EAST), "23:59:59.999999+05:30"),
            (dt.time(0, tzinfo=east(57540)), "00:00:00+15:59"),
            (dt.time(0, tzinfo=east(-57540)), "00:00:00-15:59"),
        ],
        [dt.time(0), dt.time(0, tzinfo=east(57600)), dt.time(0, tzinfo=east(-57600)), "00:00"],
        (
            dt.time(0, tzinfo=dt.timezone(dt.timedelta(microseconds=1))),
            dt.time(0, tzinfo=dt.timezone(dt.timedelta(-1, 1, 999999))),
        ),
    ),
    Limit(
        "timestamp",
        sa.DateTime,
        [
            (dt.datetime(2000, 1, 1), "2000-01-01 00:00:00"),
            (_MAX - dt.timedelta.resolution, "9999-12-31 23:59:59.999998"),
            (_MIN + dt.timedelta.resolution, "0001-01-01 00:00:00.000001"),
            (_MAX, "infinity"),
            (_MIN, "-infinity"),
        ],
        ["now", 1, _MAX.replace(tzinfo=UTC), _MIN.replace(tzinfo=EAST), dt.time(1)],
    ),
    Limit(
        "timestamptz",
        sa.DateTime(timezone=True),
        [
            (dt.datetime(2000, 1, 1, tzinfo=UTC), "2000-01-01 00:00:00+00"),
            (
                (_MAX - dt.timedelta.resolution).replace(tzinfo=UTC),
                "9999-12-31 23:59:59.999998+00",
            ),
            (_MAX.replace(tzinfo=EAST), "9999-12-31 18:29:59.999999+00"),
            (_MIN.replace(tzinfo=east(-19800)), "0001-01-01 05:30:00+00"),
            (dt.datetime(1, 1, 1, 0, 0, 0, 1, UTC), "0001-01-01 00:00:00.000001+00"),
            (
                dt.datetime(2000, 1, 1, tzinfo=dt.timezone(dt.timedelta(microseconds=1))),
                "1999-12-31 23:59:59.999999+00",
            ),
            (_MAX, "infinity"),
            (_MIN, "-infinity"),
        ],
        ["now", 1, _MIN.replace(tzinfo=EAST), _MAX.replace(tzinfo=east(-1)), dt.time(1)],
    ),
    Limit(
        "interval",
        sa.Interval,
        [
            (dt.timedelta(0), "00:00:00"),
            (dt.timedelta.max, "999999999 days 23:59:59.999999"),
            (dt.timedelta.min, "-999999999 days"),
            (dt.timedelta(microseconds=-1), "-1 days +23:59:59.999999"),
        ],
        ["1 day", 5],
    ),
    Limit(
        "json",
        pg.JSON,
        [
            ({"a": [1, None]}, '{"a": [1, null]}'),
            (10**4299, str(10**4299)),
            ("\0", '"\\u0000"'),
            (["x" * 2**20], json.dumps(["x" * 2**20])),
            ("\ud800", '"\\ud800"'),
        ],
        [math.nan, math.inf],
        not_by=("element",),
        sent=json.dumps,
    ),
    Limit(
        "jsonb",
        pg.JSONB,
        [
            ({"a": [1, None]}, '{"a": [1, null]}'),
            (10**4299, str(10**4299)),
            (5e-324, format(Decimal("5e-324"), "f")),
            (["x" * 2**20], json.dumps(["x" * 2**20])),
        ],
        [math.nan, "\0", "\ud800", {"\0": 1}],
        not_by=("element",),
        sent=json.dumps,
    ),
    Limit(
        "int4[]",
        pg.ARRAY(sa.Integer),
        [
            ([1], "{1}"),
            ([[[[[[1]]]]]], "{{{{{{1}}}}}}"),
            ([], "{}"),
            ([2**31 - 1, None, -(2**31)], "{2147483647,NULL,-2147483648}"),
            (list(range(70_000)), "{" + ",".join(map(str, range(70_000))) + "}"),
        ],
        [
            [2**31],
            [[1], [2, 3]],
            [1, [2]],
            [[1], []],
            [[[1], [2]], [[3], [4, 5]]],
            "12",
        ],
        ([HUGE], [[1], [-HUGE]]),
        not_by=("element",),
    ),
    Limit(
        "int4range",
        pg.INT4RANGE,
        [
            (asyncpg.Range(1, 2), "[1,2)"),
            (asyncpg.Range(2**31 - 1, None), "[2147483647,)"),
            (asyncpg.Range(-(2**31), 2**31 - 1), "[-2147483648,2147483647)"),
            (asyncpg.Range(empty=True), "empty"),
        ],
        [
            asyncpg.Range(2**31, None),
            asyncpg.Range(1, 2**31 - 1, upper_inc=True),
            asyncpg.Range(5, 1),
        ],
        (asyncpg.Range(HUGE, None),),
        not_by=NOT_BULK,  # SQLAlchemy's type takes a Range of its own
    ),
]
IMITATIONS = {
    "date": [
        Fields(toordinal=lambda: 2**32 + 730121),
        Fields(toordinal=lambda: 2**31),
        Fields(toordinal=lambda: 730120 - 2**31),
    ],
    "time": [_clock(hour=2**60), _clock(microsecond=2**32), _clock(minute=2**31)],
    "interval": [
        _span(days=2**32 + 1),
        _span(days=-(2**31) - 1),
        _span(seconds=2**45),
        _span(microseconds=2**31),
    ],
}
"""What asyncpg's own codecs cut to 32 bits."""

READ: list[tuple[str, Any, bool]] = [
    ("interval '178956970 years 7 months'", OverflowError, False),
    ("interval '-178956970 years'", OverflowError, False),
    ("interval 'infinity'", OverflowError, False),
    ("interval '-infinity'", OverflowError, False),
    (
        "interval '9223372036854.775807 seconds'",
        dt.timedelta(microseconds=2**63 - 1),
        False,
    ),
    (
        "interval '-9223372036854.775808 seconds'",
        dt.timedelta(microseconds=-(2**63)),
        False,
    ),
    ("interval '2739726 years 9 days 23:59:59.999999'", dt.timedelta.max, True),
    ("interval '2739726 years 10 days'", OverflowError, True),
    ("interval '2147483647 days'", OverflowError, True),
    ("interval '-999999999 days'", dt.timedelta.min, True),
    ("interval '-999999999 days -0.000001 s'", OverflowError, True),
    ("timetz '00:00+05:30:59'", dt.time(0, tzinfo=east(19859)), False),
    ("timetz '00:00-15:59:59'", dt.time(0, tzinfo=east(-57599)), False),
    ("timetz '00:00+15:59:59'", dt.time(0, tzinfo=east(57599)), False),
    ("timetz '24:00+0'", ValueError, True),
    ("time '24:00'", ValueError, True),
    ("time '23:59:59.999999'", dt.time.max, True),
    ("date '5874897-12-31'", ValueError, True),
    ("date '10000-01-01'", ValueError, True),
    ("date '0001-12-31 BC'", ValueError, True),
    ("date '4714-11-24 BC'", ValueError, True),
    ("date 'infinity'", dt.date.max, True),
    ("date '-infinity'", dt.date.min, True),
    ("timestamp '294276-12-31 23:59:59.999999'", OverflowError, True),
    ("timestamp '10000-01-01'", OverflowError, True),
    ("timestamp '0001-12-31 23:59:59.999999 BC'", OverflowError, True),
    ("timestamp '4714-11-24 BC'", OverflowError, True),
    ("timestamp 'infinity'", _MAX, True),
    ("timestamptz '294276-12-31 23:59:59.999999+00'", OverflowError, True),
    ("timestamptz '0001-01-01 00:00+00:00:01'", OverflowError, True),
    ("timestamptz '-infinity'", _MIN, True),
    ("int8 '-9223372036854775808'", -(2**63), True),
    ("xid8 '18446744073709551615'", 2**64 - 1, True),
    ("oid '4294967295'", 2**32 - 1, True),
    ("tid '(4294967295,65535)'", (2**32 - 1, 65535), True),
    ("float4 '1e-45'", 1.401298464324817e-45, True),
    ("float8 '5e-324'", 5e-324, True),
]
"""A literal; its value, or the bare error of a value that Python lacks; is the built-in right?"""
