"""Codecs of dates, times, numeric and UUIDs: both forms return the same and fail the same."""

from __future__ import annotations

import datetime as dt
import struct
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.differential.outcome import outcome
from tests.fixtures.impl import load
from tests.unit.value_samples import Amount, Fields, Moment, Span

compiled = load("compiled")
python = load("python")
SOME = settings(max_examples=600, deadline=None)
FEWER = settings(max_examples=300, deadline=None)

ZONES: Any = st.one_of(
    st.none(),
    st.just(dt.timezone.utc),
    st.timedeltas(dt.timedelta(hours=-24, microseconds=1), dt.timedelta(hours=23)).map(dt.timezone),
    st.sampled_from(["Europe/Berlin", "UTC", "Asia/Kathmandu"]).map(ZoneInfo),
)
# Local time of the first and the last days would ask the C library for years it may not have.
MOMENTS = st.one_of(
    st.datetimes(timezones=ZONES),
    st.builds(
        lambda m, fold: m.replace(fold=fold),
        st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1), timezones=ZONES),
        st.integers(0, 1),
    ),
    st.sampled_from([dt.datetime.min, dt.datetime.max]).flatmap(
        lambda m: ZONES.map(lambda zone: m.replace(tzinfo=zone))
    ),
    st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31)).map(
        lambda m: Moment(*m.timetuple()[:6], m.microsecond)
    ),
)
NUMBERS = st.one_of(st.integers(-100, 100), st.integers(-(2**66), 2**66), st.floats(), st.none())
OBJECTS = st.one_of(
    st.builds(Fields, hour=NUMBERS, minute=NUMBERS, second=NUMBERS, microsecond=NUMBERS),
    st.builds(Fields, days=NUMBERS, seconds=NUMBERS, microseconds=NUMBERS),
    st.builds(lambda n: Fields(toordinal=lambda: n), NUMBERS),
    st.none(),
    st.integers(),
    st.text(max_size=3),
)
VALUES = st.one_of(
    MOMENTS,
    st.dates(),
    st.times(timezones=ZONES),
    st.timedeltas(),
    st.timedeltas().map(lambda d: Span(d.days, d.seconds, d.microseconds)),
    OBJECTS,
)
WIRES = {"date": 4, "time": 8, "timetz": 12, "timestamp": 8, "timestamptz": 8, "interval": 16}
BORDERS = [0, -1, 1, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63), 86400000000, 86399999999]
BORDERS += [252455615999999999 + n for n in (0, 1)] + [-63082281600000000 - n for n in (0, 1)]


def wires(size: int) -> st.SearchStrategy[bytes]:
    """Return values of a fixed size, most of them near the borders of the calendar."""
    long = st.one_of(
        st.sampled_from(BORDERS),
        st.integers(-63082281600000000 - 10, 252455615999999999 + 10),
        st.integers(0, 86400000000),
        st.integers(-(2**63), 2**63 - 1),
    )
    short = st.one_of(st.integers(-800000, 3000000), st.integers(-(2**31), 2**31 - 1))
    if size == 4:
        return st.builds(struct.Struct("!i").pack, short)
    shorts = (size - 8) // 4
    return st.builds(struct.Struct(f"!q{shorts}i").pack, long, *[short] * shorts)


def told(call: Any, value: Any) -> tuple[Any, ...]:
    """Return what a call does, the parts of a Decimal and the kind of time zone included."""
    what, *rest = outcome(call, value, messages=True)
    if what == "value":
        kind, result = rest[0]
        zone = getattr(result, "tzinfo", None)
        parts = result.as_tuple() if isinstance(result, Decimal) else None
        return kind, repr(result), type(zone), zone is dt.timezone.utc, parts
    return (what, *rest)


@pytest.mark.parametrize("name", WIRES)
def test_decoders(name: str) -> None:
    ours, theirs = compiled.temporal.CODECS[name][1], python.temporal.CODECS[name][1]

    @SOME
    @given(st.one_of(wires(WIRES[name]), st.binary(max_size=17)))
    def same(wire: bytes) -> None:
        assert told(ours, wire) == told(theirs, wire)

    same()


@pytest.mark.parametrize("name", WIRES)
def test_encoders(name: str) -> None:
    ours, theirs = compiled.temporal.CODECS[name][0], python.temporal.CODECS[name][0]

    @SOME
    @given(VALUES)
    def same(value: Any) -> None:
        assert told(ours, value) == told(theirs, value)

    same()


LONGS = st.one_of(st.sampled_from(BORDERS), st.integers(-(2**63), 2**63 - 1))
INTS = st.one_of(
    st.sampled_from([n + d for n in (0, 12 * 2739726, -12 * 2739726) for d in range(-2, 3)]),
    st.sampled_from([2**31 - 1, -(2**31), 999999999, -999999999, 1000000000]),
    st.integers(-(2**31), 2**31 - 1),
)


