"""Codecs of date, time, timetz, timestamp, timestamptz and interval: the Python form.

pgflight.session.codecs registers those named in `FASTER` or `SAFER`, through pgflight._impl. Each
encoder takes what asyncpg's own takes and returns the same bytes, each decoder takes the bytes of
one value and returns the same value; both raise the same errors. Where asyncpg's would make another
value of one, by numbers that wrap in 32 or 64 bits, an infinite interval read as 0 or the seconds
of an offset left out, these return the value itself or raise OverflowError or ValueError. Bytes of
a wrong type or size are a TypeError or ValueError. The compiled form is temporal_c.pyx.
"""

from __future__ import annotations

import datetime
import operator
import struct
from collections.abc import Callable
from typing import Any

_INT = struct.Struct("!i")
_LONG = struct.Struct("!q")
_TIMETZ = struct.Struct("!qi")
_INTERVAL = struct.Struct("!qii")

_EPOCH = datetime.datetime(2000, 1, 1)
_EPOCH_UTC = datetime.datetime(2000, 1, 1, tzinfo=datetime.timezone.utc)
_EPOCH_ORDINAL = 730120
# The first and the last moment of Python's calendar stand for infinity in both directions.
_LATEST, _LATEST_WIRE = datetime.datetime.max, 252455615999999999
_EARLIEST, _EARLIEST_WIRE = datetime.datetime.min, -63082281600000000
_INFINITY, _NEGATIVE_INFINITY = 2**63 - 1, -(2**63)
_DATE_INFINITY, _DATE_NEGATIVE_INFINITY = 2**31 - 1, -(2**31)
# From 2000-01-01, in both directions: more than the server has, and no overflow in microseconds.
_MOST_DAYS = 100000000


def _payload(data: object, size: int) -> bytes:
    if type(data) is not bytes:
        raise TypeError(f"a decoder takes bytes, not {type(data).__name__}")
    if len(data) != size:
        raise ValueError(f"a value of {size} bytes arrived as {len(data)}")
    return data


def _integer(value: Any) -> int:
    """Return an attribute of 32 bits; OverflowError beyond, in C's words beyond its `long`."""
    number = operator.index(value)
    if not -(2**31) <= number < 2**31:
        fits = -(2**63) <= number < 2**63
        text = "value out of int32 range" if fits else "Python int too large to convert to C long"
        raise OverflowError(text)
    return number


def _on_the_wire(microseconds: int) -> int:
    if microseconds == _LATEST_WIRE:
        return _INFINITY
    if microseconds == _EARLIEST_WIRE:
        return _NEGATIVE_INFINITY
    return microseconds


def _decode_date(data: bytes) -> datetime.date:
    """Return the date in 4 bytes; ValueError for a year that Python lacks."""
    days: int = _INT.unpack(_payload(data, 4))[0]
    if days == _DATE_INFINITY:
        return datetime.date.max
    if days == _DATE_NEGATIVE_INFINITY:
        return datetime.date.min
    return datetime.date.fromordinal(days + _EPOCH_ORDINAL)


def _encode_date(value: Any) -> bytes:
    """Return the 4 bytes of a date, or of whatever has `toordinal()`."""
    ordinal = _integer(value.toordinal())
    if ordinal == _LATEST.toordinal():
        return _INT.pack(_DATE_INFINITY)
    if ordinal == _EARLIEST.toordinal():
        return _INT.pack(_DATE_NEGATIVE_INFINITY)
    days = ordinal - _EPOCH_ORDINAL
    if days <= _DATE_NEGATIVE_INFINITY:
        raise OverflowError("value out of int32 range")
    return _INT.pack(days)


def _decode_moment(data: bytes, epoch: datetime.datetime) -> datetime.datetime:
    microseconds: int = _LONG.unpack(_payload(data, 8))[0]
    if microseconds == _INFINITY:
        return _LATEST
    if microseconds == _NEGATIVE_INFINITY:
        return _EARLIEST
    seconds, rest = divmod(microseconds, 1000000)
    return epoch + datetime.timedelta(0, seconds, rest)


def _decode_timestamp(data: bytes) -> datetime.datetime:
    """Return the naive datetime in 8 bytes; OverflowError for a year that Python lacks."""
    return _decode_moment(data, _EPOCH)


def _decode_timestamptz(data: bytes) -> datetime.datetime:
    """Return the datetime in UTC in 8 bytes, infinity naive; errors as for timestamp."""
    return _decode_moment(data, _EPOCH_UTC)


def _difference(delta: Any) -> int:
    days, seconds, rest = map(_integer, (delta.days, delta.seconds, delta.microseconds))
    if not -_MOST_DAYS <= days <= _MOST_DAYS:
        raise OverflowError("date value out of range")
    return (days * 86400 + seconds) * 1000000 + rest


def _moment(value: Any, zone: Callable[[], datetime.tzinfo | None]) -> datetime.datetime:
    """Return a datetime as it is and a date as its midnight; TypeError for anything else."""
    if isinstance(value, datetime.datetime):
        return value
    if isinstance(value, datetime.date):
        return datetime.datetime(value.year, value.month, value.day, tzinfo=zone())
    raise TypeError(
        f"expected a datetime.date or datetime.datetime instance, got {type(value).__name__!r}"
    )


