"""Codecs of dates, times and numeric, on both forms."""

from __future__ import annotations

import datetime as dt
import decimal
import os
import struct
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.fixtures.impl import Impl
from tests.unit.value_samples import (
    BOTH_WAYS,
    CHANGED_BY_ASYNCPG,
    DAY,
    DECODED,
    ENCODED,
    ENCODED_BY_US,
    NOT_IN_PYTHON,
    REFUSED,
    UTC,
    Fields,
    long,
    numeric,
    short,
)

TYPES = ("date", "time", "timetz", "timestamp", "timestamptz", "interval", "numeric")
SIZES = {"date": 4, "time": 8, "timetz": 12, "timestamp": 8, "timestamptz": 8, "interval": 16}
Codec = tuple[Callable[[Any], bytes], Callable[[bytes], Any]]


def codec(impl: Impl, name: str) -> Codec:
    return (impl.numeric if name == "numeric" else impl.temporal).CODECS[name]


def exact(value: Any) -> Any:
    """Return what tells a value from one that is only equal."""
    if isinstance(value, Decimal):
        return type(value), value.as_tuple()
    zone = getattr(value, "tzinfo", None)
    return type(value), repr(value), zone is UTC, type(zone)


def ids(case: tuple[Any, ...]) -> str:
    return f"{case[0]} {case[1]!r}"[:60]


def test_every_type_has_a_codec_and_only_the_compiled_form_gains(impl: Impl) -> None:
    assert (*impl.temporal.CODECS, *impl.numeric.CODECS) == TYPES
    faster = (*impl.temporal.FASTER, *impl.numeric.FASTER)
    assert faster == {"compiled": TYPES, "python": ()}[impl.name]
    assert (*impl.temporal.SAFER, *impl.numeric.SAFER) == ("timetz", "interval")


@pytest.mark.parametrize(("name", "value", "wire"), BOTH_WAYS, ids=map(ids, BOTH_WAYS))
def test_both_ways(impl: Impl, name: str, value: Any, wire: bytes) -> None:
    encode, decode = codec(impl, name)
    assert encode(value) == wire
    assert type(encode(value)) is bytes
    assert exact(decode(wire)) == exact(value)


@pytest.mark.parametrize(("name", "wire", "value"), DECODED, ids=map(ids, DECODED))
def test_decoders(impl: Impl, name: str, wire: bytes, value: Any) -> None:
    assert exact(codec(impl, name)[1](wire)) == exact(value)


@pytest.mark.parametrize(("name", "wire", "error"), NOT_IN_PYTHON, ids=map(ids, NOT_IN_PYTHON))
def test_what_python_has_no_value_for(
    impl: Impl, name: str, wire: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error) as raised:
        codec(impl, name)[1](wire)
    assert type(raised.value) is error


@pytest.mark.parametrize(
    ("name", "value", "wire"),
    [*ENCODED, *ENCODED_BY_US],
    ids=map(ids, [*ENCODED, *ENCODED_BY_US]),
)
def test_encoders(impl: Impl, name: str, value: Any, wire: bytes) -> None:
    assert codec(impl, name)[0](value) == wire


@pytest.mark.parametrize(("name", "wrong"), REFUSED, ids=map(ids, REFUSED))
def test_what_no_encoder_takes(impl: Impl, name: str, wrong: Any) -> None:
    with pytest.raises((TypeError, ValueError, AttributeError, ArithmeticError)):
        codec(impl, name)[0](wrong)


@pytest.mark.parametrize(("name", "value"), CHANGED_BY_ASYNCPG, ids=map(ids, CHANGED_BY_ASYNCPG))
def test_never_another_value(impl: Impl, name: str, value: Any) -> None:
    with pytest.raises((ValueError, OverflowError)):
        codec(impl, name)[0](value)


