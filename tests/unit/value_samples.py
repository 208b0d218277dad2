"""Values of dates, times and numeric with what the wire says for them; used by several tests."""

from __future__ import annotations

import datetime as dt
import struct
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

UTC = dt.timezone.utc
EAST = dt.timezone(dt.timedelta(hours=5, minutes=30))
MICROSECONDS = 1_000_000
DAY = 86_400 * MICROSECONDS
LAST = 252455615999999999
FIRST = -63082281600000000


class Moment(dt.datetime):
    """A subclass, as pandas and pendulum have them."""


class Day(dt.date):
    """A subclass of date."""


class Clock(dt.time):
    """A subclass of time."""


class Span(dt.timedelta):
    """A subclass of timedelta."""


class Amount(Decimal):
    """A subclass whose text is not that of a number."""

    def __str__(self) -> str:
        return "an amount"


class Fields:
    """An object that has what it was given and nothing more."""

    def __init__(self, **fields: Any) -> None:
        vars(self).update(fields)

    def __repr__(self) -> str:
        # Part of test ids, in which every worker of pytest-xdist must agree: no addresses.
        return f"Fields({', '.join(vars(self))})"


def east(seconds: int) -> dt.timezone:
    """Return a time zone so many seconds east of Greenwich."""
    return dt.timezone(dt.timedelta(seconds=seconds))


def long(*numbers: int) -> bytes:
    """Return 64-bit numbers as the wire has them."""
    return struct.pack(f"!{len(numbers)}q", *numbers)


def short(number: int) -> bytes:
    """Return a 32-bit number as the wire has it."""
    return struct.pack("!i", number)


def interval(microseconds: int, days: int = 0, months: int = 0) -> bytes:
    """Return an interval as the wire has it."""
    return struct.pack("!qii", microseconds, days, months)


def numeric(weight: int, sign: int, scale: int, *groups: int) -> bytes:
    """Return a numeric as the wire has it."""
    return struct.pack(f"!HhHH{len(groups)}H", len(groups), weight, sign, scale, *groups)


def midnight(days: int) -> int:
    """Return the microseconds to the midnight so many days from 2000-01-01."""
    return days * DAY