def _no_zone() -> None:
    return None


def _local_zone() -> datetime.tzinfo:
    now = datetime.datetime.now(datetime.timezone.utc).astimezone()
    return datetime.timezone(now.utcoffset() or datetime.timedelta())


def _encode_timestamp(value: Any) -> bytes:
    """Return the 8 bytes of a naive datetime or of a date; TypeError for anything else."""
    return _LONG.pack(_on_the_wire(_difference(_moment(value, _no_zone) - _EPOCH)))


def _encode_timestamptz(value: Any) -> bytes:
    """Return the 8 bytes of a datetime or a date; without a time zone it is local time."""
    moment = _moment(value, _local_zone)
    if moment == _LATEST:
        return _LONG.pack(_INFINITY)
    if moment == _EARLIEST:
        return _LONG.pack(_NEGATIVE_INFINITY)
    delta = moment.astimezone(datetime.timezone.utc) - _EPOCH_UTC
    return _LONG.pack(_on_the_wire(_difference(delta)))


def _clock(microseconds: int) -> datetime.time:
    seconds, rest = divmod(microseconds, 1000000)
    return datetime.time(seconds // 3600, seconds // 60 % 60, seconds % 60, rest)


def _of_day(value: Any) -> int:
    minutes = _integer(value.hour) * 60 + _integer(value.minute)
    return (minutes * 60 + _integer(value.second)) * 1000000 + _integer(value.microsecond)


def _decode_time(data: bytes) -> datetime.time:
    """Return the time of day in 8 bytes; ValueError for 24:00, which Python lacks."""
    return _clock(_LONG.unpack(_payload(data, 8))[0])


def _encode_time(value: Any) -> bytes:
    """Return the 8 bytes of a time, or of whatever has its attributes."""
    return _LONG.pack(_of_day(value))


def _decode_timetz(data: bytes) -> datetime.time:
    """Return the time of day with its offset, which asyncpg's cuts to minutes, in 12 bytes."""
    if type(data) is not bytes or len(data) != 12:
        _payload(data, 12)  # raises; here only, since this decoder is used in earnest
    microseconds, west = _TIMETZ.unpack(data)
    if not 0 <= microseconds < 86400000000:
        _clock(microseconds).replace(tzinfo=None)  # raises, before an offset does
    seconds, rest = divmod(microseconds, 1000000)
    minutes = seconds // 60
    zone = datetime.timezone(datetime.timedelta(0, -west))
    return datetime.time(minutes // 60, minutes % 60, seconds % 60, rest, zone)


def _encode_timetz(value: Any) -> bytes:
    """Return the 12 bytes of a time whose tzinfo has a fixed offset in whole seconds."""
    offset = value.tzinfo.utcoffset(None)
    east = _integer(offset.days) * 86400 + _integer(offset.seconds)
    if not -(2**31) < east < 2**31:
        raise OverflowError("value out of int32 range")
    if getattr(offset, "microseconds", 0):
        raise ValueError("an offset from UTC must be in whole seconds")
    return _TIMETZ.pack(_of_day(value), -east)


def _decode_interval(data: bytes) -> datetime.timedelta:
    """Return the timedelta in 16 bytes; OverflowError for one that Python lacks.

    A month counts 30 days and twelve of them 365. Infinity is one that Python lacks.
    """
    if type(data) is not bytes or len(data) != 16:
        _payload(data, 16)  # raises; here only, since this decoder is used in earnest
    microseconds, days, months = _INTERVAL.unpack(data)
    if months < 0:
        days -= -months // 12 * 365 + -months % 12 * 30
    elif months:
        days += months // 12 * 365 + months % 12 * 30
    return datetime.timedelta(days, 0, microseconds)


def _encode_interval(value: Any) -> bytes:
    """Return the 16 bytes of a timedelta, or of whatever has its attributes."""
    days = _integer(value.days)
    seconds = operator.index(value.seconds)
    seconds.to_bytes(8, "big", signed=True)  # its OverflowError has the words of C's `long long`
    microseconds = seconds * 1000000 + _integer(value.microseconds)
    if not -(2**63) <= microseconds < 2**63:
        raise OverflowError("value out of int64 range")
    return _INTERVAL.pack(microseconds, days, 0)


CODECS: dict[str, tuple[Callable[[Any], bytes], Callable[[bytes], Any]]] = {
    "date": (_encode_date, _decode_date),
    "time": (_encode_time, _decode_time),
    "timetz": (_encode_timetz, _decode_timetz),
    "timestamp": (_encode_timestamp, _decode_timestamp),
    "timestamptz": (_encode_timestamptz, _decode_timestamptz),
    "interval": (_encode_interval, _decode_interval),
}
"""Type in pg_catalog -> encoder, decoder."""
FASTER: tuple[str, ...] = ()
"""The types for which this form is faster than asyncpg's own codec: none, interpreted."""
SAFER: tuple[str, ...] = ("timetz", "interval")
"""The types of which asyncpg's own codec reads some as another value."""