def test_every_day_and_its_second(impl: Impl) -> None:
    encode_date, decode_date = codec(impl, "date")
    encode, decode = codec(impl, "timestamp")
    day = dt.date(1896, 1, 1)
    while day.year < 2105:
        wire = encode_date(day)
        days = struct.unpack("!i", wire)[0]
        assert days == day.toordinal() - 730120
        assert decode_date(wire) == day
        moment = dt.datetime(day.year, day.month, day.day, 23, 59, 59, day.year)
        assert encode(moment) == long((days + 1) * DAY - 1000000 + day.year)
        assert decode(encode(moment)) == moment
        day += dt.timedelta(1)


@pytest.mark.parametrize("year", [*range(1, 10), 100, 101, 399, 400, 401, 4000, 9998, 9999])
def test_ends_of_years(impl: Impl, year: int) -> None:
    encode, decode = codec(impl, "timestamptz")
    for month, day in ((1, 1), (2, 28), (3, 1), (12, 31)):
        for clock in (dt.time(0, 0, 0, 1), dt.time(23, 59, 59, 999998)):
            moment = dt.datetime.combine(dt.date(year, month, day), clock, UTC)
            expected = (moment - dt.datetime(2000, 1, 1, tzinfo=UTC)) // dt.timedelta(0, 0, 1)
            assert encode(moment) == long(expected)
            assert decode(long(expected)) == moment