BOTH_WAYS: list[tuple[str, Any, bytes]] = [
    ("date", dt.date(2000, 1, 1), short(0)),
    ("date", dt.date(1999, 12, 31), short(-1)),
    ("date", dt.date(2000, 2, 29), short(59)),
    ("date", dt.date(2000, 3, 1), short(60)),
    ("date", dt.date(1900, 2, 28), short(-36466)),
    ("date", dt.date(1900, 3, 1), short(-36465)),
    ("date", dt.date(1, 1, 2), short(-730118)),
    ("date", dt.date(9999, 12, 30), short(2921938)),
    ("date", dt.date.max, short(2**31 - 1)),
    ("date", dt.date.min, short(-(2**31))),
    ("timestamp", dt.datetime(2000, 1, 1), long(0)),
    ("timestamp", dt.datetime(1999, 12, 31, 23, 59, 59, 999999), long(-1)),
    ("timestamp", dt.datetime(2024, 2, 29, 12, 34, 56, 789012), long(762525296789012)),
    ("timestamp", dt.datetime(1, 1, 1, 0, 0, 0, 1), long(FIRST + 1)),
    ("timestamp", dt.datetime(9999, 12, 31, 23, 59, 59, 999998), long(LAST - 1)),
    ("timestamp", dt.datetime.max, long(2**63 - 1)),
    ("timestamp", dt.datetime.min, long(-(2**63))),
    ("timestamptz", dt.datetime(2000, 1, 1, tzinfo=UTC), long(0)),
    ("timestamptz", dt.datetime(1969, 12, 31, 23, 59, 59, 5, UTC), long(-946684801 * 10**6 + 5)),
    ("timestamptz", dt.datetime(1, 1, 1, 0, 0, 0, 1, UTC), long(FIRST + 1)),
    ("timestamptz", dt.datetime.max, long(2**63 - 1)),
    ("timestamptz", dt.datetime.min, long(-(2**63))),
    ("time", dt.time(0), long(0)),
    ("time", dt.time(12, 34, 56, 789012), long(45296789012)),
    ("time", dt.time.max, long(DAY - 1)),
    ("timetz", dt.time(0, tzinfo=UTC), long(0) + short(0)),
    ("timetz", dt.time(1, 2, 3, 4, EAST), long(3723000004) + short(-19800)),
    (
        "timetz",
        dt.time(23, 59, 59, 999999, dt.timezone(dt.timedelta(hours=-15, minutes=-59))),
        long(DAY - 1) + short(57540),
    ),
    ("interval", dt.timedelta(0), interval(0)),
    ("interval", dt.timedelta(3, 4, 5), interval(4000005, 3)),
    ("interval", dt.timedelta(microseconds=-1), interval(DAY - 1, -1)),
    ("interval", dt.timedelta.max, interval(DAY - 1, 999999999)),
    ("interval", dt.timedelta.min, interval(0, -999999999)),
    ("numeric", Decimal("NaN"), numeric(0, 0xC000, 0)),
    ("numeric", Decimal("Infinity"), numeric(0, 0xD000, 0)),
    ("numeric", Decimal("-Infinity"), numeric(0, 0xF000, 0)),
    ("numeric", Decimal("1"), numeric(0, 0, 0, 1)),
    ("numeric", Decimal("1.10"), numeric(0, 0, 2, 1, 1000)),
    ("numeric", Decimal("-12345.678"), numeric(1, 0x4000, 3, 1, 2345, 6780)),
    ("numeric", Decimal("0.0001"), numeric(-1, 0, 4, 1)),
    ("numeric", Decimal("0.0012"), numeric(-1, 0, 4, 12)),
    ("numeric", Decimal("0.1200"), numeric(-1, 0, 4, 1200)),
    ("numeric", Decimal("0.00001"), numeric(-2, 0, 5, 1000)),
    ("numeric", Decimal("1E-20"), numeric(-5, 0, 20, 1)),
    ("numeric", Decimal("1E+4"), numeric(1, 0, 0, 1)),
    ("numeric", Decimal("9999E+400"), numeric(100, 0, 0, 9999)),
    ("numeric", Decimal("1234567890123456789"), numeric(4, 0, 0, 123, 4567, 8901, 2345, 6789)),
]
"""Type, value, wire: each way round."""

DECODED: list[tuple[str, bytes, Any]] = [
    ("date", short(-730119), dt.date.min),
    ("date", short(2921939), dt.date.max),
    ("timestamp", long(FIRST), dt.datetime.min),
    ("timestamp", long(LAST), dt.datetime.max),
    ("timestamptz", long(LAST), dt.datetime.max.replace(tzinfo=UTC)),
    ("timestamptz", long(FIRST), dt.datetime.min.replace(tzinfo=UTC)),
    ("timetz", long(0) + short(-19859), dt.time(0, tzinfo=east(19859))),
    ("timetz", long(0) + short(59), dt.time(0, tzinfo=east(-59))),
    ("timetz", long(1) + short(19859), dt.time(0, 0, 0, 1, east(-19859))),
    ("timetz", long(0) + short(-57599), dt.time(0, tzinfo=east(57599))),
    ("timetz", long(0) + short(57599), dt.time(0, tzinfo=east(-57599))),
    ("interval", interval(-1), dt.timedelta(microseconds=-1)),
    ("interval", interval(-DAY - 1, 1), dt.timedelta(microseconds=-1)),
    ("interval", interval(5, 2, 1), dt.timedelta(32, 0, 5)),
    ("interval", interval(0, 0, 25), dt.timedelta(760)),
    ("interval", interval(0, 3, -25), dt.timedelta(-757)),
    ("interval", interval(-(2**63) + 1), dt.timedelta(microseconds=-(2**63) + 1)),
    ("interval", interval(2**63 - 1, 1), dt.timedelta(1, 0, 2**63 - 1)),
    ("interval", interval(-(2**63), 1), dt.timedelta(1, 0, -(2**63))),
    ("interval", interval(LAST), dt.timedelta(0, 0, LAST)),
    ("interval", interval(0, 0, 12 * 2739726), dt.timedelta(999999990)),
    ("interval", interval(DAY - 1, 9, 12 * 2739726), dt.timedelta.max),
    ("interval", interval(0, -9, -12 * 2739726), dt.timedelta.min),
    ("numeric", numeric(0, 0, 0), Decimal("0")),
    ("numeric", numeric(-1, 0, 0, 1), Decimal("0.0001")),
    ("numeric", numeric(0, 0, 2), Decimal("0.00")),
    ("numeric", numeric(0, 0, 16383), Decimal("0E-16383")),
    ("numeric", numeric(2, 0, 2, 100), Decimal("10000000000.00")),
    ("numeric", numeric(1, 0, 3, 10, 2, 5000), Decimal("100002.500")),
    ("numeric", numeric(0, 0, 6, 1, 1000), Decimal("1.100000")),
    ("numeric", numeric(-1, 0x4000, 1, 5000), Decimal("-0.5")),
    ("numeric", numeric(-3, 0, 12, 7), Decimal("7E-12")),
]
"""Type, wire, value: what only the server sends."""

