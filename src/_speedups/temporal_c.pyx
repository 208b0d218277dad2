"""Codecs of date, time, timetz, timestamp, timestamptz and interval: the compiled form.

It has a source of its own, not temporal.py's, because nearly every line is integer arithmetic on
the wire's bytes and a call of datetime's C interface, of which interpreted Python has neither.

Each decoder has a fast path for almost every value, and leaves the rest (infinity, years that
Python lacks, 24:00) to the same Python calls that asyncpg's codec makes, so that errors are the
same by construction. Each encoder has a fast path for the exact types of :mod:`datetime`, and
treats all other objects as asyncpg does: the same attributes in the same order. What asyncpg would
make another value of is that value or an error here; temporal.py says which.
"""

import datetime

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.datetime cimport (
    PyDate_Check,
    PyDate_CheckExact,
    PyDateTime_Check,
    PyDateTime_CheckExact,
    PyDelta_CheckExact,
    PyTime_Check,
    PyTime_CheckExact,
    PyDateTimeAPI,
    date_day,
    date_month,
    date_new,
    date_year,
    datetime_day,
    datetime_hour,
    datetime_microsecond,
    datetime_minute,
    datetime_month,
    datetime_new,
    datetime_second,
    datetime_tzinfo,
    datetime_year,
    get_utc,
    import_datetime,
    time_hour,
    time_microsecond,
    time_minute,
    time_new,
    time_second,
    timedelta_days,
    timedelta_microseconds,
    timedelta_new,
    timedelta_seconds,
    timezone_new,
)
from cpython.long cimport PyLong_AsLong, PyLong_AsLongLong
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

import_datetime()
if PyDateTimeAPI is NULL:
    raise ImportError("datetime's C interface is missing")

cdef object utc = get_utc()
cdef object epoch = datetime.datetime(2000, 1, 1)
cdef object epoch_utc = datetime.datetime(2000, 1, 1, tzinfo=utc)
cdef object latest = datetime.datetime.max
cdef object earliest = datetime.datetime.min
cdef object latest_date = datetime.date.max
cdef object earliest_date = datetime.date.min
cdef object date_from_ordinal = datetime.date.fromordinal

# The wire counts from 2000-01-01, ordinal 730120; the arithmetic here counts days from 0000-03-01,
# so that the leap day is the last one of a year. LL keeps Cython from making Python integers.
cdef int64_t EPOCH_ORDINAL = 730120LL
cdef int64_t EPOCH_DAY = 730425LL
cdef int64_t FIRST_DAY = 306LL
cdef int64_t LAST_DAY = 3652364LL
cdef int64_t MICROSECONDS_A_DAY = 86400000000LL
cdef int64_t EARLIEST = -63082281600000000LL
cdef int64_t LATEST = 252455615999999999LL
# From 2000-01-01, in both directions: more than the server has, and no overflow in microseconds.
cdef int64_t MOST_DAYS = 100000000LL
cdef int64_t MOST_SECONDS = 9223372036854LL
cdef int64_t INFINITY_64 = 0x7fffffffffffffffLL
cdef int64_t NEGATIVE_INFINITY_64 = <int64_t>0x8000000000000000ULL
cdef int64_t INFINITY_32 = 0x7fffffffLL
cdef int64_t NEGATIVE_INFINITY_32 = -0x80000000LL


# the wire

cdef const unsigned char *_payload(object data, Py_ssize_t size) except NULL:
    """Return the bytes of `data`; TypeError or ValueError unless it is `size` bytes."""
    if type(data) is not bytes:
        raise TypeError(f"a decoder takes bytes, not {type(data).__name__}")
    if PyBytes_GET_SIZE(data) != size:
        raise ValueError(f"a value of {size} bytes arrived as {PyBytes_GET_SIZE(data)}")
    return <const unsigned char *>PyBytes_AS_STRING(data)


