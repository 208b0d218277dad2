"""Values in COPY's text form, for tables with a type that has no binary codec.

Called by the cursor of :mod:`pgflight.copying.copy_in_cursor`.  The values are those that asyncpg
would get, after bind processors.  For the forms see PostgreSQL's documentation, "COPY" and "Data
Types".
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from operator import index
from struct import pack, unpack
from typing import Any
from uuid import UUID

import asyncpg

_ESCAPE = str.maketrans({"\\": r"\\", "\n": r"\n", "\r": r"\r", "\t": r"\t"})
_ADDRESSES = (IPv4Address, IPv6Address, IPv4Interface, IPv6Interface, IPv4Network, IPv6Network)
_QUOTE = re.compile(r'(["\\])')
_NULL = r"\N"
_DATE_ENDS = {dt.date.max: "infinity", dt.date.min: "-infinity"}
_ENDS = {dt.datetime.max: "infinity", dt.datetime.min: "-infinity"}
Encoder = Callable[[Any], str]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected str, got {type(value).__name__}")
    if "\0" in value:
        raise ValueError("a NUL character cannot be stored in text")
    return value


def _integer(value: Any) -> str:
    return str(index(value))


def _number(value: Any) -> str:
    # a float with all its digits, as asyncpg has it; Decimal prints ints of any length, too
    return str(Decimal(value))


def _unsigned(value: Any) -> str:
    if index(value) < 0:
        raise OverflowError("value out of uint32 range")  # the server would take 4294967295
    return str(index(value))


def _float(value: Any) -> str:
    return repr(unpack("!d", pack("!d", value))[0])


def _real(value: object) -> str:
    # rounded to float4 here: the server would round the double's digits a second time
    return repr(unpack("!f", pack("!f", value))[0])


def _boolean(value: object) -> str:
    if not isinstance(value, bool):
        raise TypeError(f"a boolean is required (got type {type(value).__name__})")
    return "t" if value else "f"


def _bytes(value: Any) -> str:
    return r"\x" + bytes(memoryview(value)).hex()


def _uuid(value: Any) -> str:
    return str(value if isinstance(value, UUID) else UUID(value))


def _date(value: object) -> str:
    if isinstance(value, dt.datetime):
        value = value.date()
    if not isinstance(value, dt.date):
        raise TypeError(f"expected a datetime.date, got {type(value).__name__}")
    return _DATE_ENDS.get(value) or value.isoformat()


def _moment(value: Any, *, aware: bool) -> dt.datetime:
    if isinstance(value, dt.datetime):
        return value
    if not isinstance(value, dt.date):
        raise TypeError(f"expected a datetime.datetime, got {type(value).__name__}")
    # the offset that is in force now, as in asyncpg
    zone = dt.datetime.now(dt.timezone.utc).astimezone().tzinfo if aware else None
    return dt.datetime(value.year, value.month, value.day, tzinfo=zone)


def _naive(value: Any) -> str:
    moment = _moment(value, aware=False)
    if moment.utcoffset() is not None:
        raise TypeError("a column without time zone takes a datetime without tzinfo")
    moment = moment.replace(tzinfo=None)
    return _ENDS.get(moment) or moment.isoformat()


def _aware(value: Any) -> str:
    moment = _moment(value, aware=True)
    if moment.utcoffset() is not None or moment.replace(tzinfo=None) not in _ENDS:
        moment = moment.astimezone(dt.timezone.utc)
    return _ENDS.get(moment.replace(tzinfo=None)) or moment.isoformat()


def _time(value: object) -> str:
    if not isinstance(value, dt.time):
        raise TypeError(f"expected a datetime.time, got {type(value).__name__}")
    return value.isoformat()


def _aware_time(value: Any) -> str:
    offset = value.utcoffset() if isinstance(value, dt.time) else dt.timedelta()
    if offset is None:
        raise TypeError("a column with time zone takes a time with a tzinfo of a fixed offset")
    if offset.microseconds:
        raise ValueError("an offset from UTC must be in whole seconds")
    return _time(value)


def _interval(value: object) -> str:
    if not isinstance(value, dt.timedelta):
        raise TypeError(f"expected a datetime.timedelta, got {type(value).__name__}")
    return f"{value.days} days {value.seconds} seconds {value.microseconds} microseconds"


def _bits(value: object) -> str:
    if not isinstance(value, asyncpg.BitString):
        raise TypeError(f"expected an asyncpg.BitString, got {type(value).__name__}")
    return str(value.as_string()).replace(" ", "")


def _address(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, _ADDRESSES):
        return str(value)
    raise TypeError(f"expected str or an ipaddress object, got {type(value).__name__}")


ENCODERS: dict[int, Encoder] = {
    16: _boolean,
    17: _bytes,
    20: _integer,
    21: _integer,
    23: _integer,
    26: _unsigned,
    700: _real,
    701: _float,
    869: _address,
    650: _address,
    1082: _date,
    1083: _time,
    1114: _naive,
    1184: _aware,
    1186: _interval,
    1266: _aware_time,
    1560: _bits,
    1562: _bits,
    1700: _number,
    2950: _uuid,
}
"""Object identifier of a type -> the function to its text form; other types take ``str``."""

RANGES = {3904: 23, 3906: 1700, 3908: 1114, 3910: 1184, 3912: 1082, 3926: 20}
"""Object identifier of a range -> that of its element."""
MULTIRANGES = {4451: 3904, 4532: 3906, 4533: 3908, 4534: 3910, 4535: 3912, 4536: 3926}
"""Object identifier of a multirange -> that of its range."""
ARRAYS = {
    1000: 16,
    1001: 17,
    1005: 21,
    1007: 23,
    1016: 20,
    1028: 26,
    1021: 700,
    1022: 701,
    1041: 869,
    651: 650,
    1182: 1082,
    1183: 1083,
    1115: 1114,
    1185: 1184,
    1187: 1186,
    1270: 1266,
    1561: 1560,
    1563: 1562,
    1231: 1700,
    2951: 2950,
    3905: 3904,
    3907: 3906,
    3909: 3908,
    3911: 3910,
    3913: 3912,
    3927: 3926,
}
"""Object identifier of an array -> that of its element; other arrays hold ``str``."""


def _quoted(text: str) -> str:
    return '"' + _QUOTE.sub(r"\\\1", text) + '"'


def _range(element: Encoder) -> Encoder:
    def encode(value: Any) -> str:
        if not isinstance(value, asyncpg.Range):
            raise TypeError(f"expected an asyncpg.Range, got {type(value).__name__}")
        if value.isempty:
            return "empty"
        lower = "" if value.lower is None else _quoted(element(value.lower))
        upper = "" if value.upper is None else _quoted(element(value.upper))
        return f"{'[' if value.lower_inc else '('}{lower},{upper}{']' if value.upper_inc else ')'}"

    return encode


def _multirange(element: Encoder) -> Encoder:
    def encode(value: Any) -> str:
        return "{" + ",".join(map(element, value)) + "}"

    return encode


def _array(element: Encoder) -> Encoder:
    def encode(value: Any) -> str:
        if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
            raise TypeError(f"a sized iterable container expected (got {type(value).__name__!r})")
        parts = []
        for item in value:
            if item is None:
                parts.append("NULL")
            elif isinstance(item, list) or (type(item) is tuple):
                parts.append(encode(item))
            else:
                parts.append(_quoted(element(item)))
        return "{" + ",".join(parts) + "}"

    return encode


def encoder(type_: Any) -> Encoder:
    """Return the function from a value to its text form, given asyncpg's type description."""
    if type_.kind == "array":
        return _array(_scalar(ARRAYS.get(type_.oid, 0)))
    return _scalar(type_.oid)