NOT_IN_PYTHON: list[tuple[str, bytes, type[Exception]]] = [
    ("date", short(-730120), ValueError),
    ("date", short(2921940), ValueError),
    ("date", short(2145031948 - 730120), ValueError),
    ("timestamp", long(FIRST - 1), OverflowError),
    ("timestamp", long(LAST + 1), OverflowError),
    ("timestamp", long(9223371331200000000 - 1), OverflowError),
    ("timestamptz", long(FIRST - 1), OverflowError),
    ("timestamptz", long(LAST + 1), OverflowError),
    ("timestamptz", long(-211813488000000000), OverflowError),
    ("time", long(DAY), ValueError),
    ("timetz", long(DAY) + short(0), ValueError),
    ("interval", interval(0, 2**31 - 1), OverflowError),
    ("interval", interval(DAY, 999999999), OverflowError),
    ("interval", interval(0, 999999999, 1), OverflowError),
    ("interval", interval(0, 10, 12 * 2739726), OverflowError),
    ("interval", interval(-1, -9, -12 * 2739726), OverflowError),
    # Sums that come back into range where they wrap in 32 bits.
    ("interval", interval(0, 0, 12 * 178000000), OverflowError),
    ("interval", interval(0, 0, 2**31 - 1), OverflowError),
    ("interval", interval(0, 0, -(2**31)), OverflowError),
    # Infinity, from PostgreSQL 17 on.
    ("interval", interval(2**63 - 1, 2**31 - 1, 2**31 - 1), OverflowError),
    ("interval", interval(-(2**63), -(2**31), -(2**31)), OverflowError),
]
"""Type, wire, error: what the server has and Python has not."""

