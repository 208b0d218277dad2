"""Values that nobody should send: of other classes, without ends, with methods that raise."""

from __future__ import annotations

import datetime as dt
import enum
import math
from decimal import Decimal
from typing import Any


def _refuse(*_: object, **__: object) -> Any:
    raise LookupError("a method of the value's own")


class Text(str):
    """Text that only says what it is to who asks str itself."""

    __len__ = __bool__ = __iter__ = __getitem__ = __lt__ = encode = isascii = _refuse


class Whole(int):
    """A whole number, likewise."""

    __lt__ = __gt__ = __le__ = __ge__ = __index__ = __bool__ = bit_length = _refuse


class Exact(Decimal):
    """A number, likewise."""

    __bool__ = __len__ = __iter__ = adjusted = _refuse


class Listed(list[Any]):
    """A list without a length and without an end that could be reached."""

    __len__ = __iter__ = __bool__ = __getitem__ = _refuse


class Mute:
    """An object that nothing can be done with."""

    __repr__ = __str__ = __bool__ = __len__ = __iter__ = __int__ = __index__ = _refuse


class Zone(dt.tzinfo):
    """A time zone that does not know its offset."""

    def utcoffset(self, moment: dt.datetime | None) -> dt.timedelta:
        raise LookupError("a method of the value's own")

    tzname = dst = utcoffset  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "Zone()"


class Colour(enum.Enum):
    RED = "1"


class TextColour(str, enum.Enum):
    RED = "1"


class NumberColour(enum.IntEnum):
    RED = 1


def nested(depth: int, *, of: type = list) -> Any:
    """Return a list, or a dictionary, so many levels deep."""
    value: Any = 1
    for _ in range(depth):
        value = [value] if of is list else {"a": value}
    return value


def endless(*, of: type = list) -> Any:
    """Return a list, or a dictionary, that is inside itself."""
    value: Any = of()
    if of is list:
        value.append(value)
    else:
        value["a"] = value
    return value


SCALARS: dict[str, Any] = {
    "text": Text("1"),
    "long text": Text("1" * 70),
    "whole": Whole(1),
    "exact": Exact(1),
    "mute": Mute(),
    "enum": Colour.RED,
    "text enum": TextColour.RED,
    "number enum": NumberColour.RED,
    "NUL": "\0",
    "surrogate": "\ud800",
    "many digits": 10**5000,
    "2**63": 2**63,
    "not a number": math.nan,
    "signalling": Decimal("sNaN"),
    "tiny": Decimal("1E-20000"),
    "huge": Decimal("1E+140000"),
    "complex": 1j,
    "memory": memoryview(b"ab"),
    "every other": memoryview(b"abcdef")[::2],
    "bytearray": bytearray(b"ab"),
    "no offset": dt.datetime(2000, 1, 1, tzinfo=Zone()),
    "no offset of day": dt.time(1, tzinfo=Zone()),
    "class": int,
    "function": len,
    "ellipsis": ...,
}
CONTAINERS: dict[str, Any] = {
    "listed": Listed([1]),
    "endless list": endless(),
    "endless dictionary": endless(of=dict),
    "seven deep": nested(7),
    "a thousand deep": nested(1_000),
    "many thousands deep": nested(50_000),
    "ragged": [[1], [1, 2]],
    "set": {1, 2},
    "range": range(3),
    "tuple": (1, 2),
    "dictionary": {"a": 1},
}
VALUES = SCALARS | CONTAINERS
TYPES = (
    *("int2", "int4", "int8", "float8", "numeric", "bool", "text", "bytea", "json", "jsonb"),
    *("uuid", "date", "time", "timetz", "timestamp", "timestamptz", "interval", "inet", "macaddr"),
    *("bit(3)", "point", "int4range", "numrange", "tsvector", '"char"', "int4[]", "numeric[]"),
    *("text[]", "timestamptz[]"),
)
