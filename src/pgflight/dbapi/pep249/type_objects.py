"""PEP 249's type objects and constructors.

The type code of a column, ``description[n][1]``, is PostgreSQL's OID of its type: a whole number.
"""

from __future__ import annotations

import datetime
import time


class TypeObject:
    """Stands for several PostgreSQL types: equal to the type code of each, and to itself."""

    __slots__ = ("name", "codes")

    def __init__(self, name: str, *codes: int) -> None:
        self.name = name
        self.codes = frozenset(codes)

    def __eq__(self, other: object) -> bool:
        return other is self or (isinstance(other, int) and other in self.codes)

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"pgflight.dbapi.{self.name}"


# OIDs of built-in types never change; those of other types are a database's own
STRING = TypeObject("STRING", 18, 19, 25, 1042, 1043)  # "char", name, text, char(n), varchar
BINARY = TypeObject("BINARY", 17)  # bytea
NUMBER = TypeObject("NUMBER", 20, 21, 23, 700, 701, 790, 1700)  # int2, int4, int8, float, numeric
DATETIME = TypeObject("DATETIME", 1082, 1083, 1114, 1184, 1186, 1266)  # also interval
ROWID = TypeObject("ROWID", 26)  # oid

Date = datetime.date
Time = datetime.time
Timestamp = datetime.datetime


def DateFromTicks(ticks: float) -> datetime.date:
    """Return the local date of ``ticks`` seconds since the epoch."""
    return datetime.date(*time.localtime(ticks)[:3])


def TimeFromTicks(ticks: float) -> datetime.time:
    """Return the local time of day of ``ticks`` seconds since the epoch, in whole seconds."""
    return datetime.time(*time.localtime(ticks)[3:6])


def TimestampFromTicks(ticks: float) -> datetime.datetime:
    """Return the local date and time of ``ticks`` seconds since the epoch, in whole seconds."""
    return datetime.datetime(*time.localtime(ticks)[:6])


def Binary(value: bytes | bytearray | memoryview) -> bytes:
    """Return ``value`` as a bytea parameter: bytes."""
    return bytes(value)