cdef inline int32_t _read_32(const unsigned char *at) noexcept:
    return <int32_t>(
        <uint32_t>at[0] << 24 | <uint32_t>at[1] << 16 | <uint32_t>at[2] << 8 | <uint32_t>at[3]
    )


cdef inline int64_t _read_64(const unsigned char *at) noexcept:
    return <int64_t>(<uint64_t><uint32_t>_read_32(at) << 32 | <uint32_t>_read_32(at + 4))


cdef inline void _write_32(unsigned char *at, int32_t value) noexcept:
    cdef uint32_t bits = <uint32_t>value
    at[0] = <unsigned char>(bits >> 24)
    at[1] = <unsigned char>(bits >> 16 & 0xff)
    at[2] = <unsigned char>(bits >> 8 & 0xff)
    at[3] = <unsigned char>(bits & 0xff)


cdef inline void _write_64(unsigned char *at, int64_t value) noexcept:
    _write_32(at, <int32_t><uint32_t>(<uint64_t>value >> 32))
    _write_32(at + 4, <int32_t><uint32_t>(<uint64_t>value & 0xffffffffULL))


cdef inline void _write_time(unsigned char *at, int64_t microseconds) noexcept:
    """Write a moment; the first and the last of a Python datetime stand for infinity."""
    if microseconds == LATEST:
        microseconds = INFINITY_64
    elif microseconds == EARLIEST:
        microseconds = NEGATIVE_INFINITY_64
    _write_64(at, microseconds)


cdef int64_t _integer(object value) except? -1:
    """Return an attribute of 32 bits; OverflowError beyond."""
    cdef int64_t number = PyLong_AsLong(value)
    if not NEGATIVE_INFINITY_32 <= number <= INFINITY_32:
        raise OverflowError("value out of int32 range")
    return number


# the calendar