@SOME
@given(LONGS, INTS, INTS)
def test_an_interval_is_its_exact_sum_or_none(microseconds: int, days: int, months: int) -> None:
    years, rest = divmod(abs(months), 12)
    total = days + (years * 365 + rest * 30) * (1 if months > 0 else -1)
    expected = outcome(lambda: dt.timedelta(total, 0, microseconds))
    wire = struct.pack("!qii", microseconds, days, months)
    for form in (compiled, python):
        assert outcome(form.temporal.CODECS["interval"][1], wire) == expected


WIDE = st.one_of(
    st.sampled_from([b + d for b in (0, 2**31, -(2**31), 2**32, 2**63, 2**64) for d in (-1, 0, 1)]),
    st.integers(-(2**66), 2**66),
    st.integers(-100, 100),
    st.just(9223372036854),
)


@SOME
@given(WIDE, WIDE, WIDE)
def test_what_imitates_a_timedelta_is_exact_or_refused(days: int, seconds: int, rest: int) -> None:
    value = Fields(days=days, seconds=seconds, microseconds=rest)
    for form in (compiled, python):
        found = outcome(form.temporal.CODECS["interval"][0], value)
        if found[0] == "value":
            microseconds, sent, months = struct.unpack("!qii", found[1][1])
            assert (microseconds, sent, months) == (seconds * 1000000 + rest, days, 0)
        else:
            assert found[1] is OverflowError


@SOME
@given(WIDE, WIDE, WIDE, WIDE)
def test_what_imitates_a_time_is_exact_or_refused(h: int, m: int, s: int, rest: int) -> None:
    value = Fields(hour=h, minute=m, second=s, microsecond=rest)
    for form in (compiled, python):
        found = outcome(form.temporal.CODECS["time"][0], value)
        if found[0] == "value":
            sent = struct.unpack("!q", found[1][1])[0]
            assert sent == ((h * 60 + m) * 60 + s) * 1000000 + rest
        else:
            assert found[1] is OverflowError


@SOME
@given(st.timedeltas(dt.timedelta(hours=-24, microseconds=1), dt.timedelta(hours=23, minutes=59)))
def test_an_offset_comes_back_or_is_refused(offset: dt.timedelta) -> None:
    value = dt.time(1, 2, 3, 4, dt.timezone(offset))
    for form in (compiled, python):
        encode, decode = form.temporal.CODECS["timetz"]
        found = outcome(encode, value)
        if offset.microseconds:
            assert found[:2] == ("error", ValueError)
        else:
            assert decode(found[1][1]).utcoffset() == offset


DECIMALS = st.one_of(
    st.decimals(),
    st.builds(
        lambda sign, digits, exponent: Decimal((sign, digits, exponent)),
        st.integers(0, 1),
        st.lists(st.integers(0, 9), max_size=120),
        st.one_of(st.integers(-60, 60), st.integers(-17000, 270000)),
    ),
    st.decimals(allow_nan=True).map(Amount),
)


@SOME
@given(st.one_of(DECIMALS, st.floats(), st.integers(), st.text("0123456789.eE-+_ ", max_size=9)))
@example(Decimal((0, (1,) * 5000, -2500)))
@example(Decimal((1, (9,) * 96, -4)))
def test_numeric_encoder(value: Any) -> None:
    ours, theirs = compiled.numeric.CODECS["numeric"], python.numeric.CODECS["numeric"]
    sent = told(ours[0], value)
    assert sent == told(theirs[0], value)
    if sent[0] is bytes:
        wire = ours[0](value)
        assert told(ours[1], wire) == told(theirs[1], wire)


@SOME
@given(
    st.integers(-40, 40),
    st.sampled_from([0, 0x4000, 0xC000, 0xD000, 0xF000, 7]),
    st.one_of(st.integers(0, 60), st.integers(0, 65535)),
    st.lists(st.one_of(st.integers(0, 9999), st.sampled_from([0, 1, 10, 9999])), max_size=30),
    st.sampled_from([0, 0, 0, -1, 1]),
)
def test_numeric_decoder(weight: int, sign: int, scale: int, groups: list[int], off: int) -> None:
    wire = struct.pack(f"!HhHH{len(groups)}H", len(groups), weight, sign, scale, *groups)
    wire = wire[:off] if off < 0 else wire + bytes(off)
    ours, theirs = compiled.numeric.CODECS["numeric"], python.numeric.CODECS["numeric"]
    assert told(ours[1], wire) == told(theirs[1], wire)


@FEWER
@given(st.one_of(st.uuids(), st.none(), st.text(max_size=5), st.integers()))
def test_uuid_text(value: Any) -> None:
    expected = outcome(lambda: None if value is None else str(value))
    assert outcome(compiled.uuids.uuid_text, value) == expected
    assert outcome(python.uuids.uuid_text, value) == expected
