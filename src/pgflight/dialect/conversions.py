"""Value conversions between SQLAlchemy's Python types and asyncpg's; called by the types.

Each function takes one value and lets ``None`` through.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import asyncpg
from sqlalchemy.dialects.postgresql.ranges import MultiRange, Range
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import elements, sqltypes

from .. import _impl
from ..compat import capability, connections, sql_types
from ..compat.features import Feature

_KNOWN = capability.has(Feature.VALUES)

BitString: Any
try:
    BitString = importlib.import_module("sqlalchemy.dialects.postgresql.bitstring").BitString
except ImportError:  # SQLAlchemy 2.0: bit strings are asyncpg's there
    BitString = None

__all__ = [
    "Decimal",
    "bit_from_driver",
    "bit_to_driver",
    "json_binder",
    "json_literal",
    "json_path_to_driver",
    "multirange_from_driver",
    "multirange_to_driver",
    "range_from_driver",
    "range_to_driver",
    "uuid_text",
]

uuid_text: Callable[[Any], str | None] = _impl.uuids.uuid_text


def _bit_to_driver(value: object) -> Any:
    """Return asyncpg's bit string for text of 0 and 1; ValueError for other characters."""
    if isinstance(value, str):
        bits = BitString(value)
        return asyncpg.BitString.from_int(int(bits), len(bits))
    return value


def _bit_from_driver(value: Any) -> Any:
    """Return SQLAlchemy's bit string for asyncpg's."""
    return value if value is None else BitString.from_int(value.to_int(), length=len(value))


bit_to_driver = None if BitString is None else _bit_to_driver
bit_from_driver = None if BitString is None else _bit_from_driver


def range_to_driver(value: object) -> Any:
    """Return asyncpg's range for SQLAlchemy's; anything else (text, asyncpg's own) as it is."""
    if not isinstance(value, Range):
        return value
    lower, upper = value.bounds
    return asyncpg.Range(
        value.lower,
        value.upper,
        lower_inc=lower == "[",
        upper_inc=upper == "]",
        empty=value.empty,
    )


def range_from_driver(value: Any) -> Any:
    """Return SQLAlchemy's range for asyncpg's; an empty one has the bounds ``[)``."""
    if value is None:
        return None
    if value.isempty:
        return Range(value.lower, value.upper, bounds="[)", empty=True)
    bounds: Any = ("[" if value.lower_inc else "(") + ("]" if value.upper_inc else ")")
    return Range(value.lower, value.upper, bounds=bounds)


def multirange_to_driver(value: Any) -> Any:
    """Return a list of asyncpg's ranges; text as it is."""
    if value is None or isinstance(value, str):
        return value
    return [range_to_driver(element) for element in value]


def multirange_from_driver(value: Any) -> Any:
    """Return SQLAlchemy's multirange for asyncpg's list of ranges."""
    return value if value is None else MultiRange(range_from_driver(element) for element in value)


def json_path_to_driver(value: Any) -> Any:
    """Return a path as a list of strings; text is a path expression already."""
    if isinstance(value, str):
        return value
    return [str(element) for element in value] if value else []


def looked_up(
    convert: Callable[[Any], Any], enum: object, table: Callable[[Any], Any]
) -> Callable[[Any], Any]:
    """Return ``convert``, which is asked only for what ``table`` does not have for the Enum."""
    return _impl.processors.lookup(table(enum), convert) if _KNOWN else convert


def json_binder(json_type: object, dialect: Dialect) -> Callable[[Any], str | None] | None:
    """Return SQLAlchemy's bind processor of a JSON type in one piece with json.dumps.

    None if it would be another one: the program has its own serializer, json.dumps was replaced
    (SQLAlchemy keeps the one that it finds now; a later one is used from then on), the dialect
    wants no serializing or processes the text, or the type makes its processors itself.
    """
    if (
        not _KNOWN
        or not sql_types.makes_json_as_sqlalchemy(json_type)
        or connections.json_serializer(dialect) is not None
        or dialect.supports_native_json_serialization
        or not _impl.jsonencode.standard()
        or sql_types.text_type_of_json(json_type).bind_processor(dialect) is not None
    ):
        return None
    return _impl.jsonencode.json_binder(json_type, elements.Null)


def json_literal(json_type: Any, dialect: Dialect) -> Callable[[Any], str]:
    """Return the function that renders a JSON value as a SQL literal.

    A serializer may return bytes instead of text.
    """
    text_type: Any = sqltypes.String()
    literal = text_type.literal_processor(dialect)
    serialize = json_type.bind_processor(dialect)

    def process(value: object) -> str:
        text = serialize(value) if serialize is not None else value
        if isinstance(text, (bytes, bytearray)):
            text = text.decode()
        rendered: str = literal(text) if literal is not None else str(text)
        return rendered

    return process
