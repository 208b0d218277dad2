"""The values of the parity tests: for each type that the dialect maps, some to send and read back.

`test_values.py` sends each of them along every route a value can take.
"""

from __future__ import annotations

import datetime as dt
import enum
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.dialects.postgresql.ranges import MultiRange
from sqlalchemy.types import TypeDecorator, TypeEngine

DAY, DAY_2 = dt.date(2024, 2, 29), dt.date(1969, 12, 31)
MOMENT = dt.datetime(2024, 2, 29, 12, 34, 56, 789012)
ZONE = dt.timezone(dt.timedelta(hours=5, minutes=30))
# SQLAlchemy 2.0 leaves bit strings to the driver.
BITS: Any = str if hasattr(pg, "BitString") else asyncpg.BitString
KEY = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")


@dataclass(frozen=True)
class Case:
    """A type and values of it; `extension` is the one that the server needs for the type.

    `not_in_array`: how many values at the end cannot be read back as elements of an array;
    `without`: routes that only our dialect has for this type.
    """

    name: str
    type_: TypeEngine[Any]
    values: tuple[Any, ...]
    extension: str | None = None
    not_in_array: int = 0
    without: frozenset[str] = frozenset()


class Colour(enum.Enum):
    """Names and values differ, so that one taken for the other is seen."""

    RED = "r"
    BLUE = "it's blue"


class Reversed(TypeDecorator[str]):
    """Text that is stored backwards."""

    impl = sa.String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        return None if value is None else value[::-1]

    def process_result_value(self, value: str | None, dialect: Any) -> str | None:
        return None if value is None else f"<{value[::-1]}>"