@pytest.fixture(params=["UTC0", "EST5EDT,M3.2.0,M11.1.0", "<+0545>-5:45"])
def zone(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = request.param
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.usefixtures("zone")
def test_local_time(impl: Impl) -> None:
    encode = codec(impl, "timestamptz")[0]
    for moment in (dt.datetime(2024, 1, 15, 12), dt.datetime(2024, 7, 15, 12, 0, 0, 1)):
        assert encode(moment) == encode(moment.astimezone()) == encode(moment.astimezone(UTC))
    # A date takes the offset that is in force now, whatever it was on that day.
    offset = dt.datetime.now(UTC).astimezone().utcoffset()
    assert offset is not None
    assert encode(dt.date(2000, 1, 1)) == long(-(offset // dt.timedelta(0, 0, 1)))


def test_a_zone_without_an_offset_is_local_time(impl: Impl) -> None:
    class Nowhere(dt.tzinfo):
        def utcoffset(self, moment: dt.datetime | None) -> None:
            return None

        dst = tzname = utcoffset

    encode = codec(impl, "timestamptz")[0]
    moment = dt.datetime(2024, 1, 15, 12, tzinfo=Nowhere())
    assert encode(moment) == encode(moment.replace(tzinfo=None))
    assert encode(dt.datetime.max.replace(tzinfo=Nowhere())) == long(2**63 - 1)
    naive = codec(impl, "timestamp")[0]
    assert naive(moment) == naive(moment.replace(tzinfo=None))


@pytest.mark.parametrize("precision", [1, 28])
def test_the_decimal_context_does_not_matter(impl: Impl, precision: int) -> None:
    encode, decode = codec(impl, "numeric")
    context = decimal.Context(
        prec=precision,
        Emin=-3,
        Emax=3,
        capitals=0,
        clamp=1,
        traps=[decimal.Inexact, decimal.Rounded],
    )
    with decimal.localcontext(context):
        for text in ("12345678901234567890.1234567890", "1E+400", "0E-300", "-0.00012"):
            value = Decimal(text)
            assert decode(encode(value)).as_tuple() == value.as_tuple()
        assert not any(decimal.getcontext().flags.values())


@pytest.mark.parametrize("digits", [1, 2, 3, 4, 5, 95, 96, 97, 4301, 131072])
def test_many_digits(impl: Impl, digits: int) -> None:
    encode, decode = codec(impl, "numeric")
    for sign in ("", "-"):
        for scale in sorted({0, 1, 4, 5, min(digits, 16383)}):
            value = Decimal(sign + "9" * digits + f"E-{scale}")
            assert decode(encode(value)).as_tuple() == value.as_tuple()


@pytest.mark.parametrize("wrong", [None, "1234", bytearray(8), memoryview(bytes(8)), 5])
@pytest.mark.parametrize("name", TYPES)
def test_decoders_take_bytes_only(impl: Impl, name: str, wrong: Any) -> None:
    with pytest.raises(TypeError, match=f"takes bytes, not {type(wrong).__name__}"):
        codec(impl, name)[1](wrong)


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("more", [-4, -1, 1, 100])
def test_values_of_a_wrong_size(impl: Impl, name: str, more: int) -> None:
    size = SIZES[name]
    with pytest.raises(ValueError, match=rf"{size} bytes arrived as {size + more}"):
        codec(impl, name)[1](bytes(size + more))


BROKEN = [
    b"",
    numeric(0, 0, 0)[:7],
    numeric(0, 0, 0) + b"\0",
    numeric(0, 0, 0, 1)[:-1],
    b"\xff\xff" + numeric(0, 0, 0, 1)[2:],
    numeric(-3, 0, 1, 1),
    numeric(-32768, 0, 65535, 1),
]


@pytest.mark.parametrize("wire", BROKEN, ids=repr)
def test_bytes_that_are_no_numeric(impl: Impl, wire: bytes) -> None:
    with pytest.raises(ValueError, match="a numeric"):
        codec(impl, "numeric")[1](wire)


def test_a_date_of_another_calendar(impl: Impl) -> None:
    """The short way is for exact types: a subclass may count differently."""

    class Shifted(dt.date):
        def toordinal(self) -> int:
            return super().toordinal() + 1

    assert codec(impl, "date")[0](Shifted(2000, 1, 1)) == short(1)


@pytest.mark.parametrize("exponent", [2**63 - 1, -(2**63), -(2**63) + 1, 262_145, -0x4000])
@pytest.mark.parametrize("digits", [(), (1,), (1, 2, 3)])
def test_an_exponent_beyond_every_decimal_is_refused(
    impl: Impl, exponent: int, digits: tuple[int, ...]
) -> None:
    class Lying(Decimal):
        def as_tuple(self) -> Any:
            return decimal.DecimalTuple(0, digits, exponent)

    with pytest.raises(ValueError, match="too large" if exponent > 0 else "too small"):
        impl.numeric.CODECS["numeric"][0](Lying(1))


def test_digits_that_are_none_do_not_leave_their_room(impl: Impl) -> None:
    class Lying(Decimal):
        def as_tuple(self) -> Any:
            return decimal.DecimalTuple(0, (255,) * 300, 0)

    try:
        impl.numeric.CODECS["numeric"][0](Lying(1))
    except Exception as error:
        assert isinstance(error, (ValueError, struct.error))


def test_a_time_class_of_the_program(impl: Impl, monkeypatch: pytest.MonkeyPatch) -> None:
    class Any24:
        def __init__(self, hour: int, *others: Any) -> None:
            assert hour == 24

    monkeypatch.setattr(dt, "time", Any24)
    with pytest.raises((TypeError, AttributeError)):
        impl.temporal.CODECS["timetz"][1](struct.pack("!qi", DAY, 0))


@pytest.mark.parametrize("name", ["time", "timetz"])
@pytest.mark.parametrize("hour", [2**60, 2**62, -(2**62), 2**63 - 1, -(2**63), 2**31, -(2**31) - 1])
def test_hours_that_would_wrap_are_refused(impl: Impl, name: str, hour: int) -> None:
    class Odd:
        minute = second = hour
        microsecond = 7
        tzinfo = UTC

    Odd.hour = hour  # type: ignore[attr-defined]
    with pytest.raises(OverflowError):
        codec(impl, name)[0](Odd())


@pytest.mark.parametrize("name", ["timestamp", "timestamptz"])
@pytest.mark.parametrize("days", [2**31, -(2**31) - 1, 213503982334, 100000001, -100000001])
def test_a_difference_that_would_wrap_is_refused(impl: Impl, name: str, days: int) -> None:
    class Far(dt.datetime):
        def __sub__(self, other: Any) -> Any:
            return Fields(days=days, seconds=0, microseconds=0)

        def astimezone(self, tz: Any = None) -> Far:
            return self

    with pytest.raises(OverflowError):
        codec(impl, name)[0](Far(2024, 1, 1, tzinfo=UTC if name == "timestamptz" else None))