def _scalar(oid: int) -> Encoder:
    if oid in RANGES:
        return _range(ENCODERS[RANGES[oid]])
    if oid in MULTIRANGES:
        return _multirange(_scalar(MULTIRANGES[oid]))
    return ENCODERS.get(oid, _text)


def field(value: object, encode: Encoder) -> str:
    """Return one field of a line."""
    return _NULL if value is None else encode(value).translate(_ESCAPE)


def lines(rows: Iterable[Sequence[Any]], encoders: Sequence[Encoder]) -> bytes:
    """Return rows in COPY's text form, UTF-8; raise :class:`Unencodable` if one has none."""
    made = []
    for number, row in enumerate(rows):
        fields = []
        for place, encode in enumerate(encoders):
            try:
                fields.append(field(row[place], encode))
            except Exception as error:
                raise Unencodable(number, place, error) from error
        made.append("\t".join(fields))
    made.append("")
    text = "\n".join(made)
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        number = text.count("\n", 0, error.start)
        place = text[text.rfind("\n", 0, error.start) + 1 : error.start].count("\t")
        raise Unencodable(number, place, error) from error


class Unencodable(Exception):
    """A value that has no text form."""

    def __init__(self, row: int, column: int, reason: Exception) -> None:
        super().__init__(row, column, reason)
        self.row = row
        self.column = column
        self.reason = reason