cdef inline void _civil(uint32_t day, int *year, int *month, int *day_of_month) noexcept:
    """Split days since 0000-03-01, FIRST_DAY to LAST_DAY, into the fields of a date."""
    cdef uint32_t cycle = day // 146097
    cdef uint32_t of_cycle = day % 146097
    cdef uint32_t y = (of_cycle - of_cycle // 1460 + of_cycle // 36524 - of_cycle // 146096) // 365
    cdef uint32_t of_year = of_cycle - (365 * y + y // 4 - y // 100)
    cdef uint32_t m = (5 * of_year + 2) // 153
    day_of_month[0] = <int>(of_year - (153 * m + 2) // 5 + 1)
    if m < 10:
        month[0] = <int>(m + 3)
        year[0] = <int>(y + 400 * cycle)
    else:
        month[0] = <int>(m - 9)
        year[0] = <int>(y + 400 * cycle + 1)


cdef inline int64_t _days(int year, int month, int day_of_month) noexcept:
    """Return the days from 2000-01-01 to a date of Python's calendar."""
    cdef uint32_t m = <uint32_t>(month - 3 if month > 2 else month + 9)
    cdef uint32_t y = <uint32_t>(year if month > 2 else year - 1)
    cdef uint32_t before = 365 * y + y // 4 - y // 100 + y // 400 + (153 * m + 2) // 5
    return <int64_t>before + day_of_month - 1 - EPOCH_DAY


cdef object _moment(int64_t microseconds, object tz):
    """Return the datetime so many microseconds, EARLIEST to LATEST, from 2000-01-01."""
    cdef uint64_t since = <uint64_t>(microseconds - EARLIEST)
    cdef uint64_t day = since // <uint64_t>MICROSECONDS_A_DAY
    cdef uint64_t of_day = since % <uint64_t>MICROSECONDS_A_DAY
    cdef uint32_t seconds = <uint32_t>(of_day // 1000000)
    cdef int year = 0
    cdef int month = 0
    cdef int day_of_month = 0
    _civil(<uint32_t>(day + <uint64_t>FIRST_DAY), &year, &month, &day_of_month)
    return datetime_new(
        year,
        month,
        day_of_month,
        <int>(seconds // 3600),
        <int>(seconds // 60 % 60),
        <int>(seconds % 60),
        <int>(of_day % 1000000),
        tz,
    )


cdef inline int64_t _since_epoch(object moment) noexcept:
    """Return the microseconds from 2000-01-01 to the fields of an exact datetime."""
    return _days(
        datetime_year(moment), datetime_month(moment), datetime_day(moment)
    ) * MICROSECONDS_A_DAY + (
        <int64_t>datetime_hour(moment) * 3600
        + <int64_t>datetime_minute(moment) * 60
        + <int64_t>datetime_second(moment)
    ) * 1000000 + <int64_t>datetime_microsecond(moment)


# date

def _decode_date(data):
    """Return the date in 4 bytes; ValueError for a year that Python lacks."""
    cdef int64_t days = _read_32(_payload(data, 4))
    cdef int64_t day = days + EPOCH_DAY
    cdef int year = 0
    cdef int month = 0
    cdef int day_of_month = 0
    if FIRST_DAY <= day <= LAST_DAY:
        _civil(<uint32_t>day, &year, &month, &day_of_month)
        return date_new(year, month, day_of_month)
    if days == INFINITY_32:
        return latest_date
    if days == NEGATIVE_INFINITY_32:
        return earliest_date
    return date_from_ordinal(days + EPOCH_ORDINAL)


def _encode_date(value):
    """Return the 4 bytes of a date, or of whatever has `toordinal()`."""
    cdef int64_t days
    cdef unsigned char wire[4]
    if PyDate_CheckExact(value) or PyDateTime_CheckExact(value):
        days = _days(date_year(value), date_month(value), date_day(value))
    else:
        days = _integer(value.toordinal()) - EPOCH_ORDINAL
        if days <= NEGATIVE_INFINITY_32:
            raise OverflowError("value out of int32 range")
    if days == LAST_DAY - EPOCH_DAY:
        days = INFINITY_32
    elif days == FIRST_DAY - EPOCH_DAY:
        days = NEGATIVE_INFINITY_32
    _write_32(wire, <int32_t><uint32_t><uint64_t>days)
    return PyBytes_FromStringAndSize(<char *>wire, 4)


# timestamp, timestamptz

cdef object _decode_moment(object data, object tz, object start):
    cdef int64_t microseconds = _read_64(_payload(data, 8))
    if EARLIEST <= microseconds <= LATEST:
        return _moment(microseconds, tz)
    if microseconds == INFINITY_64:
        return latest
    if microseconds == NEGATIVE_INFINITY_64:
        return earliest
    return start + datetime.timedelta(0, microseconds // 1000000, microseconds % 1000000)


def _decode_timestamp(data):
    """Return the naive datetime in 8 bytes; OverflowError for a year that Python lacks."""
    return _decode_moment(data, None, epoch)


def _decode_timestamptz(data):
    """Return the datetime in UTC in 8 bytes, infinity naive; errors as for timestamp."""
    return _decode_moment(data, utc, epoch_utc)


cdef int64_t _difference(object delta) except? -1:
    cdef int64_t days = _integer(delta.days)
    cdef int64_t seconds = _integer(delta.seconds)
    cdef int64_t microseconds = _integer(delta.microseconds)
    if not -MOST_DAYS <= days <= MOST_DAYS:
        raise OverflowError("date value out of range")
    return (days * 86400 + seconds) * 1000000 + microseconds


cdef TypeError _no_moment(object value):
    return TypeError(
        "expected a datetime.date or datetime.datetime instance, "
        f"got {type(value).__name__!r}"
    )


def _encode_timestamp(value):
    """Return the 8 bytes of a naive datetime or of a date; TypeError for anything else."""
    cdef unsigned char wire[8]
    if PyDateTime_CheckExact(value) and datetime_tzinfo(value) is None:
        _write_time(wire, _since_epoch(value))
    else:
        if not PyDateTime_Check(value):
            if not PyDate_Check(value):
                raise _no_moment(value)
            value = datetime.datetime(value.year, value.month, value.day)
        _write_time(wire, _difference(value - epoch))
    return PyBytes_FromStringAndSize(<char *>wire, 8)


def _encode_timestamptz(value):
    """Return the 8 bytes of a datetime or a date; without a time zone it is local time."""
    cdef unsigned char wire[8]
    if PyDateTime_CheckExact(value) and datetime_tzinfo(value) is utc:
        _write_time(wire, _since_epoch(value))
        return PyBytes_FromStringAndSize(<char *>wire, 8)
    if not PyDateTime_Check(value):
        if not PyDate_Check(value):
            raise _no_moment(value)
        local = datetime.datetime.now(datetime.timezone.utc).astimezone()
        value = datetime.datetime(
            value.year, value.month, value.day, tzinfo=datetime.timezone(local.utcoffset())
        )
    # Infinity is of the first or the last year; to compare would ask the time zone in vain.
    cdef bint finite = PyDateTime_CheckExact(value) and 1 < datetime_year(value) < 9999
    if not finite and value == latest:
        _write_64(wire, INFINITY_64)
    elif not finite and value == earliest:
        _write_64(wire, NEGATIVE_INFINITY_64)
    else:
        moment = value.astimezone(utc)
        if PyDateTime_CheckExact(moment) and datetime_tzinfo(moment) is utc:
            _write_time(wire, _since_epoch(moment))
        else:
            _write_time(wire, _difference(moment - epoch_utc))
    return PyBytes_FromStringAndSize(<char *>wire, 8)


# time, timetz

cdef object _clock(int64_t microseconds, object tz):
    """Return a time of day; ValueError for 24:00, which Python lacks."""
    cdef int64_t seconds
    if 0 <= microseconds < MICROSECONDS_A_DAY:
        seconds = microseconds // 1000000
        return time_new(
            <int>(seconds // 3600),
            <int>(seconds // 60 % 60),
            <int>(seconds % 60),
            <int>(microseconds % 1000000),
            tz,
        )
    seconds = microseconds // 1000000
    return datetime.time(
        seconds // 3600, seconds // 60 % 60, seconds % 60, microseconds % 1000000, tz
    )


cdef int64_t _of_day(object value) except? -1:
    """Return the microseconds of a time, or of whatever has its attributes: 32 bits each."""
    cdef int64_t hour, minute, second, microsecond
    if PyTime_CheckExact(value):
        return (
            <int64_t>time_hour(value) * 3600
            + <int64_t>time_minute(value) * 60
            + <int64_t>time_second(value)
        ) * 1000000 + <int64_t>time_microsecond(value)
    hour = _integer(value.hour)
    minute = _integer(value.minute)
    second = _integer(value.second)
    microsecond = _integer(value.microsecond)
    return (hour * 3600 + minute * 60 + second) * 1000000 + microsecond


def _decode_time(data):
    """Return the time of day in 8 bytes; ValueError for 24:00, which Python lacks."""
    return _clock(_read_64(_payload(data, 8)), None)


def _encode_time(value):
    """Return the 8 bytes of a time, or of whatever has its attributes."""
    cdef unsigned char wire[8]
    _write_64(wire, _of_day(value))
    return PyBytes_FromStringAndSize(<char *>wire, 8)


def _decode_timetz(data):
    """Return the time of day with its offset, which asyncpg's cuts to minutes, in 12 bytes."""
    cdef const unsigned char *at = _payload(data, 12)
    cdef int64_t west = _read_32(at + 8)
    # 24:00 is an error before an offset is one.
    time = _clock(_read_64(at), None)
    if not PyTime_Check(time):  # somebody's own datetime.time made it
        raise TypeError(f"a time is wanted, not {type(time).__name__}")
    tz = timezone_new(timedelta_new(<int>(-west // 86400), <int>(-west % 86400), 0))
    return time_new(time_hour(time), time_minute(time), time_second(time),
                    time_microsecond(time), tz)


def _encode_timetz(value):
    """Return the 12 bytes of a time whose tzinfo has a fixed offset in whole seconds."""
    cdef unsigned char wire[12]
    cdef int64_t east
    cdef bint whole
    offset = value.tzinfo.utcoffset(None)
    if PyDelta_CheckExact(offset):
        east = <int64_t>timedelta_days(offset) * 86400 + timedelta_seconds(offset)
        whole = timedelta_microseconds(offset) == 0
    else:
        east = _integer(offset.days)
        east = east * 86400 + _integer(offset.seconds)
        whole = not getattr(offset, "microseconds", 0)
    if not NEGATIVE_INFINITY_32 < east <= INFINITY_32:
        raise OverflowError("value out of int32 range")
    if not whole:
        raise ValueError("an offset from UTC must be in whole seconds")
    _write_64(wire, _of_day(value))
    _write_32(wire + 8, <int32_t>-east)
    return PyBytes_FromStringAndSize(<char *>wire, 12)


# interval

def _decode_interval(data):
    """Return the timedelta in 16 bytes; OverflowError for one that Python lacks.

    A month counts 30 days and twelve of them 365. Infinity is one that Python lacks.
    """
    cdef const unsigned char *at = _payload(data, 16)
    cdef int64_t microseconds = _read_64(at)
    cdef int64_t days = _read_32(at + 8)
    cdef int64_t months = _read_32(at + 12)
    cdef int64_t seconds = microseconds // 1000000
    cdef int64_t total
    if months < 0:
        days -= -months // 12 * 365 + -months % 12 * 30
    elif months > 0:
        days += months // 12 * 365 + months % 12 * 30
    total = days + seconds // 86400
    if -999999999 <= total <= 999999999:
        return timedelta_new(<int>total, <int>(seconds % 86400), <int>(microseconds % 1000000))
    return datetime.timedelta(days, seconds, microseconds % 1000000)


def _encode_interval(value):
    """Return the 16 bytes of a timedelta, or of whatever has its attributes."""
    cdef unsigned char wire[16]
    cdef int64_t days
    cdef int64_t seconds
    cdef int64_t microseconds
    if PyDelta_CheckExact(value):
        days = timedelta_days(value)
        seconds = timedelta_seconds(value)
        microseconds = timedelta_microseconds(value)
    else:
        days = _integer(value.days)
        seconds = PyLong_AsLongLong(value.seconds)
        microseconds = _integer(value.microseconds)
        if not (
            -MOST_SECONDS <= seconds <= MOST_SECONDS
            and microseconds <= INFINITY_64 - max(seconds, 0) * 1000000
            and microseconds >= NEGATIVE_INFINITY_64 - min(seconds, 0) * 1000000
        ):
            raise OverflowError("value out of int64 range")
    _write_64(wire, seconds * 1000000 + microseconds)
    _write_32(wire + 8, <int32_t>days)
    _write_32(wire + 12, 0)
    return PyBytes_FromStringAndSize(<char *>wire, 16)


CODECS = {
    "date": (_encode_date, _decode_date),
    "time": (_encode_time, _decode_time),
    "timetz": (_encode_timetz, _decode_timetz),
    "timestamp": (_encode_timestamp, _decode_timestamp),
    "timestamptz": (_encode_timestamptz, _decode_timestamptz),
    "interval": (_encode_interval, _decode_interval),
}
# Types for which this form is faster than asyncpg's own codec: codecs.py registers these.
FASTER = ("date", "time", "timetz", "timestamp", "timestamptz", "interval")
# Types of which asyncpg's own codec reads some as another value.
SAFER = ("timetz", "interval")
