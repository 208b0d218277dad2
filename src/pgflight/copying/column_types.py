"""Checks that each column's type on the server agrees with the Table.

An INSERT casts each value to the Table's type and lets the server convert from there; COPY stores
it in the column as it is.  Where the result could differ, COPY is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

from sqlalchemy import Column, exc

_INTEGERS = frozenset({20, 21, 23})
_FLOATS = frozenset({700, 701})
_TEXTS = frozenset({18, 19, 25, 1042, 1043})
_DOCUMENTS = frozenset({114, 3802})
_BITS = frozenset({1560, 1562})
_ADDRESSES = frozenset({650, 869})
_TEXT_ARRAYS = frozenset({1002, 1003, 1009, 1014, 1015})
_INTEGER_ARRAYS = frozenset({1005, 1007, 1016})
_FLOAT_ARRAYS = frozenset({1021, 1022})
_ALIKE = (
    _INTEGERS,
    _FLOATS,
    _TEXTS,
    _DOCUMENTS,
    _BITS,
    _ADDRESSES,
    _TEXT_ARRAYS,
    _INTEGER_ARRAYS,
    _FLOAT_ARRAYS,
)
_NUMERIC = 1700
_OID = 26


def same_values(said: Any, found: Any) -> bool:
    """Tell whether a value sent as type ``found`` is stored as a cast from ``said`` would store it.

    Both are asyncpg's descriptions of types; a domain has its own number and its base's name.
    """
    declared, actual = said.oid, found.oid
    if declared == actual or said[1:] == found[1:] or declared in _TEXTS:
        # text is assigned only to text, unless the program has created a cast
        return True
    if declared in _INTEGERS and actual in (_NUMERIC, _OID):
        return True
    return any(declared in alike and actual in alike for alike in _ALIKE)


_ENDS = {21: 2**15, 23: 2**31, 20: 2**63}
_LARGEST_REAL = 3.4028235677973366e38


def fits(value: object, oid: int) -> bool:
    """Tell whether a number is in the type's range; other values are not checked."""
    if oid in _ENDS and isinstance(value, int):
        return -_ENDS[oid] <= value < _ENDS[oid]
    if oid == 700 and isinstance(value, (int, float)):
        return abs(value) < _LARGEST_REAL or value in (inf, -inf) or value != value
    return True


def check_types(
    columns: Sequence[Column[Any]], declared: Sequence[Any], actual: Sequence[Any]
) -> None:
    """Raise ArgumentError for the first column whose values COPY could change."""
    for column, said, found in zip(columns, declared, actual, strict=True):
        if not same_values(said, found.type):
            raise exc.ArgumentError(
                f"{column} is {said.name} in the Table and {found.type.name} on the server, and "
                "COPY does not cast: give the Table's column the server's type"
            )