class Cents(TypeDecorator[Decimal]):
    """Money as a number of cents."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Any) -> int | None:
        return None if value is None else int(value * 100)

    def process_result_value(self, value: int | None, dialect: Any) -> Decimal | None:
        return None if value is None else Decimal(value) / 100


NUMBERS = (
    Case("smallint", sa.SmallInteger(), (0, -(2**15), 2**15 - 1)),
    Case("integer", sa.Integer(), (0, -(2**31), 2**31 - 1, 7)),
    Case("bigint", sa.BigInteger(), (0, -(2**63), 2**63 - 1)),
    Case("float", sa.Float(), (0.0, -0.0, 1.1, 1e-300, float("inf"), float("-inf"), float("nan"))),
    Case("double", sa.Double(), (2.5, 5e-324, 1.7976931348623157e308)),
    Case("real", sa.REAL(), (2.5, 0.1, float("nan"), 3.4e38)),
    Case("float_asdecimal", sa.Float(asdecimal=True), (1.5, 0.1, 1234567.125)),
    Case("float_scale", sa.Float(asdecimal=True, decimal_return_scale=3), (1.5, 0.12345)),
    Case("numeric", sa.Numeric(), (Decimal("0"), Decimal("-1.50"), Decimal("NaN"), 3)),
    Case("numeric_scale", sa.Numeric(30, 10), (Decimal("12345678901234567890.0123456789"),)),
    Case("numeric_huge", sa.Numeric(), (Decimal("1E+500"), Decimal("1E-500"), Decimal("1.000"))),
    Case("numeric_infinite", sa.Numeric(), (Decimal("Infinity"), Decimal("-Infinity"))),
    Case("numeric_float", sa.Numeric(12, 4, asdecimal=False), (Decimal("1.2500"), 2, 0.5)),
    Case("oid", pg.OID(), (0, 23, 2**32 - 1)),
    Case("regclass", pg.REGCLASS(), ("pg_class", "pg_type")),
    Case("boolean", sa.Boolean(), (True, False)),
    Case("money", pg.MONEY(), ("$1,234.50", "-$0.01")),
    Case("cents", Cents(), (Decimal("12.34"), Decimal("-1"))),
)
TEXTS = (
    Case("text", sa.Text(), ("", "a", "it's", "ünï ☃ 𝄞", '100%s :x \\ "q"', "a\nb", "x" * 5000)),
    Case("string", sa.String(20), ("short", "ends in blanks   ")),
    Case("unicode", sa.Unicode(), ("ß", "\u200b")),
    Case("char", sa.CHAR(5), ("ab", "abcde", "")),
    Case("citext", pg.CITEXT(), ("Word", "WORD"), extension="citext"),
    # asyncpg 0.32 returns an array with a hole, and Python crashes on it, where an element whose
    # text is empty belongs to a type that it reads as text.
    Case(
        "hstore",
        pg.HSTORE(),
        ({"a": "1", "b": None}, {'q"': "=>,"}, {}),
        extension="hstore",
        not_in_array=1,
    ),
    Case("bytea", pg.BYTEA(), (b"", b"\x00\xff", bytes(range(256)))),
    Case("large_binary", sa.LargeBinary(), (b"it's", b"\\x00")),
    Case("enum_names", sa.Enum(Colour, name="colour"), (Colour.RED, Colour.BLUE)),
    Case(
        "enum_values",
        sa.Enum(Colour, name="colour_v", values_callable=lambda e: [item.value for item in e]),
        (Colour.RED, Colour.BLUE),
    ),
    Case("enum_strings", pg.ENUM("a", "b c", "it's", name="letters"), ("a", "b c", "it's")),
    Case("enum_text", sa.Enum(Colour, native_enum=False, length=20), (Colour.BLUE,)),
    Case("tsvector", pg.TSVECTOR(), ("'cat':3 'fat':2", "'a':1A")),
    Case("tsquery", pg.TSQUERY(), ("'fat' & 'cat'",)),
    Case("regconfig", pg.REGCONFIG(), ("english", "simple")),
    Case("xml", sa.String(), ("<a/>",)),
    Case("decorated", Reversed(), ("abc", "", "it's")),
    Case("domain", pg.DOMAIN("short_text", sa.String(3)), ("abc", "")),
    Case("bit", pg.BIT(4), (BITS("0101"), BITS("1111"))),
    Case("varbit", pg.BIT(varying=True), (BITS(""), BITS("0"), BITS("010101010"))),
)
TIMES = (
    Case("date", sa.Date(), (DAY, DAY_2, dt.date.min, dt.date.max)),
    Case("time", sa.Time(), (dt.time(0), dt.time(23, 59, 59, 999999))),
    Case(
        "timetz", sa.Time(timezone=True), (dt.time(1, 2, 3, tzinfo=ZONE), dt.time(4, tzinfo=ZONE))
    ),
    Case("timestamp", sa.DateTime(), (MOMENT, dt.datetime.min, dt.datetime.max)),
    Case(
        "timestamptz",
        sa.DateTime(timezone=True),
        (MOMENT.replace(tzinfo=ZONE), MOMENT.replace(tzinfo=dt.timezone.utc)),
    ),
    Case("timestamp_0", pg.TIMESTAMP(precision=0), (MOMENT,)),
    Case("time_0", pg.TIME(precision=0), (MOMENT.time(),)),
    Case(
        "interval",
        pg.INTERVAL(),
        (dt.timedelta(0), dt.timedelta(days=-3, microseconds=7), dt.timedelta(hours=50)),
    ),
    Case("interval_fields", pg.INTERVAL(fields="DAY TO SECOND"), (dt.timedelta(days=2, hours=1),)),
    Case("interval_generic", sa.Interval(), (dt.timedelta(days=400, seconds=1),)),
    Case("interval_precision", sa.Interval(second_precision=0), (dt.timedelta(seconds=1.6),)),
    Case("interval_epoch", sa.Interval(native=False), (dt.timedelta(days=1, seconds=1),)),
)
THINGS = (
    Case("uuid", sa.Uuid(), (KEY, UUID(int=0))),
    Case("uuid_text", sa.Uuid(as_uuid=False), (str(KEY), str(UUID(int=1)))),
    Case("pg_uuid", pg.UUID(), (KEY,)),
    Case("uuid_chars", sa.Uuid(native_uuid=False), (KEY,)),
    Case(
        "json",
        sa.JSON(),
        ({"a": [1, None, "é"]}, [], "text", 1.5, True, {"": {"b": {}}}),
        without=frozenset({"literal"}),
    ),
    Case(
        "jsonb",
        pg.JSONB(),
        ({"b": 1, "a": [2**70, "\u2028", "it's"]}, [[]], 0, False),
        without=frozenset({"literal"}),
    ),
    Case(
        "json_none_sql",
        pg.JSON(none_as_null=True),
        ({"a": None},),
        without=frozenset({"literal"}),
    ),
    Case("inet", pg.INET(), ("192.0.2.1", "2001:db8::/32", "10.0.0.1/8")),
    Case("cidr", pg.CIDR(), ("192.0.2.0/24", "::/0")),
    Case("macaddr", pg.MACADDR(), ("08:00:2b:01:02:03",)),
    Case("macaddr8", pg.MACADDR8(), ("08:00:2b:01:02:03:04:05",)),
)


def _range(lower: Any, upper: Any, **options: Any) -> pg.Range[Any]:
    return pg.Range(lower, upper, **options)


_RANGES: dict[str, tuple[Any, Any, Any]] = {
    "int4": (pg.INT4RANGE(), 1, 10),
    "int8": (pg.INT8RANGE(), -(2**62), 2**62),
    "num": (pg.NUMRANGE(), Decimal("1.5"), Decimal("2.50")),
    "date": (pg.DATERANGE(), DAY_2, DAY),
    "ts": (pg.TSRANGE(), dt.datetime(2001, 1, 1), MOMENT),
    "tstz": (pg.TSTZRANGE(), dt.datetime(2001, 1, 1, tzinfo=ZONE), MOMENT.replace(tzinfo=ZONE)),
}
RANGES = tuple(
    Case(
        f"{name}range",
        type_,
        (
            _range(low, high),
            *(_range(low, high, bounds=bounds) for bounds in ("[]", "()", "(]")),
            _range(None, high),
            _range(low, None, bounds="(]"),
            _range(None, None),
            _range(None, None, empty=True),
        ),
    )
    for name, (type_, low, high) in _RANGES.items()
)
MULTIRANGES = tuple(
    Case(
        f"{name}multirange",
        getattr(pg, f"{name.upper()}MULTIRANGE")(),
        (
            MultiRange([_range(low, high), _range(high, None, bounds="()")]),
            [_range(None, low)],
            MultiRange(),
        ),
    )
    for name, (_, low, high) in _RANGES.items()
)
CASES = (*NUMBERS, *TEXTS, *TIMES, *THINGS, *RANGES, *MULTIRANGES)