ENCODED: list[tuple[str, Any, bytes]] = [
    ("date", dt.datetime(2000, 1, 2, 23, 59), short(1)),
    ("date", Day(2000, 1, 3), short(2)),
    ("date", Moment(2000, 1, 4, 5), short(3)),
    ("date", dt.datetime.max, short(2**31 - 1)),
    ("date", Fields(toordinal=lambda: 730120 + 7), short(7)),
    ("date", Fields(toordinal=lambda: 2**31 - 1), short(2**31 - 730121)),
    ("date", Fields(toordinal=lambda: 730121 - 2**31), short(1 - 2**31)),
    ("timestamp", dt.date(2000, 1, 2), long(DAY)),
    ("timestamp", Day(2000, 1, 2), long(DAY)),
    ("timestamp", dt.date.max, long(midnight(2921939))),
    ("timestamp", dt.date.min, long(-(2**63))),
    ("timestamp", Moment(2000, 1, 1, 0, 0, 1), long(MICROSECONDS)),
    ("timestamp", Moment.max, long(2**63 - 1)),
    ("timestamp", dt.datetime(2000, 1, 1, 0, 0, 2, fold=1), long(2 * MICROSECONDS)),
    ("timestamptz", dt.datetime(2000, 1, 1, 5, 30, tzinfo=EAST), long(0)),
    ("timestamptz", Moment(2000, 1, 1, 5, 31, tzinfo=EAST), long(60 * MICROSECONDS)),
    ("timestamptz", Moment(2000, 1, 1, tzinfo=UTC), long(0)),
    ("timestamptz", dt.datetime.max.replace(tzinfo=UTC), long(2**63 - 1)),
    ("timestamptz", dt.datetime.min.replace(tzinfo=UTC), long(-(2**63))),
    ("timestamptz", dt.datetime.max.replace(tzinfo=EAST), long(LAST - 19800 * MICROSECONDS)),
    ("timestamptz", Moment.max, long(2**63 - 1)),
    (
        "timestamptz",
        dt.datetime(2024, 10, 27, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1),
        long(783307800 * MICROSECONDS),
    ),
    (
        "timestamptz",
        dt.datetime(2024, 10, 27, 2, 30, tzinfo=ZoneInfo("Europe/Berlin")),
        long(783304200 * MICROSECONDS),
    ),
    ("time", dt.datetime(2024, 1, 1, 1, 2, 3, 4), long(3723000004)),
    ("time", Clock(1, 2, 3, 4), long(3723000004)),
    ("time", dt.time(1, 2, 3, 4, EAST), long(3723000004)),
    ("time", Fields(hour=25, minute=-1, second=0, microsecond=True), long(89940000001)),
    ("timetz", Clock(1, 2, 3, 4, EAST), long(3723000004) + short(-19800)),
    ("timetz", dt.datetime(2024, 1, 1, 1, 2, 3, 4, EAST), long(3723000004) + short(-19800)),
    ("time", Fields(hour=24, minute=0, second=0, microsecond=0), long(DAY)),
    ("interval", Span(1, 2, 3), interval(2000003, 1)),
    ("interval", Fields(days=1, seconds=2**40, microseconds=0), interval(2**40 * 10**6, 1)),
    ("interval", Fields(days=2**31 - 1, seconds=0, microseconds=0), interval(0, 2**31 - 1)),
    (
        "interval",
        Fields(days=-(2**31), seconds=9223372036854, microseconds=775807),
        interval(2**63 - 1, -(2**31)),
    ),
    (
        "interval",
        Fields(days=0, seconds=-9223372036854, microseconds=-775808),
        interval(-(2**63)),
    ),
    ("numeric", 7, numeric(0, 0, 0, 7)),
    ("numeric", True, numeric(0, 0, 0, 1)),
    ("numeric", 0.5, numeric(-1, 0, 1, 5000)),
    ("numeric", "1.50", numeric(0, 0, 2, 1, 5000)),
    ("numeric", (1, (1, 2), -1), numeric(0, 0x4000, 1, 1, 2000)),
    ("numeric", Amount("-1.5"), numeric(0, 0x4000, 1, 1, 5000)),
    ("numeric", Amount("-Infinity"), numeric(0, 0xF000, 0)),
    ("numeric", Amount("sNaN"), numeric(0, 0xC000, 0)),
    ("numeric", Decimal("0"), numeric(0, 0, 0, 0)),
    ("numeric", Decimal("-0"), numeric(0, 0x4000, 0, 0)),
    ("numeric", Decimal("0.00"), numeric(-1, 0, 2, 0)),
    ("numeric", Decimal("0E+9"), numeric(2, 0, 0, 0)),
    ("numeric", Decimal("-sNaN123"), numeric(0, 0xC000, 0)),
    ("numeric", Decimal("10000"), numeric(1, 0, 0, 1, 0)),
    ("numeric", Decimal("1E+500"), numeric(125, 0, 0, 1)),
    ("numeric", Decimal("1E+131071"), numeric(32767, 0, 0, 1000)),
    ("numeric", Decimal("0E+200000"), numeric(50000 - 65536, 0, 0, 0)),
]
"""Type, value, wire: what only a program sends."""

ENCODED_BY_US: list[tuple[str, Any, bytes]] = [
    ("interval", Fields(days=0, seconds=252455615999, microseconds=999999), interval(LAST)),
    ("interval", Fields(days=0, seconds=-63082281600, microseconds=0), interval(FIRST)),
]
"""Type, value, wire: what asyncpg's codec takes for infinity."""

REFUSED: list[tuple[str, Any]] = [
    *((name, wrong) for name in ("date", "time", "timetz", "interval") for wrong in ("1", 1, b"")),
    *((name, wrong) for name in ("timestamp", "timestamptz") for wrong in ("now", 1, dt.time(1))),
    ("date", dt.time(1)),
    ("date", Fields(toordinal=lambda: "1")),
    ("date", Fields(toordinal=lambda: 2**64)),
    ("timestamp", dt.datetime(2000, 1, 1, tzinfo=UTC)),
    ("timestamp", Moment(2000, 1, 1, tzinfo=EAST)),
    ("timestamptz", dt.datetime.min.replace(tzinfo=EAST)),
    ("time", dt.date(2000, 1, 1)),
    ("time", Fields(hour=1.5, minute=0, second=0, microsecond=0)),
    ("time", Fields(hour=None, minute=0, second=0, microsecond=0)),
    ("timetz", dt.time(1)),
    ("timetz", dt.time(1, tzinfo=ZoneInfo("Europe/Berlin"))),
    ("interval", Fields(days=1, seconds=2.5, microseconds=0)),
    ("interval", dt.time(1)),
    ("numeric", "one"),
    ("numeric", b"1"),
    ("numeric", dt.date(2000, 1, 1)),
    ("numeric", Decimal("1E-16384")),
    ("numeric", Decimal("1E+262144")),
    ("numeric", Decimal("1E+999999999999")),
    ("numeric", Decimal((0, (1,) * 262144, 0))),
    ("numeric", Amount("1E-16384")),
]
"""Type, value: what no codec takes. The errors are asyncpg's, and its tests compare them."""

CHANGED_BY_ASYNCPG: list[tuple[str, Any]] = [
    ("date", Fields(toordinal=lambda: 2**32 + 730121)),
    ("date", Fields(toordinal=lambda: 2**31)),
    ("date", Fields(toordinal=lambda: 730120 - 2**31)),
    *(
        (
            kind,
            Fields(**{"hour": 0, "minute": 0, "second": 0, "microsecond": 0, "tzinfo": UTC, **odd}),
        )
        for kind in ("time", "timetz")
        for odd in ({"hour": 2**60}, {"microsecond": 2**32}, {"microsecond": 2**31})
    ),
    ("timetz", dt.time(1, tzinfo=dt.timezone(dt.timedelta(microseconds=1)))),
    ("interval", Fields(days=2**32 + 1, seconds=0, microseconds=0)),
    ("interval", Fields(days=-(2**31) - 1, seconds=0, microseconds=0)),
    ("interval", Fields(days=1, seconds=2**40 * 10**3, microseconds=0)),
    ("interval", Fields(days=0, seconds=0, microseconds=2**31)),
    ("interval", Fields(days=0, seconds=9223372036854, microseconds=775808)),
    ("interval", Fields(days=0, seconds=-9223372036854, microseconds=-775809)),
    ("numeric", Decimal("1E+131072")),
    ("numeric", Decimal("-1E+200000")),
    ("numeric", Amount("1E+262143")),
    ("numeric", (0, (1,), 131072)),
    ("numeric", "1E+196607"),
]
"""Type, value: what asyncpg's codec turns into another value, and ours refuses."""
